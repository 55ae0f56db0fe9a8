use crate::{LanguageModel, ModelError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Names a model in artefacts and messages.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelId(String);

impl ModelId {
    /// Any name; engines put the digest of the weights into it so that caches cannot mix models up.
    pub fn new(name: impl Into<String>) -> Self {
        ModelId(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A trained change to a base model: a manifest of files, so that a trainer in this process, in another
/// process or on another machine are interchangeable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapter {
    /// The model it was trained from.
    pub base: ModelId,
    /// Folder in PEFT's layout: `adapter_config.json`, `adapter_model.safetensors`.
    pub folder: PathBuf,
    /// SHA-256 of the adapter's weights file, in hexadecimal.
    pub digest: String,
}

impl Adapter {
    /// The name that PEFT gives the configuration.
    pub const CONFIG_FILE: &str = "adapter_config.json";
    /// The name that PEFT gives the weights.
    pub const WEIGHTS_FILE: &str = "adapter_model.safetensors";
}

/// Turns an adapter into the model of the next stage.
pub trait ModelLoader: Send + Sync {
    /// The base model, with the adapter's change if one is given. Models that answer differently have different
    /// ids: answers are kept and shared under them.
    ///
    /// # Errors
    /// If the adapter was trained from another base, or its files cannot be read.
    fn load(&self, adapter: Option<&Adapter>) -> Result<Arc<dyn LanguageModel>, ModelError>;
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: ModelLoader + ?Sized> ModelLoader for $pointer {
            fn load(&self, adapter: Option<&Adapter>) -> Result<Arc<dyn LanguageModel>, ModelError> {
                (**self).load(adapter)
            }
        }
    )*};
}

forward!(&T, Box<T>, Arc<T>);
