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
    /// The judge failed.
    #[error(transparent)]
    Model(#[from] ModelError),
}
