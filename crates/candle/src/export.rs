//! Merging an adapter into its base, and writing a model as a Hugging Face folder.

use crate::kernels::gemm::{Mat, MatMut, Write, matmul};
use crate::lora::{Lora, MODULES};
use crate::{ChatTokenizer, EngineError, LlamaConfig, LlamaWeights, tensor_file};
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;

/// The base with the adapter's change added: `W + scale B A` for each linear layer.
pub fn merge(weights: &LlamaWeights, lora: &Lora) -> LlamaWeights {
    let mut merged = weights.clone();
    let mut tensors = lora.layout.tensors();
    while let (Some(a), Some(b)) = (tensors.next(), tensors.next()) {
        let [rank, input] = a.shape;
        let output = b.shape[0];
        let config = &weights.config;
        let block = &mut merged.blocks[a.block];
        let (q, kv, ffn) = (config.q_width(), config.kv_width(), config.intermediate_size);
        let (matrix, row) = match a.module.name {
            "self_attn.q_proj" => (&mut block.qkv, 0),
            "self_attn.k_proj" => (&mut block.qkv, q),
            "self_attn.v_proj" => (&mut block.qkv, q + kv),
            "self_attn.o_proj" => (&mut block.o, 0),
            "mlp.gate_proj" => (&mut block.gate_up, 0),
            "mlp.up_proj" => (&mut block.gate_up, ffn),
            _ => (&mut block.down, 0),
        };
        matmul(
            MatMut::new(&mut matrix[row * input..(row + output) * input], output, input),
            Write::Add,
            lora.scale,
            Mat::new(&lora.values[b.at], output, rank),
            Mat::new(&lora.values[a.at], rank, input),
        );
    }
    merged
}

/// Writes `config.json`, `model.safetensors` (f32) and the tokenizer's files, as Transformers reads them.
///
/// # Errors
/// If a file cannot be written.
pub fn write_huggingface(
    folder: &Path,
    weights: &LlamaWeights,
    tokenizer: &ChatTokenizer,
) -> Result<(), EngineError> {
    std::fs::create_dir_all(folder)
        .map_err(|error| EngineError::file_source(folder, format!("cannot be created: {error}"), error))?;
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    tensor_file::write_f32(&folder.join("model.safetensors"), named(weights), metadata)?;
    tokenizer.to_files(folder)?;
    let mut text = serde_json::to_string_pretty(&config(weights, tokenizer)).unwrap_or_default();
    text.push('\n');
    tensor_file::write_atomically(&folder.join("config.json"), text.as_bytes())
}

fn config(weights: &LlamaWeights, tokenizer: &ChatTokenizer) -> serde_json::Value {
    let c = &weights.config;
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": c.vocab_size,
        "hidden_size": c.hidden_size,
        "intermediate_size": c.intermediate_size,
        "num_hidden_layers": c.num_layers,
        "num_attention_heads": c.num_heads,
        "num_key_value_heads": c.num_kv_heads,
        "head_dim": c.head_dim,
        "rms_norm_eps": c.rms_norm_eps,
        "rope_theta": c.rope_theta,
        "max_position_embeddings": c.max_context,
        "tie_word_embeddings": weights.head.is_none(),
        "eos_token_id": tokenizer.end_of_turn(),
        "hidden_act": "silu",
        "attention_bias": false,
        "mlp_bias": false,
        "torch_dtype": "float32",
    })
}

/// Every tensor by Hugging Face's name.
fn named(weights: &LlamaWeights) -> Vec<(String, Vec<usize>, &[f32])> {
    let c = &weights.config;
    let mut tensors = vec![
        ("model.embed_tokens.weight".to_owned(), vec![c.vocab_size, c.hidden_size], &weights.embedding[..]),
        ("model.norm.weight".to_owned(), vec![c.hidden_size], &weights.norm[..]),
    ];
    if let Some(head) = &weights.head {
        tensors.push(("lm_head.weight".to_owned(), vec![c.vocab_size, c.hidden_size], head));
    }
    for (i, block) in weights.blocks.iter().enumerate() {
        let name = |part: &str| format!("model.layers.{i}.{part}.weight");
        tensors.push((name("input_layernorm"), vec![c.hidden_size], &block.attn_norm));
        tensors.push((name("post_attention_layernorm"), vec![c.hidden_size], &block.mlp_norm));
        for module in MODULES {
            let (matrix, start, shape) = linear_rows(c, block, module.name);
            let values = &matrix[start * shape[1]..(start + shape[0]) * shape[1]];
            tensors.push((name(module.name), shape.to_vec(), values));
        }
    }
    tensors
}

/// The fused matrix a linear layer is part of, its first row there, and its shape.
pub(crate) fn linear_rows<'a>(
    c: &LlamaConfig,
    block: &'a crate::BlockWeights,
    module: &str,
) -> (&'a [f32], usize, [usize; 2]) {
    let (hidden, ffn, q, kv) = (c.hidden_size, c.intermediate_size, c.q_width(), c.kv_width());
    match module {
        "self_attn.q_proj" => (&block.qkv, 0, [q, hidden]),
        "self_attn.k_proj" => (&block.qkv, q, [kv, hidden]),
        "self_attn.v_proj" => (&block.qkv, q + kv, [kv, hidden]),
        "self_attn.o_proj" => (&block.o, 0, [hidden, q]),
        "mlp.gate_proj" => (&block.gate_up, 0, [ffn, hidden]),
        "mlp.up_proj" => (&block.gate_up, ffn, [ffn, hidden]),
        _ => (&block.down, 0, [hidden, ffn]),
    }
}
