//! Labels that are kept out of training, to judge rounds by.

use crate::labels::hold_out;
use crate::{OnEvent, PipelineError, SeedRun};
use semievol_core::{Labeled, Sample};
use semievol_model::LanguageModel;

impl SeedRun<'_> {
    /// The labels to learn, and those that judge rounds.
    pub(super) fn hold_out(&self, share: f64, labelled: &[Labeled]) -> (Vec<Labeled>, Vec<Labeled>) {
        if share <= 0.0 {
            return (labelled.to_vec(), Vec::new());
        }
        let held = hold_out(share, labelled, self.seed.child("hold out", 0));
        let (held_out, learnt): (Vec<_>, Vec<_>) =
            labelled.iter().cloned().enumerate().partition(|(row, _)| held.contains(row));
        let rows = |pairs: Vec<(usize, Labeled)>| pairs.into_iter().map(|(_, labeled)| labeled).collect();
        (rows(learnt), rows(held_out))
    }

    /// Held-out labels that a model answers right.
    pub(super) fn validate(
        &self,
        name: &str,
        model: &dyn LanguageModel,
        held_out: &[Labeled],
        events: OnEvent<'_>,
    ) -> Result<Option<usize>, PipelineError> {
        if held_out.is_empty() {
            return Ok(None);
        }
        let samples: Vec<Sample> = held_out.iter().map(|labeled| labeled.sample.clone()).collect();
        let answered = self.answer(&format!("held-out-{name}"), model, &samples, &[], events)?;
        let right = |(answered, labeled): &(&crate::Answered, &Labeled)| {
            answered.predicted.as_ref().is_some_and(|answer| self.task.is_correct(answer, &labeled.answer))
        };
        Ok(Some(answered.iter().zip(held_out).filter(right).count()))
    }
}
