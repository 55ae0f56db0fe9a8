use semievol_data::{DataError, SplitError};
use semievol_eval::EvalError;
use semievol_hub::HubError;
use semievol_model::ModelError;
use semievol_train::TrainError;
use std::path::PathBuf;
use thiserror::Error;

/// Why an experiment stopped. What was written up to then stays.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The model or a data file cannot be had.
    #[error("{key}: {source}{hint}")]
    Fetch {
        /// The key of the configuration that names it.
        key: &'static str,
        /// Why.
        source: Box<HubError>,
        /// What may help besides; empty for nothing.
        hint: &'static str,
    },
    /// A data file cannot be understood.
    #[error("{key}: {source}")]
    Data {
        /// The key of the configuration that names it.
        key: &'static str,
        /// Where and why.
        source: Box<DataError>,
    },
    /// The rows asked for cannot be drawn.
    #[error("seed {seed}: {key}: {source}")]
    Split {
        /// The seed.
        seed: u64,
        /// The key of the configuration that asks for them.
        key: &'static str,
        /// Which, and how many there are.
        source: Box<SplitError>,
    },
    /// Data, task and model do not go together; found before anything is computed.
    #[error("{0}")]
    Assembly(String),
    /// The model failed.
    #[error("seed {seed}, {arm}: {source}")]
    Model {
        /// The seed.
        seed: u64,
        /// What was being run.
        arm: &'static str,
        /// Why.
        source: Box<ModelError>,
    },
    /// A model cannot be loaded.
    #[error("model: {reason}")]
    Load {
        /// What and why.
        reason: String,
        /// The error behind it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no adapter.
    #[error("seed {seed}, sft: {source}{about}")]
    Train {
        /// The seed.
        seed: u64,
        /// Why.
        source: Box<TrainError>,
        /// The sample it is about; empty for none.
        about: String,
    },
    /// The results cannot be graded.
    #[error("seed {seed}: {source}")]
    Eval {
        /// The seed.
        seed: u64,
        /// Why.
        source: Box<EvalError>,
    },
    /// A file of the results.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
