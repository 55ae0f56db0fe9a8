//! Readers that come with the engine, or with what is built on it.

use crate::{scratch, write};
use semievol::ExperimentConfig;
use semievol_candle::{LlamaConfig, adapter as adapters, load_model};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(name)
}

/// A GGUF file.
pub fn gguf(data: &[u8]) {
    let folder = scratch();
    let _ = load_model(&write(&folder, "model.gguf", data));
}

/// The weights of a Hugging Face folder whose other files are sound.
pub fn safetensors(data: &[u8]) {
    let folder = scratch();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        let bytes = fs::read(fixture("tiny-llama").join(name));
        write(&folder, name, &bytes.unwrap_or_else(|error| unreachable!("{name}: {error}")));
    }
    write(&folder, "model.safetensors", data);
    let _ = load_model(folder.path());
}

/// An adapter's two files, the configuration up to the first zero byte.
pub fn adapter(data: &[u8]) {
    static CONFIG: OnceLock<LlamaConfig> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        let loaded = load_model(&fixture("tiny-llama"));
        loaded.unwrap_or_else(|error| unreachable!("{error}")).weights.config
    });
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let folder = scratch();
    write(&folder, adapters::CONFIG_FILE, &data[..at]);
    write(&folder, adapters::WEIGHTS_FILE, data.get(at + 1..).unwrap_or_default());
    if let Ok(lora) = adapters::read(folder.path(), config) {
        assert_eq!(lora.values.len(), lora.layout.len());
    }
}

/// An experiment file.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let file = Path::new("experiment.toml");
    let Ok(config) = ExperimentConfig::parse(text, file) else { return };
    let written = config.to_toml();
    if let Ok(experiment) = config.quick().check(file) {
        let again = ExperimentConfig::parse(&experiment.config().to_toml(), file);
        assert!(
            again.is_ok_and(|again| again == *experiment.config()),
            "what is written reads otherwise: {written}"
        );
    }
}
