use crate::kernels::panels::{Panels, Precision};
use crate::lora::MODULES;
use crate::{Family, LlamaConfig};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use semievol_core::Seed;
use std::ops::Range;

/// The frozen weights of one block.
#[derive(Debug, Clone)]
pub struct BlockWeights {
    /// RMSNorm scale before attention, `[hidden]`.
    pub attn_norm: Vec<f32>,
    /// The linear layers, `[out, in]` each, in the order of [`MODULES`]; rotary in halves (Hugging Face's order),
    /// never interleaved (GGUF's).
    pub linears: [Panels; MODULES.len()],
    /// Added to queries, keys and values side by side, `[q_width + 2 kv_width]`; [`Family::Qwen2`] alone has it.
    pub qkv_bias: Option<Vec<f32>>,
    /// RMSNorm scale of each head of queries, `[head_dim]`; [`Family::Qwen3`] alone has it.
    pub q_norm: Option<Vec<f32>>,
    /// The same for keys.
    pub k_norm: Option<Vec<f32>>,
    /// RMSNorm scale before the feed-forward layer, `[hidden]`.
    pub mlp_norm: Vec<f32>,
}

/// The frozen weights of a model.
#[derive(Debug, Clone)]
pub struct LlamaWeights {
    /// Its shape.
    pub config: LlamaConfig,
    /// `[vocab, hidden]`.
    pub embedding: Panels,
    /// One per layer.
    pub blocks: Vec<BlockWeights>,
    /// The last RMSNorm's scale, `[hidden]`.
    pub norm: Vec<f32>,
    /// `[vocab, hidden]`; `None`: the embedding serves (tied).
    pub head: Option<Panels>,
}

impl LlamaWeights {
    /// Random weights of a shape, with a tied head: for benchmarks and tests that need no real model.
    pub fn random(config: LlamaConfig, seed: Seed, precision: Precision) -> Self {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed.child("weights", 0).0);
        let c = config.clone();
        let (biased, normed) = (c.family == Family::Qwen2, c.family == Family::Qwen3);
        let embedding = matrix(rng, [c.vocab_size, c.hidden_size], precision.of_tables());
        let blocks = (0..c.num_layers)
            .map(|_| BlockWeights {
                attn_norm: vec![1.0; c.hidden_size],
                linears: MODULES.map(|module| matrix(rng, module.shape(&c), precision)),
                qkv_bias: biased.then(|| uniform(rng, c.qkv_width(), -0.5..0.5)),
                q_norm: normed.then(|| uniform(rng, c.head_dim, 0.5..1.5)),
                k_norm: normed.then(|| uniform(rng, c.head_dim, 0.5..1.5)),
                mlp_norm: vec![1.0; c.hidden_size],
            })
            .collect();
        LlamaWeights { config, embedding, blocks, norm: vec![1.0; c.hidden_size], head: None }
    }

    /// The matrix that maps the last hidden state to logits, `[vocab, hidden]`.
    pub fn head(&self) -> &Panels {
        self.head.as_ref().unwrap_or(&self.embedding)
    }
}

/// Uniform; its product with a vector keeps the vector's variance.
fn matrix(rng: &mut ChaCha8Rng, [n_out, n_in]: [usize; 2], precision: Precision) -> Panels {
    let bound = (3.0 / n_in as f32).sqrt();
    Panels::pack(&uniform(rng, n_out * n_in, -bound..bound), n_out, n_in, precision)
}

fn uniform(rng: &mut ChaCha8Rng, len: usize, range: Range<f32>) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(range.clone())).collect()
}
