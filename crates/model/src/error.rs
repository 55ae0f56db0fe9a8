use crate::ModelId;
use thiserror::Error;

/// What a model can fail with. Names the values involved, so that the message alone says what to change.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A prompt with its answer does not fit.
    #[error(
        "request {index} needs {needed} tokens but {model} holds {limit}: shorten the prompt, show fewer examples, or allow fewer new tokens"
    )]
    ContextExceeded {
        /// Position of the request in the slice that was passed.
        index: usize,
        /// Tokens of the prompt and of what is to be generated or scored.
        needed: usize,
        /// The model's context length.
        limit: usize,
        /// The model.
        model: ModelId,
    },
    /// The backend cannot do this at all; asked while planning, not in the middle of a run.
    #[error("{model} does not support {what}")]
    Unsupported {
        /// The model.
        model: ModelId,
        /// What was asked of it.
        what: &'static str,
    },
    /// A request that makes no sense: no continuation, a temperature below zero, no message.
    #[error("request {index}: {reason}")]
    InvalidRequest {
        /// Position of the request in the slice that was passed.
        index: usize,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A server refuses this request, and would again; others may go on.
    #[error("request {index}: {model}: {reason}")]
    Refused {
        /// Position of the request in the slice that was passed.
        index: usize,
        /// The model.
        model: ModelId,
        /// What it said.
        reason: String,
    },
    /// The engine or the server failed.
    #[error("{model}: {reason}")]
    Backend {
        /// The model.
        model: ModelId,
        /// What happened.
        reason: String,
        /// The error behind it.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl ModelError {
    /// Why a prompt has no answer, where that is about this prompt alone and others may go on; else the error. Not in the
    /// error's own words, which name the request's place in the call: that must not show in what is kept.
    ///
    /// # Errors
    /// Any other.
    pub fn of_one_prompt(self) -> Result<String, ModelError> {
        match self {
            ModelError::ContextExceeded { needed, limit, model, .. } => {
                Ok(format!("the prompt needs {needed} tokens but {model} holds {limit}"))
            }
            ModelError::Refused { reason, .. } => Ok(reason),
            error => Err(error),
        }
    }
}
