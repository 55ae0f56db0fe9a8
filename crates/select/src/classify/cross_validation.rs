use super::logistic::{LogisticRegression, check, matrix};
use super::unfit;
use crate::SelectError;
use ndarray::{Array2, Axis};
use semievol_core::Seed;
use semievol_model::Embeddings;
use std::collections::BTreeMap;

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
/// The folds are stratified: each class's rows are dealt out in an order drawn from `seed`.
///
/// # Errors
/// As [`LogisticRegression::fit`], and unless `folds` is at least 2 and at most the number of rows.
pub fn fit_by_cross_validation(
    features: &Embeddings,
    classes: &[usize],
    n_classes: usize,
    folds: usize,
    seed: Seed,
) -> Result<CrossValidated, SelectError> {
    check(features, classes, n_classes)?;
    if folds < 2 {
        let value = folds.to_string();
        return Err(SelectError::Setting { setting: "folds", value, expected: "at least 2" });
    }
    if folds > classes.len() {
        let rows = classes.len();
        return Err(unfit(format!("{folds} folds need as many labelled rows, and there are {rows}")));
    }
    let features = matrix(features);
    let fold_of = stratified_folds(classes, folds, seed);
    let mut losses = Vec::with_capacity(L2_GRID.len());
    let mut best: Option<(f64, f64, Vec<Vec<f64>>)> = None;
    for l2 in L2_GRID {
        let held_out = held_out(&features, classes, n_classes, &fold_of, folds, l2)?;
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

/// The fold of each row, stratified. Each class goes on dealing where the one before stopped, so that folds differ by one
/// row at most.
pub fn stratified_folds(classes: &[usize], folds: usize, seed: Seed) -> Vec<usize> {
    let mut fold_of = vec![0; classes.len()];
    let dealt = shuffled_classes(classes, seed, "stratified folds").into_iter().flatten();
    dealt.enumerate().for_each(|(dealt, row)| fold_of[row] = dealt % folds);
    fold_of
}

/// All rows, each class's in an order of its own, the classes dealt out evenly: every beginning of it is as stratified as
/// its length allows.
pub fn stratified_order(classes: &[usize], seed: Seed) -> Vec<usize> {
    let mut rows: Vec<(f64, usize)> = Vec::with_capacity(classes.len());
    for own in shuffled_classes(classes, seed, "stratified order") {
        let place = |rank: usize| (rank as f64 + 0.5) / own.len() as f64;
        rows.extend(own.iter().enumerate().map(|(rank, row)| (place(rank), *row)));
    }
    rows.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
    rows.into_iter().map(|(_, row)| row).collect()
}

/// The rows of each class that occurs, in an order drawn from the seed's children of this name.
fn shuffled_classes(classes: &[usize], seed: Seed, name: &str) -> Vec<Vec<usize>> {
    let mut rows: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    classes.iter().enumerate().for_each(|(row, class)| rows.entry(*class).or_default().push(row));
    let shuffle = |(class, rows): (usize, Vec<usize>)| {
        let order = seed.child(name, class as u64).permutation(rows.len());
        order.into_iter().map(|at| rows[at]).collect()
    };
    rows.into_iter().map(shuffle).collect()
}

fn held_out(
    features: &Array2<f64>,
    classes: &[usize],
    n_classes: usize,
    fold_of: &[usize],
    folds: usize,
    l2: f64,
) -> Result<Vec<Vec<f64>>, SelectError> {
    let mut probabilities = vec![Vec::new(); classes.len()];
    for fold in 0..folds {
        let (out, kept): (Vec<usize>, Vec<usize>) = (0..classes.len()).partition(|row| fold_of[*row] == fold);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_even_in_size_and_in_classes() {
        let classes: Vec<usize> = (0..23).map(|row| [0, 0, 3, 0, 7][row % 5]).collect();
        for folds in 2..=8 {
            let fold_of = stratified_folds(&classes, folds, Seed(3));
            for class in [None, Some(0), Some(3), Some(7)] {
                let mut sizes = vec![0; folds];
                let rows = (0..classes.len()).filter(|row| class.is_none_or(|class| classes[*row] == class));
                rows.for_each(|row| sizes[fold_of[row]] += 1);
                let (least, most) = (sizes.iter().min(), sizes.iter().max());
                assert!(
                    most.zip(least).is_some_and(|(most, least)| most - least <= 1),
                    "{class:?}: {sizes:?}"
                );
            }
        }
        assert_ne!(stratified_folds(&classes, 4, Seed(1)), stratified_folds(&classes, 4, Seed(2)));
    }
}
