use semievol_model::ModelError;
use std::path::Path;
use thiserror::Error;

/// What retrieval can fail with.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RetrievalError {
    /// A vector of another width.
    #[error(
        "{what} has {found} values, but the index holds vectors of {expected}: embed both with one model"
    )]
    Dimension {
        /// `query`, or `vector 7`.
        what: String,
        /// Its width.
        found: usize,
        /// The index's width.
        expected: usize,
    },
    /// A value that no distance is defined for.
    #[error("{what} holds {value} at position {position}: vectors are finite; check the embedding model")]
    NotFinite {
        /// `query`, or `vector 7`.
        what: String,
        /// Where in the vector.
        position: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// A setting that makes no index.
    #[error("{setting} is {value}, but must be {expected}")]
    Setting {
        /// Which.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A retriever that compares embeddings, without a model that makes them.
    #[error(
        "kind = \"{kind}\" compares embeddings, but no embedder was given: name one, or set kind = \"bm25\""
    )]
    EmbedderNeeded {
        /// As in a configuration file.
        kind: &'static str,
    },
    /// A stored index that cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it, and what to do.
        reason: String,
        /// The error behind it.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// An index or a retriever of another kind failed: a vector database, a search engine.
    #[error("{retriever}: {reason}")]
    Backend {
        /// Which.
        retriever: String,
        /// What happened, and what to do.
        reason: String,
        /// The error behind it.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A text could not be embedded.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl RetrievalError {
    pub(crate) fn file(path: &Path, reason: impl Into<String>) -> Self {
        RetrievalError::File { path: path.display().to_string(), reason: reason.into(), source: None }
    }

    pub(crate) fn file_source(
        path: &Path,
        reason: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        let (path, reason) = (path.display().to_string(), reason.into());
        RetrievalError::File { path, reason, source: Some(Box::new(source)) }
    }
}
