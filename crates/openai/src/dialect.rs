//! What kind of server it is, found out once.

use crate::client::Client;
use crate::config::{Scoring, ServerConfig};
use crate::error::ServerError;
use crate::score::ALTERNATIVES;
use crate::wire::{self, Model, Models};
use serde_json::json;

/// Servers differ where the protocol is silent: rendering, token ids, log-probabilities of given text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    LlamaCpp,
    Vllm,
    Other,
}

impl Dialect {
    pub fn name(self) -> &'static str {
        match self {
            Dialect::LlamaCpp => "llama.cpp",
            Dialect::Vllm => "vLLM",
            Dialect::Other => "server",
        }
    }

    /// Whether prompts can be sent as token ids.
    pub fn has_tokens(self) -> bool {
        self != Dialect::Other
    }
}

/// A model of a server.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub dialect: Dialect,
    /// Its name in requests.
    pub model: String,
    pub max_context: Option<usize>,
    /// What tells weights of one name apart, as far as the server says.
    pub fingerprint: String,
}

impl Found {
    /// Names the model in artefacts.
    pub fn name(&self) -> String {
        format!("{} on {}{}", self.model, self.dialect.name(), self.fingerprint)
    }
}

/// Asks what models there are.
pub(crate) async fn discover(client: &Client, config: &ServerConfig) -> Result<Found, ServerError> {
    let settings = |reason: String| ServerError::Settings { server: client.server(), reason };
    let models = match client.get("models", wire::read::<Models>).await {
        Ok(models) => models.data,
        // Some have no list.
        Err(ServerError::Refused { status: 404 | 405 | 501, .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    let owned_by = |owner: &str| models.iter().any(|model| model.owned_by.as_deref() == Some(owner));
    let dialect = match () {
        () if owned_by("llamacpp") => Dialect::LlamaCpp,
        () if owned_by("vllm") => Dialect::Vllm,
        () => Dialect::Other,
    };
    let names = || models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>().join(", ");
    let found: Option<&Model> = match &config.model {
        Some(name) => models.iter().find(|model| model.id == *name),
        None => models.first().filter(|_| models.len() == 1),
    };
    let model = match (&config.model, found) {
        (_, Some(found)) => found.id.clone(),
        // llama.cpp serves one model, whatever it is called; a list may be incomplete.
        (Some(name), None) if dialect != Dialect::Vllm => name.clone(),
        (Some(name), None) => return Err(settings(format!("there is no model {name:?}, but {}", names()))),
        (None, None) if models.is_empty() => {
            return Err(settings("the server does not say which models it has: set model".into()));
        }
        (None, None) => return Err(settings(format!("set model to one of {}", names()))),
    };
    let meta = found.and_then(|found| found.meta.clone()).unwrap_or_default();
    let max_context = config.max_context.or(meta.n_ctx).or(found.and_then(|found| found.max_model_len));
    let root = found.and_then(|found| found.root.as_ref()).filter(|root| **root != model);
    let fingerprint = match (meta.n_params, meta.size, root) {
        (Some(parameters), Some(size), _) => format!(", {parameters} parameters in {size} bytes"),
        (_, _, Some(root)) => format!(", from {root}"),
        _ => String::new(),
    };
    Ok(Found { dialect, model, max_context, fingerprint })
}

/// How options are to be scored, where the server can; and how many alternatives it gives, where those are it.
pub(crate) async fn scoring(
    client: &Client,
    config: &ServerConfig,
    found: &Found,
) -> Result<(Scoring, usize), ServerError> {
    let settings = |reason: String| ServerError::Settings { server: client.server(), reason };
    let fits = match config.scoring {
        Scoring::PromptLogprobs => found.dialect == Dialect::Vllm,
        Scoring::ForcedTokens => found.dialect == Dialect::LlamaCpp,
        _ => true,
    };
    if !fits {
        return Err(settings(format!(
            "scoring = {:?} does not work with this server ({}): take \"auto\"",
            config.scoring,
            found.dialect.name()
        )));
    }
    match (config.scoring, found.dialect) {
        (Scoring::Auto, Dialect::LlamaCpp) => Ok((Scoring::ForcedTokens, 0)),
        (Scoring::Auto, Dialect::Vllm) => Ok((Scoring::PromptLogprobs, 0)),
        (Scoring::Auto | Scoring::TopLogprobs, _) => {
            for alternatives in ALTERNATIVES {
                if gives(client, found, alternatives).await? {
                    return Ok((Scoring::TopLogprobs, alternatives));
                }
            }
            match config.scoring {
                Scoring::Auto => Ok((Scoring::Never, 0)),
                _ => Err(settings("scoring = \"top_logprobs\", but the server gives none".into())),
            }
        }
        (scoring, _) => Ok((scoring, 0)),
    }
}

/// Whether so many alternatives come with a token.
async fn gives(client: &Client, found: &Found, alternatives: usize) -> Result<bool, ServerError> {
    let body = json!({
        "model": found.model,
        "messages": [{"role": "user", "content": "Say A or B."}],
        "max_tokens": 1,
        "logprobs": true,
        "top_logprobs": alternatives,
    });
    let has = |body: &serde_json::Value| {
        let chat: wire::Chat = wire::read(body)?;
        let content = wire::only(chat.choices)?.logprobs.and_then(|logprobs| logprobs.content);
        Ok(content.is_some_and(|content| content.iter().any(|one| !one.top_logprobs.is_empty())))
    };
    match client.post("chat/completions", &body, has).await {
        Err(ServerError::Refused { status: 400 | 403 | 404 | 422, .. }) => Ok(false),
        other => other,
    }
}
