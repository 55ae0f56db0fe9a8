//! Hugging Face folders: `config.json` beside safetensors files.

use super::Parts;
use super::assemble::{BlockPart, Part, TensorSource, assemble};
use super::huggingface_config::RawConfig;
use super::huggingface_tokenizer;
use crate::kernels::panels::Precision;
use crate::tensor_file::to_f32;
use crate::{EngineError, LlamaConfig};
use safetensors::tensor::{Metadata, TensorInfo, TensorView};
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

const HEAD: &str = "lm_head.weight";
pub(crate) const INDEX: &str = "model.safetensors.index.json";
pub(crate) const SINGLE: &str = "model.safetensors";
/// A JSON header above this is no header (safetensors' own limit).
const MAX_HEADER: u64 = 100_000_000;

pub(super) fn load(folder: &Path, precision: Precision) -> Result<Parts, EngineError> {
    let path = folder.join("config.json");
    let raw = RawConfig::read(&path)?;
    let config = raw.config(&path)?;
    let mut source = SafetensorsFolder::open(folder)?;
    let has_head = source.tensors.contains_key(HEAD);
    let tied = raw.tie_word_embeddings.unwrap_or(!has_head);
    if tied && let Some(head) = source.tensors.remove(HEAD) {
        source.check_tied(&head)?;
    }
    let (weights, tokenizer) = rayon::join(
        || assemble(&source, config, tied, precision),
        || huggingface_tokenizer::tokenizer(folder),
    );
    Ok((weights?, tokenizer?))
}

pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, EngineError> {
    let text =
        std::fs::read_to_string(path).map_err(|e| EngineError::file_source(path, "cannot be read", e))?;
    serde_json::from_str(&text)
        .map_err(|e| EngineError::file_source(path, format!("not as expected: {e}"), e))
}

/// The safetensors files of a folder, sorted by name.
pub(super) fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, EngineError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: HashMap<String, String>,
    }
    // In Transformers' order: an index may be left of weights that were there before.
    let single = folder.join(SINGLE);
    if single.is_file() {
        return Ok(vec![single]);
    }
    let index = folder.join(INDEX);
    if index.is_file() {
        let map = read_json::<Index>(&index)?.weight_map;
        let names: BTreeSet<String> = map.into_values().collect();
        if let Some(name) = names.iter().find(|name| Path::new(name).file_name() != Some(name.as_ref())) {
            return Err(EngineError::file(
                &index,
                format!("names {name:?}, which is not a file of the folder"),
            ));
        }
        return Ok(names.iter().map(|name| folder.join(name)).collect());
    }
    Err(EngineError::file(folder, format!("holds neither {SINGLE} nor {INDEX}")))
}

struct SafetensorsFolder {
    folder: PathBuf,
    tensors: HashMap<String, StoredTensor>,
}

struct StoredTensor {
    file: PathBuf,
    /// Of the tensor's first byte in the file.
    start: u64,
    info: TensorInfo,
}

impl SafetensorsFolder {
    fn open(folder: &Path) -> Result<Self, EngineError> {
        let mut tensors = HashMap::new();
        for file in weight_files(folder)? {
            for (name, tensor) in read_header(&file)? {
                if let Some(other) = tensors.insert(name.clone(), tensor) {
                    let reason = format!("tensor {name} is also in {}", other.file.display());
                    return Err(EngineError::file(file, reason));
                }
            }
        }
        // Old files store the rotary frequencies, which follow from the configuration.
        tensors.retain(|name, _| !name.ends_with(".rotary_emb.inv_freq"));
        Ok(SafetensorsFolder { folder: folder.to_path_buf(), tensors })
    }

    /// An error if a head that is said to be the embedding is another matrix, as training can leave it.
    fn check_tied(&self, head: &StoredTensor) -> Result<(), EngineError> {
        let embedding = self.name(Part::Embedding);
        let Some(tensor) = self.tensors.get(&embedding) else { return Ok(()) };
        let same = match tensor.info.dtype == head.info.dtype {
            true => tensor.bytes(&embedding)? == head.bytes(HEAD)?,
            false => tensor.read(&embedding)? == head.read(HEAD)?,
        };
        if same {
            return Ok(());
        }
        let reason = format!(
            "holds a {HEAD} that is not {embedding}, and config.json says tie_word_embeddings: write false there to use it, or take it out of the file"
        );
        Err(EngineError::file(&head.file, reason))
    }
}

/// Names and places of a file's tensors, checked against the file's length.
fn read_header(path: &Path) -> Result<Vec<(String, StoredTensor)>, EngineError> {
    let fail =
        |e: std::io::Error| EngineError::file_source(path, format!("not a whole safetensors file: {e}"), e);
    let mut file = File::open(path).map_err(fail)?;
    let file_len = file.metadata().map_err(fail)?.len();
    let mut prefix = [0; 8];
    file.read_exact(&mut prefix).map_err(fail)?;
    let header_len = u64::from_le_bytes(prefix);
    if header_len > MAX_HEADER.min(file_len) {
        return Err(EngineError::file(
            path,
            format!(
                "cut short, or no safetensors file: a header of {header_len} bytes in a file of {file_len}; fetch it again"
            ),
        ));
    }
    let mut header = vec![0; header_len as usize];
    file.read_exact(&mut header).map_err(fail)?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|e| EngineError::file_source(path, format!("safetensors header: {e}"), e))?;
    let data_start = 8 + header_len;
    let data_len = file_len - data_start;
    let place = |(name, info): (String, &TensorInfo)| {
        let (first, end) = info.data_offsets;
        if end as u64 > data_len {
            return Err(EngineError::file(
                path,
                format!(
                    "cut short: tensor {name} ends at byte {end} of the data, which has {data_len}; fetch it again"
                ),
            ));
        }
        let start = data_start + first as u64;
        Ok((name, StoredTensor { file: path.to_path_buf(), start, info: info.clone() }))
    };
    // In the file's order, so that the same file always gives the same message.
    let mut tensors: Vec<_> = metadata.tensors().into_iter().collect();
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    tensors.into_iter().map(place).collect()
}

impl StoredTensor {
    fn read(&self, name: &str) -> Result<Vec<f32>, EngineError> {
        let failed = |reason: String| EngineError::file(&self.file, format!("tensor {name}{reason}"));
        let bytes = self.bytes(name)?;
        let view = TensorView::new(self.info.dtype, self.info.shape.clone(), &bytes);
        let view = view.map_err(|error| failed(format!(": {error}")))?;
        // Values, and no tensors between: of the largest matrices these are gigabytes.
        to_f32(&view)
            .ok_or_else(|| failed(format!(" has type {:?}; supported: F32, F16, BF16", self.info.dtype)))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, EngineError> {
        let (first, end) = self.info.data_offsets;
        let mut bytes = vec![0; end - first];
        File::open(&self.file)
            .and_then(|mut file| {
                file.seek(SeekFrom::Start(self.start))?;
                file.read_exact(&mut bytes)
            })
            .map_err(|e| {
                EngineError::file_source(&self.file, format!("tensor {name} cannot be read: {e}"), e)
            })?;
        Ok(bytes)
    }
}

impl TensorSource for SafetensorsFolder {
    fn path(&self) -> &Path {
        &self.folder
    }

    fn name(&self, part: Part) -> String {
        match part {
            Part::Embedding => "model.embed_tokens.weight".to_owned(),
            Part::Norm => "model.norm.weight".to_owned(),
            Part::Head => HEAD.to_owned(),
            Part::Block(index, part) => format!("model.layers.{index}.{}", block_name(part)),
        }
    }

    fn tensor_names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|tensor| tensor.info.shape.clone())
    }

    fn read(&self, _: Part, name: &str, _: &LlamaConfig) -> Result<Vec<f32>, EngineError> {
        match self.tensors.get(name) {
            Some(tensor) => tensor.read(name),
            None => Err(EngineError::file(&self.folder, format!("has no tensor {name}"))),
        }
    }
}

fn block_name(part: BlockPart) -> &'static str {
    match part {
        BlockPart::AttnNorm => "input_layernorm.weight",
        BlockPart::Q => "self_attn.q_proj.weight",
        BlockPart::K => "self_attn.k_proj.weight",
        BlockPart::V => "self_attn.v_proj.weight",
        BlockPart::O => "self_attn.o_proj.weight",
        BlockPart::MlpNorm => "post_attention_layernorm.weight",
        BlockPart::Gate => "mlp.gate_proj.weight",
        BlockPart::Up => "mlp.up_proj.weight",
        BlockPart::Down => "mlp.down_proj.weight",
        BlockPart::QBias => "self_attn.q_proj.bias",
        BlockPart::KBias => "self_attn.k_proj.bias",
        BlockPart::VBias => "self_attn.v_proj.bias",
        BlockPart::QNorm => "self_attn.q_norm.weight",
        BlockPart::KNorm => "self_attn.k_norm.weight",
    }
}
