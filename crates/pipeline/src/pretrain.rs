//! Task-adaptive pretraining: the language-model loss on the prompts themselves, before anything is learnt about
//! answers (Gururangan et al., ACL 2020; Shi et al., Findings of ACL 2023, found it to beat self-training).

use crate::{OnEvent, PipelineError, SeedRun, Start, Trained};
use semievol_core::{Labeled, Prompt, Sample};
use semievol_train::{Example, Recipe};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How it is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PretrainConfig {
    /// What asks for a question, so that it stands where answers do; empty asks nothing.
    pub instruction: String,
    /// Passes over the questions.
    pub epochs: usize,
    /// Largest learning rate.
    pub lr: f64,
}

impl Default for PretrainConfig {
    fn default() -> Self {
        PretrainConfig { instruction: String::new(), epochs: 2, lr: 2e-4 }
    }
}

impl SeedRun<'_> {
    /// Learns to write the questions of all samples; answers have no part in it. Of a question that is longer than the
    /// model holds, it learns the beginning.
    ///
    /// # Errors
    /// What the trainer says.
    pub fn pretrain(
        &self,
        config: &PretrainConfig,
        labelled: &[Labeled],
        unlabelled: &[Sample],
        events: OnEvent<'_>,
    ) -> Result<Trained, PipelineError> {
        let samples: Vec<&Sample> =
            labelled.iter().map(|labeled| &labeled.sample).chain(unlabelled).collect();
        let ids: Vec<&str> = samples.iter().map(|sample| sample.id.as_str()).collect();
        let example = |sample: &&Sample| Example::new(Prompt::user(&config.instruction), &sample.question);
        let examples: Vec<Example> = samples.iter().map(example).collect();
        let recipe = Recipe { epochs: config.epochs, lr: config.lr, max_steps: 0, ..self.recipe.clone() };
        let mut shorter: BTreeMap<usize, &str> = BTreeMap::new();
        let mut halve = |index: usize| {
            let Some(sample) = samples.get(index) else { return Ok(None) };
            let left = shorter.entry(index).or_insert(&sample.question);
            let half = left.chars().count() / 2;
            let end = left.char_indices().nth(half).map_or(0, |(end, _)| end);
            *left = &left[..end];
            Ok((!left.is_empty()).then(|| Example::new(Prompt::user(&config.instruction), *left)))
        };
        // Other rows make another model: arms may take different parts of the prompts.
        let name = format!("pretrain-{}", examples.len());
        self.train_examples(Start::default(), &name, examples, &ids, &recipe, &mut halve, events)
    }
}
