//! The engine's own passes against candle's plain operators and automatic differentiation, against finite
//! differences, and against themselves with other thread counts and packings.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use candle_core::{DType, Device};
use common::*;
use proptest::prelude::*;
use semievol_candle::optim::norm;
use semievol_candle::plain::PlainLlama;
use semievol_candle::{BaseModel, Forest, Lora, Pass, Sequence};
use std::sync::LazyLock;

static TINY: LazyLock<BaseModel> = LazyLock::new(tiny);

fn gradient(lora: &Lora, batch: &[Sequence], scale: f32, recompute: bool) -> (f64, Vec<f32>) {
    let mut grad = vec![0.0; lora.values.len()];
    let loss = Pass::new(recompute).accumulate(&TINY.llama, lora, batch, scale, &mut grad);
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
        let lora = random_lora(&TINY, 4, 11);
        let oracle = PlainLlama::new(TINY.llama.weights(), &lora, DType::F64, &Device::Cpu).unwrap();
        let (expected_loss, expected) = oracle.loss_and_gradient(&batch, 0.1).unwrap();
        let expected: Vec<f32> = expected.iter().map(|&g| g as f32).collect();
        for recompute in [false, true] {
            let (loss, grad) = gradient(&lora, &batch, 0.1, recompute);
            prop_assert!((loss / expected_loss - 1.0).abs() < 1e-5, "{} {}", loss, expected_loss);
            prop_assert!(relative(&grad, &expected) < 1e-4, "{:e}", relative(&grad, &expected));
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits(batch in batches()) {
        let lora = random_lora(&TINY, 4, 12);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| gradient(&lora, &batch, 1.0, false))
        };
        let one = with(1);
        prop_assert!(one == with(2) && one == with(3));
    }

    #[test]
    fn packing_together_or_apart_is_the_same_sum(batch in batches()) {
        let lora = random_lora(&TINY, 4, 13);
        let (loss, grad) = gradient(&lora, &batch, 1.0, false);
        let mut apart = vec![0.0; grad.len()];
        let mut pass = Pass::new(false);
        let losses: f64 =
            batch.iter().map(|s| pass.accumulate(&TINY.llama, &lora, std::slice::from_ref(s), 1.0, &mut apart)).sum();
        prop_assert!((losses / loss - 1.0).abs() < 1e-5);
        prop_assert!(relative(&apart, &grad) < 1e-4);
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
    let (lora, batch) = (random_lora(&TINY, 4, 21), some_batch());
    let (_, grad) = gradient(&lora, &batch, 1.0, false);
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
            gradient(&moved, &batch, 1.0, false).0
        };
        let numeric = (loss_at(1e-2) - loss_at(-1e-2)) / 2e-2;
        close(numeric, length, 2e-2, &tensor.peft_name());
    }
}

#[test]
fn frozen_weights_and_adapter_are_left_alone() {
    let before = (TINY.llama.weights().embedding.clone(), TINY.llama.weights().blocks[0].qkv.clone());
    let lora = random_lora(&TINY, 4, 22);
    let values = lora.values.clone();
    let _ = gradient(&lora, &some_batch(), 1.0, false);
    assert_eq!(before, (TINY.llama.weights().embedding.clone(), TINY.llama.weights().blocks[0].qkv.clone()));
    assert_eq!(values, lora.values);
}

#[test]
fn plain_logits_agree_on_a_forest() {
    let lora = random_lora(&TINY, 4, 23);
    let oracle = PlainLlama::new(TINY.llama.weights(), &lora, DType::F32, &Device::Cpu).unwrap();
    let sequences: Vec<Vec<u32>> = some_batch().into_iter().map(|s| s.tokens).collect();
    let forest = Forest::pack(&sequences);
    let expected = oracle.logits(&forest).unwrap().to_vec2::<f32>().unwrap();
    let found = TINY.with_lora(semievol_model::ModelId::new("x"), Some(lora)).next_token_logits(&sequences);
    for (i, found) in found.iter().enumerate() {
        let row = forest.rows(i).last().unwrap();
        assert!(relative(found, &expected[row]) < 1e-5);
    }
}
