use crate::{Adapter, Recipe, RecipeError};
use semievol_core::{Prompt, Seed};
use semievol_model::ModelError;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use thiserror::Error;

/// A prompt and the response to learn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// What is asked, with the response's forced beginning.
    pub prompt: Prompt,
    /// The response after `prompt.response_prefix`. The loss is on prefix, response and end-of-turn token.
    pub response: String,
    /// Weight of this example's tokens in the loss; 1 for an ordinary label.
    pub weight: f32,
    /// Further responses to the same prompt, each with its own weight: with probabilities for weights the target is a
    /// distribution. They are learnt in the same step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<(String, f32)>,
}

impl Example {
    /// An ordinary label.
    pub fn new(prompt: Prompt, response: impl Into<String>) -> Self {
        Example { prompt, response: response.into(), weight: 1.0, others: Vec::new() }
    }

    /// Every response with its weight.
    pub fn responses(&self) -> impl Iterator<Item = (&str, f32)> {
        let others = self.others.iter().map(|(response, weight)| (response.as_str(), *weight));
        [(self.response.as_str(), self.weight)].into_iter().chain(others)
    }
}

/// What to train.
#[derive(Debug, Clone, Copy)]
pub struct TrainJob<'a> {
    /// The examples; their order matters only through `seed`.
    pub examples: &'a [Example],
    /// How.
    pub recipe: &'a Recipe,
    /// Source of the adapter's initial values and of the order of the examples.
    pub seed: Seed,
    /// Folder for the adapter and its checkpoints; created. A checkpoint of the same job in it is continued.
    pub out: &'a Path,
    /// An adapter of the same base, rank and scale to go on from, in place of initial values drawn by the seed.
    pub from: Option<&'a Adapter>,
}

impl TrainJob<'_> {
    /// What every trainer refuses before it begins.
    ///
    /// # Errors
    /// For a recipe that makes no sense, no example, and a weight that is negative or not finite.
    pub fn check(&self) -> Result<(), TrainError> {
        self.recipe.check()?;
        if self.examples.is_empty() {
            return Err(TrainError::NoExamples);
        }
        let weights = self.examples.iter().enumerate();
        let mut weights =
            weights.flat_map(|(index, example)| example.responses().map(move |(_, weight)| (index, weight)));
        match weights.find(|(_, weight)| !(weight.is_finite() && *weight >= 0.0)) {
            Some((index, weight)) => Err(TrainError::Weight { index, weight }),
            None => Ok(()),
        }
    }
}

/// Progress of training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Counted from 0.
    pub step: usize,
    /// Number of steps in all.
    pub total: usize,
    /// Weighted mean over the batch's target tokens of their negative log-likelihood, before the step.
    pub loss: f64,
    /// Euclidean norm of the gradient before clipping; not a number where the trainer does not say.
    pub grad_norm: f64,
    /// The learning rate used.
    pub lr: f64,
    /// Tokens of the batch's examples, each counted in full; 0 where the trainer does not say.
    pub tokens: usize,
}

/// Why there is no adapter.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The recipe makes no sense.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// Nothing to learn from.
    #[error("there is no example to train on")]
    NoExamples,
    /// An example's prompt and response do not fit the model's context.
    #[error("example {index} has {tokens} tokens but the model holds {limit}: shorten it or leave it out")]
    TooLong {
        /// Position in the job's examples.
        index: usize,
        /// Its length.
        tokens: usize,
        /// The model's context.
        limit: usize,
        /// Positions of all further examples that are too long, so that they can be mended at once.
        others: Vec<usize>,
    },
    /// The adapter to go on from does not fit the job.
    #[error("the adapter to go on from: {reason}")]
    From {
        /// Which two values disagree.
        reason: String,
    },
    /// A response of an example has a weight that is negative or not finite.
    #[error("example {index} has weight {weight}: weights are finite and 0 or more")]
    Weight {
        /// Position in the job's examples.
        index: usize,
        /// Its weight.
        weight: f32,
    },
    /// The loss is not a number any more.
    #[error("the loss became {loss} at step {step}: lower `lr` (now {lr}) or `max_grad_norm`; {kept}")]
    Diverged {
        /// Counted from 0.
        step: usize,
        /// The loss.
        loss: f64,
        /// The learning rate in use.
        lr: f64,
        /// Where the last good checkpoint stands, if there is one.
        kept: String,
    },
    /// The receiver of the progress asked to stop; a checkpoint says where.
    #[error("training was stopped after {steps} steps")]
    Stopped {
        /// Steps done.
        steps: usize,
    },
    /// A file of the adapter or checkpoint.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: String,
        /// What is wrong with it.
        reason: String,
        /// The error behind it.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The trainer failed, or cannot do what the job asks.
    #[error("{trainer}: {reason}")]
    Backend {
        /// Which trainer, as messages call it.
        trainer: String,
        /// What happened, and what to do.
        reason: String,
        /// The error behind it.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The engine failed.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Makes an adapter of examples.
pub trait Trainer: Send + Sync {
    /// Names the trainer with everything besides the job that changes its adapters; part of the key under which
    /// they are kept.
    fn id(&self) -> String;

    /// Trains and writes the adapter to `job.out`. The same job gives the same bytes, also when it was
    /// interrupted and continued from a checkpoint; a trainer that hands the job to another program repeats itself as far
    /// as that program does, and its `id` says that it is one.
    ///
    /// `on_step` hears of the steps in order; where nothing but the loss is known of a step, `grad_norm` is not a number
    /// and `tokens` is 0.
    ///
    /// # Errors
    /// What [`TrainJob::check`] refuses; [`TrainError::Stopped`] when `on_step` breaks before the last step;
    /// otherwise what went wrong. Whatever was computed up to the last checkpoint is kept.
    fn train(
        &self,
        job: &TrainJob<'_>,
        on_step: &mut dyn FnMut(&Step) -> ControlFlow<()>,
    ) -> Result<Adapter, TrainError>;
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: Trainer + ?Sized> Trainer for $pointer {
            fn id(&self) -> String {
                (**self).id()
            }
            fn train(
                &self,
                job: &TrainJob<'_>,
                on_step: &mut dyn FnMut(&Step) -> ControlFlow<()>,
            ) -> Result<Adapter, TrainError> {
                (**self).train(job, on_step)
            }
        }
    )*};
}

forward!(&T, Box<T>, Arc<T>);
