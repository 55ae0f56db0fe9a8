//! What more labels and more prompts would be worth.

use semievol_core::Seed;
use semievol_eval::{EvalError, Interval, worth_of_more};
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
    /// Of further labels.
    pub labels: WorthOfMore,
    /// Of further prompts without labels.
    pub prompts: WorthOfMore,
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
    pub(crate) fn new(curves: &Curves, seed: Seed) -> Result<Self, EvalError> {
        let of = |curve: &LearningCurve, rows: usize| {
            let (share, interval) = worth_of_more(
                &curve.rows,
                &curve.errors,
                &curves.groups,
                rows,
                LEVEL,
                seed.child("worth", rows as u64),
            )?;
            Ok(WorthOfMore { rows, share, interval })
        };
        Ok(WorthResults { labels: of(&curves.labels, LABELS)?, prompts: of(&curves.prompts, PROMPTS)? })
    }

    pub(crate) fn sentence(&self) -> String {
        let shown = |one: &WorthOfMore, what: &str| {
            let WorthOfMore { rows, share, interval } = one;
            // A share of errors taken away, as a change of their number.
            let change = |share: f64| format!("{:+.0}%", (-100.0 * share).round() + 0.0);
            format!(
                "{rows} more {what}: {} errors [{}, {}]",
                change(*share),
                change(interval.high),
                change(interval.low)
            )
        };
        format!(
            "{}; {} (estimated by a classifier over embeddings that stands in for the model)",
            shown(&self.labels, "labels"),
            shown(&self.prompts, "prompts")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_errors_have_a_minus() {
        let of = |rows, share, low, high| WorthOfMore {
            rows,
            share,
            interval: Interval { low, high, level: LEVEL },
        };
        let worth = WorthResults { labels: of(100, 0.25, 0.001, 0.4), prompts: of(1000, -0.05, -0.2, 0.1) };
        assert_eq!(
            worth.sentence(),
            "100 more labels: -25% errors [-40%, +0%]; 1000 more prompts: +5% errors [-10%, +20%] (estimated by a classifier over embeddings that stands in for the model)"
        );
    }
}
