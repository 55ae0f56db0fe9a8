//! Choice without peeking: how long and how fast to train, by cross-validation on the labels alone.

use crate::labels::check_folds;
use crate::{Answered, OnEvent, PipelineError, SeedRun, StageEvent};
use semievol_core::{Answer, Labeled};
use semievol_train::Recipe;
use serde::{Deserialize, Serialize};

/// What is tried: every number of epochs with every learning rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TuneConfig {
    /// Folds of the cross-validation. A method with as many folds, whose warm model learns no shots and goes on from
    /// nothing, takes the models of the chosen recipe from here.
    pub folds: usize,
    /// Passes over the labels; those of the recipe where none is named.
    pub epochs: Vec<usize>,
    /// Largest learning rates; that of the recipe where none is named.
    pub lr: Vec<f64>,
}

impl Default for TuneConfig {
    fn default() -> Self {
        TuneConfig { folds: 5, epochs: Vec::new(), lr: Vec::new() }
    }
}

/// A recipe that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// Passes over the labels.
    pub epochs: usize,
    /// Largest learning rate.
    pub lr: f64,
    /// Labels answered right by models that had not learnt them.
    pub right: usize,
    /// Labels.
    pub of: usize,
    /// Mean `-ln P` of the right option; absent for open answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nll: Option<f64>,
    /// Whether it was chosen.
    pub chosen: bool,
}

impl TuneConfig {
    /// Refuses what cannot be tried.
    ///
    /// # Errors
    /// Names the setting, its value and what would be right.
    pub fn check(&self, recipe: &Recipe) -> Result<(), String> {
        if self.folds < 2 {
            return Err(format!("tune.folds is {}, but must be at least 2", self.folds));
        }
        if self.epochs.is_empty() && self.lr.is_empty() {
            return Err("tune names neither epochs nor lr, so there is nothing to choose from".into());
        }
        if recipe.max_steps > 0 && !self.epochs.is_empty() {
            return Err(format!(
                "tune.epochs changes nothing, for train.max_steps = {} decides how long to train: leave one of them out",
                recipe.max_steps
            ));
        }
        self.recipes(recipe)
            .iter()
            .try_for_each(|recipe| recipe.check().map_err(|error| format!("tune: {error}")))
    }

    fn recipes(&self, recipe: &Recipe) -> Vec<Recipe> {
        let epochs = if self.epochs.is_empty() { vec![recipe.epochs] } else { self.epochs.clone() };
        let rates = if self.lr.is_empty() { vec![recipe.lr] } else { self.lr.clone() };
        let with = |epochs: usize| rates.iter().map(move |lr| Recipe { epochs, lr: *lr, ..recipe.clone() });
        epochs.into_iter().flat_map(with).collect()
    }
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
        check_folds("tune.folds", config.folds, labelled.len(), labelled)?;
        let recipes = config.recipes(self.recipe);
        let mut tried = Vec::with_capacity(recipes.len());
        for recipe in &recipes {
            let name = format!("tune-epochs-{}-lr-{}", recipe.epochs, recipe.lr);
            let run = SeedRun { recipe, folder: self.folder.join(&name), ..self.clone() };
            let mut within = |event: &StageEvent| events(&event.within(&name));
            tried.push(run.try_on_folds(config.folds, labelled, &mut within)?);
        }
        let better =
            |best: usize, other: usize| if beats(&tried[other], &tried[best]) { other } else { best };
        let chosen = (0..tried.len()).fold(0, better);
        tried[chosen].chosen = true;
        let Tried { epochs, lr, right, of, .. } = tried[chosen];
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
    ) -> Result<Tried, PipelineError> {
        let without = vec![Vec::new(); labelled.len()];
        let folds = self.train_folds(n, labelled, &without, 0, None, events)?;
        let (mut right, mut logs) = (0, Vec::new());
        for fold in folds.held_out() {
            let samples = fold.samples(labelled);
            let name = format!("fold-{}", fold.fold);
            let answered = self.answer(&name, fold.model, &samples, &[], events)?;
            for (row, answered) in fold.rows.iter().zip(&answered) {
                let gold = &labelled[*row].answer;
                let is_right = |answer: &Answer| self.task.is_correct(answer, gold);
                right += usize::from(answered.predicted.as_ref().is_some_and(is_right));
                logs.extend(nll(answered, gold));
            }
        }
        let nll = (logs.len() == labelled.len()).then(|| logs.iter().sum::<f64>() / logs.len() as f64);
        let (epochs, lr) = (self.recipe.epochs, self.recipe.lr);
        Ok(Tried { epochs, lr, right, of: labelled.len(), nll, chosen: false })
    }
}

fn nll(answered: &Answered, gold: &Answer) -> Option<f64> {
    let Answer::Choice(gold) = *gold else { return None };
    Some(-answered.options.get(gold)?.probability.max(f64::MIN_POSITIVE).ln())
}

fn beats(one: &Tried, other: &Tried) -> bool {
    let sure = |tried: &Tried| -tried.nll.unwrap_or(f64::INFINITY);
    one.right.cmp(&other.right).then(sure(one).total_cmp(&sure(other))).is_gt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_right_answers_win_and_surer_ones_among_equals() {
        let tried = |right, nll| Tried { epochs: 1, lr: 1.0, right, of: 9, nll, chosen: false };
        assert!(beats(&tried(7, Some(2.0)), &tried(6, Some(0.1))));
        assert!(beats(&tried(7, Some(0.3)), &tried(7, Some(0.4))));
        assert!(!beats(&tried(7, Some(0.3)), &tried(7, Some(0.3))));
        assert!(!beats(&tried(7, None), &tried(7, None)));
    }

    #[test]
    fn all_combinations_are_tried() {
        let config = TuneConfig { epochs: vec![2, 4], lr: vec![1e-4, 5e-4], ..TuneConfig::default() };
        let recipes = config.recipes(&Recipe::default());
        let found: Vec<(usize, f64)> = recipes.iter().map(|recipe| (recipe.epochs, recipe.lr)).collect();
        assert_eq!(found, [(2, 1e-4), (2, 5e-4), (4, 1e-4), (4, 5e-4)]);
        assert!(TuneConfig::default().check(&Recipe::default()).is_err());
        assert!(TuneConfig { epochs: vec![0], ..config }.check(&Recipe::default()).is_err());
    }
}
