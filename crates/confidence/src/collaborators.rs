//! Estimators over what the collaborators answered.

use crate::distribution::{check, choice, probability};
use crate::mean_nll::mean_logprob;
use crate::{ConfidenceError, ConfidenceEstimator, Evidence, broken, each, missing};
use semievol_core::{Confidence, Scale};

/// The share of collaborators that gave the final answer, from 0 to 1. One whose response could not be read
/// counts as one that did not.
///
/// With four collaborators it has five values, so a percentile finds many ties; and a labelled example has no
/// collaborators, so its percentile cannot be over labelled samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Agreement;

impl Agreement {
    const NAME: &str = "agreement";
}

impl ConfidenceEstimator for Agreement {
    fn id(&self) -> String {
        Self::NAME.to_owned()
    }

    fn needs_candidates(&self) -> bool {
        true
    }

    fn estimate(&self, batch: &[Evidence<'_>]) -> Result<Vec<Confidence>, ConfidenceError> {
        each(Self::NAME, batch, |evidence| share_that_agrees(Self::NAME, evidence))
    }
}

/// The share of collaborators that gave the final answer times the geometric mean probability of its tokens, `exp(-H)`
/// of Eq. 6, from 0 to 1: confidence times consistency, in the spirit of CoCoA (Vashurin et al., arXiv
/// 2502.04964).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AgreementLikelihood;

impl AgreementLikelihood {
    const NAME: &str = "agreement_likelihood";
}

impl ConfidenceEstimator for AgreementLikelihood {
    fn id(&self) -> String {
        Self::NAME.to_owned()
    }

    fn needs_candidates(&self) -> bool {
        true
    }

    fn scale(&self) -> Scale {
        Scale::Probability
    }

    fn estimate(&self, batch: &[Evidence<'_>]) -> Result<Vec<Confidence>, ConfidenceError> {
        each(Self::NAME, batch, |evidence| {
            Ok(share_that_agrees(Self::NAME, evidence)? * mean_logprob(Self::NAME, evidence)?.exp())
        })
    }
}

/// The mean probability of the final answer over the collaborators that have a distribution, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mixture;

impl Mixture {
    const NAME: &str = "mixture";
}

impl ConfidenceEstimator for Mixture {
    fn id(&self) -> String {
        Self::NAME.to_owned()
    }

    fn needs_options(&self) -> bool {
        true
    }

    fn needs_candidates(&self) -> bool {
        true
    }

    fn scale(&self) -> Scale {
        Scale::Probability
    }

    fn estimate(&self, batch: &[Evidence<'_>]) -> Result<Vec<Confidence>, ConfidenceError> {
        each(Self::NAME, batch, |evidence| {
            let choice = choice(Self::NAME, evidence)?;
            let scored = evidence.candidates.iter().filter(|candidate| !candidate.distribution.is_empty());
            let mut probabilities = Vec::new();
            for candidate in scored {
                check(Self::NAME, evidence, &candidate.collaborator, &candidate.distribution)?;
                probabilities.push(probability(Self::NAME, evidence, &candidate.distribution, choice)?);
            }
            if probabilities.is_empty() {
                let lacking = "collaborator with a distribution over options";
                return Err(missing(Self::NAME, evidence, lacking, WITHOUT_COLLABORATORS));
            }
            Ok(probabilities.iter().sum::<f64>() / probabilities.len() as f64)
        })
    }
}

fn share_that_agrees(estimator: &'static str, evidence: &Evidence<'_>) -> Result<f64, ConfidenceError> {
    let (asked, told) = (evidence.candidates.len(), evidence.agrees.len());
    if asked != told {
        let reason = format!("{asked} candidates stand against {told} marks of agreement");
        return Err(broken(estimator, evidence, reason));
    }
    if asked == 0 {
        return Err(missing(estimator, evidence, "collaborators", WITHOUT_COLLABORATORS));
    }
    Ok(evidence.agrees.iter().filter(|agrees| **agrees).count() as f64 / asked as f64)
}

const WITHOUT_COLLABORATORS: &str =
    "take kind = \"mean_nll\", or a percentile over the unlabelled samples if this one is labelled";
