use super::eligible;
use crate::{Decision, Pool, SelectError, Selection, Selector};

/// Keeps every pseudo-label that has an answer: the ablation without selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct All;

impl Selector for All {
    fn id(&self) -> String {
        "all".to_owned()
    }

    fn select(&self, pool: Pool<'_>) -> Result<Selection, SelectError> {
        let decide = |label| match eligible(label) {
            Ok(_) => Decision::accept("every answer is kept, without a threshold"),
            Err(rejected) => rejected,
        };
        Ok(pool.unlabelled.iter().map(decide).collect::<Vec<_>>().into())
    }
}
