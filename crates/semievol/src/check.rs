//! What would fail in the middle of a run is refused before it.

use crate::arms::FOLDS;
use crate::assembly::Assembly;
use crate::sets::Sets;
use crate::{Arm, RunError};
use semievol_core::Seed;
use semievol_data::TaskConfig;
use semievol_pipeline::check_classifier;

impl Assembly<'_> {
    /// Rows, task, methods and models that do not go together are an error that names the setting and what to do.
    pub fn check(&self, sets: &Sets) -> Result<(), RunError> {
        let Sets { labelled, unlabelled, test, seed, .. } = sets;
        let (parts, task) = (&self.parts, self.task.as_ref());
        let failed = RunError::stage(*seed);
        for method in self.methods() {
            method.check(parts, task, labelled, unlabelled).map_err(&failed)?;
        }
        if let Some(tune) = self.config.tune.as_ref().filter(|tune| tune.tries_recipes()) {
            tune.check_labels(labelled).map_err(&failed)?;
        }
        let folds = self.config.tune.as_ref().map_or(0, |tune| tune.folds);
        for method in &self.candidates {
            let checked = method.check_without_folds(folds, Seed(*seed), parts, task, labelled, unlabelled);
            checked.map_err(&failed)?;
        }
        if self.config.arms.contains(&Arm::InContext) {
            self.method.check_embedder(parts).map_err(&failed)?;
        }
        if self.config.arms.contains(&Arm::Classifier) {
            check_classifier(Arm::Classifier.as_str(), FOLDS, labelled, test).map_err(&failed)?;
        }
        if let (true, Some(id)) = (self.config.arms.contains(&Arm::Oracle), sets.unanswered()) {
            return Err(RunError::Assembly(format!(
                "the arm `oracle` trains on the unlabelled rows' gold answers, but `{id}` has none: leave the arm out"
            )));
        }
        self.options(sets)?;
        self.readable(sets)?;
        self.scores()
    }

    /// Closed sets have options, and open answers none.
    fn options(&self, sets: &Sets) -> Result<(), RunError> {
        let labelled = sets.labelled.iter().map(|labeled| &labeled.sample);
        let mut samples = labelled.chain(&*sets.unlabelled).chain(&sets.test);
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
    fn readable(&self, sets: &Sets) -> Result<(), RunError> {
        let oracle = self.config.arms.contains(&Arm::Oracle);
        let odd = sets.labelled.iter().find(|one| !self.task.is_correct(&one.answer, &one.answer));
        let labelled = odd.map(|one| (one.sample.id.as_str(), &one.answer));
        match labelled.or_else(|| sets.unreadable(self.task.as_ref(), oracle)) {
            None => Ok(()),
            Some((id, answer)) => {
                let answer = answer.to_string();
                let comma = answer.contains(',') && answer.chars().any(|c| c.is_ascii_digit());
                let comma = if comma { " (a comma groups thousands; decimals have a point)" } else { "" };
                Err(RunError::Assembly(format!(
                    "sample `{id}`: its answer `{answer}` is none that the task can read{comma}, so nobody could be right; correct it, leave the row out, or check task.kind and data.columns.answer"
                )))
            }
        }
    }

    /// Closed sets are scored.
    fn scores(&self) -> Result<(), RunError> {
        if !matches!(self.config.task, TaskConfig::ClosedSet(_)) {
            return Ok(());
        }
        let asked = self.methods().flat_map(|method| &method.config.collaborators);
        let asked = asked.filter_map(|one| self.parts.models.get(one.model()?).map(AsRef::as_ref));
        let mut models = std::iter::once(self.base.as_ref()).chain(asked);
        match models.find(|model| !model.capabilities().scores) {
            None => Ok(()),
            Some(model) => Err(RunError::Assembly(format!(
                "{} cannot score, and task.kind = \"closed_set\" compares the options' probabilities: take another model",
                model.id()
            ))),
        }
    }
}
