//! What models of elsewhere will be asked.

use crate::assembly::Assembly;
use crate::sets::Sets;
use semievol_core::Labeled;
use semievol_model::{LanguageModel, Work};
use semievol_pipeline::Method;
use std::sync::Arc;

impl Assembly<'_> {
    /// For each model that is asked and is none of this process, what that takes for the rows of these seeds, in words.
    pub fn asked_elsewhere<'s>(&self, seeds: impl Iterator<Item = &'s Sets> + Clone) -> Vec<String> {
        // To choose a selector, the prompts are asked about anew without each fold of the labels.
        let folds = self.config.tune.as_ref().filter(|tune| !tune.select.is_empty());
        let folds = std::iter::repeat_n(self.method, folds.map_or(0, |tune| tune.folds));
        let methods = self.methods().chain(folds);
        let estimate = |(name, model): (&String, &Arc<dyn LanguageModel>)| {
            let mut work = Work::default();
            for method in methods.clone() {
                let collaborators = method.config.collaborators.iter();
                let asked = collaborators.filter(|one| one.model() == Some(name));
                // At most: later rounds are asked about what the ones before left.
                let asked = asked.flat_map(|one| std::iter::repeat_n(one, method.config.rounds.n.max(1)));
                for collaborator in asked {
                    seeds.clone().for_each(|sets| self.count(method, collaborator.shots(), sets, &mut work));
                }
            }
            let estimate = model.estimate(&work).filter(|_| work.prompts > 0)?;
            Some(format!(
                "model `{name}`, all arms and seeds: {estimate}; what a finished stage has is not asked again"
            ))
        };
        self.parts.models.iter().filter_map(estimate).collect()
    }

    /// Adds what a collaborator is asked about the rows of one seed. Any neighbours are as long as the first.
    fn count(&self, method: &Method, shots: usize, sets: &Sets, work: &mut Work) {
        let Sets { labelled, unlabelled, .. } = sets;
        let shown: Vec<&Labeled> = labelled.iter().take(shots).collect();
        let unlabelled = method.config.of_pool(labelled.len(), unlabelled);
        // Of folds the labels are asked about, too.
        let labels = labelled.iter().map(|labeled| &labeled.sample).filter(|_| method.config.folds > 0);
        for sample in unlabelled.iter().chain(labels) {
            let prompt = self.task.prompt(sample, &shown);
            let continuations = self.task.candidates(sample).len();
            let new_tokens = if continuations == 0 { self.config.max_answer_tokens } else { 0 };
            work.add(&prompt, continuations, new_tokens);
        }
    }
}
