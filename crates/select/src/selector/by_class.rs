//! Selection within each predicted class. A class is a position among the options; all open answers together are one.

use super::{against, eligible};
use crate::{Decision, Pool, PseudoLabel, Selection};
use semievol_core::{Answer, Confidence};
use std::collections::BTreeMap;

/// Something for each class; `None` is that of open answers.
pub(super) type ByClass<T> = BTreeMap<Option<usize>, T>;

/// The confidences of the pseudo-labels of each class, of those that may be trained on.
pub(super) fn confidences(pool: Pool<'_>) -> ByClass<Vec<Confidence>> {
    let mut classes: ByClass<Vec<Confidence>> = BTreeMap::new();
    for label in pool.unlabelled {
        if let Ok(confidence) = eligible(label) {
            classes.entry(class(label)).or_default().push(confidence);
        }
    }
    classes
}

/// Accepts from the threshold of its class on; nothing of a class without one. `name` says which threshold it is, such as
/// ` 50%`.
pub(super) fn decide(pool: Pool<'_>, thresholds: &ByClass<Confidence>, name: &str) -> Selection {
    let decide = |label: &PseudoLabel| {
        let confidence = match eligible(label) {
            Ok(confidence) => confidence,
            Err(rejected) => return rejected,
        };
        let class = class(label);
        let whose = class.map_or_else(|| "the".to_owned(), |option| format!("option {}'s", option + 1));
        match thresholds.get(&class) {
            Some(threshold) => against(confidence, *threshold, &format!("{whose}{name}")),
            None => Decision::reject(format!("{whose} share among the labels leaves no place")),
        }
    };
    pool.unlabelled.iter().map(decide).collect::<Vec<_>>().into()
}

fn class(label: &PseudoLabel) -> Option<usize> {
    match label.answer {
        Some(Answer::Choice(option)) => Some(option),
        _ => None,
    }
}
