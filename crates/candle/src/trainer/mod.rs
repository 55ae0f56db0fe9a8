//! [`Trainer`] of this process: LoRA with the loss on the response alone.

mod batches;
mod checkpoint;

use crate::backward::{Pass, Sequence};
use crate::lora::Lora;
use crate::model::{BaseModel, Unfit};
use crate::optim::{AdamW, norm};
use crate::plain::PlainLlama;
use crate::{EngineError, adapter, tensor_file};
use batches::{Batches, micro_batches};
use checkpoint::{Checkpoint, JobKey};
use rayon::prelude::*;
use semievol_core::Seed;
use semievol_train::{Adapter, Example, Recipe, RecipeError, Schedule, Step, TrainError, TrainJob, Trainer};
use std::ops::ControlFlow;
use std::path::Path;

/// The losses of a finished training, one JSON object a line, beside the adapter.
pub const STEPS_FILE: &str = "steps.jsonl";

/// Trains adapters for one base model.
#[derive(Debug, Clone)]
pub struct CandleTrainer {
    base: BaseModel,
    recompute: bool,
}

impl CandleTrainer {
    /// A trainer for this base.
    pub fn new(base: BaseModel) -> Self {
        CandleTrainer { base, recompute: false }
    }

    /// Computes each block's activations a second time instead of keeping them: slower by a third, and memory
    /// that hardly grows with the number of layers. An accelerator keeps them in any case.
    pub fn recompute(mut self, on: bool) -> Self {
        self.recompute = on;
        self
    }

    /// An example as the tokens that training sees, one sequence for each response: the prompt as inference renders it,
    /// then prefix, response and end of turn.
    ///
    /// # Errors
    /// If the chat template refuses the prompt.
    pub fn encode(&self, example: &Example) -> Result<Vec<Sequence>, EngineError> {
        let prompt = self.base.tokenizer.encode_prompt(&example.prompt)?;
        let sequence = |(response, weight): (&str, f32)| {
            let response = self.base.tokenizer.encode_response(&example.prompt.response_prefix, response)?;
            let tokens = [&prompt[..], &response.ids].concat();
            Ok(Sequence { tokens, n_prompt: prompt.len(), weight })
        };
        example.responses().map(sequence).collect()
    }

    fn encode_all(&self, examples: &[Example]) -> Result<Vec<Vec<Sequence>>, TrainError> {
        let limit = self.base.llama.config().max_context;
        let encode = |(index, example): (usize, &Example)| {
            self.encode(example).map_err(|error| engine_error(Some(index), error))
        };
        let all: Vec<Result<_, _>> = examples.par_iter().enumerate().map(encode).collect();
        // The first error, whichever thread met one first.
        let all = all.into_iter().collect::<Result<Vec<_>, _>>()?;
        let longest =
            all.iter().map(|one| one.iter().map(|sequence| sequence.tokens.len()).max().unwrap_or(0));
        let mut too_long = longest.enumerate().filter(|(_, tokens)| *tokens > limit);
        match too_long.next() {
            None => Ok(all),
            Some((index, tokens)) => {
                let others = too_long.map(|(index, _)| index).collect();
                Err(TrainError::TooLong { index, tokens, limit, others })
            }
        }
    }
}

impl Trainer for CandleTrainer {
    fn id(&self) -> String {
        // Recomputing changes memory and time alone.
        concat!("candle lora ", env!("CARGO_PKG_VERSION")).to_owned()
    }

    fn train(
        &self,
        job: &TrainJob<'_>,
        on_step: &mut dyn FnMut(&Step) -> ControlFlow<()>,
    ) -> Result<Adapter, TrainError> {
        job.check()?;
        let widest = self.base.llama.config().widest();
        if job.from.is_none() && job.recipe.rank > widest {
            return Err(RecipeError::new("rank", job.recipe.rank, "no more than the model is wide").into());
        }
        let sequences = self.encode_all(job.examples)?;
        let key = JobKey::of(&self.base, job, &sequences);
        let mut run = Run::start(&self.base, job, sequences, self.recompute, &key)?;
        while run.done() < run.total {
            let step = run.step(&self.base, job)?;
            let stopped = on_step(&step).is_break();
            let due = job.recipe.is_checkpoint(run.done(), run.total);
            if stopped || (due && run.done() < run.total) {
                run.state.write(job.out, &key).map_err(file_error)?;
            }
            if stopped && run.done() < run.total {
                return Err(TrainError::Stopped { steps: run.done() });
            }
        }
        run.finish(&self.base, job.out).map_err(file_error)
    }
}

/// A training under way.
struct Run {
    state: Checkpoint,
    /// Those of each example.
    sequences: Vec<Vec<Sequence>>,
    batches: Batches,
    schedule: Schedule,
    total: usize,
    passes: Passes,
    grad: Vec<f32>,
}

/// What makes gradients.
enum Passes {
    /// This engine's own passes.
    Own(Box<Pass>),
    /// Plain operators on an accelerator.
    Plain(PlainLlama),
}

impl Passes {
    /// As [`Pass::accumulate`].
    fn accumulate(
        &mut self,
        base: &BaseModel,
        lora: &Lora,
        sequences: &[Sequence],
        scale: f32,
        grad: &mut [f32],
    ) -> Result<f64, EngineError> {
        match self {
            Passes::Own(pass) => Ok(pass.accumulate(&base.llama, lora, sequences, scale, grad)),
            Passes::Plain(model) => {
                model.set_lora(lora)?;
                let (loss, own) = model.loss_and_gradient(sequences, f64::from(scale))?;
                grad.iter_mut().zip(own).for_each(|(sum, own)| *sum += own as f32);
                Ok(loss)
            }
        }
    }
}

impl Run {
    fn start(
        base: &BaseModel,
        job: &TrainJob<'_>,
        sequences: Vec<Vec<Sequence>>,
        recompute: bool,
        key: &JobKey,
    ) -> Result<Self, TrainError> {
        let recipe = job.recipe;
        let initial = match job.from {
            Some(adapter) => go_on_from(base, recipe, adapter)?,
            None => Lora::init(base.llama.config(), recipe.rank, recipe.alpha, job.seed.child("adapter", 0)),
        };
        let fresh =
            || Checkpoint { optimizer: AdamW::new(initial.values.len()), lora: initial, steps: Vec::new() };
        let state = Checkpoint::read(job.out, key, fresh).map_err(file_error)?;
        let passes = match base.plain(Some(&state.lora)).map_err(file_error)? {
            Some(model) => Passes::Plain(model),
            None => Passes::Own(Box::new(Pass::new(recompute))),
        };
        let total = recipe.total_steps(sequences.len());
        Ok(Run {
            batches: Batches::new(sequences.len(), recipe.batch_size, job.seed),
            schedule: Schedule::new(recipe, total),
            grad: vec![0.0; state.lora.values.len()],
            passes,
            state,
            sequences,
            total,
        })
    }

    fn done(&self) -> usize {
        self.state.steps.len()
    }

    /// One optimiser step. The gradient is that of the mean over the batch's target tokens, however many
    /// passes it takes.
    fn step(&mut self, base: &BaseModel, job: &TrainJob<'_>) -> Result<Step, TrainError> {
        let (recipe, index) = (job.recipe, self.done());
        let batch: Vec<&Sequence> = self.batches.at(index).iter().flat_map(|i| &self.sequences[*i]).collect();
        let total_weight: f64 = batch.iter().map(|s| s.total_weight()).sum();
        // What weighs nothing teaches nothing, and so does what weighs too little to divide by.
        let scale = Some(1.0 / total_weight).filter(|scale| (*scale as f32).is_finite()).unwrap_or(0.0);
        self.grad.fill(0.0);
        let mut loss = 0.0;
        for micro in micro_batches(&batch, recipe.tokens_per_pass) {
            let (lora, grad) = (&self.state.lora, &mut self.grad);
            loss += self.passes.accumulate(base, lora, &micro, scale as f32, grad).map_err(file_error)?;
        }
        let loss = loss * scale;
        let (grad_norm, lr) = (norm(&self.grad), self.schedule.lr(index));
        if !loss.is_finite() || !grad_norm.is_finite() {
            return Err(TrainError::Diverged { step: index, loss, lr, kept: kept(job.out) });
        }
        let Checkpoint { lora, optimizer, .. } = &mut self.state;
        let clip = clip_factor(recipe, grad_norm);
        optimizer.step(&mut lora.values, &self.grad, clip, lr, recipe.weight_decay);
        let tokens = batch.iter().map(|s| s.tokens.len()).sum();
        let step = Step { step: index, total: self.total, loss, grad_norm, lr, tokens };
        self.state.steps.push(step);
        Ok(step)
    }

    fn finish(self, base: &BaseModel, out: &Path) -> Result<Adapter, EngineError> {
        let written = adapter::write(out, &self.state.lora, &base.id)?;
        let lines: String = self
            .state
            .steps
            .iter()
            .filter_map(|s| serde_json::to_string(s).ok())
            .map(|line| line + "\n")
            .collect();
        tensor_file::write_atomically(&out.join(STEPS_FILE), lines.as_bytes())?;
        checkpoint::remove(out)?;
        Ok(written)
    }
}

/// The parameters of an adapter that fits the job.
fn go_on_from(base: &BaseModel, recipe: &Recipe, adapter: &Adapter) -> Result<Lora, TrainError> {
    let lora = base.read_adapter(adapter).map_err(|unfit| match unfit {
        Unfit::Foreign(reason) => TrainError::From { reason },
        Unfit::Broken(error) => file_error(error),
    })?;
    let wanted = Lora::init(base.llama.config(), recipe.rank, recipe.alpha, Seed(0));
    if lora.layout != wanted.layout || lora.scale != wanted.scale {
        let folder = adapter.folder.display();
        let (rank, alpha) = (recipe.rank, recipe.alpha);
        let reason = format!("{folder} has another rank or scale than rank {rank} with alpha {alpha}");
        return Err(TrainError::From { reason });
    }
    Ok(lora)
}

/// As `torch.nn.utils.clip_grad_norm_` has it.
fn clip_factor(recipe: &Recipe, grad_norm: f64) -> f32 {
    if recipe.max_grad_norm > 0.0 { (recipe.max_grad_norm / (grad_norm + 1e-6)).min(1.0) as f32 } else { 1.0 }
}

fn kept(out: &Path) -> String {
    if checkpoint::exists(out) {
        format!("the last checkpoint stands in {}", out.display())
    } else {
        "no checkpoint was written".into()
    }
}

fn file_error(error: EngineError) -> TrainError {
    engine_error(None, error)
}

/// What the engine says, of an example if it is about one.
fn engine_error(example: Option<usize>, error: EngineError) -> TrainError {
    match &error {
        EngineError::File { path, reason, .. } => {
            let (path, reason) = (path.display().to_string(), reason.clone());
            TrainError::File { path, reason, source: Some(Box::new(error)) }
        }
        other => {
            let place = example.map(|index| format!("example {index}: ")).unwrap_or_default();
            let (trainer, reason) = ("training".to_owned(), format!("{place}{other}"));
            TrainError::Backend { trainer, reason, source: Some(Box::new(error)) }
        }
    }
}
