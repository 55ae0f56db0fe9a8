//! What the stages of one seed share.

use crate::folder::{Inputs, Place};
use crate::{OnEvent, Parts, PipelineError, Shelf, Stage, StageEvent, Unit, files};
use semievol_core::Seed;
use semievol_data::Task;
use semievol_model::{Adapter, LanguageModel, ModelError, ModelId};
use semievol_train::Recipe;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::sync::Arc;

/// One seed's work in one folder.
#[derive(Clone)]
pub struct SeedRun<'a> {
    /// Models and trainer.
    pub parts: Parts<'a>,
    /// What is asked and how answers are read.
    pub task: &'a dyn Task,
    /// Names the task with every setting that changes how responses are read.
    pub task_id: &'a str,
    /// The same task in other words, for whoever is taught in several.
    pub paraphrases: &'a [Box<dyn Task>],
    /// The base model.
    pub base: Arc<dyn LanguageModel>,
    /// How adapters are trained.
    pub recipe: &'a Recipe,
    /// Most tokens of a generated answer.
    pub max_answer_tokens: usize,
    /// Root of all randomness.
    pub seed: Seed,
    /// Where the artefacts go.
    pub folder: PathBuf,
    /// Where finished stages of other runs may be found.
    pub shelf: &'a Shelf,
    /// Unlabelled samples that are asked about at once. A pool of more is worked off in parts, each with files of its
    /// own, so that memory holds the prompts and answers of one part; [`SeedRun::PART`] does.
    pub part: usize,
}

impl std::fmt::Debug for SeedRun<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeedRun")
            .field("parts", &self.parts)
            .field("task_id", &self.task_id)
            .field("base", self.base.id())
            .field("seed", &self.seed)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl SeedRun<'_> {
    /// Samples whose prompts and answers take some 200 MB.
    pub const PART: usize = 16_384;

    /// The base model with an adapter.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub fn load(&self, stage: &str, adapter: &Adapter) -> Result<Arc<dyn LanguageModel>, PipelineError> {
        self.parts.loader.load(Some(adapter)).map_err(PipelineError::model(stage))
    }

    /// Where rows of this name stand.
    pub(crate) fn rows_file(&self, name: &str) -> PathBuf {
        self.folder.join(rows_name(name))
    }

    /// A stage about `n` prompts whose output is one file of rows, named like it.
    pub(crate) fn prompts_stage(&self, name: &str, inputs: Inputs, n: usize) -> (Place, Stage) {
        let place = Place::new(&self.folder, name, &rows_name(name), inputs);
        (place, Stage::new(name, Unit::Prompts, n))
    }

    /// Runs a stage whose output is one file of rows, unless it is finished.
    pub(crate) fn rows<T: Serialize + DeserializeOwned>(
        &self,
        place: &Place,
        stage: Stage,
        events: OnEvent<'_>,
        work: impl FnOnce(OnEvent<'_>) -> Result<Vec<T>, PipelineError>,
    ) -> Result<Vec<T>, PipelineError> {
        if place.is_finished(self.shelf)? {
            events(&StageEvent::Kept(stage));
            return files::read_jsonl(&place.output());
        }
        events(&StageEvent::Begin(stage.clone()));
        let rows = work(events)?;
        files::write_jsonl(&place.output(), &rows)?;
        place.finish(self.shelf, &[])?;
        events(&StageEvent::Done(stage));
        Ok(rows)
    }
}

fn rows_name(name: &str) -> String {
    format!("{name}.jsonl")
}

pub(crate) fn broken(stage: &str, model: &ModelId, reason: String) -> PipelineError {
    PipelineError::model(stage)(ModelError::Backend { model: model.clone(), reason, source: None })
}
