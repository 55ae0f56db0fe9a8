//! What the trainer adds to the passes, against the same written out: the mean over a step's tokens, the learning rate of
//! each step, clipping, weight decay, AdamW.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::*;
use semievol_candle::{CandleTrainer, Lora, Pass, STEPS_FILE, Sequence, adapter};
use semievol_core::{Prompt, Seed};
use semievol_train::{Example, Recipe, Step, TrainJob, Trainer};
use std::ops::ControlFlow;

const STEPS: usize = 6;

fn examples() -> Vec<Example> {
    let example = |question: &str, answer: &str, weight: f32| {
        let prompt = Prompt { response_prefix: "Answer:".into(), ..Prompt::user(question) };
        Example { weight, ..Example::new(prompt, answer) }
    };
    let mut all = vec![
        example("Is the kettle good?", " no", 1.0),
        example("How does the buyer feel about the long parcel?", " neutral", 0.5),
        example("And the knife?", " very good", 1.0),
    ];
    all[2].others = vec![(" bad".into(), 0.25)];
    all
}

/// Warm-up of two steps, then half a cosine over four; gradients that are always clipped, and decay that can be seen.
fn recipe() -> Recipe {
    Recipe {
        rank: 4,
        alpha: 8.0,
        lr: 0.01,
        batch_size: 3,
        max_steps: STEPS,
        warmup_ratio: 0.3,
        cosine: true,
        weight_decay: 2.0,
        max_grad_norm: 0.02,
        tokens_per_pass: 60,
        ..Recipe::default()
    }
}

/// `LR[step] / recipe.lr`.
fn rates() -> [f64; STEPS] {
    let cosine = |quarters: f64| 0.5 * (1.0 + (std::f64::consts::PI * quarters / 4.0).cos());
    [1.0 / 3.0, 2.0 / 3.0, cosine(0.0), cosine(1.0), cosine(2.0), cosine(3.0)]
}

/// Losses, gradient norms and the trained values, in f64 but for the passes.
fn by_hand(sequences: &[Sequence], seed: Seed) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (base, recipe) = (tiny(), recipe());
    let mut lora = Lora::init(base.llama.config(), recipe.rank, recipe.alpha, seed.child("adapter", 0));
    let mut values: Vec<f64> = lora.values.iter().map(|value| f64::from(*value)).collect();
    let (mut first, mut second) = (vec![0.0; values.len()], vec![0.0; values.len()]);
    let (mut losses, mut norms) = (Vec::new(), Vec::new());
    let total: f64 = sequences.iter().map(Sequence::total_weight).sum();
    for (step, rate) in rates().into_iter().enumerate() {
        lora.values = values.iter().map(|value| *value as f32).collect();
        let mut grad = vec![0.0; values.len()];
        let sum = Pass::new(false).accumulate(&base.llama, &lora, sequences, 1.0, &mut grad);
        let grad: Vec<f64> = grad.iter().map(|g| f64::from(*g) / total).collect();
        losses.push(sum / total);
        norms.push(grad.iter().map(|g| g * g).sum::<f64>().sqrt());
        let clip = (recipe.max_grad_norm / norms[step]).min(1.0);
        let (lr, n) = (rate * recipe.lr, step as i32 + 1);
        for (((value, g), m), v) in values.iter_mut().zip(grad).zip(&mut first).zip(&mut second) {
            *m = 0.9 * *m + 0.1 * clip * g;
            *v = 0.999 * *v + 0.001 * (clip * g).powi(2);
            let (mean, square) = (*m / (1.0 - 0.9_f64.powi(n)), *v / (1.0 - 0.999_f64.powi(n)));
            *value -= lr * recipe.weight_decay * *value + lr * mean / (square.sqrt() + 1e-8);
        }
    }
    (losses, norms, values)
}

#[test]
fn a_training_is_what_its_recipe_says() {
    let (examples, recipe, seed) = (examples(), recipe(), Seed(5));
    let out = tempfile::tempdir().unwrap();
    let base = tiny();
    let trainer = CandleTrainer::new(base.clone());
    let mut steps: Vec<Step> = Vec::new();
    let job = TrainJob { examples: &examples, recipe: &recipe, seed, out: out.path(), from: None };
    trainer
        .train(&job, &mut |step| {
            steps.push(*step);
            ControlFlow::Continue(())
        })
        .unwrap();

    // All examples are in each step, so that their order does not matter.
    let sequences: Vec<Sequence> =
        examples.iter().flat_map(|example| trainer.encode(example).unwrap()).collect();
    assert_eq!(sequences.len(), 4);
    let (losses, norms, expected) = by_hand(&sequences, seed);
    assert_eq!(steps.len(), STEPS);
    for (at, step) in steps.iter().enumerate() {
        assert!((step.loss / losses[at] - 1.0).abs() < 1e-4, "{step:?}, by hand {}", losses[at]);
        assert!((step.grad_norm / norms[at] - 1.0).abs() < 1e-3, "{step:?}, by hand {}", norms[at]);
        assert!((step.lr - rates()[at] * recipe.lr).abs() < 1e-12, "{step:?}");
    }
    assert!(norms.iter().all(|norm| *norm > 2.0 * recipe.max_grad_norm), "{norms:?}");
    let trained = adapter::read(out.path(), base.llama.config()).unwrap();
    let expected: Vec<f32> = expected.iter().map(|value| *value as f32).collect();
    let off = relative(&trained.values, &expected);
    assert!(off < 1e-4, "{off:e}");
    // And it kept what it said.
    let kept = std::fs::read_to_string(out.path().join(STEPS_FILE)).unwrap();
    let kept: Vec<Step> = kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(kept, steps);
}

#[test]
fn what_weighs_nothing_teaches_nothing() {
    let base = tiny();
    for weight in [0.0, 1e-40] {
        let out = tempfile::tempdir().unwrap();
        let examples = [Example { weight, ..Example::new(Prompt::user("Is the kettle good?"), " no") }];
        let recipe = Recipe { weight_decay: 0.0, ..recipe() };
        let job =
            TrainJob { examples: &examples, recipe: &recipe, seed: Seed(1), out: out.path(), from: None };
        let losses = |step: &Step| {
            assert_eq!((step.loss, step.grad_norm), (0.0, 0.0), "weight {weight}");
            ControlFlow::Continue(())
        };
        CandleTrainer::new(base.clone()).train(&job, &mut { losses }).unwrap();
    }
    let lora = random_lora(&base, 2, 1);
    let mut grad = vec![0.0; lora.values.len()];
    assert_eq!(Pass::new(false).accumulate(&base.llama, &lora, &[], 1.0, &mut grad), 0.0);
}
