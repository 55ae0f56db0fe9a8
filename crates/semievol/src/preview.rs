//! What an experiment would do: its rows, and how much work they are.

use crate::assembly::Assembly;
use crate::sets::{Pool, Sets};
use crate::{Arm, Event, Experiment, RunError, SetSizes};
use semievol_data::TaskConfig;
use semievol_hub::Hub;
use semievol_pipeline::{Method, MethodConfig, Parts};
use semievol_train::Recipe;

/// What an arm computes at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArmWork {
    /// The arm.
    pub arm: Arm,
    /// Optimiser steps.
    pub steps: usize,
    /// Prompts that are answered or scored, the test rows included.
    pub prompts: usize,
}

impl Experiment {
    /// The rows that a seed draws: those of the run.
    ///
    /// # Errors
    /// If a file cannot be fetched or understood, or has too few rows.
    pub fn draw(&self, seed: u64, hub: &Hub, events: &mut dyn FnMut(&Event)) -> Result<Sets, RunError> {
        Pool::read(self.config(), self.origin(), hub, events)?.draw(seed)
    }

    /// What the run refuses before it computes anything: rows, task, methods and models that do not go together.
    ///
    /// # Errors
    /// Names the setting, what does not fit it, and what to do.
    pub fn check_rows(&self, sets: &Sets, parts: Parts<'_>) -> Result<(), RunError> {
        self.check_rows_with(&self.method()?, sets, parts)
    }

    /// The same of [`Experiment::run_with`].
    ///
    /// # Errors
    /// As [`Experiment::check_rows`].
    pub fn check_rows_with(&self, method: &Method, sets: &Sets, parts: Parts<'_>) -> Result<(), RunError> {
        Assembly::new(self, method, parts)?.check(sets)
    }

    /// What models of elsewhere would be asked in all, one sentence for each that says so; nothing is asked for it. The other
    /// seeds are taken to be like the one that was drawn.
    ///
    /// # Errors
    /// As [`Experiment::check_rows`].
    pub fn asked_elsewhere(&self, sets: &Sets, parts: Parts<'_>) -> Result<Vec<String>, RunError> {
        let method = self.method()?;
        let seeds = std::iter::repeat_n(sets, self.config().seeds.len());
        Ok(Assembly::new(self, &method, parts)?.asked_elsewhere(seeds))
    }

    /// The work of one seed in this process, arm by arm: an upper limit. What two arms share, such as the model trained on the
    /// labels, is counted with the first; what chooses the recipe is counted with none ([`Experiment::tuning`]).
    pub fn work(&self, sizes: &SetSizes) -> Vec<ArmWork> {
        let (config, sets, open) = (self.config(), sizes, self.is_open());
        let recipe = self.longest_recipe();
        let sft = recipe.total_steps(sets.labelled);
        let work = |arm: &Arm| {
            let method = match arm {
                Arm::Variant(name) => config.methods.get(name).unwrap_or(&config.method),
                _ => &config.method,
            };
            (method, method.work(&recipe, sets.labelled, sets.unlabelled, open))
        };
        let semi = config.arms.iter().filter(|arm| arm.is_semi_supervised());
        let evolved = semi.map(|arm| work(arm).1.evolve_steps).max().unwrap_or(sft);
        // Of the language-model loss on all questions.
        let per_pass = (sets.labelled + sets.unlabelled).div_ceil(recipe.batch_size.max(1));
        let pretraining = config.method.pretrain.as_ref().map_or(0, |pretrain| per_pass * pretrain.epochs);
        let mut warm_counted = false;
        let arms = config.arms.iter().map(|arm| {
            let (steps, prompts) = match arm {
                Arm::Vanilla | Arm::InContext | Arm::InContextBm25 => (0, sets.test),
                Arm::Classifier => (0, 0),
                Arm::Sft => {
                    warm_counted = true;
                    (sft, sets.test)
                }
                Arm::SftPretrained => {
                    (sft + per_pass * config.method.pretrain.clone().unwrap_or_default().epochs, sets.test)
                }
                Arm::SftMatched => (evolved, sets.test),
                Arm::Oracle => {
                    // All gold answers there are, however few of these rows the method takes.
                    let method = MethodConfig { unlabelled_per_label: None, ..config.method.clone() };
                    let work = method.work(&recipe, sets.labelled, sets.unlabelled, open);
                    (work.evolve_steps + pretraining, sets.test)
                }
                Arm::Semievol | Arm::Variant(_) => {
                    let (method, work) = work(arm);
                    // The very model of the labels alone.
                    let plain = method.warm.shots == 0
                        && method.pretrain.is_none()
                        && method.rounds.validation == 0.0;
                    let known = plain && warm_counted;
                    (work.steps - if known { sft } else { 0 }, work.prompts + sets.test)
                }
            };
            let words = if steps > 0 { 1 + config.paraphrases.len() } else { 1 };
            ArmWork { arm: arm.clone(), steps, prompts: prompts + (words - 1) * sets.test }
        });
        arms.collect()
    }

    fn is_open(&self) -> bool {
        !matches!(self.config().task, TaskConfig::ClosedSet(_))
    }

    /// Steps and prompts of the cross-validation that chooses recipe and selector of one seed, at most; none where nothing
    /// is chosen.
    pub fn tuning(&self, sizes: &SetSizes) -> (usize, usize) {
        let Some(tune) = &self.config().tune else { return (0, 0) };
        let learnt = sizes.labelled - sizes.labelled / tune.folds.max(1);
        let (mut steps, mut prompts) = (0, 0);
        if tune.tries_recipes() {
            let recipes = tune.recipes(&self.config().train);
            steps = tune.folds * recipes.iter().map(|recipe| recipe.total_steps(learnt)).sum::<usize>();
            prompts = recipes.len() * sizes.labelled;
        }
        let selectors = tune.select.len();
        if selectors == 0 {
            return (steps, prompts);
        }
        let recipe = self.longest_recipe();
        let method = &self.config().method;
        let (work, rounds) =
            (method.work(&recipe, learnt, sizes.unlabelled, self.is_open()), method.rounds.n.max(1));
        let of_fold = work.steps + (selectors - 1) * rounds * work.evolve_steps;
        // Later rounds ask what their own models say; the first one's answers are the same for all.
        let asked = work.prompts + (selectors - 1) * (work.prompts - work.prompts / rounds);
        (steps + tune.folds * of_fold, prompts + tune.folds * asked + (selectors + 1) * sizes.labelled)
    }

    /// The longest of those that are tried, whichever is chosen.
    fn longest_recipe(&self) -> Recipe {
        let config = self.config();
        let tried = config.tune.iter().flat_map(|tune| &tune.epochs).copied();
        let longest = tried.max().unwrap_or(config.train.epochs).max(config.train.epochs);
        Recipe { epochs: longest, ..config.train.clone() }
    }
}
