//! What the stages of one seed share, and the two that every arm needs: train and answer.

use crate::ask::{Question, Reply, Said, Want, ask};
use crate::folder::{Inputs, Place};
use crate::{OnEvent, PipelineError, Shelf, Stage, StageEvent, Unit, files};
use semievol_core::{Answer, Candidate, Labeled, Prompt, Sample, Seed};
use semievol_data::Task;
use semievol_model::{Adapter, Embedder, GenerateRequest, LanguageModel, ModelError, ModelId, ModelLoader};
use semievol_select::options::{OptionScore, draw, option_scores};
use semievol_train::{Example, Recipe, TrainError, TrainJob, Trainer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a run is made with. Loader and trainer start from the same base model.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// Gives the base model, alone or with an adapter.
    pub loader: &'a dyn ModelLoader,
    /// Makes the adapters.
    pub trainer: &'a dyn Trainer,
    /// Embeds prompts, for retrieval and classifiers; `None` where the method needs neither.
    pub embedder: Option<NamedEmbedder<'a>>,
    /// Further models that collaborators may name.
    pub models: &'a BTreeMap<String, Arc<dyn LanguageModel>>,
}

impl std::fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("trainer", &self.trainer.id())
            .field("embedder", &self.embedder)
            .field("models", &self.models.keys())
            .finish_non_exhaustive()
    }
}

static NO_MODELS: BTreeMap<String, Arc<dyn LanguageModel>> = BTreeMap::new();

impl<'a> Parts<'a> {
    /// A model with its trainer, and nothing else.
    pub fn new(loader: &'a dyn ModelLoader, trainer: &'a dyn Trainer) -> Self {
        Parts { loader, trainer, embedder: None, models: &NO_MODELS }
    }

    /// The same with an embedder; `id` names its weights.
    pub fn with_embedder(self, id: &'a ModelId, embedder: &'a dyn Embedder) -> Self {
        Parts { embedder: Some(NamedEmbedder { id, embedder }), ..self }
    }

    /// The same with further models that collaborators may name.
    pub fn with_models(self, models: &'a BTreeMap<String, Arc<dyn LanguageModel>>) -> Self {
        Parts { models, ..self }
    }
}

/// An embedder with the name of its weights.
#[derive(Clone, Copy)]
pub struct NamedEmbedder<'a> {
    /// Part of the key under which vectors are kept.
    pub id: &'a ModelId,
    /// Makes the vectors.
    pub embedder: &'a dyn Embedder,
}

impl std::fmt::Debug for NamedEmbedder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NamedEmbedder").field("id", &self.id).finish_non_exhaustive()
    }
}

/// One seed's work in one folder.
#[derive(Clone)]
pub struct SeedRun<'a> {
    /// Models and trainer.
    pub parts: Parts<'a>,
    /// What is asked and how answers are read.
    pub task: &'a dyn Task,
    /// Names the task with every setting that changes how responses are read.
    pub task_id: &'a str,
    /// The same task in other words, for whoever is taught in several.
    pub paraphrases: &'a [Box<dyn Task>],
    /// The base model.
    pub base: Arc<dyn LanguageModel>,
    /// How adapters are trained.
    pub recipe: &'a Recipe,
    /// Most tokens of a generated answer.
    pub max_answer_tokens: usize,
    /// Root of all randomness.
    pub seed: Seed,
    /// Where the artefacts go.
    pub folder: PathBuf,
    /// Where finished stages of other runs may be found.
    pub shelf: &'a Shelf,
    /// Unlabelled samples that are asked about at once. A pool of more is worked off in parts, each with files of its
    /// own, so that memory holds the prompts and answers of one part; [`SeedRun::PART`] does.
    pub part: usize,
}

impl std::fmt::Debug for SeedRun<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeedRun")
            .field("parts", &self.parts)
            .field("task_id", &self.task_id)
            .field("base", self.base.id())
            .field("seed", &self.seed)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl SeedRun<'_> {
    /// Samples whose prompts and answers take some 200 MB.
    pub const PART: usize = 16_384;
}

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

/// What a model answered to one sample: a line of `predictions-*.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// The sample.
    pub id: String,
    /// The answer; absent if the response could not be read or the prompt did not fit.
    pub predicted: Option<Answer>,
    /// Every option of a closed set with its probability, in the sample's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<OptionScore>,
    /// The generated text of an open task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// Neighbours that the prompt showed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shots: usize,
    /// Why there is no answer: the prompt did not fit the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Answered {
    /// A collaborator's answer with its distribution.
    pub(crate) fn of(sample: &Sample, candidate: Candidate) -> Self {
        let scored = sample.options.iter().zip(&candidate.distribution);
        let options = scored.map(|(option, probability)| OptionScore {
            option: option.clone(),
            // JSON has no infinity, and nobody knows that an option is impossible.
            logprob: probability.max(f64::MIN_POSITIVE).ln(),
            n_tokens: 0,
            probability: *probability,
        });
        Answered {
            id: sample.id.clone(),
            predicted: candidate.answer,
            options: options.collect(),
            response: None,
            shots: candidate.shots,
            error: candidate.error,
        }
    }
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl SeedRun<'_> {
    /// The base model with an adapter.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub fn load(&self, stage: &str, adapter: &Adapter) -> Result<Arc<dyn LanguageModel>, PipelineError> {
        self.parts.loader.load(Some(adapter)).map_err(PipelineError::model(stage))
    }

    /// Where rows of this name stand.
    pub(crate) fn rows_file(&self, name: &str) -> PathBuf {
        self.folder.join(rows_name(name))
    }

    /// A stage about `n` prompts whose output is one file of rows, named like it.
    pub(crate) fn prompts_stage(&self, name: &str, inputs: Inputs, n: usize) -> (Place, Stage) {
        let place = Place::new(&self.folder, name, &rows_name(name), inputs);
        (place, Stage::new(name, Unit::Prompts, n))
    }

    /// Runs a stage whose output is one file of rows, unless it is finished.
    pub(crate) fn rows<T: Serialize + DeserializeOwned>(
        &self,
        place: &Place,
        stage: Stage,
        events: OnEvent<'_>,
        work: impl FnOnce(OnEvent<'_>) -> Result<Vec<T>, PipelineError>,
    ) -> Result<Vec<T>, PipelineError> {
        if place.is_finished(self.shelf)? {
            events(&StageEvent::Kept(stage));
            return files::read_jsonl(&place.output());
        }
        events(&StageEvent::Begin(stage.clone()));
        let rows = work(events)?;
        files::write_jsonl(&place.output(), &rows)?;
        place.finish(self.shelf, &[])?;
        events(&StageEvent::Done(stage));
        Ok(rows)
    }

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

    /// A model's most probable answers to samples, written to `predictions-NAME.jsonl`. `neighbours` stand in
    /// the prompts, the nearest first; an empty list for each sample shows none.
    ///
    /// # Errors
    /// If the model fails. A prompt that does not fit is an answer that is absent.
    pub fn answer(
        &self,
        name: &str,
        model: &dyn LanguageModel,
        samples: &[Sample],
        neighbours: &[Vec<&Labeled>],
        events: OnEvent<'_>,
    ) -> Result<Vec<Answered>, PipelineError> {
        let question = |(index, sample): (usize, &Sample)| {
            let shots = neighbours.get(index).map(Vec::as_slice).unwrap_or_default();
            self.question(0, sample, shots, 0.0, Seed(0))
        };
        let questions: Vec<Question> = samples.iter().enumerate().map(question).collect();
        let inputs = Inputs::of("answer")
            .with("model", model.id())
            .with("task", self.task_id)
            .with_digest("samples", &samples)
            .with_digest("questions", &questions);
        let name = format!("predictions-{name}");
        let (place, stage) = self.prompts_stage(&name, inputs, questions.len());
        self.rows(&place, stage, events, |events| {
            let replies = ask(&name, &place, &[model], &questions, true, events)?;
            let answered = samples.iter().zip(&questions).zip(replies);
            answered
                .map(|((sample, question), reply)| self.answered(&name, model.id(), sample, question, reply))
                .collect()
        })
    }

    /// Asks for a sample's answer: the scores of its options, or a response.
    pub(crate) fn question(
        &self,
        model: usize,
        sample: &Sample,
        shots: &[&Labeled],
        temperature: f64,
        seed: Seed,
    ) -> Question {
        let candidates = self.task.candidates(sample);
        let want = if candidates.is_empty() {
            Want::Response(GenerateRequest {
                max_tokens: self.max_answer_tokens,
                temperature: temperature as f32,
                ..GenerateRequest::new(Prompt::default(), seed)
            })
        } else {
            Want::Scores(candidates)
        };
        Question { model, prompts: prompts(self.task, sample, shots), want }
    }

    fn answered(
        &self,
        stage: &str,
        model: &ModelId,
        sample: &Sample,
        question: &Question,
        reply: Reply,
    ) -> Result<Answered, PipelineError> {
        let shots = question.prompts.len() - 1 - reply.prompt;
        let nothing = Answered {
            id: sample.id.clone(),
            predicted: None,
            options: Vec::new(),
            response: None,
            shots,
            error: None,
        };
        Ok(match reply.said {
            Said::Scores(scores) => {
                let options =
                    option_scores(sample, &scores).map_err(|reason| broken(stage, model, reason))?;
                let predicted = draw(&options, 0.0, Seed(0)).map(Answer::Choice);
                Answered { predicted, options, ..nothing }
            }
            Said::Response { text, .. } => {
                Answered { predicted: self.task.parse(sample, &text), response: Some(text), ..nothing }
            }
            Said::TooLong(error) => Answered { error: Some(error), ..nothing },
        })
    }
}

fn rows_name(name: &str) -> String {
    format!("{name}.jsonl")
}

pub(crate) fn broken(stage: &str, model: &ModelId, reason: String) -> PipelineError {
    PipelineError::model(stage)(ModelError::Backend { model: model.clone(), reason, source: None })
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

/// The prompt with all the shots, then with ever fewer: the farthest is dropped first, the question never.
pub(crate) fn prompts(task: &dyn Task, sample: &Sample, shots: &[&Labeled]) -> Vec<Prompt> {
    (0..=shots.len()).rev().map(|shown| task.prompt(sample, &shots[..shown])).collect()
}
