//! Cross-fitting: models that have not learnt a fold of the labels, and so can be asked about it.

use crate::method::Method;
use crate::round::{Round, class};
use crate::{Library, OnEvent, PipelineError, SeedRun};
use semievol_core::{Labeled, Sample};
use semievol_model::LanguageModel;
use semievol_select::Calibrated;
use semievol_select::classify::stratified_folds;
use semievol_train::Recipe;
use std::collections::HashSet;
use std::sync::Arc;

/// The labelled samples in folds, and for each fold a model that learnt the others.
pub(crate) struct Folds {
    fold_of: Vec<usize>,
    models: Vec<Arc<dyn LanguageModel>>,
}

impl Folds {
    /// One model for each fold.
    pub fn models(&self) -> Vec<&dyn LanguageModel> {
        self.models.iter().map(AsRef::as_ref).collect()
    }

    /// Which labelled samples are in a fold.
    fn rows(&self, fold: usize) -> Vec<usize> {
        (0..self.fold_of.len()).filter(|row| self.fold_of[*row] == fold).collect()
    }
}

impl SeedRun<'_> {
    /// Trains the models of `n` stratified folds as the warm model is trained. Neighbours of the fold that is held
    /// out are not shown either.
    pub(crate) fn train_folds(
        &self,
        n: usize,
        labelled: &[Labeled],
        neighbours: &[Vec<&Labeled>],
        shots: usize,
        events: OnEvent<'_>,
    ) -> Result<Folds, PipelineError> {
        let classes: Vec<usize> = labelled.iter().map(class).collect();
        let fold_of = stratified_folds(&classes, n, self.seed.child("folds", 0));
        let mut models = Vec::with_capacity(n);
        for fold in 0..n {
            let (out, rows): (Vec<usize>, Vec<usize>) =
                (0..labelled.len()).partition(|row| fold_of[*row] == fold);
            let out: HashSet<&str> = out.into_iter().map(|row| labelled[row].sample.id.as_str()).collect();
            let learnt: Vec<&Labeled> = rows.iter().map(|row| &labelled[*row]).collect();
            let shown: Vec<Vec<&Labeled>> = rows
                .iter()
                .map(|row| neighbours.get(*row).map(Vec::as_slice).unwrap_or_default())
                .map(|shots| {
                    shots.iter().copied().filter(|shot| !out.contains(shot.sample.id.as_str())).collect()
                })
                .collect();
            let (lessons, max_steps) = self.warm_lessons(&learnt, &shown, shots);
            let recipe = Recipe { max_steps, ..self.recipe.clone() };
            let name = format!("fold-{fold}");
            let trained = self.train_from(1 + fold as u64, &name, &lessons, &recipe, events)?;
            models.push(self.load(&name, &trained.adapter)?);
        }
        Ok(Folds { fold_of, models })
    }

    /// Asks about the labelled samples as about unlabelled ones, each fold's model about its fold, and compares the
    /// final answers with the labels. Samples without an answer or a confidence are left out, as pseudo-labels are.
    pub(crate) fn calibrate(
        &self,
        method: &Method,
        folds: &Folds,
        library: &Library<'_>,
        neighbours: &[Vec<&Labeled>],
        events: OnEvent<'_>,
    ) -> Result<Vec<Calibrated>, PipelineError> {
        let labelled = library.labelled();
        let mut calibrated = Vec::with_capacity(labelled.len());
        for (fold, model) in folds.models().into_iter().enumerate() {
            let rows = folds.rows(fold);
            let samples: Vec<Sample> = rows.iter().map(|row| labelled[*row].sample.clone()).collect();
            let taught = (0..labelled.len()).filter(|row| folds.fold_of[*row] != fold);
            let round = Round {
                tag: format!("-fold-{fold}"),
                warm: model,
                folds: vec![model],
                samples: &samples,
                neighbours: rows
                    .iter()
                    .map(|row| neighbours.get(*row).cloned().unwrap_or_default())
                    .collect(),
                taught: taught.map(|row| &labelled[row]).collect(),
            };
            let judged = self.judge(method, &round, library, events)?;
            for ((row, last), estimate) in rows.iter().zip(&judged.finals).zip(&judged.estimates) {
                if let (Some(answer), Some(confidence)) = (&last.last.answer, estimate.confidence) {
                    let correct = self.task.is_correct(answer, &labelled[*row].answer);
                    calibrated.push(Calibrated { confidence, correct });
                }
            }
        }
        Ok(calibrated)
    }
}
