//! What the collaborators answered, read once from the run's files: how good each is, how well every estimator judges,
//! and the rows that the page shows.

use crate::RunError;
use crate::pseudo::{RightOf, grade_known, own_confidence};
use crate::sets::Sets;
use semievol_core::{Answer, Confidence, Labeled, Sample, Seed};
use semievol_data::Task;
use semievol_eval::{EvalError, Prediction, aurc, auroc, risk_coverage};
use semievol_pipeline::{Answers, Evolved, Method, judged_again};
use serde::Serialize;
use std::collections::BTreeMap;

/// Rows that the page shows.
const SHOWN: usize = 60;
/// Rows that are judged again at once.
const PORTION: usize = 1024;

/// One collaborator over all unlabelled rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CollaboratorResults {
    /// Its name.
    pub name: String,
    /// Rows that it had an answer for.
    pub n_answered: usize,
    /// Right answers; none counts as wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<RightOf>,
}

/// How well an estimator tells right answers from wrong ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfidenceResults {
    /// The estimator.
    pub name: String,
    /// Chance that a right answer is surer than a wrong one.
    pub auroc: f64,
    /// The mean share of wrong answers among the surest, over all numbers of them.
    pub aurc: f64,
    /// Right answers among the surer half.
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
        let mut graded = Graded::new(task, sets, names.len());
        let mut again = Again::new(task);
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
                answered[at] += usize::from(said.answer.is_some());
                if correct[row].is_some() {
                    graded.add(at, sample, said.answer.as_ref()).map_err(RunError::eval(seed.0))?;
                }
            }
            if shown.next_if_eq(&row).is_some() {
                heard.shown.push(Shown::new(row, sample, &answers, evolved));
            }
            if let Some(right) = correct[row] {
                again.add(sample, answers, &evolved.selected[row].answer, right);
            }
        }
        let right = graded.end().map_err(RunError::eval(seed.0))?;
        for ((name, n_answered), right) in names.into_iter().zip(answered).zip(right) {
            heard.collaborators.push(CollaboratorResults { name: name.to_owned(), n_answered, right });
        }
        let own = own_confidence(method);
        let known = evolved.selected.iter().zip(correct).filter(|(_, right)| right.is_some());
        let used = known.map(|(row, _)| row.confidence).collect();
        let (others, right) = again.end();
        let others = others.into_iter().filter(|(name, _)| *name != own);
        let all = std::iter::once((own.clone(), used)).chain(others);
        heard.confidences =
            all.filter_map(|(name, sure)| ConfidenceResults::new(&name, &sure, &right)).collect();
        Ok(heard)
    }
}

/// How many answers of each collaborator are right, of rows whose gold answer is known.
struct Graded<'a> {
    task: &'a dyn Task,
    sets: &'a Sets,
    /// Not graded yet.
    open: Vec<Vec<Prediction>>,
    right: Vec<RightOf>,
}

impl<'a> Graded<'a> {
    fn new(task: &'a dyn Task, sets: &'a Sets, collaborators: usize) -> Self {
        let none = RightOf { right: 0, of: 0 };
        Graded { task, sets, open: vec![Vec::new(); collaborators], right: vec![none; collaborators] }
    }

    fn add(&mut self, at: usize, sample: &Sample, answer: Option<&Answer>) -> Result<(), EvalError> {
        self.open[at].push(Prediction::new(&sample.id, answer.cloned()));
        if self.open[at].len() < PORTION { Ok(()) } else { self.grade(at) }
    }

    fn grade(&mut self, at: usize) -> Result<(), EvalError> {
        let right = grade_known(self.task, self.sets, &std::mem::take(&mut self.open[at]))?;
        self.right[at].right += right.iter().filter(|right| **right).count();
        self.right[at].of += right.len();
        Ok(())
    }

    /// Nothing for a collaborator of which nothing is known.
    fn end(mut self) -> Result<Vec<Option<RightOf>>, EvalError> {
        (0..self.open.len()).try_for_each(|at| self.grade(at))?;
        Ok(self.right.into_iter().map(|right| (right.of > 0).then_some(right)).collect())
    }
}

/// What an estimator makes of each answer.
type Column = Vec<Option<Confidence>>;

/// What every estimator makes of the final answers whose gold answer is known.
struct Again<'a> {
    task: &'a dyn Task,
    rows: Vec<(Sample, Answers, Option<Answer>)>,
    right: Vec<bool>,
    columns: Option<BTreeMap<String, Column>>,
    /// As [`judged_again`] orders them.
    order: Vec<String>,
}

impl<'a> Again<'a> {
    fn new(task: &'a dyn Task) -> Self {
        Again { task, rows: Vec::new(), right: Vec::new(), columns: None, order: Vec::new() }
    }

    fn add(&mut self, sample: &Sample, answers: Answers, last: &Option<Answer>, right: bool) {
        self.rows.push((sample.clone(), answers, last.clone()));
        self.right.push(right);
        if self.rows.len() == PORTION {
            self.judge();
        }
    }

    fn judge(&mut self) {
        let (mut samples, mut answers, mut finals) = (Vec::new(), Vec::new(), Vec::new());
        for (sample, given, last) in self.rows.drain(..) {
            samples.push(sample);
            answers.push(given);
            finals.push(last);
        }
        let finals: Vec<Option<&Answer>> = finals.iter().map(Option::as_ref).collect();
        let judged = judged_again(self.task, &samples, &answers, &finals);
        match &mut self.columns {
            None => {
                self.order = judged.iter().map(|(name, _)| name.clone()).collect();
                self.columns = Some(judged.into_iter().collect());
            }
            Some(columns) => {
                // An estimator that had nothing to say of a portion has nothing to say of all.
                let mut judged: BTreeMap<_, _> = judged.into_iter().collect();
                columns.retain(|name, column| judged.remove(name).map(|more| column.extend(more)).is_some());
            }
        }
    }

    /// By the estimators' names, with whether each answer is right.
    fn end(mut self) -> (Vec<(String, Column)>, Vec<bool>) {
        if !self.rows.is_empty() {
            self.judge();
        }
        let mut columns = self.columns.unwrap_or_default();
        let columns = self.order.into_iter().filter_map(|name| columns.remove_entry(&name)).collect();
        (columns, self.right)
    }
}

impl ConfidenceResults {
    fn new(name: &str, confidences: &[Option<Confidence>], correct: &[bool]) -> Option<Self> {
        let judged = confidences.iter().zip(correct);
        let judged = judged.filter_map(|(sure, right)| Some((sure.as_ref()?.value(), *right)));
        let (sure, right): (Vec<f64>, Vec<bool>) = judged.unzip();
        let mut order: Vec<usize> = (0..sure.len()).collect();
        order.sort_by(|one, other| sure[*other].total_cmp(&sure[*one]).then(one.cmp(other)));
        order.truncate(sure.len() / 2);
        let n_right = order.iter().filter(|row| right[**row]).count();
        Some(ConfidenceResults {
            name: name.to_owned(),
            auroc: auroc(&sure, &right).ok().flatten()?,
            aurc: aurc(&risk_coverage(&sure, &right).ok()?),
            surer_half: RightOf { right: n_right, of: order.len() },
        })
    }
}

/// Some of the rows, drawn by the seed, in the order of the file.
fn shown(seed: Seed, rows: usize) -> Vec<usize> {
    let order = seed.child("report", 0).permutation(rows);
    let mut shown: Vec<usize> = order.into_iter().take(SHOWN).collect();
    shown.sort_unstable();
    shown
}
