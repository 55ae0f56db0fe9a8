//! Writes next-token logits of a model with an adapter, for comparison with another implementation:
//! `cargo run --example logits -- MODEL ADAPTER OUT.safetensors [PROMPT...]`
//!
//! `OUT` holds `ids_i` and `logits_i`; `fixtures/scripts/check_peft_adapter.py` reads it.

use candle_core::{Device, Tensor};
use semievol_candle::{BaseModel, adapter, load_model};
use semievol_core::Prompt;
use semievol_model::ModelId;
use std::collections::HashMap;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, adapter, out, prompts @ ..] = &args[..] else {
        return Err("usage: logits MODEL ADAPTER OUT.safetensors [PROMPT...]".into());
    };
    let base = BaseModel::new(load_model(Path::new(model))?)?;
    let lora = adapter::read(Path::new(adapter), base.llama.config())?;
    let default = ["Is it good? It was a joy from start to end.".to_owned(), "Name a colour.".to_owned()];
    let prompts = if prompts.is_empty() { &default[..] } else { prompts };

    let mut tensors = HashMap::new();
    let mut sequences = Vec::new();
    for prompt in prompts {
        let mut ids = base.tokenizer.encode_prompt(&Prompt::user(prompt))?;
        sequences.push(ids.clone());
        ids.extend(base.tokenizer.encode_text("Answer:"));
        sequences.push(ids);
    }
    let logits = base.with_lora(ModelId::new("adapted"), Some(lora))?.next_token_logits(&sequences);
    for (i, (ids, logits)) in sequences.iter().zip(logits).enumerate() {
        let wide: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        tensors.insert(format!("ids_{i}"), Tensor::new(wide, &Device::Cpu)?);
        tensors.insert(format!("logits_{i}"), Tensor::new(logits, &Device::Cpu)?);
    }
    candle_core::safetensors::save(&tensors, out)?;
    println!("wrote {out}: {} sequences", sequences.len());
    Ok(())
}
