use semievol_model::ModelError;
use thiserror::Error;

/// What adjudication and selection can fail with.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SelectError {
    /// A setting that makes no sense.
    #[error("{setting} is {value}, but must be {expected}")]
    Setting {
        /// Its key in the configuration.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// The pool or a dispute lacks what is needed.
    #[error("{part}: {reason}")]
    Unfit {
        /// The selector, adjudicator or classifier.
        part: &'static str,
        /// What is missing, where, and what to do.
        reason: String,
    },
    /// A part of another kind failed: a model behind a network, a program, a person.
    #[error("{part}: {reason}")]
    Backend {
        /// Which.
        part: String,
        /// What happened, and what to do.
        reason: String,
        /// The error behind it.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The judge failed.
    #[error(transparent)]
    Model(#[from] ModelError),
}
