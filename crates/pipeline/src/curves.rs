//! What more labels and more prompts would bring, by a classifier over embeddings that stands in for the model.

use crate::labels::{class, deal, groups};
use crate::{Library, SeedRun};
use semievol_core::{Groups, Labeled, Sample};
use semievol_select::classify::{LearningCurve, fit_by_cross_validation, stratified_folds};

/// Prompts that are looked at; a curve needs no more.
const MOST: usize = 2000;
/// Folds of the labels.
const FOLDS: usize = 5;

/// A classifier's errors by the number of labels, and by that of prompts.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// By labels alone.
    pub labels: LearningCurve,
    /// By prompts without labels, beside the labels.
    pub prompts: LearningCurve,
    /// Labels that there are.
    pub n_labels: usize,
    /// Prompts that there are.
    pub n_prompts: usize,
    /// Which labels come together.
    pub groups: Groups,
}

impl SeedRun<'_> {
    /// `None` where there are no embeddings, few labels, or no options that all samples share.
    pub(crate) fn curves(
        &self,
        library: &Library<'_>,
        labels: &[Labeled],
        unlabelled: &[Sample],
    ) -> Option<Curves> {
        library.embedder_id()?;
        let options = &labels.first()?.sample.options;
        let others = labels.iter().map(|labeled| &labeled.sample).chain(unlabelled);
        let few = labels.len() < 2 * FOLDS;
        if few || options.is_empty() || others.into_iter().any(|sample| sample.options != *options) {
            return None;
        }
        // A library knows the first part of the pool alone.
        let samples: Vec<&Sample> = unlabelled.iter().take(self.part.min(MOST)).collect();
        let classes: Vec<usize> = labels.iter().map(class).collect();
        let labelled: Vec<&Sample> = labels.iter().map(|labeled| &labeled.sample).collect();
        let labelled = library.features("learning curves", &labelled).ok()?;
        let pool = library.features("learning curves", &samples).ok()?;
        let seed = self.seed.child("learning curves", 0);
        let n_classes = options.len();
        let by_rows = stratified_folds(&classes, None, FOLDS, seed);
        let l2 = fit_by_cross_validation(&labelled, &classes, n_classes, &by_rows).ok()?.l2;
        let groups = groups(labels);
        let labels: Vec<&Labeled> = labels.iter().collect();
        let folds = |seed| deal(&labels, FOLDS, seed);
        let curves =
            LearningCurve::of_labels_and_prompts(&labelled, &classes, n_classes, &pool, l2, &folds, seed);
        let (n_labels, n_prompts) = (labels.len(), unlabelled.len());
        let (labels, prompts) = curves.ok()?;
        Some(Curves { labels, prompts, n_labels, n_prompts, groups })
    }
}
