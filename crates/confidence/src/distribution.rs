//! Estimators over the warm model's probabilities of the options.

use crate::{ConfidenceError, ConfidenceEstimator, Evidence, ROUNDING, broken, each, missing};
use semievol_core::{Confidence, Scale};

/// `sum_o p_o ln p_o` over the options: the negative entropy in nats, from `-ln(options)` (knows nothing) to 0
/// (certain). It says how sure the model is, and nothing of whether it is sure of the final answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OptionEntropy;

impl OptionEntropy {
    const NAME: &str = "option_entropy";
}

impl ConfidenceEstimator for OptionEntropy {
    fn id(&self) -> String {
        Self::NAME.to_owned()
    }

    fn needs_options(&self) -> bool {
        true
    }

    fn scale(&self) -> Scale {
        Scale::LogProbability
    }

    fn estimate(&self, batch: &[Evidence<'_>]) -> Result<Vec<Confidence>, ConfidenceError> {
        each(Self::NAME, batch, |evidence| {
            let distribution = distribution(Self::NAME, evidence)?;
            // The limit of p ln p at 0 is 0, where the product is NaN. Rounding above p = 1 must not pass 0.
            let terms = distribution.iter().filter(|p| **p > 0.0).map(|p| p * p.ln());
            Ok(terms.sum::<f64>().min(0.0))
        })
    }
}

/// The probability of the final answer less that of the best other option, from -1 to 1; below 0 where the warm
/// model prefers another answer.
///
/// Of probabilities and not of their logarithms: the difference of logarithms is infinite where an option has
/// probability 0, and ranks answers by how impossible the others are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Margin;

impl Margin {
    const NAME: &str = "margin";
}

impl ConfidenceEstimator for Margin {
    fn id(&self) -> String {
        Self::NAME.to_owned()
    }

    fn needs_options(&self) -> bool {
        true
    }

    fn estimate(&self, batch: &[Evidence<'_>]) -> Result<Vec<Confidence>, ConfidenceError> {
        each(Self::NAME, batch, |evidence| {
            let distribution = distribution(Self::NAME, evidence)?;
            let choice = choice(Self::NAME, evidence)?;
            let own = probability(Self::NAME, evidence, distribution, choice)?;
            let others = distribution.iter().enumerate().filter(|(option, _)| *option != choice);
            Ok(own - others.map(|(_, p)| *p).fold(0.0, f64::max))
        })
    }
}

fn distribution<'a>(estimator: &'static str, evidence: &Evidence<'a>) -> Result<&'a [f64], ConfidenceError> {
    if evidence.distribution.is_empty() {
        let remedy = "it needs a closed set of options: take kind = \"mean_nll\" for open answers";
        return Err(missing(estimator, evidence, "distribution over options", remedy));
    }
    check(estimator, evidence, "the warm model", evidence.distribution)?;
    Ok(evidence.distribution)
}

/// The final answer among the options.
pub(crate) fn choice(estimator: &'static str, evidence: &Evidence<'_>) -> Result<usize, ConfidenceError> {
    let remedy = "it needs a closed set of options: take kind = \"mean_nll\" for open answers";
    evidence.choice.ok_or_else(|| missing(estimator, evidence, "final answer among options", remedy))
}

/// The probability a distribution gives an option.
pub(crate) fn probability(
    estimator: &'static str,
    evidence: &Evidence<'_>,
    distribution: &[f64],
    option: usize,
) -> Result<f64, ConfidenceError> {
    distribution.get(option).copied().ok_or_else(|| {
        let n_options = distribution.len();
        broken(
            estimator,
            evidence,
            format!("the answer is option {option} (from 0), but {n_options} have a probability"),
        )
    })
}

/// An error unless these are probabilities that add up to 1.
pub(crate) fn check(
    estimator: &'static str,
    evidence: &Evidence<'_>,
    whose: &str,
    distribution: &[f64],
) -> Result<(), ConfidenceError> {
    let total: f64 = distribution.iter().sum();
    let fits = |p: &f64| (0.0..=1.0 + ROUNDING).contains(p);
    if distribution.iter().all(fits) && (total - 1.0).abs() <= ROUNDING {
        return Ok(());
    }
    let reason = format!("the probabilities {distribution:?} of {whose} add up to {total} instead of 1");
    Err(broken(estimator, evidence, reason))
}
