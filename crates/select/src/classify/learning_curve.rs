//! How a classifier's errors fall with more labels and with more prompts that it answers itself: a cheap stand-in for models that take
//! minutes to train.

use super::folds::stratified_order;
use super::logistic::{LogisticRegression, check, matrix};
use super::{REGRESSION, unfit};
use crate::SelectError;
use crate::options::most_probable;
use ndarray::{Array2, Axis, concatenate};
use rayon::prelude::*;
use semievol_core::Seed;
use semievol_model::Embeddings;
use std::collections::BTreeSet;

/// Rounds of folds that are averaged.
const REPEATS: u64 = 5;

/// What both curves are measured on.
struct Labels<'a> {
    rows: Array2<f64>,
    classes: &'a [usize],
    n_classes: usize,
    /// The penalty that suits all of them.
    l2: f64,
    /// The seed and the fold of each label, for each round.
    rounds: Vec<(Seed, Vec<usize>)>,
}

/// The errors of a classifier on labels that it has not learnt, by what it has.
#[derive(Debug, Clone, PartialEq)]
pub struct LearningCurve {
    /// Rows learnt from, ascending.
    pub rows: Vec<usize>,
    /// For each label, at each number of rows, how often of 1 it is answered wrong, over rounds of folds.
    pub errors: Vec<Vec<f64>>,
}

impl LearningCurve {
    /// Two curves of the classifier whose penalty `l2` suits all labels: with a quarter, half and all of the labels that the
    /// largest fold leaves to learn from; and with all of those and a quarter, half and all of the prompts of the `pool`, as
    /// a classifier that has learnt the same labels answers them. No answer comes from a model that has learnt the labels of
    /// the fold: a student of such answers would have seen what it is asked about. `deal` draws the fold of each label.
    ///
    /// # Errors
    /// Unless there is a class for each label, and a prompt, `l2` is above 0, and `deal` puts the labels into at least two
    /// folds.
    pub fn of_labels_and_prompts(
        labels: &Embeddings,
        classes: &[usize],
        n_classes: usize,
        pool: &Embeddings,
        l2: f64,
        deal: &dyn Fn(Seed) -> Vec<usize>,
        seed: Seed,
    ) -> Result<(Self, Self), SelectError> {
        check(REGRESSION, labels, classes, n_classes)?;
        if pool.is_empty() || pool.dim() != labels.dim() {
            let (n, width, of_labels) = (pool.len(), pool.dim(), labels.dim());
            return Err(unfit(format!(
                "{n} prompts of width {width} stand beside labels of width {of_labels}"
            )));
        }
        if !(l2.is_finite() && l2 > 0.0) {
            return Err(unfit(format!("l2 is {l2}, but must be above 0")));
        }
        let round = |repeat| {
            let seed = seed.child("learning curve", repeat);
            (seed, deal(seed))
        };
        let rounds: Vec<(Seed, Vec<usize>)> = (0..REPEATS).map(round).collect();
        let unfolded = |fold_of: &[usize]| {
            fold_of.len() != classes.len() || fold_of.iter().all(|fold| *fold == fold_of[0])
        };
        if let Some((_, fold_of)) = rounds.iter().find(|(_, fold_of)| unfolded(fold_of)) {
            return Err(unfit(format!(
                "{} labels stand in the folds {fold_of:?}; each needs one, of at least two",
                classes.len()
            )));
        }
        let labels = Labels { rows: matrix(labels), classes, n_classes, l2, rounds };
        Ok((labels.by_labels()?, labels.by_prompts(&matrix(pool))?))
    }
}

impl Labels<'_> {
    /// With the same pull towards 0 for each number of rows, for the loss is a mean, and the penalty is not.
    fn solve(&self, rows: &Array2<f64>, classes: &[usize]) -> Result<LogisticRegression, SelectError> {
        let l2 = self.l2 * self.classes.len() as f64 / classes.len() as f64;
        LogisticRegression::solve(rows.view(), classes, self.n_classes, l2)
    }

    fn classes_of(&self, rows: &[usize]) -> Vec<usize> {
        rows.iter().map(|row| self.classes[*row]).collect()
    }

    fn by_labels(&self) -> Result<LearningCurve, SelectError> {
        let largest = |(_, fold_of): &(Seed, Vec<usize>)| {
            let size = |fold: &usize| fold_of.iter().filter(|other| *other == fold).count();
            fold_of.iter().map(size).max().unwrap_or(0)
        };
        let least = self.classes.len() - self.rounds.iter().map(largest).max().unwrap_or(0);
        self.measure(least, |kept, order, size| {
            let order = stratified_order(&self.classes_of(kept), order);
            let learnt: Vec<usize> = order.iter().take(size).map(|at| kept[*at]).collect();
            self.solve(&self.rows.select(Axis(0), &learnt), &self.classes_of(&learnt))
        })
    }

    fn by_prompts(&self, pool: &Array2<f64>) -> Result<LearningCurve, SelectError> {
        self.measure(pool.nrows(), |kept, order, size| {
            let of_kept = self.classes_of(kept);
            let kept = self.rows.select(Axis(0), kept);
            let taken: Vec<usize> = order.permutation(pool.nrows()).into_iter().take(size).collect();
            let taken = pool.select(Axis(0), &taken);
            let teacher = self.solve(&kept, &of_kept)?.predict(taken.view());
            let of_taken = teacher.iter().map(|said| most_probable(said).unwrap_or(0));
            let of_all: Vec<usize> = of_kept.iter().copied().chain(of_taken).collect();
            let all = concatenate(Axis(0), &[kept.view(), taken.view()])
                .unwrap_or_else(|_| unreachable!("both are as wide"));
            self.solve(&all, &of_all)
        })
    }

    /// Asks models of every fold, with a quarter, half and all of so many rows, about the labels that the fold leaves out.
    fn measure(
        &self,
        most: usize,
        fit: impl Fn(&[usize], Seed, usize) -> Result<LogisticRegression, SelectError> + Sync,
    ) -> Result<LearningCurve, SelectError> {
        let rows: Vec<usize> = [4, 2, 1].iter().map(|part| (most / part).max(1)).collect();
        let mut asked = Vec::new();
        for (seed, fold_of) in &self.rounds {
            for fold in fold_of.iter().copied().collect::<BTreeSet<_>>() {
                asked.extend(rows.iter().enumerate().map(|(at, size)| (*seed, fold_of, fold, at, *size)));
            }
        }
        // The labels that a model of one fold and size answers wrong.
        let wrong = |&(seed, fold_of, fold, at, size): &(Seed, &Vec<usize>, usize, usize, usize)| {
            let (out, kept): (Vec<usize>, Vec<usize>) =
                (0..fold_of.len()).partition(|row| fold_of[*row] == fold);
            let model = fit(&kept, seed.child("order", fold as u64), size)?;
            let said = model.predict(self.rows.select(Axis(0), &out).view());
            let is_right = |row: usize, said: &[f64]| most_probable(said) == Some(self.classes[row]);
            let wrong = out.into_iter().zip(said).filter(|(row, said)| !is_right(*row, said));
            Ok((at, wrong.map(|(row, _)| row).collect::<Vec<usize>>()))
        };
        let found: Vec<Result<_, SelectError>> = asked.par_iter().map(wrong).collect();
        let mut errors = vec![vec![0.0; rows.len()]; self.classes.len()];
        for found in found {
            let (at, wrong) = found?;
            wrong.into_iter().for_each(|row| errors[row][at] += 1.0 / REPEATS as f64);
        }
        Ok(LearningCurve { rows, errors })
    }
}

#[cfg(test)]
mod tests {
    use super::LearningCurve;
    use crate::SelectError;
    use crate::classify::{fit_by_cross_validation, stratified_folds};
    use semievol_core::Seed;
    use semievol_model::Embeddings;

    /// Two clouds that overlap along the first of many directions.
    fn cloud(rows: usize, seed: u64) -> (Embeddings, Vec<usize>) {
        let classes: Vec<usize> = (0..rows).map(|row| row % 2).collect();
        let mut all = Vec::new();
        for (row, class) in classes.iter().enumerate() {
            for at in 0..20 {
                let shift = if at == 0 { *class as f64 - 0.5 } else { 0.0 };
                let noise = Seed(seed).child("noise", (20 * row + at) as u64).uniform() - 0.5;
                all.push((shift + noise) as f32);
            }
        }
        (Embeddings::new(20, all).unwrap(), classes)
    }

    fn mean(curve: &LearningCurve, at: usize) -> f64 {
        curve.errors.iter().map(|row| row[at]).sum::<f64>() / curve.errors.len() as f64
    }

    #[test]
    fn errors_fall_with_labels() {
        let (labels, classes) = cloud(60, 1);
        let (pool, _) = cloud(400, 2);
        let (by_labels, by_prompts) = curves(&labels, &classes, &pool, 5, Seed(3)).unwrap();
        assert_eq!(by_labels.rows, [12, 24, 48]);
        assert!(mean(&by_labels, 0) > mean(&by_labels, 2), "{by_labels:?}");
        assert_eq!(by_prompts.rows, [100, 200, 400]);
    }

    #[test]
    fn labels_that_nothing_tells_apart_are_not_learnt() {
        // Classes by chance, in as many directions as a memory needs: half of them stay wrong, whatever was answered.
        let (labels, _) = cloud(60, 1);
        let (pool, _) = cloud(400, 2);
        let classes: Vec<usize> = (0..60).map(|row| Seed(4).child("class", row).0 as usize % 2).collect();
        let (by_labels, by_prompts) = curves(&labels, &classes, &pool, 5, Seed(3)).unwrap();
        for (curve, at) in
            [&by_labels, &by_prompts].into_iter().flat_map(|curve| [(curve, 0), (curve, 1), (curve, 2)])
        {
            assert!((0.3..0.7).contains(&mean(curve, at)), "{curve:?}");
        }
    }

    #[test]
    fn prompts_are_there_and_as_wide_as_labels() {
        let (labels, classes) = cloud(12, 1);
        for pool in [Embeddings::new(20, Vec::new()).unwrap(), Embeddings::new(2, vec![1.0, 0.0]).unwrap()] {
            let unfit = curves(&labels, &classes, &pool, 3, Seed(1)).unwrap_err().to_string();
            assert!(unfit.contains("stand beside labels of width 20"), "{unfit}");
        }
    }

    fn curves(
        labels: &Embeddings,
        classes: &[usize],
        pool: &Embeddings,
        folds: usize,
        seed: Seed,
    ) -> Result<(LearningCurve, LearningCurve), SelectError> {
        let deal = |seed| stratified_folds(classes, None, folds, seed);
        let l2 = fit_by_cross_validation(labels, classes, 2, &deal(seed))?.l2;
        LearningCurve::of_labels_and_prompts(labels, classes, 2, pool, l2, &deal, seed)
    }
}
