use semievol_core::Seed;
use semievol_core::hex;
use semievol_core::write_whole;
use semievol_model::ModelId;
use semievol_train::{Adapter, Schedule, Step, TrainError, TrainJob, Trainer};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

const CHECKPOINT: &str = "checkpoint.json";

/// A trainer whose adapter is a hash of everything it was shown, in order.
///
/// It learns nothing, and keeps every promise of [`Trainer`]: two adapters are equal exactly if the jobs were.
/// The files have the names and formats of PEFT; the only tensor, `hash`, has 32 bytes.
#[derive(Debug, Clone)]
pub struct HashingTrainer {
    base: ModelId,
}

/// What a stopped job leaves: the state after `steps` steps.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    job: String,
    steps: usize,
    state: Vec<u8>,
}

impl HashingTrainer {
    /// Pretends to start from the model of this name.
    pub fn new(base: ModelId) -> Self {
        HashingTrainer { base }
    }

    fn finish(&self, job: &TrainJob<'_>, state: &[u8]) -> Result<Adapter, TrainError> {
        let header =
            format!(r#"{{"hash":{{"dtype":"U8","shape":[{0}],"data_offsets":[0,{0}]}}}}"#, state.len());
        let mut weights = (header.len() as u64).to_le_bytes().to_vec();
        weights.extend_from_slice(header.as_bytes());
        weights.extend_from_slice(state);
        let config = serde_json::json!({
            "peft_type": "LORA", "base_model_name_or_path": self.base, "r": job.recipe.rank, "lora_alpha": job.recipe.alpha,
        });
        write(&job.out.join(Adapter::CONFIG_FILE), config.to_string().as_bytes())?;
        write(&job.out.join(Adapter::WEIGHTS_FILE), &weights)?;
        let digest = hex(&Sha256::digest(&weights));
        Ok(Adapter { base: self.base.clone(), folder: job.out.to_path_buf(), digest })
    }
}

impl Trainer for HashingTrainer {
    fn id(&self) -> String {
        "hashing".into()
    }

    fn train(
        &self,
        job: &TrainJob<'_>,
        on_step: &mut dyn FnMut(&Step) -> ControlFlow<()>,
    ) -> Result<Adapter, TrainError> {
        check(&self.base, job)?;
        fs::create_dir_all(job.out).map_err(|error| file_error(job.out, error))?;
        let name = name_of(&self.base, job)?;
        let total = job.recipe.total_steps(job.examples.len());
        let schedule = Schedule::new(job.recipe, total);
        let Checkpoint { mut state, steps, .. } = resume(job.out, &name).unwrap_or_else(|| Checkpoint {
            job: name.clone(),
            steps: 0,
            state: Sha256::digest(&name).to_vec(),
        });
        for step in steps..total {
            let batch = batch(job, step);
            let mut tokens = 0;
            let mut hasher = Sha256::new();
            hasher.update(&state);
            for index in batch {
                let example = &job.examples[index];
                hasher.update((index as u64).to_le_bytes());
                for (response, weight) in example.responses().filter(|(_, weight)| *weight > 0.0) {
                    hasher.update(response.as_bytes());
                    hasher.update(weight.to_le_bytes());
                    tokens += 1 + response.split_whitespace().count();
                }
            }
            state = hasher.finalize().to_vec();
            let every = job.recipe.checkpoint_every;
            if every > 0 && (step + 1).is_multiple_of(every) {
                let checkpoint = Checkpoint { job: name.clone(), steps: step + 1, state: state.clone() };
                write(&job.out.join(CHECKPOINT), &json(&checkpoint)?)?;
            }
            let lr = schedule.lr(step);
            let report = Step { step, total, loss: 1.0 / (step + 1) as f64, grad_norm: 1.0, lr, tokens };
            if on_step(&report).is_break() {
                return Err(TrainError::Stopped { steps: step + 1 });
            }
        }
        self.finish(job, &state)
    }
}

fn check(base: &ModelId, job: &TrainJob<'_>) -> Result<(), TrainError> {
    job.check()?;
    if let Some(from) = job.from {
        let config = fs::read(from.folder.join(Adapter::CONFIG_FILE));
        let config = config.map_err(|error| file_error(&from.folder, error))?;
        let config: serde_json::Value = serde_json::from_slice(&config).unwrap_or_default();
        if from.base != *base || config["r"] != job.recipe.rank || config["lora_alpha"] != job.recipe.alpha {
            let reason = format!("{} of {} is no start for this job on {base}", config, from.base);
            return Err(TrainError::From { reason });
        }
    }
    Ok(())
}

/// A name that differs where jobs differ.
fn name_of(base: &ModelId, job: &TrainJob<'_>) -> Result<String, TrainError> {
    let from = job.from.map(|adapter| &adapter.digest);
    Ok(hex(&Sha256::digest(json(&(base, job.examples, job.recipe, job.seed, from))?)))
}

/// The examples of a step: each pass has an order of its own.
fn batch(job: &TrainJob<'_>, step: usize) -> Vec<usize> {
    let per_pass = job.examples.len().div_ceil(job.recipe.batch_size);
    let order: Seed = job.seed.child("order", (step / per_pass) as u64);
    let start = step % per_pass * job.recipe.batch_size;
    order.permutation(job.examples.len()).into_iter().skip(start).take(job.recipe.batch_size).collect()
}

fn resume(out: &Path, name: &str) -> Option<Checkpoint> {
    let checkpoint: Checkpoint = serde_json::from_slice(&fs::read(out.join(CHECKPOINT)).ok()?).ok()?;
    (checkpoint.job == name).then_some(checkpoint)
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, TrainError> {
    serde_json::to_vec(value).map_err(|error| file_error(Path::new(CHECKPOINT), error))
}

/// Writes beside and renames, so that a reader sees all or nothing.
fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    write_whole(path, bytes).map_err(|error| file_error(path, error))
}

fn file_error(path: &Path, error: impl std::error::Error + Send + Sync + 'static) -> TrainError {
    TrainError::File {
        path: path.display().to_string(),
        reason: error.to_string(),
        source: Some(Box::new(error)),
    }
}
