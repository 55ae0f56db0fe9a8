//! Models from files: a GGUF file or a Hugging Face folder, to the engine's own [`LlamaWeights`].
//!
//! Both kinds name their tensors differently and agree on everything else, so each is a private source of
//! tensors and one function puts the model together. A tensor that the model has no use for is an error:
//! a bias that is silently dropped makes another model.

mod assemble;
mod gguf;
mod gguf_tokenizer;
mod huggingface;
mod huggingface_config;
mod huggingface_tokenizer;

pub use gguf::write_f32 as write_f32_gguf;
pub(crate) use huggingface::{INDEX, SINGLE, read_json};

use crate::kernels::panels::Precision;
use crate::{ChatTokenizer, EngineError, LlamaWeights};
use semievol_model::ModelId;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Hexadecimal digits of the weights' digest that go into a model's name.
const ID_DIGITS: usize = 12;

/// A model as loaded, before any adapter.
#[derive(Debug, Clone)]
pub struct LoadedModel {
    /// The file's or folder's name, and the beginning of a SHA-256 over weights, shape, tokenizer and template:
    /// `name@0123456789ab`.
    pub id: ModelId,
    /// The frozen weights.
    pub weights: LlamaWeights,
    /// The tokenizer with the chat template.
    pub tokenizer: ChatTokenizer,
}

/// Loads a `.gguf` file, a folder that holds exactly one, or a Hugging Face folder (`config.json`,
/// `*.safetensors`, `tokenizer.json`, `tokenizer_config.json`).
///
/// Weights of any type become `f32`. Nothing is mapped into memory, so a file that changes while it is read
/// gives wrong numbers or an error, never undefined behaviour.
///
/// # Errors
/// Names the file, and the field or tensor with the value found and the value expected. A broken file is an
/// error, never a panic.
pub fn load_model(path: &Path) -> Result<LoadedModel, EngineError> {
    load_model_as(path, Precision::F32)
}

/// [`load_model`], the weights kept in a given precision: for models that do not fit into memory in `f32`. Another
/// precision is another model, and its id says so.
///
/// # Errors
/// As [`load_model`].
pub fn load_model_as(path: &Path, precision: Precision) -> Result<LoadedModel, EngineError> {
    let (id, parts) = match find_gguf(path)? {
        Some(file) => {
            rayon::join(|| model_id(path, std::slice::from_ref(&file)), || gguf::load(&file, precision))
        }
        None => {
            let files = huggingface::weight_files(path)?;
            rayon::join(|| model_id(path, &files), || huggingface::load(path, precision))
        }
    };
    let (weights, tokenizer) = parts?;
    check_vocabulary(&weights, &tokenizer, path)?;
    let id = with_reading(&id?, &weights, &tokenizer, precision);
    Ok(LoadedModel { id, weights, tokenizer })
}

/// The same weights read with another shape, tokenizer or template are another model.
fn with_reading(
    id: &ModelId,
    weights: &LlamaWeights,
    tokenizer: &ChatTokenizer,
    precision: Precision,
) -> ModelId {
    let (name, weights_digest) = id.as_str().rsplit_once('@').unwrap_or((id.as_str(), ""));
    let mut hasher = Sha256::new();
    hasher.update(weights_digest);
    hasher.update(tokenizer.digest());
    hasher.update(weights.config.identity());
    if precision != Precision::F32 {
        hasher.update(format!("{precision:?}"));
    }
    let digest = semievol_core::hex(&hasher.finalize());
    ModelId::new(format!("{name}@{}", &digest[..ID_DIGITS]))
}

type Parts = (LlamaWeights, ChatTokenizer);

/// The name of the model at `path` whose weights are in `files`.
pub(crate) fn model_id(path: &Path, files: &[PathBuf]) -> Result<ModelId, EngineError> {
    let digest = digest_files(files)?;
    Ok(ModelId::new(format!("{}@{}", display_name(path), &digest[..ID_DIGITS])))
}

fn find_gguf(path: &Path) -> Result<Option<PathBuf>, EngineError> {
    let is_gguf = |p: &Path| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
    if path.is_file() {
        if is_gguf(path) {
            return Ok(Some(path.to_path_buf()));
        }
        return Err(EngineError::file(
            path,
            "neither a .gguf file nor a folder: give a GGUF file, or the folder of a Hugging Face model",
        ));
    }
    if path.join("config.json").is_file() {
        return Ok(None);
    }
    let entries = std::fs::read_dir(path).map_err(|e| EngineError::file_source(path, "cannot be read", e))?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| is_gguf(p)).collect();
    found.sort();
    match found.as_slice() {
        [] => Err(EngineError::file(path, "holds neither config.json nor a .gguf file")),
        [one] => Ok(Some(one.clone())),
        [first, second, ..] => Err(EngineError::file(
            path,
            format!(
                "holds {} .gguf files, such as {} and {}: name one of them",
                found.len(),
                display_name(first),
                display_name(second)
            ),
        )),
    }
}

fn display_name(path: &Path) -> String {
    let name = if path.is_file() { path.file_stem() } else { path.file_name() };
    name.map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// SHA-256 over the files' contents in the order of their names, in hexadecimal.
fn digest_files(files: &[PathBuf]) -> Result<String, EngineError> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    for path in files {
        let fail = |e| EngineError::file_source(path, "cannot be read", e);
        let mut file = File::open(path).map_err(fail)?;
        loop {
            let n = file.read(&mut buffer).map_err(fail)?;
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
        }
    }
    Ok(semievol_core::hex(&hasher.finalize()))
}

fn check_vocabulary(
    weights: &LlamaWeights,
    tokenizer: &ChatTokenizer,
    path: &Path,
) -> Result<(), EngineError> {
    let (tokens, rows) = (tokenizer.vocab_size(), weights.config.vocab_size);
    if tokens > rows {
        return Err(EngineError::file(
            path,
            format!(
                "the tokenizer has ids up to {}, but the embedding has {rows} rows: it is of another model; take both from one folder",
                tokens - 1
            ),
        ));
    }
    Ok(())
}
