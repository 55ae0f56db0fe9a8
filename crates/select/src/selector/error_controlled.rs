use super::{Over, Percentile, apart, calibration, confidences, eligible, reject_all};
use crate::{Calibrated, Decision, Pool, SelectError, Selection, Selector};
use semievol_core::Confidence;
use serde::{Deserialize, Serialize};

/// Accepts as many pseudo-labels as a promise allows: on average over draws of the labelled samples, at most the
/// share `alpha` of what is accepted is wrong, where nothing accepted counts as nothing wrong.
///
/// It compares pseudo-labels with labelled samples that were answered and judged in the same way by models that had
/// not learnt them ([`Pool::calibration`]), and promises as much as the two sets are exchangeable. A threshold `t`
/// certifies a level, from `w`, the wrong calibration answers at or above it, and as few others as there are; the
/// lowest threshold whose level is at most `alpha` is taken. Few labels certify little: with `n` of them no level is
/// below `1 / (n + 1)`, and where none reaches `alpha` the selection [says so](Selection::note) and accepts nothing,
/// or what [`otherwise`](ErrorControlled::otherwise) says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ErrorControlled {
    alpha: f64,
    rule: Rule,
    otherwise: Option<Percentile>,
}

/// How a threshold's level is computed. Both count one wrong answer more than were seen, for the one that was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// `(1 + w) / (n + 1) / k`, with `k` the share of the pseudo-labels at or above `t`: conformal p-values with
    /// Benjamini and Hochberg's rule and the estimated share of errors (arXiv 2510.14581 v2; Jin and Candes, arXiv
    /// 2210.01408).
    #[default]
    Conformal,
    /// `(1 + w) / (1 + a)`, with `a` the calibration answers at or above `t`: the sufficient condition of LEC (arXiv
    /// 2512.01556), which does not look at the pool. It bounds the errors by what is accepted, each in the mean, and not the
    /// mean of their share; that a threshold is chosen on the same labels is what the simulation of the tests covers.
    Lec,
}

impl ErrorControlled {
    const NAME: &str = "error_controlled";

    /// Promises at most the share `alpha` of wrong pseudo-labels.
    ///
    /// # Errors
    /// Unless `alpha` is above 0 and below 1.
    pub fn new(alpha: f64, rule: Rule) -> Result<Self, SelectError> {
        if alpha > 0.0 && alpha < 1.0 {
            return Ok(ErrorControlled { alpha, rule, otherwise: None });
        }
        let value = alpha.to_string();
        Err(SelectError::Setting { setting: "alpha", value, expected: "above 0 and below 1" })
    }

    /// Without a promise, keeps the surest `theta` percent where none can be given.
    ///
    /// # Errors
    /// Unless `theta` is above 0 and at most 100.
    pub fn otherwise(self, theta: f64) -> Result<Self, SelectError> {
        let otherwise = Percentile::new(theta, Over::Unlabelled).map_err(|error| match error {
            SelectError::Setting { value, expected, .. } => {
                SelectError::Setting { setting: "otherwise", value, expected }
            }
            other => other,
        })?;
        Ok(ErrorControlled { otherwise: Some(otherwise), ..self })
    }

    /// Every threshold with the level that it certifies, the highest threshold first.
    fn levels(&self, pool: Vec<Confidence>, calibration: &[Calibrated]) -> Vec<(Confidence, f64)> {
        let (n, m) = (calibration.len() as f64, pool.len() as f64);
        let pool = Descending::new(pool);
        let answered = Descending::new(calibration.iter().map(|one| one.confidence).collect());
        let wrong = calibration.iter().filter(|one| !one.correct);
        let wrong = Descending::new(wrong.map(|one| one.confidence).collect());
        let thresholds = match self.rule {
            Rule::Conformal => &pool,
            Rule::Lec => &answered,
        };
        let level = |t: Confidence| {
            let bad = 1.0 + wrong.n_from(t);
            match self.rule {
                // One division of whole numbers, so that what is exactly `alpha` is not above it.
                Rule::Conformal => bad * m / ((n + 1.0) * pool.n_from(t)),
                Rule::Lec => bad / (1.0 + answered.n_from(t)),
            }
        };
        thresholds.0.chunk_by(|one, other| one == other).map(|ties| (ties[0], level(ties[0]))).collect()
    }
}

/// Confidences, the surest first.
struct Descending(Vec<Confidence>);

impl Descending {
    fn new(mut confidences: Vec<Confidence>) -> Self {
        confidences.sort_unstable_by(|one, other| other.cmp(one));
        Descending(confidences)
    }

    /// How many are at least `threshold`.
    fn n_from(&self, threshold: Confidence) -> f64 {
        self.0.partition_point(|one| *one >= threshold) as f64
    }
}

impl Selector for ErrorControlled {
    fn id(&self) -> String {
        let rule = match self.rule {
            Rule::Conformal => "conformal",
            Rule::Lec => "lec",
        };
        let otherwise = self.otherwise.map(|other| format!(", otherwise={}", other.id())).unwrap_or_default();
        format!("{}(alpha={}, rule={rule}{otherwise})", Self::NAME, self.alpha)
    }

    fn wants_calibration(&self) -> bool {
        true
    }

    fn select(&self, pool: Pool<'_>) -> Result<Selection, SelectError> {
        let levels = self.levels(confidences(pool), calibration(pool, Self::NAME)?);
        let Some((threshold, level)) = levels.iter().rev().find(|(_, level)| *level <= self.alpha) else {
            let tightest = levels.iter().map(|(_, level)| *level).fold(f64::INFINITY, f64::min);
            return self.without_promise(pool, tightest);
        };
        let decisions = pool.unlabelled.iter().map(|label| match eligible(label) {
            Err(rejected) => rejected,
            Ok(confidence) => {
                let (value, limit) = apart(confidence.value(), threshold.value());
                if confidence >= *threshold {
                    Decision::accept(format!(
                        "confidence {value} is at least {limit}, where {} wrong answers can be certified",
                        percent(*level)
                    ))
                } else {
                    Decision::reject(format!(
                        "confidence {value} is below {limit}, the least at which {} wrong answers can be certified",
                        percent(self.alpha)
                    ))
                }
            }
        });
        Ok(decisions.collect::<Vec<_>>().into())
    }
}

impl ErrorControlled {
    /// What becomes of a pool for which the labels certify no more than `tightest`.
    fn without_promise(&self, pool: Pool<'_>, tightest: f64) -> Result<Selection, SelectError> {
        let n = pool.calibration.len();
        let (tightest, alpha, possible) = match tightest < 1.0 {
            true => {
                let (tightest, alpha) = percents(tightest, self.alpha);
                (tightest, alpha, "the tightest possible is ")
            }
            false => (String::new(), percent(self.alpha), "they certify no level at all"),
        };
        let note =
            format!("cannot certify {alpha} wrong pseudo-labels with {n} labels: {possible}{tightest}");
        if let Some(otherwise) = self.otherwise {
            let note = format!("{note}; kept without a promise, by {}", otherwise.id());
            return Ok(Selection { note: Some(note), ..otherwise.select(pool)? });
        }
        let decisions = reject_all(pool, &format!("{n} labels cannot certify {alpha}"));
        Ok(Selection { decisions, note: Some(note) })
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

/// With a digit, or as many as tell the two apart.
fn percents(one: f64, other: f64) -> (String, String) {
    let written = |digits: usize| [one, other].map(|share| format!("{:.digits$}%", 100.0 * share));
    let [one, other] = (1..17).map(written).find(|[one, other]| one != other).unwrap_or_else(|| written(17));
    (one, other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PseudoLabel;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use semievol_core::{Answer, Seed};

    fn confidence(value: f64) -> Confidence {
        Confidence::new(value).unwrap_or_else(|| panic!("{value}"))
    }

    fn label(id: usize, value: f64) -> PseudoLabel {
        let answer = Some(Answer::Choice(0));
        PseudoLabel { id: id.to_string(), answer, confidence: Some(confidence(value)), agreed: true }
    }

    fn select(alpha: f64, rule: Rule, pool: &[f64], calibration: &[(f64, bool)]) -> Selection {
        let labels: Vec<PseudoLabel> = pool.iter().enumerate().map(|(id, value)| label(id, *value)).collect();
        let calibration: Vec<Calibrated> = calibration
            .iter()
            .map(|(c, correct)| Calibrated { confidence: confidence(*c), correct: *correct })
            .collect();
        let pool = Pool { calibration: &calibration, ..Pool::new(&labels, Seed(1)) };
        ErrorControlled::new(alpha, rule)
            .and_then(|selector| selector.select(pool))
            .unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn thresholds_by_hand() {
        // Nine right answers and one wrong one, at 0.35.
        let calibration: Vec<(f64, bool)> = (0..10).map(|i| (f64::from(i) / 10.0 + 0.05, i != 3)).collect();
        let pool: Vec<f64> = (0..20).map(|i| f64::from(i) / 20.0).collect();
        let kept = |selection: &Selection| selection.decisions.iter().filter(|one| one.accepted).count();
        // 12 of 20 lie at or above 0.4, with no wrong answer: 1/11 * 20/12 = 0.152.
        assert_eq!(kept(&select(0.16, Rule::Conformal, &pool, &calibration)), 12);
        // All of them, with the wrong one: 2/11 = 0.182.
        assert_eq!(kept(&select(0.19, Rule::Conformal, &pool, &calibration)), 20);
        // Six calibration answers lie above the wrong one: 1/7 = 0.143, from 0.45 on.
        assert_eq!(kept(&select(0.15, Rule::Lec, &pool, &calibration)), 11);
    }

    #[test]
    fn what_is_exactly_as_much_is_certified() {
        // 1/5 * 3/2, which is 0.30000000000000004 where one divides twice.
        let wrong: Vec<(f64, bool)> =
            (0..4).map(|row| (if row == 0 { 0.2 } else { 0.9 }, row != 0)).collect();
        let selection = select(0.3, Rule::Conformal, &[0.9, 0.8, 0.1], &wrong);
        assert_eq!(
            selection.decisions.iter().map(|one| one.accepted).collect::<Vec<_>>(),
            [true, true, false]
        );
        assert_eq!(percents(0.1004, 0.1), ("10.04%".into(), "10.00%".into()));
        assert_eq!(percents(0.25, 0.05), ("25.0%".into(), "5.0%".into()));
    }

    #[test]
    fn what_cannot_be_certified_is_said() {
        let calibration = [(0.9, true), (0.5, true), (0.3, false)];
        let selection = select(0.05, Rule::Conformal, &[0.95, 0.4], &calibration);
        assert!(selection.decisions.iter().all(|one| !one.accepted));
        assert_eq!(
            selection.note.as_deref(),
            Some("cannot certify 5.0% wrong pseudo-labels with 3 labels: the tightest possible is 25.0%")
        );
        let labels = [label(0, 0.95), label(1, 0.4)];
        let calibration: Vec<Calibrated> = calibration
            .iter()
            .map(|(c, correct)| Calibrated { confidence: confidence(*c), correct: *correct })
            .collect();
        let selector = ErrorControlled::new(0.05, Rule::Lec).and_then(|one| one.otherwise(50.0));
        let pool = Pool { calibration: &calibration, ..Pool::new(&labels, Seed(1)) };
        let selection = selector.and_then(|one| one.select(pool)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(selection.decisions.iter().map(|one| one.accepted).collect::<Vec<_>>(), [true, false]);
        assert!(
            selection.note.is_some_and(|note| note.ends_with("by percentile(theta=50%, over=unlabelled)"))
        );
    }

    #[test]
    fn an_empty_pool_certifies_nothing() {
        let calibration = [(0.9, true), (0.5, true), (0.3, false)];
        let empty = select(0.5, Rule::Conformal, &[], &calibration);
        assert_eq!(
            empty.note.as_deref().map(|note| note.ends_with("they certify no level at all")),
            Some(true)
        );
    }

    /// Over 1,000 draws of labelled and unlabelled samples, in groups of so many, the mean share of wrong answers among those
    /// accepted. In half of the groups answers are right much more often than in the other half; where a sample is a
    /// group of its own, all are between the two.
    fn simulated(alpha: f64, rule: Rule, n: usize, of_group: usize, seed: u64) -> (f64, f64, f64) {
        const DRAWS: usize = 1000;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |n: usize| -> Vec<(f64, bool)> {
            let mut difficulty = 1.0;
            (0..n)
                .map(|row| {
                    if of_group > 1 && row % of_group == 0 {
                        difficulty = if rng.random() { 0.2 } else { 2.0 };
                    }
                    let c: f64 = rng.random();
                    let right = rng.random::<f64>() < (0.5 + 0.5 * c.powf(0.5)).powf(difficulty);
                    (c, right)
                })
                .collect()
        };
        let (mut sum, mut squares, mut kept) = (0.0, 0.0, 0);
        for _ in 0..DRAWS {
            let (calibration, truth) = (draw(n), draw(300));
            let pool: Vec<f64> = truth.iter().map(|(c, _)| *c).collect();
            let selection = select(alpha, rule, &pool, &calibration);
            let accepted = selection.decisions.iter().zip(&truth).filter(|(one, _)| one.accepted);
            let (all, wrong) =
                accepted.fold((0, 0), |(all, wrong), (_, (_, right))| (all + 1, wrong + usize::from(!right)));
            let share = f64::from(wrong as u32) / f64::from((all as u32).max(1));
            (sum, squares, kept) = (sum + share, squares + share * share, kept + all);
        }
        let mean = sum / DRAWS as f64;
        let error = ((squares / DRAWS as f64 - mean * mean) / DRAWS as f64).sqrt();
        (mean, error, kept as f64 / (300 * DRAWS) as f64)
    }

    #[test]
    fn the_promise_holds_over_a_thousand_draws() {
        for (alpha, n, seed) in [(0.1, 32, 1), (0.1, 100, 2), (0.2, 32, 3), (0.2, 100, 4)] {
            for (rule, of_group) in
                [(Rule::Conformal, 1), (Rule::Lec, 1), (Rule::Conformal, 8), (Rule::Lec, 8)]
            {
                let (mean, error, coverage) = simulated(alpha, rule, n, of_group, seed);
                let what = format!("{rule:?} at {alpha} with {n} in groups of {of_group}");
                assert!(mean <= alpha + 3.0 * error, "{what}: {mean} +- {error}");
                // It is no empty promise either: a third of all answers could be kept at 20%.
                assert!(alpha < 0.2 || coverage > 0.3, "{what} keeps {coverage}");
            }
        }
    }
}
