use super::logistic::{LogisticRegression, check, matrix};
use super::{Classifier, REGRESSION, Rows, Taught, stratified_folds, unfit};
use crate::SelectError;
use ndarray::{Array2, Axis};
use rayon::prelude::*;
use semievol_core::Seed;
use semievol_model::Embeddings;
use std::collections::BTreeSet;

/// The penalties that are tried, strongest first, by steps of the square root of 10. With unit vectors the first
/// leaves little more than the classes' shares, the last separates whatever can be separated.
pub const L2_GRID: [f64; 13] =
    [10.0, 3.162, 1.0, 0.3162, 0.1, 0.03162, 1e-2, 3.162e-3, 1e-3, 3.162e-4, 1e-4, 3.162e-5, 1e-5];

/// Keeps the loss of a class that a fold's training rows lack finite, and the same for every penalty.
const LEAST_PROBABILITY: f64 = 1e-12;

/// A classifier whose penalty was chosen on rows it had not seen.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossValidated {
    /// Fitted on all rows with the chosen penalty.
    pub model: LogisticRegression,
    /// The chosen penalty.
    pub l2: f64,
    /// Each penalty of [`L2_GRID`] with the mean `-ln P(class)` of the held-out rows.
    pub losses: Vec<(f64, f64)>,
    /// For each row, in order, the probability of every class by the model with the chosen penalty that was
    /// fitted without that row's fold. A class whose rows all stood in that fold has probability 0.
    pub held_out: Vec<Vec<f64>>,
}

/// Fits [`LogisticRegression`] with the penalty of [`L2_GRID`] that has the least held-out log-loss, the
/// strongest of equals: so a classifier whose features say nothing ends near the classes' shares.
///
/// `fold_of` is the fold of each row, as [`stratified_folds`](super::stratified_folds) deals them; a number that no row has
/// is no fold.
///
/// # Errors
/// As [`LogisticRegression::fit`], and unless there is a fold for each row, and at least two different ones.
pub fn fit_by_cross_validation(
    features: &Embeddings,
    classes: &[usize],
    n_classes: usize,
    fold_of: &[usize],
) -> Result<CrossValidated, SelectError> {
    check(REGRESSION, features, classes, n_classes)?;
    if fold_of.len() != classes.len() {
        return Err(unfit(format!("{} rows stand in {} folds", classes.len(), fold_of.len())));
    }
    let folds: BTreeSet<usize> = fold_of.iter().copied().collect();
    if folds.len() < 2 {
        return Err(unfit("rows must stand in at least two folds".to_owned()));
    }
    let features = matrix(features);
    let said = |l2: &f64| held_out(&features, classes, n_classes, fold_of, &folds, *l2);
    let tried: Vec<Result<_, _>> = L2_GRID.par_iter().map(said).collect();
    let mut losses = Vec::with_capacity(L2_GRID.len());
    let mut best: Option<(f64, f64, Vec<Vec<f64>>)> = None;
    for (l2, held_out) in L2_GRID.into_iter().zip(tried) {
        let held_out = held_out?;
        let loss = log_loss(&held_out, classes);
        losses.push((l2, loss));
        if best.as_ref().is_none_or(|(_, least, _)| loss < *least) {
            best = Some((l2, loss, held_out));
        }
    }
    let (l2, _, held_out) = best.ok_or_else(|| unfit("no penalty was tried".to_owned()))?;
    let model = LogisticRegression::solve(features.view(), classes, n_classes, l2)?;
    Ok(CrossValidated { model, l2, losses, held_out })
}

/// [`LogisticRegression`] over embeddings, its penalty chosen by [`fit_by_cross_validation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrossValidatedRegression {
    /// Folds of the cross-validation.
    pub folds: usize,
}

impl Classifier for CrossValidatedRegression {
    fn id(&self) -> String {
        format!("{REGRESSION}, {} folds", self.folds)
    }

    fn needs_embeddings(&self) -> bool {
        true
    }

    fn classify(
        &self,
        taught: &Taught<'_>,
        asked: &Rows<'_>,
        seed: Seed,
    ) -> Result<Vec<Vec<f64>>, SelectError> {
        if self.folds < 2 {
            return Err(unfit(format!("folds is {}, but must be at least 2", self.folds)));
        }
        let features = taught.rows.embedded(REGRESSION)?;
        if taught.classes.len() < 2 {
            // One row cannot be held out, and says the same under every penalty.
            let [l2, ..] = L2_GRID;
            let model = LogisticRegression::fit(features, taught.classes, taught.n_classes, l2)?;
            return model.probabilities(asked.embedded(REGRESSION)?);
        }
        // By rows, whatever their groups: over draws of grouped sentences, penalties chosen by whole groups were
        // stronger and answered no better.
        let fold_of = stratified_folds(taught.classes, None, self.folds, seed);
        let fitted = fit_by_cross_validation(features, taught.classes, taught.n_classes, &fold_of)?;
        fitted.model.probabilities(asked.embedded(REGRESSION)?)
    }
}

fn held_out(
    features: &Array2<f64>,
    classes: &[usize],
    n_classes: usize,
    fold_of: &[usize],
    folds: &BTreeSet<usize>,
    l2: f64,
) -> Result<Vec<Vec<f64>>, SelectError> {
    let mut probabilities = vec![Vec::new(); classes.len()];
    for fold in folds {
        let (out, kept): (Vec<usize>, Vec<usize>) =
            (0..classes.len()).partition(|row| fold_of[*row] == *fold);
        let kept_classes: Vec<usize> = kept.iter().map(|row| classes[*row]).collect();
        let kept = features.select(Axis(0), &kept);
        let model = LogisticRegression::solve(kept.view(), &kept_classes, n_classes, l2)?;
        let predicted = model.predict(features.select(Axis(0), &out).view());
        out.into_iter().zip(predicted).for_each(|(row, predicted)| probabilities[row] = predicted);
    }
    Ok(probabilities)
}

fn log_loss(probabilities: &[Vec<f64>], classes: &[usize]) -> f64 {
    let losses = probabilities.iter().zip(classes).map(|(p, class)| -p[*class].max(LEAST_PROBABILITY).ln());
    losses.sum::<f64>() / classes.len() as f64
}
