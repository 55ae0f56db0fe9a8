//! A model behind a server.

use crate::client::Client;
use crate::config::{LoraScale, Price, Scoring, ServerConfig};
use crate::dialect::{Dialect, discover, scoring};
use crate::error::ServerError;
use crate::tokens::Tokens;
use futures_util::future::BoxFuture;
use semievol_core::Seed;
use semievol_model::{
    Capabilities, GenerateRequest, Generation, LanguageModel, ModelError, ModelId, OnDone, ScoreRequest,
    Scores, Work,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// A [`LanguageModel`] behind a server that speaks the OpenAI protocol.
///
/// On llama.cpp and vLLM prompts are rendered and tokenised by the server and sent as token ids, so that options are
/// scored exactly. Other servers get the chat; they score by the most probable first tokens, or not at all
/// ([`Capabilities::scores`] says so).
///
/// No server repeats itself to the bit, so [`Capabilities::repeatable`] is false: what was answered once is kept.
#[derive(Clone)]
pub struct ServedModel {
    asker: Arc<Asker>,
}

/// What every request needs.
pub(crate) struct Asker {
    pub client: Arc<Client>,
    pub dialect: Dialect,
    pub model: String,
    pub scoring: Scoring,
    /// Alternatives that come with a token, where options are scored by them.
    pub alternatives: usize,
    pub lora: Vec<LoraScale>,
    /// Where prompts can be sent as token ids.
    pub tokens: Option<Tokens>,
    pub max_context: Option<usize>,
    pub price: Option<Price>,
    pub id: ModelId,
}

impl std::fmt::Debug for ServedModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServedModel").field("id", &self.asker.id).finish_non_exhaustive()
    }
}

impl ServedModel {
    /// Finds out what the server has and can.
    ///
    /// # Errors
    /// If a setting makes no sense, the key is missing, the server cannot be reached or has no such model.
    pub fn connect(config: &ServerConfig) -> Result<Self, ServerError> {
        let client = Arc::new(Client::new(config)?);
        let (asking, config) = (client.clone(), config.clone());
        let asker = client.wait(async move { Asker::new(asking, &config).await })?;
        Ok(ServedModel { asker: Arc::new(asker) })
    }

    /// Requests that were sent and tokens that the server counted, this model's and what was asked about it.
    pub fn spent(&self) -> (u64, u64) {
        self.asker.client.spent()
    }

    /// Asks each request that makes sense; a request that the server refuses fails alone.
    fn each<R: Clone + Send + Sync + 'static, T: Send + 'static>(
        &self,
        requests: &[R],
        check: impl Fn(&R, usize) -> Result<(), ModelError>,
        ask: impl Fn(Arc<Asker>, R) -> BoxFuture<'static, Result<T, Refusal>> + Send + 'static,
        on_done: OnDone<'_, T>,
    ) -> Result<(), ModelError> {
        let mut good = Vec::with_capacity(requests.len());
        for (index, request) in requests.iter().enumerate() {
            match check(request, index) {
                Ok(()) => good.push((index, request.clone())),
                Err(error) => {
                    if on_done(index, Err(error)).is_break() {
                        return Ok(());
                    }
                }
            }
        }
        let (asker, indices) = (self.asker.clone(), good.iter().map(|(index, _)| *index).collect::<Vec<_>>());
        let job = move |at: usize| -> BoxFuture<'static, Result<Result<T, Refusal>, ServerError>> {
            let future = ask(asker.clone(), good[at].1.clone());
            Box::pin(async move {
                match future.await {
                    Err(Refusal::Server(error)) => Err(error),
                    other => Ok(other),
                }
            })
        };
        let n = indices.len();
        let id = &self.asker.id;
        let mut pass = |at: usize, result: Result<T, Refusal>| {
            let index = indices[at];
            on_done(index, result.map_err(|refusal| refusal.of(index, id)))
        };
        self.asker.client.each(n, job, &mut pass).map_err(|error| error.of(id))
    }
}

/// Why one request has no answer.
pub(crate) enum Refusal {
    TooLong {
        needed: usize,
        limit: usize,
    },
    Unsupported,
    /// This request has no answer, and would have none another time.
    Refused(String),
    Server(ServerError),
}

impl From<ServerError> for Refusal {
    fn from(error: ServerError) -> Self {
        match error.is_of_one_request() {
            true => Refusal::Refused(error.to_string()),
            false => Refusal::Server(error),
        }
    }
}

impl Refusal {
    fn of(self, index: usize, model: &ModelId) -> ModelError {
        let model = model.clone();
        match self {
            Refusal::TooLong { needed, limit } => ModelError::ContextExceeded { index, needed, limit, model },
            Refusal::Unsupported => ModelError::Unsupported { model, what: "scoring" },
            Refusal::Refused(reason) => ModelError::Refused { index, model, reason },
            Refusal::Server(error) => error.of(&model),
        }
    }
}

impl Asker {
    async fn new(client: Arc<Client>, config: &ServerConfig) -> Result<Self, ServerError> {
        let mut found = discover(&client, config).await?;
        if !config.lora.is_empty() && found.dialect != Dialect::LlamaCpp {
            return Err(ServerError::Settings {
                server: client.server(),
                reason: format!(
                    "lora is llama.cpp's, and this is {}: there an adapter has a name of its own, set model to it",
                    found.dialect.name()
                ),
            });
        }
        let tokens = match found.dialect.has_tokens() {
            true => match Tokens::new(client.clone(), found.dialect, found.model.clone()).await {
                Ok(tokens) => Some(tokens),
                // A gateway in front may let the protocol through and nothing else.
                Err(ServerError::Refused { status: 404 | 405, .. }) => {
                    found.dialect = Dialect::Other;
                    None
                }
                Err(error) => return Err(error),
            },
            false => None,
        };
        let (scoring, alternatives) = scoring(&client, config, &found).await?;
        let lora: String =
            config.lora.iter().map(|lora| format!(", lora {} x {}", lora.id, lora.scale)).collect();
        // The others agree but for rounding.
        let by = if scoring == Scoring::TopLogprobs { ", by first tokens" } else { "" };
        let id = format!("{}{lora}{by}", found.name());
        Ok(Asker {
            client,
            dialect: found.dialect,
            model: found.model,
            scoring,
            alternatives,
            lora: config.lora.clone(),
            tokens,
            max_context: found.max_context,
            price: config.price,
            id: ModelId::new(id),
        })
    }

    /// What every request for this model says.
    pub fn body(&self) -> Value {
        let mut body = json!({"model": self.model});
        if !self.lora.is_empty() {
            body["lora"] = self.lora.iter().map(|lora| json!({"id": lora.id, "scale": lora.scale})).collect();
        }
        body
    }

    /// Four characters are a token, roughly, of English; prompts that begin alike may cost less than is said here, and what
    /// has to be tried again more.
    fn estimate(&self, work: &Work) -> String {
        const CHARACTERS: usize = 4;
        let each = work.characters.div_ceil(work.prompts.max(1)) / CHARACTERS + 1;
        let asked = match (work.continuations, self.scoring) {
            (0, _) => work.prompts,
            // Every token of an option is a request, and they have two with the end, or a little more.
            (continuations, Scoring::ForcedTokens) => 2 * continuations,
            (continuations, Scoring::PromptLogprobs) => continuations,
            _ => work.prompts,
        };
        // To render and to tokenise costs no tokens.
        let prepared = match self.dialect {
            Dialect::LlamaCpp => 2 * work.prompts,
            Dialect::Vllm => work.prompts,
            Dialect::Other => 0,
        };
        // Where options are known by their first tokens, an answer may have its prefix before them.
        let scored = match self.scoring {
            Scoring::TopLogprobs => 8 * asked,
            _ => asked,
        };
        let (input, output) = (asked * each, if work.continuations > 0 { scored } else { work.new_tokens });
        let cost = self.price.map(|price| {
            let cost = (input as f64 * price.input + output as f64 * price.output) / 1e6;
            format!(", at a price of about {cost:.2}")
        });
        format!(
            "about {} requests to {}, about {input} tokens there and at most about {output} back{}",
            asked + prepared,
            self.client.server(),
            cost.unwrap_or_default()
        )
    }

    pub fn fits(&self, needed: usize) -> Result<(), Refusal> {
        match self.max_context.filter(|limit| needed > *limit) {
            Some(limit) => Err(Refusal::TooLong { needed, limit }),
            None => Ok(()),
        }
    }
}

impl LanguageModel for ServedModel {
    fn id(&self) -> &ModelId {
        &self.asker.id
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            max_context: self.asker.max_context.unwrap_or(usize::MAX),
            scores: self.asker.scoring != Scoring::Never,
            seeded: self.asker.dialect.has_tokens(),
            batch_invariant: false,
            repeatable: false,
        }
    }

    fn estimate(&self, work: &Work) -> Option<String> {
        Some(self.asker.estimate(work))
    }

    fn generate_each(
        &self,
        requests: &[GenerateRequest],
        on_done: OnDone<'_, Generation>,
    ) -> Result<(), ModelError> {
        let ask = |asker: Arc<Asker>, request: GenerateRequest| -> BoxFuture<'static, _> {
            Box::pin(async move { asker.generate(&request).await })
        };
        self.each(requests, GenerateRequest::check, ask, on_done)
    }

    fn score_each(&self, requests: &[ScoreRequest], on_done: OnDone<'_, Scores>) -> Result<(), ModelError> {
        if self.asker.scoring == Scoring::Never {
            return Err(ModelError::Unsupported { model: self.asker.id.clone(), what: "scoring" });
        }
        let ask = |asker: Arc<Asker>, request: ScoreRequest| -> BoxFuture<'static, _> {
            Box::pin(async move { asker.score(&request).await })
        };
        self.each(requests, ScoreRequest::check, ask, on_done)
    }
}

/// A seed as all servers take it, of 31 bits; small seeds differ, too.
pub(crate) fn seed(seed: Seed) -> u64 {
    seed.child("served", 0).0 >> 33
}
