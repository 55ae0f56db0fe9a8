use super::eligible;
use crate::{Decision, Pool, SelectError, Selection, Selector};
use semievol_core::Scale;

/// Keeps every pseudo-label that has an answer, with its confidence for a weight in the loss: nothing is dropped, and
/// what is unsure teaches little.
///
/// A probability counts as it is, a log-probability (Eq. 6) or a negative entropy by its exponential
/// ([`Pool::scale`]). Margins and agreement are neither, and refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weighted;

impl Weighted {
    const NAME: &str = "weighted";
}

impl Selector for Weighted {
    fn id(&self) -> String {
        Self::NAME.to_owned()
    }

    fn weighs(&self) -> bool {
        true
    }

    fn select(&self, pool: Pool<'_>) -> Result<Selection, SelectError> {
        let weigh: fn(f64) -> f64 = match pool.scale {
            Scale::Probability => |value| value.clamp(0.0, 1.0),
            Scale::LogProbability => |value| value.min(0.0).exp(),
            Scale::Order => {
                let reason = "the confidence orders answers and is no probability to weigh them by: take mean_nll, option_entropy, agreement_likelihood or mixture, or say what it is (`Pool::scale`)";
                return Err(SelectError::Unfit { part: Self::NAME, reason: reason.to_owned() });
            }
        };
        let decide = |label| match eligible(label) {
            Ok(confidence) => {
                let weight = weigh(confidence.value());
                let reason = format!("every answer is kept, with weight {weight:.3}");
                Decision { weight: weight as f32, ..Decision::accept(reason) }
            }
            Err(rejected) => rejected,
        };
        Ok(pool.unlabelled.iter().map(decide).collect::<Vec<_>>().into())
    }
}
