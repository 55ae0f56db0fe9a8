//! The model's forward pass over packed rows, the same for training, scoring and generation.

use crate::cache::CacheSlots;
use crate::forest::Forest;
use crate::kernels::attention::{Columns, Heads, KeysValues, QueryBlock, attend};
use crate::kernels::gemm::{Mat, MatMut, Write};
use crate::kernels::head_norm::HeadNorms;
use crate::kernels::loss::linear;
use crate::kernels::norm::rms_norm;
use crate::kernels::panels::Panels;
use crate::kernels::product::{Factor, Product, Term, product, products};
use crate::kernels::rope::{RopeTable, Turn};
use crate::kernels::swiglu::swiglu;
use crate::kernels::transpose::transpose;
use crate::kernels::vector::{add_assign, scale_all};
use crate::lora::{Group, Lora, LoraGroup, MODULES};
use crate::{BlockWeights, EngineError, Family, LlamaConfig, LlamaWeights};
use rayon::prelude::*;

/// A model ready to compute: frozen weights and rotary angles.
#[derive(Debug, Clone)]
pub struct Llama {
    pub(crate) weights: LlamaWeights,
    pub(crate) rope: RopeTable,
}

/// What one block computes that its backward pass needs again. `[rows, ...]` each.
#[derive(Debug, Default)]
pub(crate) struct Activations {
    pub attn_inv: Vec<f32>,
    /// As attention reads them; with head norms, queries and keys as divided by their root mean square, from which
    /// [`Llama::turned_again`] makes the others.
    pub qkv: Vec<f32>,
    /// `1 / rms` of each head of queries and keys; empty without head norms.
    pub qk_inv: Vec<f32>,
    pub attn: Vec<f32>,
    pub log_sums: Vec<f32>,
    pub mid: Vec<f32>,
    pub mlp_inv: Vec<f32>,
    pub gate_up: Vec<f32>,
    pub lora: LoraActivations,
}

/// `scale A x` of each fused product.
#[derive(Debug, Default)]
pub(crate) struct LoraActivations {
    pub qkv: Vec<f32>,
    pub o: Vec<f32>,
    pub gate_up: Vec<f32>,
    pub down: Vec<f32>,
}

/// Buffers that no backward pass needs.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub normed: Vec<f32>,
    pub swiglu: Vec<f32>,
    /// `A^T` of a fused product.
    pub a: Vec<f32>,
    /// Queries and keys scaled and turned, beside their values; empty without head norms.
    pub turned: Vec<f32>,
}

/// Where the rows of a pass stand and what they attend to.
pub(crate) struct Plan<'a> {
    pub positions: &'a [u32],
    pub blocks: &'a [QueryBlock],
}

impl Llama {
    /// Takes the weights; refuses shapes that do not fit together.
    ///
    /// # Errors
    /// Names the field or matrix that does not fit.
    pub fn new(weights: LlamaWeights) -> Result<Self, EngineError> {
        let config = &weights.config;
        config.check()?;
        check_shapes(&weights)?;
        let rope = RopeTable::new(&config.rope_frequencies(), config.max_context);
        Ok(Llama { weights, rope })
    }

    /// The model's shape.
    pub fn config(&self) -> &LlamaConfig {
        &self.weights.config
    }

    /// The frozen weights.
    pub fn weights(&self) -> &LlamaWeights {
        &self.weights
    }

    pub(crate) fn heads(&self) -> Heads {
        let config = self.config();
        Heads { n: config.num_heads, n_kv: config.num_kv_heads, dim: config.head_dim }
    }

    /// Logits of the next token after each sequence of ids, `[vocab]` each; shared beginnings are computed once.
    ///
    /// # Panics
    /// If a sequence is empty, longer than the model's context, or holds an id outside the vocabulary.
    pub fn next_token_logits<S: AsRef<[u32]>>(&self, lora: Option<&Lora>, sequences: &[S]) -> Vec<Vec<f32>> {
        if sequences.is_empty() {
            return Vec::new();
        }
        let forest = Forest::pack(sequences);
        let last = |i| forest.rows(i).last().expect("an empty sequence has no next token");
        let rows: Vec<usize> = (0..sequences.len()).map(last).collect();
        self.logits(&self.normed_rows(&self.hidden(lora, &forest), &rows))
            .chunks(self.config().vocab_size)
            .map(<[f32]>::to_vec)
            .collect()
    }

    /// The residual stream after the last block, `[forest.len(), hidden]`.
    pub(crate) fn hidden(&self, lora: Option<&Lora>, forest: &Forest) -> Vec<f32> {
        let blocks = forest.query_blocks(0);
        let plan = Plan { positions: forest.positions(), blocks: &blocks };
        self.run(lora, &plan, forest.tokens(), None, &mut Activations::default(), &mut Workspace::default())
    }

    /// All blocks with one block's buffers, for passes without a backward pass: the residual stream after the
    /// last, `[tokens.len(), hidden]`.
    pub(crate) fn run(
        &self,
        lora: Option<&Lora>,
        plan: &Plan<'_>,
        tokens: &[u32],
        mut cache: Option<&mut CacheSlots<'_>>,
        acts: &mut Activations,
        work: &mut Workspace,
    ) -> Vec<f32> {
        let (mut x, mut next) = (Vec::new(), Vec::new());
        self.embed(tokens, &mut x);
        for index in 0..self.config().num_layers {
            self.block(index, lora, plan, cache.as_deref_mut(), &x, acts, work, &mut next);
            std::mem::swap(&mut x, &mut next);
        }
        x
    }

    /// The embedding rows of `tokens`.
    pub(crate) fn embed(&self, tokens: &[u32], out: &mut Vec<f32>) {
        let width = self.config().hidden_size;
        out.resize(tokens.len() * width, 0.0);
        let rows = out.par_chunks_exact_mut(width).zip(tokens);
        rows.for_each(|(out, &token)| self.weights.embedding.read_row(token as usize, out));
    }

    /// One block: `x` is the residual stream before it and `out` after it, `[rows, hidden]` each.
    #[allow(clippy::too_many_arguments)] // the block's inputs, outputs and the three kinds of buffers
    pub(crate) fn block(
        &self,
        index: usize,
        lora: Option<&Lora>,
        plan: &Plan<'_>,
        cache: Option<&mut CacheSlots<'_>>,
        x: &[f32],
        acts: &mut Activations,
        work: &mut Workspace,
        out: &mut Vec<f32>,
    ) {
        self.attention(index, lora, plan, cache, x, acts, work);
        self.feed_forward(index, lora, acts, work, out);
    }

    /// `mid = x + o(attend(qkv(norm(x))))`
    #[allow(clippy::too_many_arguments)]
    fn attention(
        &self,
        index: usize,
        lora: Option<&Lora>,
        plan: &Plan<'_>,
        cache: Option<&mut CacheSlots<'_>>,
        x: &[f32],
        acts: &mut Activations,
        work: &mut Workspace,
    ) {
        let (config, block) = (self.config(), &self.weights.blocks[index]);
        let rows = plan.positions.len();
        acts.resize_attention(config, rows);
        work.normed.resize(x.len(), 0.0);
        rms_norm(x, &block.attn_norm, config.rms_norm_eps, &mut acts.attn_inv, &mut work.normed);
        let adapter = Adapter::of(lora, index, Group::Qkv);
        let linears = block.group(Group::Qkv);
        project(&work.normed, linears, adapter, &mut work.a, &mut acts.lora.qkv, &mut acts.qkv);
        let qkv = self.finish_heads(block, plan.positions, &mut acts.qkv, &mut acts.qk_inv, &mut work.turned);

        let queries = Columns { data: qkv, stride: config.qkv_width() };
        let kv = match cache {
            Some(cache) => cache.store(index, qkv),
            None => KeysValues {
                columns: queries,
                k_column: config.q_width(),
                v_column: config.q_width() + config.kv_width(),
            },
        };
        attend(self.heads(), queries, kv, plan.blocks, &mut acts.attn, &mut acts.log_sums);
        let adapter = Adapter::of(lora, index, Group::O);
        let linears = block.group(Group::O);
        project(&acts.attn, linears, adapter, &mut work.a, &mut acts.lora.o, &mut acts.mid);
        add_rows(&mut acts.mid, x);
    }

    /// Bias, head norms and rotary embedding, as far as the model has them: `qkv` goes from the product's rows to
    /// what [`Activations`] keeps, and the rows that attention reads come back, `[rows, qkv_width]` each.
    fn finish_heads<'a>(
        &self,
        block: &BlockWeights,
        positions: &[u32],
        qkv: &'a mut [f32],
        inv: &mut Vec<f32>,
        turned: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        let config = self.config();
        if let Some(bias) = &block.qkv_bias {
            qkv.par_chunks_exact_mut(bias.len()).for_each(|row| add_assign(row, bias));
        }
        match self.head_norms(block) {
            None => self.turn(Turn::Forward, qkv, positions),
            Some(norms) => {
                inv.resize(positions.len() * (config.num_heads + config.num_kv_heads), 0.0);
                norms.divide(qkv, config.qkv_width(), config.rms_norm_eps, inv);
            }
        }
        self.turned_again(block, positions, qkv, turned)
    }

    /// The rows that attention reads, from those that [`Activations`] keeps; `turned` is where they are made if
    /// the two differ.
    pub(crate) fn turned_again<'a>(
        &self,
        block: &BlockWeights,
        positions: &[u32],
        qkv: &'a [f32],
        turned: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        let Some(norms) = self.head_norms(block) else { return qkv };
        turned.clear();
        turned.extend_from_slice(qkv);
        norms.scale(turned, self.config().qkv_width());
        self.turn(Turn::Forward, turned, positions);
        turned
    }

    /// Rotates queries and keys; `qkv`: `[positions.len(), qkv_width]`.
    pub(crate) fn turn(&self, turn: Turn, qkv: &mut [f32], positions: &[u32]) {
        let config = self.config();
        self.rope.rotate(turn, qkv, config.qkv_width(), config.num_heads + config.num_kv_heads, positions);
    }

    pub(crate) fn head_norms<'a>(&self, block: &'a BlockWeights) -> Option<HeadNorms<'a>> {
        let (q, k) = (block.q_norm.as_deref()?, block.k_norm.as_deref()?);
        Some(HeadNorms { q, k, n: self.config().num_heads, n_kv: self.config().num_kv_heads })
    }

    /// `out = mid + down(swiglu(gate_up(norm(mid))))`
    fn feed_forward(
        &self,
        index: usize,
        lora: Option<&Lora>,
        acts: &mut Activations,
        work: &mut Workspace,
        out: &mut Vec<f32>,
    ) {
        let (config, block) = (self.config(), &self.weights.blocks[index]);
        let (rows, ffn) = (acts.mlp_inv.len(), config.intermediate_size);
        work.normed.resize(rows * config.hidden_size, 0.0);
        rms_norm(&acts.mid, &block.mlp_norm, config.rms_norm_eps, &mut acts.mlp_inv, &mut work.normed);
        let adapter = Adapter::of(lora, index, Group::GateUp);
        acts.gate_up.resize(rows * 2 * ffn, 0.0);
        let linears = block.group(Group::GateUp);
        project(&work.normed, linears, adapter, &mut work.a, &mut acts.lora.gate_up, &mut acts.gate_up);
        work.swiglu.resize(rows * ffn, 0.0);
        swiglu(&acts.gate_up, ffn, &mut work.swiglu);
        let adapter = Adapter::of(lora, index, Group::Down);
        out.resize(rows * config.hidden_size, 0.0);
        let linears = block.group(Group::Down);
        project(&work.swiglu, linears, adapter, &mut work.a, &mut acts.lora.down, out);
        add_rows(out, &acts.mid);
    }

    /// The last norm of chosen rows of the residual stream, `[rows.len(), hidden]`.
    pub(crate) fn normed_rows(&self, x: &[f32], rows: &[usize]) -> Vec<f32> {
        self.final_norm(&gather(x, rows, self.config().hidden_size)).0
    }

    /// The last norm, and `1 / rms` of each row.
    pub(crate) fn final_norm(&self, rows: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (mut inv, mut normed) =
            (vec![0.0; rows.len() / self.config().hidden_size], vec![0.0; rows.len()]);
        rms_norm(rows, &self.weights.norm, self.config().rms_norm_eps, &mut inv, &mut normed);
        (normed, inv)
    }

    /// Logits over the vocabulary for rows of normed hidden states.
    pub(crate) fn logits(&self, normed: &[f32]) -> Vec<f32> {
        let width = self.config().hidden_size;
        let mut logits = vec![0.0; normed.len() / width * self.config().vocab_size];
        linear(normed, self.weights.head(), &mut logits);
        logits
    }
}

impl Activations {
    fn resize_attention(&mut self, config: &LlamaConfig, rows: usize) {
        self.attn_inv.resize(rows, 0.0);
        self.qkv.resize(rows * config.qkv_width(), 0.0);
        self.attn.resize(rows * config.q_width(), 0.0);
        self.log_sums.resize(rows * config.num_heads, 0.0);
        self.mid.resize(rows * config.hidden_size, 0.0);
        self.mlp_inv.resize(rows, 0.0);
    }
}

/// The LoRA part of a fused product.
#[derive(Clone, Copy)]
pub(crate) struct Adapter<'a> {
    pub group: LoraGroup<'a>,
    pub scale: f32,
}

impl<'a> Adapter<'a> {
    pub fn new(lora: &'a Lora, block: usize, group: Group) -> Self {
        Adapter { group: lora.layout.group(&lora.values, block, group), scale: lora.scale }
    }

    pub fn of(lora: Option<&'a Lora>, block: usize, group: Group) -> Option<Self> {
        lora.map(|lora| Adapter::new(lora, block, group))
    }
}

/// `out = x w^T + (scale x A^T) B^T` for the linear layers `w` side by side; `ax` keeps `scale x A^T`,
/// `[rows, parts * rank]`. `a` is scratch.
fn project(
    x: &[f32],
    linears: &[Panels],
    adapter: Option<Adapter<'_>>,
    a: &mut Vec<f32>,
    ax: &mut Vec<f32>,
    out: &mut [f32],
) {
    let width = linears.iter().map(Panels::n_out).sum();
    let k = linears[0].n_in();
    let rows = x.len() / k;
    let x = Mat::new(x, rows, k);
    if let Some(Adapter { group, scale }) = adapter {
        transpose(group.a(), k, a);
        ax.resize(rows * group.stacked(), 0.0);
        let term = Term { left: x, right: Factor::Mat(Mat::new(a, k, group.stacked())) };
        product(MatMut::new(ax, rows, group.stacked()), Write::Set, &[term]);
        scale_all(ax, scale);
    }
    let terms: Vec<Vec<Term<'_>>> = linears
        .iter()
        .enumerate()
        .map(|(part, w)| {
            let frozen = Term { left: x, right: Factor::Transposed(w) };
            let Some(Adapter { group, .. }) = adapter else { return vec![frozen] };
            let rank = group.rank();
            let ax = Mat::new(ax, rows, group.stacked()).columns(part * rank..(part + 1) * rank);
            let b = Mat::new(group.b(part), w.n_out(), rank);
            vec![frozen, Term { left: ax, right: Factor::Mat(b.t()) }]
        })
        .collect();
    let parts = MatMut::new(out, rows, width).side_by_side(linears.iter().map(Panels::n_out));
    let parts = parts.zip(&terms).map(|(out, terms)| Product { out, write: Write::Set, terms });
    products(&mut parts.collect::<Vec<_>>());
}

/// `out += x`, on all threads.
fn add_rows(out: &mut [f32], x: &[f32]) {
    const CHUNK: usize = 1 << 14;
    out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(out, x)| add_assign(out, x));
}

/// Chosen rows of a matrix.
pub(crate) fn gather(x: &[f32], rows: &[usize], width: usize) -> Vec<f32> {
    rows.iter().flat_map(|&row| &x[row * width..(row + 1) * width]).copied().collect()
}

fn check_shapes(weights: &LlamaWeights) -> Result<(), EngineError> {
    let c = &weights.config;
    let check = |name: String, found: usize, expected: usize| {
        if found == expected {
            return Ok(());
        }
        Err(EngineError::Config {
            reason: format!("{name} has {found} values where the shape says {expected}"),
        })
    };
    let check_matrix = |name: String, matrix: &Panels, [n_out, n_in]: [usize; 2]| {
        check(format!("a row of {name}"), matrix.n_in(), n_in)?;
        check(format!("a column of {name}"), matrix.n_out(), n_out)
    };
    check_matrix("embedding".into(), &weights.embedding, [c.vocab_size, c.hidden_size])?;
    check_matrix("head".into(), weights.head(), [c.vocab_size, c.hidden_size])?;
    check("norm".into(), weights.norm.len(), c.hidden_size)?;
    check("blocks".into(), weights.blocks.len(), c.num_layers)?;
    for (i, block) in weights.blocks.iter().enumerate() {
        check(format!("attn_norm of block {i}"), block.attn_norm.len(), c.hidden_size)?;
        check(format!("mlp_norm of block {i}"), block.mlp_norm.len(), c.hidden_size)?;
        for module in MODULES {
            check_matrix(format!("{} of block {i}", module.name), block.linear(module), module.shape(c))?;
        }
        let (biased, normed) = (c.family == Family::Qwen2, c.family == Family::Qwen3);
        for (name, found, expected) in [
            ("qkv_bias", &block.qkv_bias, biased.then(|| c.qkv_width())),
            ("q_norm", &block.q_norm, normed.then_some(c.head_dim)),
            ("k_norm", &block.k_norm, normed.then_some(c.head_dim)),
        ] {
            check(format!("{name} of block {i}"), found.as_ref().map_or(0, Vec::len), expected.unwrap_or(0))?;
        }
    }
    Ok(())
}
