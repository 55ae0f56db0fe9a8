//! Writes a model, with an adapter merged into it if one is given, as a Hugging Face folder in f32:
//! `cargo run --example export -- MODEL OUT [ADAPTER]`

use semievol_candle::{adapter, export, load_model};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (model, out, adapter) = match &args[..] {
        [model, out] => (model, out, None),
        [model, out, adapter] => (model, out, Some(adapter)),
        _ => return Err("usage: export MODEL OUT [ADAPTER]".into()),
    };
    let loaded = load_model(Path::new(model))?;
    let weights = match adapter {
        Some(folder) => {
            export::merge(&loaded.weights, &adapter::read(Path::new(folder), &loaded.weights.config)?)?
        }
        None => loaded.weights,
    };
    export::write_huggingface(Path::new(out), &weights, &loaded.tokenizer)?;
    println!("wrote {out}");
    Ok(())
}
