use semievol_model::{ModelError, ModelId};
use std::time::Duration;
use thiserror::Error;

/// What a server can fail with. No message holds a key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A setting makes no sense, or a key is missing.
    #[error("{server}: {reason}")]
    Settings {
        /// Its address.
        server: String,
        /// Which, and what would be right.
        reason: String,
    },
    /// Every attempt failed.
    #[error(
        "{server}: {attempts} attempts failed, the last one with: {last}; is it running at this address? What was answered is kept, and the same command goes on"
    )]
    GaveUp {
        /// Its address.
        server: String,
        /// How often it was tried.
        attempts: usize,
        /// The last failure.
        last: String,
    },
    /// The server is too busy for longer than is waited.
    #[error(
        "{server} is too busy ({last}); the next wait would be {} s, longer than patience_seconds allows: run again later, nothing that was answered is asked again",
        wait.as_secs()
    )]
    Busy {
        /// Its address.
        server: String,
        /// The next wait.
        wait: Duration,
        /// What it said.
        last: String,
    },
    /// The server refused a request, and would again.
    #[error("{server} refused with status {status}: {said}")]
    Refused {
        /// Its address.
        server: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        said: String,
    },
    /// No more may be spent.
    #[error(
        "{server}: the budget of {limit} {what} is spent: run again to spend as much again, or raise budget.{what}; what this stage has had answered is not asked again as long as nothing before it changes"
    )]
    Spent {
        /// Its address.
        server: String,
        /// Requests or tokens.
        what: &'static str,
        /// How many.
        limit: u64,
    },
}

/// Whether a server that answers with this status means the request and nothing else.
pub(crate) fn is_of_one_request(status: u16) -> bool {
    matches!(status, 400 | 413 | 422)
}

impl ServerError {
    /// Whether only this request is at fault, and others may go on.
    pub(crate) fn is_of_one_request(&self) -> bool {
        matches!(self, ServerError::Refused { status, .. } if is_of_one_request(*status))
    }

    pub(crate) fn of(self, model: &ModelId) -> ModelError {
        ModelError::Backend { model: model.clone(), reason: self.to_string(), source: None }
    }
}
