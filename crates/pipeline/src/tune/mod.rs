//! Choice without peeking: by cross-validation on the labels alone, how long and how fast to train, and what to keep.

mod recipe;
mod score;
mod select;

pub use recipe::Tried;
pub use score::HeldOut;
pub use select::{TriedSelector, TriedSelectors};

use crate::PipelineError;
use crate::labels::check_folds;
use semievol_core::Labeled;
use semievol_select::SelectorConfig;
use semievol_train::Recipe;
use serde::{Deserialize, Serialize};

/// What is tried: every number of epochs with every learning rate; then every selector, with the recipe that was chosen.
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
    /// Selectors, each as `method.select` has one, for the arm `semievol`. Of each the whole method is run on the labels
    /// without each fold, and asked about that fold: as many trainings of the last model as selectors times folds.
    /// `method.shares` are for those that go by them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub select: Vec<SelectorConfig>,
}

impl Default for TuneConfig {
    fn default() -> Self {
        TuneConfig { folds: 5, epochs: Vec::new(), lr: Vec::new(), select: Vec::new() }
    }
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
        if !self.tries_recipes() && self.select.is_empty() {
            return Err(
                "tune names neither epochs nor lr nor select, so there is nothing to choose from".into()
            );
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

    /// Refuses more folds than these labels can be cut into.
    ///
    /// # Errors
    /// Names the setting and what would be right.
    pub fn check_labels(&self, labelled: &[Labeled]) -> Result<(), PipelineError> {
        check_folds("tune.folds", self.folds, labelled.len(), labelled)
    }

    /// Whether there is a recipe to choose.
    pub fn tries_recipes(&self) -> bool {
        !(self.epochs.is_empty() && self.lr.is_empty())
    }

    /// The recipes that are tried: where none is named, the one that is given.
    pub fn recipes(&self, recipe: &Recipe) -> Vec<Recipe> {
        let epochs = if self.epochs.is_empty() { vec![recipe.epochs] } else { self.epochs.clone() };
        let rates = if self.lr.is_empty() { vec![recipe.lr] } else { self.lr.clone() };
        let with = |epochs: usize| rates.iter().map(move |lr| Recipe { epochs, lr: *lr, ..recipe.clone() });
        epochs.into_iter().flat_map(with).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_combinations_are_tried() {
        let config = TuneConfig { epochs: vec![2, 4], lr: vec![1e-4, 5e-4], ..TuneConfig::default() };
        let recipes = config.recipes(&Recipe::default());
        let found: Vec<(usize, f64)> = recipes.iter().map(|recipe| (recipe.epochs, recipe.lr)).collect();
        assert_eq!(found, [(2, 1e-4), (2, 5e-4), (4, 1e-4), (4, 5e-4)]);
        assert!(TuneConfig::default().check(&Recipe::default()).is_err());
        assert!(TuneConfig { epochs: vec![0], ..config }.check(&Recipe::default()).is_err());
        let select = vec![SelectorConfig::All {}];
        assert!(TuneConfig { select, ..TuneConfig::default() }.check(&Recipe::default()).is_ok());
    }
}
