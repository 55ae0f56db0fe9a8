//! A model from named tensors, whatever file they come from.

use crate::kernels::panels::{Panels, Precision};
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

/// Reads every tensor of the model; one matrix at a time and thread is held in `f32`. Whether there is a head of its
/// own is for the caller to say.
pub(super) fn assemble(
    source: &dyn TensorSource,
    config: LlamaConfig,
    tied: bool,
    precision: Precision,
) -> Result<LlamaWeights, EngineError> {
    config.check().map_err(|e| EngineError::file(source.path(), e.to_string()))?;
    check_tensors(source, &config, tied)?;
    let reader = Reader { source, config: &config, precision };
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
    precision: Precision,
}

impl Reader<'_> {
    fn read(&self, part: Part) -> Result<Vec<f32>, EngineError> {
        self.source.read(part, &self.source.name(part), self.config)
    }

    fn pack(&self, part: Part, precision: Precision) -> Result<Panels, EngineError> {
        let (rows, columns) = (part.shape(self.config)[0], part.shape(self.config)[1]);
        Ok(Panels::pack(&self.read(part)?, rows, columns, precision))
    }

    fn rest(&self, tied: bool) -> Result<(Panels, Vec<f32>, Option<Panels>), EngineError> {
        let table = |part| self.pack(part, self.precision.of_tables());
        let head = if tied { None } else { Some(table(Part::Head)?) };
        Ok((table(Part::Embedding)?, self.read(Part::Norm)?, head))
    }

    fn block(&self, index: usize) -> Result<BlockWeights, EngineError> {
        let read = |part| self.read(Part::Block(index, part));
        let pack = |part| self.pack(Part::Block(index, part), self.precision);
        let (biased, normed) = (self.config.family == Family::Qwen2, self.config.family == Family::Qwen3);
        let norm = |part| normed.then(|| read(part)).transpose();
        let bias = || {
            let parts = [read(BlockPart::QBias)?, read(BlockPart::KBias)?, read(BlockPart::VBias)?];
            Ok::<_, EngineError>(parts.concat())
        };
        Ok(BlockWeights {
            attn_norm: read(BlockPart::AttnNorm)?,
            linears: [
                pack(BlockPart::Q)?,
                pack(BlockPart::K)?,
                pack(BlockPart::V)?,
                pack(BlockPart::O)?,
                pack(BlockPart::Gate)?,
                pack(BlockPart::Up)?,
                pack(BlockPart::Down)?,
            ],
            qkv_bias: biased.then(bias).transpose()?,
            q_norm: norm(BlockPart::QNorm)?,
            k_norm: norm(BlockPart::KNorm)?,
            mlp_norm: read(BlockPart::MlpNorm)?,
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
