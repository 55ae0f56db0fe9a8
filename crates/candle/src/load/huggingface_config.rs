//! `config.json`: the shape of a model, and a refusal of whatever would change its arithmetic unseen.

use super::huggingface::read_json;
use crate::{EngineError, Family, LlamaConfig, RopeScaling};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Fields that change what a model computes, each with the one value that this engine computes. Absent or null
/// is that value too: these are the defaults of Transformers' classes.
fn fixed() -> [(&'static str, Value); 8] {
    [
        ("hidden_act", json!("silu")),
        ("attention_bias", json!(false)),
        ("mlp_bias", json!(false)),
        ("partial_rotary_factor", json!(1)),
        ("use_sliding_window", json!(false)),
        ("num_experts", json!(0)),
        ("num_local_experts", json!(0)),
        ("quantization_config", Value::Null),
    ]
}

/// What `MistralConfig` of Transformers assumes where the field is absent; null is no window.
const MISTRAL_WINDOW: usize = 4096;

/// `config.json`, as far as it changes what the model computes.
#[derive(Debug, Deserialize)]
pub(super) struct RawConfig {
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    #[serde(default = "default_eps")]
    rms_norm_eps: f32,
    rope_theta: Option<f32>,
    rope_scaling: Option<RopeParameters>,
    rope_parameters: Option<RopeParameters>,
    original_max_position_embeddings: Option<usize>,
    max_position_embeddings: usize,
    pub(super) tie_word_embeddings: Option<bool>,
    layer_types: Option<Vec<String>>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Older files call the field `type`, newer ones `rope_type`, and the newest keep the base here too.
#[derive(Debug, Clone, Default, Deserialize)]
struct RopeParameters {
    rope_type: Option<String>,
    #[serde(rename = "type")]
    old_type: Option<String>,
    rope_theta: Option<f32>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
    partial_rotary_factor: Option<f64>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// What the configuration classes of Transformers assume.
fn default_eps() -> f32 {
    1e-6
}

impl RawConfig {
    pub(super) fn read(path: &Path) -> Result<Self, EngineError> {
        read_json(path)
    }

    /// The shape, if it is one that this engine computes.
    ///
    /// # Errors
    /// Names the field, its value and what is supported.
    pub(super) fn config(&self, path: &Path) -> Result<LlamaConfig, EngineError> {
        self.shape().map_err(|reason| EngineError::file(path, reason))
    }

    fn shape(&self) -> Result<LlamaConfig, String> {
        let family = self.family()?;
        self.check_fixed()?;
        let rope = self.rope();
        let in_rope = rope.as_ref().and_then(|rope| rope.rope_theta);
        Ok(LlamaConfig {
            family,
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_layers: self.num_hidden_layers,
            num_heads: self.num_attention_heads,
            num_kv_heads: self.num_kv_heads()?,
            head_dim: self.head_dim(family)?,
            rms_norm_eps: self.rms_norm_eps,
            rope_theta: in_rope.or(self.rope_theta).unwrap_or(10_000.0),
            rope_scaling: rope.map_or(Ok(RopeScaling::None), |rope| rope.scaling(self))?,
            max_context: self.max_position_embeddings.min(self.window()?),
        })
    }

    fn family(&self) -> Result<Family, String> {
        match self.model_type.as_str() {
            "llama" | "mistral" => Ok(Family::Llama),
            "qwen2" => Ok(Family::Qwen2),
            "qwen3" => Ok(Family::Qwen3),
            other => Err(format!(
                "model_type is {other:?}; supported: \"llama\", \"mistral\", \"qwen2\", \"qwen3\""
            )),
        }
    }

    fn check_fixed(&self) -> Result<(), String> {
        for (name, supported) in fixed() {
            let found = self.others.get(name).unwrap_or(&Value::Null);
            let same_number = found.as_f64().is_some_and(|found| supported.as_f64() == Some(found));
            if !found.is_null() && *found != supported && !same_number {
                return Err(format!("{name} is {found}; supported: {supported}"));
            }
        }
        let layers = self.layer_types.as_deref().unwrap_or_default();
        match layers.iter().find(|kind| *kind != "full_attention") {
            Some(kind) => Err(format!("layer_types holds {kind:?}; supported: \"full_attention\"")),
            None => Ok(()),
        }
    }

    /// Only `LlamaConfig` of Transformers takes the number of heads where this field is absent.
    fn num_kv_heads(&self) -> Result<usize, String> {
        match self.num_key_value_heads {
            Some(n) => Ok(n),
            None if self.model_type == "llama" => Ok(self.num_attention_heads),
            None => Err(format!("has no num_key_value_heads, which {:?} needs", self.model_type)),
        }
    }

    fn head_dim(&self, family: Family) -> Result<usize, String> {
        let (hidden, heads) = (self.hidden_size, self.num_attention_heads);
        match self.head_dim {
            Some(width) => Ok(width),
            None if family == Family::Qwen3 => Err("has no head_dim, which \"qwen3\" needs".to_owned()),
            None if heads > 0 && hidden.is_multiple_of(heads) => Ok(hidden / heads),
            None => Err(format!("hidden_size {hidden} over {heads} heads is not whole")),
        }
    }

    /// The longest text of which every token sees all before it. Beyond, Mistral's tokens see only those within the
    /// window, which this engine does not compute.
    fn window(&self) -> Result<usize, String> {
        if self.model_type != "mistral" {
            return Ok(usize::MAX);
        }
        match self.others.get("sliding_window") {
            None => Ok(MISTRAL_WINDOW),
            Some(Value::Null) => Ok(usize::MAX),
            Some(value) => match value.as_u64().and_then(|window| usize::try_from(window).ok()) {
                Some(window) if window > 0 => Ok(window),
                _ => Err(format!("sliding_window is {value}; supported: null, or 1 or more")),
            },
        }
    }

    /// Where both are given, the older name counts, as in Transformers.
    fn rope(&self) -> Option<RopeParameters> {
        self.rope_scaling.clone().or_else(|| self.rope_parameters.clone())
    }
}

impl RopeParameters {
    fn scaling(&self, config: &RawConfig) -> Result<RopeScaling, String> {
        let kind = self.rope_type.as_deref().or(self.old_type.as_deref()).unwrap_or("default");
        let needed = |name: &str, value: Option<f64>| {
            value.ok_or_else(|| format!("rope scaling of type {kind:?} has no {name}"))
        };
        let scaling = match kind {
            "default" => RopeScaling::None,
            "linear" => RopeScaling::Linear { factor: needed("factor", self.factor)? },
            "llama3" => RopeScaling::Llama3 {
                factor: needed("factor", self.factor)?,
                low_freq_factor: needed("low_freq_factor", self.low_freq_factor)?,
                high_freq_factor: needed("high_freq_factor", self.high_freq_factor)?,
                original_context: config
                    .original_max_position_embeddings
                    .or(self.original_max_position_embeddings)
                    .unwrap_or(config.max_position_embeddings),
            },
            other => {
                return Err(format!(
                    "rope scaling of type {other:?} is not supported; \
                     supported: \"default\", \"linear\", \"llama3\""
                ));
            }
        };
        if let Some(factor) = self.partial_rotary_factor.filter(|factor| *factor != 1.0) {
            return Err(format!("partial_rotary_factor is {factor}; supported: 1"));
        }
        match self.others.iter().find(|(_, value)| !value.is_null()) {
            Some((name, value)) => {
                Err(format!("rope scaling of type {kind:?} has {name} {value}, which is not supported"))
            }
            None => Ok(scaling),
        }
    }
}
