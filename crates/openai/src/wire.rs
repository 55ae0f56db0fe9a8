//! What servers send, read leniently: what a dialect lacks is absent, what is not needed is skipped.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// Reads an answer, or says what is wrong with it.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(body: &Value) -> Result<T, String> {
    T::deserialize(body).map_err(|error| format!("an answer of another shape ({error})"))
}

/// `GET /models`.
#[derive(Debug, Deserialize)]
pub(crate) struct Models {
    pub data: Vec<Model>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Model {
    pub id: String,
    #[serde(default)]
    pub owned_by: Option<String>,
    /// vLLM's context.
    #[serde(default)]
    pub max_model_len: Option<usize>,
    /// vLLM's: where the weights came from, which an adapter's name does not say.
    #[serde(default)]
    pub root: Option<String>,
    /// llama.cpp's description of the weights.
    #[serde(default)]
    pub meta: Option<Meta>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Meta {
    pub n_ctx: Option<usize>,
    pub n_params: Option<u64>,
    pub size: Option<u64>,
}

/// `POST /tokenize`, llama.cpp's and vLLM's.
#[derive(Debug, Deserialize)]
pub(crate) struct Tokenized {
    pub tokens: Vec<u32>,
}

/// `POST /apply-template`, llama.cpp's.
#[derive(Debug, Deserialize)]
pub(crate) struct Rendered {
    pub prompt: String,
}

/// `POST /completions`.
#[derive(Debug, Deserialize)]
pub(crate) struct Completion {
    pub choices: Vec<CompletionChoice>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CompletionChoice {
    #[serde(default)]
    pub text: String,
    #[serde(default)]
    pub finish_reason: Option<String>,
    #[serde(default)]
    pub logprobs: Option<CompletionLogprobs>,
    /// vLLM's, for each token of the prompt by id; the first has none.
    #[serde(default)]
    pub prompt_logprobs: Option<Vec<Option<BTreeMap<String, PromptLogprob>>>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct PromptLogprob {
    pub logprob: f64,
}

/// llama.cpp's form of chat, or OpenAI's own of old.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum CompletionLogprobs {
    Content { content: Vec<TokenEntry> },
    Lists { tokens: Vec<String>, token_logprobs: Vec<Option<f64>> },
}

/// `POST /chat/completions`.
#[derive(Debug, Deserialize)]
pub(crate) struct Chat {
    pub choices: Vec<ChatChoice>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ChatChoice {
    pub message: ChatMessage,
    #[serde(default)]
    pub finish_reason: Option<String>,
    #[serde(default)]
    pub logprobs: Option<ChatLogprobs>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ChatMessage {
    #[serde(default, deserialize_with = "or_empty")]
    pub content: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ChatLogprobs {
    #[serde(default)]
    pub content: Option<Vec<TokenEntry>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TokenEntry {
    /// llama.cpp's alone.
    #[serde(default)]
    pub id: Option<u32>,
    #[serde(default)]
    pub token: String,
    /// Absent for a probability of 0.
    pub logprob: Option<f64>,
    #[serde(default, deserialize_with = "or_empty")]
    pub top_logprobs: Vec<TokenEntry>,
}

/// `POST /embeddings`.
#[derive(Debug, Deserialize)]
pub(crate) struct Embedded {
    pub data: Vec<EmbeddedRow>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct EmbeddedRow {
    pub index: usize,
    pub embedding: Vec<f32>,
}

fn or_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The one choice that was asked for.
pub(crate) fn only<T>(choices: Vec<T>) -> Result<T, String> {
    let n = choices.len();
    match <[T; 1]>::try_from(choices) {
        Ok([choice]) => Ok(choice),
        Err(_) => Err(format!("{n} choices where 1 was asked for")),
    }
}
