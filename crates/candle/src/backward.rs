//! Loss and LoRA gradients of a batch: one forward pass, one backward pass, no gradient for frozen weights.

use crate::forest::Forest;
use crate::kernels::attention::{Attended, attend_backward};
use crate::kernels::gemm::{Mat, MatMut, Write};
use crate::kernels::loss::{Target, cross_entropy};
use crate::kernels::norm::{rms_norm_again, rms_norm_backward};
use crate::kernels::on_the_pool;
use crate::kernels::panels::Panels;
use crate::kernels::product::{Factor, Product, Term, products};
use crate::kernels::rope::Turn;
use crate::kernels::swiglu::{swiglu, swiglu_backward};
use crate::kernels::transpose::add_transposed;
use crate::kernels::vector::scale_all;
use crate::llama::{Activations, Adapter, Llama, Plan, Workspace};
use crate::lora::{Group, Lora};

/// Tokens to read and tokens to learn.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// Prompt and response.
    pub tokens: Vec<u32>,
    /// The response's first token; the loss is on it and all after it. At least 1.
    pub n_prompt: usize,
    /// Weight of each response token in the loss.
    pub weight: f32,
}

impl Sequence {
    /// Sum of the weights of the tokens to learn.
    pub fn total_weight(&self) -> f64 {
        f64::from(self.weight) * (self.tokens.len() - self.n_prompt) as f64
    }
}

/// Runs training passes, keeping its buffers from one to the next.
#[derive(Debug, Default)]
pub struct Pass {
    recompute: bool,
    acts: Vec<Activations>,
    inputs: Vec<Vec<f32>>,
    work: Workspace,
    back: BackwardBuffers,
}

/// Gradients of `A x`, and of a `B`, transposed.
#[derive(Debug, Default)]
struct LoraBuffers {
    d_ax: Vec<f32>,
    d_b: Vec<f32>,
}

#[derive(Debug, Default)]
struct BackwardBuffers {
    d_x: Vec<f32>,
    d_normed: Vec<f32>,
    d_swiglu: Vec<f32>,
    d_attn: Vec<f32>,
    d_qkv: Vec<f32>,
    lora: LoraBuffers,
    attention: Vec<f32>,
}

impl Pass {
    /// With `recompute`, only each block's input is kept and the rest is computed again in the backward pass:
    /// a third more arithmetic for memory that hardly grows with the number of layers.
    pub fn new(recompute: bool) -> Self {
        Pass { recompute, ..Pass::default() }
    }

    /// Adds to `grad` the gradient of `scale * sum weight * nll` over all response tokens of `sequences`, and
    /// returns that sum unscaled. `grad` is laid out as `lora.values`.
    ///
    /// # Panics
    /// If a sequence has no prompt or no response, an id outside the vocabulary, or more tokens than the
    /// model's context.
    pub fn accumulate(
        &mut self,
        model: &Llama,
        lora: &Lora,
        sequences: &[Sequence],
        scale: f32,
        grad: &mut [f32],
    ) -> f64 {
        if sequences.is_empty() {
            return 0.0;
        }
        for sequence in sequences {
            let (n_prompt, len) = (sequence.n_prompt, sequence.tokens.len());
            assert!(0 < n_prompt && n_prompt < len, "a sequence of {len} tokens with a prompt of {n_prompt}");
            assert!(len <= model.config().max_context, "a sequence of {len} tokens is over the context");
        }
        let inputs: Vec<&[u32]> = sequences.iter().map(|s| &s.tokens[..s.tokens.len() - 1]).collect();
        let forest = Forest::pack(&inputs);
        let (rows, targets) = targets(&forest, sequences);
        let blocks = forest.query_blocks(0);
        let plan = Plan { positions: forest.positions(), blocks: &blocks };
        on_the_pool(|| {
            self.forward(model, lora, &plan, forest.tokens());
            let loss = self.head(model, &rows, &targets, scale);
            self.backward(model, lora, &plan, grad);
            loss
        })
    }

    fn forward(&mut self, model: &Llama, lora: &Lora, plan: &Plan<'_>, tokens: &[u32]) {
        let n_blocks = model.config().num_layers;
        self.inputs.resize_with(n_blocks + 1, Vec::new);
        self.acts.resize_with(if self.recompute { 1 } else { n_blocks }, Activations::default);
        model.embed(tokens, &mut self.inputs[0]);
        for index in 0..n_blocks {
            let (before, after) = self.inputs.split_at_mut(index + 1);
            let acts = &mut self.acts[if self.recompute { 0 } else { index }];
            model.block(index, Some(lora), plan, None, &before[index], acts, &mut self.work, &mut after[0]);
        }
    }

    /// The loss, and its gradient with respect to the last block's output in `d_x`.
    fn head(&mut self, model: &Llama, rows: &[usize], targets: &[Target], scale: f32) -> f64 {
        let width = model.config().hidden_size;
        let x = &self.inputs[model.config().num_layers];
        let gathered = crate::llama::gather(x, rows, width);
        let (normed, inv) = model.final_norm(&gathered);
        let mut d_normed = vec![0.0; normed.len()];
        let logprobs = cross_entropy(&normed, model.weights.head(), targets, scale, &mut d_normed);
        let mut d_rows = vec![0.0; gathered.len()];
        rms_norm_backward(&d_normed, &gathered, &model.weights.norm, &inv, &mut d_rows);
        let d_x = &mut self.back.d_x;
        d_x.clear();
        d_x.resize(x.len(), 0.0);
        for (&row, d_row) in rows.iter().zip(d_rows.chunks_exact(width)) {
            crate::kernels::vector::add_assign(&mut d_x[row * width..(row + 1) * width], d_row);
        }
        logprobs.iter().zip(targets).map(|(&l, t)| -f64::from(l) * f64::from(t.weight)).sum()
    }

    fn backward(&mut self, model: &Llama, lora: &Lora, plan: &Plan<'_>, grad: &mut [f32]) {
        for index in (0..model.config().num_layers).rev() {
            let x = std::mem::take(&mut self.inputs[index]);
            if self.recompute {
                // The block's output is not needed: its slot serves as a buffer.
                let out = &mut self.inputs[index + 1];
                model.block(index, Some(lora), plan, None, &x, &mut self.acts[0], &mut self.work, out);
            }
            let acts = &mut self.acts[if self.recompute { 0 } else { index }];
            let mut block = BlockBackward {
                model,
                lora,
                index,
                acts,
                work: &mut self.work,
                back: &mut self.back,
                grad: &mut grad[lora.layout.block_range(index)],
            };
            block.feed_forward();
            block.attention(plan, &x);
            self.inputs[index] = x;
        }
    }
}

/// Row and token of everything to be learnt. The row that predicts a token is the one before it.
pub(crate) fn targets(forest: &Forest, sequences: &[Sequence]) -> (Vec<usize>, Vec<Target>) {
    let mut rows = Vec::new();
    let mut targets = Vec::new();
    for (index, sequence) in sequences.iter().enumerate() {
        let learnt = &sequence.tokens[sequence.n_prompt..];
        rows.extend(forest.rows(index).skip(sequence.n_prompt - 1));
        targets.extend(learnt.iter().map(|&token| Target { token, weight: sequence.weight }));
    }
    (rows, targets)
}

/// The backward pass of one block; `back.d_x` holds the gradient of its output, then of its input.
struct BlockBackward<'a> {
    model: &'a Llama,
    lora: &'a Lora,
    index: usize,
    acts: &'a mut Activations,
    work: &'a mut Workspace,
    back: &'a mut BackwardBuffers,
    grad: &'a mut [f32],
}

impl BlockBackward<'_> {
    fn adapter(&self, group: Group) -> Adapter<'_> {
        Adapter::new(self.lora, self.index, group)
    }

    fn feed_forward(&mut self) {
        let block = &self.model.weights.blocks[self.index];
        let ffn = self.model.config().intermediate_size;
        self.work.swiglu.resize(self.acts.mlp_inv.len() * ffn, 0.0);
        swiglu(&self.acts.gate_up, ffn, &mut self.work.swiglu);
        let mut d_swiglu = std::mem::take(&mut self.back.d_swiglu);
        let mut d_normed = std::mem::take(&mut self.back.d_normed);
        let (d_x, mut buffers) = (std::mem::take(&mut self.back.d_x), std::mem::take(&mut self.back.lora));

        let grad = std::mem::take(&mut self.grad);
        let io = Io { x: &self.work.swiglu, ax: &self.acts.lora.down, d_out: &d_x };
        let linears = block.group(Group::Down);
        project_backward(io, linears, self.adapter(Group::Down), &mut buffers, Some(&mut d_swiglu), grad);
        swiglu_backward(&d_swiglu, ffn, &mut self.acts.gate_up);
        self.work.normed.resize(self.acts.mid.len(), 0.0);
        rms_norm_again(&self.acts.mid, &block.mlp_norm, &self.acts.mlp_inv, &mut self.work.normed);
        let io = Io { x: &self.work.normed, ax: &self.acts.lora.gate_up, d_out: &self.acts.gate_up };
        let linears = block.group(Group::GateUp);
        project_backward(io, linears, self.adapter(Group::GateUp), &mut buffers, Some(&mut d_normed), grad);
        self.grad = grad;

        self.back.d_x = d_x;
        rms_norm_backward(&d_normed, &self.acts.mid, &block.mlp_norm, &self.acts.mlp_inv, &mut self.back.d_x);
        (self.back.d_swiglu, self.back.d_normed, self.back.lora) = (d_swiglu, d_normed, buffers);
    }

    fn attention(&mut self, plan: &Plan<'_>, x: &[f32]) {
        let block = &self.model.weights.blocks[self.index];
        let mut d_attn = std::mem::take(&mut self.back.d_attn);
        let mut d_normed = std::mem::take(&mut self.back.d_normed);
        let (d_x, mut buffers) = (std::mem::take(&mut self.back.d_x), std::mem::take(&mut self.back.lora));

        let grad = std::mem::take(&mut self.grad);
        let io = Io { x: &self.acts.attn, ax: &self.acts.lora.o, d_out: &d_x };
        let linears = block.group(Group::O);
        project_backward(io, linears, self.adapter(Group::O), &mut buffers, Some(&mut d_attn), grad);
        self.scores(plan, &d_attn);
        self.unfinish_heads(plan.positions);
        self.work.normed.resize(x.len(), 0.0);
        rms_norm_again(x, &block.attn_norm, &self.acts.attn_inv, &mut self.work.normed);
        let io = Io { x: &self.work.normed, ax: &self.acts.lora.qkv, d_out: &self.back.d_qkv };
        // Nothing below the first block is trained.
        let wanted = (self.index > 0).then_some(&mut d_normed);
        let linears = block.group(Group::Qkv);
        project_backward(io, linears, self.adapter(Group::Qkv), &mut buffers, wanted, grad);
        self.grad = grad;

        self.back.d_x = d_x;
        if self.index > 0 {
            rms_norm_backward(&d_normed, x, &block.attn_norm, &self.acts.attn_inv, &mut self.back.d_x);
        }
        (self.back.d_attn, self.back.d_normed, self.back.lora) = (d_attn, d_normed, buffers);
    }

    fn scores(&mut self, plan: &Plan<'_>, d_attn: &[f32]) {
        let (model, acts) = (self.model, &*self.acts);
        let block = &model.weights.blocks[self.index];
        let qkv = model.turned_again(block, plan.positions, &acts.qkv, &mut self.work.turned);
        let attended = Attended { out: &acts.attn, log_sums: &acts.log_sums };
        self.back.d_qkv.resize(qkv.len(), 0.0);
        attend_backward(
            model.heads(),
            qkv,
            plan.blocks,
            attended,
            d_attn,
            &mut self.back.attention,
            &mut self.back.d_qkv,
        );
    }

    /// From the gradient of the rows that attention read to that of the product's, in `back.d_qkv`; the bias is
    /// frozen and passes it on.
    fn unfinish_heads(&mut self, positions: &[u32]) {
        let (model, d_qkv) = (self.model, &mut self.back.d_qkv);
        model.turn(Turn::Backward, d_qkv, positions);
        if let Some(norms) = model.head_norms(&model.weights.blocks[self.index]) {
            norms.backward(&self.acts.qkv, &self.acts.qk_inv, model.config().qkv_width(), d_qkv);
        }
    }
}

/// A fused product's input, its `scale A x`, and the gradient of its output.
struct Io<'a> {
    x: &'a [f32],
    ax: &'a [f32],
    d_out: &'a [f32],
}

/// Adds the gradients of `A` and of each `B` to `grad`, and overwrites `d_x` with the input's if it is wanted.
///
/// `dB += dOut^T (scale A x)`, `d(Ax) = scale * dOut B`, `dA += d(Ax)^T x`, `dX = dOut W + d(Ax) A`.
fn project_backward(
    io: Io<'_>,
    linears: &[Panels],
    adapter: Adapter<'_>,
    buffers: &mut LoraBuffers,
    d_x: Option<&mut Vec<f32>>,
    grad: &mut [f32],
) {
    let Adapter { group, scale } = adapter;
    let LoraBuffers { d_ax, d_b } = buffers;
    let (k, stacked, rank) = (linears[0].n_in(), group.stacked(), group.rank());
    let width = linears.iter().map(Panels::n_out).sum();
    let rows = io.x.len() / k;
    let (a_at, b_at) = group.places();
    d_ax.resize(rows * stacked, 0.0);
    d_b.resize(rank * width, 0.0);
    let d_out = Mat::new(io.d_out, rows, width);
    let ax = Mat::new(io.ax, rows, stacked);
    let mut next = 0;
    let parts: Vec<Part<'_>> = linears
        .iter()
        .enumerate()
        .map(|(part, w)| {
            let first = next;
            next += w.n_out();
            let (d_out, ax) = (d_out.columns(first..next), ax.columns(part * rank..(part + 1) * rank));
            Part {
                frozen: Term { left: d_out, right: Factor::Plain(w) },
                to_b: Term { left: ax.t(), right: Factor::Mat(d_out) },
                to_ax: Term { left: d_out, right: Factor::Mat(Mat::new(group.b(part), w.n_out(), rank)) },
            }
        })
        .collect();
    let widths = || linears.iter().map(Panels::n_out);
    let d_bs = split(d_b, widths().map(|n_out| rank * n_out));
    let to_b = d_bs.zip(widths()).map(|(d_b, n_out)| MatMut::new(d_b, rank, n_out));
    let to_ax = MatMut::new(d_ax, rows, stacked).side_by_side(parts.iter().map(|_| rank));
    let set = |(out, term)| Product { out, write: Write::Set, terms: std::slice::from_ref(term) };
    let to_b = to_b.zip(parts.iter().map(|part| &part.to_b)).map(set);
    let to_ax = to_ax.zip(parts.iter().map(|part| &part.to_ax)).map(set);
    products(&mut to_b.chain(to_ax).collect::<Vec<_>>());
    for ((d_b, n_out), at) in split(d_b, widths().map(|n_out| rank * n_out)).zip(widths()).zip(b_at) {
        add_transposed(d_b, n_out, &mut grad[at.clone()]);
    }
    scale_all(d_ax, scale);

    let d_ax = Mat::new(d_ax, rows, stacked);
    let to_a = [Term { left: d_ax.t(), right: Factor::Mat(Mat::new(io.x, rows, k)) }];
    let to_a = Product { out: MatMut::new(&mut grad[a_at], stacked, k), write: Write::Add, terms: &to_a };
    let Some(d_x) = d_x else { return products(&mut [to_a]) };
    d_x.resize(rows * k, 0.0);
    let through_a = Term { left: d_ax, right: Factor::Mat(Mat::new(group.a(), stacked, k)) };
    let terms: Vec<Term<'_>> = parts.iter().map(|part| part.frozen).chain([through_a]).collect();
    products(&mut [Product { out: MatMut::new(d_x, rows, k), write: Write::Set, terms: &terms }, to_a]);
}

/// Where a linear layer's share of the output's gradient goes.
struct Part<'a> {
    /// Through its weights to the input.
    frozen: Term<'a>,
    /// To its `B`, transposed.
    to_b: Term<'a>,
    /// Through its `B` to its columns of `A x`.
    to_ax: Term<'a>,
}

/// Consecutive pieces of these lengths.
fn split(values: &mut [f32], lens: impl Iterator<Item = usize>) -> impl Iterator<Item = &mut [f32]> {
    let mut rest = values;
    lens.map(move |len| {
        let (part, beyond) = std::mem::take(&mut rest).split_at_mut(len);
        rest = beyond;
        part
    })
}
