use crate::error::EvalError;
use crate::interval::{Interval, check_level, half_width};
use serde::{Deserialize, Serialize};

/// A number over repetitions with different seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SeedSummary {
    /// Repetitions.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, with n - 1; absent for one repetition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sd: Option<f64>,
    /// Student's t interval of the mean; absent for one repetition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
}

/// Mean, standard deviation and t interval over seeds.
///
/// The interval tells how the mean varies from seed to seed on this test set. It knows nothing of the test
/// set being a sample itself: for that see [`compare_over_seeds`](crate::compare_over_seeds).
///
/// ```
/// let summary = semievol_eval::over_seeds(&[0.70, 0.72, 0.77], 0.95).unwrap();
/// assert_eq!(format!("{:.2} {}", summary.mean, summary.interval.unwrap()), "0.73 [0.640, 0.820]");
/// ```
///
/// # Errors
/// For no value, and for a level that is not between 0 and 1.
pub fn over_seeds(values: &[f64], level: f64) -> Result<SeedSummary, EvalError> {
    check_level(level)?;
    let n = values.len();
    if n == 0 {
        return Err(EvalError::Empty { what: "a summary over seeds" });
    }
    if let Some(value) = values.iter().copied().find(|value| !value.is_finite()) {
        return Err(EvalError::OutOfRange { what: "a value over seeds", value, expected: "a finite number" });
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    if n == 1 {
        return Ok(SeedSummary { n, mean, sd: None, interval: None });
    }
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
    let half = half_width(variance / n as f64, (n - 1) as f64, level)?;
    Ok(SeedSummary {
        n,
        mean,
        sd: Some(variance.sqrt()),
        interval: Some(Interval::around(mean, half, level)),
    })
}
