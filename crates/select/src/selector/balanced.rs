use super::by_class::{self, ByClass};
use super::share::Share;
use crate::{Pool, SelectError, Selection, Selector};
use semievol_core::Confidence;

/// Keeps the surest of each predicted class, as many as make `theta` percent in all with the classes' shares among the
/// labels ([`Pool::prior`]): a model that overrates a class cannot teach that it is frequent. A class of which fewer were
/// predicted is kept whole; without a prior all classes have equal shares.
///
/// A class is a position among the options; all open answers together are one class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Balanced {
    theta: Share,
}

impl Balanced {
    /// Keeps `theta` percent in all.
    ///
    /// # Errors
    /// Unless `theta` is above 0 and at most 100.
    pub fn new(theta: f64) -> Result<Self, SelectError> {
        Ok(Balanced { theta: Share::new(theta)? })
    }
}

impl Selector for Balanced {
    fn id(&self) -> String {
        format!("balanced(theta={})", self.theta)
    }

    fn select(&self, pool: Pool<'_>) -> Result<Selection, SelectError> {
        let classes = by_class::confidences(pool);
        let wanted = self.theta.of(classes.values().map(Vec::len).sum()) as f64;
        let equal = 1.0 / classes.len().max(1) as f64;
        let share = |class: Option<usize>| match class {
            Some(class) if !pool.prior.is_empty() => pool.prior.get(class).copied().unwrap_or(0.0),
            _ => equal,
        };
        let threshold = |(class, mut confidences): (Option<usize>, Vec<Confidence>)| {
            confidences.sort_unstable_by(|one, other| other.cmp(one));
            let quota = (wanted * share(class)).round() as usize;
            let last = quota.min(confidences.len()).checked_sub(1)?;
            Some((class, confidences[last]))
        };
        let thresholds: ByClass<_> = classes.into_iter().filter_map(threshold).collect();
        Ok(by_class::decide(pool, &thresholds, ""))
    }
}
