//! The engine of this process as the parts of an experiment.

use crate::{EngineConfig, Event, Experiment, RunError};
use semievol_candle::bert::BertEmbedder;
use semievol_candle::{BaseModel, CandleTrainer, load_model_as};
use semievol_handoff::CommandTrainer;
use semievol_hub::{Hub, Source};
use semievol_model::{Embedder, LanguageModel, ModelId};
use semievol_openai::{BatchFiles, ServedEmbedder, ServedModel};
use semievol_pipeline::Parts;
use semievol_train::Trainer;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A base model with the trainer for it, and an embedder where one is needed.
pub struct Engine {
    base: BaseModel,
    trainer: Box<dyn Trainer>,
    embedder: Option<(ModelId, Box<dyn Embedder>)>,
    models: BTreeMap<String, Arc<dyn LanguageModel>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("base", &self.base.id)
            .field("trainer", &self.trainer.id())
            .field("embedder", &self.embedder.as_ref().map(|(id, _)| id))
            .field("models", &self.models.keys())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Fetches and loads the models that an experiment names.
    ///
    /// # Errors
    /// If one cannot be fetched, or is no model that this engine runs.
    pub fn open(
        experiment: &Experiment,
        hub: &Hub,
        events: &mut dyn FnMut(&Event),
    ) -> Result<Self, RunError> {
        let embedder =
            experiment.embedder().map(|source| fetch("embedder", source, "", hub, events)).transpose()?;
        let mut engine = Self::open_base(experiment, hub, events)?;
        if let Some(elsewhere) = &experiment.config().elsewhere {
            engine.trainer = Box::new(CommandTrainer::new(elsewhere.clone(), engine.base.id.clone()));
        }
        for (name, server) in experiment.servers() {
            let model = ServedModel::connect(server).map_err(|error| RunError::load("servers", error))?;
            engine = engine.with_model(name, Arc::new(model));
        }
        for (name, batch) in experiment.batches() {
            engine = engine.with_model(name, Arc::new(BatchFiles::new(batch.clone())));
        }
        if let Some(server) = experiment.embedding_server() {
            let failed = |error| RunError::load("embedding_server", error);
            let embedder = ServedEmbedder::connect(server).map_err(failed)?;
            engine.embedder = Some((embedder.id().clone(), Box::new(embedder)));
        }
        match embedder {
            Some(folder) => engine.with_embedder(&folder),
            None => Ok(engine),
        }
    }

    /// The same with the base model alone: for what neither embeds nor asks a server.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open_base(
        experiment: &Experiment,
        hub: &Hub,
        events: &mut dyn FnMut(&Event),
    ) -> Result<Self, RunError> {
        let model = fetch("model", &experiment.config().model, "", hub, events)?;
        events(&Event::Loading { path: model.clone() });
        Self::load_as(&model, experiment.config().engine)
    }

    /// Loads a GGUF file or a Hugging Face folder.
    ///
    /// # Errors
    /// If it is no model that this engine runs.
    pub fn load(path: &Path) -> Result<Self, RunError> {
        Self::load_as(path, EngineConfig::default())
    }

    /// [`Engine::load`] for models that do not fit into memory otherwise.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn load_as(path: &Path, config: EngineConfig) -> Result<Self, RunError> {
        let loaded = load_model_as(path, config.stored);
        let base = loaded.and_then(BaseModel::new).and_then(|base| match config.accelerator.open()? {
            Some(device) => base.on(&device),
            None => Ok(base),
        });
        let base = base.map_err(|error| RunError::load("model", error))?;
        let trainer = CandleTrainer::new(base.clone()).recompute(config.recompute);
        Ok(Engine { trainer: Box::new(trainer), base, embedder: None, models: BTreeMap::new() })
    }

    /// The same engine with an embedder from a folder in the layout of sentence-transformers.
    ///
    /// # Errors
    /// If it is no BERT that this engine runs.
    pub fn with_embedder(mut self, folder: &Path) -> Result<Self, RunError> {
        let embedder = BertEmbedder::load(folder).map_err(|error| RunError::load("embedder", error))?;
        self.embedder = Some((embedder.id().clone(), Box::new(embedder)));
        Ok(self)
    }

    /// The same engine with a further model that collaborators may name.
    pub fn with_model(mut self, name: impl Into<String>, model: Arc<dyn LanguageModel>) -> Self {
        self.models.insert(name.into(), model);
        self
    }

    /// The base model.
    pub fn base(&self) -> &BaseModel {
        &self.base
    }

    /// The parts of an experiment.
    pub fn parts(&self) -> Parts<'_> {
        let parts = Parts::new(&self.base, self.trainer.as_ref()).with_models(&self.models);
        match &self.embedder {
            Some((id, embedder)) => parts.with_embedder(id, embedder.as_ref()),
            None => parts,
        }
    }
}

/// The file or folder that a source names.
pub(crate) fn fetch(
    key: &'static str,
    source: &Source,
    hint: &'static str,
    hub: &Hub,
    events: &mut dyn FnMut(&Event),
) -> Result<PathBuf, RunError> {
    let what = source.to_string();
    let mut on =
        |progress: &_| events(&Event::Fetching { what: what.clone(), progress: Clone::clone(progress) });
    let fetched = hub.fetch(source, &mut on);
    Ok(fetched.map_err(|source| RunError::Fetch { key, source: source.into(), hint })?.path)
}
