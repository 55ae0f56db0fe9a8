//! Collaborators that are classifiers: what they are given, and what their answers become.

use crate::collaborate::CANDIDATES;
use crate::labels::class;
use crate::library::Library;
use crate::{Answered, PipelineError, SeedRun, files};
use semievol_core::{Answer, Candidate, Labeled, Sample};
use semievol_select::SelectError;
use semievol_select::classify::{Classifier, CrossValidatedRegression, Rows, Taught, is_distribution};
use semievol_select::options::most_probable;

impl SeedRun<'_> {
    /// The answers of a logistic regression over the labelled samples' embeddings, written to
    /// `predictions-NAME.jsonl`.
    ///
    /// # Errors
    /// If the library has no embeddings, or the samples do not share their options.
    pub fn answer_by_classifier(
        &self,
        name: &str,
        folds: usize,
        library: &Library<'_>,
        samples: &[Sample],
    ) -> Result<Vec<Answered>, PipelineError> {
        let labelled = library.labelled();
        crate::plan::check_classifier(name, folds, labelled, samples)?;
        let taught: Vec<&Labeled> = labelled.iter().collect();
        let candidates =
            self.classify(name, &CrossValidatedRegression { folds }, library, &taught, samples)?;
        let answered: Vec<Answered> = samples
            .iter()
            .zip(candidates)
            .map(|(sample, candidate)| Answered::of(sample, candidate))
            .collect();
        files::write_jsonl(&self.rows_file(&format!("predictions-{name}")), &answered)?;
        Ok(answered)
    }

    /// What a classifier makes of the samples, once taught.
    pub(crate) fn classify(
        &self,
        name: &str,
        classifier: &dyn Classifier,
        library: &Library<'_>,
        taught: &[&Labeled],
        samples: &[Sample],
    ) -> Result<Vec<Candidate>, PipelineError> {
        // The plan was checked: all samples share their options.
        let options = library.labelled().iter().map(|labeled| labeled.sample.options.len());
        let n_classes = options.max().unwrap_or(0);
        let classes: Vec<usize> = taught.iter().map(|labeled| class(labeled)).collect();
        let known: Vec<&Sample> = taught.iter().map(|labeled| &labeled.sample).collect();
        let asked: Vec<&Sample> = samples.iter().collect();
        let embeddings = |samples: &[&Sample]| {
            classifier.needs_embeddings().then(|| library.features(CANDIDATES, samples)).transpose()
        };
        let (of_known, of_asked) = (embeddings(&known)?, embeddings(&asked)?);
        let rows = Rows { samples: &known, embeddings: of_known.as_ref() };
        let taught = Taught { rows, classes: &classes, n_classes };
        let asked = Rows { samples: &asked, embeddings: of_asked.as_ref() };
        let seed = self.seed.child("classifier", 0).child(name, 0);
        let failed = |source| PipelineError::Select { stage: CANDIDATES.to_owned(), source };
        let mut said = classifier.classify(&taught, &asked, seed).map_err(failed)?;
        check(name, &said, samples, n_classes)?;
        said.iter_mut().flatten().for_each(|p| *p = p.clamp(0.0, 1.0));
        let candidate = |distribution: Vec<f64>| {
            let answer = most_probable(&distribution).map(Answer::Choice);
            Candidate::new(name, answer).with_distribution(distribution)
        };
        Ok(said.into_iter().map(candidate).collect())
    }
}

/// An error unless there is a distribution, or nothing, for each sample.
fn check(name: &str, said: &[Vec<f64>], samples: &[Sample], n_classes: usize) -> Result<(), PipelineError> {
    let broken = |reason| {
        let source = SelectError::Unfit { part: "classifier", reason };
        Err(PipelineError::Select { stage: CANDIDATES.to_owned(), source })
    };
    if said.len() != samples.len() {
        return broken(format!("`{name}` gave {} answers to {} samples", said.len(), samples.len()));
    }
    let wrong = |said: &[f64]| !said.is_empty() && !is_distribution(said, n_classes);
    match said.iter().zip(samples).find(|(said, _)| wrong(said)) {
        None => Ok(()),
        Some((said, sample)) => broken(format!(
            "of `{}` `{name}` says {said:?}, which is no distribution over {n_classes} classes",
            sample.id
        )),
    }
}
