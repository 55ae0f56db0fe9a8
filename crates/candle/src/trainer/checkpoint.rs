//! A training's state in one file, replaced whole: parameters, optimiser, and the steps so far. The place in
//! the data is the number of steps, because batches are a function of it.

use crate::backward::Sequence;
use crate::lora::Lora;
use crate::model::BaseModel;
use crate::optim::AdamW;
use crate::{EngineError, tensor_file};
use semievol_core::hex;
use semievol_train::{Step, TrainJob};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;

const FILE: &str = "checkpoint.safetensors";
/// Counted up when the file's meaning changes: an older file is then another job's.
const VERSION: u32 = 1;

/// Everything that decides the result of a training. A checkpoint with another key is not continued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JobKey(String);

impl JobKey {
    pub fn of(base: &BaseModel, job: &TrainJob<'_>, sequences: &[Vec<Sequence>]) -> Self {
        let mut hasher = Sha256::new();
        // How often it is saved changes nothing.
        let recipe = semievol_train::Recipe { checkpoint_every: 0, ..job.recipe.clone() };
        hasher.update(json!([VERSION, base.id, recipe, job.seed]).to_string());
        job.from.iter().for_each(|adapter| hasher.update(&adapter.digest));
        // How many responses each example has decides which are learnt together.
        if sequences.iter().any(|responses| responses.len() > 1) {
            sequences.iter().for_each(|responses| hasher.update((responses.len() as u64).to_le_bytes()));
        }
        for sequence in sequences.iter().flatten() {
            hasher.update((sequence.tokens.len() as u64).to_le_bytes());
            hasher.update((sequence.n_prompt as u64).to_le_bytes());
            hasher.update(sequence.weight.to_le_bytes());
            sequence.tokens.iter().for_each(|token| hasher.update(token.to_le_bytes()));
        }
        JobKey(hex(&hasher.finalize()))
    }
}

/// Parameters, optimiser and progress.
pub(super) struct Checkpoint {
    pub lora: Lora,
    pub optimizer: AdamW,
    pub steps: Vec<Step>,
}

impl Checkpoint {
    pub fn write(&self, folder: &Path, key: &JobKey) -> Result<(), EngineError> {
        std::fs::create_dir_all(folder).map_err(|error| {
            EngineError::file_source(folder, format!("cannot be created: {error}"), error)
        })?;
        let tensors = [
            ("values", &self.lora.values),
            ("first", &self.optimizer.first),
            ("second", &self.optimizer.second),
        ];
        let tensors = tensors.map(|(name, values)| (name.to_owned(), vec![values.len()], &values[..]));
        let state = json!({ "key": key.0, "steps": self.steps }).to_string();
        tensor_file::write_f32(&folder.join(FILE), tensors, HashMap::from([("state".to_owned(), state)]))
    }

    /// The state to continue from: the folder's checkpoint if it is of this job, else `fresh`.
    ///
    /// # Errors
    /// A broken file of this name is an error rather than a silent start from the beginning.
    pub fn read(folder: &Path, key: &JobKey, fresh: impl FnOnce() -> Self) -> Result<Self, EngineError> {
        let path = folder.join(FILE);
        let mut state = fresh();
        if !path.exists() {
            return Ok(state);
        }
        let bytes = tensor_file::read(&path)?;
        let broken = |what: &str| EngineError::file(&path, format!("{what}: remove the file to start again"));
        let (_, header) =
            safetensors::SafeTensors::read_metadata(&bytes).map_err(|e| broken(&e.to_string()))?;
        let text =
            header.metadata().as_ref().and_then(|m| m.get("state")).ok_or_else(|| broken("no state"))?;
        let saved: Saved = serde_json::from_str(text).map_err(|e| broken(&e.to_string()))?;
        if saved.key != key.0 {
            return Ok(state);
        }
        let file = tensor_file::parse(&path, &bytes)?;
        for (name, values) in [
            ("values", &mut state.lora.values),
            ("first", &mut state.optimizer.first),
            ("second", &mut state.optimizer.second),
        ] {
            let read = file.tensor(name).ok().and_then(|tensor| tensor_file::to_f32(&tensor));
            let read = read.filter(|read| read.len() == values.len());
            *values = read.ok_or_else(|| broken(&format!("`{name}` is missing or of another length")))?;
        }
        state.optimizer.steps = saved.steps.len();
        state.steps = saved.steps;
        Ok(state)
    }
}

#[derive(serde::Deserialize)]
struct Saved {
    key: String,
    steps: Vec<Step>,
}

pub(super) fn exists(folder: &Path) -> bool {
    folder.join(FILE).exists()
}

pub(super) fn remove(folder: &Path) -> Result<(), EngineError> {
    let path = folder.join(FILE);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(EngineError::file_source(&path, format!("cannot be removed: {error}"), error))
        }
        _ => Ok(()),
    }
}
