//! Eq. 1 and 9: an adapter of lessons.

use crate::folder::{Inputs, Place};
use crate::{OnEvent, PipelineError, SeedRun, Stage, StageEvent, Unit, files};
use semievol_core::{Answer, Labeled, Sample};
use semievol_model::Adapter;
use semievol_train::{Example, Recipe, TrainError, TrainJob};
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

/// An adapter and how long it was trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// Its files.
    pub adapter: Adapter,
    /// Optimiser steps.
    pub steps: usize,
}

/// Where a training starts. Arms that are compared start alike.
#[derive(Debug, Clone, Copy, Default)]
pub struct Start<'a> {
    /// Initial values and an order of the examples of its own for each number.
    pub stream: u64,
    /// An adapter to go on from.
    pub from: Option<&'a Adapter>,
}

/// An answer to learn, under a prompt with neighbours.
#[derive(Debug, Clone)]
pub struct Lesson<'a> {
    /// The question.
    pub sample: &'a Sample,
    /// The answer.
    pub answer: &'a Answer,
    /// Neighbours in the prompt. Where it is too long, the last goes first.
    pub shots: Vec<&'a Labeled>,
    /// Weight of its tokens in the loss.
    pub weight: f32,
    /// Further answers with weights of their own: with probabilities for weights, a soft target.
    pub others: Vec<(Answer, f32)>,
    /// Asked in these of the run's paraphrases instead of the task's own words.
    pub paraphrase: Option<usize>,
}

impl<'a> Lesson<'a> {
    /// A label, without neighbours.
    pub fn label(labeled: &'a Labeled) -> Self {
        Lesson::new(&labeled.sample, &labeled.answer)
    }

    /// An answer to learn, without neighbours.
    pub fn new(sample: &'a Sample, answer: &'a Answer) -> Self {
        Lesson { sample, answer, shots: Vec::new(), weight: 1.0, others: Vec::new(), paraphrase: None }
    }
}

impl SeedRun<'_> {
    /// Trains an adapter from the base into the folder `name`. Equal lessons, recipes and seeds make one
    /// adapter, whatever it is called. A lesson that does not fit loses its farthest neighbours, never its
    /// question.
    ///
    /// # Errors
    /// What the trainer says, with the sample that it is about.
    pub fn train(
        &self,
        name: &str,
        lessons: &[Lesson<'_>],
        recipe: &Recipe,
        events: OnEvent<'_>,
    ) -> Result<Trained, PipelineError> {
        self.train_from(Start::default(), name, lessons, recipe, events)
    }

    /// The same from another start.
    ///
    /// # Errors
    /// As [`SeedRun::train`].
    pub fn train_from(
        &self,
        start: Start<'_>,
        name: &str,
        lessons: &[Lesson<'_>],
        recipe: &Recipe,
        events: OnEvent<'_>,
    ) -> Result<Trained, PipelineError> {
        let examples = lessons.iter().map(|lesson| self.example(lesson)).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<&str> = lessons.iter().map(|lesson| lesson.sample.id.as_str()).collect();
        let mut shorter: BTreeMap<usize, Lesson<'_>> = BTreeMap::new();
        let mut shorten = |index: usize| {
            let Some(lesson) = lessons.get(index) else { return Ok(None) };
            let lesson = shorter.entry(index).or_insert_with(|| lesson.clone());
            lesson.shots.pop().map(|_| self.example(lesson)).transpose()
        };
        self.train_examples(start, name, examples, &ids, recipe, &mut shorten, events)
    }

    /// The stage itself. `ids` name the examples in messages; `shorten` makes a shorter one of an example that does not
    /// fit, if there is one.
    #[expect(clippy::too_many_arguments, reason = "what is learnt, and what becomes of what does not fit")]
    pub(crate) fn train_examples(
        &self,
        start: Start<'_>,
        name: &str,
        mut examples: Vec<Example>,
        ids: &[&str],
        recipe: &Recipe,
        shorten: &mut dyn FnMut(usize) -> Result<Option<Example>, PipelineError>,
        events: OnEvent<'_>,
    ) -> Result<Trained, PipelineError> {
        let steps = recipe.total_steps(examples.len());
        // What makes no other adapter makes no other key: steps are steps, however they were counted.
        let recipe = &Recipe { epochs: 1, max_steps: steps, ..recipe.clone() };
        let keyed = Recipe { checkpoint_every: 0, ..recipe.clone() };
        let seed = self.seed.child("train", start.stream);
        let mut inputs = Inputs::of("train")
            .with("base", self.base.id())
            .with("trainer", self.parts.trainer.id())
            .with("recipe", keyed)
            .with("seed", seed)
            .with_digest("examples", &examples);
        if let Some(from) = start.from {
            inputs = inputs.with("from", &from.digest);
        }
        let place = Place::new(&self.folder, name, name, inputs);
        let stage = Stage::new(name, Unit::Steps, steps);
        if place.is_finished(self.shelf)? {
            events(&StageEvent::Kept(stage));
            return Ok(Trained { adapter: self.adapter(&place.output())?, steps });
        }
        events(&StageEvent::Begin(stage.clone()));
        let out = place.output();
        loop {
            let job = TrainJob { examples: &examples, recipe, seed, out: &out, from: start.from };
            let mut resumed = false;
            let trained = self.parts.trainer.train(&job, &mut |step| {
                if step.step > 0 && !resumed {
                    events(&StageEvent::Resumed { done: step.step });
                }
                resumed = true;
                events(&StageEvent::Step(*step));
                ControlFlow::Continue(())
            });
            let mut source = match trained {
                Ok(_) => break,
                Err(source) => source,
            };
            let TrainError::TooLong { index, others, .. } = &mut source else {
                return Err(train_error(name, source, ids));
            };
            let first = *index;
            for too_long in std::iter::once(first).chain(std::mem::take(others)) {
                match shorten(too_long)? {
                    Some(example) => examples[too_long] = example,
                    // The message has the first one's length.
                    None if too_long == first => return Err(train_error(name, source, ids)),
                    None => {}
                }
            }
        }
        let files = files_in(&out)?;
        let adapter = self.adapter(&out)?;
        // One that came from elsewhere may be none for this model, and is not finished then.
        self.load(name, &adapter)?;
        place.finish(self.shelf, &files.iter().map(String::as_str).collect::<Vec<_>>())?;
        events(&StageEvent::Done(stage));
        Ok(Trained { adapter, steps })
    }

    fn example(&self, lesson: &Lesson<'_>) -> Result<Example, PipelineError> {
        let Lesson { sample, answer, shots, weight, others, paraphrase } = lesson;
        let task = match paraphrase {
            None => self.task,
            Some(words) => self.paraphrases.get(*words).map(AsRef::as_ref).ok_or_else(|| {
                PipelineError::Assembly(format!("there is no paraphrase {words} to teach `{}` in", sample.id))
            })?,
        };
        let written = |answer: &Answer| {
            let response = self.task.target(sample, answer);
            if response.is_empty() {
                return Err(PipelineError::Assembly(format!(
                    "sample `{}`: its answer `{answer}` is none that the task can write; correct it, or check task.kind and data.columns.answer",
                    sample.id
                )));
            }
            Ok(response)
        };
        let others = others.iter().map(|(answer, weight)| Ok((written(answer)?, *weight)));
        Ok(Example {
            prompt: task.prompt(sample, shots),
            response: written(answer)?,
            weight: *weight,
            others: others.collect::<Result<_, PipelineError>>()?,
        })
    }

    fn adapter(&self, folder: &Path) -> Result<Adapter, PipelineError> {
        let weights = folder.join(Adapter::WEIGHTS_FILE);
        let digest = files::digest(&weights).map_err(|error| PipelineError::file(&weights, error))?;
        Ok(Adapter { base: self.base.id().clone(), folder: folder.to_owned(), digest })
    }
}

fn train_error(stage: &str, source: TrainError, ids: &[&str]) -> PipelineError {
    let index = match &source {
        TrainError::TooLong { index, .. } | TrainError::Weight { index, .. } => Some(*index),
        _ => None,
    };
    let sample = index.and_then(|index| ids.get(index));
    let about = sample.map(|id| format!(" (sample `{id}`)")).unwrap_or_default();
    PipelineError::Train { stage: stage.to_owned(), source: source.into(), about }
}

/// Names of the files in a folder, sorted, without what macOS' file browser leaves. What a killed writer left is removed.
fn files_in(folder: &Path) -> Result<Vec<String>, PipelineError> {
    let entries = fs::read_dir(folder).map_err(|error| PipelineError::file(folder, error))?;
    let (left, files): (Vec<_>, Vec<_>) =
        entries.flatten().filter(|entry| entry.path().is_file()).partition(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.ends_with(".tmp") || name.ends_with(".partial")
        });
    for entry in left {
        fs::remove_file(entry.path()).map_err(|error| PipelineError::file(&entry.path(), error))?;
    }
    let files = files.into_iter();
    let mut names: Vec<String> =
        files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name != ".DS_Store");
    names.sort();
    Ok(names)
}
