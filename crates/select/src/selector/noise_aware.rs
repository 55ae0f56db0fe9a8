use super::{against, calibration, confidences, eligible, reject_all};
use crate::{Calibrated, Pool, SelectError, Selection, Selector};
use semievol_core::Confidence;
use std::cmp::Reverse;

/// Accepts as many of the surest pseudo-labels as are worth their errors, judged by labels that the models asked had
/// not learnt ([`Pool::calibration`]): nothing has to be set.
///
/// Where the share `e` of examples is labelled wrong at random, the bound on what two classes take to be learnt grows by
/// `1 / (1 - 2 e)^2` (Angluin and Laird, Machine Learning 2, 1988), and tri-training weighs examples by that (Zhou and Li,
/// TKDE 17, 2005). So the `n` labels that were answered, with the `k` surest pseudo-labels, are counted as
/// `(n + k) (1 - 2 e k / (n + k))^2` labels; with more than two classes that is too severe. The error `e` of those at or
/// above a threshold is that of the calibration answers there, with one right and one wrong answer more than were seen.
/// The threshold of the largest number is taken; where none is above that of the labels alone, nothing is accepted,
/// and the selection [says so](Selection::note).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NoiseAware;

impl NoiseAware {
    const NAME: &str = "noise_aware";
}

const UNWANTED: &str = "pseudo-labels are too often wrong to be worth their number";

/// A threshold, and what labels and the pseudo-labels from it on are worth together.
struct Worth {
    threshold: Confidence,
    kept: usize,
    error: f64,
    labels: f64,
}

/// How many right labels teach as much as `n` right ones and `k` more of which the share `error` is wrong.
fn worth(n: usize, k: usize, error: f64) -> f64 {
    let all = (n + k) as f64;
    all * (1.0 - 2.0 * error * k as f64 / all).max(0.0).powi(2)
}

/// The threshold of the largest worth; of equals the highest. Nothing for a pool of none.
fn best(mut pool: Vec<Confidence>, calibration: &[Calibrated]) -> Option<Worth> {
    pool.sort_unstable_by(|one, other| other.cmp(one));
    let mut answers = calibration.to_vec();
    answers.sort_unstable_by_key(|answer| Reverse(answer.confidence));
    let (mut kept, mut seen, mut wrong) = (0, 0, 0);
    let mut best: Option<Worth> = None;
    for ties in pool.chunk_by(|one, other| one == other) {
        let threshold = ties[0];
        kept += ties.len();
        while let Some(answer) = answers.get(seen).filter(|answer| answer.confidence >= threshold) {
            (seen, wrong) = (seen + 1, wrong + usize::from(!answer.correct));
        }
        let error = (wrong + 1) as f64 / (seen + 2) as f64;
        let labels = worth(calibration.len(), kept, error);
        if best.as_ref().is_none_or(|best| labels > best.labels) {
            best = Some(Worth { threshold, kept, error, labels });
        }
    }
    best
}

impl Selector for NoiseAware {
    fn id(&self) -> String {
        Self::NAME.to_owned()
    }

    fn wants_calibration(&self) -> bool {
        true
    }

    fn select(&self, pool: Pool<'_>) -> Result<Selection, SelectError> {
        let calibration = calibration(pool, Self::NAME)?;
        let Some(best) = best(confidences(pool), calibration) else {
            return Ok(reject_all(pool, UNWANTED).into());
        };
        let Worth { threshold, kept, error, labels } = best;
        let (n, wrong) = (calibration.len(), 100.0 * error);
        if labels <= n as f64 {
            let note = format!(
                "no pseudo-label is kept: the {kept} surest, of which held-out labels expect {wrong:.0}% to be wrong, would leave {n} labels worth {labels:.0}"
            );
            return Ok(Selection { decisions: reject_all(pool, UNWANTED), note: Some(note) });
        }
        let name =
            format!("the most useful ({kept} with {wrong:.0}% wrong make {n} labels worth {labels:.0})");
        let decisions = pool.unlabelled.iter().map(|label| match eligible(label) {
            Err(rejected) => rejected,
            Ok(confidence) => against(confidence, threshold, &name),
        });
        Ok(decisions.collect::<Vec<_>>().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PseudoLabel;
    use proptest::prelude::*;
    use semievol_core::{Answer, Seed};

    fn confidence(value: f64) -> Confidence {
        Confidence::new(value).unwrap_or_else(|| panic!("{value}"))
    }

    fn select(pool: &[f64], calibration: &[(f64, bool)]) -> Selection {
        let label = |value: &f64| PseudoLabel {
            id: value.to_string(),
            answer: Some(Answer::Choice(0)),
            confidence: Some(confidence(*value)),
            agreed: true,
        };
        let labels: Vec<PseudoLabel> = pool.iter().map(label).collect();
        let calibrated =
            |(value, correct): &(f64, bool)| Calibrated { confidence: confidence(*value), correct: *correct };
        let calibration: Vec<Calibrated> = calibration.iter().map(calibrated).collect();
        let pool = Pool { calibration: &calibration, ..Pool::new(&labels, Seed(1)) };
        NoiseAware.select(pool).unwrap_or_else(|error| panic!("{error}"))
    }

    fn kept(selection: &Selection) -> usize {
        selection.decisions.iter().filter(|one| one.accepted).count()
    }

    #[test]
    fn worth_by_hand() {
        assert_eq!(worth(10, 0, 0.5), 10.0);
        // 40 examples of which a tenth is wrong: 40 * 0.8^2.
        assert!((worth(20, 20, 0.2) - 25.6).abs() < 1e-12);
        // Half of the pseudo-labels wrong: they drown the labels.
        assert!(worth(20, 180, 0.5) < 20.0);
    }

    #[test]
    fn the_unsure_half_is_left_out_where_it_is_mostly_wrong() {
        // Sure answers are right, unsure ones are wrong.
        let calibration: Vec<(f64, bool)> = (0..40).map(|i| (f64::from(i) / 40.0, i >= 20)).collect();
        let pool: Vec<f64> = (0..100).map(|i| f64::from(i) / 100.0).collect();
        let selection = select(&pool, &calibration);
        assert!((45..=55).contains(&kept(&selection)), "{}", kept(&selection));
        // All right: all are kept.
        let right: Vec<(f64, bool)> = calibration.iter().map(|(sure, _)| (*sure, true)).collect();
        assert_eq!(kept(&select(&pool, &right)), 100);
    }

    #[test]
    fn answers_that_are_wrong_as_often_as_right_are_worth_nothing() {
        let calibration: Vec<(f64, bool)> = (0..40).map(|i| (f64::from(i) / 40.0, i % 2 == 0)).collect();
        let pool: Vec<f64> = (0..100).map(|i| f64::from(i) / 100.0).collect();
        let selection = select(&pool, &calibration);
        assert_eq!(kept(&selection), 0);
        let note = selection.note.unwrap_or_default();
        assert!(note.starts_with("no pseudo-label is kept: the "), "{note}");
        assert!(selection.decisions.iter().all(|one| one.reason.contains("too often wrong")));
    }

    proptest! {
        /// The sweep finds what trying every threshold finds.
        #[test]
        fn the_threshold_is_the_best_of_all(
            pool in prop::collection::vec(0u8..20, 1..40),
            calibration in prop::collection::vec((0u8..20, any::<bool>()), 1..30),
        ) {
            let pool: Vec<f64> = pool.into_iter().map(f64::from).collect();
            let calibration: Vec<(f64, bool)> = calibration.into_iter().map(|(c, right)| (f64::from(c), right)).collect();
            let tried = |threshold: f64| {
                let k = pool.iter().filter(|sure| **sure >= threshold).count();
                let answers = || calibration.iter().filter(|(sure, _)| *sure >= threshold);
                let wrong = answers().filter(|(_, right)| !right).count();
                (worth(calibration.len(), k, (wrong + 1) as f64 / (answers().count() + 2) as f64), k)
            };
            let most = pool.iter().map(|threshold| tried(*threshold).0).fold(0.0, f64::max);
            let kept = kept(&select(&pool, &calibration));
            if most <= calibration.len() as f64 {
                prop_assert_eq!(kept, 0);
            } else {
                prop_assert!(pool.iter().map(|threshold| tried(*threshold)).any(|(found, k)| found == most && k == kept));
            }
        }
    }
}
