use std::path::PathBuf;
use thiserror::Error;

/// What loading a model or running the engine can fail with.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The model's shape makes no sense or is not supported.
    #[error("model configuration: {reason}")]
    Config {
        /// Which field, which value, what would be right.
        reason: String,
    },
    /// A file is missing, broken or of another kind.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and what would be right.
        reason: String,
        /// The error behind it.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The tokenizer or the chat template.
    #[error("tokenizer: {reason}")]
    Tokenizer {
        /// What is wrong.
        reason: String,
    },
    /// An adapter that does not fit the model.
    #[error("adapter: {reason}")]
    Adapter {
        /// Which tensor or field, which two shapes or names disagree.
        reason: String,
    },
    /// candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl EngineError {
    /// A [`EngineError::File`] without an error behind it.
    pub fn file(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        EngineError::File { path: path.into(), reason: reason.into(), source: None }
    }

    /// A [`EngineError::File`] with the error behind it.
    pub fn file_source(
        path: impl Into<PathBuf>,
        reason: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        EngineError::File { path: path.into(), reason: reason.into(), source: Some(source.into()) }
    }
}
