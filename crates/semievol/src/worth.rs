//! What more labels and more prompts would be worth.

use semievol_core::Seed;
use semievol_eval::{Interval, worth_of_more};
use semievol_pipeline::Curves;
use semievol_select::classify::LearningCurve;
use serde::{Deserialize, Serialize};

const LABELS: usize = 100;
const PROMPTS: usize = 1000;
const LEVEL: f64 = 0.95;

/// Estimates by a classifier over embeddings, which stands in for the language model: its errors on labels that it has not
/// learnt, followed to more rows than there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorthResults {
    /// Of further labels; absent where the labels that there are do not tell.
    pub labels: Option<WorthOfMore>,
    /// Of further prompts without labels; likewise.
    pub prompts: Option<WorthOfMore>,
}

/// What share of the errors further rows would take away.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WorthOfMore {
    /// So many.
    pub rows: usize,
    /// The share; below 0 where they would add errors.
    pub share: f64,
    /// Its 95% interval, by a bootstrap over the labels, whole groups of them where they have some.
    pub interval: Interval,
}

impl WorthResults {
    /// Nothing where the labels do not tell.
    pub(crate) fn new(curves: &Curves, seed: Seed) -> Option<Self> {
        let of = |curve: &LearningCurve, now: usize, rows: usize| {
            let seed = seed.child("worth", rows as u64);
            let worth = worth_of_more(&curve.rows, &curve.errors, &curves.groups, (now, rows), LEVEL, seed);
            // A curve of one prompt is none.
            worth.ok().flatten().map(|(share, interval)| WorthOfMore { rows, share, interval })
        };
        let labels = of(&curves.labels, curves.n_labels, LABELS);
        let prompts = of(&curves.prompts, curves.n_prompts, PROMPTS);
        (labels.is_some() || prompts.is_some()).then_some(WorthResults { labels, prompts })
    }

    pub(crate) fn sentence(&self) -> String {
        let shown = |one: Option<WorthOfMore>, what: &str| {
            let Some(WorthOfMore { share, interval, .. }) = one else {
                return format!("what {what} would change, these labels do not tell");
            };
            // A share of errors taken away, as a change of their number.
            let change = |share: f64| format!("{:+.0}%", (-100.0 * share).round() + 0.0).replace('-', "−");
            format!(
                "{what} would change the errors by {} (95% interval {} to {})",
                change(share),
                change(interval.high),
                change(interval.low)
            )
        };
        format!(
            "{}; {}; estimated by a classifier over embeddings that stands in for the model",
            shown(self.labels, &format!("{LABELS} more labels")),
            shown(self.prompts, &format!("{PROMPTS} more unlabelled rows"))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_errors_have_a_minus() {
        let of = |rows, share, low, high| {
            Some(WorthOfMore { rows, share, interval: Interval { low, high, level: LEVEL } })
        };
        let worth = WorthResults { labels: of(100, 0.25, 0.001, 0.4), prompts: of(1000, -0.05, -0.2, 0.1) };
        assert_eq!(
            worth.sentence(),
            "100 more labels would change the errors by −25% (95% interval −40% to +0%); 1000 more unlabelled rows would change the errors by +5% (95% interval −10% to +20%); estimated by a classifier over embeddings that stands in for the model"
        );
        let sentence = WorthResults { prompts: None, ..worth }.sentence();
        assert!(
            sentence.contains("; what 1000 more unlabelled rows would change, these labels do not tell;"),
            "{sentence}"
        );
    }
}
