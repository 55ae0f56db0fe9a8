//! Where a server is and how it may be used.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A model behind a server: a table `[servers.NAME]` of an experiment file.
///
/// ```
/// use semievol_openai::ServerConfig;
///
/// let config: ServerConfig = toml::from_str("url = 'http://127.0.0.1:8080/v1'").unwrap();
/// assert_eq!(config.concurrency, 16);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// The address up to and including `/v1`.
    pub url: String,
    /// The model's name there, which on vLLM is an adapter's, too; may be left out where the server has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Adapters that a llama.cpp server was started with, each with its scale: `[]` leaves them as the server has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lora: Vec<LoraScale>,
    /// The environment variable that holds the key; none is sent without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// How options are scored.
    #[serde(default)]
    pub scoring: Scoring,
    /// Tokens of prompt and response together, in the place of what the server says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_context: Option<usize>,
    /// Requests under way at once, at most; fewer while the server refuses some.
    #[serde(default = "concurrency")]
    pub concurrency: usize,
    /// Seconds until an attempt is given up, from connecting to the last byte.
    #[serde(default = "timeout")]
    pub timeout_seconds: f64,
    /// Attempts at one request, those not counted that the server was too busy for.
    #[serde(default = "attempts")]
    pub attempts: usize,
    /// How long a server may be too busy for one request, in seconds.
    #[serde(default = "patience")]
    pub patience_seconds: f64,
    /// What may be spent.
    #[serde(default)]
    pub budget: Budget,
    /// What a million tokens cost, for the estimate before a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

/// An adapter of a llama.cpp server (its field `lora`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraScale {
    /// Its position on the server's command line.
    pub id: usize,
    /// 1 applies it, 0 leaves it out.
    pub scale: f64,
}

/// How options are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Scoring {
    /// The first of the others that the server has.
    #[default]
    Auto,
    /// Exact: the prompt is sent back with the log-probability of each of its tokens (vLLM).
    PromptLogprobs,
    /// Exact: each token is forced by a bias, and its log-probability without it is read (llama.cpp).
    ForcedTokens,
    /// The first token of each option among the most probable ones (hosted servers): an option that is not there gets the
    /// least probability that is.
    TopLogprobs,
    /// Not at all: such a model can answer open questions alone.
    Never,
}

/// What may be spent in one run of the program; what is absent is not limited. When it is spent nothing more is asked; what
/// is under way then may still add to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Requests, repeated ones included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Tokens of prompts and responses, as the server counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

/// What a million tokens cost, in whatever money.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Of prompts.
    pub input: f64,
    /// Of responses.
    pub output: f64,
}

impl ServerConfig {
    /// A server at this address, everything else by default.
    pub fn new(url: impl Into<String>) -> Self {
        ServerConfig {
            url: url.into(),
            model: None,
            lora: Vec::new(),
            key_env: None,
            scoring: Scoring::Auto,
            max_context: None,
            concurrency: concurrency(),
            timeout_seconds: timeout(),
            attempts: attempts(),
            patience_seconds: patience(),
            budget: Budget::default(),
            price: None,
        }
    }

    /// Whether the settings make sense.
    ///
    /// # Errors
    /// Names the setting, its value and what would be right.
    pub fn check(&self) -> Result<(), String> {
        let shown = self.shown_url();
        let url = reqwest::Url::parse(&self.url).map_err(|error| {
            format!("url = {shown:?} ({error}), but must be whole, such as http://127.0.0.1:8080/v1")
        })?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(format!("url = {shown:?}, but must begin with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(
                "url holds a user, a password or a query, but keys belong into the environment: set key_env"
                    .into(),
            );
        }
        if self.concurrency == 0 || self.attempts == 0 {
            return Err("concurrency and attempts must be at least 1".into());
        }
        for (name, seconds) in
            [("timeout_seconds", self.timeout_seconds), ("patience_seconds", self.patience_seconds)]
        {
            // What a duration can hold, with room.
            if !(seconds > 0.0 && seconds < 1e9) {
                return Err(format!("{name} = {seconds}, but must be a number of seconds above 0"));
            }
        }
        Ok(())
    }

    /// The address without what may be a password.
    pub(crate) fn shown_url(&self) -> String {
        let ends = ['?', '#'];
        match self.url.rsplit_once('@') {
            None => self.url.split(ends).next().unwrap_or_default().to_owned(),
            Some((before, host)) => {
                let scheme = before.split_once("://").map(|(scheme, _)| scheme).unwrap_or_default();
                let host = host.split(ends).next().unwrap_or_default();
                // A password may have the signs that end an address, and a query the one that ends a password.
                let host = if before.contains(ends) { "" } else { host };
                format!("{scheme}://***@{host}")
            }
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout_seconds)
    }

    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.patience_seconds)
    }
}

fn concurrency() -> usize {
    16
}

fn timeout() -> f64 {
    120.0
}

fn attempts() -> usize {
    6
}

fn patience() -> f64 {
    120.0
}
