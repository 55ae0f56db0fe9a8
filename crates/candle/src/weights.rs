use crate::{Family, LlamaConfig};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use semievol_core::Seed;
use std::ops::Range;

/// The frozen weights of one block, `f32`, each matrix `[out, in]` row-major as Hugging Face stores it.
///
/// Query, key and value are one matrix, gate and up another: one product each instead of five.
#[derive(Debug, Clone)]
pub struct BlockWeights {
    /// RMSNorm scale before attention, `[hidden]`.
    pub attn_norm: Vec<f32>,
    /// `[q_width + 2 kv_width, hidden]`: all query rows, then key rows, then value rows; rotary in halves
    /// (Hugging Face's order), never interleaved (GGUF's).
    pub qkv: Vec<f32>,
    /// Added to the rows' product with `qkv`, `[q_width + 2 kv_width]`; [`Family::Qwen2`] alone has it.
    pub qkv_bias: Option<Vec<f32>>,
    /// RMSNorm scale of each head of queries, `[head_dim]`; [`Family::Qwen3`] alone has it.
    pub q_norm: Option<Vec<f32>>,
    /// The same for keys.
    pub k_norm: Option<Vec<f32>>,
    /// `[hidden, q_width]`.
    pub o: Vec<f32>,
    /// RMSNorm scale before the feed-forward layer, `[hidden]`.
    pub mlp_norm: Vec<f32>,
    /// `[2 intermediate, hidden]`: all gate rows, then up rows.
    pub gate_up: Vec<f32>,
    /// `[hidden, intermediate]`.
    pub down: Vec<f32>,
}

/// The frozen weights of a model.
#[derive(Debug, Clone)]
pub struct LlamaWeights {
    /// Its shape.
    pub config: LlamaConfig,
    /// `[vocab, hidden]`.
    pub embedding: Vec<f32>,
    /// One per layer.
    pub blocks: Vec<BlockWeights>,
    /// The last RMSNorm's scale, `[hidden]`.
    pub norm: Vec<f32>,
    /// `[vocab, hidden]`; `None`: the embedding serves (tied).
    pub head: Option<Vec<f32>>,
}

impl LlamaWeights {
    /// Random weights of a shape, with a tied head: for benchmarks and tests that need no real model.
    pub fn random(config: LlamaConfig, seed: Seed) -> Self {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed.child("weights", 0).0);
        let c = config.clone();
        let (biased, normed) = (c.family == Family::Qwen2, c.family == Family::Qwen3);
        let embedding = matrix(rng, c.vocab_size, c.hidden_size);
        let blocks = (0..c.num_layers)
            .map(|_| BlockWeights {
                attn_norm: vec![1.0; c.hidden_size],
                qkv: matrix(rng, c.qkv_width(), c.hidden_size),
                qkv_bias: biased.then(|| uniform(rng, c.qkv_width(), -0.5..0.5)),
                q_norm: normed.then(|| uniform(rng, c.head_dim, 0.5..1.5)),
                k_norm: normed.then(|| uniform(rng, c.head_dim, 0.5..1.5)),
                o: matrix(rng, c.hidden_size, c.q_width()),
                mlp_norm: vec![1.0; c.hidden_size],
                gate_up: matrix(rng, 2 * c.intermediate_size, c.hidden_size),
                down: matrix(rng, c.hidden_size, c.intermediate_size),
            })
            .collect();
        LlamaWeights { config, embedding, blocks, norm: vec![1.0; c.hidden_size], head: None }
    }

    /// The matrix that maps the last hidden state to logits, `[vocab, hidden]`.
    pub fn head(&self) -> &[f32] {
        self.head.as_deref().unwrap_or(&self.embedding)
    }
}

/// Uniform; its product with a vector keeps the vector's variance.
fn matrix(rng: &mut ChaCha8Rng, rows: usize, columns: usize) -> Vec<f32> {
    let bound = (3.0 / columns as f32).sqrt();
    uniform(rng, rows * columns, -bound..bound)
}

fn uniform(rng: &mut ChaCha8Rng, len: usize, range: Range<f32>) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(range.clone())).collect()
}
