use crate::agreement::votes;
use crate::{Adjudicator, Dispute, SelectError};
use semievol_core::Candidate;
use semievol_data::Task;
use semievol_model::LanguageModel;

const NAME: &str = "majority";

/// The answer most collaborators gave, where `Task::is_correct` says which answers are the same; responses
/// that could not be read have no vote. Never asks the judge.
///
/// Equally many votes decide nothing, and the sample gets no pseudo-label: any rule to break the tie, such as
/// the configuration's order, would hand every close question to the same collaborator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Majority;

impl Adjudicator for Majority {
    fn id(&self) -> String {
        NAME.to_owned()
    }

    fn adjudicate(
        &self,
        _judge: &dyn LanguageModel,
        task: &dyn Task,
        disputes: &[Dispute<'_>],
    ) -> Result<Vec<Candidate>, SelectError> {
        Ok(disputes.iter().map(|dispute| plurality(task, dispute)).collect())
    }
}

fn plurality(task: &dyn Task, dispute: &Dispute<'_>) -> Candidate {
    let votes = votes(task, dispute.candidates);
    let most = votes.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let leaders: Vec<_> = votes.iter().filter(|(_, count)| *count == most).collect();
    match leaders[..] {
        [(answer, _)] => Candidate::new(NAME, Some((*answer).clone())),
        [] => {
            let error = Some("no candidate has an answer".to_owned());
            Candidate { error, ..Candidate::new(NAME, None) }
        }
        _ => {
            let error = Some(format!("{} answers have the most votes, {most} each", leaders.len()));
            Candidate { error, ..Candidate::new(NAME, None) }
        }
    }
}
