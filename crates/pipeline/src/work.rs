//! How much a method will compute at most, before it does.

use crate::evolve::repeats;
use crate::labels::held_out;
use crate::method::{CollaboratorConfig, ENSEMBLE, EvolveOn, FOLDS, MethodConfig, OWN_MODELS, WARM};
use semievol_select::{AdjudicatorConfig, Over, SelectorConfig};
use semievol_train::Recipe;

/// Optimiser steps, and prompts that language models of this process answer or score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MethodWork {
    /// Of all trainings.
    pub steps: usize,
    /// Those of them that the evolved model of one round takes.
    pub evolve_steps: usize,
    /// Of all models.
    pub prompts: usize,
}

impl MethodConfig {
    /// The work of so many labels and prompts, the warm model's included and the test rows' left out: an upper limit, for
    /// nobody knows yet how many disputes there are and how many pseudo-labels are kept.
    /// Of `open` answers the final ones are scored anew.
    pub fn work(&self, recipe: &Recipe, labelled: usize, unlabelled: usize, open: bool) -> MethodWork {
        let unlabelled = self.n_unlabelled(labelled, unlabelled);
        let warm = recipe.total_steps(labelled);
        let models = self.ensemble.max(1) + self.folds;
        let mut work = MethodWork { steps: warm * models, ..MethodWork::default() };
        if let Some(pretrain) = &self.pretrain {
            let examples = labelled + unlabelled;
            work.steps += examples.div_ceil(recipe.batch_size.max(1)) * pretrain.epochs;
        }
        for collaborator in &self.collaborators {
            if let CollaboratorConfig::LanguageModel { model, .. } = collaborator {
                let models = match model.as_str() {
                    FOLDS => self.folds,
                    ENSEMBLE => self.ensemble,
                    name if OWN_MODELS.contains(&name) => 1,
                    // Elsewhere, at that machine's pace.
                    _ => continue,
                };
                // The labels that a fold's model has not learnt are answered, too.
                work.prompts += models * unlabelled + if self.folds > 0 { labelled } else { 0 };
            }
        }
        // The warm model's own word, by which confidence is measured, where it is asked for nothing else.
        let asks_warm = |one: &CollaboratorConfig| {
            matches!(one, CollaboratorConfig::LanguageModel { model, shots, wording: None, .. }
                if model == WARM && *shots == self.confidence_shots)
        };
        if self.combine.is_none() {
            // Of folds, their labels too.
            let asked = unlabelled + if self.folds > 0 { labelled } else { 0 };
            let anew = open || !self.collaborators.iter().any(asks_warm);
            let judged = matches!(self.justify, AdjudicatorConfig::SelfJustify { .. });
            work.prompts += (usize::from(anew) + usize::from(judged)) * asked;
            let over_labelled =
                matches!(self.select, SelectorConfig::Percentile { over: Over::Labelled, .. });
            work.prompts += if over_labelled { labelled } else { 0 };
        }
        let labels = match self.evolve.on {
            EvolveOn::Selected => 0,
            EvolveOn::LabelsAndSelected => {
                // Fewer labels, of which some are held out, may be repeated so often that they are more.
                let held_out = held_out(self.rounds.validation, labelled);
                let repeated = |n: usize| n * repeats(n, unlabelled, self.evolve.label_share);
                repeated(labelled).max(repeated(labelled - held_out))
            }
        };
        let examples = labels + unlabelled;
        work.evolve_steps = self.evolve.recipe(recipe, labelled, examples).total_steps(examples);
        if recipe.max_steps == 0 {
            // Fewer examples are learnt in so many passes that they take as many steps as the labels, and are cut at whole passes.
            let pass = examples.div_ceil(recipe.batch_size.max(1));
            work.evolve_steps = work.evolve_steps.max((warm + pass).saturating_sub(1));
        }
        work.steps += work.evolve_steps;
        let rounds = self.rounds.n.max(1);
        work.steps += work.evolve_steps * (rounds - 1);
        work.prompts *= rounds;
        work
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_train_and_answer_each() {
        let method: MethodConfig = toml::from_str(
            r#"
            neighbours = 0
            retrieval = { kind = "exact" }
            warm = { shots = 0 }
            folds = 4
            collaborators = [{ kind = "language_model", name = "folds", model = "folds" }]
            combine = { kind = "log_pool" }
            justify = { kind = "mixture" }
            confidence = { kind = "mixture" }
            select = { kind = "all" }
            evolve = { label_share = 0.5, epochs = 2 }
            "#,
        )
        .unwrap();
        let recipe = Recipe { epochs: 3, batch_size: 8, ..Recipe::default() };
        // 16 labels: 2 steps an epoch, 6 in all, of five models. 80 prompts with the labels as often make 160 examples.
        let expected = MethodWork { steps: 5 * 6 + 2 * 20, evolve_steps: 2 * 20, prompts: 4 * 80 + 16 };
        assert_eq!(method.work(&recipe, 16, 80, false), expected);
        // What is asked elsewhere is no work of this process.
        let mut served = method.clone();
        served.folds = 0;
        served.collaborators = toml::from_str::<MethodConfig>(
            &toml::to_string(&method).unwrap().replace("model = \"folds\"", "model = \"served\""),
        )
        .unwrap()
        .collaborators;
        assert_eq!(served.work(&recipe, 16, 80, false).prompts, 0);
    }
}
