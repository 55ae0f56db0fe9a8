//! The tokenizer files of a Hugging Face folder.

use super::huggingface::read_json;
use crate::tokenizer::TokenizerParts;
use crate::{ChatTokenizer, EngineError};
use serde_json::{Map, Value};
use std::path::Path;
use tokenizers::Tokenizer;

/// From `tokenizer.json`, `tokenizer_config.json`, `chat_template.jinja` if there is one, and the ends named
/// by `generation_config.json` and `config.json`.
pub(super) fn tokenizer(folder: &Path) -> Result<ChatTokenizer, EngineError> {
    let path = folder.join("tokenizer.json");
    let bytes = std::fs::read(&path).map_err(|e| EngineError::file_source(&path, "cannot be read", e))?;
    let tokenizer = Tokenizer::from_bytes(bytes)
        .map_err(|e| EngineError::file_source(&path, format!("no tokenizer: {e}"), e))?;
    let config_path = folder.join("tokenizer_config.json");
    let config: Map<String, Value> = read_json(&config_path)?;
    let parts = TokenizerParts {
        tokenizer,
        chat_template: chat_template(folder, &config_path, &config)?,
        bos_token: token_text(&config, "bos_token"),
        eos_token: token_text(&config, "eos_token")
            .ok_or_else(|| EngineError::file(&config_path, "has no eos_token"))?,
        end_ids: end_ids(folder)?,
        config,
    };
    ChatTokenizer::new(parts).map_err(|e| EngineError::file(folder, e.to_string()))
}

/// A token is its text, or a map with the text as `content`.
fn token_text(config: &Map<String, Value>, key: &str) -> Option<String> {
    let value = config.get(key)?;
    value.get("content").unwrap_or(value).as_str().map(str::to_owned)
}

/// `chat_template.jinja` wins; a list of named templates gives the one called `default`.
fn chat_template(
    folder: &Path,
    config_path: &Path,
    config: &Map<String, Value>,
) -> Result<String, EngineError> {
    let file = folder.join("chat_template.jinja");
    if file.is_file() {
        return std::fs::read_to_string(&file)
            .map_err(|e| EngineError::file_source(file, "cannot be read", e));
    }
    let template = match config.get("chat_template") {
        Some(Value::Array(named)) => {
            named.iter().find(|entry| entry["name"] == "default").map(|entry| &entry["template"])
        }
        other => other,
    };
    template.and_then(Value::as_str).map(str::to_owned).ok_or_else(|| {
        let reason = "has no chat_template (a text, or a list with one named \"default\"), \
                      and there is no chat_template.jinja: only chat models are supported";
        EngineError::file(config_path, reason)
    })
}

fn end_ids(folder: &Path) -> Result<Vec<u32>, EngineError> {
    let mut ids = Vec::new();
    for name in ["generation_config.json", "config.json"] {
        let path = folder.join(name);
        if !path.is_file() {
            continue;
        }
        let mut config: Map<String, Value> = read_json(&path)?;
        match config.remove("eos_token_id").unwrap_or(Value::Null) {
            Value::Null => {}
            Value::Array(many) => {
                for value in &many {
                    ids.push(token_id(&path, value)?);
                }
            }
            one => ids.push(token_id(&path, &one)?),
        }
    }
    Ok(ids)
}

fn token_id(path: &Path, value: &Value) -> Result<u32, EngineError> {
    let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
    id.ok_or_else(|| EngineError::file(path, format!("eos_token_id holds {value}, which is no token id")))
}
