use super::eligible;
use crate::{Decision, Pool, SelectError, Selection, Selector};

/// Keeps every pseudo-label that has an answer, with its confidence for a weight in the loss: nothing is dropped, and
/// what is unsure teaches little.
///
/// A confidence above 0 counts as a probability, at most 1; one of 0 or below is a log-probability (Eq. 6) or a negative
/// entropy, so its exponential counts. Margins and agreement are neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weighted;

impl Selector for Weighted {
    fn id(&self) -> String {
        "weighted".to_owned()
    }

    fn select(&self, pool: Pool<'_>) -> Result<Selection, SelectError> {
        let decide = |label| match eligible(label) {
            Ok(confidence) => {
                let value = confidence.value();
                let weight = if value <= 0.0 { value.exp() } else { value.min(1.0) };
                let reason = format!("confidence {value:.3}; every answer is kept, with weight {weight:.3}");
                Decision { weight: weight as f32, ..Decision::accept(reason) }
            }
            Err(rejected) => rejected,
        };
        Ok(pool.unlabelled.iter().map(decide).collect::<Vec<_>>().into())
    }
}
