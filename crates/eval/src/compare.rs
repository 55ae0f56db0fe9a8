use crate::error::EvalError;
use crate::graded::{Graded, Metric};
use crate::interval::{Interval, RESAMPLES, Stream, bootstrap, percentile_interval};
use crate::mcnemar::{McNemar, mcnemar};
use semievol_core::Seed;
use serde::{Deserialize, Serialize};

/// Two methods on the same samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The accuracy of the first less that of the second.
    pub difference: f64,
    /// 95% interval of the difference, by bootstrap over samples.
    pub interval: Interval,
    /// The exact paired test.
    pub mcnemar: McNemar,
}

/// Compares the accuracy of two results on the same samples.
pub fn compare(first: &Graded, second: &Graded, seed: Seed) -> Result<Comparison, EvalError> {
    first.check_paired(second)?;
    let (a, b) = (first.correct(), second.correct());
    let only = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|(a, b)| **a && !**b).count();
    let gain: Vec<i32> = a.iter().zip(&b).map(|(a, b)| i32::from(*a) - i32::from(*b)).collect();
    let mean = |total: i32| f64::from(total) / gain.len() as f64;
    let interval = bootstrap(gain.len(), 0.95, seed, |rows| mean(rows.iter().map(|row| gain[*row]).sum()))?;
    let mcnemar = mcnemar(only(&a, &b), only(&b, &a));
    Ok(Comparison { difference: mean(gain.iter().sum()), interval, mcnemar })
}

/// The mean difference of two methods over seeds, `first[s]` against `second[s]` for each seed `s`, with a 95%
/// interval.
///
/// All results grade the same samples. The runs of one seed share their samples and all seeds share the test
/// set, so neither runs nor answers are independent: the bootstrap draws test samples and seeds, both with
/// replacement, and keeps each seed's pair and each sample's answers together. With one seed the interval is
/// about that pair of runs alone.
pub fn compare_over_seeds(
    metric: Metric,
    first: &[Graded],
    second: &[Graded],
    seed: Seed,
) -> Result<(f64, Interval), EvalError> {
    if first.len() != second.len() {
        let (left_len, right_len) = (first.len(), second.len());
        return Err(EvalError::Lengths { left: "first runs", left_len, right: "second runs", right_len });
    }
    let reference = first.first().ok_or(EvalError::Empty { what: "a comparison over seeds" })?;
    for run in first.iter().chain(second) {
        reference.check_paired(run)?;
        run.metric(metric)?;
    }
    let (n_rows, n_runs) = (reference.len(), first.len());
    let mut stream = Stream::new(seed.child("compare_over_seeds", n_rows as u64));
    let difference =
        |run: usize, rows: &[usize]| first[run].metric_of(metric, rows) - second[run].metric_of(metric, rows);
    let mut rows: Vec<usize> = (0..n_rows).collect();
    let observed = (0..n_runs).map(|run| difference(run, &rows)).sum::<f64>() / n_runs as f64;
    let values = (0..RESAMPLES).map(|_| {
        rows.fill_with(|| stream.below(n_rows));
        let runs = (0..n_runs).map(|_| difference(stream.below(n_runs), &rows));
        runs.sum::<f64>() / n_runs as f64
    });
    Ok((observed, percentile_interval(values.collect(), 0.95)?))
}
