//! Eq. 7-8: the decision on each pseudo-label.

use super::{Judged, Selected};
use crate::justify::{Justified, Verdict};
use crate::method::Method;
use crate::{PipelineError, SeedRun};
use semievol_select::{Pool, PseudoLabel};

impl SeedRun<'_> {
    /// `seen` is what the selector sees besides the pseudo-labels.
    pub(super) fn select(
        &self,
        method: &Method,
        judged: Judged,
        seen: Pool<'_>,
    ) -> Result<(Vec<Selected>, Option<String>), PipelineError> {
        let Judged { finals, estimates } = judged;
        let pool: Vec<PseudoLabel> = finals
            .iter()
            .zip(&estimates)
            .map(|(last, estimate)| PseudoLabel {
                id: last.id.clone(),
                answer: last.last.answer.clone(),
                confidence: estimate.confidence,
                agreed: last.by == Verdict::Agreement,
            })
            .collect();
        let selection = method.selector.select(Pool { unlabelled: &pool, ..seen });
        let selection =
            selection.map_err(|source| PipelineError::Select { stage: "selection".into(), source })?;
        let unfit = |what: String| PipelineError::Assembly(format!("{}: {what}", method.selector.id()));
        if selection.decisions.len() != pool.len() {
            let (made, pool) = (selection.decisions.len(), pool.len());
            return Err(unfit(format!(
                "{made} decisions on {pool} pseudo-labels; a selector decides on each"
            )));
        }
        let decided = pool.into_iter().zip(finals.into_iter().zip(estimates)).zip(selection.decisions);
        let selected = decided
            .map(|((label, (Justified { by, last, .. }, estimate)), decision)| {
                if decision.accepted && label.answer.is_none() {
                    return Err(unfit(format!("accepted sample `{}`, which has no answer", label.id)));
                }
                Ok(Selected {
                    id: label.id,
                    answer: label.answer,
                    confidence: label.confidence,
                    probability: estimate.probability,
                    by,
                    decided_by: (by == Verdict::Adjudicated).then_some(last.collaborator),
                    accepted: decision.accepted,
                    reason: decision.reason,
                    weight: decision.weight,
                })
            })
            .collect::<Result<_, PipelineError>>()?;
        Ok((selected, selection.note))
    }
}
