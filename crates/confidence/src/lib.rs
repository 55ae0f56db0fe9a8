//! How sure a pseudo-label is (SemiEvol, arXiv 2410.14745, Eq. 6): [`ConfidenceEstimator`].
//!
//! | estimator | number | range | needs |
//! | --- | --- | --- | --- |
//! | [`MeanNll`] | mean log-probability of the response's tokens (Eq. 6, negated) | at most 0 | log-probabilities |
//! | [`OptionEntropy`] | negative entropy over the options, in nats | `-ln(options)` to 0 | a closed set |
//! | [`Margin`] | probability of the answer less that of the best other option | -1 to 1 | a closed set |
//! | [`Agreement`] | share of collaborators that gave the answer | 0 to 1 | collaborators |
//! | [`AgreementLikelihood`] | that share times the likelihood (CoCoA) | 0 to 1 | collaborators, log-probabilities |
//! | [`Mixture`] | the collaborators' mean probability of the answer | 0 to 1 | a closed set, scored collaborators |
//!
//! The decision that shaped it: an estimator sees one pseudo-label's [`Evidence`], numbers that are already
//! there, and neither a model nor the other pseudo-labels. So every estimator can be compared on the same
//! run without asking the model again, and a batch can be cut anywhere. The cost: what needs the whole pool,
//! such as a percentile, belongs to selection, and what needs another pass of the model has to be put into the
//! evidence first.
//!
//! ```
//! use semievol_confidence::{ConfidenceConfig, Evidence};
//! use semievol_core::TokenLogprob;
//!
//! let estimator = ConfidenceConfig::default().build();
//! let logprobs = [-0.1, -0.3].map(|logprob| TokenLogprob { token: 7, logprob });
//! let evidence = Evidence {
//!     id: "r1",
//!     logprobs: &logprobs,
//!     distribution: &[],
//!     choice: None,
//!     candidates: &[],
//!     agrees: &[],
//! };
//! let confidence = estimator.estimate(&[evidence])?;
//! assert!((confidence[0].value() + 0.2).abs() < 1e-6);
//! # Ok::<(), semievol_confidence::ConfidenceError>(())
//! ```
//!
//! An estimator of one's own, held to what the trait promises:
//!
//! ```
//! use semievol_confidence::{Confidence, ConfidenceError, ConfidenceEstimator, Evidence, Scale};
//!
//! /// The least probable token's log-probability: one doubtful word makes a doubtful answer.
//! struct Weakest;
//!
//! impl ConfidenceEstimator for Weakest {
//!     fn id(&self) -> String { "weakest token".into() }
//!     fn scale(&self) -> Scale { Scale::LogProbability }
//!     fn estimate(&self, batch: &[Evidence<'_>]) -> Result<Vec<Confidence>, ConfidenceError> {
//!         let weakest = |one: &Evidence<'_>| {
//!             let least = one.logprobs.iter().map(|token| f64::from(token.logprob)).fold(f64::INFINITY, f64::min);
//!             let (estimator, id) = ("weakest token", one.id.to_owned());
//!             let reason = || format!("its least log-probability is {least}");
//!             Confidence::new(least).ok_or_else(|| ConfidenceError::Broken { estimator, id, reason: reason() })
//!         };
//!         batch.iter().map(weakest).collect()
//!     }
//! }
//!
//! semievol_testkit::contracts::confidence(&Weakest);
//! ```

mod collaborators;
mod config;
mod contract;
mod distribution;
mod mean_nll;

pub use collaborators::{Agreement, AgreementLikelihood, Mixture};
pub use config::ConfidenceConfig;
pub use contract::{ConfidenceError, ConfidenceEstimator, Evidence};
pub use distribution::{Margin, OptionEntropy};
pub use mean_nll::MeanNll;

pub use semievol_core::{Answer, Candidate, Confidence, Scale, TokenLogprob};

// Its types stand in signatures.
pub use semievol_core;

/// How far probabilities may be from adding up to 1, and log-probabilities above 0: rounding of an engine.
const ROUNDING: f64 = 1e-4;

/// One number for each piece of evidence, each computed from that piece alone.
fn each(
    estimator: &'static str,
    batch: &[Evidence<'_>],
    number: impl Fn(&Evidence<'_>) -> Result<f64, ConfidenceError>,
) -> Result<Vec<Confidence>, ConfidenceError> {
    let confidence = |evidence: &Evidence<'_>| {
        let value = number(evidence)?;
        Confidence::new(value)
            .ok_or_else(|| broken(estimator, evidence, format!("the confidence would be {value}")))
    };
    batch.iter().map(confidence).collect()
}

fn missing(
    estimator: &'static str,
    evidence: &Evidence<'_>,
    missing: &'static str,
    remedy: &'static str,
) -> ConfidenceError {
    ConfidenceError::Missing { estimator, id: evidence.id.to_owned(), missing, remedy }
}

fn broken(estimator: &'static str, evidence: &Evidence<'_>, reason: String) -> ConfidenceError {
    ConfidenceError::Broken { estimator, id: evidence.id.to_owned(), reason }
}
