//! What a run is made with.

use semievol_model::{Embedder, LanguageModel, ModelId, ModelLoader};
use semievol_train::Trainer;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a run is made with. Loader and trainer start from the same base model.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// Gives the base model, alone or with an adapter.
    pub loader: &'a dyn ModelLoader,
    /// Makes the adapters.
    pub trainer: &'a dyn Trainer,
    /// Embeds prompts, for retrieval and classifiers; `None` where the method needs neither.
    pub embedder: Option<NamedEmbedder<'a>>,
    /// Further models that collaborators may name.
    pub models: &'a BTreeMap<String, Arc<dyn LanguageModel>>,
}

impl std::fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("trainer", &self.trainer.id())
            .field("embedder", &self.embedder)
            .field("models", &self.models.keys())
            .finish_non_exhaustive()
    }
}

static NO_MODELS: BTreeMap<String, Arc<dyn LanguageModel>> = BTreeMap::new();

impl<'a> Parts<'a> {
    /// A model with its trainer, and nothing else.
    pub fn new(loader: &'a dyn ModelLoader, trainer: &'a dyn Trainer) -> Self {
        Parts { loader, trainer, embedder: None, models: &NO_MODELS }
    }

    /// The same with an embedder; `id` names its weights.
    pub fn with_embedder(self, id: &'a ModelId, embedder: &'a dyn Embedder) -> Self {
        Parts { embedder: Some(NamedEmbedder { id, embedder }), ..self }
    }

    /// The same with further models that collaborators may name.
    pub fn with_models(self, models: &'a BTreeMap<String, Arc<dyn LanguageModel>>) -> Self {
        Parts { models, ..self }
    }
}

/// An embedder with the name of its weights.
#[derive(Clone, Copy)]
pub struct NamedEmbedder<'a> {
    /// Part of the key under which vectors are kept.
    pub id: &'a ModelId,
    /// Makes the vectors.
    pub embedder: &'a dyn Embedder,
}

impl std::fmt::Debug for NamedEmbedder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NamedEmbedder").field("id", &self.id).finish_non_exhaustive()
    }
}
