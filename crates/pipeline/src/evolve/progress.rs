//! What the rounds have made so far.

use super::{Judged, Outcome, Selected};
use semievol_core::{Labeled, Sample};
use semievol_retrieval::Hit;
use semievol_select::Calibrated;

/// What the rounds have made so far.
pub(super) struct Progress {
    /// The labels, then what was kept, in the order in which it was.
    pub taught: Vec<Labeled>,
    pub n_labels: usize,
    pub hits: Vec<Vec<Hit>>,
    pub judged: Judged,
    pub selected: Vec<Selected>,
    pub calibration: Vec<Calibrated>,
    pub note: Option<String>,
    /// The samples that are not kept yet.
    pub open: Vec<usize>,
    /// Those that the last round kept.
    pub newest: Vec<usize>,
}

impl Progress {
    pub fn labels(&self) -> &[Labeled] {
        &self.taught[..self.n_labels]
    }

    /// Takes over what a round made of the open samples; the number that it kept.
    pub fn take(&mut self, unlabelled: &[Sample], outcome: Outcome) -> usize {
        let Outcome { hits, judged, selected, calibration, note, .. } = outcome;
        if self.selected.is_empty() {
            self.calibration = calibration;
        }
        let rows = hits.into_iter().zip(judged.answers).zip(judged.finals.into_iter().zip(judged.estimates));
        let open = std::mem::take(&mut self.open);
        self.newest.clear();
        for ((index, ((hits, answers), (last, estimate))), selected) in
            open.into_iter().zip(rows).zip(selected)
        {
            match (&selected.answer, selected.accepted) {
                (Some(answer), true) => {
                    self.newest.push(index);
                    self.taught.push(Labeled { sample: unlabelled[index].clone(), answer: answer.clone() });
                }
                _ => self.open.push(index),
            }
            put(&mut self.hits, index, hits);
            put(&mut self.judged.answers, index, answers);
            put(&mut self.judged.finals, index, last);
            put(&mut self.judged.estimates, index, estimate);
            put(&mut self.selected, index, selected);
        }
        self.note = note.or(self.note.take());
        self.newest.len()
    }

    /// Gives up what the last round kept.
    pub fn undo(&mut self, why: &str) {
        self.taught.truncate(self.taught.len() - self.newest.len());
        for index in self.newest.drain(..) {
            self.selected[index].accepted = false;
            self.selected[index].weight = 0.0;
            self.selected[index].reason.push_str(why);
        }
    }
}

/// The first round asks about all samples in order, later ones replace what stands there.
fn put<T>(rows: &mut Vec<T>, index: usize, row: T) {
    if index < rows.len() { rows[index] = row } else { rows.push(row) }
}
