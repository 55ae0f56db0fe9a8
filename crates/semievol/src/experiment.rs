//! An experiment whose settings make sense.

use crate::config::{ConfigError, ExperimentConfig, Origin};
use crate::{Arm, RunError};
use semievol_hub::Source;
use semievol_openai::{BatchConfig, ServerConfig};
use semievol_pipeline::{Method, MethodConfig};
use std::path::Path;

/// A checked experiment: made by [`ExperimentConfig::check`] or [`Experiment::read`].
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    config: ExperimentConfig,
    origin: Origin,
}

impl Experiment {
    pub(crate) fn new(config: ExperimentConfig, origin: Origin) -> Self {
        Experiment { config, origin }
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// Names the file, the key, its value and what would be right.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file);
        let text = text.map_err(|source| ConfigError::Io { file: file.to_owned(), source })?;
        ExperimentConfig::parse(&text, file)?.check(file)
    }

    /// What it was made from.
    pub fn config(&self) -> &ExperimentConfig {
        &self.config
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The parts of the file's method. Put one of your own in the place of another and hand them to
    /// [`Experiment::run_with`].
    ///
    /// # Errors
    /// If its settings make no sense; never for an experiment that was checked.
    pub fn method(&self) -> Result<Method, RunError> {
        Ok(self.config.method.build()?)
    }

    /// Where the embedding model comes from, if any arm needs one and no server has it.
    pub fn embedder(&self) -> Option<&Source> {
        (self.needs_embedder() && self.config.embedding_server.is_none()).then_some(&self.config.embedder)
    }

    /// The server that embeds, if any arm needs one and one is named.
    pub fn embedding_server(&self) -> Option<&ServerConfig> {
        self.config
            .embedding_server
            .as_ref()
            .filter(|_| self.needs_embedder())
            .map(|name| &self.config.servers[name])
    }

    /// The servers that collaborators of some arm ask, by name.
    pub fn servers(&self) -> impl Iterator<Item = (&String, &ServerConfig)> {
        self.config.servers.iter().filter(|(name, _)| self.asks(name))
    }

    /// The batches that collaborators of some arm ask, by name.
    pub fn batches(&self) -> impl Iterator<Item = (&String, &BatchConfig)> {
        self.config.batches.iter().filter(|(name, _)| self.asks(name))
    }

    fn asks(&self, model: &str) -> bool {
        self.methods().flat_map(|method| &method.collaborators).any(|one| one.model() == Some(model))
    }

    /// The methods of its arms.
    pub fn methods(&self) -> impl Iterator<Item = &MethodConfig> {
        self.config.arms.iter().filter_map(|arm| match arm {
            Arm::Semievol => Some(&self.config.method),
            Arm::Variant(name) => self.config.methods.get(name),
            _ => None,
        })
    }

    fn needs_embedder(&self) -> bool {
        let needs = |arm: &Arm| match arm {
            Arm::InContext => self.config.method.retrieval.needs_embedder(),
            arm => *arm == Arm::Classifier,
        };
        self.config.arms.iter().any(needs) || self.methods().any(MethodConfig::needs_embedder)
    }
}
