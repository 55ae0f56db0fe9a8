use semievol_core::{Labeled, Sample};
use semievol_model::LanguageModel;

/// What the steps between warm-up and selection have in common: who is asked about what.
#[derive(Clone)]
pub(crate) struct Round<'a> {
    /// Ends the names of its stages; empty for the unlabelled samples.
    pub tag: String,
    /// Nobody was asked about these samples before.
    pub first: bool,
    /// The model trained on the labels.
    pub warm: &'a dyn LanguageModel,
    /// The models of the folds, as far as they may be asked.
    pub folds: Vec<&'a dyn LanguageModel>,
    /// The models trained on all labels, the warm one first.
    pub ensemble: Vec<&'a dyn LanguageModel>,
    /// What is asked.
    pub samples: &'a [Sample],
    /// The labelled neighbours of each, the nearest first.
    pub neighbours: Vec<Vec<&'a Labeled>>,
    /// What a classifier may learn from.
    pub taught: Vec<&'a Labeled>,
    /// Pseudo-labels that earlier rounds kept.
    pub kept: &'a [Labeled],
}

impl Round<'_> {
    /// The same with at most `shots` neighbours each.
    pub fn showing(&self, shots: usize) -> Self {
        Round { neighbours: nearest(&self.neighbours, shots), ..self.clone() }
    }

    /// A stage's name in this round.
    pub fn stage(&self, name: &str) -> String {
        format!("{name}{}", self.tag)
    }
}

/// Ends the names of a round's stages; nothing for the first.
pub(crate) fn tag(number: usize) -> String {
    if number == 1 { String::new() } else { format!("-round-{number}") }
}

/// The nearest `n` of each.
pub(crate) fn nearest<'l>(neighbours: &[Vec<&'l Labeled>], n: usize) -> Vec<Vec<&'l Labeled>> {
    neighbours.iter().map(|shots| shots.iter().copied().take(n).collect()).collect()
}
