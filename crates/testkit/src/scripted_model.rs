use crate::hash;
use semievol_core::{Message, Prompt, TokenLogprob};
use semievol_model::{
    Capabilities, Finish, GenerateRequest, Generation, LanguageModel, ModelError, ModelId, OnDone,
    ScoreRequest,
};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Token that ends a response.
const END: u32 = 0;
const WORDS: [&str; 8] = ["good", "bad", "film", "plot", "and", "but", "truly", "never"];

type Reply = Box<dyn Fn(&GenerateRequest) -> Result<String, String> + Send + Sync>;
type Score = Box<dyn Fn(&Prompt, &str) -> f64 + Send + Sync>;

/// A language model that says what it is told to.
///
/// Its tokens are words with the white space before them. Unless [`ScriptedModel::scoring`] says otherwise,
/// each token's log-probability is a number from -2 to -1 drawn from a hash of prompt, text so far and token;
/// generation and scoring agree on it. Responses are passed in the order of the requests.
pub struct ScriptedModel {
    id: ModelId,
    capabilities: Capabilities,
    reply: Reply,
    score: Option<Score>,
    served: AtomicUsize,
}

impl std::fmt::Debug for ScriptedModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScriptedModel")
            .field("id", &self.id)
            .field("capabilities", &self.capabilities)
            .finish_non_exhaustive()
    }
}

impl ScriptedModel {
    /// Answers each request with what the function returns. To pass the contract suite, it uses no randomness
    /// but the request's seed, and that only at temperatures above 0.
    pub fn new(id: &str, reply: impl Fn(&GenerateRequest) -> String + Send + Sync + 'static) -> Self {
        Self::scripted(id, Box::new(move |request| Ok(reply(request))))
    }

    /// Looks the last message up; one that is not in the script is an invalid request.
    pub fn with_replies<K, V>(id: &str, replies: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        let replies: BTreeMap<String, String> =
            replies.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        let reply = move |request: &GenerateRequest| {
            let asked = last_message(&request.prompt);
            replies.get(asked).cloned().ok_or_else(|| format!("no reply is scripted for {asked:?}"))
        };
        Self::scripted(id, Box::new(reply))
    }

    /// Says up to ten words of nonsense that depend on the prompt and, above temperature 0, on the seed.
    pub fn babbler(id: &str) -> Self {
        Self::new(id, |request| {
            let seed = if request.temperature > 0.0 { request.seed.0.to_string() } else { String::new() };
            let draw = |i: &str| hash(&[&text_of(&request.prompt), &seed, i]) as usize;
            let words = 5 + draw("length") % 6;
            let text: Vec<&str> = (0..words).map(|i| WORDS[draw(&i.to_string()) % WORDS.len()]).collect();
            text.join(" ")
        })
    }

    fn scripted(id: &str, reply: Reply) -> Self {
        let capabilities = Capabilities { scores: true, ..Capabilities::default() };
        ScriptedModel { id: ModelId::new(id), capabilities, reply, score: None, served: AtomicUsize::new(0) }
    }

    /// Log-probability of a whole continuation, end token included, spread evenly over its tokens. Numbers
    /// above 0 count as 0.
    pub fn scoring(mut self, score: impl Fn(&Prompt, &str) -> f64 + Send + Sync + 'static) -> Self {
        self.score = Some(Box::new(score));
        self
    }

    /// Holds so many tokens of prompt and response together.
    pub fn with_max_context(mut self, tokens: usize) -> Self {
        self.capabilities.max_context = tokens;
        self
    }

    /// Refuses to score, as many servers do.
    pub fn without_scores(mut self) -> Self {
        self.capabilities.scores = false;
        self
    }

    /// Requests served since it was made, scored and generated: a resumed run should not ask again.
    pub fn n_served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    fn generation(&self, index: usize, request: &GenerateRequest) -> Result<Generation, ModelError> {
        request.check(index)?;
        self.check_length(index, &request.prompt, request.max_tokens)?;
        let mut text = (self.reply)(request).map_err(|reason| invalid(index, reason))?;
        text.truncate(request.stop_in(&text).unwrap_or(text.len()));
        let mut tokens = self.logprobs(&request.prompt, &text);
        let finish = if tokens.len() > request.max_tokens { Finish::Length } else { Finish::Stop };
        if finish == Finish::Length {
            tokens.truncate(request.max_tokens);
            text = pieces(&text).into_iter().take(request.max_tokens).collect();
        }
        Ok(Generation { text, tokens, finish })
    }

    fn scores(&self, index: usize, request: &ScoreRequest) -> Result<Vec<Vec<TokenLogprob>>, ModelError> {
        request.check(index)?;
        let longest = request.continuations.iter().map(|text| pieces(text).len() + 1).max().unwrap_or(0);
        self.check_length(index, &request.prompt, longest)?;
        Ok(request.continuations.iter().map(|text| self.logprobs(&request.prompt, text)).collect())
    }

    fn check_length(&self, index: usize, prompt: &Prompt, new_tokens: usize) -> Result<(), ModelError> {
        let needed = pieces(&text_of(prompt)).len().saturating_add(new_tokens);
        let limit = self.capabilities.max_context;
        if needed > limit {
            return Err(ModelError::ContextExceeded { index, needed, limit, model: self.id.clone() });
        }
        Ok(())
    }

    /// Log-probabilities of a response's tokens and of its end.
    fn logprobs(&self, prompt: &Prompt, response: &str) -> Vec<TokenLogprob> {
        let pieces = pieces(response);
        let each = self.score.as_ref().map(|score| {
            let total = score(prompt, response).min(0.0);
            (total / (pieces.len() + 1) as f64) as f32
        });
        let prompt = text_of(prompt);
        let mut logprobs = Vec::with_capacity(pieces.len() + 1);
        let mut so_far = String::new();
        for piece in pieces.into_iter().chain([""]) {
            let drawn = hash(&[&prompt, &so_far, piece]) as f64 / u64::MAX as f64;
            let token = if piece.is_empty() { END } else { (hash(&[piece]) as u32).max(END + 1) };
            logprobs.push(TokenLogprob { token, logprob: each.unwrap_or(-1.0 - drawn as f32) });
            so_far.push_str(piece);
        }
        logprobs
    }

    fn serve<T>(
        &self,
        len: usize,
        answer: impl Fn(usize) -> Result<T, ModelError>,
        on_done: OnDone<'_, T>,
    ) -> Result<(), ModelError> {
        for index in 0..len {
            self.served.fetch_add(1, Ordering::Relaxed);
            if let ControlFlow::Break(()) = on_done(index, answer(index)) {
                break;
            }
        }
        Ok(())
    }
}

impl LanguageModel for ScriptedModel {
    fn id(&self) -> &ModelId {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn generate_each(
        &self,
        requests: &[GenerateRequest],
        on_done: OnDone<'_, Generation>,
    ) -> Result<(), ModelError> {
        self.serve(requests.len(), |index| self.generation(index, &requests[index]), on_done)
    }

    fn score_each(
        &self,
        requests: &[ScoreRequest],
        on_done: OnDone<'_, Vec<Vec<TokenLogprob>>>,
    ) -> Result<(), ModelError> {
        if !self.capabilities.scores {
            return Err(ModelError::Unsupported { model: self.id.clone(), what: "scoring" });
        }
        self.serve(requests.len(), |index| self.scores(index, &requests[index]), on_done)
    }
}

fn invalid(index: usize, reason: String) -> ModelError {
    ModelError::InvalidRequest { index, reason }
}

fn last_message(prompt: &Prompt) -> &str {
    prompt.messages.last().map_or("", |message| &message.content)
}

fn text_of(prompt: &Prompt) -> String {
    let line = |message: &Message| format!("{}: {}\n", message.role.as_str(), message.content);
    prompt.messages.iter().map(line).chain([prompt.response_prefix.clone()]).collect()
}

/// Words, each with the white space before it; together they are the text.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.find(|c: char| !c.is_whitespace()).unwrap_or(0);
        let end = rest[word..].find(char::is_whitespace).map_or(rest.len(), |len| word + len);
        // Trailing white space alone is a piece of its own.
        let end = if end == 0 { rest.len() } else { end };
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use semievol_core::Seed;

    #[test]
    fn pieces_make_the_text() {
        for text in ["", "a", " a  b\n", "  ", "one two", "ä\u{a0}ö "] {
            assert_eq!(pieces(text).concat(), text);
        }
        assert_eq!(pieces(" good film"), [" good", " film"]);
    }

    #[test]
    fn an_unscripted_prompt_is_named() {
        let model = ScriptedModel::with_replies("m", [("a", "b")]);
        let requests = ["a", "c"].map(|text| GenerateRequest::new(Prompt::user(text), Seed(0)));
        let answers = model.generate(&requests).unwrap();
        assert_eq!(answers[0].as_ref().unwrap().text, "b");
        let error = answers[1].as_ref().unwrap_err().to_string();
        assert_eq!(error, "request 1: no reply is scripted for \"c\"");
        assert_eq!(model.n_served(), 2);
    }
}
