//! What would fail in the middle of a run is refused before it.

use crate::arms::FOLDS;
use crate::{Arm, ExperimentConfig, RunError};
use semievol_core::{Answer, Labeled, Sample, Seed};
use semievol_data::{Task, TaskConfig};
use semievol_model::LanguageModel;
use semievol_pipeline::{Method, Parts, check_classifier};

/// What a run is made of, before any rows.
pub(crate) struct Check<'a> {
    pub config: &'a ExperimentConfig,
    /// Of the arms that have one.
    pub methods: Vec<&'a Method>,
    /// Methods that each seed chooses from on folds of its labels.
    pub candidates: &'a [Method],
    pub task: &'a dyn Task,
    pub parts: &'a Parts<'a>,
    pub base: &'a dyn LanguageModel,
}

/// The rows of a seed.
pub(crate) struct Rows<'a> {
    pub seed: u64,
    pub labelled: &'a [Labeled],
    pub unlabelled: &'a [Sample],
    pub test: &'a [Sample],
    /// An unlabelled row whose gold answer the data does not have.
    pub unanswered: Option<&'a str>,
    /// A row that grades or, as the oracle's, teaches and whose gold answer the task cannot read.
    pub unreadable: Option<(&'a str, &'a Answer)>,
}

impl Check<'_> {
    /// Rows, task, methods and models that do not go together are an error that names the setting and what to do.
    pub fn rows(&self, rows: &Rows<'_>) -> Result<(), RunError> {
        for method in &self.methods {
            let checked = method.check(self.parts, self.task, rows.labelled, rows.unlabelled);
            checked.map_err(RunError::stage(rows.seed))?;
        }
        let folds = self.config.tune.as_ref().map_or(0, |tune| tune.folds);
        for method in self.candidates {
            let (seed, parts, task) = (Seed(rows.seed), self.parts, self.task);
            let checked =
                method.check_without_folds(folds, seed, parts, task, rows.labelled, rows.unlabelled);
            checked.map_err(RunError::stage(rows.seed))?;
        }
        if self.config.arms.contains(&Arm::Classifier) {
            let checked = check_classifier(Arm::Classifier.as_str(), FOLDS, rows.labelled, rows.test);
            checked.map_err(RunError::stage(rows.seed))?;
        }
        if let (true, Some(id)) = (self.config.arms.contains(&Arm::Oracle), rows.unanswered) {
            return Err(RunError::Assembly(format!(
                "the arm `oracle` trains on the unlabelled rows' gold answers, but `{id}` has none: leave the arm out"
            )));
        }
        self.options(rows)?;
        self.readable(rows)?;
        self.scores()
    }

    /// Closed sets have options, and open answers none.
    fn options(&self, rows: &Rows<'_>) -> Result<(), RunError> {
        let labelled = rows.labelled.iter().map(|labeled| &labeled.sample);
        let mut samples = labelled.chain(rows.unlabelled).chain(rows.test);
        if !matches!(self.config.task, TaskConfig::ClosedSet(_)) {
            // Its answer would be an option's place, which no open answer can be graded against.
            return match samples.find(|sample| !sample.options.is_empty()) {
                None => Ok(()),
                Some(sample) => Err(RunError::Assembly(format!(
                    "sample `{}` has options, and task.kind asks for an open answer: set task.kind = \"closed_set\", or data.columns.options = [] to read the answer as it is written",
                    sample.id
                ))),
            };
        }
        match samples.find(|sample| self.task.candidates(sample).is_empty()) {
            None => Ok(()),
            Some(sample) => Err(RunError::Assembly(format!(
                "sample `{}` has no options, and task.kind = \"closed_set\" needs them: set data.columns.options, or another task.kind",
                sample.id
            ))),
        }
    }

    /// Nobody can be right where the task cannot read the answer itself.
    fn readable(&self, rows: &Rows<'_>) -> Result<(), RunError> {
        let odd = rows.labelled.iter().find(|one| !self.task.is_correct(&one.answer, &one.answer));
        let labelled = odd.map(|one| (one.sample.id.as_str(), &one.answer));
        match labelled.or(rows.unreadable) {
            None => Ok(()),
            Some((id, answer)) => Err(RunError::Assembly(format!(
                "sample `{id}`: its answer `{answer}` is none that the task can read, so nobody could be right; correct it, leave the row out, or check task.kind and data.columns.answer"
            ))),
        }
    }

    /// Closed sets are scored.
    fn scores(&self) -> Result<(), RunError> {
        if !matches!(self.config.task, TaskConfig::ClosedSet(_)) {
            return Ok(());
        }
        let asked = self.methods.iter().flat_map(|method| &method.config.collaborators);
        let asked = asked.filter_map(|one| self.parts.models.get(one.model()?).map(AsRef::as_ref));
        let mut models = std::iter::once(self.base).chain(asked);
        match models.find(|model| !model.capabilities().scores) {
            None => Ok(()),
            Some(model) => Err(RunError::Assembly(format!(
                "{} cannot score, and task.kind = \"closed_set\" compares the options' probabilities: take another model",
                model.id()
            ))),
        }
    }
}
