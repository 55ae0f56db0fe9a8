//! What would fail in the middle of a run is found before it.

use crate::labels::{self, held_out};
use crate::method::{CollaboratorConfig, Method, OWN_MODELS};
use crate::{Parts, PipelineError};
use semievol_core::{Answer, Labeled, Sample, Scale};
use semievol_data::{Task, Wording};

impl Method {
    /// Checks the method against the models, the task and the rows that it is to run on, and its settings once more: a
    /// program may have changed them since [`MethodConfig::build`](crate::MethodConfig::build).
    ///
    /// # Errors
    /// Names the setting, what does not fit it, and what to do.
    pub fn check(
        &self,
        parts: &Parts<'_>,
        task: &dyn Task,
        labelled: &[Labeled],
        unlabelled: &[Sample],
    ) -> Result<(), PipelineError> {
        if unlabelled.is_empty() {
            return refuse("the arm `semievol` learns from unlabelled rows, but there are none: set data.unlabelled (or data.split.unlabelled), or leave the arm out".into());
        }
        self.config.check().map_err(PipelineError::Assembly)?;
        if self.config.most_shots() > 0 {
            self.check_embedder(parts)?;
        }
        self.check_labelled_confidence()?;
        self.check_folds(task, labelled)?;
        self.check_options(task, labelled, unlabelled)?;
        self.check_combine(labelled, unlabelled)?;
        self.check_shares(labelled, unlabelled)?;
        for collaborator in &self.config.collaborators {
            if collaborator.co_trained() && self.config.rounds.n < 2 {
                return refuse(format!(
                    "`{}` learns from what earlier rounds kept (co_trained), but method.rounds.n is {}: set it to 2 or more",
                    collaborator.name(),
                    self.config.rounds.n
                ));
            }
            match collaborator {
                CollaboratorConfig::LanguageModel { name, model, wording, .. } => {
                    check_model(parts, name, model)?;
                    if wording.as_ref().is_some_and(|wording| *wording == Wording::default()) {
                        return refuse(format!(
                            "`{name}` has a wording that says nothing: give it a form or an instruction"
                        ));
                    }
                    if let Some(wording) = wording.as_ref().filter(|wording| task.reworded(wording).is_none())
                    {
                        return refuse(format!(
                            "`{name}` has a wording ({wording:?}) that this task cannot be put in; a form is for closed sets alone"
                        ));
                    }
                }
                CollaboratorConfig::Classifier { name, folds, .. } => {
                    let left = self.least_learnt(labelled.len());
                    if *folds > left && left < labelled.len() {
                        return refuse(format!(
                            "`{name}` has {folds} folds and learns from no more than {left} of the {} labelled rows, for some are held out: take fewer folds, or more labels",
                            labelled.len()
                        ));
                    }
                    check_classifier(name, *folds, labelled, unlabelled)?;
                }
                CollaboratorConfig::Neighbours { name, .. } => {
                    check_classifier(name, 1, labelled, unlabelled)?;
                }
                CollaboratorConfig::Own { name, embeddings, .. } => {
                    let own = self.classifier(collaborator)?;
                    if own.needs_embeddings() && (!embeddings || parts.embedder.is_none()) {
                        return refuse(format!(
                            "method.collaborators: `{name}` ({}) goes by embeddings, and {}",
                            own.id(),
                            if *embeddings {
                                "no embedder was loaded"
                            } else {
                                "none are made: give it embeddings = true"
                            }
                        ));
                    }
                    check_classifier(name, 1, labelled, unlabelled)?;
                }
            }
        }
        Ok(())
    }

    /// Whether retrieval of a program's own has the embedder that it needs; that of a file has been loaded with it.
    ///
    /// # Errors
    /// If there is none; it says what to do.
    pub fn check_embedder(&self, parts: &Parts<'_>) -> Result<(), PipelineError> {
        match self.own_retrieval().filter(|own| own.needs_embedder()) {
            Some(own) if parts.embedder.is_none() => refuse(format!(
                "retrieval by {} goes by embeddings, and no embedder was loaded: leave method.retrieval.kind = \"exact\" in the file, or give one to Parts",
                own.id()
            )),
            _ => Ok(()),
        }
    }

    /// Labels that no part of the method learns from fewer of.
    fn least_learnt(&self, labelled: usize) -> usize {
        let learnt = labelled - held_out(self.config.rounds.validation, labelled);
        match self.config.folds {
            0 => learnt,
            folds => learnt - learnt.div_ceil(folds).min(learnt),
        }
    }

    fn check_labelled_confidence(&self) -> Result<(), PipelineError> {
        let estimator = self.estimator.id();
        if self.selector.weighs() && self.scale() == Scale::Order {
            return refuse(format!(
                "method.select ({}) takes confidence for a probability, and {estimator} is none: take another confidence",
                self.selector.id()
            ));
        }
        if self.config.probe && self.selector.wants_labelled() {
            return refuse("method.select compares with the warm model's own confidence in the labels, and method.probe puts another number in its place: take over = \"unlabelled\"".into());
        }
        if !(self.selector.wants_labelled() && self.estimator.needs_candidates()) {
            return Ok(());
        }
        refuse(format!(
            "method.select compares with the labelled rows ({}), but method.confidence judges by the collaborators ({}), who were not asked about them: take another of the two, such as confidence.kind = \"mean_nll\"",
            self.selector.id(),
            self.estimator.id()
        ))
    }

    fn check_folds(&self, task: &dyn Task, labelled: &[Labeled]) -> Result<(), PipelineError> {
        let (folds, rounds) = (self.config.folds, self.config.rounds);
        if rounds.n > 1 && self.selector.wants_calibration() {
            return refuse(format!(
                "method.select ({}) keeps what labels say that the folds' models have not learnt, and method.rounds.n = {} asks models that learnt pseudo-labels from the second round on: take one round, or another selector",
                self.selector.id(),
                rounds.n
            ));
        }
        if folds == 0 && self.selector.wants_calibration() {
            return refuse(format!(
                "method.select ({}) compares with labels that models have not learnt, but method.folds is 0: set it to 2 or more, 5 is usual",
                self.selector.id()
            ));
        }
        let rows = labelled.len() - held_out(rounds.validation, labelled.len());
        labels::check_folds("method.folds", folds, rows, labelled)?;
        let open = labelled.iter().find(|labeled| task.candidates(&labeled.sample).is_empty());
        match (self.config.asks_several(), open) {
            (Some(one), Some(open)) => refuse(format!(
                "method.collaborators: `{}` takes the mean of several models, which needs options, but sample `{}` has an open answer",
                one.name(),
                open.sample.id
            )),
            _ => Ok(()),
        }
    }

    fn check_combine(&self, labelled: &[Labeled], unlabelled: &[Sample]) -> Result<(), PipelineError> {
        if self.config.combine.is_none() {
            return Ok(());
        }
        if self.selector.wants_labelled() {
            return refuse(format!(
                "method.select ({}) compares with the warm model's confidence in the labels, and method.combine has another: take one over the unlabelled rows",
                self.selector.id()
            ));
        }
        let mut samples = all(labelled, unlabelled);
        let first = samples.next().map_or(0, |sample| sample.options.len());
        match samples.find(|sample| sample.options.is_empty() || sample.options.len() != first) {
            None => Ok(()),
            Some(odd) => refuse(format!(
                "method.combine needs a closed set with as many options for all rows, but `{}` has {} where the first has {first}",
                odd.id,
                odd.options.len()
            )),
        }
    }

    fn check_shares(&self, labelled: &[Labeled], unlabelled: &[Sample]) -> Result<(), PipelineError> {
        let shares = &self.config.shares;
        let first = all(labelled, unlabelled).next().filter(|_| !shares.is_empty());
        let Some(Sample { options, .. }) = first else { return Ok(()) };
        let known = || options.join(", ");
        if let Some(unknown) = shares.keys().find(|option| !options.contains(option)) {
            return refuse(format!("method.shares: there is no option `{unknown}`; there are {}", known()));
        }
        if let Some(missing) = options.iter().find(|option| !shares.contains_key(*option)) {
            return refuse(format!("method.shares: `{missing}` has none; give one for each of {}", known()));
        }
        match with_other_options(labelled, unlabelled) {
            None => Ok(()),
            Some(odd) => refuse(format!(
                "method.shares are those of the options that all rows have in common, but those of `{}` are others: leave them out",
                odd.id
            )),
        }
    }

    fn check_options(
        &self,
        task: &dyn Task,
        labelled: &[Labeled],
        unlabelled: &[Sample],
    ) -> Result<(), PipelineError> {
        let mut samples = all(labelled, unlabelled);
        let Some(open) = samples.find(|sample| task.candidates(sample).is_empty()) else { return Ok(()) };
        let closed_alone = [
            (self.config.combine.is_some(), "method.combine makes one distribution over options out of many"),
            (self.config.probe, "method.probe judges closed sets of options"),
            (
                !self.config.shares.is_empty(),
                "method.shares are those of the options that all rows have in common",
            ),
        ];
        if let Some((_, setting)) = closed_alone.into_iter().find(|(given, _)| *given) {
            return refuse(format!("{setting}, but sample `{}` has an open answer: leave it out", open.id));
        }
        let needs = [
            ("method.justify", self.adjudicator.needs_options(), self.adjudicator.id()),
            ("method.confidence", self.estimator.needs_options(), self.estimator.id()),
        ];
        match needs.into_iter().find(|(_, needs, _)| *needs) {
            None => Ok(()),
            Some((setting, _, id)) => refuse(format!(
                "{setting} ({id}) needs a closed set of options, but sample `{}` has an open answer: `preset = \"paper\"` serves open answers",
                open.id
            )),
        }
    }
}

fn check_model(parts: &Parts<'_>, collaborator: &str, model: &str) -> Result<(), PipelineError> {
    if OWN_MODELS.contains(&model) || parts.models.contains_key(model) {
        return Ok(());
    }
    let known = OWN_MODELS.into_iter().chain(parts.models.keys().map(String::as_str));
    refuse(format!(
        "method.collaborators: `{collaborator}` asks model `{model}`, but there are only {}",
        known.collect::<Vec<_>>().join(", ")
    ))
}

/// Whether a classifier that is fitted in so many folds of the labels can answer these samples.
///
/// # Errors
/// Says what it lacks: rows for the folds, a closed set, options that all rows share.
pub fn check_classifier(
    name: &str,
    folds: usize,
    labelled: &[Labeled],
    unlabelled: &[Sample],
) -> Result<(), PipelineError> {
    let unfit = |what: String| {
        refuse(format!("`{name}` is a classifier and {what}; leave it out (`preset = \"paper\"` has none)"))
    };
    if folds > labelled.len() {
        return unfit(format!(
            "its {folds} folds need as many labelled rows, but there are {}",
            labelled.len()
        ));
    }
    if let Some(open) = labelled.iter().find(|labeled| !matches!(labeled.answer, Answer::Choice(_))) {
        return unfit(format!("needs a closed set, but `{}` has an open answer", open.sample.id));
    }
    match with_other_options(labelled, unlabelled) {
        None => Ok(()),
        Some(odd) => {
            unfit(format!("needs the same options for all rows, but those of `{}` are others", odd.id))
        }
    }
}

/// The samples of the labels, then the unlabelled ones.
fn all<'s>(labelled: &'s [Labeled], unlabelled: &'s [Sample]) -> impl Iterator<Item = &'s Sample> {
    labelled.iter().map(|labeled| &labeled.sample).chain(unlabelled)
}

/// The first sample whose options are not those of the first of all.
fn with_other_options<'s>(labelled: &'s [Labeled], unlabelled: &'s [Sample]) -> Option<&'s Sample> {
    let mut samples = all(labelled, unlabelled);
    let first = samples.next()?;
    samples.find(|sample| sample.options != first.options)
}

fn refuse<T>(reason: String) -> Result<T, PipelineError> {
    Err(PipelineError::Assembly(reason))
}
