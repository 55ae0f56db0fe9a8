//! The log-probabilities of given texts, by whatever a server has.

use crate::config::Scoring;
use crate::generate::{entry, number};
use crate::model::{Asker, Refusal};
use crate::tokens::{Tokens, chat};
use crate::wire::{self, Chat, Completion, CompletionLogprobs, TokenEntry};
use semievol_core::TokenLogprob;
use semievol_model::{ScoreRequest, Scores};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Alternatives that come with a forced token; other options are often among them.
const SIBLINGS: usize = 20;
/// What hosted servers give, the most of them and others.
pub(crate) const ALTERNATIVES: [usize; 2] = [20, 5];
pub(crate) const NO_OPTION: &str = "none of the options is among the most probable beginnings of an answer";
/// Outweighs any difference of logits.
const FORCE: f64 = 1000.0;

/// The tokens of a request's continuations.
struct Options {
    prompt: Vec<u32>,
    /// For each continuation, its tokens with the prefix's in front and the end's behind, and how many are the prefix's.
    responses: Vec<(Vec<u32>, usize)>,
}

impl Asker {
    pub(crate) async fn score(&self, request: &ScoreRequest) -> Result<Scores, Refusal> {
        match (self.scoring, &self.tokens) {
            (Scoring::ForcedTokens, Some(tokens)) => self.force(&self.options(tokens, request).await?).await,
            (Scoring::PromptLogprobs, Some(tokens)) => self.echo(&self.options(tokens, request).await?).await,
            (Scoring::TopLogprobs, _) => self.alternatives(request).await,
            _ => Err(Refusal::Unsupported),
        }
    }

    async fn options(&self, tokens: &Tokens, request: &ScoreRequest) -> Result<Options, Refusal> {
        let prompt = tokens.chat(&request.prompt.messages).await?;
        let mut responses = Vec::with_capacity(request.continuations.len());
        for continuation in &request.continuations {
            responses.push(tokens.response(&request.prompt.response_prefix, continuation).await?);
        }
        let longest = responses.iter().map(|(response, _)| response.len()).max().unwrap_or(0);
        self.fits(prompt.len() + longest)?;
        // From one place for all, or what one has to say of a blank another would have been told.
        let of_prefix = responses.iter().map(|(_, of_prefix)| *of_prefix).min().unwrap_or(0);
        responses.iter_mut().for_each(|(_, own)| *own = of_prefix);
        Ok(Options { prompt, responses })
    }

    /// Each token of each option, forced by a bias; the log-probability is the one without it. Options that begin alike
    /// share their requests, and the server its cache.
    async fn force(&self, options: &Options) -> Result<Scores, Refusal> {
        // By what stands before them, the tokens to ask about.
        let mut wanted: BTreeMap<&[u32], BTreeSet<u32>> = BTreeMap::new();
        for (response, of_prefix) in &options.responses {
            for at in *of_prefix..response.len() {
                wanted.entry(&response[..at]).or_default().insert(response[at]);
            }
        }
        let mut known: BTreeMap<(&[u32], u32), f32> = BTreeMap::new();
        for (before, tokens) in wanted {
            let context: Vec<u32> = options.prompt.iter().chain(before).copied().collect();
            for token in &tokens {
                if known.contains_key(&(before, *token)) {
                    continue;
                }
                for found in self.force_one(&context, *token).await? {
                    if tokens.contains(&found.token) {
                        known.entry((before, found.token)).or_insert(found.logprob);
                    }
                }
            }
        }
        let logprob = |response: &[u32], at: usize| {
            let token = response[at];
            TokenLogprob { token, logprob: known.get(&(&response[..at], token)).copied().unwrap_or(f32::MIN) }
        };
        let scores = options.responses.iter().map(|(response, of_prefix)| {
            (*of_prefix..response.len()).map(|at| logprob(response, at)).collect()
        });
        Ok(scores.collect())
    }

    /// The forced token first, then the most probable ones.
    async fn force_one(&self, context: &[u32], token: u32) -> Result<Vec<TokenLogprob>, Refusal> {
        let mut body = self.body();
        body["prompt"] = json!(context);
        body["max_tokens"] = json!(1);
        body["temperature"] = json!(0.0);
        body["logprobs"] = json!(SIBLINGS);
        body["logit_bias"] = json!([[token, FORCE]]);
        let read = |body: &Value| {
            let choice = wire::only(wire::read::<Completion>(body)?.choices)?;
            let Some(CompletionLogprobs::Content { content }) = choice.logprobs else {
                return Err("no log-probabilities".to_owned());
            };
            let forced = content.first().ok_or("no token")?;
            if forced.id != Some(token) {
                return Err(format!("token {:?} where {token} was forced", forced.id));
            }
            let all = std::iter::once(forced).chain(&forced.top_logprobs);
            // An alternative of probability 0 is no help and no harm.
            let mut found = vec![entry(forced)?];
            found.extend(all.skip(1).filter_map(|one| entry(one).ok()));
            Ok(found)
        };
        Ok(self.client.post("completions", &body, read).await?)
    }

    /// The prompt with each option, read back with the log-probability of each of its tokens.
    async fn echo(&self, options: &Options) -> Result<Scores, Refusal> {
        let mut scores = Vec::with_capacity(options.responses.len());
        for (response, of_prefix) in &options.responses {
            let whole: Vec<u32> = options.prompt.iter().chain(response).copied().collect();
            let first = options.prompt.len() + of_prefix;
            let mut body = self.body();
            body["prompt"] = json!(whole);
            body["max_tokens"] = json!(1);
            body["temperature"] = json!(0.0);
            body["prompt_logprobs"] = json!(1);
            let read = |body: &Value| {
                let choice = wire::only(wire::read::<Completion>(body)?.choices)?;
                let given = choice.prompt_logprobs.ok_or("no log-probabilities of the prompt")?;
                if given.len() != whole.len() {
                    return Err(format!(
                        "log-probabilities of {} tokens, of {} sent",
                        given.len(),
                        whole.len()
                    ));
                }
                let one = |at: usize| {
                    let token = whole[at];
                    let found = given[at].as_ref().and_then(|all| all.get(&token.to_string()));
                    let logprob = found.map(|found| found.logprob).filter(|value| value.is_finite());
                    let logprob = logprob.ok_or_else(|| format!("no log-probability of token {token}"))?;
                    Ok(TokenLogprob { token, logprob: logprob.min(0.0) as f32 })
                };
                (first..whole.len()).map(one).collect::<Result<Vec<_>, String>>()
            };
            scores.push(self.client.post("completions", &body, read).await?);
        }
        Ok(scores)
    }

    async fn alternatives(&self, request: &ScoreRequest) -> Result<Scores, Refusal> {
        let body = alternatives_body(self.body(), request, self.alternatives);
        let read = |body: &Value| alternatives_answer(body, request);
        let scores = self.client.post("chat/completions", &body, read).await?;
        scores.ok_or_else(|| Refusal::Refused(NO_OPTION.to_owned()))
    }
}

/// Asks for the beginning of an answer, with the most probable tokens at each place.
pub(crate) fn alternatives_body(mut body: Value, request: &ScoreRequest, alternatives: usize) -> Value {
    body["messages"] = Value::Array(chat(&request.prompt.messages));
    // Many models write the prefix that they are told of, before they answer.
    body["max_tokens"] = json!(if request.prompt.response_prefix.is_empty() { 1 } else { 8 });
    body["temperature"] = json!(0.0);
    body["logprobs"] = json!(true);
    body["top_logprobs"] = json!(alternatives);
    body
}

/// Each option with those tokens that begin it and no other, where the answer begins. `None` where none of them begins any.
pub(crate) fn alternatives_answer(body: &Value, request: &ScoreRequest) -> Result<Option<Scores>, String> {
    let choice = wire::only(wire::read::<Chat>(body)?.choices)?;
    let content = choice.logprobs.and_then(|logprobs| logprobs.content).unwrap_or_default();
    if content.is_empty() {
        return Err("no log-probabilities".into());
    }
    let Some(first) = after_prefix(&content, request.prompt.response_prefix.trim()) else { return Ok(None) };
    let alternatives = match first.top_logprobs.as_slice() {
        [] => std::slice::from_ref(first),
        alternatives => alternatives,
    };
    Ok(by_first_token(alternatives, &request.continuations))
}

/// The first token that is neither white space nor part of the prefix; the very first where the answer does not begin so.
fn after_prefix<'e>(content: &'e [TokenEntry], prefix: &str) -> Option<&'e TokenEntry> {
    let prefix = prefix.to_lowercase();
    let mut left = prefix.as_str();
    for entry in content {
        let token = entry.token.trim().to_lowercase();
        let token = token.as_str();
        match left.trim_start().strip_prefix(token) {
            Some(rest) if !token.is_empty() && !left.is_empty() => left = rest,
            _ if token.is_empty() => {}
            // Something else than the prefix, from the beginning or after it.
            _ if left.trim().is_empty() || left == prefix => return Some(entry),
            _ => return None,
        }
    }
    None
}

/// For each option the probability of the tokens that begin it alone, a token that is a whole option being its own; at
/// least that of the least probable token there is, for an option that does not show may be as probable as that. Of
/// whole options small and large letters are one, as where an answer is read, but for options of a single letter or that
/// differ by nothing else; the beginning of one is as it is written, or `The` would begin `theft`.
fn by_first_token(alternatives: &[TokenEntry], options: &[String]) -> Option<Scores> {
    let small: Vec<String> = options.iter().map(|option| option.trim().to_lowercase()).collect();
    let long = small.iter().all(|option| option.chars().nth(1).is_some());
    let folds = long && small.iter().collect::<HashSet<_>>().len() == options.len();
    let is = |option: &str, token: &str| {
        option == token || (folds && option.to_lowercase() == token.to_lowercase())
    };
    let owner = |token: &str| -> Option<&str> {
        let texts = || options.iter().map(|option| option.trim());
        let mut begun = texts().filter(|text| !token.is_empty() && text.starts_with(token));
        let whole = texts().find(|text| is(text, token));
        whole.or_else(|| begun.next().filter(|own| begun.all(|other| other == *own)))
    };
    let owned: Vec<(Option<&str>, f64)> =
        alternatives.iter().filter_map(|one| Some((owner(one.token.trim()), one.logprob?))).collect();
    let least = owned.iter().map(|(_, logprob)| *logprob).fold(0.0, f64::min);
    let score = |option: &String| {
        let own = owned.iter().filter(|(owner, _)| *owner == Some(option.trim()));
        let total: f64 = own.map(|(_, logprob)| logprob.exp()).sum();
        let logprob = if total > 0.0 { total.ln().min(0.0) } else { least };
        vec![TokenLogprob { token: number(option), logprob: logprob as f32 }]
    };
    let any = owned.iter().any(|(owner, logprob)| owner.is_some() && logprob.exp() > 0.0);
    any.then(|| options.iter().map(score).collect())
}

#[cfg(test)]
mod tests {
    use super::{after_prefix, by_first_token};
    use crate::wire::TokenEntry;

    fn entries(all: &[(&str, f64)]) -> Vec<TokenEntry> {
        let entry = |(token, probability): &(&str, f64)| TokenEntry {
            id: None,
            token: (*token).to_owned(),
            logprob: Some(probability.ln()),
            top_logprobs: Vec::new(),
        };
        all.iter().map(entry).collect()
    }

    #[test]
    fn options_get_the_tokens_that_begin_them_alone() {
        let alternatives =
            entries(&[("pos", 0.5), (" positive", 0.1), ("ne", 0.2), ("neg", 0.05), ("The", 0.01)]);
        let options = [" negative", " neutral", " positive"].map(String::from);
        let scores = by_first_token(&alternatives, &options).unwrap();
        let probability = |at: usize| f64::from(scores[at][0].logprob).exp();
        assert!((probability(2) - 0.6).abs() < 1e-6);
        // `ne` begins two.
        assert!((probability(0) - 0.05).abs() < 1e-6);
        assert!((probability(1) - 0.01).abs() < 1e-6);
    }

    #[test]
    fn large_letters_are_small_ones() {
        let options = [" negative", " positive"].map(String::from);
        let alternatives = entries(&[("Negative", 0.8), ("Positive", 0.1), ("positive", 0.05), ("Ne", 0.02)]);
        let scores = by_first_token(&alternatives, &options).unwrap();
        let probability = |at: usize| f64::from(scores[at][0].logprob).exp();
        assert!((probability(0) - 0.8).abs() < 1e-6 && (probability(1) - 0.15).abs() < 1e-6);
        // `The` and `A` may begin a sentence, and two options may differ by their letters alone.
        assert!(by_first_token(&entries(&[("a", 0.9)]), &["A", "B"].map(String::from)).is_none());
        assert!(by_first_token(&entries(&[("The", 0.9)]), &["theft", "fraud"].map(String::from)).is_none());
        let scores = by_first_token(&entries(&[("us", 0.9), ("US", 0.1)]), &["US", "us"].map(String::from));
        let scores = scores.unwrap();
        assert!(scores[0][0].logprob < scores[1][0].logprob);
    }

    #[test]
    fn an_option_that_begins_another_is_itself() {
        let options = [" 1", " 10", " 2"].map(String::from);
        let scores = by_first_token(&entries(&[("1", 0.9), ("2", 0.05)]), &options).unwrap();
        assert!(scores[0][0].logprob > scores[2][0].logprob);
        assert!(by_first_token(&entries(&[("The", 0.9), ("Answer", 0.05)]), &options).is_none());
    }

    #[test]
    fn what_repeats_the_prefix_is_passed_over() {
        let found = |tokens: &[&str]| {
            let all: Vec<(&str, f64)> = tokens.iter().map(|token| (*token, 0.5)).collect();
            after_prefix(&entries(&all), "Answer:").map(|entry| entry.token.clone())
        };
        assert_eq!(found(&["Answer", ":", " B", "."]).as_deref(), Some(" B"));
        assert_eq!(found(&["Answer:", "\n", "B"]).as_deref(), Some("B"));
        assert_eq!(found(&["ANSWER", ":", "B"]).as_deref(), Some("B"));
        assert_eq!(found(&[" B"]).as_deref(), Some(" B"));
        assert_eq!(found(&["Answer", "s", "vary"]), None);
        assert_eq!(found(&["Answer", ":"]), None);
    }
}
