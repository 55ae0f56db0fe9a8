use semievol_core::{Candidate, Confidence, Scale, TokenLogprob};
use std::sync::Arc;
use thiserror::Error;

/// What is known about one pseudo-label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence<'a> {
    /// The sample, for messages.
    pub id: &'a str,
    /// The final response's tokens, end of turn included, with their log-probabilities under the warm model
    /// (natural log, before temperature). Words that every answer begins with are not among them.
    pub logprobs: &'a [TokenLogprob],
    /// The warm model's probability of every option, for the same prompt; empty for open answers.
    pub distribution: &'a [f64],
    /// Position of the final answer among the options; absent for open answers.
    pub choice: Option<usize>,
    /// What each collaborator answered; empty for a labelled example, whose answer nobody disputes.
    pub candidates: &'a [Candidate],
    /// For each candidate, whether its answer is the final one.
    pub agrees: &'a [bool],
}

/// Why there is no confidence.
#[derive(Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ConfidenceError {
    /// The estimator needs what the evidence does not have.
    #[error("{estimator}: sample `{id}` has no {missing}; {remedy}")]
    Missing {
        /// The estimator's name.
        estimator: &'static str,
        /// The sample.
        id: String,
        /// What it needs.
        missing: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// The numbers make no confidence: a log-probability above 0 or not finite, probabilities that do not add up.
    #[error("{estimator}: sample `{id}`: {reason}")]
    Broken {
        /// The estimator's name.
        estimator: &'static str,
        /// The sample.
        id: String,
        /// Which value.
        reason: String,
    },
}

/// Turns evidence into a confidence, larger for surer.
pub trait ConfidenceEstimator: Send + Sync {
    /// Names the estimator with every setting that changes its numbers; part of the key under which they are
    /// kept.
    fn id(&self) -> String;

    /// Whether it can judge closed sets alone; asked while planning.
    fn needs_options(&self) -> bool {
        false
    }

    /// Whether it judges by what the collaborators said, and so cannot judge labelled samples, which they were
    /// not asked about.
    fn needs_candidates(&self) -> bool {
        false
    }

    /// What its numbers say beyond their order: whether a loss can be weighted by them.
    fn scale(&self) -> Scale {
        Scale::Order
    }

    /// One confidence for each piece of evidence, in order. Each depends on its own evidence alone.
    ///
    /// # Errors
    /// For the first piece that it cannot work with.
    fn estimate(&self, batch: &[Evidence<'_>]) -> Result<Vec<Confidence>, ConfidenceError>;
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: ConfidenceEstimator + ?Sized> ConfidenceEstimator for $pointer {
            fn id(&self) -> String {
                (**self).id()
            }
            fn needs_options(&self) -> bool {
                (**self).needs_options()
            }
            fn needs_candidates(&self) -> bool {
                (**self).needs_candidates()
            }
            fn scale(&self) -> Scale {
                (**self).scale()
            }
            fn estimate(&self, batch: &[Evidence<'_>]) -> Result<Vec<Confidence>, ConfidenceError> {
                (**self).estimate(batch)
            }
        }
    )*};
}

forward!(&T, Box<T>, Arc<T>);
