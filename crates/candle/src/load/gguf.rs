//! GGUF files, as llama.cpp and its converters write them.

use super::Parts;
use super::assemble::{BlockPart, Part, TensorSource, assemble};
use super::gguf_tokenizer;
use crate::kernels::panels::Precision;
use crate::{EngineError, Family, LlamaConfig, RopeScaling};
use candle_core::Device;
use candle_core::quantized::gguf_file::{self, Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

const OUTPUT: &str = "output.weight";
/// One factor per rotary frequency, `[head_dim / 2]`; the converter's form of Llama 3's scaling.
const ROPE_FACTORS: &str = "rope_freqs.weight";
/// Metadata below the architecture's name that changes the arithmetic, and that no converter of these families
/// writes.
const FOREIGN: [&str; 9] = [
    "attention.causal",
    "attention.clamp_kqv",
    "attention.max_alibi_bias",
    "attention.scale",
    "attn_logit_softcapping",
    "embedding_scale",
    "final_logit_softcapping",
    "logit_scale",
    "residual_scale",
];

pub(super) fn load(path: &Path, precision: Precision) -> Result<Parts, EngineError> {
    let mut file = GgufFile::open(path)?;
    let factors = file.take_rope_factors()?;
    let metadata = Metadata { path, content: &file.content };
    let shape = Shape::of(&metadata)?;
    shape.check_supported()?;
    let config = shape.config(factors)?;
    let tied = !file.content.tensor_infos.contains_key(OUTPUT);
    let (weights, tokenizer) =
        rayon::join(|| assemble(&file, config, tied, precision), || gguf_tokenizer::tokenizer(&metadata));
    Ok((weights?, tokenizer?))
}

/// Writes a GGUF file again with every tensor in f32: what this engine computes with, for servers that would compute with
/// the compressed weights.
///
/// # Errors
/// If `from` is no GGUF file, or `to` cannot be written.
pub fn write_f32(from: &Path, to: &Path) -> Result<(), EngineError> {
    let GgufFile { content, .. } = GgufFile::open(from)?;
    let read = |e: candle_core::Error| EngineError::file_source(from, e.to_string(), e);
    let opened = |e: std::io::Error| EngineError::file_source(from, "cannot be opened", e);
    let mut file = File::open(from).map_err(opened)?;
    let f32_type = Value::U32(0);
    let mut metadata: BTreeMap<&str, &Value> =
        content.metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    metadata.insert("general.file_type", &f32_type);
    // candle's writer aligns tensors to the default, whatever the file did.
    metadata.remove("general.alignment");
    let mut tensors = BTreeMap::new();
    for name in content.tensor_infos.keys() {
        let tensor = content.tensor(&mut file, name, &Device::Cpu).and_then(|t| t.dequantize(&Device::Cpu));
        let tensor = tensor.and_then(|t| QTensor::quantize(&t, GgmlDType::F32)).map_err(read)?;
        tensors.insert(name.as_str(), tensor);
    }
    let metadata: Vec<(&str, &Value)> = metadata.into_iter().collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
    let failed = |e: candle_core::Error| EngineError::file_source(to, e.to_string(), e);
    let mut out =
        File::create(to).map_err(|e| EngineError::file_source(to, format!("cannot be written: {e}"), e))?;
    gguf_file::write(&mut out, &metadata, &tensors).map_err(failed)
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

    fn has(&self, key: &str) -> bool {
        self.content.metadata.contains_key(key)
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, EngineError> {
        Ok(self.optional(key, Value::to_string)?.map(String::as_str))
    }

    pub(super) fn optional_size(&self, key: &str) -> Result<Option<usize>, EngineError> {
        let value = self.optional(key, Value::to_u64)?;
        value.map(usize::try_from).transpose().map_err(|e| self.error(format!("{key}: {e}")))
    }
}

/// The metadata that says what the model is, below the name of its architecture.
struct Shape<'a> {
    metadata: &'a Metadata<'a>,
    architecture: &'a str,
    family: Family,
}

impl<'a> Shape<'a> {
    fn of(metadata: &'a Metadata<'a>) -> Result<Self, EngineError> {
        let architecture = metadata.required("general.architecture", Value::to_string)?;
        let family = match architecture.as_str() {
            "llama" => Family::Llama,
            "qwen2" => Family::Qwen2,
            "qwen3" => Family::Qwen3,
            other => {
                let reason =
                    format!("has architecture {other:?}; supported: \"llama\", \"qwen2\", \"qwen3\"");
                return Err(metadata.error(reason));
            }
        };
        Ok(Shape { metadata, architecture, family })
    }

    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn optional_size(&self, name: &str) -> Result<Option<usize>, EngineError> {
        self.metadata.optional_size(&self.key(name))
    }

    fn size(&self, name: &str) -> Result<usize, EngineError> {
        self.optional_size(name)?
            .ok_or_else(|| self.metadata.error(format!("has no metadata {}", self.key(name))))
    }

    fn optional_f32(&self, name: &str) -> Result<Option<f32>, EngineError> {
        self.metadata.optional(&self.key(name), Value::to_f32)
    }

    fn check_supported(&self) -> Result<(), EngineError> {
        if let Some(n) = self.optional_size("expert_count")?.filter(|n| *n > 0) {
            let key = self.key("expert_count");
            return Err(self.metadata.error(format!("{key} is {n}; mixtures of experts are not supported")));
        }
        match FOREIGN.map(|name| self.key(name)).iter().find(|key| self.metadata.has(key)) {
            Some(key) => Err(self.metadata.error(format!("has metadata {key}, which is not supported"))),
            None => Ok(()),
        }
    }

    fn config(&self, factors: Option<Vec<f32>>) -> Result<LlamaConfig, EngineError> {
        let hidden_size = self.size("embedding_length")?;
        let num_heads = self.size("attention.head_count")?;
        let head_dim = self.head_dim(hidden_size, num_heads)?;
        let infos = &self.metadata.content.tensor_infos;
        let rows = infos.get("token_embd.weight").and_then(|info| info.shape.dims().first().copied());
        let eps = self.key("attention.layer_norm_rms_epsilon");
        let window = self.optional_size("attention.sliding_window")?.unwrap_or(usize::MAX);
        let mut config = LlamaConfig {
            family: self.family,
            vocab_size: rows.ok_or_else(|| self.metadata.error("has no tensor token_embd.weight"))?,
            hidden_size,
            intermediate_size: self.size("feed_forward_length")?,
            num_layers: self.size("block_count")?,
            num_heads,
            num_kv_heads: self.optional_size("attention.head_count_kv")?.unwrap_or(num_heads),
            head_dim,
            rms_norm_eps: self.metadata.required(&eps, Value::to_f32)?,
            rope_theta: self.optional_f32("rope.freq_base")?.unwrap_or(10_000.0),
            rope_scaling: self.rope_scaling()?,
            max_context: self.size("context_length")?.min(window),
        };
        if let Some(factors) = factors {
            if self.family != Family::Llama || config.rope_scaling != RopeScaling::None {
                let reason = format!(
                    "has {ROPE_FACTORS} beside architecture {:?} and rope scaling {:?}; \
                     supported: with \"llama\" and no other scaling",
                    self.architecture, config.rope_scaling
                );
                return Err(self.metadata.error(reason));
            }
            config.rope_scaling = released_llama3(&config, &factors);
        }
        Ok(config)
    }

    /// A factor without a type is linear, as in llama.cpp.
    fn rope_scaling(&self) -> Result<RopeScaling, EngineError> {
        let key = self.key("rope.scaling.type");
        let factor = match self.optional_f32("rope.scaling.factor")? {
            None => self.optional_f32("rope.scale_linear")?,
            factor => factor,
        };
        match (self.metadata.text(&key)?, factor) {
            (Some("none"), _) | (None, None | Some(0.0)) => Ok(RopeScaling::None),
            (None | Some("linear"), Some(factor)) => Ok(RopeScaling::Linear { factor: f64::from(factor) }),
            (Some("linear"), None) => {
                Err(self.metadata.error(format!("{key} is \"linear\", but there is no factor")))
            }
            (Some(other), _) => {
                Err(self.metadata.error(format!("{key} is {other:?}; supported: \"none\", \"linear\"")))
            }
        }
    }

    fn head_dim(&self, hidden: usize, heads: usize) -> Result<usize, EngineError> {
        let head_dim = match self.optional_size("attention.key_length")? {
            Some(width) => width,
            None if heads > 0 && hidden.is_multiple_of(heads) => hidden / heads,
            None => {
                let reason = format!("embedding_length {hidden} over {heads} heads is not whole");
                return Err(self.metadata.error(reason));
            }
        };
        for name in ["attention.value_length", "rope.dimension_count"] {
            let width = self.optional_size(name)?.unwrap_or(head_dim);
            if width != head_dim {
                let reason = format!("{} is {width}, but a key has width {head_dim}", self.key(name));
                return Err(self.metadata.error(reason));
            }
        }
        Ok(head_dim)
    }
}

/// Llama 3's scaling by its parameters, which a GGUF file does not say, where they are those of a release (3.1,
/// 3.2, 3.3: all alike but for `factor`); otherwise the factors as they are.
fn released_llama3(config: &LlamaConfig, factors: &[f32]) -> RopeScaling {
    if factors.len() != config.head_dim / 2 {
        // Nothing is computed for a width that nobody has checked yet; this does not pass that check.
        return RopeScaling::PerFrequency(factors.to_vec());
    }
    let most = factors.iter().copied().fold(1.0, f32::max);
    let scaling = RopeScaling::Llama3 {
        factor: f64::from(most),
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_context: 8192,
    };
    let plain = LlamaConfig { rope_scaling: RopeScaling::None, ..config.clone() }.rope_frequencies();
    let scaled = LlamaConfig { rope_scaling: scaling.clone(), ..config.clone() }.rope_frequencies();
    let alike = |(&factor, (plain, scaled)): (&f32, (&f64, &f64))| {
        (plain / scaled / f64::from(factor) - 1.0).abs() < 1e-5
    };
    if most > 1.0 && factors.iter().zip(plain.iter().zip(&scaled)).all(alike) {
        return scaling;
    }
    RopeScaling::PerFrequency(factors.to_vec())
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
            .map_err(|e| EngineError::file_source(path, unreadable(&e.to_string()), e))?;
        refuse_uncountable(path, &content)?;
        Ok(GgufFile { path: path.to_path_buf(), content })
    }

    fn values(&self, name: &str) -> Result<Vec<f32>, EngineError> {
        let fail = |e: candle_core::Error| {
            EngineError::file_source(
                &self.path,
                format!("tensor {name} cannot be read: {e}; fetch the file again"),
                e,
            )
        };
        let mut file = File::open(&self.path)
            .map_err(|e| EngineError::file_source(&self.path, "cannot be opened", e))?;
        let tensor = self.content.tensor(&mut file, name, &Device::Cpu).map_err(fail)?;
        tensor.dequantize(&Device::Cpu).and_then(|t| t.flatten_all()?.to_vec1()).map_err(fail)
    }

    /// The rotary factors, which are no weight: what is left are the model's tensors.
    fn take_rope_factors(&mut self) -> Result<Option<Vec<f32>>, EngineError> {
        if !self.content.tensor_infos.contains_key(ROPE_FACTORS) {
            return Ok(None);
        }
        let factors = self.values(ROPE_FACTORS)?;
        self.content.tensor_infos.remove(ROPE_FACTORS);
        Ok(Some(factors))
    }

    /// Whether the converter put the rows of queries and keys in pairs; it does so for `llama` alone.
    fn pairs_rows(&self, part: Part, config: &LlamaConfig) -> bool {
        config.family == Family::Llama && matches!(part, Part::Block(_, BlockPart::Q | BlockPart::K))
    }
}

/// What candle's error means. A type it does not know it reports as it does a broken file.
fn unreadable(error: &str) -> String {
    match error.contains("unknown dtype") {
        true => format!(
            "has a tensor of a type that is not supported ({error}); supported: F32, F16, BF16, Q4_0, Q4_1, Q5_0, \
             Q5_1, Q8_0, Q2_K to Q6_K. Quantise the model to one of these, or use its Hugging Face folder"
        ),
        false => format!("not a whole GGUF file: {error}; fetch it again"),
    }
}

/// candle 0.11 multiplies a tensor's dimensions and bytes without looking, so more than a number can count would panic.
fn refuse_uncountable(path: &Path, content: &Content) -> Result<(), EngineError> {
    for (name, info) in &content.tensor_infos {
        let (dims, bytes) = (info.shape.dims(), info.ggml_dtype.type_size());
        let counted = dims.iter().try_fold(bytes, |product, dim| product.checked_mul(*dim));
        if counted.is_none() {
            let reason =
                format!("tensor {name} is said to have {dims:?} values, which no file holds; fetch it again");
            return Err(EngineError::file(path, reason));
        }
    }
    Ok(())
}

/// candle 0.11 divides by `general.alignment` without looking at it, so a file that says 0 would panic.
///
/// The key is looked for in the first part of the file as bytes: text, type, value.
fn refuse_zero_alignment(path: &Path) -> Result<(), EngineError> {
    const KEY: &[u8] = b"general.alignment";
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(16 << 20).read_to_end(&mut head))
        .map_err(|e| EngineError::file_source(path, "cannot be read", e))?;
    // So that an entry at the very end is looked at as well.
    head.extend([u8::MAX; 8]);
    let is_zero = |entry: &[u8]| {
        let (kind, value) = entry[KEY.len()..].split_at(4);
        // The sizes of whole numbers by their types' numbers.
        let size = match kind {
            [0 | 1, 0, 0, 0] => 1,
            [2 | 3, 0, 0, 0] => 2,
            [4 | 5, 0, 0, 0] => 4,
            [10 | 11, 0, 0, 0] => 8,
            _ => return false,
        };
        value[..size].iter().all(|byte| *byte == 0)
    };
    let mut entries = head.windows(KEY.len() + 12).filter(|window| window.starts_with(KEY));
    if entries.any(is_zero) {
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
            Part::Block(index, part) => format!("blk.{index}.{}", block_name(part)),
        }
    }

    fn tensor_names(&self) -> Vec<&str> {
        self.content.tensor_infos.keys().map(String::as_str).collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.content.tensor_infos.get(name).map(|info| info.shape.dims().to_vec())
    }

    fn read(&self, part: Part, name: &str, config: &LlamaConfig) -> Result<Vec<f32>, EngineError> {
        let values = self.values(name)?;
        Ok(match self.pairs_rows(part, config) {
            true => rotary_in_halves(&values, config.head_dim, config.hidden_size),
            false => values,
        })
    }
}

fn block_name(part: BlockPart) -> &'static str {
    match part {
        BlockPart::AttnNorm => "attn_norm.weight",
        BlockPart::Q => "attn_q.weight",
        BlockPart::K => "attn_k.weight",
        BlockPart::V => "attn_v.weight",
        BlockPart::O => "attn_output.weight",
        BlockPart::MlpNorm => "ffn_norm.weight",
        BlockPart::Gate => "ffn_gate.weight",
        BlockPart::Up => "ffn_up.weight",
        BlockPart::Down => "ffn_down.weight",
        BlockPart::QBias => "attn_q.bias",
        BlockPart::KBias => "attn_k.bias",
        BlockPart::VBias => "attn_v.bias",
        BlockPart::QNorm => "attn_q_norm.weight",
        BlockPart::KNorm => "attn_k_norm.weight",
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
    use super::{released_llama3, rotary_in_halves};
    use crate::RopeScaling;
    use crate::lora::tiny_config;
    use crate::{Family, LlamaConfig};

    #[test]
    fn rows_of_each_head_are_put_back_in_halves() {
        let interleaved = [0., 2., 1., 3., 10., 12., 11., 13.];
        assert_eq!(rotary_in_halves(&interleaved, 4, 1), [0., 1., 2., 3., 10., 11., 12., 13.]);
    }

    #[test]
    fn factors_of_a_released_llama_3_are_known_again() {
        let plain = LlamaConfig { head_dim: 64, rope_theta: 500_000.0, ..tiny_config() };
        assert_eq!(plain.family, Family::Llama);
        for (factor, original_context, known) in [(8.0, 8192, true), (32.0, 8192, true), (8.0, 4096, false)] {
            let scaling =
                RopeScaling::Llama3 { factor, low_freq_factor: 1.0, high_freq_factor: 4.0, original_context };
            let scaled = LlamaConfig { rope_scaling: scaling.clone(), ..plain.clone() };
            let both = plain.rope_frequencies().into_iter().zip(scaled.rope_frequencies());
            let factors: Vec<f32> = both.map(|(before, after)| (before / after) as f32).collect();
            let found = released_llama3(&plain, &factors);
            assert_eq!(found == scaling, known, "{found:?}");
        }
        let ones = vec![1.0; 32];
        assert_eq!(released_llama3(&plain, &ones), RopeScaling::PerFrequency(ones));
    }
}
