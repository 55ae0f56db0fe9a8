//! A run's folder, opened again to use what it trained.

use crate::arms::ArmDone;
use crate::{Arm, ConfigError, Experiment, ExperimentConfig, RunError};
use semievol_model::{Adapter, ModelId};
use semievol_pipeline::{PipelineError, files};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const ADAPTERS: &str = "adapters.json";

/// The folder of a run of which at least one seed is through.
#[derive(Debug, Clone)]
pub struct FinishedRun {
    folder: PathBuf,
    experiment: Experiment,
}

/// A line of `adapters.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    base: ModelId,
    /// Relative to the seed's folder, with slashes on every system.
    folder: String,
    digest: String,
}

/// Writes which arm's model is which adapter.
pub(crate) fn write_adapters(seed: &Path, arms: &[ArmDone]) -> Result<(), RunError> {
    let entry = |done: &ArmDone| {
        let Adapter { base, folder, digest } = done.adapter.clone()?;
        let folder = match folder.strip_prefix(seed) {
            Ok(below) => below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/"),
            Err(_) => folder.to_string_lossy().into_owned(),
        };
        Some((done.arm.to_string(), Entry { base, folder, digest }))
    };
    let entries: BTreeMap<String, Entry> = arms.iter().filter_map(entry).collect();
    Ok(files::write_json(&seed.join(ADAPTERS), &entries)?)
}

/// The folder that relative paths of a run's configuration began in, where that is not the present one: the nearest above
/// the run's own in which what is missing here can be found.
fn started_in(folder: &Path, config: &mut ExperimentConfig) -> Option<PathBuf> {
    let missing = config.relative_paths().find(|path| !path.exists())?.clone();
    let folder = folder.canonicalize().ok()?;
    folder.ancestors().find(|above| above.join(&missing).exists()).map(Path::to_owned)
}

impl FinishedRun {
    /// Reads the configuration that the run has written. Relative paths in it are looked up in the present folder, and
    /// else in those above the run's.
    ///
    /// # Errors
    /// If the folder is none of a run, or of a version that writes other keys.
    pub fn open(folder: &Path) -> Result<Self, RunError> {
        let file = folder.join("config.toml");
        if !file.is_file() {
            return Err(RunError::Assembly(format!(
                "{}: is no folder of a run, for it has no config.toml; name the folder that `semievol run` ended with, such as runs/NAME-DIGEST",
                folder.display()
            )));
        }
        let failed = |error: ConfigError| {
            RunError::Assembly(format!(
                "{error}; another version of semievol may have written it: use that one, or run again"
            ))
        };
        let text = std::fs::read_to_string(&file);
        let text = text.map_err(|source| PipelineError::File { path: file.clone(), source })?;
        let mut config = ExperimentConfig::parse(&text, &file).map_err(failed)?;
        if let Some(started_in) = started_in(folder, &mut config) {
            config.relative_paths().for_each(|path| *path = started_in.join(&*path));
        }
        let experiment = config.check(&file).map_err(failed)?;
        Ok(FinishedRun { folder: folder.to_owned(), experiment })
    }

    /// What was run.
    pub fn experiment(&self) -> &Experiment {
        &self.experiment
    }

    /// The adapter of an arm's model; `None` for `vanilla`, which is the base model. Without a seed: the
    /// experiment's first.
    ///
    /// # Errors
    /// If the seed is not through, or the arm was not run or has no model; the message lists those that have.
    pub fn adapter(&self, seed: Option<u64>, arm: &Arm) -> Result<Option<Adapter>, RunError> {
        if *arm == Arm::Vanilla {
            return Ok(None);
        }
        let seed = seed.or(self.experiment.config().seeds.first().copied()).unwrap_or_default();
        let folder = self.folder.join(format!("seed-{seed}"));
        let file = folder.join(ADAPTERS);
        let entries: BTreeMap<String, Entry> = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| RunError::Assembly(format!("{}: {error}; run again", file.display())))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(RunError::Assembly(format!(
                    "{}: seed {seed} is not through, or is none of the run's; let the run end, or name another with --seed (it has {:?})",
                    self.folder.display(),
                    self.experiment.config().seeds
                )));
            }
            Err(source) => return Err(PipelineError::File { path: file, source }.into()),
        };
        match entries.get(arm.as_str()) {
            Some(Entry { base, folder: at, digest }) => {
                Ok(Some(Adapter { base: base.clone(), folder: folder.join(at), digest: digest.clone() }))
            }
            None => {
                let known: Vec<&str> = entries.keys().map(String::as_str).chain(["vanilla"]).collect();
                Err(RunError::Assembly(format!(
                    "{}: the arm `{arm}` has no model there; those that have are {}",
                    self.folder.display(),
                    known.join(", ")
                )))
            }
        }
    }
}
