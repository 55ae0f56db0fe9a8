use semievol_data::{DataError, SplitError};
use semievol_eval::EvalError;
use semievol_hub::HubError;
use semievol_pipeline::PipelineError;
use thiserror::Error;

/// Why an experiment stopped. What was written up to then stays, and the next run goes on from it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// A model or a data file cannot be had.
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
    /// Data, task, method and models do not go together; found before anything is computed.
    #[error("{0}")]
    Assembly(String),
    /// A model cannot be loaded.
    #[error("{key}: {reason}")]
    Load {
        /// The key of the configuration that names it.
        key: &'static str,
        /// What and why.
        reason: String,
        /// The error behind it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A stage of a seed.
    #[error("seed {seed}, {source}")]
    Stage {
        /// The seed.
        seed: u64,
        /// Which and why.
        source: Box<PipelineError>,
    },
    /// The results cannot be graded.
    #[error("seed {seed}: {source}")]
    Eval {
        /// The seed.
        seed: u64,
        /// Why.
        source: Box<EvalError>,
    },
    /// A file of the results, or parts that make no method.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The page of results cannot be made.
    #[error(transparent)]
    Report(#[from] semievol_report::ReportError),
}

impl RunError {
    pub(crate) fn load(key: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        RunError::Load { key, reason: source.to_string(), source: Box::new(source) }
    }

    pub(crate) fn stage(seed: u64) -> impl Fn(PipelineError) -> Self {
        move |source| match source {
            PipelineError::Assembly(what) => RunError::Assembly(what),
            source => RunError::Stage { seed, source: source.into() },
        }
    }

    pub(crate) fn eval(seed: u64) -> impl Fn(EvalError) -> Self {
        move |source| RunError::Eval { seed, source: source.into() }
    }
}
