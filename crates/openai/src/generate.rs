//! Sampled responses.

use crate::config::Scoring;
use crate::dialect::Dialect;
use crate::model::{Asker, Refusal, seed};
use crate::tokens::{Tokens, chat};
use crate::wire::{self, Chat, Completion, CompletionLogprobs, TokenEntry};
use semievol_core::TokenLogprob;
use semievol_model::{Finish, GenerateRequest, Generation};
use serde_json::{Value, json};

impl Asker {
    pub(crate) async fn generate(&self, request: &GenerateRequest) -> Result<Generation, Refusal> {
        match &self.tokens {
            Some(tokens) => self.complete(tokens, request).await,
            None => self.chat(request).await,
        }
    }

    async fn complete(&self, tokens: &Tokens, request: &GenerateRequest) -> Result<Generation, Refusal> {
        let prompt = tokens.prompt(&request.prompt).await?;
        self.fits(prompt.len() + request.max_tokens)?;
        let mut body = sampling(self.body(), request);
        body["prompt"] = json!(prompt);
        body["logprobs"] = json!(1);
        // Unless told not to, both cut off what is improbable, and take from the model's files, or from how they were started,
        // what makes repetitions rare.
        let common = json!({"min_p": 0.0, "presence_penalty": 0.0, "frequency_penalty": 0.0});
        let own = match self.dialect {
            Dialect::LlamaCpp => json!({
                "top_k": 0,
                "typical_p": 1.0,
                "repeat_penalty": 1.0,
                "dry_multiplier": 0.0,
                "xtc_probability": 0.0,
                "mirostat": 0,
            }),
            _ => json!({"top_k": -1, "repetition_penalty": 1.0, "return_tokens_as_token_ids": true}),
        };
        for (name, value) in [common, own].iter().filter_map(Value::as_object).flatten() {
            body[name] = value.clone();
        }
        let read = |body: &Value| {
            let choice = wire::only(wire::read::<Completion>(body)?.choices)?;
            let tokens = match choice.logprobs {
                Some(logprobs) => sampled(logprobs)?,
                // llama.cpp takes the stop text's tokens away, and leaves the list out where nothing else was said.
                None if choice.text.is_empty() || !request.stop.is_empty() => Vec::new(),
                None => return Err("no log-probabilities".to_owned()),
            };
            Ok(Generation { text: choice.text, tokens, finish: finish(choice.finish_reason.as_deref()) })
        };
        Ok(self.client.post("completions", &body, read).await?)
    }

    async fn chat(&self, request: &GenerateRequest) -> Result<Generation, Refusal> {
        let body = chat_body(self.body(), request, self.scoring == Scoring::TopLogprobs);
        let read = |body: &Value| chat_answer(body, request);
        Ok(self.client.post("chat/completions", &body, read).await?)
    }
}

/// A request of a chat; the beginning of the response cannot be forced there.
pub(crate) fn chat_body(body: Value, request: &GenerateRequest, logprobs: bool) -> Value {
    let mut body = sampling(body, request);
    body["messages"] = Value::Array(chat(&request.prompt.messages));
    body["logprobs"] = json!(logprobs);
    body
}

/// What was said to it.
pub(crate) fn chat_answer(body: &Value, request: &GenerateRequest) -> Result<Generation, String> {
    let prefix = request.prompt.response_prefix.trim();
    let choice = wire::only(wire::read::<Chat>(body)?.choices)?;
    let content = choice.logprobs.and_then(|logprobs| logprobs.content).unwrap_or_default();
    // It cannot be made to begin so, and may do it by itself.
    let said = choice.message.content.trim_start();
    let text = said.strip_prefix(prefix).filter(|_| !prefix.is_empty());
    Ok(Generation {
        text: text.unwrap_or(&choice.message.content).to_owned(),
        tokens: content.iter().map(entry).collect::<Result<_, _>>()?,
        finish: finish(choice.finish_reason.as_deref()),
    })
}

fn sampling(mut body: Value, request: &GenerateRequest) -> Value {
    body["max_tokens"] = json!(request.max_tokens);
    body["temperature"] = json!(request.temperature);
    body["top_p"] = json!(request.top_p);
    body["seed"] = json!(seed(request.seed));
    if !request.stop.is_empty() {
        body["stop"] = json!(request.stop);
    }
    body
}

fn finish(reason: Option<&str>) -> Finish {
    match reason {
        Some("stop") | None => Finish::Stop,
        // Cut off by a filter or by whoever runs the server: half a response, too.
        Some(_) => Finish::Length,
    }
}

fn sampled(logprobs: CompletionLogprobs) -> Result<Vec<TokenLogprob>, String> {
    match logprobs {
        CompletionLogprobs::Content { content } => content.iter().map(entry).collect(),
        CompletionLogprobs::Lists { tokens, token_logprobs } => {
            if tokens.len() != token_logprobs.len() {
                return Err(format!(
                    "{} tokens with {} log-probabilities",
                    tokens.len(),
                    token_logprobs.len()
                ));
            }
            tokens.iter().zip(token_logprobs).map(|(token, logprob)| of(number(token), logprob)).collect()
        }
    }
}

pub(crate) fn entry(entry: &TokenEntry) -> Result<TokenLogprob, String> {
    of(entry.id.unwrap_or_else(|| number(&entry.token)), entry.logprob)
}

fn of(token: u32, logprob: Option<f64>) -> Result<TokenLogprob, String> {
    // Rounding may push a certainty above 0.
    let logprob = logprob.filter(|value| value.is_finite() && *value <= 1e-3);
    let logprob = logprob.ok_or("a token without a log-probability, or with one above 0")?;
    Ok(TokenLogprob { token, logprob: logprob.min(0.0) as f32 })
}

/// The id that vLLM writes as `token_id:17`. Where ids are not told, a number that tells texts apart (FNV-1a).
pub(crate) fn number(token: &str) -> u32 {
    let told = token.strip_prefix("token_id:").and_then(|id| id.parse().ok());
    told.unwrap_or_else(|| {
        token.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    })
}
