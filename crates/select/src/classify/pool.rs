//! Collaborators by their worth: one distribution out of many.

use super::solver::minimise;
use crate::SelectError;

const POOL: &str = "the pool of collaborators";

/// Keeps the logarithm of an option that a collaborator rules out finite.
const LEAST_PROBABILITY: f64 = 1e-6;

/// A logarithmic pool of distributions over options, `q(o) ~ prod_c p_c(o)^(w_c)` (Genest and Zidek, Statistical
/// Science 1(1), 1986), with a weight of at least 0 for each collaborator.
///
/// One that errs at random gets next to no weight, one that is too sure of itself less than one that is not, and two
/// that say the same share theirs.
#[derive(Debug, Clone, PartialEq)]
pub struct LogPool {
    weights: Vec<f64>,
    /// Whether those that speak share the weights of those that say nothing.
    shared: bool,
}

impl LogPool {
    /// Equal weights that add up to 1 over those that say something: their geometric mean.
    pub fn equal(collaborators: usize) -> Self {
        LogPool { weights: vec![1.0 / collaborators.max(1) as f64; collaborators], shared: true }
    }

    /// The weights under which the right options of `rows` are most probable, held back towards equal ones: the
    /// logarithms of the weights have a normal prior with standard deviation 1. With few rows they stay near equal.
    ///
    /// `rows` holds each collaborator's distribution for each row; an empty one says nothing. Collaborators must not
    /// have learnt the rows.
    ///
    /// # Errors
    /// If rows differ in their number of collaborators, options or right answers, or there is none.
    pub fn fit(rows: &[Vec<Vec<f64>>], right: &[usize]) -> Result<Self, SelectError> {
        let collaborators = rows.first().map_or(0, Vec::len);
        check(rows, right, collaborators)?;
        let start = LogPool::equal(collaborators).weights.into_iter().map(f64::ln).collect::<Vec<_>>();
        let prior = start.clone();
        let loss = |theta: &[f64]| {
            let pool = LogPool { weights: theta.iter().map(|t| t.exp()).collect(), shared: false };
            let mut slope: Vec<f64> = theta.iter().zip(&prior).map(|(t, p)| t - p).collect();
            let mut value = slope.iter().map(|d| d * d / 2.0).sum::<f64>();
            for (row, right) in rows.iter().zip(right) {
                let pooled = pool.pooled(row);
                value -= pooled[*right].max(f64::MIN_POSITIVE).ln();
                for (c, distribution) in row.iter().enumerate().filter(|(_, one)| !one.is_empty()) {
                    let log = |o: usize| distribution[o].max(LEAST_PROBABILITY).ln();
                    let mean: f64 = pooled.iter().enumerate().map(|(o, q)| q * log(o)).sum();
                    slope[c] += pool.weights[c] * (mean - log(*right));
                }
            }
            (value, slope)
        };
        let found = minimise(start, loss);
        Ok(LogPool { weights: found.at.into_iter().map(f64::exp).collect(), shared: false })
    }

    /// One weight for each collaborator.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The pooled distribution of one row, of which there is one for each weight, all over the same options. One that says
    /// nothing moves no odds: equal weights go to the others, and weights that were fitted, each to what its own word is
    /// worth, stay. Empty if nobody has a distribution.
    ///
    /// # Errors
    /// If there are not as many distributions as weights, or they are over different numbers of options.
    pub fn combine(&self, distributions: &[Vec<f64>]) -> Result<Vec<f64>, SelectError> {
        let options = distributions.iter().map(Vec::len).max().unwrap_or(0);
        let fit = distributions.iter().all(|one| one.is_empty() || one.len() == options);
        if fit && distributions.len() == self.weights.len() {
            return Ok(self.pooled(distributions));
        }
        let reason = format!(
            "{} weights for {distributions:?}; it needs one each, all of them over the same options",
            self.weights.len()
        );
        Err(SelectError::Unfit { part: POOL, reason })
    }

    fn pooled(&self, distributions: &[Vec<f64>]) -> Vec<f64> {
        let options = distributions.iter().map(Vec::len).max().unwrap_or(0);
        let speakers = distributions.iter().filter(|one| !one.is_empty()).count();
        let share = if self.shared { self.weights.len() as f64 / speakers.max(1) as f64 } else { 1.0 };
        let mut logs = vec![0.0; options];
        for (weight, distribution) in self.weights.iter().zip(distributions) {
            for (log, p) in logs.iter_mut().zip(distribution) {
                *log += share * weight * p.max(LEAST_PROBABILITY).ln();
            }
        }
        normalise(&mut logs);
        logs
    }
}

/// Moves distributions so that their mean is a prior: each is multiplied, option by option, by the same factors and
/// normalised again (the distribution alignment of ReMixMatch, Berthelot et al., arXiv 1911.09785, made exact).
#[derive(Debug, Clone, PartialEq)]
pub struct Alignment {
    /// Logarithms of the factors; empty for none.
    factors: Vec<f64>,
}

impl Alignment {
    /// The factors for these distributions. With a `strength` below 1 they are taken to that power, for a prior that few
    /// labels give is itself a guess.
    ///
    /// Empty distributions do not count. Without a prior, and where an option has one of 0, nothing is moved: no factor
    /// makes it so.
    ///
    /// # Errors
    /// If a distribution has not as many options as the prior, or the strength is not finite.
    pub fn new<D: AsRef<[f64]>>(
        distributions: &[D],
        prior: &[f64],
        strength: f64,
    ) -> Result<Self, SelectError> {
        const ROUNDS: usize = 200;
        let distributions = || distributions.iter().map(AsRef::as_ref).filter(|one| !one.is_empty());
        let n = distributions().count();
        if n == 0 || strength == 0.0 || prior.is_empty() || prior.iter().any(|p| *p <= 0.0) {
            return Ok(Alignment { factors: Vec::new() });
        }
        let other = distributions().find(|one| one.len() != prior.len());
        if other.is_some() || !strength.is_finite() {
            let reason = format!("{other:?} is to be moved to {prior:?} by {strength}");
            return Err(SelectError::Unfit { part: "alignment", reason });
        }
        let mut found = Alignment { factors: vec![0.0; prior.len()] };
        let mut moved = Vec::with_capacity(prior.len());
        for _ in 0..ROUNDS {
            let mut mean = vec![0.0; prior.len()];
            for one in distributions() {
                moved.clear();
                moved.extend_from_slice(one);
                found.apply(&mut moved);
                mean.iter_mut().zip(&moved).for_each(|(mean, p)| *mean += p / n as f64);
            }
            let mut most = 0.0_f64;
            for ((factor, mean), prior) in found.factors.iter_mut().zip(mean).zip(prior) {
                let step = (prior / mean.max(f64::MIN_POSITIVE)).ln();
                *factor += step;
                most = most.max(step.abs());
            }
            if most < 1e-9 {
                break;
            }
        }
        found.factors.iter_mut().for_each(|factor| *factor *= strength);
        Ok(found)
    }

    /// Moves one distribution, of those that the factors were found for or another.
    pub fn apply(&self, distribution: &mut [f64]) {
        if self.factors.is_empty() || distribution.is_empty() {
            return;
        }
        for (p, factor) in distribution.iter_mut().zip(&self.factors) {
            *p = p.max(f64::MIN_POSITIVE).ln() + factor;
        }
        normalise(distribution);
    }
}

/// Logarithms to probabilities.
fn normalise(logs: &mut [f64]) {
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logs.iter_mut().for_each(|log| *log = (*log - most).exp());
    let sum: f64 = logs.iter().sum();
    logs.iter_mut().for_each(|p| *p /= sum);
}

fn check(rows: &[Vec<Vec<f64>>], right: &[usize], collaborators: usize) -> Result<(), SelectError> {
    let unfit = |reason: String| Err(SelectError::Unfit { part: POOL, reason });
    if rows.is_empty() || rows.len() != right.len() {
        return unfit(format!("{} rows have {} right answers; it needs one each", rows.len(), right.len()));
    }
    for (at, (row, right)) in rows.iter().zip(right).enumerate() {
        if row.len() != collaborators {
            return unfit(format!("row {at} has {} collaborators instead of {collaborators}", row.len()));
        }
        let options = row.iter().map(Vec::len).max().unwrap_or(0);
        if row.iter().any(|one| !one.is_empty() && one.len() != options) || *right >= options {
            return unfit(format!("row {at}: option {right} is right of {:?}", row));
        }
        if row.iter().flatten().any(|p| !(0.0..=1.0 + 1e-4).contains(p)) {
            return unfit(format!("row {at} has probabilities that are none: {row:?}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Rows of two options; each collaborator is right with its probability and says so with its sureness.
    fn rows(n: usize, worth: &[(f64, f64)]) -> (Vec<Vec<Vec<f64>>>, Vec<usize>) {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let right: Vec<usize> = (0..n).map(|_| usize::from(rng.random::<bool>())).collect();
        let rows = right.iter().map(|right| {
            let mut say = |(skill, sure): &(f64, f64)| {
                let said = if rng.random::<f64>() < *skill { *right } else { 1 - right };
                let mut p = vec![1.0 - sure; 2];
                p[said] = *sure;
                p
            };
            worth.iter().map(&mut say).collect()
        });
        (rows.collect(), right)
    }

    #[test]
    fn worth_is_learnt() {
        let (rows, right) = rows(300, &[(0.9, 0.9), (0.5, 0.99), (0.8, 0.8)]);
        let pool = LogPool::fit(&rows, &right).unwrap_or_else(|error| panic!("{error}"));
        let [good, blind, fair] = pool.weights() else { panic!("{:?}", pool.weights()) };
        assert!(*blind < 0.1 && (good - 1.0).abs() < 0.3 && (fair - 1.0).abs() < 0.4, "{:?}", pool.weights());
        let hits = |pool: &LogPool| {
            let hit = |(row, right): (&Vec<Vec<f64>>, &usize)| pool.pooled(row)[*right] > 0.5;
            rows.iter().zip(&right).filter(|one| hit(*one)).count()
        };
        assert!(hits(&pool) > hits(&LogPool::equal(3)) + 60);
    }

    /// The strength is a power: of 1 it is the whole way, of a half its square root.
    #[test]
    fn half_an_alignment_goes_half_the_way_in_logarithms() {
        let rows = [[0.7, 0.2, 0.1], [0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1]];
        let moved = |strength: f64| {
            let alignment =
                Alignment::new(&rows, &[0.3, 0.3, 0.4], strength).unwrap_or_else(|e| panic!("{e}"));
            let mut row = rows[0];
            alignment.apply(&mut row);
            // Against the first option, so that what makes it a distribution drops out.
            [1, 2].map(|at| (row[at] / row[0]).ln() - (rows[0][at] / rows[0][0]).ln())
        };
        let (whole, half, quarter) = (moved(1.0), moved(0.5), moved(0.25));
        for at in 0..2 {
            assert!(whole[at].abs() > 0.1, "{whole:?}");
            assert!((half[at] - whole[at] / 2.0).abs() < 1e-9, "{half:?} {whole:?}");
            assert!((quarter[at] - whole[at] / 4.0).abs() < 1e-9, "{quarter:?} {whole:?}");
        }
    }

    #[test]
    fn few_rows_leave_the_weights_near_equal() {
        let (rows, right) = rows(2, &[(0.9, 0.7), (0.5, 0.7)]);
        let pool = LogPool::fit(&rows, &right).unwrap_or_else(|error| panic!("{error}"));
        assert!(pool.weights().iter().all(|w| (0.2..1.2).contains(w)), "{:?}", pool.weights());
    }

    #[test]
    fn an_absent_collaborator_says_nothing() {
        let fitted = LogPool { weights: vec![1.0, 1.0], shared: false };
        for pool in [&fitted, &LogPool::equal(2)] {
            let alone = pool.pooled(&[vec![0.7, 0.3], vec![]]);
            assert!((alone[0] - 0.7).abs() < 1e-12, "{pool:?}: {alone:?}");
        }
        let pool = fitted;
        assert_eq!(pool.pooled(&[vec![], vec![]]), Vec::<f64>::new());
        // Of other options, or of somebody who has no weight, it makes nothing.
        assert!(pool.combine(&[vec![0.9, 0.1], vec![0.3, 0.3, 0.4]]).is_err());
        assert!(pool.combine(&[vec![0.9, 0.1]]).is_err());
        assert!(Alignment::new(&[vec![0.5, 0.5]], &[0.2, 0.3, 0.5], 1.0).is_err());
        assert!(Alignment::new(&[vec![0.5, 0.5]], &[0.5, 0.5], f64::NAN).is_err());
        assert!(LogPool::fit(&[vec![vec![0.5, 0.5]]], &[2]).is_err());
        assert!(LogPool::fit(&[], &[]).is_err());
    }

    proptest! {
        #[test]
        fn aligned_distributions_have_the_prior_for_their_mean(
            rows in prop::collection::vec(prop::collection::vec(0.01f64..1.0, 3), 2..40),
            prior in prop::collection::vec(0.1f64..1.0, 3),
        ) {
            let normal = |one: Vec<f64>| { let sum: f64 = one.iter().sum(); one.into_iter().map(|p| p / sum).collect::<Vec<_>>() };
            let mut rows: Vec<Vec<f64>> = rows.into_iter().map(normal).collect();
            let (before, prior) = (rows.clone(), normal(prior));
            let alignment = Alignment::new(&rows, &prior, 1.0).unwrap_or_else(|e| panic!("{e}"));
            rows.iter_mut().for_each(|one| alignment.apply(one));
            for (o, prior) in prior.iter().enumerate() {
                let mean = rows.iter().map(|one| one[o]).sum::<f64>() / rows.len() as f64;
                prop_assert!((mean - prior).abs() < 1e-6, "{mean} {prior}");
            }
            let mut unmoved = before.clone();
            let none = Alignment::new(&unmoved, &prior, 0.0).unwrap_or_else(|e| panic!("{e}"));
            unmoved.iter_mut().for_each(|one| none.apply(one));
            for (one, other) in unmoved.iter().flatten().zip(before.iter().flatten()) {
                prop_assert!((one - other).abs() < 1e-12);
            }
        }
    }
}
