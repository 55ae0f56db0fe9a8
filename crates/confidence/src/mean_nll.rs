use crate::{ConfidenceError, ConfidenceEstimator, Evidence, ROUNDING, broken, each, missing};
use semievol_core::{Confidence, Scale};

const NAME: &str = "mean_nll";

/// `-H`, where `H = -(1/L) sum_k ln P(r_k | t, r_<k)` over the final response's `L` tokens, end of turn included
/// (Eq. 6). The paper calls `H` entropy; it is the mean negative log-likelihood. At most 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MeanNll;

impl ConfidenceEstimator for MeanNll {
    fn id(&self) -> String {
        NAME.to_owned()
    }

    fn scale(&self) -> Scale {
        Scale::LogProbability
    }

    fn estimate(&self, batch: &[Evidence<'_>]) -> Result<Vec<Confidence>, ConfidenceError> {
        each(NAME, batch, |evidence| mean_logprob(NAME, evidence))
    }
}

pub(crate) fn mean_logprob(estimator: &'static str, evidence: &Evidence<'_>) -> Result<f64, ConfidenceError> {
    if evidence.logprobs.is_empty() {
        let remedy = "score the final response first, or take kind = \"agreement\"";
        return Err(missing(estimator, evidence, "log-probabilities", remedy));
    }
    let mut sum = 0.0;
    for (position, token) in evidence.logprobs.iter().enumerate() {
        let logprob = f64::from(token.logprob);
        if !logprob.is_finite() || logprob > ROUNDING {
            let reason =
                format!("token {position} has log-probability {logprob}, which is not finite and at most 0");
            return Err(broken(estimator, evidence, reason));
        }
        sum += logprob.min(0.0);
    }
    Ok(sum / evidence.logprobs.len() as f64)
}
