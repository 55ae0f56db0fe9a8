//! The engine of this process as the parts of an experiment.

use crate::{Event, Experiment, Parts, RunError};
use semievol_candle::{BaseModel, CandleTrainer, load_model};
use semievol_hub::Hub;
use std::path::Path;

/// A base model with the trainer for it.
#[derive(Debug, Clone)]
pub struct Engine {
    base: BaseModel,
    trainer: CandleTrainer,
}

impl Engine {
    /// Fetches and loads the model that an experiment names.
    ///
    /// # Errors
    /// If it cannot be fetched, or is no model that this engine runs.
    pub fn open(
        experiment: &Experiment,
        hub: &Hub,
        events: &mut dyn FnMut(&Event),
    ) -> Result<Self, RunError> {
        let source = &experiment.config().model;
        let what = source.to_string();
        let mut on =
            |progress: &_| events(&Event::Fetching { what: what.clone(), progress: Clone::clone(progress) });
        let fetched = hub.fetch(source, &mut on);
        let fetched =
            fetched.map_err(|source| RunError::Fetch { key: "model", source: source.into(), hint: "" })?;
        events(&Event::Loading { path: fetched.path.clone() });
        Self::load(&fetched.path)
    }

    /// Loads a GGUF file or a Hugging Face folder.
    ///
    /// # Errors
    /// If it is no model that this engine runs.
    pub fn load(path: &Path) -> Result<Self, RunError> {
        let loaded = load_model(path).and_then(BaseModel::new);
        let base =
            loaded.map_err(|error| RunError::Load { reason: error.to_string(), source: Box::new(error) })?;
        Ok(Engine { trainer: CandleTrainer::new(base.clone()), base })
    }

    /// The parts of an experiment.
    pub fn parts(&self) -> Parts<'_> {
        Parts { loader: &self.base, trainer: &self.trainer }
    }
}
