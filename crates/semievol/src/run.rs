//! The order of the arms.

use crate::arms::Arms;
use crate::assembly::Assembly;
use crate::config::{ConfigError, EngineConfig, ExperimentConfig, Origin, Quick};
use crate::pseudo::PseudoResults;
use crate::results::{ArmResults, Results, SeedResults};
use crate::sets::{Pool, Sets};
use crate::{Arm, Event, RunError, finished, page, to_label};
use semievol_core::{Groups, Seed};
use semievol_data::{Task, TaskConfig};
use semievol_eval::{Graded, Prediction};
use semievol_hub::{Hub, Source};
use semievol_model::{LanguageModel, ModelId};
use semievol_openai::{BatchConfig, ServerConfig};
use semievol_pipeline::{
    Answered, Method, MethodConfig, Parts, PipelineError, SeedRun, Shelf, StageEvent, files,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::TryLockError;
use std::path::{Path, PathBuf};

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

    /// Runs every arm for every seed and writes a folder `NAME-DIGEST` into `out`.
    ///
    /// The digest is that of the configuration, the models and the data files, so results of different
    /// experiments never mix. Run twice, the same build writes the same bytes. Finished stages are read, of
    /// this run or of another below `out` that had the same inputs; a partial one goes on where it stopped.
    ///
    /// # Errors
    /// What failed, for which seed and stage. Files that were written stay.
    pub fn run(
        &self,
        hub: &Hub,
        parts: Parts<'_>,
        events: &mut dyn FnMut(&Event),
        out: &Path,
    ) -> Result<Results, RunError> {
        self.run_with(&self.method()?, hub, parts, events, out)
    }

    /// As [`Experiment::run`], with a method of which some parts are the caller's own.
    ///
    /// # Errors
    /// As [`Experiment::run`].
    pub fn run_with(
        &self,
        method: &Method,
        hub: &Hub,
        parts: Parts<'_>,
        events: &mut dyn FnMut(&Event),
        out: &Path,
    ) -> Result<Results, RunError> {
        let assembly = Assembly::new(self, method, parts)?;
        let paraphrase = |words: &String| {
            let config = self.config.task.clone().with_instruction(words);
            let task = config.build().map_err(|error| RunError::Assembly(error.to_string()))?;
            Ok((task, id(&config)))
        };
        let all = |words: &[String]| words.iter().map(paraphrase).collect::<Result<Vec<_>, RunError>>();
        let paraphrases = all(&self.config.paraphrases)?;
        let taught = all(&self.config.taught_paraphrases)?.into_iter().map(|(task, _)| task).collect();
        let pool = Pool::read(&self.config, &self.origin, hub, events)?;
        let model = assembly.base.id().clone();
        events(&Event::Loaded { model: model.clone() });
        let identity = self.identity(method, &model, parts, &pool.digests);
        let folder = out.join(format!("{}-{}", self.config.name, &identity[..8]));
        events(&Event::Folder { path: folder.clone() });
        // First of all: another process may be at work there, by a configuration that differs where results do not.
        let _lock = Lock::take(&folder)?;
        files::write(&folder.join("config.toml"), self.config.to_toml().as_bytes())?;
        let run = Run {
            assembly,
            task_id: id(&self.config.task),
            paraphrases,
            taught,
            folder,
            shelf: Shelf::of(out),
        };
        let mut drawn = Vec::new();
        for seed in &self.config.seeds {
            let sets = pool.draw(*seed)?;
            events(&Event::Drawn { seed: *seed, sizes: sets.sizes.clone() });
            run.assembly.check(&sets)?;
            drawn.push(sets);
        }
        let mut labels = drawn.iter().map(Sets::label_ids);
        let first = labels.next().filter(|_| drawn.len() > 1);
        if first.is_some_and(|first| labels.all(|others| others == first)) {
            events(&Event::Note(format!(
                "all {} seeds learn the same labels, so what differs between them is how training went: intervals over seeds know nothing of other labels (data.draw.labelled or data.hold_out draws some for each)",
                drawn.len()
            )));
        }
        // Before anything is asked.
        for estimate in run.assembly.asked_elsewhere(drawn.iter()) {
            events(&Event::Note(estimate));
        }
        let seeds = drawn.iter().map(|sets| run.seed(sets, events)).collect::<Result<_, _>>()?;
        let results = Results {
            name: self.config.name.clone(),
            model,
            parts: names(parts).into_iter().chain(own_parts(method)).collect(),
            settings: self.settings_with(method),
            data: pool.digests.clone(),
            folder: run.folder.clone(),
            seeds,
            summary: Vec::new(),
        };
        let results = results.summed_up().map_err(RunError::eval(self.config.seeds[0]))?;
        files::write_json(&run.folder.join("metrics.json"), &results)?;
        files::write(&run.folder.join("table.md"), results.to_markdown().as_bytes())?;
        let page = semievol_report::render(&page::page(&self.config, &results))?;
        files::write(&run.folder.join("report.html"), page.as_bytes())?;
        files::write_json(&run.folder.join("manifest.json"), &self.manifest(method, &run, &identity, &pool))?;
        Ok(results)
    }

    /// SHA-256 of what the experiment asks for, whatever its seeds, and without the folder that its relative paths start in:
    /// results of equal settings, models and data may be put together.
    ///
    /// # Errors
    /// As [`Experiment::method`].
    pub fn settings(&self) -> Result<String, RunError> {
        Ok(self.settings_with(&self.method()?))
    }

    fn settings_with(&self, method: &Method) -> String {
        let mut asked = self.asked();
        asked.seeds.clear();
        let mut hasher = Sha256::new();
        hasher.update(asked.to_toml());
        hasher.update(parts_of(method));
        semievol_core::hex(&hasher.finalize())
    }

    /// The configuration without what changes no result.
    fn asked(&self) -> ExperimentConfig {
        let mut asked = self.config.clone();
        // Neither words nor places nor the sizes of another run change a result.
        asked.description.clear();
        asked.data.root = None;
        // The precision of the weights is part of the model's name.
        asked.engine = EngineConfig::default();
        // Models behind servers have names of their own.
        asked.servers.clear();
        asked.batches.clear();
        asked.quick = Quick { labelled: 0, unlabelled: 0, test: 0, max_steps: 0 };
        asked
    }

    /// SHA-256 of all that the results depend on.
    fn identity(&self, method: &Method, model: &ModelId, parts: Parts<'_>, data: &[String]) -> String {
        let mut hasher = Sha256::new();
        hasher.update(self.asked().to_toml());
        hasher.update(model.as_str());
        parts.embedder.iter().for_each(|embedder| hasher.update(embedder.id.as_str()));
        hasher.update(parts.trainer.id());
        for (name, model) in parts.models {
            hasher.update(format!("{name}={}\n", model.id()));
        }
        hasher.update(parts_of(method));
        data.iter().for_each(|digest| hasher.update(digest));
        semievol_core::hex(&hasher.finalize())
    }

    /// What `manifest.json` holds.
    fn manifest(&self, method: &Method, run: &Run<'_>, identity: &str, pool: &Pool) -> serde_json::Value {
        serde_json::json!({
            "identity": identity,
            "version": env!("CARGO_PKG_VERSION"),
            "seeds": self.config.seeds,
            "model": run.assembly.base.id(),
            "embedder": run.assembly.parts.embedder.map(|embedder| embedder.id),
            "models": run.assembly.parts.models.iter().map(|(name, model)| (name, model.id())).collect::<BTreeMap<_, _>>(),
            "trainer": run.assembly.parts.trainer.id(),
            "adjudicator": method.adjudicator.id(),
            "confidence": method.estimator.id(),
            "selector": match &run.assembly.candidates[..] {
                [] => method.selector.id(),
                candidates => {
                    let ids: Vec<String> = candidates.iter().map(|method| method.selector.id()).collect();
                    format!("chosen by each seed: {}", ids.join(", "))
                }
            },
            "own": own_parts(method).collect::<Vec<_>>(),
            "data": pool.digests,
            "config": self.config,
        })
    }
}

/// Keeps other processes out of a run folder; the file stands beside it, hidden from `runs/*`, and says nothing.
struct Lock(std::fs::File);

impl Lock {
    fn take(folder: &Path) -> Result<Self, RunError> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let path = folder.with_file_name(format!(".{name}.lock"));
        let failed = |source| PipelineError::File { path: path.clone(), source };
        if let Some(out) = folder.parent() {
            let failed = |source| PipelineError::File { path: out.to_owned(), source };
            std::fs::create_dir_all(out).map_err(failed)?;
        }
        let file = std::fs::File::create(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => Err(RunError::Assembly(format!(
                "{}: another process is running this experiment; wait for it, or give another --out",
                folder.display()
            ))),
            // A file system without locks: better unguarded than not at all.
            Err(TryLockError::Error(_)) => Ok(Lock(file)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Names the embedder, the trainer and the models behind servers.
fn names(parts: Parts<'_>) -> Vec<String> {
    let embedder = parts.embedder.iter().map(|embedder| embedder.id.as_str().to_owned());
    let models = parts.models.iter().map(|(name, model)| format!("{name}={}", model.id()));
    embedder.chain([parts.trainer.id()]).chain(models).collect()
}

/// Names the classifiers, and what finds neighbours, of a program's own.
fn own_parts(method: &Method) -> impl Iterator<Item = String> {
    let classifiers =
        method.own_classifiers().map(|(name, classifier)| format!("{name}={}", classifier.id()));
    classifiers.chain(method.own_retrieval().map(|own| format!("retrieval={}", own.id())))
}

/// Names the parts of a method.
fn parts_of(method: &Method) -> String {
    let parts = [method.adjudicator.id(), method.estimator.id(), method.selector.id()];
    parts.into_iter().chain(own_parts(method)).map(|id| id + "\n").collect()
}

/// Names a task with every setting of it.
fn id(task: &TaskConfig) -> String {
    serde_json::to_string(task).unwrap_or_default()
}

/// What the seeds of one experiment share.
pub(crate) struct Run<'a> {
    pub assembly: Assembly<'a>,
    task_id: String,
    /// The task in other words that measure, with their ids.
    pub paraphrases: Vec<(Box<dyn Task>, String)>,
    /// The task in other words that are taught.
    taught: Vec<Box<dyn Task>>,
    folder: PathBuf,
    shelf: Shelf,
}

impl Run<'_> {
    fn seed(&self, sets: &Sets, events: &mut dyn FnMut(&Event)) -> Result<SeedResults, RunError> {
        let (assembly, seed) = (&self.assembly, sets.seed);
        let overlap = sets.overlap();
        events(&Event::Overlap { seed, report: overlap.clone() });
        if let Some(only) = sets.sizes.only_class() {
            events(&Event::Note(format!(
                "seed {seed}: all {} labelled rows are {}, so a model that learns them answers nothing else; label rows of other classes",
                only.rows, only.class
            )));
        }
        let mut run = SeedRun {
            parts: assembly.parts,
            task: assembly.task.as_ref(),
            task_id: &self.task_id,
            paraphrases: &self.taught,
            base: assembly.base.clone(),
            recipe: &assembly.config.train,
            max_answer_tokens: assembly.config.max_answer_tokens,
            seed: Seed(seed),
            folder: self.folder.join(format!("seed-{seed}")),
            shelf: &self.shelf,
            part: self.part(),
        };
        files::write_json(&run.folder.join("split.json"), &sets.ids())?;
        let mut on_stage = |event: &StageEvent| events(&Event::Stage { seed, event: event.clone() });
        let tune = assembly.config.tune.as_ref();
        let (recipe, tuned) = match tune.filter(|tune| tune.tries_recipes()) {
            None => (run.recipe.clone(), Vec::new()),
            Some(tune) => run.tune(tune, &sets.labelled, &mut on_stage).map_err(RunError::stage(seed))?,
        };
        run.recipe = &recipe;
        let (method, selectors) = match tune.filter(|_| !assembly.candidates.is_empty()) {
            None => (assembly.method, None),
            Some(tune) => {
                let Sets { labelled, unlabelled, .. } = sets;
                let tried = run.choose(&assembly.candidates, tune.folds, labelled, unlabelled, &mut on_stage);
                let (tried, chosen) = tried.map_err(RunError::stage(seed))?;
                (&assembly.candidates[chosen], Some(tried))
            }
        };
        let all = Arms { run: self, method, seed: &run, sets };
        let done = all.run_all(&mut on_stage).map_err(RunError::stage(seed))?;
        finished::write_adapters(&run.folder, &done.arms)?;
        let mut graded: Vec<(Arm, Graded)> = Vec::new();
        let mut paraphrased = Vec::new();
        for done in &done.arms {
            graded.push((done.arm.clone(), self.grade(&done.arm, sets, &done.answered, events)?));
            let accuracy =
                |answered: &Vec<Answered>| Ok(self.grade(&done.arm, sets, answered, events)?.accuracy());
            paraphrased.push(done.paraphrased.iter().map(accuracy).collect::<Result<Vec<f64>, RunError>>()?);
        }
        let mut arms = ArmResults::of_seed(seed, &graded).map_err(RunError::eval(seed))?;
        for ((arm, done), paraphrased) in arms.iter_mut().zip(&done.arms).zip(paraphrased) {
            (arm.cost, arm.paraphrased) = (done.cost, paraphrased);
            arm.adapter = done.adapter.as_ref().map(|adapter| adapter.folder.clone());
        }
        let pseudo = done.evolved.into_iter().map(|(arm, evolved)| {
            let method = all.method_of(&arm).unwrap_or(method);
            PseudoResults::new(arm, Seed(seed), method, assembly.task.as_ref(), sets, evolved)
        });
        let pseudo = pseudo.collect::<Result<Vec<_>, _>>()?;
        for one in &pseudo {
            to_label::write(&one.arm.folder(&run.folder), &sets.unlabelled, one)?;
        }
        let folder = run.folder.clone();
        let sizes = sets.sizes.clone();
        let test_ids = sets.test.iter().map(|sample| sample.id.clone()).collect();
        let groups = Groups::of(&sets.test);
        let test_groups = if groups.are_single() { Vec::new() } else { groups.numbers().to_vec() };
        Ok(SeedResults {
            seed,
            sizes,
            overlap,
            tuned,
            selectors,
            arms,
            pseudo,
            test_ids,
            test_groups,
            folder,
        })
    }

    /// Unlabelled rows that are asked about at once. Files of requests are answered overnight: they hold all of them.
    fn part(&self) -> usize {
        let mut asked = self
            .assembly
            .methods()
            .flat_map(|method| &method.config.collaborators)
            .filter_map(|one| one.model());
        if asked.any(|model| self.assembly.config.batches.contains_key(model)) {
            usize::MAX
        } else {
            SeedRun::PART
        }
    }

    fn grade(
        &self,
        arm: &Arm,
        sets: &Sets,
        answered: &[Answered],
        events: &mut dyn FnMut(&Event),
    ) -> Result<Graded, RunError> {
        if let Some(first) = answered.iter().find_map(|answered| answered.error.as_ref()) {
            let n_failed = answered.iter().filter(|answered| answered.error.is_some()).count();
            let of = answered.len();
            events(&Event::Note(format!(
                "seed {}, {arm}: {n_failed} of {of} prompts did not fit and count as wrong; the first: {first}",
                sets.seed
            )));
        }
        let predictions: Vec<Prediction> =
            answered.iter().map(|one| Prediction::new(&one.id, one.predicted.clone())).collect();
        let is_correct = |predicted: &_, gold: &_| self.assembly.task.is_correct(predicted, gold);
        sets.key.grade(&predictions, &is_correct).map_err(RunError::eval(sets.seed))
    }
}
