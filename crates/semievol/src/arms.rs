//! The arms of one seed, in the order in which they can be run.

use crate::Arm;
use crate::seed::Run;
use crate::sets::Sets;
use semievol_core::{Labeled, Sample};
use semievol_eval::EvalError;
use semievol_model::{Adapter, LanguageModel};
use semievol_pipeline::{
    Answered, Evolved, Lesson, Library, Method, MethodConfig, OnEvent, PipelineError, SeedRun, StageEvent,
    Start, Trained, Unit,
};
use semievol_retrieval::{Bm25Config, RetrievalConfig, RetrieverFactory};
use semievol_select::AdjudicatorConfig;
use semievol_train::Recipe;
use serde::{Deserialize, Serialize};

/// Folds of the classifier's cross-validation, where it is an arm.
pub(crate) const FOLDS: usize = 5;

/// Neighbours in the prompts of arms that show some, where the method shows none; the paper's number.
const NEIGHBOURS: usize = 3;

/// What the arms of a seed are run with.
pub(crate) struct Arms<'a> {
    pub run: &'a Run<'a>,
    /// The file's method, with the selector that the seed chose.
    pub method: &'a Method,
    pub seed: &'a SeedRun<'a>,
    pub sets: &'a Sets,
}

/// What an arm did before it answered the test rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cost {
    /// Optimiser steps of all its trainings.
    pub steps: usize,
    /// Prompts that its models answered or scored.
    pub prompts: usize,
}

impl Cost {
    /// Counts a stage, whether it was computed or read. Disputes count where a model decides them.
    fn count(&mut self, event: &StageEvent, judged: bool) {
        let (StageEvent::Begin(stage) | StageEvent::Kept(stage)) = event else { return };
        // What stands before it is the method's name, which may be any.
        let name = stage.name.rsplit('/').next().unwrap_or_default();
        match stage.unit {
            Unit::Steps => self.steps += stage.total,
            Unit::Prompts if name.starts_with("predictions-") => {}
            Unit::Prompts if name.starts_with("justified") && !judged => {}
            Unit::Prompts => self.prompts += stage.total,
            _ => {}
        }
    }
}

/// What an arm answered to the test rows.
pub(crate) struct ArmDone {
    pub arm: Arm,
    pub answered: Vec<Answered>,
    /// The same under each paraphrase of the instruction; empty for an arm that is not trained.
    pub paraphrased: Vec<Vec<Answered>>,
    /// What it trained; nothing for an arm that trains none.
    pub adapter: Option<Adapter>,
    pub cost: Cost,
}

/// What the arms of one seed gave.
pub(crate) struct Done {
    /// In the configuration's order.
    pub arms: Vec<ArmDone>,
    /// Of the arms that learn from unlabelled rows.
    pub evolved: Vec<(Arm, Evolved)>,
}

/// To the test rows, in the experiment's words and in others.
struct Answers {
    test: Vec<Answered>,
    paraphrased: Vec<Vec<Answered>>,
    adapter: Option<Adapter>,
}

impl From<Vec<Answered>> for Answers {
    fn from(test: Vec<Answered>) -> Self {
        Answers { test, paraphrased: Vec::new(), adapter: None }
    }
}

impl Arms<'_> {
    pub fn run_all(&self, events: OnEvent<'_>) -> Result<Done, PipelineError> {
        let arms = &self.run.assembly.config.arms;
        let mut done = Done { arms: Vec::new(), evolved: Vec::new() };
        // Tables follow the configuration; the matched control can only be trained when the steps are known.
        let (last, first): (Vec<_>, Vec<_>) = arms.iter().partition(|arm| **arm == Arm::SftMatched);
        for arm in first.into_iter().chain(last) {
            let mut cost = Cost::default();
            let judged = self.method_of(arm).is_some_and(|method| {
                method.config.combine.is_none()
                    && matches!(method.config.justify, AdjudicatorConfig::SelfJustify { .. })
            });
            let mut counted = |event: &StageEvent| {
                cost.count(event, judged);
                events(event);
            };
            let Answers { test: answered, paraphrased, adapter } =
                self.run_one(arm, &mut done.evolved, &mut counted)?;
            done.arms.push(ArmDone { arm: arm.clone(), answered, paraphrased, adapter, cost });
        }
        done.arms.sort_by_key(|done| arms.iter().position(|known| *known == done.arm));
        Ok(done)
    }

    /// The method that an arm runs, if it is one.
    pub fn method_of(&self, arm: &Arm) -> Option<&Method> {
        match arm {
            Arm::Semievol => Some(self.method),
            arm => self.run.assembly.method_of(arm),
        }
    }

    fn run_one(
        &self,
        arm: &Arm,
        evolved: &mut Vec<(Arm, Evolved)>,
        events: OnEvent<'_>,
    ) -> Result<Answers, PipelineError> {
        let method = &self.method.config;
        match arm {
            Arm::Vanilla => Ok(self.answer(arm, self.seed.base.as_ref(), &[], events)?.into()),
            Arm::InContext => self.in_context(arm, self.method.retrieval(), events),
            Arm::InContextBm25 => self.in_context(arm, &RetrievalConfig::Bm25(Bm25Config::default()), events),
            Arm::Classifier => {
                let library = self.library(None, true, events)?;
                Ok(self.seed.answer_by_classifier(arm.as_str(), FOLDS, &library, &self.sets.test)?.into())
            }
            Arm::Sft => self.sft(arm, Start::default(), self.seed.recipe, events),
            Arm::SftPretrained => {
                let config = method.pretrain.clone().unwrap_or_default();
                let unlabelled = self.unlabelled(method);
                let first = self.seed.pretrain(&config, &self.sets.labelled, unlabelled, events)?;
                let start = Start { from: Some(&first.adapter), ..Start::default() };
                self.sft(arm, start, self.seed.recipe, events)
            }
            Arm::SftMatched => {
                let steps = evolved.iter().map(|(_, evolved)| evolved.evolved.steps).max().unwrap_or(0);
                let recipe = Recipe { max_steps: steps, ..self.seed.recipe.clone() };
                self.sft(arm, Start::default(), &recipe, events)
            }
            Arm::Semievol => self.evolve(arm, self.seed, self.method, evolved, events),
            Arm::Variant(name) => {
                let seed = SeedRun { folder: arm.folder(&self.seed.folder), ..self.seed.clone() };
                let method = self.method_of(arm).ok_or_else(|| {
                    PipelineError::Assembly(format!("there is no method `{name}`, but an arm of its name"))
                })?;
                let mut within = |event: &StageEvent| events(&event.within(name));
                self.evolve(arm, &seed, method, evolved, &mut within)
            }
            Arm::Oracle => {
                let failed = |error: EvalError| PipelineError::Assembly(error.to_string());
                let gold = self.sets.unlabelled_key.oracle(&self.sets.unlabelled).map_err(failed)?;
                let trained =
                    self.seed.train_on_gold(arm.as_str(), method, &self.sets.labelled, &gold, events)?;
                self.answer_trained(self.seed, arm, &trained, events)
            }
        }
    }

    fn in_context(
        &self,
        arm: &Arm,
        retrieval: &dyn RetrieverFactory,
        events: OnEvent<'_>,
    ) -> Result<Answers, PipelineError> {
        let neighbours = match self.method.config.neighbours {
            0 => NEIGHBOURS,
            shown => shown,
        };
        let library = self.library(Some(retrieval), retrieval.needs_embedder(), events)?;
        let hits = library.nearest(&self.sets.test, neighbours)?;
        let shots: Vec<Vec<&Labeled>> = hits.iter().map(|hits| library.shots(hits)).collect();
        Ok(self.answer(arm, self.seed.base.as_ref(), &shots, events)?.into())
    }

    /// Fine-tunes on the labels alone.
    fn sft(
        &self,
        arm: &Arm,
        start: Start<'_>,
        recipe: &Recipe,
        events: OnEvent<'_>,
    ) -> Result<Answers, PipelineError> {
        let lessons: Vec<Lesson<'_>> = self.sets.labelled.iter().map(Lesson::label).collect();
        let trained = self.seed.train_from(start, arm.as_str(), &lessons, recipe, events)?;
        self.answer_trained(self.seed, arm, &trained, events)
    }

    fn evolve(
        &self,
        arm: &Arm,
        seed: &SeedRun<'_>,
        method: &Method,
        evolved: &mut Vec<(Arm, Evolved)>,
        events: OnEvent<'_>,
    ) -> Result<Answers, PipelineError> {
        let Sets { labelled, test, .. } = self.sets;
        let unlabelled = self.unlabelled(&method.config);
        let wanted = method.config.unlabelled_per_label.unwrap_or(0.0) * labelled.len() as f64;
        let few = (wanted.round() > unlabelled.len() as f64).then(|| {
            format!(
                "{wanted:.0} unlabelled rows are wanted, but there are {}: all of them are used",
                unlabelled.len()
            )
        });
        few.iter().for_each(|note| events(&StageEvent::Note(note.clone())));
        let together = self.embedded_together();
        let rest = together.get(unlabelled.len()..).unwrap_or_default();
        let mut done = seed.evolve(method, labelled, unlabelled, &[rest, test], events)?;
        done.notes.splice(0..0, few);
        let answers = self.answer_trained(seed, arm, &done.evolved, events)?;
        evolved.push((arm.clone(), done));
        Ok(answers)
    }

    /// The labelled rows with the embeddings of all rows, where a method needs them.
    fn library(
        &self,
        retrieval: Option<&dyn RetrieverFactory>,
        embeds: bool,
        events: OnEvent<'_>,
    ) -> Result<Library<'_>, PipelineError> {
        let others = [self.embedded_together(), self.sets.test.as_slice()];
        self.seed.library(&self.sets.labelled, &others, retrieval, embeds, events)
    }

    /// The unlabelled rows, whose embeddings all arms share with those of the others; of a file that is larger than a
    /// part those that the method takes; of a pool that is worked off in parts, nothing.
    fn embedded_together(&self) -> &[Sample] {
        let all: &[Sample] = &self.sets.unlabelled;
        let whole = |rows: &&[Sample]| rows.len() <= self.seed.part;
        let taken = || self.unlabelled(&self.method.config);
        Some(all).filter(whole).or_else(|| Some(taken()).filter(whole)).unwrap_or_default()
    }

    fn unlabelled(&self, config: &MethodConfig) -> &[Sample] {
        config.of_pool(self.sets.labelled.len(), &self.sets.unlabelled)
    }

    fn answer_trained(
        &self,
        seed: &SeedRun<'_>,
        arm: &Arm,
        trained: &Trained,
        events: OnEvent<'_>,
    ) -> Result<Answers, PipelineError> {
        let model = seed.load(arm.as_str(), &trained.adapter)?;
        let test = seed.answer(arm.as_str(), model.as_ref(), &self.sets.test, &[], events)?;
        let mut paraphrased = Vec::with_capacity(self.run.paraphrases.len());
        for (number, (task, task_id)) in self.run.paraphrases.iter().enumerate() {
            let seed = SeedRun { task: task.as_ref(), task_id, ..seed.clone() };
            let name = format!("{arm}-paraphrase-{}", number + 1);
            paraphrased.push(seed.answer(&name, model.as_ref(), &self.sets.test, &[], events)?);
        }
        Ok(Answers { test, paraphrased, adapter: Some(trained.adapter.clone()) })
    }

    fn answer(
        &self,
        arm: &Arm,
        model: &dyn LanguageModel,
        shots: &[Vec<&Labeled>],
        events: OnEvent<'_>,
    ) -> Result<Vec<Answered>, PipelineError> {
        self.seed.answer(arm.as_str(), model, &self.sets.test, shots, events)
    }
}

#[cfg(test)]
mod tests {
    use super::Cost;
    use semievol_pipeline::{Stage, StageEvent, Unit};

    #[test]
    fn a_stage_counts_by_its_own_name_and_not_by_the_methods() {
        let stages = [
            ("predictions-x/warm", Unit::Steps, 10),
            ("predictions-x/candidates", Unit::Prompts, 5),
            ("predictions-x/predictions-predictions-x", Unit::Prompts, 100),
            ("justified/candidates", Unit::Prompts, 3),
            ("justified/justified-round-2", Unit::Prompts, 7),
            ("embeddings", Unit::Texts, 50),
        ];
        for (judged, prompts) in [(false, 8), (true, 15)] {
            let mut cost = Cost::default();
            for (name, unit, total) in stages {
                let stage = Stage { name: name.to_owned(), unit, total };
                cost.count(&StageEvent::Begin(stage), judged);
            }
            assert_eq!(cost, Cost { steps: 10, prompts });
        }
    }
}
