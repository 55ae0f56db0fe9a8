//! LoRA adapters in PEFT's layout: `adapter_config.json` and `adapter_model.safetensors`.

use crate::lora::{Lora, LoraLayout, LoraTensor, MODULES};
use crate::tensor_file;
use crate::{EngineError, LlamaConfig};
use safetensors::SafeTensors;
use semievol_core::hex;
use semievol_model::{Adapter, ModelId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// The name PEFT gives the weights.
pub const WEIGHTS_FILE: &str = Adapter::WEIGHTS_FILE;
/// The name PEFT gives the configuration.
pub const CONFIG_FILE: &str = Adapter::CONFIG_FILE;

/// The fields of PEFT's configuration that change what an adapter computes.
#[derive(Debug, Deserialize, Serialize)]
struct PeftConfig {
    peft_type: String,
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    base_model_name_or_path: Option<String>,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    fan_in_fan_out: bool,
    #[serde(default)]
    bias: Option<String>,
    #[serde(default)]
    modules_to_save: Option<Value>,
    #[serde(default)]
    rank_pattern: HashMap<String, usize>,
    #[serde(default)]
    alpha_pattern: HashMap<String, f64>,
    #[serde(default)]
    init_lora_weights: Option<Value>,
    /// Of an activated LoRA, which begins where these tokens stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alora_invocation_tokens: Option<Value>,
}

/// Writes an adapter folder; the same parameters give the same bytes.
///
/// # Errors
/// If the folder cannot be written.
pub fn write(folder: &Path, lora: &Lora, base: &ModelId) -> Result<Adapter, EngineError> {
    std::fs::create_dir_all(folder)
        .map_err(|error| EngineError::file_source(folder, format!("cannot be created: {error}"), error))?;
    let tensors = lora.layout.tensors().map(|t| (t.peft_name(), t.shape.to_vec(), &lora.values[t.at]));
    let weights = folder.join(WEIGHTS_FILE);
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    tensor_file::write_f32(&weights, tensors, metadata)?;
    let mut text = serde_json::to_string_pretty(&config_of(lora, base)).unwrap_or_default();
    text.push('\n');
    tensor_file::write_atomically(&folder.join(CONFIG_FILE), text.as_bytes())?;
    Ok(Adapter { base: base.clone(), folder: folder.to_owned(), digest: digest(folder)? })
}

/// The model that an adapter says it was trained on: a name with a digest as [`write()`] keeps it, or whatever another program wrote.
/// Absent where it says nothing.
///
/// # Errors
/// If there is no adapter configuration.
pub fn base(folder: &Path) -> Result<Option<String>, EngineError> {
    Ok(configuration(folder)?.base_model_name_or_path)
}

/// SHA-256 of an adapter folder's weights, in hexadecimal.
///
/// # Errors
/// If they cannot be read.
pub fn digest(folder: &Path) -> Result<String, EngineError> {
    Ok(hex(&Sha256::digest(tensor_file::read(&folder.join(WEIGHTS_FILE))?)))
}

fn config_of(lora: &Lora, base: &ModelId) -> Value {
    let modules: Vec<&str> = MODULES.iter().filter_map(|m| m.name.split('.').next_back()).collect();
    let rank = lora.layout.rank();
    json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base.as_str(),
        "r": rank,
        "lora_alpha": alpha_of(lora.scale, rank),
        "lora_dropout": 0.0,
        "target_modules": modules,
        "bias": "none",
        "fan_in_fan_out": false,
        "init_lora_weights": true,
        "use_rslora": false,
        "use_dora": false,
        "inference_mode": true,
        "modules_to_save": null,
        "rank_pattern": {},
        "alpha_pattern": {},
    })
}

/// PEFT wants a whole number where it is one.
fn alpha_of(scale: f32, rank: usize) -> Value {
    let alpha = f64::from(scale) * rank as f64;
    let whole = alpha.round();
    if (alpha - whole).abs() <= 1e-6 * alpha.abs() { json!(whole as i64) } else { json!(alpha) }
}

/// Reads an adapter for a model of this shape. Linear layers that the adapter leaves alone get a zero change.
///
/// # Errors
/// Names the field of the configuration that this engine does not implement, or the tensor that is unknown,
/// missing its other half, or of another shape than the model's.
pub fn read(folder: &Path, config: &LlamaConfig) -> Result<Lora, EngineError> {
    let path = folder.join(CONFIG_FILE);
    let peft = configuration(folder)?;
    peft.check().map_err(|reason| EngineError::file(&path, reason))?;
    let root = if peft.use_rslora { (peft.r as f64).sqrt() } else { peft.r as f64 };
    if peft.r > config.widest() {
        let reason = format!("`r` is {}, which is wider than the model ({})", peft.r, config.widest());
        return Err(EngineError::file(&path, reason));
    }
    let layout = LoraLayout::new(config, peft.r);
    let path = folder.join(WEIGHTS_FILE);
    let bytes = tensor_file::read(&path)?;
    let values = fill(&path, &layout, &tensor_file::parse(&path, &bytes)?)?;
    Ok(Lora { layout, scale: (peft.lora_alpha / root) as f32, values })
}

fn configuration(folder: &Path) -> Result<PeftConfig, EngineError> {
    let path = folder.join(CONFIG_FILE);
    serde_json::from_slice(&tensor_file::read(&path)?).map_err(|error| {
        EngineError::file_source(
            &path,
            format!("is no adapter configuration: {error}; name the folder that a training or PEFT's save_pretrained wrote"),
            error,
        )
    })
}

impl PeftConfig {
    fn check(&self) -> Result<(), String> {
        let refuse = |field: &str, value: &dyn std::fmt::Debug, supported: &str| {
            Err(format!("`{field}` is {value:?}; supported: {supported}"))
        };
        if self.peft_type != "LORA" {
            return refuse("peft_type", &self.peft_type, "\"LORA\"");
        }
        if self.r == 0 {
            return refuse("r", &self.r, "1 or more");
        }
        if self.use_dora || self.fan_in_fan_out {
            return refuse("use_dora, fan_in_fan_out", &(self.use_dora, self.fan_in_fan_out), "false");
        }
        if self.bias.as_deref().is_some_and(|bias| bias != "none") {
            return refuse("bias", &self.bias, "\"none\"");
        }
        if self
            .modules_to_save
            .as_ref()
            .is_some_and(|v| !v.is_null() && v.as_array().is_none_or(|a| !a.is_empty()))
        {
            return refuse("modules_to_save", &self.modules_to_save, "null");
        }
        if self.alora_invocation_tokens.as_ref().is_some_and(|tokens| !tokens.is_null()) {
            return refuse("alora_invocation_tokens", &self.alora_invocation_tokens, "null");
        }
        // These begin at a changed base, and PEFT changes it again when it loads them.
        let init = self.init_lora_weights.as_ref().and_then(Value::as_str).unwrap_or_default();
        if ["pissa", "olora", "loftq", "corda"].iter().any(|name| init.to_lowercase().starts_with(name)) {
            return refuse(
                "init_lora_weights",
                &init,
                "those that leave the base as it is; save the adapter converted to a plain LoRA (`path_initial_model_for_weight_conversion`)",
            );
        }
        if !self.rank_pattern.is_empty() || !self.alpha_pattern.is_empty() {
            return refuse(
                "rank_pattern, alpha_pattern",
                &(&self.rank_pattern, &self.alpha_pattern),
                "empty",
            );
        }
        Ok(())
    }
}

fn fill(path: &Path, layout: &LoraLayout, file: &SafeTensors<'_>) -> Result<Vec<f32>, EngineError> {
    let mut unknown: BTreeSet<&str> = file.names().into_iter().collect();
    if unknown.is_empty() {
        let reason = "holds no tensor: what saved it did not gather the weights (FSDP and DeepSpeed have settings for that)";
        return Err(EngineError::file(path, reason));
    }
    let mut values = vec![0.0; layout.len()];
    for tensor in layout.tensors() {
        let name = tensor.peft_name();
        let Ok(view) = file.tensor(&name) else { continue };
        let other = other_half(&tensor);
        if !file.names().contains(&other.as_str()) {
            return Err(EngineError::file(path, format!("has {name} but not {other}")));
        }
        unknown.remove(name.as_str());
        if view.shape() != tensor.shape {
            let reason = format!(
                "{name} is {:?}, but the model's shape asks for {:?}: the adapter is of another base, or of another `r` than it says",
                view.shape(),
                tensor.shape
            );
            return Err(EngineError::file(path, reason));
        }
        let read = tensor_file::to_f32(&view).ok_or_else(|| {
            EngineError::file(path, format!("{name} has type {:?}; supported: F32, F16, BF16", view.dtype()))
        })?;
        if let Some(at) = read.iter().position(|v| !v.is_finite()) {
            return Err(EngineError::file(path, format!("{name} holds {} at {at}", read[at])));
        }
        values[tensor.at].copy_from_slice(&read);
    }
    match unknown.first() {
        None => Ok(values),
        Some(name) => Err(EngineError::file(path, format!("{name} is of no linear layer of this model"))),
    }
}

fn other_half(tensor: &LoraTensor) -> String {
    let mut other = tensor.clone();
    other.is_b = !tensor.is_b;
    other.peft_name()
}
