//! Merging an adapter into its base, and writing a model as a Hugging Face folder.

pub use crate::load::write_f32_gguf;

use crate::kernels::gemm::{Mat, MatMut, Write, matmul};
use crate::kernels::panels::{Panels, Precision};
use crate::load::{INDEX, SINGLE};
use crate::lora::{Lora, LoraTensor, MODULES};
use crate::{ChatTokenizer, EngineError, Family, LlamaWeights, RopeScaling, tensor_file};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

/// The base with the adapter's change added: `W + scale B A` for each linear layer.
///
/// # Errors
/// [`EngineError::Adapter`] if the adapter is of a model of another shape.
pub fn merge(weights: &LlamaWeights, lora: &Lora) -> Result<LlamaWeights, EngineError> {
    lora.check(&weights.config)?;
    let mut merged = weights.clone();
    let tensors: Vec<LoraTensor> = lora.layout.tensors().collect();
    for pair in tensors.chunks_exact(2) {
        let (a, b) = (&pair[0], &pair[1]);
        let rank = lora.layout.rank();
        let linear = merged.blocks[a.block].linear_mut(a.module);
        let (output, input) = (linear.n_out(), linear.n_in());
        let mut matrix = linear.unpack();
        matmul(
            MatMut::new(&mut matrix, output, input),
            Write::Add,
            lora.scale,
            Mat::new(&lora.values[b.at.clone()], output, rank),
            Mat::new(&lora.values[a.at.clone()], rank, input),
        );
        *linear = Panels::pack(&matrix, output, input, Precision::F32);
    }
    Ok(merged)
}

/// Writes `config.json`, `generation_config.json`, `model.safetensors` (f32) and the tokenizer's files, as Transformers reads
/// them.
///
/// # Errors
/// If a file cannot be written, or the rotary frequencies have no name there ([`RopeScaling::PerFrequency`]).
pub fn write_huggingface(
    folder: &Path,
    weights: &LlamaWeights,
    tokenizer: &ChatTokenizer,
) -> Result<(), EngineError> {
    let config = config(weights, tokenizer)?;
    std::fs::create_dir_all(folder)
        .map_err(|error| EngineError::file_source(folder, format!("cannot be created: {error}"), error))?;
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    tensor_file::write_f32(&folder.join(SINGLE), named(weights), metadata)?;
    // Of weights that were there before: some programs would read those.
    match std::fs::remove_file(folder.join(INDEX)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(EngineError::file_source(folder.join(INDEX), "cannot be removed", error));
        }
        _ => {}
    }
    tokenizer.to_files(folder)?;
    // Servers end a response where this file says.
    let generation = json!({ "eos_token_id": config["eos_token_id"] });
    for (name, value) in [("generation_config.json", &generation), ("config.json", &config)] {
        let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
        text.push('\n');
        tensor_file::write_atomically(&folder.join(name), text.as_bytes())?;
    }
    Ok(())
}

fn config(weights: &LlamaWeights, tokenizer: &ChatTokenizer) -> Result<Value, EngineError> {
    let c = &weights.config;
    let (architecture, model_type) = match c.family {
        Family::Llama => ("LlamaForCausalLM", "llama"),
        Family::Qwen2 => ("Qwen2ForCausalLM", "qwen2"),
        Family::Qwen3 => ("Qwen3ForCausalLM", "qwen3"),
    };
    let mut config = json!({
        "architectures": [architecture],
        "model_type": model_type,
        "vocab_size": c.vocab_size,
        "hidden_size": c.hidden_size,
        "intermediate_size": c.intermediate_size,
        "num_hidden_layers": c.num_layers,
        "num_attention_heads": c.num_heads,
        "num_key_value_heads": c.num_kv_heads,
        "head_dim": c.head_dim,
        "rms_norm_eps": c.rms_norm_eps,
        "rope_theta": c.rope_theta,
        "rope_scaling": rope_scaling(&c.rope_scaling)?,
        "max_position_embeddings": c.max_context,
        "tie_word_embeddings": weights.head.is_none(),
        "eos_token_id": ends(tokenizer),
        "hidden_act": "silu",
        "torch_dtype": "float32",
    });
    let switches: &[&str] = match c.family {
        Family::Llama => &["attention_bias", "mlp_bias"],
        Family::Qwen2 => &["use_sliding_window"],
        Family::Qwen3 => &["attention_bias", "use_sliding_window"],
    };
    for &switch in switches {
        config[switch] = json!(false);
    }
    Ok(config)
}

/// Every token that ends a response; a list where there are several, as in the models' own files.
fn ends(tokenizer: &ChatTokenizer) -> Value {
    match tokenizer.end_ids() {
        [one] => json!(one),
        several => json!(several),
    }
}

fn rope_scaling(scaling: &RopeScaling) -> Result<Value, EngineError> {
    Ok(match scaling {
        RopeScaling::None => Value::Null,
        RopeScaling::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => json!({
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": low_freq_factor,
            "high_freq_factor": high_freq_factor,
            "original_max_position_embeddings": original_context,
        }),
        RopeScaling::PerFrequency(_) => {
            let reason = "the rotary frequencies of this GGUF file are those of no released Llama 3, and config.json \
                          cannot say what they are; merge into the Hugging Face folder of the same model instead";
            return Err(EngineError::Config { reason: reason.to_owned() });
        }
    })
}

/// Every tensor by Hugging Face's name.
fn named(weights: &LlamaWeights) -> Vec<(String, Vec<usize>, Cow<'_, [f32]>)> {
    let c = &weights.config;
    let mut tensors: Vec<(String, Vec<usize>, Cow<'_, [f32]>)> = vec![
        (
            "model.embed_tokens.weight".to_owned(),
            vec![c.vocab_size, c.hidden_size],
            weights.embedding.unpack().into(),
        ),
        ("model.norm.weight".to_owned(), vec![c.hidden_size], weights.norm[..].into()),
    ];
    if let Some(head) = &weights.head {
        tensors.push(("lm_head.weight".to_owned(), vec![c.vocab_size, c.hidden_size], head.unpack().into()));
    }
    for (i, block) in weights.blocks.iter().enumerate() {
        let name = |part: &str| format!("model.layers.{i}.{part}.weight");
        tensors.push((name("input_layernorm"), vec![c.hidden_size], block.attn_norm[..].into()));
        tensors.push((name("post_attention_layernorm"), vec![c.hidden_size], block.mlp_norm[..].into()));
        for module in MODULES {
            tensors.push((name(module.name), module.shape(c).to_vec(), block.linear(module).unpack().into()));
            if let Some(bias) = block.bias(module, c) {
                let name = format!("model.layers.{i}.{}.bias", module.name);
                tensors.push((name, vec![bias.len()], bias.into()));
            }
        }
        for (part, scale) in [("self_attn.q_norm", &block.q_norm), ("self_attn.k_norm", &block.k_norm)] {
            if let Some(scale) = scale {
                tensors.push((name(part), vec![c.head_dim], scale[..].into()));
            }
        }
    }
    tensors
}
