use semievol_confidence::ConfidenceError;
use semievol_model::ModelError;
use semievol_retrieval::RetrievalError;
use semievol_select::SelectError;
use semievol_train::TrainError;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a run stopped. What was written up to then stays, and the next run goes on from it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// Data, task, method and models do not go together; found before anything is computed.
    #[error("{0}")]
    Assembly(String),
    /// A model failed.
    #[error("{stage}: {source}")]
    Model {
        /// What was being done.
        stage: String,
        /// Why.
        source: Box<ModelError>,
    },
    /// There is no adapter.
    #[error("{stage}: {source}{about}")]
    Train {
        /// What was being trained.
        stage: String,
        /// Why.
        source: Box<TrainError>,
        /// The sample it is about; empty for none.
        about: String,
    },
    /// Neighbours could not be found.
    #[error("{stage}: {source}")]
    Retrieval {
        /// What was being done.
        stage: String,
        /// Why.
        source: RetrievalError,
    },
    /// A confidence could not be computed.
    #[error("{stage}: {source}")]
    Confidence {
        /// What was being done.
        stage: String,
        /// Why.
        source: ConfidenceError,
    },
    /// A dispute could not be decided, or pseudo-labels not be chosen.
    #[error("{stage}: {source}")]
    Select {
        /// What was being done.
        stage: String,
        /// Why.
        source: SelectError,
    },
    /// A file of the run folder.
    #[error("{}: {source}{}", path.display(), remedy(source))]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl PipelineError {
    pub(crate) fn file(path: &Path, source: std::io::Error) -> Self {
        PipelineError::File { path: path.to_owned(), source }
    }

    pub(crate) fn model(stage: &str) -> impl Fn(ModelError) -> Self + '_ {
        move |source| PipelineError::Model { stage: stage.to_owned(), source: source.into() }
    }
}

/// What may help against a file that cannot be read or written.
fn remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "; make room, and the same command goes on where this one stopped"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; give a folder that can be written to, or the rights to it"
        }
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "; a file stands where a folder has to be: move it, or name another folder"
        }
        _ => "",
    }
}
