use super::score::{HeldOut, Tally};
use crate::labels::{check_folds, folds_of};
use crate::method::Method;
use crate::{OnEvent, Parts, PipelineError, SeedRun, StageEvent, Trained};
use semievol_core::{Labeled, Sample, Seed};
use semievol_data::Task;
use serde::{Deserialize, Serialize};

/// A selector that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriedSelector {
    /// [Names it](semievol_select::Selector::id) with its settings.
    pub selector: String,
    /// How the models answered that learnt what it kept.
    #[serde(flatten)]
    pub held_out: HeldOut,
    /// Whether it was chosen.
    pub chosen: bool,
}

/// The selectors that were tried, beside the labels alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TriedSelectors {
    /// How the models of the labels alone answered.
    pub labels_alone: HeldOut,
    /// In the configuration's order.
    pub tried: Vec<TriedSelector>,
}

/// The labels without each fold, and the fold.
fn without_each(folds: usize, seed: Seed, labelled: &[Labeled]) -> Vec<(Vec<Labeled>, Vec<&Labeled>)> {
    let (fold_of, dealt) = folds_of(labelled, folds, seed);
    let parted = (0..dealt).map(|fold| {
        let rows = || labelled.iter().zip(&fold_of);
        let learnt = rows().filter(|(_, of)| **of != fold).map(|(labeled, _)| labeled.clone());
        let out = rows().filter(|(_, of)| **of == fold).map(|(labeled, _)| labeled);
        (learnt.collect(), out.collect())
    });
    parted.collect()
}

impl Method {
    /// Checks the method as [`Method::check`] does, on the labels without each fold, which [`SeedRun::choose`] runs it on.
    ///
    /// # Errors
    /// As [`Method::check`]; if there are fewer labels than folds.
    pub fn check_without_folds(
        &self,
        folds: usize,
        seed: Seed,
        parts: &Parts<'_>,
        task: &dyn Task,
        labelled: &[Labeled],
        unlabelled: &[Sample],
    ) -> Result<(), PipelineError> {
        check_folds("tune.folds", folds, labelled.len(), labelled)?;
        without_each(folds, seed, labelled).iter().try_for_each(|(learnt, _)| {
            let checked = self.check(parts, task, learnt, unlabelled);
            checked.map_err(|error| {
                let without = format!("tune.folds = {folds}, for {} of the labels alone", learnt.len());
                PipelineError::Assembly(format!("{without}: {error}"))
            })
        })
    }
}

impl SeedRun<'_> {
    /// Runs each method, of which each has a selector of its own, on the labels without each fold and asks its last model
    /// about that fold. Chosen is the one that answers most right; of equals the one that is surer of the right answers,
    /// then the first. What methods have in common, as the models of the labels, is computed once. The second value says
    /// which was chosen.
    ///
    /// # Errors
    /// As [`SeedRun::evolve`]; if there is no method, or there are fewer labels than folds.
    pub fn choose(
        &self,
        methods: &[Method],
        folds: usize,
        labelled: &[Labeled],
        unlabelled: &[Sample],
        events: OnEvent<'_>,
    ) -> Result<(TriedSelectors, usize), PipelineError> {
        if methods.is_empty() {
            return Err(PipelineError::Assembly("there is no method to choose from".into()));
        }
        check_folds("tune.folds", folds, labelled.len(), labelled)?;
        let mut alone = Tally::default();
        let mut tallies: Vec<Tally> = methods.iter().map(|_| Tally::default()).collect();
        for (fold, (learnt, out)) in without_each(folds, self.seed, labelled).into_iter().enumerate() {
            let asked: Vec<Sample> = out.iter().map(|labeled| labeled.sample.clone()).collect();
            for (number, (method, tally)) in methods.iter().zip(&mut tallies).enumerate() {
                let name = format!("tune-select-{}-fold-{fold}", number + 1);
                let run = SeedRun { folder: self.folder.join(&name), ..self.clone() };
                let mut within = |event: &StageEvent| events(&event.within(&name));
                let unlabelled = method.config.of_pool(learnt.len(), unlabelled);
                let done = run.evolve(method, &learnt, unlabelled, &[], &mut within)?;
                let mut ask = |name: &str, trained: &Trained, tally: &mut Tally| {
                    let model = run.load(name, &trained.adapter)?;
                    let answered = run.answer(name, model.as_ref(), &asked, &[], &mut within)?;
                    tally.add(self, out.iter().copied(), &answered);
                    Ok::<_, PipelineError>(())
                };
                ask("evolved", &done.evolved, tally)?;
                if number == 0 {
                    ask("warm", &done.warm, &mut alone)?;
                }
            }
        }
        let tried = methods.iter().zip(tallies).map(|(method, tally)| TriedSelector {
            selector: method.selector.id(),
            held_out: tally.mean(),
            chosen: false,
        });
        let mut chosen = TriedSelectors { labels_alone: alone.mean(), tried: tried.collect() };
        let best = HeldOut::best(chosen.tried.iter().map(|one| &one.held_out));
        chosen.tried[best].chosen = true;
        let TriedSelector { selector, held_out: HeldOut { right, of, .. }, .. } = &chosen.tried[best];
        events(&StageEvent::Note(format!(
            "of {} selectors, {selector} makes models that answer most of the labels that they have not learnt: {right} of {of}, and those of the labels alone {}",
            methods.len(),
            chosen.labels_alone.right
        )));
        Ok((chosen, best))
    }
}
