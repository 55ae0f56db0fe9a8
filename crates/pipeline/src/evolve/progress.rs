//! What the rounds have made so far.

use super::Selected;
use super::pool::Outcome;
use crate::answers::KeptAnswers;
use crate::{OnEvent, StageEvent};
use semievol_core::{Labeled, Sample};
use semievol_retrieval::Hit;
use semievol_select::Calibrated;

/// What the rounds have made so far.
pub(super) struct Progress {
    /// The labels, then what was kept before the last round, in the order in which it was.
    pub taught: Vec<Labeled>,
    /// How much of that was there before the newest.
    pub n_taught: usize,
    pub n_labels: usize,
    pub answers: KeptAnswers,
    pub hits: Vec<Vec<Hit>>,
    /// What is learnt of each sample where that is a distribution; else empty.
    pub soft: Vec<Vec<f64>>,
    pub selected: Vec<Selected>,
    pub calibration: Vec<Calibrated>,
    /// What the rounds had to say.
    pub notes: Vec<String>,
    /// The samples that are not kept yet.
    pub open: Vec<usize>,
    /// Those that the last round asked about.
    pub asked: Vec<usize>,
    /// Those that the last round kept.
    pub newest: Vec<usize>,
}

impl Progress {
    /// Before the first round: these labels, and so many open samples.
    pub fn new(labels: Vec<Labeled>, samples: usize) -> Self {
        Progress {
            n_labels: labels.len(),
            n_taught: labels.len(),
            taught: labels,
            answers: KeptAnswers::default(),
            hits: Vec::new(),
            soft: Vec::new(),
            selected: Vec::new(),
            calibration: Vec::new(),
            notes: Vec::new(),
            open: (0..samples).collect(),
            asked: Vec::new(),
            newest: Vec::new(),
        }
    }

    pub fn labels(&self) -> &[Labeled] {
        &self.taught[..self.n_labels]
    }

    /// Takes over what a round made of the open samples; the number that it kept. After the last, nobody looks
    /// neighbours up in them.
    pub fn take(&mut self, unlabelled: &[Sample], outcome: Outcome, last: bool) -> usize {
        let Outcome { answers, hits, soft, selected, calibration, .. } = outcome;
        self.answers.add(&self.open, answers);
        if self.selected.is_empty() {
            self.calibration = calibration;
        }
        self.asked = std::mem::take(&mut self.open);
        self.newest.clear();
        self.n_taught = self.taught.len();
        for (index, selected) in self.asked.iter().zip(&selected) {
            match (&selected.answer, selected.accepted) {
                (Some(answer), true) => {
                    self.newest.push(*index);
                    if !last {
                        let (sample, answer) = (unlabelled[*index].clone(), answer.clone());
                        self.taught.push(Labeled { sample, answer });
                    }
                }
                _ => self.open.push(*index),
            }
        }
        put(&mut self.hits, &self.asked, hits);
        put(&mut self.soft, &self.asked, soft);
        put(&mut self.selected, &self.asked, selected);
        self.newest.len()
    }

    /// Says something that belongs to the results.
    pub fn say(&mut self, note: String, events: OnEvent<'_>) {
        events(&StageEvent::Note(note.clone()));
        self.notes.push(note);
    }

    /// Gives up what the last round kept.
    pub fn undo(&mut self, why: &str) {
        self.taught.truncate(self.n_taught);
        for index in self.newest.drain(..) {
            self.selected[index].accepted = false;
            self.selected[index].weight = 0.0;
            self.selected[index].reason.push_str(why);
        }
    }

    /// What became of the samples that the last round asked about.
    pub fn last_selected(&self) -> Vec<&Selected> {
        self.asked.iter().map(|index| &self.selected[*index]).collect()
    }
}

/// The first round asks about all samples in order, later ones replace what stands there.
fn put<T>(rows: &mut Vec<T>, at: &[usize], newer: Vec<T>) {
    if rows.is_empty() {
        *rows = newer;
        return;
    }
    for (index, row) in at.iter().zip(newer) {
        rows[*index] = row;
    }
}
