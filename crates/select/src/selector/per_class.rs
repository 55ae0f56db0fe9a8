use super::by_class;
use super::share::Share;
use crate::{Pool, SelectError, Selection, Selector};

/// Keeps the surest `theta` percent of every predicted class, by the rule of
/// [`Percentile`](crate::Percentile) inside the class: at least one of each class that was predicted, so that
/// an easy class cannot crowd out the others (FreeMatch, arXiv 2205.07246).
///
/// A class is a position among the options; all open answers together are one class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PerClass {
    theta: Share,
}

impl PerClass {
    /// Keeps `theta` percent of each class.
    ///
    /// # Errors
    /// Unless `theta` is above 0 and at most 100.
    pub fn new(theta: f64) -> Result<Self, SelectError> {
        Ok(PerClass { theta: Share::new(theta)? })
    }
}

impl Selector for PerClass {
    fn id(&self) -> String {
        format!("per_class(theta={})", self.theta)
    }

    fn select(&self, pool: Pool<'_>) -> Result<Selection, SelectError> {
        let classes = by_class::confidences(pool).into_iter();
        let threshold = |(class, confidences)| Some((class, self.theta.threshold(confidences)?));
        Ok(by_class::decide(pool, &classes.filter_map(threshold).collect(), &format!(" {}", self.theta)))
    }
}
