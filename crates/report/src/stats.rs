//! What the charts show, computed from the pseudo-labels.

use crate::PseudoLabel;

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
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct RiskCoverage {
    /// Coverage and risk, from the surest answers to all of them.
    pub(crate) curve: Vec<(f64, f64)>,
    /// The mean over answers of the risk of all that are at least as sure.
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

/// Risk against coverage of the labels known to be right or wrong; absent if there are none. Answers that are
/// equally sure have one risk in the area; the curve is drawn as if they came in every order.
pub(crate) fn risk_coverage(scored: &[Scored]) -> Option<RiskCoverage> {
    let mut known: Vec<(f64, bool, bool)> = scored
        .iter()
        .filter_map(|label| label.correct.map(|correct| (label.confidence, correct, label.kept)))
        .collect();
    if known.is_empty() {
        return None;
    }
    known.sort_by(|one, other| other.0.total_cmp(&one.0));
    let n = known.len() as f64;
    let (mut curve, mut taken, mut wrong, mut area, mut pairs) = (Vec::new(), 0.0, 0.0, 0.0, 0.0);
    for tied in known.chunk_by(|one, other| one.0 == other.0) {
        let size = tied.len() as f64;
        let errors = tied.iter().filter(|(_, correct, _)| !correct).count() as f64;
        // Every wrong answer met earlier is surer than the right ones of this group; those within tie.
        pairs += (size - errors) * (wrong + errors / 2.0);
        for place in 1..=tied.len() {
            let place = place as f64;
            let risk = (wrong + errors * place / size) / (taken + place);
            curve.push(((taken + place) / n, risk));
        }
        taken += size;
        wrong += errors;
        // No threshold parts what is equally sure: all of it has the risk at its end, as in the tables.
        area += size / n * wrong / taken;
    }
    let right = n - wrong;
    let auroc = (right > 0.0 && wrong > 0.0).then(|| 1.0 - pairs / (right * wrong));
    let kept: Vec<bool> = known.iter().filter(|(.., kept)| *kept).map(|(_, correct, _)| *correct).collect();
    let n_kept = kept.len() as f64;
    let kept_risk = kept.iter().filter(|correct| !**correct).count() as f64 / n_kept.max(1.0);
    let kept = (n_kept > 0.0).then_some((n_kept / n, kept_risk));
    Some(RiskCoverage { curve, aurc: area, auroc, kept })
}

/// Answers whose probability lies in one tenth of the scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ReliabilityBin {
    /// Answers.
    pub(crate) n: usize,
    /// Right ones.
    pub(crate) n_correct: usize,
    /// Their mean probability.
    pub(crate) probability: f64,
}

impl ReliabilityBin {
    /// The share of right answers.
    pub(crate) fn accuracy(&self) -> f64 {
        self.n_correct as f64 / self.n as f64
    }

    /// Wilson's 95% interval of that share.
    pub(crate) fn interval(&self) -> (f64, f64) {
        let (z, n, p): (f64, f64, f64) = (1.959_964, self.n as f64, self.accuracy());
        let denominator = 1.0 + z * z / n;
        let centre = (p + z * z / (2.0 * n)) / denominator;
        let half = z / denominator * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        ((centre - half).clamp(0.0, p), (centre + half).clamp(p, 1.0))
    }
}

/// Bins of the reliability diagram.
pub(crate) const BINS: usize = 10;

/// Whether answers are right as often as their probability says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reliability {
    /// One entry per tenth of the scale; `None` where no answer lies.
    pub(crate) bins: [Option<ReliabilityBin>; BINS],
    /// Expected calibration error: mean distance of accuracy and probability, weighted by the bins' sizes.
    pub(crate) ece: f64,
    /// Answers in all.
    pub(crate) n: usize,
}

/// Reliability of the answers that have a probability and are known to be right or wrong; absent without any.
pub(crate) fn reliability(labels: &[PseudoLabel]) -> Option<Reliability> {
    let mut sums = [(0, 0, 0.0); BINS];
    for label in labels {
        let (Some(probability), Some(correct)) = (label.probability, label.correct) else { continue };
        if !(0.0..=1.0).contains(&probability) {
            continue;
        }
        let bin = &mut sums[((probability * BINS as f64) as usize).min(BINS - 1)];
        *bin = (bin.0 + 1, bin.1 + usize::from(correct), bin.2 + probability);
    }
    let bins = sums.map(|(n, n_correct, sum)| {
        (n > 0).then(|| ReliabilityBin { n, n_correct, probability: sum / n as f64 })
    });
    let n: usize = bins.iter().flatten().map(|bin| bin.n).sum();
    let gap = |bin: &ReliabilityBin| bin.n as f64 / n as f64 * (bin.accuracy() - bin.probability).abs();
    (n > 0).then(|| Reliability { bins, ece: bins.iter().flatten().map(gap).sum(), n })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(confidence: f64, correct: bool) -> Scored {
        Scored { confidence, correct: Some(correct), kept: confidence > 0.5 }
    }

    #[test]
    fn risk_follows_the_order_of_confidence() {
        let labels = [label(0.9, true), label(0.8, true), label(0.3, false), label(0.2, true)];
        let risk = risk_coverage(&labels).unwrap();
        assert_eq!(risk.curve, [(0.25, 0.0), (0.5, 0.0), (0.75, 1.0 / 3.0), (1.0, 0.25)]);
        assert!((risk.aurc - (1.0 / 3.0 + 0.25) / 4.0).abs() < 1e-12);
        assert!((risk.auroc.unwrap() - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(risk.kept, Some((0.5, 0.0)));
    }

    #[test]
    fn ties_do_not_depend_on_the_order() {
        let one = risk_coverage(&[label(0.7, true), label(0.7, false), label(0.1, true)]).unwrap();
        let other = risk_coverage(&[label(0.1, true), label(0.7, false), label(0.7, true)]).unwrap();
        assert_eq!(one, other);
        assert_eq!(one.auroc, Some(0.25));
        // Half of the two that tie are wrong, and a third of all three.
        assert!((one.aurc - (0.5 + 0.5 + 1.0 / 3.0) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn only_right_answers_have_no_auroc() {
        let risk = risk_coverage(&[label(0.7, true)]).unwrap();
        assert_eq!((risk.auroc, risk.aurc), (None, 0.0));
        assert_eq!(risk_coverage(&[]), None);
    }

    #[test]
    fn reliability_weighs_bins_by_size() {
        let label = |probability, correct| PseudoLabel {
            probability: Some(probability),
            correct: Some(correct),
            ..Default::default()
        };
        let labels = [label(1.0, true), label(0.95, true), label(0.55, false), label(f64::NAN, true)];
        let found = reliability(&labels).unwrap();
        assert_eq!((found.n, found.bins[9].unwrap().n), (3, 2));
        assert!((found.ece - (2.0 / 3.0 * 0.025 + 0.55 / 3.0)).abs() < 1e-12);
        assert_eq!(reliability(&[]), None);
    }
}
