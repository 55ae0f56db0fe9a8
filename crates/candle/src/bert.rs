//! Sentence embeddings from BERT: [`BertEmbedder`].
//!
//! Reads a folder in the layout of sentence-transformers, such as all-MiniLM-L6-v2. Texts are sorted by length
//! and cut into batches under a budget of padded tokens, so a call takes any number of them; the vectors come
//! back in the order of the texts.

use crate::EngineError;
use crate::load::{model_id, read_json};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use rayon::prelude::*;
use semievol_model::{Embedder, Embeddings, ModelError, ModelId, TextRole};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::path::Path;
use tokenizers::{Encoding, Tokenizer, TruncationParams};

const SENTENCE_CONFIG: &str = "sentence_bert_config.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// Padded tokens of a batch: activations stay within a few tens of MB.
const TOKEN_BUDGET: usize = 4096;

/// Mean of the last hidden states over a text's tokens, at unit length. Queries and documents are embedded
/// alike.
///
/// A text longer than the model's `max_seq_length` is cut off there, as sentence-transformers does.
pub struct BertEmbedder {
    id: ModelId,
    model: BertModel,
    tokenizer: Tokenizer,
    dim: usize,
}

impl std::fmt::Debug for BertEmbedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BertEmbedder").field("id", &self.id).field("dim", &self.dim).finish_non_exhaustive()
    }
}

impl BertEmbedder {
    /// From `config.json`, `model.safetensors` and `tokenizer.json`, and, where they exist,
    /// `sentence_bert_config.json` (`max_seq_length`), `1_Pooling/config.json`, `modules.json` and
    /// `config_sentence_transformers.json`.
    ///
    /// # Errors
    /// If a file is missing or broken, if the model is no BERT, or if it pools otherwise than by the mean, projects what it
    /// pooled or puts a prompt in front of every text.
    pub fn load(folder: &Path) -> Result<Self, EngineError> {
        check_modules(folder)?;
        check_prompt(folder)?;
        check_pooling(folder)?;
        let config = read_config(&folder.join("config.json"))?;
        let weights = folder.join("model.safetensors");
        let broken = |e: candle_core::Error| EngineError::file_source(&weights, e.to_string(), e);
        let bytes =
            std::fs::read(&weights).map_err(|e| EngineError::file_source(&weights, "cannot be read", e))?;
        let variables =
            VarBuilder::from_buffered_safetensors(bytes, DType::F32, &Device::Cpu).map_err(broken)?;
        let model = BertModel::load(variables, &config).map_err(broken)?;
        let sentence = SentenceConfig::read(folder)?;
        let tokenizer = read_tokenizer(folder, &config, sentence.as_ref())?;
        // The same weights with another tokenizer or another cut make other vectors.
        let mut read = vec!["model.safetensors", "config.json", "tokenizer.json", SENTENCE_CONFIG];
        if sentence.is_some_and(|sentence| sentence.leaves_length_to_the_tokenizer()) {
            read.push(TOKENIZER_CONFIG);
        }
        let read = read.into_iter().map(|file| folder.join(file)).filter(|path| path.is_file());
        let id = model_id(folder, &read.collect::<Vec<_>>())?;
        Ok(BertEmbedder { id, model, tokenizer, dim: config.hidden_size })
    }

    /// The folder's name and the beginning of the digest of all that decides its vectors.
    pub fn id(&self) -> &ModelId {
        &self.id
    }

    fn error(&self, reason: impl Into<String>) -> ModelError {
        ModelError::Backend { model: self.id.clone(), reason: reason.into(), source: None }
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<Encoding>, ModelError> {
        self.tokenizer.encode_batch_fast(texts.to_vec(), true).map_err(|e| ModelError::Backend {
            model: self.id.clone(),
            reason: "a text cannot be tokenised".to_owned(),
            source: Some(e),
        })
    }

    /// Last hidden states of a batch, `[batch, longest, dim]`, row-major.
    fn hidden_states(&self, batch: &[&Encoding], longest: usize) -> candle_core::Result<Vec<f32>> {
        let pad = |values: &[u32]| {
            let mut row = values.to_vec();
            row.resize(longest, 0);
            row
        };
        let matrix = |row: fn(&Encoding) -> &[u32]| {
            let values: Vec<u32> = batch.iter().flat_map(|encoding| pad(row(encoding))).collect();
            Tensor::from_vec(values, (batch.len(), longest), &Device::Cpu)
        };
        let (ids, types) = (matrix(Encoding::get_ids)?, matrix(Encoding::get_type_ids)?);
        let mask = matrix(Encoding::get_attention_mask)?;
        self.model.forward(&ids, &types, Some(&mask))?.flatten_all()?.to_vec1()
    }

    fn embed_batch(&self, batch: &[usize], encodings: &[Encoding]) -> Result<Vec<Vec<f32>>, ModelError> {
        let members: Vec<&Encoding> = batch.iter().map(|&index| &encodings[index]).collect();
        let longest = members.iter().map(|encoding| encoding.len()).max().unwrap_or(0);
        let states = self.hidden_states(&members, longest).map_err(|e| ModelError::Backend {
            model: self.id.clone(),
            reason: format!("a batch of {} texts failed", batch.len()),
            source: Some(e.into()),
        })?;
        let rows = states.chunks_exact(longest * self.dim).zip(&members);
        Ok(rows.map(|(row, encoding)| unit_mean(&row[..encoding.len() * self.dim], self.dim)).collect())
    }
}

impl Embedder for BertEmbedder {
    fn dim(&self) -> usize {
        self.dim
    }

    fn embed(&self, _: TextRole, texts: &[&str]) -> Result<Embeddings, ModelError> {
        let encodings = self.encode(texts)?;
        // candle's element-wise operators use one thread each, so whole batches run side by side.
        let done: Vec<(Vec<usize>, Vec<Vec<f32>>)> = batches(&encodings, TOKEN_BUDGET)
            .into_par_iter()
            .map(|batch| self.embed_batch(&batch, &encodings).map(|vectors| (batch, vectors)))
            .collect::<Result<_, _>>()?;
        let mut values = vec![0.0; texts.len() * self.dim];
        for (index, vector) in done.into_iter().flat_map(|(batch, vectors)| batch.into_iter().zip(vectors)) {
            if !vector.iter().all(|value| value.is_finite()) {
                return Err(self.error(format!("text {index} has a vector that is not finite")));
            }
            values[index * self.dim..(index + 1) * self.dim].copy_from_slice(&vector);
        }
        Embeddings::new(self.dim, values).ok_or_else(|| self.error("vectors are not finite"))
    }
}

/// Indices in batches of like length, the longest first, each batch of at most `budget` padded tokens or of
/// one text.
fn batches(encodings: &[Encoding], budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..encodings.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(encodings[index].len()));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for index in order {
        match batches.last_mut() {
            Some(batch) if (batch.len() + 1) * encodings[batch[0]].len() <= budget => batch.push(index),
            _ => batches.push(vec![index]),
        }
    }
    batches
}

/// The mean of rows of width `dim`, divided by its norm; not finite if there is no direction.
fn unit_mean(rows: &[f32], dim: usize) -> Vec<f32> {
    // The count of rows cancels in the division.
    let mut sum = vec![0.0; dim];
    for row in rows.chunks_exact(dim) {
        sum.iter_mut().zip(row).for_each(|(total, value)| *total += value);
    }
    let norm = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
    sum.iter_mut().for_each(|value| *value /= norm);
    sum
}

fn read_config(path: &Path) -> Result<Config, EngineError> {
    let config: Config = read_json(path)?;
    match config.model_type.as_deref() {
        None | Some("bert") if config.num_attention_heads == 0 => {
            Err(EngineError::file(path, "num_attention_heads is 0"))
        }
        None | Some("bert") => Ok(config),
        Some(other) => Err(EngineError::file(
            path,
            format!("model_type is {other:?}; supported as an embedder: \"bert\""),
        )),
    }
}

/// The file's own truncation and padding give way to the model's length and to this module's batches.
fn read_tokenizer(
    folder: &Path,
    config: &Config,
    sentence: Option<&SentenceConfig>,
) -> Result<Tokenizer, EngineError> {
    let path = folder.join("tokenizer.json");
    let broken = |e: tokenizers::Error| EngineError::file_source(&path, format!("no tokenizer: {e}"), e);
    let bytes = std::fs::read(&path).map_err(|e| EngineError::file_source(&path, "cannot be read", e))?;
    let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(broken)?;
    let length = match sentence {
        Some(sentence) if sentence.leaves_length_to_the_tokenizer() => model_max_length(folder)?,
        sentence => sentence.and_then(|sentence| sentence.max_seq_length),
    };
    let own = tokenizer.get_truncation().map(|truncation| truncation.max_length);
    let max_length = length.or(own).unwrap_or(usize::MAX).min(config.max_position_embeddings);
    tokenizer.with_padding(None);
    let truncation = TruncationParams { max_length, ..TruncationParams::default() };
    tokenizer.with_truncation(Some(truncation)).map_err(broken)?;
    Ok(tokenizer)
}

/// What sentence-transformers adds to a model.
#[derive(Deserialize)]
struct SentenceConfig {
    #[serde(default)]
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

impl SentenceConfig {
    fn read(folder: &Path) -> Result<Option<Self>, EngineError> {
        let path = folder.join(SENTENCE_CONFIG);
        match read_if_there::<SentenceConfig>(&path)? {
            Some(config) if config.do_lower_case => {
                Err(EngineError::file(path, "do_lower_case is true, which is not supported"))
            }
            config => Ok(config),
        }
    }

    /// From sentence-transformers' sixth version on the tokenizer says where texts are cut.
    fn leaves_length_to_the_tokenizer(&self) -> bool {
        self.max_seq_length.is_none()
    }
}

fn model_max_length(folder: &Path) -> Result<Option<usize>, EngineError> {
    #[derive(Deserialize)]
    struct TokenizerConfig {
        #[serde(default)]
        model_max_length: Option<f64>,
    }
    let config: Option<TokenizerConfig> = read_if_there(&folder.join(TOKENIZER_CONFIG))?;
    // Where none was known, a number stands there that is beyond all others.
    Ok(config.and_then(|config| config.model_max_length).filter(|n| *n < 1e9).map(|n| n as usize))
}

fn read_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, EngineError> {
    path.is_file().then(|| read_json(path)).transpose()
}

/// A module that is not computed here would change every vector.
fn check_modules(folder: &Path) -> Result<(), EngineError> {
    #[derive(Deserialize)]
    struct Listed {
        #[serde(rename = "type")]
        kind: String,
    }
    let path = folder.join("modules.json");
    let known = |module: &Listed| {
        let name = module.kind.rsplit('.').next().unwrap_or_default();
        ["Transformer", "Pooling", "Normalize"].contains(&name)
    };
    let modules: Vec<Listed> = read_if_there(&path)?.unwrap_or_default();
    match modules.into_iter().find(|module| !known(module)) {
        None => Ok(()),
        Some(Listed { kind }) => {
            let reason = format!("lists {kind}; supported: Transformer, Pooling and Normalize");
            Err(EngineError::file(path, reason))
        }
    }
}

fn check_prompt(folder: &Path) -> Result<(), EngineError> {
    #[derive(Deserialize)]
    struct Prompts {
        #[serde(default)]
        default_prompt_name: Option<String>,
    }
    let path = folder.join("config_sentence_transformers.json");
    let prompts: Option<Prompts> = read_if_there(&path)?;
    match prompts.and_then(|prompts| prompts.default_prompt_name) {
        None => Ok(()),
        Some(name) => {
            let reason = format!("puts the prompt `{name}` in front of every text, which is not supported");
            Err(EngineError::file(path, reason))
        }
    }
}

fn check_pooling(folder: &Path) -> Result<(), EngineError> {
    const MEAN: &str = "pooling_mode_mean_tokens";
    let path = folder.join("1_Pooling").join("config.json");
    let config: Map<String, Value> = read_if_there(&path)?.unwrap_or_default();
    let mut modes = config.iter().filter(|(key, on)| key.starts_with("pooling_mode_") && **on == true);
    if let Some((mode, _)) = modes.find(|(key, _)| *key != MEAN) {
        return Err(EngineError::file(path, format!("sets {mode}; supported: {MEAN}")));
    }
    // As sentence-transformers writes it from its sixth version on.
    match config.get("pooling_mode") {
        Some(mode) if *mode != "mean" && *mode != serde_json::json!(["mean"]) => {
            Err(EngineError::file(path, format!("pooling_mode is {mode}; supported: \"mean\"")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_len(len: usize) -> Encoding {
        Encoding::from_tokens(vec![tokenizers::Token::new(0, String::new(), (0, 0)); len], 0)
    }

    #[test]
    fn batches_hold_every_text_once_and_keep_to_the_budget() {
        let lengths = [3, 50, 7, 7, 120, 1, 2, 64];
        let encodings: Vec<Encoding> = lengths.iter().map(|&len| of_len(len)).collect();
        let batches = batches(&encodings, 64);
        for batch in &batches {
            let longest = batch.iter().map(|&index| lengths[index]).max().unwrap();
            assert!(batch.len() == 1 || batch.len() * longest <= 64, "{batch:?}");
        }
        let mut all: Vec<usize> = batches.concat();
        all.sort_unstable();
        assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
    }

    #[test]
    fn a_mean_without_direction_is_not_finite() {
        assert!(unit_mean(&[1.0, 0.0, -1.0, 0.0], 2).iter().all(|value| value.is_nan()));
        assert_eq!(unit_mean(&[3.0, 0.0, 0.0, 4.0], 2), [0.6, 0.8]);
    }
}
