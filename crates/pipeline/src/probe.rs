//! One calibrated number out of all estimators': the chance that an answer is right, learnt from labels that the models
//! asked had not learnt (cross-fitted, as in arXiv 2603.21172).

use crate::collaborate::Answers;
use crate::estimate::{Estimate, judged_again};
use crate::justify::Justified;
use semievol_core::{Confidence, Sample, Seed};
use semievol_data::Task;
use semievol_model::Embeddings;
use semievol_select::Calibrated;
use semievol_select::classify::{LogisticRegression, fit_by_cross_validation, stratified_folds};

/// Folds by which the probe's own penalty is chosen.
const FOLDS: usize = 5;

/// An answer to a label that the models asked had not learnt.
pub(crate) struct HeldOutAnswer {
    pub fold: usize,
    /// What every estimator makes of it; absent where one has nothing to say.
    pub features: Option<Vec<f64>>,
    pub calibrated: Calibrated,
}

/// What every estimator makes of each final answer.
pub(crate) fn features(
    task: &dyn Task,
    samples: &[Sample],
    answers: &[Answers],
    finals: &[Justified],
) -> Vec<Option<Vec<f64>>> {
    let finals: Vec<_> = finals.iter().map(|last| last.last.answer.as_ref()).collect();
    let columns = judged_again(task, samples, answers, &finals);
    let row = |row: usize| columns.iter().map(|(_, column)| column[row].map(|sure| sure.value())).collect();
    (0..samples.len()).map(row).map(|row: Option<Vec<f64>>| row.filter(|row| !row.is_empty())).collect()
}

/// A logistic regression over standardised features.
struct Probe {
    means: Vec<f64>,
    scales: Vec<f64>,
    model: LogisticRegression,
}

impl Probe {
    /// `None` where there is nothing to learn: too few answers, or all of them right or all wrong.
    fn fit<'a>(answers: impl Iterator<Item = &'a HeldOutAnswer>, seed: Seed) -> Option<Self> {
        let (rows, classes): (Vec<&[f64]>, Vec<usize>) = answers
            .filter_map(|one| Some((one.features.as_deref()?, usize::from(one.calibrated.correct))))
            .unzip();
        let width = rows.first()?.len();
        let n = rows.len() as f64;
        let mean = |at: usize| rows.iter().map(|row| row[at]).sum::<f64>() / n;
        let means: Vec<f64> = (0..width).map(mean).collect();
        let deviation =
            |at: usize| (rows.iter().map(|row| (row[at] - means[at]).powi(2)).sum::<f64>() / n).sqrt();
        let scales: Vec<f64> =
            (0..width).map(deviation).map(|sd| if sd > 1e-9 { 1.0 / sd } else { 0.0 }).collect();
        let wrong = classes.iter().filter(|class| **class == 0).count();
        if wrong == 0 || wrong == classes.len() || classes.len() < 2 * FOLDS {
            return None;
        }
        let standardised: Vec<f32> =
            rows.iter().flat_map(|row| standardise(row, &means, &scales).collect::<Vec<_>>()).collect();
        let features = Embeddings::new(width, standardised)?;
        let fold_of = stratified_folds(&classes, None, FOLDS, seed);
        let model = fit_by_cross_validation(&features, &classes, 2, &fold_of).ok()?.model;
        Some(Probe { means, scales, model })
    }

    fn chance(&self, features: &[f64]) -> Option<Confidence> {
        let row =
            Embeddings::new(features.len(), standardise(features, &self.means, &self.scales).collect())?;
        Confidence::new(*self.model.probabilities(&row).ok()?.first()?.get(1)?)
    }
}

fn standardise<'a>(row: &'a [f64], means: &'a [f64], scales: &'a [f64]) -> impl Iterator<Item = f32> + 'a {
    row.iter().zip(means).zip(scales).map(|((value, mean), scale)| ((value - mean) * scale) as f32)
}

/// Puts the probe's chance in the place of each confidence. The number by which a label's own answer counts among the
/// calibration ones comes from a probe that has not seen its fold. `None` if there is nothing to learn.
pub(crate) fn apply(
    held_out: &[HeldOutAnswer],
    features: &[Option<Vec<f64>>],
    estimates: &mut [Estimate],
    seed: Seed,
) -> Option<Vec<Calibrated>> {
    let probe = Probe::fit(held_out.iter(), seed)?;
    let mut calibrated = Vec::with_capacity(held_out.len());
    for of_fold in held_out.chunk_by(|one, other| one.fold == other.fold) {
        let others = held_out.iter().filter(|other| other.fold != of_fold[0].fold);
        let others = Probe::fit(others, seed)?;
        for one in of_fold {
            let confidence = others.chance(one.features.as_deref()?)?;
            calibrated.push(Calibrated { confidence, ..one.calibrated });
        }
    }
    for (estimate, features) in estimates.iter_mut().zip(features) {
        estimate.confidence =
            estimate.confidence.and(features.as_deref()).and_then(|features| probe.chance(features));
    }
    Some(calibrated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(fold: usize, sure: f64, noise: f64, correct: bool) -> HeldOutAnswer {
        let confidence = Confidence::new(sure).unwrap_or_else(|| panic!("{sure}"));
        HeldOutAnswer {
            fold,
            features: Some(vec![sure, noise]),
            calibrated: Calibrated { confidence, correct },
        }
    }

    fn estimate(sure: f64) -> Estimate {
        Estimate { id: String::new(), confidence: Confidence::new(sure), mean_nll: None, probability: None }
    }

    #[test]
    fn the_chance_is_learnt() {
        // Right in proportion to the first number; the second says nothing.
        let held_out: Vec<HeldOutAnswer> = (0..200)
            .map(|i| {
                let sure = f64::from(i % 20) / 20.0 + 0.025;
                answer(i as usize % 4, sure, f64::from(i * 7 % 11), f64::from(i / 20) / 10.0 < sure)
            })
            .collect();
        let features: Vec<Option<Vec<f64>>> = [0.1, 0.5, 0.9].map(|sure| Some(vec![sure, 5.0])).to_vec();
        let mut estimates = [0.1, 0.5, 0.9].map(estimate);
        let calibrated = apply(&held_out, &features, &mut estimates, Seed(1)).unwrap_or_default();
        assert_eq!(calibrated.len(), held_out.len());
        let chances = estimates.map(|one| one.confidence.map_or(f64::NAN, |sure| sure.value()));
        assert!(chances[0] < 0.25 && (chances[1] - 0.5).abs() < 0.1 && chances[2] > 0.75, "{chances:?}");
    }

    #[test]
    fn a_labels_own_answer_has_no_say_in_its_chance() {
        let chances = |turned: usize| {
            let one = |i: usize| {
                let (fold, sure) = (i / 30, (i % 30) as f64 / 30.0);
                answer(fold, sure, (i * 7 % 11) as f64, (sure > 0.5) != (fold == turned))
            };
            let held_out: Vec<HeldOutAnswer> = (0..120).map(one).collect();
            let calibrated = apply(&held_out, &[], &mut [], Seed(1)).unwrap_or_default();
            calibrated.iter().map(|one| one.confidence.value()).collect::<Vec<_>>()
        };
        // No fold has the number 9.
        let (plain, turned) = (chances(9), chances(2));
        assert_eq!((plain.len(), &plain[60..90]), (120, &turned[60..90]));
        assert!(plain[..30].iter().zip(&turned[..30]).any(|(one, other)| (one - other).abs() > 0.01));
    }

    #[test]
    fn of_right_answers_alone_nothing_is_learnt() {
        let held_out: Vec<HeldOutAnswer> =
            (0..30).map(|i| answer(i % 3, i as f64 / 30.0, 0.0, true)).collect();
        let mut estimates = [estimate(0.3)];
        assert!(apply(&held_out, &[Some(vec![0.3, 0.0])], &mut estimates, Seed(1)).is_none());
        assert_eq!(estimates[0].confidence, Confidence::new(0.3));
    }
}
