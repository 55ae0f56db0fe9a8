//! What a confidence is worth: whether it ranks right answers above wrong ones, and whether a probability means
//! what it says.

use crate::error::EvalError;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// The chance that a right answer has more confidence than a wrong one, ties counting half: 0.5 for a guess.
/// `None` where all answers are right, all are wrong, or there is none.
///
/// # Errors
/// If the lists differ in length or a confidence is not finite.
///
/// ```
/// let area = semievol_eval::auroc(&[0.9, 0.6, 0.6, 0.1], &[true, true, false, false])?;
/// assert_eq!(area, Some(3.5 / 4.0));
/// # Ok::<(), semievol_eval::EvalError>(())
/// ```
pub fn auroc(confidence: &[f64], correct: &[bool]) -> Result<Option<f64>, EvalError> {
    check(confidence, correct)?;
    let (mut right, mut wrong) = (0, 0);
    // Twice the pairs in which the right answer is surer, so that a tie is a whole number.
    let mut won: u128 = 0;
    for Tie { n_right, n_wrong, .. } in ties(confidence, correct) {
        won += n_wrong as u128 * (2 * right + n_right) as u128;
        right += n_right;
        wrong += n_wrong;
    }
    Ok((right > 0 && wrong > 0).then(|| won as f64 / (2 * right as u128 * wrong as u128) as f64))
}

/// What happens if only the surest are answered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RiskPoint {
    /// The share of items whose confidence is at least the threshold.
    pub coverage: f64,
    /// The share of wrong answers among them.
    pub risk: f64,
    /// The least confidence among them.
    pub threshold: f64,
}

/// Risk by coverage, from the surest answer to all of them; answers of equal confidence are one point.
///
/// # Errors
/// If there is no item, the lists differ in length or a confidence is not finite.
pub fn risk_coverage(confidence: &[f64], correct: &[bool]) -> Result<Vec<RiskPoint>, EvalError> {
    check(confidence, correct)?;
    if confidence.is_empty() {
        return Err(EvalError::Empty { what: "a risk-coverage curve" });
    }
    let (mut right, mut wrong) = (0, 0);
    let points = ties(confidence, correct).into_iter().map(|tie| {
        right += tie.n_right;
        wrong += tie.n_wrong;
        let answered = (right + wrong) as f64;
        RiskPoint {
            coverage: answered / confidence.len() as f64,
            risk: wrong as f64 / answered,
            threshold: tie.confidence,
        }
    });
    Ok(points.collect())
}

/// The area under a risk-coverage curve, less is better: the mean over items of the risk at the coverage that
/// just includes the item. Under one confidence for all it is the share of wrong answers; NaN for no point.
///
/// ```
/// use semievol_eval::{aurc, risk_coverage};
///
/// let curve = risk_coverage(&[0.9, 0.8, 0.7, 0.6], &[true, false, true, false])?;
/// assert!((aurc(&curve) - (0.0 + 1.0 / 2.0 + 1.0 / 3.0 + 1.0 / 2.0) / 4.0).abs() < 1e-12);
/// # Ok::<(), semievol_eval::EvalError>(())
/// ```
pub fn aurc(curve: &[RiskPoint]) -> f64 {
    if curve.is_empty() {
        return f64::NAN;
    }
    let before = [0.0].into_iter().chain(curve.iter().map(|point| point.coverage));
    curve.iter().zip(before).map(|(point, before)| (point.coverage - before) * point.risk).sum()
}

/// How often answers of some probability are right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// Bins of equal width from 0 to 1, in order, the empty ones included.
    pub bins: Vec<Bin>,
    /// Expected calibration error: the mean over items of their bin's `|accuracy - mean probability|`.
    pub ece: f64,
}

/// The answers whose probability `p` is `low <= p < high`; the last bin includes 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Answers in it.
    pub n: usize,
    /// Right ones among them.
    pub n_correct: usize,
    /// Their mean probability; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_probability: Option<f64>,
}

impl Bin {
    /// The share of right ones; absent if there is no answer.
    pub fn accuracy(&self) -> Option<f64> {
        (self.n > 0).then(|| self.n_correct as f64 / self.n as f64)
    }
}

/// Compares the probabilities of answers with how often they are right, in `bins` bins of equal width.
///
/// # Errors
/// If there is no item or no bin, the lists differ in length, or a probability is not within 0 and 1.
///
/// ```
/// let found = semievol_eval::reliability(&[0.9, 0.7, 0.2], &[true, false, false], 2)?;
/// assert_eq!((found.bins[1].n, found.bins[1].accuracy()), (2, Some(0.5)));
/// assert!((found.ece - (2.0 * 0.3 + 0.2) / 3.0).abs() < 1e-12);
/// # Ok::<(), semievol_eval::EvalError>(())
/// ```
pub fn reliability(probability: &[f64], correct: &[bool], bins: usize) -> Result<Reliability, EvalError> {
    check(probability, correct)?;
    if probability.is_empty() {
        return Err(EvalError::Empty { what: "a reliability diagram" });
    }
    if bins == 0 {
        return Err(EvalError::OutOfRange { what: "bins", value: 0.0, expected: "at least 1" });
    }
    if let Some(value) = probability.iter().copied().find(|p| !(0.0..=1.0).contains(p)) {
        return Err(EvalError::OutOfRange { what: "a probability", value, expected: "between 0 and 1" });
    }
    let mut sums = vec![(0, 0.0, 0); bins];
    for (p, right) in probability.iter().zip(correct) {
        let (n, total, n_right) = &mut sums[bin_of(*p, bins)];
        *n += 1;
        *total += p;
        *n_right += usize::from(*right);
    }
    let bin = |(at, (n, total, n_right)): (usize, (usize, f64, usize))| Bin {
        low: edge(at, bins),
        high: edge(at + 1, bins),
        n,
        n_correct: n_right,
        mean_probability: (n > 0).then(|| total / n as f64),
    };
    let gaps = sums.iter().map(|(_, total, n_right)| (*n_right as f64 - total).abs());
    let ece = gaps.sum::<f64>() / probability.len() as f64;
    Ok(Reliability { bins: sums.into_iter().enumerate().map(bin).collect(), ece })
}

fn edge(at: usize, bins: usize) -> f64 {
    at as f64 / bins as f64
}

/// The bin between whose edges a probability lies; the product alone puts 0.29 of 100 bins below 0.29.
fn bin_of(p: f64, bins: usize) -> usize {
    let near = ((p * bins as f64) as usize).min(bins - 1);
    match near {
        _ if p < edge(near, bins) => near - 1,
        _ if near + 1 < bins && p >= edge(near + 1, bins) => near + 1,
        _ => near,
    }
}

/// Items of one confidence.
struct Tie {
    confidence: f64,
    n_right: usize,
    n_wrong: usize,
}

/// The surest first.
fn ties(confidence: &[f64], correct: &[bool]) -> Vec<Tie> {
    let mut items: Vec<(f64, bool)> = confidence.iter().copied().zip(correct.iter().copied()).collect();
    // Of finite numbers; unlike `total_cmp`, -0 and 0 are equal.
    items.sort_by(|(one, _), (other, _)| other.partial_cmp(one).unwrap_or(Ordering::Equal));
    let tie = |items: &[(f64, bool)]| {
        let n_right = items.iter().filter(|(_, right)| *right).count();
        Tie { confidence: items[0].0, n_right, n_wrong: items.len() - n_right }
    };
    items.chunk_by(|(one, _), (other, _)| one == other).map(tie).collect()
}

fn check(confidence: &[f64], correct: &[bool]) -> Result<(), EvalError> {
    if confidence.len() != correct.len() {
        let (left_len, right_len) = (confidence.len(), correct.len());
        return Err(EvalError::Lengths {
            left: "confidences",
            left_len,
            right: "marks of correctness",
            right_len,
        });
    }
    match confidence.iter().copied().find(|value| !value.is_finite()) {
        Some(value) => {
            Err(EvalError::OutOfRange { what: "a confidence", value, expected: "a finite number" })
        }
        None => Ok(()),
    }
}
