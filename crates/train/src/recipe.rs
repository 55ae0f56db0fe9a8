use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How to fine-tune. The defaults suit a small model and a few hundred examples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// LoRA rank `r` (Hu et al., arXiv 2106.09685).
    pub rank: usize,
    /// LoRA scale: the change is `alpha / rank * B A`.
    pub alpha: f64,
    /// Largest learning rate.
    pub lr: f64,
    /// Passes over the examples.
    pub epochs: usize,
    /// Examples per optimiser step.
    pub batch_size: usize,
    /// Share of the steps over which the learning rate rises from 0.
    pub warmup_ratio: f64,
    /// Cosine decay to 0 after warm-up; constant otherwise.
    pub cosine: bool,
    /// Decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101).
    pub weight_decay: f64,
    /// Gradients are scaled down to this Euclidean norm; 0 leaves them.
    pub max_grad_norm: f64,
    /// Stop after this many optimiser steps, the examples repeated as needed; 0: `epochs` decides.
    pub max_steps: usize,
    /// Most tokens, shared prefixes counted once, that one forward and backward pass holds. A batch that is
    /// larger is split, its gradients added up per token.
    pub tokens_per_pass: usize,
    /// Write a checkpoint every so many optimiser steps, or after every 200th part of a training where that is more; a kill
    /// loses what lies between two. 0: never.
    pub checkpoint_every: usize,
}

/// Most checkpoints of one training.
const MOST_CHECKPOINTS: usize = 200;

/// Most passes over the examples.
pub const MOST_EPOCHS: usize = 1_000_000;

impl Default for Recipe {
    fn default() -> Self {
        Recipe {
            rank: 16,
            alpha: 32.0,
            lr: 5e-4,
            epochs: 4,
            batch_size: 8,
            warmup_ratio: 0.1,
            cosine: true,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
            max_steps: 0,
            tokens_per_pass: 4096,
            checkpoint_every: 10,
        }
    }
}

/// A recipe that cannot be followed, whoever would follow it or by this trainer.
#[derive(Debug, Error, PartialEq)]
#[error("train.{field} is {value}, but must be {expected}")]
pub struct RecipeError {
    field: &'static str,
    value: String,
    expected: &'static str,
}

impl RecipeError {
    /// Names a field of the recipe, its value and what would be right: for a trainer that cannot do all that a recipe may
    /// ask.
    pub fn new(field: &'static str, value: impl ToString, expected: &'static str) -> Self {
        RecipeError { field, value: value.to_string(), expected }
    }
}

impl Recipe {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that is out of range, its value and the range.
    pub fn check(&self) -> Result<(), RecipeError> {
        let positive = |v: f64| v.is_finite() && v > 0.0;
        let checks: [(&'static str, String, bool, &'static str); 11] = [
            ("rank", self.rank.to_string(), self.rank > 0, "at least 1"),
            ("alpha", self.alpha.to_string(), positive(self.alpha), "a positive number"),
            ("lr", self.lr.to_string(), positive(self.lr), "a positive number"),
            (
                "epochs",
                self.epochs.to_string(),
                (1..=MOST_EPOCHS).contains(&self.epochs),
                "from 1 to 1,000,000",
            ),
            (
                "max_steps",
                self.max_steps.to_string(),
                self.max_steps <= 1_000_000_000,
                "at most 1,000,000,000",
            ),
            ("batch_size", self.batch_size.to_string(), self.batch_size > 0, "at least 1"),
            (
                "warmup_ratio",
                self.warmup_ratio.to_string(),
                (0.0..1.0).contains(&self.warmup_ratio),
                "in [0, 1)",
            ),
            (
                "weight_decay",
                self.weight_decay.to_string(),
                self.weight_decay.is_finite() && self.weight_decay >= 0.0,
                "0 or more",
            ),
            (
                "max_grad_norm",
                self.max_grad_norm.to_string(),
                self.max_grad_norm.is_finite() && self.max_grad_norm >= 0.0,
                "0 or more",
            ),
            ("tokens_per_pass", self.tokens_per_pass.to_string(), self.tokens_per_pass > 0, "at least 1"),
            (
                "lr * weight_decay",
                (self.lr * self.weight_decay).to_string(),
                self.lr * self.weight_decay < 1.0,
                "under 1",
            ),
        ];
        match checks.into_iter().find(|(_, _, ok, _)| !ok) {
            None => Ok(()),
            Some((field, value, _, expected)) => Err(RecipeError { field, value, expected }),
        }
    }

    /// Optimiser steps over `n_examples`: `ceil(n / batch_size) * epochs`, or `max_steps`. A batch holds at least one
    /// example.
    pub fn total_steps(&self, n_examples: usize) -> usize {
        if self.max_steps > 0 {
            self.max_steps
        } else {
            n_examples.div_ceil(self.batch_size.max(1)).saturating_mul(self.epochs)
        }
    }

    /// Whether a checkpoint is due after so many steps of so many in all.
    pub fn is_checkpoint(&self, done: usize, total: usize) -> bool {
        let every = self.checkpoint_every.max(total.div_ceil(MOST_CHECKPOINTS));
        self.checkpoint_every > 0 && done.is_multiple_of(every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_can_be_followed() {
        assert_eq!(Recipe::default().check(), Ok(()));
    }

    #[test]
    fn checkpoints_of_long_trainings_are_further_apart() {
        let due =
            |recipe: &Recipe, total| (1..=total).filter(|done| recipe.is_checkpoint(*done, total)).count();
        let recipe = Recipe { checkpoint_every: 10, ..Recipe::default() };
        assert_eq!([9, 10, 2000, 2001, 100_000].map(|total| due(&recipe, total)), [0, 1, 200, 181, 200]);
        assert_eq!(due(&Recipe { checkpoint_every: 0, ..recipe }, 100), 0);
    }

    #[test]
    fn a_bad_field_is_named_with_its_value() {
        let error = Recipe { lr: f64::NAN, ..Recipe::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "train.lr is NaN, but must be a positive number");
        let error = Recipe { warmup_ratio: 1.0, ..Recipe::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "train.warmup_ratio is 1, but must be in [0, 1)");
    }

    #[test]
    fn a_partial_batch_is_a_step() {
        let recipe = Recipe { batch_size: 8, epochs: 2, ..Recipe::default() };
        assert_eq!(recipe.total_steps(17), 6);
        assert_eq!(Recipe { max_steps: 5, ..recipe }.total_steps(17), 5);
    }
}
