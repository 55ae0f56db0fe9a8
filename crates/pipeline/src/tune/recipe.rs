use super::TuneConfig;
use super::score::{HeldOut, Tally};
use crate::{OnEvent, PipelineError, SeedRun, StageEvent};
use semievol_core::Labeled;
use semievol_train::Recipe;
use serde::{Deserialize, Serialize};

/// A recipe that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// Passes over the labels.
    pub epochs: usize,
    /// Largest learning rate.
    pub lr: f64,
    /// How models that it made answered.
    #[serde(flatten)]
    pub held_out: HeldOut,
    /// Whether it was chosen.
    pub chosen: bool,
}

impl SeedRun<'_> {
    /// Trains every recipe on the labels without each fold and asks about that fold. Chosen is the recipe that answers
    /// most right; of equals the one that is surer of the right answers, then the first.
    ///
    /// # Errors
    /// What the trainer or a model says.
    pub fn tune(
        &self,
        config: &TuneConfig,
        labelled: &[Labeled],
        events: OnEvent<'_>,
    ) -> Result<(Recipe, Vec<Tried>), PipelineError> {
        config.check(self.recipe).map_err(PipelineError::Assembly)?;
        config.check_labels(labelled)?;
        let recipes = config.recipes(self.recipe);
        let mut tried = Vec::with_capacity(recipes.len());
        for recipe in &recipes {
            let name = format!("tune-epochs-{}-lr-{}", recipe.epochs, recipe.lr);
            let run = SeedRun { recipe, folder: self.folder.join(&name), ..self.clone() };
            let mut within = |event: &StageEvent| events(&event.within(&name));
            let held_out = run.try_on_folds(config.folds, labelled, &mut within)?;
            tried.push(Tried { epochs: recipe.epochs, lr: recipe.lr, held_out, chosen: false });
        }
        let chosen = HeldOut::best(tried.iter().map(|one| &one.held_out));
        tried[chosen].chosen = true;
        let Tried { epochs, lr, held_out: HeldOut { right, of, .. }, .. } = tried[chosen];
        events(&StageEvent::Note(format!(
            "of {} recipes, {epochs} epochs at a learning rate of {lr} answer most of the labels that they have not learnt: {right} of {of}",
            tried.len()
        )));
        Ok((recipes[chosen].clone(), tried))
    }

    fn try_on_folds(
        &self,
        n: usize,
        labelled: &[Labeled],
        events: OnEvent<'_>,
    ) -> Result<HeldOut, PipelineError> {
        let without = vec![Vec::new(); labelled.len()];
        let folds = self.train_folds(n, labelled, &without, 0, None, events)?;
        let mut tally = Tally::default();
        for fold in folds.held_out() {
            let samples = fold.samples(labelled);
            let name = format!("fold-{}", fold.fold);
            let answered = self.answer(&name, fold.model, &samples, &[], events)?;
            tally.add(self, fold.rows.iter().map(|row| &labelled[*row]), &answered);
        }
        Ok(tally.mean())
    }
}
