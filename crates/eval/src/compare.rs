use crate::draws::Draws;
use crate::error::EvalError;
use crate::graded::{Graded, Metric};
use crate::interval::{Interval, RESAMPLES, Stream, bootstrap_of, half_width};
use crate::mcnemar::{McNemar, mcnemar, mcnemar_of_groups};
use semievol_core::{Groups, Seed};
use serde::{Deserialize, Serialize};
use statrs::function::beta::beta_reg;

/// Of all intervals here.
const LEVEL: f64 = 0.95;

/// Two methods on the same samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The accuracy of the first less that of the second.
    pub difference: f64,
    /// 95% interval of the difference: to either side the wider of a bootstrap over samples and of the exact interval that
    /// goes with the test (of Clopper and Pearson, Biometrika 26, 1934, for the share of the first among the samples that only
    /// one gets right), so that it holds 0 wherever the test finds nothing. Where samples come in groups, Student's t on
    /// the variance over whole groups, for they may be few.
    pub interval: Interval,
    /// The exact paired test.
    pub mcnemar: McNemar,
}

/// Compares the accuracy of two results on the same samples.
///
/// # Errors
/// If the two do not grade the same samples in the same order, or none.
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
        let drawn = bootstrap_of(&first.draws, LEVEL, seed, drawn)?;
        let interval = drawn.hull(exact_interval(first_only, second_only, gain.len()));
        return Ok(Comparison { difference, interval, mcnemar: mcnemar(first_only, second_only) });
    };
    let value = |row: usize| f64::from(gain[row]);
    let variance = first.draws.variance(value).drawn.max(first.draws.least_variance(value));
    let interval = Interval::around(difference, half_width(variance, first.draws.freedom(), LEVEL)?, LEVEL);
    let of_group = |rows: &Vec<usize>| rows.iter().map(|row| i64::from(gain[*row])).sum();
    let gains: Vec<i64> = groups.iter().map(of_group).collect();
    Ok(Comparison { difference, interval, mcnemar: mcnemar_of_groups(first_only, second_only, &gains) })
}

/// That of the difference given how many samples only one gets right; where there are none, as far as there might be some.
fn exact_interval(first_only: usize, second_only: usize, n: usize) -> Interval {
    let tail = (1.0 - LEVEL) / 2.0;
    if first_only + second_only == 0 {
        return Interval::around(0.0, 1.0 - tail.powf(1.0 / n as f64), LEVEL);
    }
    let (b, c) = (first_only as f64, second_only as f64);
    // The share of the first under which as many as seen, or more, have the chance `tail`; the same of the second.
    let least = |seen: f64, others: f64| match seen {
        0.0 => 0.0,
        _ => {
            let (mut low, mut high) = (0.0, 1.0);
            for _ in 0..60 {
                let share = 0.5 * (low + high);
                if beta_reg(seen, others + 1.0, share) < tail { low = share } else { high = share }
            }
            low
        }
    };
    let scale = (b + c) / n as f64;
    let difference = |share: f64| scale * (2.0 * share - 1.0);
    Interval { low: difference(least(b, c)), high: difference(1.0 - least(c, b)), level: LEVEL }
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
/// over seeds contains theirs: the wider of the two is taken. A sample that some of the seeds share is one draw in all of
/// them, and what that adds to the variance is added to the spread, so that no number of seeds makes a small file a large
/// one. With one seed the interval is about that pair of runs alone. However rarely two methods differ, the
/// samples' part is at least that of one that only the first gets right and one that only the second does, and so large
/// that, as in an exact test, five samples that only the first gets right are not yet a difference.
///
/// # Errors
/// If there are not as many results of the one as of the other, or none; where those of a seed do not grade the same
/// samples in the same order; and for a metric that cannot be computed on them.
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
    let (rows, freedom, in_common) = match shared {
        true => {
            let of_rows = row_variance(metric, first, second, seed);
            (of_rows.whole(), of_rows.freedom, of_rows.whole())
        }
        false => {
            let pooled = pooled_variance(metric, first, second, seed);
            let each = first.iter().zip(second).enumerate().map(|(run, (one, other))| {
                let (one, other) = (std::slice::from_ref(one), std::slice::from_ref(other));
                row_variance(metric, one, other, seed.child("run", run as u64)).drawn
            });
            // What the spread over seeds does not have: that of samples that seeds share.
            (pooled.whole(), pooled.freedom, (pooled.drawn - each.sum::<f64>() / (n * n)).max(0.0))
        }
    };
    let half = |level: f64| {
        let of_seeds = half_width(spread, n - 1.0, level)?;
        let [of_rows, of_common] = [rows, in_common].map(|variance| half_width(variance, freedom, level));
        Ok::<_, EvalError>(of_seeds.hypot(of_common?).max(of_rows?))
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

/// Variance of the mean difference of runs over draws of their samples.
struct OfSamples {
    /// By a formula for the accuracy, which is a mean; else by bootstrap.
    drawn: f64,
    /// See [`Draws::least_variance`].
    least: f64,
    freedom: f64,
}

impl OfSamples {
    fn whole(&self) -> f64 {
        self.drawn.max(self.least)
    }
}

/// That of samples which all runs share.
fn row_variance(metric: Metric, first: &[Graded], second: &[Graded], seed: Seed) -> OfSamples {
    let draws = &first[0].draws;
    let runs = || first.iter().zip(second);
    let mean = |sum: f64| sum / first.len() as f64;
    let gain = |row| mean(runs().map(|(one, other)| one.right(row) - other.right(row)).sum());
    let drawn = match metric {
        Metric::Accuracy => draws.variance(gain).drawn,
        Metric::MacroF1 => drawn_variance(draws, seed, |rows| {
            mean(runs().map(|(one, other)| one.metric_of(metric, rows) - other.metric_of(metric, rows)).sum())
        }),
    };
    OfSamples { drawn, least: draws.least_variance(gain), freedom: draws.freedom() }
}

/// The same where runs have samples of their own, of which some may be shared: these, and whole groups, are one draw.
fn pooled_variance(metric: Metric, first: &[Graded], second: &[Graded], seed: Seed) -> OfSamples {
    let runs: Vec<(&Graded, &Graded)> = first.iter().zip(second).collect();
    let starts: Vec<usize> = runs
        .iter()
        .scan(0, |next, (one, _)| {
            let start = *next;
            *next += one.len();
            Some(start)
        })
        .collect();
    let draws = Draws::of(&clusters(first));
    let n = draws.n_rows();
    let (mut gain, mut surplus) = (Vec::with_capacity(n), Vec::with_capacity(n));
    for (one, other) in &runs {
        // So that the mean over all rows is that over runs.
        let weight = n as f64 / (runs.len() * one.len()) as f64;
        let gains = (0..one.len()).map(|row| weight * (one.right(row) - other.right(row)));
        let mean = gains.clone().sum::<f64>() / one.len() as f64;
        surplus.extend(gains.clone().map(|gain| gain - mean));
        gain.extend(gains);
    }
    let (least, freedom) = (draws.least_variance(|row| gain[row]), draws.freedom());
    if metric == Metric::Accuracy {
        return OfSamples { drawn: draws.variance(|row| surplus[row]).drawn, least, freedom };
    }
    let mut of_runs = vec![Vec::new(); runs.len()];
    let drawn = drawn_variance(&draws, seed, |rows| {
        of_runs.iter_mut().for_each(Vec::clear);
        for row in rows {
            let run = starts.partition_point(|start| start <= row) - 1;
            of_runs[run].push(row - starts[run]);
        }
        let each = runs.iter().zip(&of_runs);
        let each =
            each.map(|((one, other), rows)| one.metric_of(metric, rows) - other.metric_of(metric, rows));
        each.sum::<f64>() / runs.len() as f64
    });
    OfSamples { drawn, least, freedom }
}

/// The rows of all runs, one after another: those that are one sample, or of one group in some run, come together. What a
/// group is called in one run says nothing of another: two runs with other rows of one group are told apart.
fn clusters(runs: &[Graded]) -> Groups {
    let samples = Groups::keyed(runs.iter().flat_map(Graded::ids).map(Some));
    let of_run = |(run, graded): (usize, &Graded)| {
        let mut names = vec![None; graded.len()];
        for (group, rows) in graded.draws.groups().unwrap_or_default().iter().enumerate() {
            rows.iter().for_each(|row| names[*row] = Some((run, group)));
        }
        names
    };
    samples.joined(&Groups::keyed(runs.iter().enumerate().flat_map(of_run)))
}

/// The variance of a statistic over draws, by bootstrap.
fn drawn_variance(draws: &Draws, seed: Seed, mut statistic: impl FnMut(&[usize]) -> f64) -> f64 {
    let mut stream = Stream::new(seed);
    let mut rows = Vec::new();
    let drawn = (0..RESAMPLES).map(|_| {
        draws.draw(&mut stream, &mut rows);
        statistic(&rows)
    });
    let values: Vec<f64> = drawn.filter(|value| value.is_finite()).collect();
    let centre = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let variance =
        values.iter().map(|value| (value - centre).powi(2)).sum::<f64>() / (values.len().max(2) - 1) as f64;
    // A bootstrap's variance is that of n draws around their own mean, which is too small by (n - 1) / n.
    let n = draws.len() as f64;
    variance * n / (n - 1.0).max(1.0)
}
