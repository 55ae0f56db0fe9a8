//! How good the pseudo-labels are: here, in `heard.rs` and in `certified.rs` gold answers of unlabelled rows are looked at,
//! and nowhere else.

use crate::certified::CertifiedResults;
use crate::heard::{CollaboratorResults, ConfidenceResults, Heard, Shown};
use crate::sets::{ClassCount, Sets};
use crate::worth::WorthResults;
use crate::{Arm, RunError};
use semievol_core::{Answer, Sample, Seed};
use semievol_data::Task;
use semievol_eval::auroc;
use semievol_pipeline::{Evolved, Method, RoundResult, Selected, Verdict};
use serde::{Deserialize, Serialize};

/// What became of the unlabelled rows of one seed. Shares of right answers are over the rows whose gold answer
/// the data has; where it has none they are absent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PseudoResults {
    /// The arm that learnt from them.
    pub arm: Arm,
    /// Unlabelled rows.
    pub n: usize,
    /// All collaborators gave the same answer.
    pub n_agreed: usize,
    /// They did not, and the adjudicator decided.
    pub n_adjudicated: usize,
    /// Without a final answer: nobody had one, or a dispute was left undecided.
    pub n_unanswered: usize,
    /// Kept to train on.
    pub n_kept: usize,
    /// Optimiser steps of the evolved model.
    pub steps: usize,
    /// One entry for each round.
    pub rounds: Vec<RoundResult>,
    /// What is to be known of them: a promise that could not be made, a round that was undone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Right answers before selection, of those with an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<RightOf>,
    /// Right answers among those kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<RightOf>,
    /// Right answers among those that all agreed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreed: Option<RightOf>,
    /// Right answers among those that the adjudicator decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adjudicated: Option<RightOf>,
    /// Chance that a right answer is surer than a wrong one; absent if all are right or all wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auroc: Option<f64>,
    /// How well each estimator tells right answers from wrong ones, whichever was used, and of open answers the one that was;
    /// empty where no gold answer is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confidences: Vec<ConfidenceResults>,
    /// What promises on the share of wrong ones would have kept; empty where no folds measured the confidence, and with
    /// several rounds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certified: Vec<CertifiedResults>,
    /// What more labels and prompts would be worth; absent where no classifier could stand in for the model, or the labels
    /// do not tell. Older files have it under another name, measured with pseudo-labels of models that had learnt the labels.
    #[serde(default, rename = "worth_of_more", skip_serializing_if = "Option::is_none")]
    pub worth: Option<WorthResults>,
    /// Pseudo-labels of each class before selection, in the options' order; empty for open answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes_before: Vec<ClassCount>,
    /// Pseudo-labels of each class that were kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes_kept: Vec<ClassCount>,
    /// In the configuration's order.
    pub collaborators: Vec<CollaboratorResults>,
    /// What the numbers were made from, for the page of results.
    #[serde(skip)]
    pub(crate) selected: Vec<Selected>,
    /// For each row, whether the final answer is right.
    #[serde(skip)]
    pub(crate) correct: Vec<Option<bool>>,
    /// Name of the confidence.
    #[serde(skip)]
    pub(crate) confidence: String,
    /// Whether the collaborators' answers are combined, and not disputes decided.
    #[serde(skip)]
    pub(crate) combined: bool,
    /// Some of the rows with what was answered to them, for the page.
    #[serde(skip)]
    pub(crate) shown: Vec<Shown>,
}

/// So many right of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RightOf {
    /// Right.
    pub right: usize,
    /// All whose gold answer is known.
    pub of: usize,
}

impl RightOf {
    /// Their share; absent for none of none.
    pub fn share(self) -> Option<f64> {
        (self.of > 0).then(|| self.right as f64 / self.of as f64)
    }

    pub(crate) fn of(rows: impl Iterator<Item = Option<bool>>) -> Option<Self> {
        let known: Vec<bool> = rows.flatten().collect();
        let right = known.iter().filter(|right| **right).count();
        (!known.is_empty()).then_some(RightOf { right, of: known.len() })
    }
}

impl PseudoResults {
    pub(crate) fn new(
        arm: Arm,
        seed: Seed,
        method: &Method,
        task: &dyn Task,
        sets: &Sets,
        evolved: Evolved,
    ) -> Result<Self, RunError> {
        let answered = sets.unlabelled.iter().zip(&evolved.selected);
        let correct: Vec<Option<bool>> =
            answered.map(|(sample, row)| is_right(task, sets, sample, row.answer.as_ref())).collect();
        let rows = || evolved.selected.iter().zip(&correct);
        let count = |by: Verdict| evolved.selected.iter().filter(|row| row.by == by).count();
        let of =
            |by: Verdict| RightOf::of(rows().filter(move |(row, _)| row.by == by).map(|(_, right)| *right));
        let with_answer = rows().filter(|(row, _)| row.answer.is_some());
        let heard = Heard::all(seed, method, task, sets, &evolved, &correct)?;
        let judged = rows().filter_map(|(row, right)| Some((row.confidence?.value(), (*right)?)));
        let (confidence, right): (Vec<f64>, Vec<bool>) = judged.unzip();
        let kept = || rows().filter(|(row, _)| row.accepted);
        let classes = |rows: Vec<Option<&Answer>>| classes(sets, &rows);
        Ok(PseudoResults {
            arm,
            n: evolved.selected.len(),
            n_agreed: count(Verdict::Agreement),
            n_adjudicated: count(Verdict::Adjudicated),
            n_unanswered: count(Verdict::Unanswered) + count(Verdict::Undecided),
            n_kept: kept().count(),
            steps: evolved.evolved.steps,
            rounds: evolved.rounds.clone(),
            notes: evolved.notes.clone(),
            before: RightOf::of(with_answer.map(|(_, right)| *right)),
            kept: RightOf::of(kept().map(|(_, right)| *right)),
            agreed: of(Verdict::Agreement),
            adjudicated: of(Verdict::Adjudicated),
            auroc: auroc(&confidence, &right).ok().flatten(),
            worth: evolved.curves.as_ref().and_then(|curves| WorthResults::new(curves, seed)),
            certified: CertifiedResults::all(&evolved, &correct),
            confidences: heard.confidences,
            classes_before: classes(rows().map(|(row, _)| row.answer.as_ref()).collect()),
            classes_kept: classes(kept().map(|(row, _)| row.answer.as_ref()).collect()),
            collaborators: heard.collaborators,
            confidence: own_confidence(method),
            combined: method.config.combine.is_some(),
            shown: heard.shown,
            correct,
            selected: evolved.selected,
        })
    }
}

/// What the run's own confidence is.
pub(crate) fn own_confidence(method: &Method) -> String {
    match (method.config.combine, method.config.probe) {
        (Some(_), _) => "combined".to_owned(),
        (None, true) => "probe".to_owned(),
        (None, false) => method.estimator.id(),
    }
}

/// Whether an unlabelled row's answer is right, where its gold answer is known. No answer is wrong.
pub(crate) fn is_right(
    task: &dyn Task,
    sets: &Sets,
    sample: &Sample,
    answer: Option<&Answer>,
) -> Option<bool> {
    let is_correct = |predicted: &_, gold: &_| task.is_correct(predicted, gold);
    sets.unlabelled_key.is_right(&sample.id, answer, &is_correct)
}

/// Answers of each class; empty for open answers.
fn classes(sets: &Sets, answers: &[Option<&Answer>]) -> Vec<ClassCount> {
    let mut counts: Vec<ClassCount> = sets
        .sizes
        .labelled_classes
        .iter()
        .map(|class| ClassCount { class: class.class.clone(), rows: 0 })
        .collect();
    for answer in answers.iter().flatten() {
        if let Answer::Choice(index) = answer {
            while counts.len() <= *index {
                counts.push(ClassCount { class: format!("option {}", counts.len() + 1), rows: 0 });
            }
            counts[*index].rows += 1;
        }
    }
    counts
}
