use crate::LlamaConfig;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use semievol_core::Seed;

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
        let mut rng = ChaCha8Rng::seed_from_u64(seed.child("weights", 0).0);
        let c = config.clone();
        let mut matrix = |rows: usize, cols: usize| -> Vec<f32> {
            let bound = (3.0 / cols as f32).sqrt();
            (0..rows * cols).map(|_| rng.random_range(-bound..bound)).collect()
        };
        let embedding = matrix(c.vocab_size, c.hidden_size);
        let blocks = (0..c.num_layers)
            .map(|_| BlockWeights {
                attn_norm: vec![1.0; c.hidden_size],
                qkv: matrix(c.qkv_width(), c.hidden_size),
                o: matrix(c.hidden_size, c.q_width()),
                mlp_norm: vec![1.0; c.hidden_size],
                gate_up: matrix(2 * c.intermediate_size, c.hidden_size),
                down: matrix(c.hidden_size, c.intermediate_size),
            })
            .collect();
        LlamaWeights { config, embedding, blocks, norm: vec![1.0; c.hidden_size], head: None }
    }

    /// The matrix that maps the last hidden state to logits, `[vocab, hidden]`.
    pub fn head(&self) -> &[f32] {
        self.head.as_deref().unwrap_or(&self.embedding)
    }
}
