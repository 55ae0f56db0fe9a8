//! What promises on the errors of pseudo-labels would have kept, and whether they would have been held.

use crate::pseudo::RightOf;
use semievol_core::{Confidence, Seed};
use semievol_pipeline::Evolved;
use semievol_select::{ErrorControlled, Pool, PseudoLabel, Rule, Selector};
use serde::{Deserialize, Serialize};

/// Shares of wrong pseudo-labels that are tried.
const ALPHAS: [f64; 3] = [0.05, 0.1, 0.2];

/// A promise on the share of wrong pseudo-labels, tried on the run's own confidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CertifiedResults {
    /// The largest share of wrong pseudo-labels that was promised.
    pub alpha: f64,
    /// How thresholds were certified.
    pub rule: Rule,
    /// What was kept; none where the labels certify no such promise.
    pub kept: RightOf,
    /// As many of the surest as could be kept with a share of at most `alpha` wrong, by whoever knew the answers.
    pub oracle: usize,
}

impl CertifiedResults {
    /// The share of what was kept that is wrong; absent for nothing.
    pub fn error(&self) -> Option<f64> {
        self.kept.share().map(|right| 1.0 - right)
    }

    /// Every promise that is tried; none without labels that the models asked had not learnt.
    pub(crate) fn all(evolved: &Evolved, correct: &[Option<bool>]) -> Vec<Self> {
        let rows = evolved.selected.iter().zip(correct).filter_map(|(row, right)| {
            let label = PseudoLabel {
                id: row.id.clone(),
                answer: row.answer.clone(),
                confidence: row.confidence,
                agreed: false,
            };
            Some((label, (*right)?))
        });
        let (pool, right): (Vec<PseudoLabel>, Vec<bool>) = rows.unzip();
        // Later rounds ask models that no fold measures.
        if evolved.calibration.is_empty() || pool.is_empty() || evolved.rounds.len() > 1 {
            return Vec::new();
        }
        let each =
            ALPHAS.into_iter().flat_map(|alpha| [Rule::Conformal, Rule::Lec].map(|rule| (alpha, rule)));
        each.filter_map(|(alpha, rule)| {
            let pool_of = Pool { calibration: &evolved.calibration, ..Pool::new(&pool, Seed(0)) };
            let selection = ErrorControlled::new(alpha, rule).ok()?.select(pool_of).ok()?;
            let kept = selection.decisions.iter().zip(&right).filter(|(decision, _)| decision.accepted);
            let kept: Vec<bool> = kept.map(|(_, right)| *right).collect();
            let kept = RightOf { right: kept.iter().filter(|right| **right).count(), of: kept.len() };
            Some(CertifiedResults { alpha, rule, kept, oracle: most(&pool, &right, alpha) })
        })
        .collect()
    }
}

/// The most of the surest of which at most the share `alpha` is wrong; equals are kept together.
fn most(pool: &[PseudoLabel], right: &[bool], alpha: f64) -> usize {
    let mut rows: Vec<(Confidence, bool)> =
        pool.iter().zip(right).filter_map(|(label, right)| Some((label.confidence?, *right))).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.0));
    let (mut wrong, mut most) = (0, 0);
    for (index, (sure, right)) in rows.iter().enumerate() {
        wrong += usize::from(!right);
        let last_of_equals = rows.get(index + 1).is_none_or(|(next, _)| next != sure);
        if last_of_equals && wrong as f64 <= alpha * (index + 1) as f64 {
            most = index + 1;
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use semievol_core::Answer;

    #[test]
    fn the_oracle_keeps_the_longest_beginning_that_is_right_enough() {
        let label = |sure: f64| PseudoLabel {
            id: String::new(),
            answer: Some(Answer::Choice(0)),
            confidence: Confidence::new(sure),
            agreed: false,
        };
        let pool: Vec<PseudoLabel> = [0.9, 0.8, 0.8, 0.7, 0.6].map(label).to_vec();
        assert_eq!(most(&pool, &[true, false, true, true, true], 0.0), 1);
        assert_eq!(most(&pool, &[true, false, true, true, false], 0.25), 4);
        assert_eq!(most(&pool, &[false; 5], 0.5), 0);
    }
}
