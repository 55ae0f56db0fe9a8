use crate::error::EvalError;
use crate::graded::{Graded, Metric};
use crate::interval::{Interval, RESAMPLES, Stream, bootstrap_of, half_width};
use crate::mcnemar::{McNemar, mcnemar, mcnemar_of_groups};
use semievol_core::Seed;
use serde::{Deserialize, Serialize};

/// Of all intervals here.
const LEVEL: f64 = 0.95;

/// Two methods on the same samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The accuracy of the first less that of the second.
    pub difference: f64,
    /// 95% interval of the difference: by bootstrap over samples; where these come in groups, Student's t on the variance
    /// over whole groups, for they may be few.
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
    let difference = mean(gain.iter().sum());
    let (first_only, second_only) = (only(&a, &b), only(&b, &a));
    let Some(groups) = first.draws.groups() else {
        let drawn = |rows: &[usize]| mean(rows.iter().map(|row| gain[*row]).sum());
        let interval = bootstrap_of(&first.draws, LEVEL, seed, drawn)?;
        return Ok(Comparison { difference, interval, mcnemar: mcnemar(first_only, second_only) });
    };
    let variance = first.draws.variance(|row| f64::from(gain[row])).drawn;
    let interval = Interval::around(difference, half_width(variance, first.draws.freedom(), LEVEL)?, LEVEL);
    let of_group = |rows: &Vec<usize>| rows.iter().map(|row| i64::from(gain[*row])).sum();
    let gains: Vec<i64> = groups.iter().map(of_group).collect();
    Ok(Comparison { difference, interval, mcnemar: mcnemar_of_groups(first_only, second_only, &gains) })
}

/// Two methods over several seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OverSeeds {
    /// The metric of the first less that of the second, the mean over seeds.
    pub difference: f64,
    /// 95% interval of the difference.
    pub interval: Interval,
    /// The paired test that goes with the interval: one less the level at which it would end at 0.
    pub p: f64,
}

/// The mean difference of two methods over seeds, `first[s]` against `second[s]` for each seed `s`, with a 95%
/// interval and the test that goes with it.
///
/// The runs of one seed share their samples. The interval knows two sources of chance: the seeds (which rows were
/// labelled, how training went) and the test samples (each sample's answers kept together, and whole groups where
/// samples come in groups). Each has half a width of its own, by Student's t with its own degrees of freedom, so
/// two or three seeds get the wide interval that they deserve. Where all seeds grade the same samples, those are
/// one draw that no number of seeds averages out: the squares of the two are added, which holds the truth at least
/// as often as promised (Banerjee, Sankhya A 23, 1961; with degrees of freedom in common, as Welch and
/// Satterthwaite have them, it does not where seeds are few). Where each seed has samples of its own, the spread
/// over seeds contains theirs: the wider of the two is taken. With one seed the interval is about that pair of runs
/// alone.
pub fn compare_over_seeds(
    metric: Metric,
    first: &[Graded],
    second: &[Graded],
    seed: Seed,
) -> Result<OverSeeds, EvalError> {
    if first.len() != second.len() {
        let (left_len, right_len) = (first.len(), second.len());
        return Err(EvalError::Lengths { left: "first runs", left_len, right: "second runs", right_len });
    }
    let reference = first.first().ok_or(EvalError::Empty { what: "a comparison over seeds" })?;
    let mut differences = Vec::with_capacity(first.len());
    for (one, other) in first.iter().zip(second) {
        one.check_paired(other)?;
        differences.push(one.metric(metric)? - other.metric(metric)?);
    }
    let n = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / n;
    let spread = match differences.len() {
        1 => 0.0,
        _ => differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0) / n,
    };
    let seed = seed.child("compare_over_seeds", reference.len() as u64);
    let shared = first.iter().all(|run| run.check_paired(reference).is_ok());
    let (rows, freedom) = if shared {
        row_variance(metric, first, second, seed)
    } else {
        let each = first.iter().zip(second).enumerate().map(|(run, (one, other))| {
            let (one, other) = (std::slice::from_ref(one), std::slice::from_ref(other));
            row_variance(metric, one, other, seed.child("run", run as u64))
        });
        let (variance, freedom) = each.fold((0.0, 0.0), |sum, run| (sum.0 + run.0, sum.1 + run.1));
        (variance / (n * n), freedom)
    };
    let half = |level: f64| {
        let (of_seeds, of_rows) = (half_width(spread, n - 1.0, level)?, half_width(rows, freedom, level)?);
        Ok::<_, EvalError>(if shared { of_seeds.hypot(of_rows) } else { of_seeds.max(of_rows) })
    };
    // The wider the level, the wider the interval; beyond these bounds no digit is shown.
    let (mut holds, mut misses) = (1.0 - 1e-9, 0.0);
    if half(holds)? < mean.abs() {
        misses = holds;
    }
    while holds - misses > 1e-6 {
        let level = 0.5 * (holds + misses);
        if half(level)? < mean.abs() { misses = level } else { holds = level }
    }
    Ok(OverSeeds { difference: mean, interval: Interval::around(mean, half(LEVEL)?, LEVEL), p: 1.0 - misses })
}

/// Variance, over draws of the samples that all runs share, of the mean difference of the runs, with its degrees of
/// freedom. By a formula for the accuracy, which is a mean; else by bootstrap.
fn row_variance(metric: Metric, first: &[Graded], second: &[Graded], seed: Seed) -> (f64, f64) {
    let draws = &first[0].draws;
    let runs = || first.iter().zip(second);
    let mean = |sum: f64| sum / first.len() as f64;
    if metric == Metric::Accuracy {
        let gain = |row| mean(runs().map(|(one, other)| one.right(row) - other.right(row)).sum());
        return (draws.variance(gain).drawn, draws.freedom());
    }
    let mut stream = Stream::new(seed);
    let mut rows = Vec::new();
    let drawn = (0..RESAMPLES).map(|_| {
        draws.draw(&mut stream, &mut rows);
        mean(runs().map(|(one, other)| one.metric_of(metric, &rows) - other.metric_of(metric, &rows)).sum())
    });
    let values: Vec<f64> = drawn.filter(|value| value.is_finite()).collect();
    let centre = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let variance =
        values.iter().map(|value| (value - centre).powi(2)).sum::<f64>() / (values.len().max(2) - 1) as f64;
    // A bootstrap's variance is that of n draws around their own mean, which is too small by (n - 1) / n.
    let n = draws.len() as f64;
    (variance * n / (n - 1.0).max(1.0), draws.freedom())
}
