//! The engine's own passes against candle's plain operators and automatic differentiation, against finite
//! differences, and against themselves with other thread counts and packings.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use candle_core::{DType, Device};
use common::*;
use proptest::prelude::*;
use semievol_candle::optim::norm;
use semievol_candle::plain::PlainLlama;
use semievol_candle::{
    Family, Forest, Llama, LlamaConfig, LlamaWeights, Lora, Pass, Precision, RopeScaling, Sequence,
};
use semievol_core::Seed;
use std::sync::LazyLock;

/// One of each kind that differs in the passes, all with the vocabulary and context of the first.
static MODELS: LazyLock<[Llama; 6]> = LazyLock::new(|| {
    let tiny = tiny().llama.weights().clone();
    let stored = |config, precision| Llama::new(LlamaWeights::random(config, Seed(6), precision)).unwrap();
    let random = |config| stored(config, Precision::F32);
    let scaling = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_context: 64,
    };
    let config = || LlamaConfig { num_layers: 2, ..tiny.config.clone() };
    [
        random(LlamaConfig { rope_scaling: scaling, rope_theta: 100.0, ..config() }),
        random(LlamaConfig { family: Family::Qwen2, ..config() }),
        random(LlamaConfig { family: Family::Qwen3, head_dim: 18, ..config() }),
        Llama::new(tiny.clone()).unwrap(),
        stored(config(), Precision::Bf16),
        stored(config(), Precision::Q8),
    ]
});

fn gradient(model: &Llama, lora: &Lora, batch: &[Sequence], scale: f32, recompute: bool) -> (f64, Vec<f32>) {
    let mut grad = vec![0.0; lora.values.len()];
    let loss = Pass::new(recompute).accumulate(model, lora, batch, scale, &mut grad);
    (loss, grad)
}

/// Batches of one to five sequences, some sharing a beginning, of any length.
fn batches() -> impl Strategy<Value = Vec<Sequence>> {
    let token = 0u32..384;
    let shared = prop::collection::vec(token.clone(), 0..90);
    let rest = prop::collection::vec(
        (prop::collection::vec(token, 2..40), 1usize..30, 0.1f32..2.0, any::<bool>()),
        1..5,
    );
    (shared, rest).prop_map(|(shared, rest)| {
        let sequence = |(own, n_prompt, weight, share): (Vec<u32>, usize, f32, bool)| {
            let tokens = if share { [&shared[..], &own].concat() } else { own };
            Sequence { n_prompt: n_prompt.min(tokens.len() - 1), tokens, weight }
        };
        rest.into_iter().map(sequence).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gradients_equal_automatic_differentiation_in_f64(batch in batches()) {
        for model in &*MODELS {
            let lora = random_lora_for(model.config(), 4, 11);
            let oracle = PlainLlama::new(model.weights(), &lora, DType::F64, &Device::Cpu).unwrap();
            let (expected_loss, expected) = oracle.loss_and_gradient(&batch, 0.1).unwrap();
            let expected: Vec<f32> = expected.iter().map(|&g| g as f32).collect();
            for recompute in [false, true] {
                let (loss, grad) = gradient(model, &lora, &batch, 0.1, recompute);
                prop_assert!((loss / expected_loss - 1.0).abs() < 1e-5, "{} {}", loss, expected_loss);
                prop_assert!(relative(&grad, &expected) < 1e-4, "{:e}", relative(&grad, &expected));
            }
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits(batch in batches()) {
        for model in &*MODELS {
            let lora = random_lora_for(model.config(), 4, 12);
            let with = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| gradient(model, &lora, &batch, 1.0, false))
            };
            let one = with(1);
            prop_assert!(one == with(2) && one == with(3));
        }
    }

    #[test]
    fn packing_together_or_apart_is_the_same_sum(batch in batches()) {
        for model in &*MODELS {
            let lora = random_lora_for(model.config(), 4, 13);
            let (loss, grad) = gradient(model, &lora, &batch, 1.0, false);
            let mut apart = vec![0.0; grad.len()];
            let mut pass = Pass::new(false);
            let losses: f64 =
                batch.iter().map(|s| pass.accumulate(model, &lora, std::slice::from_ref(s), 1.0, &mut apart)).sum();
            prop_assert!((losses / loss - 1.0).abs() < 1e-5);
            prop_assert!(relative(&apart, &grad) < 1e-4);
        }
    }
}

fn some_batch() -> Vec<Sequence> {
    let tokens = |n: u32, step: u32| (0..n).map(|i| 3 + (i * step) % 370).collect::<Vec<u32>>();
    [(20, 7), (20, 7), (13, 5), (31, 7)]
        .map(|(n, step)| Sequence { tokens: tokens(n, step), n_prompt: n as usize - 3, weight: 1.0 })
        .to_vec()
}

#[test]
fn every_lora_tensor_passes_a_finite_difference_check() {
    MODELS.iter().for_each(check_finite_differences);
}

fn check_finite_differences(model: &Llama) {
    let (lora, batch) = (random_lora_for(model.config(), 4, 21), some_batch());
    let (_, grad) = gradient(model, &lora, &batch, 1.0, false);
    for tensor in lora.layout.tensors() {
        // The directional derivative along the gradient itself is its squared norm.
        let direction = &grad[tensor.at.clone()];
        let length = norm(direction);
        assert!(length.is_finite() && length > 0.0, "{}", tensor.peft_name());
        let loss_at = |step: f64| {
            let mut moved = lora.clone();
            for (value, d) in moved.values[tensor.at.clone()].iter_mut().zip(direction) {
                *value += (step * f64::from(*d) / length) as f32;
            }
            gradient(model, &moved, &batch, 1.0, false).0
        };
        let numeric = (loss_at(1e-2) - loss_at(-1e-2)) / 2e-2;
        close(numeric, length, 2e-2, &tensor.peft_name());
    }
}

#[test]
fn frozen_weights_and_adapter_are_left_alone() {
    for model in &*MODELS {
        let frozen = || format!("{:?}", model.weights());
        let (before, lora) = (frozen(), random_lora_for(model.config(), 4, 22));
        let values = lora.values.clone();
        let _ = gradient(model, &lora, &some_batch(), 1.0, false);
        assert!(before == frozen());
        assert_eq!(values, lora.values);
    }
}

#[test]
fn plain_logits_agree_on_a_forest() {
    for model in &*MODELS {
        let lora = random_lora_for(model.config(), 4, 23);
        let oracle = PlainLlama::new(model.weights(), &lora, DType::F32, &Device::Cpu).unwrap();
        let sequences: Vec<Vec<u32>> = some_batch().into_iter().map(|s| s.tokens).collect();
        let forest = Forest::pack(&sequences);
        let expected = oracle.logits(&forest).unwrap().to_vec2::<f32>().unwrap();
        let found = model.next_token_logits(Some(&lora), &sequences);
        for (i, found) in found.iter().enumerate() {
            let row = forest.rows(i).last().unwrap();
            assert!(relative(found, &expected[row]) < 1e-5);
        }
    }
}

#[test]
fn weights_without_the_pieces_of_their_family_are_refused() {
    let refusal = |model: &Llama, family| {
        let mut weights = model.weights().clone();
        weights.config.family = family;
        Llama::new(weights).unwrap_err().to_string()
    };
    let [_, qwen2, qwen3, llama, ..] = &*MODELS;
    assert!(refusal(llama, Family::Qwen2).contains("qkv_bias of block 0 has 0 values"));
    assert!(refusal(llama, Family::Qwen3).contains("q_norm of block 0 has 0 values"));
    assert!(refusal(qwen2, Family::Llama).contains("where the shape says 0"));
    assert!(refusal(qwen3, Family::Llama).contains("where the shape says 0"));
}
