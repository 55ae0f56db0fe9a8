//! A model from named tensors, whatever file they come from.

use crate::{BlockWeights, EngineError, Family, LlamaConfig, LlamaWeights};
use rayon::prelude::*;
use std::collections::HashSet;
use std::path::Path;

/// A matrix or vector of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Embedding,
    Norm,
    Head,
    Block(usize, BlockPart),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum BlockPart {
    AttnNorm,
    Q,
    K,
    V,
    O,
    MlpNorm,
    Gate,
    Up,
    Down,
    QBias,
    KBias,
    VBias,
    QNorm,
    KNorm,
}

impl BlockPart {
    /// What every block has.
    const ALL: [BlockPart; 9] = [
        BlockPart::AttnNorm,
        BlockPart::Q,
        BlockPart::K,
        BlockPart::V,
        BlockPart::O,
        BlockPart::MlpNorm,
        BlockPart::Gate,
        BlockPart::Up,
        BlockPart::Down,
    ];

    /// What the blocks of a family have besides.
    fn more(family: Family) -> &'static [BlockPart] {
        match family {
            Family::Llama => &[],
            Family::Qwen2 => &[BlockPart::QBias, BlockPart::KBias, BlockPart::VBias],
            Family::Qwen3 => &[BlockPart::QNorm, BlockPart::KNorm],
        }
    }
}

impl Part {
    fn shape(self, config: &LlamaConfig) -> Vec<usize> {
        let (hidden, mlp) = (config.hidden_size, config.intermediate_size);
        match self {
            Part::Embedding | Part::Head => vec![config.vocab_size, hidden],
            Part::Norm => vec![hidden],
            Part::Block(_, part) => match part {
                BlockPart::AttnNorm | BlockPart::MlpNorm => vec![hidden],
                BlockPart::Q => vec![config.q_width(), hidden],
                BlockPart::K | BlockPart::V => vec![config.kv_width(), hidden],
                BlockPart::O => vec![hidden, config.q_width()],
                BlockPart::Gate | BlockPart::Up => vec![mlp, hidden],
                BlockPart::Down => vec![hidden, mlp],
                BlockPart::QBias => vec![config.q_width()],
                BlockPart::KBias | BlockPart::VBias => vec![config.kv_width()],
                BlockPart::QNorm | BlockPart::KNorm => vec![config.head_dim],
            },
        }
    }
}

/// Tensors by name.
pub(super) trait TensorSource: Sync {
    /// What the errors name.
    fn path(&self) -> &Path;
    /// What this kind of file calls `part`.
    fn name(&self, part: Part) -> String;
    /// Every tensor there is, with the exception of those that may be ignored.
    fn tensor_names(&self) -> Vec<&str>;
    /// The tensor's shape, rows first.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;
    /// The tensor as `f32`, in Hugging Face's order of rows.
    fn read(&self, part: Part, name: &str, config: &LlamaConfig) -> Result<Vec<f32>, EngineError>;
}

/// Reads every tensor of the model. Whether there is a head of its own is for the caller to say.
pub(super) fn assemble(
    source: &dyn TensorSource,
    config: LlamaConfig,
    tied: bool,
) -> Result<LlamaWeights, EngineError> {
    config.check().map_err(|e| EngineError::file(source.path(), e.to_string()))?;
    check_tensors(source, &config, tied)?;
    let reader = Reader { source, config: &config };
    let (rest, blocks) = rayon::join(
        || reader.rest(tied),
        || (0..config.num_layers).into_par_iter().map(|i| reader.block(i)).collect::<Result<Vec<_>, _>>(),
    );
    let (embedding, norm, head) = rest?;
    let blocks = blocks?;
    Ok(LlamaWeights { config, embedding, blocks, norm, head })
}

struct Reader<'a> {
    source: &'a dyn TensorSource,
    config: &'a LlamaConfig,
}

impl Reader<'_> {
    fn read(&self, part: Part) -> Result<Vec<f32>, EngineError> {
        self.source.read(part, &self.source.name(part), self.config)
    }

    #[expect(clippy::type_complexity, reason = "embedding, norm, head; named where it is taken apart")]
    fn rest(&self, tied: bool) -> Result<(Vec<f32>, Vec<f32>, Option<Vec<f32>>), EngineError> {
        let head = if tied { None } else { Some(self.read(Part::Head)?) };
        Ok((self.read(Part::Embedding)?, self.read(Part::Norm)?, head))
    }

    fn block(&self, index: usize) -> Result<BlockWeights, EngineError> {
        let read = |part| self.read(Part::Block(index, part));
        let stack = |parts: &[BlockPart], rows: usize| {
            let mut stacked = Vec::with_capacity(rows * self.config.hidden_size);
            for &part in parts {
                stacked.extend_from_slice(&read(part)?);
            }
            Ok::<_, EngineError>(stacked)
        };
        let (biased, normed) = (self.config.family == Family::Qwen2, self.config.family == Family::Qwen3);
        let norm = |part| normed.then(|| read(part)).transpose();
        let bias = || stack(&[BlockPart::QBias, BlockPart::KBias, BlockPart::VBias], 1);
        Ok(BlockWeights {
            attn_norm: read(BlockPart::AttnNorm)?,
            qkv: stack(&[BlockPart::Q, BlockPart::K, BlockPart::V], self.config.qkv_width())?,
            qkv_bias: biased.then(bias).transpose()?,
            q_norm: norm(BlockPart::QNorm)?,
            k_norm: norm(BlockPart::KNorm)?,
            o: read(BlockPart::O)?,
            mlp_norm: read(BlockPart::MlpNorm)?,
            gate_up: stack(&[BlockPart::Gate, BlockPart::Up], 2 * self.config.intermediate_size)?,
            down: read(BlockPart::Down)?,
        })
    }
}

/// Checks names and shapes before anything is allocated, so that an absurd configuration fails at the first
/// tensor the file does not have.
fn check_tensors(source: &dyn TensorSource, config: &LlamaConfig, tied: bool) -> Result<(), EngineError> {
    let head = (!tied).then_some(Part::Head);
    let parts = || BlockPart::ALL.iter().chain(BlockPart::more(config.family)).copied();
    let blocks = (0..config.num_layers).flat_map(|i| parts().map(move |part| Part::Block(i, part)));
    let mut known = HashSet::new();
    for part in [Part::Embedding, Part::Norm].into_iter().chain(head).chain(blocks) {
        let (name, expected) = (source.name(part), part.shape(config));
        match source.shape(&name) {
            None => {
                return Err(EngineError::file(source.path(), format!("has no tensor {name} {expected:?}")));
            }
            Some(found) if found != expected => {
                return Err(EngineError::file(
                    source.path(),
                    format!("tensor {name} has shape {found:?}, but the configuration asks for {expected:?}"),
                ));
            }
            Some(_) => known.insert(name),
        };
    }
    match source.tensor_names().into_iter().filter(|name| !known.contains(*name)).min() {
        None => Ok(()),
        Some(name) => Err(EngineError::file(
            source.path(),
            format!(
                "has a tensor {name} that a {:?} model of {} layers does not use: \
                 ignoring it would give another model",
                config.family, config.num_layers
            ),
        )),
    }
}
