use crate::options::{mean, most_probable};
use crate::{Adjudicator, Dispute, SelectError};
use semievol_core::{Answer, Candidate};
use semievol_data::Task;
use semievol_model::LanguageModel;

const NAME: &str = "mixture";
/// How far probabilities may be from adding up to 1.
const ROUNDING: f64 = 1e-4;

/// The most probable option under the mean of the collaborators' distributions, the first of equals; that mean
/// becomes the candidate's distribution. Collaborators without a distribution are left out. Never asks the
/// judge, and refuses disputes in which nobody has a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mixture;

impl Adjudicator for Mixture {
    fn id(&self) -> String {
        NAME.to_owned()
    }

    fn needs_options(&self) -> bool {
        true
    }

    fn adjudicate(
        &self,
        _judge: &dyn LanguageModel,
        _task: &dyn Task,
        disputes: &[Dispute<'_>],
    ) -> Result<Vec<Candidate>, SelectError> {
        let decide = |dispute: &Dispute<'_>| {
            check(dispute)?;
            let mean = mean(&distributions(dispute.candidates));
            let answer = most_probable(&mean).map(Answer::Choice);
            Ok(Candidate::new(NAME, answer).with_distribution(mean))
        };
        disputes.iter().map(decide).collect()
    }
}

/// The mean of the distributions that candidates have; empty where none has one, or their lengths differ.
pub fn mean_distribution(candidates: &[Candidate]) -> Vec<f64> {
    let scored = distributions(candidates);
    if scored.windows(2).all(|pair| pair[0].len() == pair[1].len()) { mean(&scored) } else { Vec::new() }
}

/// Those that there are.
fn distributions(candidates: &[Candidate]) -> Vec<&[f64]> {
    candidates.iter().map(|one| one.distribution.as_slice()).filter(|one| !one.is_empty()).collect()
}

fn check(dispute: &Dispute<'_>) -> Result<(), SelectError> {
    let unfit = |reason: String| SelectError::Unfit {
        part: NAME,
        reason: format!("sample `{}`: {reason}", dispute.sample.id),
    };
    let n_options = dispute.sample.options.len();
    let scored: Vec<_> =
        dispute.candidates.iter().filter(|candidate| !candidate.distribution.is_empty()).collect();
    if scored.is_empty() {
        let reason = "no collaborator has a distribution over options; for open answers take \
                      kind = \"majority\" or \"self_justify\"";
        return Err(unfit(reason.to_owned()));
    }
    for candidate in &scored {
        let (name, distribution) = (&candidate.collaborator, &candidate.distribution);
        if distribution.len() != n_options {
            let n_given = distribution.len();
            return Err(unfit(format!("`{name}` has {n_given} probabilities for {n_options} options")));
        }
        let total: f64 = distribution.iter().sum();
        if distribution.iter().any(|p| p.is_nan() || *p < 0.0) || (total - 1.0).abs() > ROUNDING {
            let reason =
                format!("the probabilities {distribution:?} of `{name}` add up to {total} instead of 1");
            return Err(unfit(reason));
        }
    }
    Ok(())
}
