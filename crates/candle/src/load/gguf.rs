//! GGUF files, as llama.cpp and its converters write them.

use super::Parts;
use super::assemble::{BlockPart, Part, TensorSource, assemble};
use super::gguf_tokenizer;
use crate::{EngineError, LlamaConfig};
use candle_core::Device;
use candle_core::quantized::gguf_file::{Content, Value};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

const OUTPUT: &str = "output.weight";

pub(super) fn load(path: &Path) -> Result<Parts, EngineError> {
    let file = GgufFile::open(path)?;
    let metadata = Metadata { path, content: &file.content };
    check_supported(&metadata)?;
    let config = config(&metadata)?;
    let tied = !file.content.tensor_infos.contains_key(OUTPUT);
    let (weights, tokenizer) =
        rayon::join(|| assemble(&file, config, tied), || gguf_tokenizer::tokenizer(&metadata));
    Ok((weights?, tokenizer?))
}

/// Metadata by key, with errors that name the file and the key.
pub(super) struct Metadata<'a> {
    path: &'a Path,
    content: &'a Content,
}

impl<'a> Metadata<'a> {
    pub(super) fn error(&self, reason: impl Into<String>) -> EngineError {
        EngineError::file(self.path, reason)
    }

    pub(super) fn optional<T>(
        &self,
        key: &str,
        read: impl FnOnce(&'a Value) -> candle_core::Result<T>,
    ) -> Result<Option<T>, EngineError> {
        let value = self.content.metadata.get(key);
        value.map(read).transpose().map_err(|e| EngineError::file_source(self.path, format!("{key}: {e}"), e))
    }

    pub(super) fn required<T>(
        &self,
        key: &str,
        read: impl FnOnce(&'a Value) -> candle_core::Result<T>,
    ) -> Result<T, EngineError> {
        self.optional(key, read)?.ok_or_else(|| self.error(format!("has no metadata {key}")))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, EngineError> {
        Ok(self.optional(key, Value::to_string)?.map(String::as_str))
    }

    pub(super) fn optional_size(&self, key: &str) -> Result<Option<usize>, EngineError> {
        let value = self.optional(key, Value::to_u64)?;
        value.map(usize::try_from).transpose().map_err(|e| self.error(format!("{key}: {e}")))
    }

    fn size(&self, key: &str) -> Result<usize, EngineError> {
        self.optional_size(key)?.ok_or_else(|| self.error(format!("has no metadata {key}")))
    }
}

fn check_supported(metadata: &Metadata<'_>) -> Result<(), EngineError> {
    let architecture = metadata.required("general.architecture", Value::to_string)?;
    if architecture != "llama" {
        return Err(metadata.error(format!("has architecture {architecture:?}; supported: \"llama\"")));
    }
    let scaling = metadata.text("llama.rope.scaling.type")?;
    if let Some(kind) = scaling.filter(|kind| *kind != "none") {
        return Err(metadata.error(format!("llama.rope.scaling.type is {kind:?}; supported: \"none\"")));
    }
    if metadata.content.tensor_infos.contains_key("rope_freqs.weight") {
        return Err(metadata.error("has rope_freqs.weight: scaled rotary frequencies are not supported"));
    }
    if let Some(n) = metadata.optional_size("llama.expert_count")?.filter(|n| *n > 0) {
        return Err(
            metadata.error(format!("llama.expert_count is {n}; mixtures of experts are not supported"))
        );
    }
    Ok(())
}

fn config(metadata: &Metadata<'_>) -> Result<LlamaConfig, EngineError> {
    let hidden_size = metadata.size("llama.embedding_length")?;
    let num_heads = metadata.size("llama.attention.head_count")?;
    let head_dim = head_dim(metadata, hidden_size, num_heads)?;
    let infos = &metadata.content.tensor_infos;
    let rows = infos.get("token_embd.weight").and_then(|info| info.shape.dims().first().copied());
    Ok(LlamaConfig {
        vocab_size: rows.ok_or_else(|| metadata.error("has no tensor token_embd.weight"))?,
        hidden_size,
        intermediate_size: metadata.size("llama.feed_forward_length")?,
        num_layers: metadata.size("llama.block_count")?,
        num_heads,
        num_kv_heads: metadata.optional_size("llama.attention.head_count_kv")?.unwrap_or(num_heads),
        head_dim,
        rms_norm_eps: metadata.required("llama.attention.layer_norm_rms_epsilon", Value::to_f32)?,
        rope_theta: metadata.optional("llama.rope.freq_base", Value::to_f32)?.unwrap_or(10_000.0),
        max_context: metadata.size("llama.context_length")?,
    })
}

fn head_dim(metadata: &Metadata<'_>, hidden: usize, heads: usize) -> Result<usize, EngineError> {
    const ROTARY: &str = "llama.rope.dimension_count";
    let head_dim = match metadata.optional_size("llama.attention.key_length")? {
        Some(width) => width,
        None if heads > 0 && hidden.is_multiple_of(heads) => hidden / heads,
        None => {
            return Err(metadata.error(format!("embedding_length {hidden} over {heads} heads is not whole")));
        }
    };
    for key in ["llama.attention.value_length", ROTARY] {
        let width = metadata.optional_size(key)?.unwrap_or(head_dim);
        if width != head_dim {
            return Err(metadata.error(format!("{key} is {width}, but a key has width {head_dim}")));
        }
    }
    Ok(head_dim)
}

struct GgufFile {
    path: PathBuf,
    content: Content,
}

impl GgufFile {
    fn open(path: &Path) -> Result<Self, EngineError> {
        let file = File::open(path).map_err(|e| EngineError::file_source(path, "cannot be opened", e))?;
        refuse_zero_alignment(path)?;
        let content = Content::read(&mut BufReader::new(file))
            .map_err(|e| EngineError::file_source(path, format!("not a whole GGUF file: {e}"), e))?;
        Ok(GgufFile { path: path.to_path_buf(), content })
    }
}

/// candle 0.11 divides by `general.alignment` without looking at it, so a file that says 0 would panic.
///
/// The key is looked for in the first part of the file as bytes: length, text, type, value.
fn refuse_zero_alignment(path: &Path) -> Result<(), EngineError> {
    const KEY: &[u8] = b"\x11\0\0\0\0\0\0\0general.alignment";
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(16 << 20).read_to_end(&mut head))
        .map_err(|e| EngineError::file_source(path, "cannot be read", e))?;
    let mut entries = head.windows(KEY.len() + 8).filter(|window| window.starts_with(KEY));
    if entries.any(|window| window[KEY.len() + 4..] == [0; 4]) {
        return Err(EngineError::file(path, "general.alignment is 0"));
    }
    Ok(())
}

impl TensorSource for GgufFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn name(&self, part: Part) -> String {
        match part {
            Part::Embedding => "token_embd.weight".to_owned(),
            Part::Norm => "output_norm.weight".to_owned(),
            Part::Head => OUTPUT.to_owned(),
            Part::Block(index, part) => format!("blk.{index}.{}.weight", block_name(part)),
        }
    }

    fn tensor_names(&self) -> Vec<&str> {
        self.content.tensor_infos.keys().map(String::as_str).collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.content.tensor_infos.get(name).map(|info| info.shape.dims().to_vec())
    }

    fn read(&self, part: Part, name: &str, config: &LlamaConfig) -> Result<Vec<f32>, EngineError> {
        let fail = |e: candle_core::Error| {
            EngineError::file_source(&self.path, format!("tensor {name} cannot be read: {e}"), e)
        };
        let mut file = File::open(&self.path)
            .map_err(|e| EngineError::file_source(&self.path, "cannot be opened", e))?;
        let tensor = self.content.tensor(&mut file, name, &Device::Cpu).map_err(fail)?;
        let values =
            tensor.dequantize(&Device::Cpu).and_then(|t| t.flatten_all()?.to_vec1()).map_err(fail)?;
        Ok(match part {
            Part::Block(_, BlockPart::Q | BlockPart::K) => {
                rotary_in_halves(&values, config.head_dim, config.hidden_size)
            }
            _ => values,
        })
    }
}

fn block_name(part: BlockPart) -> &'static str {
    match part {
        BlockPart::AttnNorm => "attn_norm",
        BlockPart::Q => "attn_q",
        BlockPart::K => "attn_k",
        BlockPart::V => "attn_v",
        BlockPart::O => "attn_output",
        BlockPart::MlpNorm => "ffn_norm",
        BlockPart::Gate => "ffn_gate",
        BlockPart::Up => "ffn_up",
        BlockPart::Down => "ffn_down",
    }
}

/// Undoes the permutation of llama.cpp's converter: within a head, row `2i` goes back to `i` and row `2i + 1`
/// to `i + head_dim / 2`.
fn rotary_in_halves(values: &[f32], head_dim: usize, columns: usize) -> Vec<f32> {
    let mut ordered = Vec::with_capacity(values.len());
    for head in values.chunks_exact(head_dim * columns) {
        for half in 0..2 {
            for pair in head.chunks_exact(2 * columns) {
                ordered.extend_from_slice(&pair[half * columns..(half + 1) * columns]);
            }
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::rotary_in_halves;

    #[test]
    fn rows_of_each_head_are_put_back_in_halves() {
        let interleaved = [0., 2., 1., 3., 10., 12., 11., 13.];
        assert_eq!(rotary_in_halves(&interleaved, 4, 1), [0., 1., 2., 3., 10., 11., 12., 13.]);
    }
}
