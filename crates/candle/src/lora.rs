//! LoRA (Hu et al., arXiv 2106.09685) on the seven linear layers of every block: `y = W x + (alpha / r) B A x`.
//!
//! All parameters lie in one vector, so the optimiser, the gradient's norm and a checkpoint are each one loop.

use crate::kernels::panels::Panels;
use crate::{BlockWeights, EngineError, LlamaConfig};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use semievol_core::Seed;
use std::ops::Range;

/// A linear layer of a block, by PEFT's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Module {
    /// `self_attn.q_proj` and so on.
    pub name: &'static str,
    /// Which fused product it is part of.
    group: Group,
    /// Which part of that product's output.
    part: usize,
}

/// The fused products of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Group {
    Qkv,
    O,
    GateUp,
    Down,
}

const GROUPS: [Group; 4] = [Group::Qkv, Group::O, Group::GateUp, Group::Down];

/// The seven linear layers, in the order in which they are stored and initialised.
pub const MODULES: [Module; 7] = [
    Module { name: "self_attn.q_proj", group: Group::Qkv, part: 0 },
    Module { name: "self_attn.k_proj", group: Group::Qkv, part: 1 },
    Module { name: "self_attn.v_proj", group: Group::Qkv, part: 2 },
    Module { name: "self_attn.o_proj", group: Group::O, part: 0 },
    Module { name: "mlp.gate_proj", group: Group::GateUp, part: 0 },
    Module { name: "mlp.up_proj", group: Group::GateUp, part: 1 },
    Module { name: "mlp.down_proj", group: Group::Down, part: 0 },
];

impl Module {
    /// Its place in [`MODULES`].
    fn index(self) -> usize {
        self.group.modules().start + self.part
    }

    /// `[output, input]`.
    pub(crate) fn shape(self, config: &LlamaConfig) -> [usize; 2] {
        let (input, outputs) = self.group.shape(config);
        [outputs[self.part], input]
    }

    /// Its columns in the output of its fused product.
    fn columns(self, config: &LlamaConfig) -> Range<usize> {
        let (_, outputs) = self.group.shape(config);
        let start = outputs[..self.part].iter().sum();
        start..start + outputs[self.part]
    }
}

impl BlockWeights {
    /// The linear layers of a fused product.
    pub(crate) fn group(&self, group: Group) -> &[Panels] {
        &self.linears[group.modules()]
    }

    /// A linear layer, `[output, input]`.
    pub fn linear(&self, module: Module) -> &Panels {
        &self.linears[module.index()]
    }

    /// [`BlockWeights::linear`], to write to.
    pub(crate) fn linear_mut(&mut self, module: Module) -> &mut Panels {
        &mut self.linears[module.index()]
    }

    /// What is added to a linear layer's output, `[output]`, if it has such a bias.
    pub(crate) fn bias(&self, module: Module, config: &LlamaConfig) -> Option<&[f32]> {
        let bias = self.qkv_bias.as_deref().filter(|_| module.group == Group::Qkv)?;
        Some(&bias[module.columns(config)])
    }
}

impl Group {
    /// Its linear layers' places in [`MODULES`].
    fn modules(self) -> Range<usize> {
        match self {
            Group::Qkv => 0..3,
            Group::O => 3..4,
            Group::GateUp => 4..6,
            Group::Down => 6..7,
        }
    }

    /// Width of its input and of each part of its output.
    fn shape(self, config: &LlamaConfig) -> (usize, Vec<usize>) {
        let (hidden, ffn) = (config.hidden_size, config.intermediate_size);
        match self {
            Group::Qkv => (hidden, vec![config.q_width(), config.kv_width(), config.kv_width()]),
            Group::O => (config.q_width(), vec![hidden]),
            Group::GateUp => (hidden, vec![ffn, ffn]),
            Group::Down => (ffn, vec![hidden]),
        }
    }
}

/// Where the parameters of one fused product lie, relative to their block: the `A` of its parts stacked
/// (`[parts * rank, input]`), then each part's `B` (`[output, rank]`).
#[derive(Debug, Clone, PartialEq, Eq)]
struct GroupLayout {
    input: usize,
    outputs: Vec<usize>,
    a: Range<usize>,
    b: Vec<Range<usize>>,
}

/// Where each parameter lies in the one vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoraLayout {
    rank: usize,
    n_blocks: usize,
    per_block: usize,
    groups: Vec<GroupLayout>,
}

impl LoraLayout {
    /// The layout for a model.
    pub fn new(config: &LlamaConfig, rank: usize) -> Self {
        let mut next = 0;
        let mut take = |len: usize| {
            next += len;
            next - len..next
        };
        let groups = GROUPS
            .iter()
            .map(|group| {
                let (input, outputs) = group.shape(config);
                let a = take(outputs.len() * rank * input);
                let b = outputs.iter().map(|output| take(output * rank)).collect();
                GroupLayout { input, outputs, a, b }
            })
            .collect();
        LoraLayout { rank, n_blocks: config.num_layers, per_block: next, groups }
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.n_blocks * self.per_block
    }

    /// Whether there is no parameter.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// LoRA rank.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Every tensor with its shape and place, a module's `A` before its `B`.
    pub fn tensors(&self) -> impl Iterator<Item = LoraTensor> + '_ {
        (0..self.n_blocks).flat_map(move |block| {
            MODULES
                .into_iter()
                .flat_map(move |module| [false, true].map(|is_b| self.tensor(block, module, is_b)))
        })
    }

    fn tensor(&self, block: usize, module: Module, is_b: bool) -> LoraTensor {
        let group = &self.groups[module.group as usize];
        let base = block * self.per_block;
        let (at, shape) = if is_b {
            (group.b[module.part].clone(), [group.outputs[module.part], self.rank])
        } else {
            let len = self.rank * group.input;
            let start = group.a.start + module.part * len;
            (start..start + len, [self.rank, group.input])
        };
        LoraTensor { block, module, is_b, shape, at: base + at.start..base + at.end }
    }

    pub(crate) fn group<'a>(&'a self, values: &'a [f32], block: usize, group: Group) -> LoraGroup<'a> {
        LoraGroup { layout: &self.groups[group as usize], rank: self.rank, values: self.block(values, block) }
    }

    fn block<'a>(&self, values: &'a [f32], block: usize) -> &'a [f32] {
        &values[block * self.per_block..(block + 1) * self.per_block]
    }

    /// The parameters of one block.
    pub(crate) fn block_range(&self, block: usize) -> Range<usize> {
        block * self.per_block..(block + 1) * self.per_block
    }
}

/// One LoRA matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoraTensor {
    /// Layer.
    pub block: usize,
    /// Linear layer.
    pub module: Module,
    /// `B` (`[output, rank]`) rather than `A` (`[rank, input]`).
    pub is_b: bool,
    /// Rows, columns.
    pub shape: [usize; 2],
    /// Place in the parameter vector.
    pub at: Range<usize>,
}

impl LoraTensor {
    /// PEFT's name in `adapter_model.safetensors`.
    pub fn peft_name(&self) -> String {
        let letter = if self.is_b { 'B' } else { 'A' };
        format!("base_model.model.model.layers.{}.{}.lora_{letter}.weight", self.block, self.module.name)
    }
}

/// A model's LoRA parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Lora {
    /// Where each one lies.
    pub layout: LoraLayout,
    /// `alpha / rank`.
    pub scale: f32,
    /// All of them.
    pub values: Vec<f32>,
}

impl Lora {
    /// PEFT's default: `A` uniform in `+-1 / sqrt(input)`, `B` zero, so that training starts at the base model.
    pub fn init(config: &LlamaConfig, rank: usize, alpha: f64, seed: Seed) -> Self {
        let layout = LoraLayout::new(config, rank);
        let mut values = vec![0.0; layout.len()];
        for (index, tensor) in layout.tensors().filter(|tensor| !tensor.is_b).enumerate() {
            let mut rng = ChaCha8Rng::seed_from_u64(seed.child("lora", index as u64).0);
            let bound = 1.0 / (tensor.shape[1] as f32).sqrt();
            for value in &mut values[tensor.at] {
                *value = rng.random_range(-bound..bound);
            }
        }
        Lora { layout, scale: (alpha / rank as f64) as f32, values }
    }

    /// Whether they are those of a model of this shape.
    ///
    /// # Errors
    /// [`EngineError::Adapter`] if the layout is another model's, or there are more or fewer values than it has.
    pub fn check(&self, config: &LlamaConfig) -> Result<(), EngineError> {
        let (rank, n) = (self.layout.rank(), self.values.len());
        let wanted = LoraLayout::new(config, rank);
        if self.layout == wanted && n == wanted.len() {
            return Ok(());
        }
        Err(EngineError::Adapter {
            reason: format!(
                "{n} values for {} layers do not fit a model of {} layers, which has {} at rank {rank}: was it trained from another base?",
                self.layout.n_blocks,
                config.num_layers,
                wanted.len()
            ),
        })
    }
}

/// The parameters of one fused product.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoraGroup<'a> {
    layout: &'a GroupLayout,
    rank: usize,
    values: &'a [f32],
}

impl<'a> LoraGroup<'a> {
    /// Rows of the stacked `A`: parts times rank.
    pub fn stacked(&self) -> usize {
        self.layout.outputs.len() * self.rank
    }

    /// `[stacked, input]`.
    pub fn a(&self) -> &'a [f32] {
        &self.values[self.layout.a.clone()]
    }

    /// LoRA rank.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// `B` of a part, `[output, rank]`.
    pub fn b(&self, part: usize) -> &'a [f32] {
        &self.values[self.layout.b[part].clone()]
    }

    /// Where the gradients go in a block's gradient: `A`, then each part's `B`.
    pub fn places(&self) -> (Range<usize>, &'a [Range<usize>]) {
        (self.layout.a.clone(), &self.layout.b)
    }
}

#[cfg(test)]
pub(crate) fn tiny_config() -> LlamaConfig {
    LlamaConfig {
        family: crate::Family::Llama,
        vocab_size: 50,
        hidden_size: 24,
        intermediate_size: 40,
        num_layers: 3,
        num_heads: 4,
        num_kv_heads: 2,
        head_dim: 6,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: crate::RopeScaling::None,
        max_context: 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_tile_the_vector() {
        let layout = LoraLayout::new(&tiny_config(), 4);
        let mut places: Vec<Range<usize>> = layout.tensors().map(|t| t.at).collect();
        places.sort_by_key(|at| at.start);
        assert_eq!(places.first().map(|at| at.start), Some(0));
        assert!(places.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!(places.last().map(|at| at.end), Some(layout.len()));
        assert!(layout.tensors().all(|t| t.at.len() == t.shape[0] * t.shape[1]));
    }

    #[test]
    fn initial_values_depend_on_the_seed_alone_and_b_is_zero() {
        let init = |seed| Lora::init(&tiny_config(), 4, 8.0, Seed(seed));
        assert_eq!(init(1), init(1));
        assert_ne!(init(1).values, init(2).values);
        let lora = init(1);
        for tensor in lora.layout.tensors() {
            let all_zero = lora.values[tensor.at.clone()].iter().all(|&v| v == 0.0);
            assert_eq!(all_zero, tensor.is_b, "{}", tensor.peft_name());
        }
    }
}
