//! Which pseudo-labels are trained on (Eq. 7-8).

mod all;
mod balanced;
mod by_class;
mod error_controlled;
mod noise_aware;
mod per_class;
mod percentile;
mod random;
mod share;
mod weighted;

pub use all::All;
pub use balanced::Balanced;
pub use error_controlled::{ErrorControlled, Rule};
pub use noise_aware::NoiseAware;
pub use per_class::PerClass;
pub use percentile::{Over, Percentile};
pub use random::Random;
pub use weighted::Weighted;

use crate::{Calibrated, Decision, Pool, PseudoLabel, SelectError, Selector};
use semievol_core::Confidence;
use serde::{Deserialize, Serialize};

/// Which selector, as a configuration says it.
///
/// ```
/// use semievol_select::SelectorConfig;
///
/// let config: SelectorConfig = toml::from_str("kind = 'percentile'\ntheta = 150")?;
/// let refused = config.build().err().ok_or("150 is no percentage")?;
/// assert_eq!(refused.to_string(), "theta is 150, but must be above 0 and at most 100");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum SelectorConfig {
    /// [`Percentile`], the paper's and the default.
    Percentile {
        /// Percent that is kept, above 0 and at most 100; 50 by default.
        #[serde(default = "default_theta")]
        theta: f64,
        /// Whose percentile; that of the unlabelled samples by default.
        #[serde(default)]
        over: Over,
    },
    /// [`PerClass`].
    PerClass {
        /// Percent that is kept of each class, above 0 and at most 100; 50 by default.
        #[serde(default = "default_theta")]
        theta: f64,
    },
    /// [`Balanced`].
    Balanced {
        /// Percent that is kept in all, above 0 and at most 100; 50 by default.
        #[serde(default = "default_theta")]
        theta: f64,
    },
    /// [`All`].
    All {},
    /// [`Weighted`].
    Weighted {},
    /// [`Random`].
    Random {
        /// Percent that is kept, above 0 and at most 100; 50 by default.
        #[serde(default = "default_theta")]
        theta: f64,
    },
    /// [`ErrorControlled`].
    ErrorControlled {
        /// The largest share of wrong pseudo-labels, above 0 and below 1.
        alpha: f64,
        /// How thresholds are certified; conformal by default.
        #[serde(default)]
        rule: Rule,
        /// Percent that is kept without a promise where the labels cannot certify one; none by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        otherwise: Option<f64>,
    },
    /// [`NoiseAware`].
    NoiseAware {},
}

fn default_theta() -> f64 {
    50.0
}

impl Default for SelectorConfig {
    fn default() -> Self {
        SelectorConfig::Percentile { theta: default_theta(), over: Over::default() }
    }
}

impl SelectorConfig {
    /// The selector.
    ///
    /// # Errors
    /// If a setting makes no sense.
    pub fn build(&self) -> Result<Box<dyn Selector>, SelectError> {
        Ok(match self {
            SelectorConfig::Percentile { theta, over } => Box::new(Percentile::new(*theta, *over)?),
            SelectorConfig::PerClass { theta } => Box::new(PerClass::new(*theta)?),
            SelectorConfig::Balanced { theta } => Box::new(Balanced::new(*theta)?),
            SelectorConfig::All {} => Box::new(All),
            SelectorConfig::Weighted {} => Box::new(Weighted),
            SelectorConfig::Random { theta } => Box::new(Random::new(*theta)?),
            SelectorConfig::ErrorControlled { alpha, rule, otherwise } => {
                let selector = ErrorControlled::new(*alpha, *rule)?;
                Box::new(otherwise.map_or(Ok(selector), |theta| selector.otherwise(theta))?)
            }
            SelectorConfig::NoiseAware {} => Box::new(NoiseAware),
        })
    }
}

/// The confidence of a pseudo-label that may be trained on, or the decision that leaves it out.
fn eligible(label: &PseudoLabel) -> Result<Confidence, Decision> {
    match (&label.answer, label.confidence) {
        (Some(_), Some(confidence)) => Ok(confidence),
        (None, _) => Err(Decision::reject("no answer could be read")),
        (Some(_), None) => Err(Decision::reject("its answer has no confidence")),
    }
}

/// The confidences of the pseudo-labels that may be trained on.
fn confidences(pool: Pool<'_>) -> Vec<Confidence> {
    pool.unlabelled.iter().filter_map(|label| eligible(label).ok()).collect()
}

/// What a selector compares with that [wants it](Selector::wants_calibration).
fn calibration<'p>(pool: Pool<'p>, part: &'static str) -> Result<&'p [Calibrated], SelectError> {
    if pool.calibration.is_empty() {
        let reason = "it needs labelled samples answered by models that were not trained on them, and there is \
                      none: set method.folds to 2 or more, or hand them in as `Pool::calibration`";
        return Err(SelectError::Unfit { part, reason: reason.to_owned() });
    }
    Ok(pool.calibration)
}

/// Leaves all out: those that may not be trained on for that, the others for a reason.
fn reject_all(pool: Pool<'_>, reason: &str) -> Vec<Decision> {
    let reject = |label| eligible(label).map_or_else(|rejected| rejected, |_| Decision::reject(reason));
    pool.unlabelled.iter().map(reject).collect()
}

/// Accepts from the threshold on. `name` says which threshold it is, such as `the 50%`.
fn against(confidence: Confidence, threshold: Confidence, name: &str) -> Decision {
    let (value, limit) = apart(confidence.value(), threshold.value());
    if confidence >= threshold {
        Decision::accept(format!("confidence {value} is at least {name} threshold {limit}"))
    } else {
        Decision::reject(format!("confidence {value} is below {name} threshold {limit}"))
    }
}

/// A number and a limit, with the decimals that show three digits of the limit, or as many as it takes for different ones to
/// look different.
fn apart(value: f64, limit: f64) -> (String, String) {
    let written = |digits: usize| (format!("{value:.digits$}"), format!("{limit:.digits$}"));
    let differ = |(value, limit): &(String, String)| value != limit;
    (decimals(limit)..=17)
        .map(written)
        .find(|pair| value == limit || differ(pair))
        .unwrap_or_else(|| (value.to_string(), limit.to_string()))
}

/// Decimals that show three digits of a number, and at least three.
fn decimals(value: f64) -> usize {
    match value.abs() {
        0.0 => 3,
        size => (2.0 - size.log10().floor()).clamp(3.0, 17.0) as usize,
    }
}
