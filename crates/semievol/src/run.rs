//! The order of the stages.

use crate::answer::{Answered, answer_all, check};
use crate::config::{ConfigError, ExperimentConfig, Origin, Quick};
use crate::results::{ArmResults, Results, SeedResults};
use crate::sets::{Pool, Sets};
use crate::{Arm, Event, RunError, Stage, Work, files};
use semievol_core::{Sample, Seed};
use semievol_data::{Task, TaskConfig};
use semievol_eval::{Graded, Prediction};
use semievol_hub::Hub;
use semievol_model::{LanguageModel, ModelId, ModelLoader};
use semievol_train::{Example, TrainError, TrainJob, Trainer};
use sha2::{Digest, Sha256};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A checked experiment: made by [`ExperimentConfig::check`] or [`Experiment::read`].
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    config: ExperimentConfig,
    origin: Origin,
}

/// What an experiment is run with. Both start from the same base model.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// Gives the base model, alone or with an adapter.
    pub loader: &'a dyn ModelLoader,
    /// Makes the adapters.
    pub trainer: &'a dyn Trainer,
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

    /// Runs every arm for every seed and writes a folder `NAME-DIGEST` into `out`.
    ///
    /// The digest is that of the configuration, the model and the data files, so results of different experiments never
    /// mix. Run twice, the same build writes the same bytes; finished predictions are computed anew, and a
    /// training that was interrupted goes on from its last checkpoint.
    ///
    /// # Errors
    /// What failed, for which seed and arm. Files that were written stay.
    pub fn run(
        &self,
        hub: &Hub,
        parts: Parts<'_>,
        events: &mut dyn FnMut(&Event),
        out: &Path,
    ) -> Result<Results, RunError> {
        let task = self.config.task.build().map_err(|error| RunError::Assembly(error.to_string()))?;
        let pool = Pool::read(&self.config, &self.origin, hub, events)?;
        let base = parts.loader.load(None);
        let base =
            base.map_err(|error| RunError::Load { reason: error.to_string(), source: Box::new(error) })?;
        events(&Event::Loaded { model: base.id().clone() });
        let folder = out.join(self.folder_name(base.id(), &pool.digests));
        events(&Event::Folder { path: folder.clone() });
        files::write(&folder.join("config.toml"), self.config.to_toml().as_bytes())?;
        let run = Run { config: &self.config, parts, task, base, folder };
        let mut vanilla = None;
        let mut seeds = Vec::new();
        for seed in &self.config.seeds {
            seeds.push(run.seed(*seed, &pool, &mut vanilla, events)?);
        }
        let eval = |source| RunError::Eval { seed: self.config.seeds[0], source: Box::new(source) };
        let results =
            Results::new(&self.config, run.base.id().clone(), run.folder.clone(), seeds).map_err(eval)?;
        files::write_json(&run.folder.join("metrics.json"), &results)?;
        files::write(&run.folder.join("table.md"), results.to_markdown().as_bytes())?;
        Ok(results)
    }

    fn folder_name(&self, model: &ModelId, data_digests: &[String]) -> String {
        let mut identity = self.config.clone();
        // Neither words nor places nor the sizes of another run change a result.
        identity.description.clear();
        identity.data.root = None;
        identity.quick = Quick { labelled: 0, unlabelled: 0, test: 0, max_steps: 0 };
        let mut hasher = Sha256::new();
        hasher.update(identity.to_toml());
        hasher.update(model.as_str());
        data_digests.iter().for_each(|digest| hasher.update(digest));
        let digest: String = hasher.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{digest}", self.config.name)
    }
}

/// What the stages of one experiment share.
struct Run<'a> {
    config: &'a ExperimentConfig,
    parts: Parts<'a>,
    task: Box<dyn Task>,
    base: Arc<dyn LanguageModel>,
    folder: PathBuf,
}

/// The test samples and the base model's answers, which no seed changes.
type Vanilla = Option<(Vec<Sample>, Vec<Answered>)>;

impl Run<'_> {
    fn seed(
        &self,
        seed: u64,
        pool: &Pool,
        vanilla: &mut Vanilla,
        events: &mut dyn FnMut(&Event),
    ) -> Result<SeedResults, RunError> {
        let sets = pool.draw(seed)?;
        events(&Event::Drawn { seed, sizes: sets.sizes.clone() });
        let samples: Vec<&Sample> =
            sets.labelled.iter().map(|labeled| &labeled.sample).chain(&sets.test).collect();
        let closed = matches!(self.config.task, TaskConfig::ClosedSet(_));
        check(self.base.as_ref(), self.task.as_ref(), closed, &samples)?;
        let examples = self.examples(&sets)?;
        let overlap = sets.overlap();
        events(&Event::Overlap { seed, report: overlap.clone() });
        let folder = self.folder.join(format!("seed-{seed}"));
        files::write_json(&folder.join("split.json"), &sets.ids(seed))?;
        let mut graded: Vec<(Arm, Graded)> = Vec::new();
        for arm in &self.config.arms {
            let answered = match (arm, vanilla.take()) {
                (Arm::Vanilla, Some((test, answered))) if test == sets.test => {
                    events(&Event::Note(format!(
                        "seed {seed}, vanilla: the same test rows, answered before"
                    )));
                    answered
                }
                (Arm::Vanilla, _) => self.answer(seed, *arm, self.base.as_ref(), &sets, events)?,
                (Arm::Sft, kept) => {
                    *vanilla = kept;
                    let model = self.train(seed, &sets, &examples, &folder.join("sft"), events)?;
                    self.answer(seed, *arm, model.as_ref(), &sets, events)?
                }
            };
            files::write_jsonl(&folder.join(format!("predictions-{arm}.jsonl")), &answered)?;
            graded.push((*arm, self.grade(seed, *arm, &sets, &answered, events)?));
            if *arm == Arm::Vanilla {
                *vanilla = Some((sets.test.clone(), answered));
            }
        }
        let eval = |source| RunError::Eval { seed, source: Box::new(source) };
        let arms = ArmResults::of_seed(seed, &graded).map_err(eval)?;
        Ok(SeedResults { seed, sizes: sets.sizes, overlap, arms, graded })
    }

    /// What the labelled rows teach.
    fn examples(&self, sets: &Sets) -> Result<Vec<Example>, RunError> {
        let mut examples = Vec::with_capacity(sets.labelled.len());
        for labeled in &sets.labelled {
            let response = self.task.target(&labeled.sample, &labeled.answer);
            if response.is_empty() {
                return Err(RunError::Assembly(format!(
                    "sample `{}`: its answer {:?} is none that the task can write; check task.kind and data.columns.answer",
                    labeled.sample.id, labeled.answer
                )));
            }
            examples.push(Example { prompt: self.task.prompt(&labeled.sample, &[]), response, weight: 1.0 });
        }
        Ok(examples)
    }

    fn train(
        &self,
        seed: u64,
        sets: &Sets,
        examples: &[Example],
        out: &Path,
        events: &mut dyn FnMut(&Event),
    ) -> Result<Arc<dyn LanguageModel>, RunError> {
        let total = self.config.train.total_steps(examples.len());
        let stage = Stage { seed, arm: Arm::Sft, work: Work::Train, total };
        events(&Event::Stage(stage));
        let job = TrainJob { examples, recipe: &self.config.train, seed: Seed(seed).child("sft", 0), out };
        let trained = self.parts.trainer.train(&job, &mut |step| {
            events(&Event::Step(*step));
            ControlFlow::Continue(())
        });
        let adapter = trained.map_err(|source| {
            let index = match &source {
                TrainError::TooLong { index, .. } | TrainError::Weight { index, .. } => Some(*index),
                _ => None,
            };
            let sample = index.and_then(|index| sets.labelled.get(index)).map(|labeled| &labeled.sample.id);
            let about = sample.map(|id| format!(" (labelled sample `{id}`)")).unwrap_or_default();
            RunError::Train { seed, source: source.into(), about }
        })?;
        events(&Event::StageDone(stage));
        let loaded = self.parts.loader.load(Some(&adapter));
        loaded.map_err(|source| RunError::Model { seed, arm: Arm::Sft.as_str(), source: source.into() })
    }

    fn answer(
        &self,
        seed: u64,
        arm: Arm,
        model: &dyn LanguageModel,
        sets: &Sets,
        events: &mut dyn FnMut(&Event),
    ) -> Result<Vec<Answered>, RunError> {
        let total = sets.test.len();
        let stage = Stage { seed, arm, work: Work::Answer, total };
        events(&Event::Stage(stage));
        let mut on_done = |done| events(&Event::Progress { done, total });
        let max_tokens = self.config.max_answer_tokens;
        let answered = answer_all(model, self.task.as_ref(), &sets.test, max_tokens, &mut on_done);
        let answered =
            answered.map_err(|source| RunError::Model { seed, arm: arm.as_str(), source: source.into() })?;
        events(&Event::StageDone(stage));
        Ok(answered)
    }

    fn grade(
        &self,
        seed: u64,
        arm: Arm,
        sets: &Sets,
        answered: &[Answered],
        events: &mut dyn FnMut(&Event),
    ) -> Result<Graded, RunError> {
        if let Some(first) = answered.iter().find_map(|answered| answered.error.as_ref()) {
            let n_failed = answered.iter().filter(|answered| answered.error.is_some()).count();
            let of = answered.len();
            events(&Event::Note(format!(
                "seed {seed}, {arm}: {n_failed} of {of} prompts did not fit and count as wrong; the first: {first}"
            )));
        }
        let predictions: Vec<Prediction> =
            answered.iter().map(|one| Prediction::new(&one.id, one.predicted.clone())).collect();
        let is_correct = |predicted: &_, gold: &_| self.task.is_correct(predicted, gold);
        sets.key
            .grade(&predictions, &is_correct)
            .map_err(|source| RunError::Eval { seed, source: source.into() })
    }
}
