use crate::draws::Draws;
use crate::error::EvalError;
use semievol_core::Seed;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use std::fmt;

/// Resamples of a bootstrap, enough for the ends of a 95% interval to be steady in the third digit.
pub const RESAMPLES: usize = 2000;

/// A confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Its level, such as 0.95.
    pub level: f64,
}

impl Interval {
    pub(crate) fn around(mean: f64, half: f64, level: f64) -> Interval {
        Interval { low: mean - half, high: mean + half, level }
    }

    /// The least interval that has both within it.
    pub(crate) fn hull(self, other: Interval) -> Interval {
        Interval { low: self.low.min(other.low), high: self.high.max(other.high), ..self }
    }

    /// That of a share: what of it lies within 0 and 1.
    pub fn of_share(self) -> Interval {
        Interval { low: self.low.clamp(0.0, 1.0), high: self.high.clamp(0.0, 1.0), ..self }
    }

    /// Whether a value lies in it, the ends included.
    pub fn holds(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// `[0.412, 0.587]`; the formatter's precision counts, three digits by default.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(3);
        write!(f, "[{:.digits$}, {:.digits$}]", self.low, self.high)
    }
}

/// Wilson's score interval for a share (Wilson, JASA 1927): within 0 and 1, and sensible at both.
///
/// ```
/// let interval = semievol_eval::wilson(8, 10, 0.95).unwrap();
/// assert_eq!(interval.to_string(), "[0.490, 0.943]");
/// ```
///
/// # Errors
/// For no item, for more right ones than items, and for a level that is not between 0 and 1.
pub fn wilson(n_correct: usize, n: usize, level: f64) -> Result<Interval, EvalError> {
    check_level(level)?;
    if n == 0 {
        return Err(EvalError::Empty { what: "an interval of a share" });
    }
    if n_correct > n {
        let value = n_correct as f64;
        return Err(EvalError::OutOfRange { what: "n_correct", value, expected: "at most n" });
    }
    let z = Normal::standard().inverse_cdf(0.5 + level / 2.0);
    Ok(score_interval(n_correct as f64 / n as f64, n as f64, z, level))
}

/// Wilson's interval of the share `p` of `n` rows, or of what is worth `n` rows, `z` standard errors wide to either side.
pub(crate) fn score_interval(p: f64, n: f64, z: f64, level: f64) -> Interval {
    let denominator = 1.0 + z * z / n;
    let centre = (p + z * z / (2.0 * n)) / denominator;
    let half = z / denominator * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    // Rounding must not push an end past the share itself, as it would at 0 and 1.
    Interval { low: (centre - half).clamp(0.0, p), high: (centre + half).clamp(p, 1.0), level }
}

/// Half of Student's t interval of this level of a mean of this variance, which is known with these degrees of freedom.
pub(crate) fn half_width(variance: f64, freedom: f64, level: f64) -> Result<f64, EvalError> {
    // Beyond the larger one Student's t is the normal distribution to all digits shown.
    match StudentsT::new(0.0, 1.0, freedom.clamp(1.0, 1e6)) {
        Ok(t) => Ok(t.inverse_cdf(0.5 + 0.5 * level) * variance.sqrt()),
        Err(_) => Err(EvalError::Empty { what: "an interval over seeds" }),
    }
}

/// A percentile bootstrap: `statistic` on [`RESAMPLES`] draws, with replacement, of `n` items.
///
/// Draws on which the statistic is not finite are left out. The same seed gives the same interval.
///
/// # Errors
/// For no item, for a level that is not between 0 and 1, and where the statistic is finite on no draw.
pub fn bootstrap(
    n: usize,
    level: f64,
    seed: Seed,
    statistic: impl FnMut(&[usize]) -> f64,
) -> Result<Interval, EvalError> {
    bootstrap_of(&Draws::rows(n), level, seed, statistic)
}

/// The same on draws of groups.
pub(crate) fn bootstrap_of(
    draws: &Draws,
    level: f64,
    seed: Seed,
    mut statistic: impl FnMut(&[usize]) -> f64,
) -> Result<Interval, EvalError> {
    if draws.len() == 0 {
        return Err(EvalError::Empty { what: "a bootstrap" });
    }
    let mut stream = Stream::new(seed.child("bootstrap", draws.len() as u64));
    let mut rows = Vec::new();
    let values = (0..RESAMPLES).map(|_| {
        draws.draw(&mut stream, &mut rows);
        statistic(&rows)
    });
    percentile_interval(values.collect(), level)
}

/// The interval between the outer percentiles of resampled values.
pub(crate) fn percentile_interval(mut values: Vec<f64>, level: f64) -> Result<Interval, EvalError> {
    check_level(level)?;
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    if values.is_empty() {
        return Err(EvalError::Empty { what: "a bootstrap whose statistic is never finite" });
    }
    let tail = (1.0 - level) / 2.0;
    Ok(Interval { low: quantile(&values, tail), high: quantile(&values, 1.0 - tail), level })
}

/// Linear between the order statistics, as numpy's default.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (below, above) = (at.floor() as usize, at.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * (at - below as f64)
}

pub(crate) fn check_level(level: f64) -> Result<(), EvalError> {
    if level > 0.0 && level < 1.0 {
        return Ok(());
    }
    Err(EvalError::OutOfRange { what: "level", value: level, expected: "between 0 and 1, such as 0.95" })
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): small, fast and good enough to draw rows.
pub(crate) struct Stream(u64);

impl Stream {
    pub(crate) fn new(seed: Seed) -> Stream {
        Stream(seed.0)
    }

    /// Uniform in `0..bound` by a 64 x 64 bit product; its bias is below `bound / 2^64`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((u128::from(z) * bound as u128) >> 64) as usize
    }
}
