//! What the charts show, computed from the pseudo-labels.

use crate::PseudoLabel;
use semievol_eval::{Reliability, RiskPoint, aurc, auroc};

/// A pseudo-label with what is needed to judge its confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scored {
    /// How sure; finite.
    pub(crate) confidence: f64,
    /// Whether it is right, where known.
    pub(crate) correct: Option<bool>,
    /// Whether it was chosen.
    pub(crate) kept: bool,
}

/// The labels that have a confidence.
pub(crate) fn scored(labels: &[PseudoLabel]) -> Vec<Scored> {
    let scored = labels.iter().filter_map(|label| {
        let confidence = label.confidence.filter(|value| value.is_finite())?;
        Some(Scored { confidence, correct: label.correct, kept: label.kept })
    });
    scored.collect()
}

/// How the error falls as fewer and surer answers are taken.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RiskCoverage {
    /// From the surest answers to all of them; those that are equally sure are one point.
    pub(crate) curve: Vec<RiskPoint>,
    /// The area below it.
    pub(crate) aurc: f64,
    /// The chance that a right answer is surer than a wrong one; absent unless there are both.
    pub(crate) auroc: Option<f64>,
    /// Coverage and risk of what was kept.
    pub(crate) kept: Option<(f64, f64)>,
}

impl RiskCoverage {
    /// Both areas, for a caption.
    pub(crate) fn areas(&self) -> String {
        let auroc = self.auroc.map_or("not defined, as all are alike".into(), |value| format!("{value:.3}"));
        format!("AUROC {auroc}; AURC {:.3}", self.aurc)
    }
}

/// Risk against coverage of the labels known to be right or wrong; absent if there are none.
pub(crate) fn risk_coverage(scored: &[Scored]) -> Option<RiskCoverage> {
    let known = || scored.iter().filter_map(|label| Some((label, label.correct?)));
    let (confidence, correct): (Vec<f64>, Vec<bool>) =
        known().map(|(label, correct)| (label.confidence, correct)).unzip();
    // Confidences are finite, so that only an empty list is refused.
    let curve = semievol_eval::risk_coverage(&confidence, &correct).ok()?;
    let auroc = auroc(&confidence, &correct).ok()?;
    let (n, n_kept) = (correct.len() as f64, known().filter(|(label, _)| label.kept).count() as f64);
    let wrong = known().filter(|(label, correct)| label.kept && !correct).count() as f64;
    let kept = (n_kept > 0.0).then(|| (n_kept / n, wrong / n_kept));
    Some(RiskCoverage { aurc: aurc(&curve), curve, auroc, kept })
}

/// Bins of the reliability diagram.
pub(crate) const BINS: usize = 10;

/// Reliability of the answers that have a probability and are known to be right or wrong; absent without any.
pub(crate) fn reliability(labels: &[PseudoLabel]) -> Option<Reliability> {
    let known = labels.iter().filter_map(|label| {
        let probability = label.probability.filter(|p| (0.0..=1.0).contains(p))?;
        Some((probability, label.correct?))
    });
    let (probability, correct): (Vec<f64>, Vec<bool>) = known.unzip();
    semievol_eval::reliability(&probability, &correct, BINS).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(confidence: f64, correct: Option<bool>) -> PseudoLabel {
        PseudoLabel {
            confidence: Some(confidence),
            probability: Some(confidence),
            correct,
            kept: confidence > 0.5,
            ..Default::default()
        }
    }

    #[test]
    fn risk_is_of_the_answers_known_to_be_right_or_wrong() {
        let labels = [
            label(0.9, Some(true)),
            label(0.8, None),
            label(0.7, Some(false)),
            label(0.2, Some(true)),
            label(f64::NAN, Some(false)),
        ];
        let risk = risk_coverage(&scored(&labels)).unwrap();
        let curve: Vec<(f64, f64)> = risk.curve.iter().map(|point| (point.coverage, point.risk)).collect();
        assert_eq!(curve, [(1.0 / 3.0, 0.0), (2.0 / 3.0, 0.5), (1.0, 1.0 / 3.0)]);
        assert_eq!((risk.auroc, risk.kept), (Some(0.5), Some((2.0 / 3.0, 0.5))));
        assert_eq!(risk_coverage(&scored(&[label(0.9, None)])), None);
        assert_eq!(risk_coverage(&scored(&[label(0.2, Some(true))])).unwrap().kept, None);
    }

    #[test]
    fn what_is_no_probability_is_no_part_of_the_reliability() {
        let labels = [label(1.0, Some(true)), label(0.95, Some(true)), label(0.55, Some(false))];
        let found = reliability(&labels).unwrap();
        let more = [label(f64::NAN, Some(true)), label(1.5, Some(true)), label(0.4, None)];
        assert_eq!(reliability(&[&labels[..], &more].concat()).unwrap(), found);
        assert_eq!(reliability(&more), None);
    }
}
