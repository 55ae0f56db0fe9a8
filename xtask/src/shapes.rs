//! Shapes of published models, for measurements on random weights.

use semievol_candle::{Family, LlamaConfig, LlamaWeights, Precision, RopeScaling};
use semievol_core::Seed;

/// A model's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// SmolLM2-135M: 30 layers of 576.
    #[value(name = "smollm2-135m")]
    SmolLm2Small,
    /// SmolLM2-1.7B: 24 layers of 2048.
    #[value(name = "smollm2-1.7b")]
    SmolLm2Large,
    /// Llama 3.1 8B: 32 layers of 4096, with a head of its own.
    #[value(name = "llama3-8b")]
    Llama3,
}

/// How frozen weights are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Stored {
    /// 4 bytes a weight.
    F32,
    /// 2 bytes.
    Bf16,
    /// 1.125 bytes; embedding and head in bf16.
    Q8,
}

impl Shape {
    /// Its configuration, the context cut to 8192.
    pub fn config(self) -> LlamaConfig {
        let small = LlamaConfig {
            family: Family::Llama,
            vocab_size: 49_152,
            hidden_size: 576,
            intermediate_size: 1536,
            num_layers: 30,
            num_heads: 9,
            num_kv_heads: 3,
            head_dim: 64,
            rms_norm_eps: 1e-5,
            rope_theta: 100_000.0,
            rope_scaling: RopeScaling::None,
            max_context: 8192,
        };
        match self {
            Shape::SmolLm2Small => small,
            Shape::SmolLm2Large => LlamaConfig {
                hidden_size: 2048,
                intermediate_size: 8192,
                num_layers: 24,
                num_heads: 32,
                num_kv_heads: 32,
                ..small
            },
            Shape::Llama3 => LlamaConfig {
                vocab_size: 128_256,
                hidden_size: 4096,
                intermediate_size: 14_336,
                num_layers: 32,
                num_heads: 32,
                num_kv_heads: 8,
                head_dim: 128,
                ..small
            },
        }
    }

    /// Random weights of the shape.
    pub fn random(self, stored: Stored, seed: Seed) -> LlamaWeights {
        let precision = match stored {
            Stored::F32 => Precision::F32,
            Stored::Bf16 => Precision::Bf16,
            Stored::Q8 => Precision::Q8,
        };
        let weights = LlamaWeights::random(self.config(), seed, precision);
        let head = (self == Shape::Llama3).then(|| weights.embedding.clone());
        LlamaWeights { head, ..weights }
    }
}
