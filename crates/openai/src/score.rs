//! The log-probabilities of given texts, by whatever a server has.

use crate::config::Scoring;
use crate::generate::{entry, number};
use crate::model::{Asker, Refusal};
use crate::tokens::{Tokens, chat};
use crate::wire::{self, Chat, Completion, CompletionLogprobs, TokenEntry};
use semievol_core::TokenLogprob;
use semievol_model::{ScoreRequest, Scores};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Alternatives that come with a forced token; other options are often among them.
const SIBLINGS: usize = 20;
/// The most that hosted servers give.
const MOST_ALTERNATIVES: usize = 20;
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

    /// The most probable first tokens of an answer, each option with those that begin it and no other.
    async fn alternatives(&self, request: &ScoreRequest) -> Result<Scores, Refusal> {
        let mut body = self.body();
        body["messages"] = Value::Array(chat(&request.prompt.messages));
        body["max_tokens"] = json!(1);
        body["temperature"] = json!(0.0);
        body["logprobs"] = json!(true);
        body["top_logprobs"] = json!(MOST_ALTERNATIVES);
        let read = |body: &Value| {
            let choice = wire::only(wire::read::<Chat>(body)?.choices)?;
            let content = choice.logprobs.and_then(|logprobs| logprobs.content).unwrap_or_default();
            let first = content.first().ok_or("no log-probabilities")?;
            let alternatives = if first.top_logprobs.is_empty() {
                std::slice::from_ref(first)
            } else {
                first.top_logprobs.as_slice()
            };
            Ok(by_first_token(alternatives, &request.continuations))
        };
        Ok(self.client.post("chat/completions", &body, read).await?)
    }
}

/// For each option the probability of the tokens that begin it alone; at least that of the least probable token there is, for
/// an option that does not show may be as probable as that.
fn by_first_token(alternatives: &[TokenEntry], options: &[String]) -> Scores {
    let begins = |token: &str, option: &str| !token.is_empty() && option.trim().starts_with(token);
    let least = alternatives.iter().filter_map(|one| one.logprob).fold(0.0, f64::min);
    let score = |option: &String| {
        let own = alternatives.iter().filter(|one| {
            let token = one.token.trim();
            begins(token, option)
                && options.iter().filter(|other| begins(token, other)).all(|other| other == option)
        });
        let total: f64 = own.filter_map(|one| one.logprob).map(f64::exp).sum();
        let logprob = if total > 0.0 { total.ln().min(0.0) } else { least };
        vec![TokenLogprob { token: number(option), logprob: logprob as f32 }]
    };
    options.iter().map(score).collect()
}

#[cfg(test)]
mod tests {
    use super::by_first_token;
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
        let scores = by_first_token(&alternatives, &options);
        let probability = |at: usize| f64::from(scores[at][0].logprob).exp();
        assert!((probability(2) - 0.6).abs() < 1e-6);
        // `ne` begins two.
        assert!((probability(0) - 0.05).abs() < 1e-6);
        assert!((probability(1) - 0.01).abs() < 1e-6);
    }
}
