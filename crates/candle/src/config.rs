use crate::EngineError;

/// A context length above this is taken for a broken file.
const MOST_POSITIONS: usize = 1 << 20;
/// Of all heads together; more is a damaged file.
const MOST_WIDTH: usize = 1 << 24;

/// Which optional pieces the attention of a model has; all else is the same for every family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// None: Llama 2 and 3, SmolLM2, and Mistral within its window.
    Llama,
    /// A bias on queries, keys and values: Qwen 2 and 2.5.
    Qwen2,
    /// RMSNorm over each head of queries and keys before they are turned: Qwen 3.
    Qwen3,
}

/// How a model stretches its rotary frequencies to reach further than it was first trained for.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Every frequency divided by `factor` (Chen et al., arXiv 2306.15595).
    Linear {
        /// Positive.
        factor: f64,
    },
    /// Llama 3.1's: wavelengths over `original_context / low_freq_factor` tokens are stretched by `factor`, those
    /// under `original_context / high_freq_factor` are left alone, those between by something between.
    Llama3 {
        /// Positive.
        factor: f64,
        /// Positive.
        low_freq_factor: f64,
        /// More than `low_freq_factor`.
        high_freq_factor: f64,
        /// Positions of the first training.
        original_context: usize,
    },
    /// Frequency `i` divided by factor `i`, `[head_dim / 2]`: all that a GGUF file says of [`RopeScaling::Llama3`].
    PerFrequency(Vec<f32>),
}

/// The shape of a Llama-family model.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaConfig {
    /// Which pieces its attention has.
    pub family: Family,
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
    /// What is done to those frequencies.
    pub rope_scaling: RopeScaling,
    /// Most positions the model was trained for; at most its attention window, if it has one.
    pub max_context: usize,
}

impl RopeScaling {
    /// Frequency `index`, `frequency` before the scaling; both in radians per position.
    fn apply(&self, index: usize, frequency: f64) -> f64 {
        match self {
            RopeScaling::None => frequency,
            RopeScaling::Linear { factor } => frequency / factor,
            &RopeScaling::Llama3 {
                factor,
                low_freq_factor: low,
                high_freq_factor: high,
                original_context,
            } => {
                let turns = original_context as f64 * frequency / std::f64::consts::TAU;
                let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                frequency * ((1.0 - kept) / factor + kept)
            }
            RopeScaling::PerFrequency(factors) => frequency / f64::from(factors[index]),
        }
    }

    fn check(&self, head_dim: usize) -> Result<(), String> {
        let positive = |name: &str, value: f64| match value.is_finite() && value > 0.0 {
            true => Ok(()),
            false => Err(format!("rope scaling: {name} is {value}, but must be a positive number")),
        };
        match self {
            RopeScaling::None => Ok(()),
            RopeScaling::Linear { factor } => positive("factor", *factor),
            &RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
                positive("factor", factor)?;
                positive("low_freq_factor", low_freq_factor)?;
                positive("original_max_position_embeddings", original_context as f64)?;
                if high_freq_factor.is_finite() && high_freq_factor > low_freq_factor {
                    return Ok(());
                }
                Err(format!(
                    "rope scaling: high_freq_factor is {high_freq_factor}, \
                     but must be more than low_freq_factor, {low_freq_factor}"
                ))
            }
            RopeScaling::PerFrequency(factors) if factors.len() != head_dim / 2 => Err(format!(
                "rope scaling: {} factors for a head of width {head_dim}, which has {} frequencies",
                factors.len(),
                head_dim / 2
            )),
            RopeScaling::PerFrequency(factors) => {
                factors.iter().try_for_each(|&factor| positive("a frequency's factor", f64::from(factor)))
            }
        }
    }
}

impl LlamaConfig {
    /// The wider of the residual stream and the feed-forward layers: the highest rank of a change of weights that is taken.
    pub fn widest(&self) -> usize {
        self.hidden_size.max(self.intermediate_size)
    }

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

    /// Rotary frequencies, scaled, `[head_dim / 2]`, radians per position; the fastest first.
    pub fn rope_frequencies(&self) -> Vec<f64> {
        let frequency = |i: usize| f64::from(self.rope_theta).powf(-2.0 * i as f64 / self.head_dim as f64);
        (0..self.head_dim / 2).map(|i| self.rope_scaling.apply(i, frequency(i))).collect()
    }

    /// The shape as text that does not change between versions: models are told apart by it.
    pub(crate) fn identity(&self) -> String {
        let mut text = format!(
            "LlamaConfig {{ vocab_size: {:?}, hidden_size: {:?}, intermediate_size: {:?}, num_layers: {:?}, \
             num_heads: {:?}, num_kv_heads: {:?}, head_dim: {:?}, rms_norm_eps: {:?}, rope_theta: {:?}, \
             max_context: {:?} }}",
            self.vocab_size,
            self.hidden_size,
            self.intermediate_size,
            self.num_layers,
            self.num_heads,
            self.num_kv_heads,
            self.head_dim,
            self.rms_norm_eps,
            self.rope_theta,
            self.max_context
        );
        // What came later is named where it is not the default.
        if self.family != Family::Llama {
            text += &format!(" {:?}", self.family);
        }
        if self.rope_scaling != RopeScaling::None {
            text += &format!(" {:?}", self.rope_scaling);
        }
        text
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
        if self.num_heads.checked_mul(self.head_dim).is_none_or(|width| width > MOST_WIDTH) {
            return refuse(format!(
                "{} heads of width {} are over {MOST_WIDTH}",
                self.num_heads, self.head_dim
            ));
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
        self.rope_scaling.check(self.head_dim).or_else(refuse)
    }
}
