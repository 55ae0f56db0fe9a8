use super::share::Share;
use super::{against, class, eligible};
use crate::{Pool, SelectError, Selection, Selector};
use semievol_core::Confidence;
use std::collections::BTreeMap;

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
        let mut classes: BTreeMap<Option<usize>, Vec<Confidence>> = BTreeMap::new();
        for label in pool.unlabelled {
            if let Ok(confidence) = eligible(label) {
                classes.entry(class(label.answer.as_ref())).or_default().push(confidence);
            }
        }
        let thresholds: BTreeMap<_, _> = classes
            .into_iter()
            .filter_map(|(class, confidences)| Some((class, self.theta.threshold(confidences)?)))
            .collect();
        let decisions = pool.unlabelled.iter().map(|label| match eligible(label) {
            Ok(confidence) => {
                let class = class(label.answer.as_ref());
                let name = match class {
                    Some(option) => format!("option {}'s {}", option + 1, self.theta),
                    None => format!("the {}", self.theta),
                };
                // Every eligible pseudo-label stands in a class with a threshold.
                against(confidence, thresholds.get(&class).copied().unwrap_or(confidence), &name)
            }
            Err(rejected) => rejected,
        });
        Ok(decisions.collect::<Vec<_>>().into())
    }
}
