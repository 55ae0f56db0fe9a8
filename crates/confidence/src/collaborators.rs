//! Estimators over what the collaborators answered.

use crate::distribution::{check, choice, probability};
use crate::{ConfidenceError, ConfidenceEstimator, Evidence, MeanNll, broken, each, missing};
use semievol_core::Confidence;

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
        each(Self::NAME, batch, |evidence| {
            let (asked, told) = (evidence.candidates.len(), evidence.agrees.len());
            if asked != told {
                let reason = format!("{asked} candidates stand against {told} marks of agreement");
                return Err(broken(Self::NAME, evidence, reason));
            }
            if asked == 0 {
                return Err(missing(Self::NAME, evidence, "collaborators", WITHOUT_COLLABORATORS));
            }
            Ok(evidence.agrees.iter().filter(|agrees| **agrees).count() as f64 / asked as f64)
        })
    }
}

/// The share of collaborators that gave the final answer times the geometric mean probability of its tokens, `exp(-H)`
/// of Eq. 6, from 0 to 1: agreement times likelihood, as in CoCoA (arXiv 2510.20460).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AgreementLikelihood;

impl ConfidenceEstimator for AgreementLikelihood {
    fn id(&self) -> String {
        "agreement_likelihood".to_owned()
    }

    fn needs_candidates(&self) -> bool {
        true
    }

    fn estimate(&self, batch: &[Evidence<'_>]) -> Result<Vec<Confidence>, ConfidenceError> {
        let pairs = Agreement.estimate(batch)?.into_iter().zip(MeanNll.estimate(batch)?);
        let product = |((share, nll), evidence): ((Confidence, Confidence), &Evidence<'_>)| {
            let value = share.value() * nll.value().exp();
            Confidence::new(value).ok_or_else(|| broken("agreement_likelihood", evidence, format!("{value}")))
        };
        pairs.zip(batch).map(product).collect()
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

const WITHOUT_COLLABORATORS: &str =
    "take kind = \"mean_nll\", or a percentile over the unlabelled samples if this one is labelled";
