use crate::EngineError;

/// A context length above this is taken for a broken file.
const MOST_POSITIONS: usize = 1 << 20;

/// The shape of a Llama-family model.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaConfig {
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub num_layers: usize,
    /// Number of query heads.
    pub num_heads: usize,
    /// Number of key and value heads; divides `num_heads`.
    pub num_kv_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// Added to the mean square in RMSNorm.
    pub rms_norm_eps: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f32,
    /// Most positions the model was trained for.
    pub max_context: usize,
}

impl LlamaConfig {
    /// Width of all query heads together.
    pub fn q_width(&self) -> usize {
        self.num_heads * self.head_dim
    }

    /// Width of all key heads (or all value heads) together.
    pub fn kv_width(&self) -> usize {
        self.num_kv_heads * self.head_dim
    }

    /// Width of a fused query, key, value row.
    pub fn qkv_width(&self) -> usize {
        self.q_width() + 2 * self.kv_width()
    }

    /// Checks that the widths fit together.
    ///
    /// # Errors
    /// Names the field that does not fit and both values.
    pub fn check(&self) -> Result<(), EngineError> {
        let refuse = |reason: String| Err(EngineError::Config { reason });
        for (name, value) in [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_layers),
            ("num_attention_heads", self.num_heads),
            ("num_key_value_heads", self.num_kv_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_context),
        ] {
            if value == 0 {
                return refuse(format!("{name} is 0"));
            }
        }
        if self.max_context > MOST_POSITIONS {
            return refuse(format!("max_position_embeddings is {}, over {MOST_POSITIONS}", self.max_context));
        }
        if !(self.rope_theta.is_finite() && self.rope_theta > 0.0) {
            return refuse(format!("rope_theta is {}, but must be a positive number", self.rope_theta));
        }
        if !(self.rms_norm_eps.is_finite() && self.rms_norm_eps >= 0.0) {
            return refuse(format!("rms_norm_eps is {}, but must be 0 or more", self.rms_norm_eps));
        }
        if !self.num_heads.is_multiple_of(self.num_kv_heads) {
            return refuse(format!(
                "{} heads cannot share {} key/value heads",
                self.num_heads, self.num_kv_heads
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return refuse(format!(
                "head_dim is {}, but rotary embedding needs an even width",
                self.head_dim
            ));
        }
        Ok(())
    }
}
