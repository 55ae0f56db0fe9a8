//! What the collaborators answered, read once from the run's files: how good each is, how well every estimator judges,
//! and the rows that the page shows.

use crate::RunError;
use crate::pseudo::{RightOf, is_right, own_confidence};
use crate::sets::Sets;
use semievol_core::{Answer, Confidence, Labeled, Sample, Seed};
use semievol_data::Task;
use semievol_eval::{aurc, auroc, risk_coverage};
use semievol_pipeline::{Answers, Evolved, Method, judged_again};
use serde::{Deserialize, Serialize};
use std::slice::from_ref;

/// Rows that the page shows.
const SHOWN: usize = 60;

/// One collaborator over all unlabelled rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CollaboratorResults {
    /// Its name.
    pub name: String,
    /// Rows that it had an answer for.
    pub n_answered: usize,
    /// The right ones among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<RightOf>,
}

/// How well an estimator tells right answers from wrong ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfidenceResults {
    /// The estimator.
    pub name: String,
    /// Chance that a right answer is surer than a wrong one.
    pub auroc: f64,
    /// The mean over answers of the share of wrong ones among those that are at least as sure.
    pub aurc: f64,
    /// Right answers among the surer half; of those that tie for its last places, as many as a draw would bring.
    pub surer_half: RightOf,
}

/// A row with what was answered to it.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub row: usize,
    pub sample: Sample,
    /// As many as any collaborator was shown, with how alike they are.
    pub neighbours: Vec<(Labeled, f32)>,
    pub answers: Answers,
}

impl Shown {
    fn new(row: usize, sample: &Sample, answers: &Answers, evolved: &Evolved) -> Self {
        let most = answers.candidates.iter().map(|candidate| candidate.shots).max().unwrap_or(0);
        let hits = evolved.neighbours[row].iter().take(most);
        let neighbours = hits.map(|hit| (evolved.taught[hit.row].clone(), hit.score)).collect();
        Shown { row, sample: sample.clone(), neighbours, answers: answers.clone() }
    }
}

/// What was made of the answers.
pub(crate) struct Heard {
    /// In the configuration's order.
    pub collaborators: Vec<CollaboratorResults>,
    /// The run's own first.
    pub confidences: Vec<ConfidenceResults>,
    /// Drawn by the seed, in the rows' order.
    pub shown: Vec<Shown>,
}

impl Heard {
    /// Reads them all. `correct` says of each final answer whether it is right, where that is known.
    pub fn all(
        seed: Seed,
        method: &Method,
        task: &dyn Task,
        sets: &Sets,
        evolved: &Evolved,
        correct: &[Option<bool>],
    ) -> Result<Self, RunError> {
        let names: Vec<&str> = method.config.collaborators.iter().map(|one| one.name()).collect();
        let mut shown = shown(seed, correct.len()).into_iter().peekable();
        let mut heard = Heard { collaborators: Vec::new(), confidences: Vec::new(), shown: Vec::new() };
        let mut answered = vec![0; names.len()];
        let mut graded = vec![RightOf { right: 0, of: 0 }; names.len()];
        let mut again = Again::default();
        for (row, answers) in evolved.answers.iter().enumerate() {
            let answers = answers.map_err(RunError::stage(seed.0))?;
            let sample = &sets.unlabelled[row];
            if answers.id != sample.id {
                return Err(RunError::Assembly(format!(
                    "seed {}: the answers to `{}` stand where those to `{}` should: a file of the run was changed; run it again",
                    seed.0, answers.id, sample.id
                )));
            }
            for (at, said) in answers.candidates.iter().enumerate().take(names.len()) {
                let Some(answer) = &said.answer else { continue };
                answered[at] += 1;
                if let Some(right) = is_right(task, sets, sample, Some(answer)) {
                    graded[at].right += usize::from(right);
                    graded[at].of += 1;
                }
            }
            if shown.next_if_eq(&row).is_some() {
                heard.shown.push(Shown::new(row, sample, &answers, evolved));
            }
            if let Some(right) = correct[row] {
                again.add(task, sample, &answers, evolved.selected[row].answer.as_ref(), right);
            }
        }
        for ((name, n_answered), graded) in names.into_iter().zip(answered).zip(graded) {
            let right = Some(graded).filter(|graded| graded.of > 0);
            heard.collaborators.push(CollaboratorResults { name: name.to_owned(), n_answered, right });
        }
        let own = own_confidence(method);
        let known = evolved.selected.iter().zip(correct).filter(|(_, right)| right.is_some());
        let used = known.map(|(row, _)| row.confidence).collect();
        let Again { columns, right } = again;
        let others = columns.into_iter().filter(|(name, _)| *name != own);
        let all = std::iter::once((own.clone(), used)).chain(others);
        heard.confidences =
            all.filter_map(|(name, sure)| ConfidenceResults::new(&name, &sure, &right)).collect();
        Ok(heard)
    }
}

/// What an estimator makes of each answer.
type Column = Vec<Option<Confidence>>;

/// What every estimator makes of the final answers whose gold answer is known, by its name.
#[derive(Default)]
struct Again {
    columns: Vec<(String, Column)>,
    right: Vec<bool>,
}

impl Again {
    fn add(
        &mut self,
        task: &dyn Task,
        sample: &Sample,
        answers: &Answers,
        last: Option<&Answer>,
        right: bool,
    ) {
        let mut judged = judged_again(task, from_ref(sample), from_ref(answers), &[last]);
        if self.right.is_empty() {
            self.columns = judged;
        } else {
            // An estimator that had nothing to say of one answer has nothing to say of all.
            self.columns.retain_mut(|(name, column)| {
                let said = judged.iter_mut().find(|(other, _)| other == name);
                said.map(|(_, more)| column.append(more)).is_some()
            });
        }
        self.right.push(right);
    }
}

impl ConfidenceResults {
    fn new(name: &str, confidences: &[Option<Confidence>], correct: &[bool]) -> Option<Self> {
        let judged = confidences.iter().zip(correct);
        let judged = judged.filter_map(|(sure, right)| Some((sure.as_ref()?.value(), *right)));
        let (sure, right): (Vec<f64>, Vec<bool>) = judged.unzip();
        Some(ConfidenceResults {
            name: name.to_owned(),
            auroc: auroc(&sure, &right).ok().flatten()?,
            aurc: aurc(&risk_coverage(&sure, &right).ok()?),
            surer_half: surer_half(&sure, &right),
        })
    }
}

fn surer_half(sure: &[f64], right: &[bool]) -> RightOf {
    let half = sure.len() / 2;
    let mut order: Vec<usize> = (0..sure.len()).collect();
    order.sort_by(|one, other| sure[*other].total_cmp(&sure[*one]));
    let Some(last) = half.checked_sub(1).map(|last| sure[order[last]]) else {
        return RightOf { right: 0, of: 0 };
    };
    let right_of = |rows: &[usize]| rows.iter().filter(|row| right[**row]).count();
    let (first, end) =
        (order.partition_point(|row| sure[*row] > last), order.partition_point(|row| sure[*row] >= last));
    let tied = &order[first..end];
    let share = right_of(tied) as f64 / tied.len() as f64;
    let drawn = (share * (half - first) as f64).round() as usize;
    RightOf { right: right_of(&order[..first]) + drawn, of: half }
}

/// Some of the rows, drawn by the seed, in the order of the file.
fn shown(seed: Seed, rows: usize) -> Vec<usize> {
    let order = seed.child("report", 0).permutation(rows);
    let mut shown: Vec<usize> = order.into_iter().take(SHOWN).collect();
    shown.sort_unstable();
    shown
}

#[cfg(test)]
mod tests {
    use super::{RightOf, surer_half};

    #[test]
    fn ties_for_the_last_places_of_the_surer_half_are_no_matter_of_order() {
        // Two are surest, of six that tie two more belong to the half: a third of them are right.
        let sure = [0.9, 0.5, 0.5, 0.5, 0.9, 0.5, 0.5, 0.5];
        let right = [true, false, false, false, true, true, true, false];
        assert_eq!(surer_half(&sure, &right), RightOf { right: 3, of: 4 });
        let turned: Vec<bool> = right.iter().rev().copied().collect();
        let sure: Vec<f64> = sure.iter().rev().copied().collect();
        assert_eq!(surer_half(&sure, &turned), RightOf { right: 3, of: 4 });
        assert_eq!(surer_half(&[], &[]), RightOf { right: 0, of: 0 });
    }
}
