use crate::agreement::votes;
use crate::options::{draw, option_scores};
use crate::{Adjudicator, Dispute, SelectError};
use semievol_core::{Answer, Candidate, Message, Prompt, Role, Sample, Seed};
use semievol_data::{ClosedSet, Task};
use semievol_model::{Finish, GenerateRequest, LanguageModel, ModelError, ScoreRequest, Scores};
use serde::{Deserialize, Serialize};

const NAME: &str = "self_justify";
/// Goes up with every change of the prompt's words, which changes decisions.
const WORDING: u32 = 1;

/// The judge is asked once more, now with the collaborators' answers before it.
///
/// Its prompt is the task's own, extended by what [`SelfJustify::prompt`] shows, and keeps the task's response
/// prefix: so what is scored or generated is what the model was trained to say. Of a closed set every option is
/// scored and the most probable wins, the first of equals; an open answer is generated at temperature 0.
/// A prompt that does not fit the model gives a candidate without answer that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelfJustify {
    max_tokens: usize,
    order: ProposalOrder,
}

/// Where the judge sees what most collaborators answered. A small model may follow what it read last, whatever that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposalOrder {
    /// The most frequent answer first.
    #[default]
    FrequentFirst,
    /// The most frequent answer last, next to where the judge answers.
    FrequentLast,
}

impl ProposalOrder {
    pub(super) fn is_default(&self) -> bool {
        *self == ProposalOrder::default()
    }
}

impl SelfJustify {
    /// With at most so many tokens for an open answer.
    ///
    /// # Errors
    /// For 0 tokens.
    pub fn new(max_tokens: usize) -> Result<Self, SelectError> {
        if max_tokens == 0 {
            let value = max_tokens.to_string();
            return Err(SelectError::Setting { setting: "max_tokens", value, expected: "at least 1" });
        }
        Ok(SelfJustify { max_tokens, order: ProposalOrder::default() })
    }

    /// The same with the proposed answers in another order.
    pub fn in_order(self, order: ProposalOrder) -> Self {
        SelfJustify { order, ..self }
    }

    /// What the judge is shown: the task's prompt; the options with their letters, unless the task shows them
    /// so already; each different answer with how many gave it, in the [order](ProposalOrder) that was asked for; and the
    /// request to choose. Responses that could not be read are left out.
    pub fn prompt(&self, task: &dyn Task, dispute: &Dispute<'_>) -> Prompt {
        let mut prompt = task.prompt(dispute.sample, &[]);
        if !prompt.messages.iter().any(|message| message.role == Role::User) {
            prompt.messages.push(Message { role: Role::User, content: String::new() });
        }
        let users = prompt.messages.iter_mut().rev().filter(|message| message.role == Role::User);
        for message in users.take(1) {
            let appended = appended(task, dispute, self.order, &message.content);
            message.content.push_str(&appended);
        }
        prompt
    }
}

fn appended(task: &dyn Task, dispute: &Dispute<'_>, order: ProposalOrder, shown: &str) -> String {
    let options = if task.candidates(dispute.sample).is_empty() { vec![] } else { lettered(dispute.sample) };
    let mut text = String::new();
    if options.iter().any(|option| !shown.lines().any(|line| line == option)) {
        text.push_str(&format!("\n\nThe options and their letters:\n{}", options.join("\n")));
    }
    let mut votes = votes(task, dispute.candidates);
    votes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    if order == ProposalOrder::FrequentLast {
        votes.reverse();
    }
    text.push_str("\n\nAnswers that were proposed:");
    for (answer, count) in votes {
        let answer = match answer {
            Answer::Choice(index) => {
                options.get(*index).cloned().unwrap_or_else(|| format!("option {index}"))
            }
            Answer::Text(text) | Answer::Number(text) => {
                text.split_whitespace().collect::<Vec<_>>().join(" ")
            }
        };
        text.push_str(&format!("\n- {answer} (proposed by {count})"));
    }
    text.push_str(
        "\n\nProposed answers can be wrong. Decide which answer to the question is right, \
         and give it in the format that was asked for.",
    );
    text
}

/// `A. negative`, as a task with lettered answers shows its options.
fn lettered(sample: &Sample) -> Vec<String> {
    let letters = ClosedSet::default().candidates(sample);
    sample
        .options
        .iter()
        .zip(letters)
        .map(|(option, letter)| format!("{}. {option}", letter.trim()))
        .collect()
}

impl Adjudicator for SelfJustify {
    fn id(&self) -> String {
        let order = match self.order {
            ProposalOrder::FrequentFirst => "",
            ProposalOrder::FrequentLast => ", frequent_last",
        };
        format!("{NAME}(wording={WORDING}, max_tokens={}{order})", self.max_tokens)
    }

    fn adjudicate(
        &self,
        judge: &dyn LanguageModel,
        task: &dyn Task,
        disputes: &[Dispute<'_>],
    ) -> Result<Vec<Candidate>, SelectError> {
        let (closed, open): (Vec<usize>, Vec<usize>) =
            (0..disputes.len()).partition(|at| !task.candidates(disputes[*at].sample).is_empty());
        let mut decided = vec![Candidate::new(NAME, None); disputes.len()];
        if !closed.is_empty() {
            let request = |at: &usize| ScoreRequest {
                prompt: self.prompt(task, &disputes[*at]),
                continuations: task.candidates(disputes[*at].sample),
            };
            let scores = judge.score(&closed.iter().map(request).collect::<Vec<_>>())?;
            for (at, scores) in closed.into_iter().zip(scores) {
                decided[at] = decide(scores, |scores| decision(judge, disputes[at].sample, &scores))?;
            }
        }
        if !open.is_empty() {
            let request = |at: &usize| GenerateRequest {
                max_tokens: self.max_tokens,
                temperature: 0.0,
                ..GenerateRequest::new(self.prompt(task, &disputes[*at]), Seed(0))
            };
            let said = judge.generate(&open.iter().map(request).collect::<Vec<_>>())?;
            for (at, said) in open.into_iter().zip(said) {
                decided[at] = decide(said, |said| {
                    // Half a response is no answer.
                    let whole = said.finish == Finish::Stop;
                    let answer = task.parse(disputes[at].sample, &said.text).filter(|_| whole);
                    Ok(Candidate { response: said.text, ..Candidate::new(NAME, answer) })
                })?;
            }
        }
        Ok(decided)
    }
}

/// The decision of one request. A prompt that does not fit fails alone, and so does one that a server refuses; anything else
/// ends the run.
fn decide<T>(
    result: Result<T, ModelError>,
    read: impl FnOnce(T) -> Result<Candidate, ModelError>,
) -> Result<Candidate, ModelError> {
    match result {
        Ok(result) => read(result),
        Err(error) => Ok(Candidate { error: Some(error.of_one_prompt()?), ..Candidate::new(NAME, None) }),
    }
}

fn decision(judge: &dyn LanguageModel, sample: &Sample, scores: &Scores) -> Result<Candidate, ModelError> {
    let scores = option_scores(sample, scores).map_err(|reason| ModelError::Backend {
        model: judge.id().clone(),
        reason,
        source: None,
    })?;
    let answer = draw(&scores, 0.0, Seed(0)).map(Answer::Choice);
    let distribution = scores.iter().map(|score| score.probability).collect();
    Ok(Candidate::new(NAME, answer).with_distribution(distribution))
}
