use super::eligible;
use super::share::Share;
use crate::{Decision, Pool, SelectError, Selection, Selector};

/// Keeps as many as a [`Percentile`](crate::Percentile) over distinct confidences would, `ceil(theta / 100 * n)`
/// of the `n` that have an answer, and draws them regardless of confidence: the control that tells what
/// confidence is worth.
///
/// The draw orders the ids by a hash of the pool's seed and the id, so the pool's order does not matter, and a pool that grows
/// keeps the order of those that were there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Random {
    theta: Share,
}

impl Random {
    /// Keeps `theta` percent.
    ///
    /// # Errors
    /// Unless `theta` is above 0 and at most 100.
    pub fn new(theta: f64) -> Result<Self, SelectError> {
        Ok(Random { theta: Share::new(theta)? })
    }
}

impl Selector for Random {
    fn id(&self) -> String {
        format!("random(theta={})", self.theta)
    }

    fn select(&self, pool: Pool<'_>) -> Result<Selection, SelectError> {
        let labels = pool.unlabelled;
        let stream = pool.seed.child("random selection", 0);
        let mut drawn: Vec<_> = (0..labels.len())
            .filter(|at| eligible(&labels[*at]).is_ok())
            .map(|at| (stream.child(&labels[at].id, 0), &labels[at].id, at))
            .collect();
        drawn.sort_unstable();
        let (n, kept) = (drawn.len(), self.theta.of(drawn.len()));
        let mut decisions: Vec<Decision> = labels
            .iter()
            .map(|label| eligible(label).err().unwrap_or_else(|| Decision::reject("not drawn")))
            .collect();
        for (rank, (_, _, at)) in drawn.into_iter().enumerate() {
            let place = format!("drawn as number {} of {n}", rank + 1);
            decisions[at] = if rank < kept {
                Decision::accept(format!("{place}, among the first {kept}"))
            } else {
                Decision::reject(format!("{place}, after the first {kept}"))
            };
        }
        Ok(decisions.into())
    }
}
