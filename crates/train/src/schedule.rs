use crate::Recipe;
use std::f64::consts::PI;

/// The learning rate of each step: linear warm-up, then half a cosine to 0. It is Transformers'
/// `get_cosine_schedule_with_warmup` but for the warm-up, whose first step is not 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    peak: f64,
    warmup_steps: usize,
    total_steps: usize,
    cosine: bool,
}

impl Schedule {
    /// The schedule of `total_steps` steps; the number of warm-up steps is rounded up.
    pub fn new(recipe: &Recipe, total_steps: usize) -> Self {
        let warmup_steps = (total_steps as f64 * recipe.warmup_ratio).ceil() as usize;
        Schedule { peak: recipe.lr, warmup_steps, total_steps, cosine: recipe.cosine }
    }

    /// The learning rate of step `step`, counted from 0. The first warm-up step has `peak / (warmup + 1)`
    /// rather than 0, so that no step is wasted.
    pub fn lr(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            return self.peak * (step + 1) as f64 / (self.warmup_steps + 1) as f64;
        }
        if !self.cosine {
            return self.peak;
        }
        let done = (step - self.warmup_steps) as f64
            / self.total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        self.peak * 0.5 * (1.0 + (PI * done.min(1.0)).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls() {
        let schedule = Schedule::new(&Recipe { lr: 1.0, ..Recipe::default() }, 40);
        let rates: Vec<f64> = (0..40).map(|step| schedule.lr(step)).collect();
        assert!(rates[..5].windows(2).all(|pair| pair[0] < pair[1]), "{rates:?}");
        assert!(rates[4..].windows(2).all(|pair| pair[0] > pair[1]), "{rates:?}");
        assert_eq!(rates[4], 1.0);
        assert!(rates[39] > 0.0 && rates[39] < 0.01);
    }

    #[test]
    fn a_recipe_that_nobody_checked_has_a_schedule_all_the_same() {
        let unchecked = Recipe { warmup_ratio: 1.5, batch_size: 0, epochs: usize::MAX, ..Recipe::default() };
        assert!(Schedule::new(&unchecked, 10).lr(20).is_finite());
        assert_eq!(unchecked.total_steps(3), usize::MAX);
    }

    #[test]
    fn constant_without_cosine() {
        let recipe = Recipe { lr: 0.5, cosine: false, warmup_ratio: 0.0, ..Recipe::default() };
        let schedule = Schedule::new(&recipe, 3);
        assert!((0..3).all(|step| schedule.lr(step) == 0.5));
    }
}
