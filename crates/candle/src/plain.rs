//! The same model in candle's plain operators and automatic differentiation: short, slow on a CPU, and at home on
//! whatever device candle knows. It is the oracle that the engine's own passes are tested against, and what runs on an
//! accelerator.
//!
//! Only operators with a backward pass are used; candle-nn's fused `softmax_last_dim`, `rms_norm` and `rope`
//! would silently cut the gradient.

use crate::backward::{Sequence, targets};
use crate::forest::Forest;
use crate::kernels::attention::QueryBlock;
use crate::kernels::loss::Target;
use crate::lora::{Lora, LoraTensor};
use crate::{BlockWeights, LlamaConfig, LlamaWeights};
use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::ops::{log_softmax, softmax};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Frozen weights as candle's tensors, on one device in one type of numbers.
#[derive(Debug)]
pub struct PlainWeights {
    config: LlamaConfig,
    embedding: Tensor,
    head: Tensor,
    norm: Tensor,
    blocks: Vec<HashMap<&'static str, Tensor>>,
    biases: Vec<HashMap<&'static str, Tensor>>,
    dtype: DType,
    device: Device,
}

impl PlainWeights {
    /// Copies weights to `device` in `dtype`.
    ///
    /// # Errors
    /// Whatever candle reports.
    pub fn new(weights: &LlamaWeights, dtype: DType, device: &Device) -> Result<Self> {
        let c = weights.config.clone();
        let tensor =
            |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, device)?.to_dtype(dtype);
        let embedding = tensor(&weights.embedding.unpack(), &[c.vocab_size, c.hidden_size])?;
        let head = match weights.head {
            Some(_) => tensor(&weights.head().unpack(), &[c.vocab_size, c.hidden_size])?,
            None => embedding.clone(),
        };
        let blocks = weights.blocks.iter().map(|block| unfused(&c, block, &tensor)).collect::<Result<_>>()?;
        let biases = weights.blocks.iter().map(|block| biases(&c, block, &tensor)).collect::<Result<_>>()?;
        Ok(PlainWeights {
            norm: tensor(&weights.norm, &[c.hidden_size])?,
            config: c,
            embedding,
            head,
            blocks,
            biases,
            dtype,
            device: device.clone(),
        })
    }

    fn tensor(&self, values: &[f32], shape: &[usize]) -> Result<Tensor> {
        Tensor::from_slice(values, shape, &self.device)?.to_dtype(self.dtype)
    }
}

/// A model whose LoRA matrices are candle variables.
#[derive(Debug)]
pub struct PlainLlama {
    frozen: Arc<PlainWeights>,
    lora: Vec<(LoraTensor, Var)>,
    /// Where a linear layer's `A` and `B` stand in `lora`.
    pairs: HashMap<(usize, &'static str), [usize; 2]>,
    scale: f64,
}

/// Keys and values of tokens already computed, `[capacity, kv_width]` each, for every block.
pub(crate) struct PlainCache {
    layers: Vec<[Tensor; 2]>,
}

/// A cache and the rows that the tokens of the present pass go to.
pub(crate) struct PlainSlots<'a> {
    pub cache: &'a PlainCache,
    pub slots: &'a [Range<usize>],
}

/// What the blocks of one pass have in common.
struct Shared<'a> {
    cos: Tensor,
    sin: Tensor,
    /// 0 where a row sees a key, minus infinity elsewhere, `[rows, keys]`.
    mask: Tensor,
    cache: Option<&'a PlainSlots<'a>>,
}

impl PlainLlama {
    /// Copies weights and adapter to `device` in `dtype`.
    ///
    /// # Errors
    /// Whatever candle reports.
    pub fn new(weights: &LlamaWeights, lora: &Lora, dtype: DType, device: &Device) -> Result<Self> {
        Self::with(Arc::new(PlainWeights::new(weights, dtype, device)?), Some(lora))
    }

    /// Weights with an adapter, or without.
    ///
    /// # Errors
    /// Whatever candle reports.
    pub fn with(frozen: Arc<PlainWeights>, lora: Option<&Lora>) -> Result<Self> {
        let (mut vars, mut pairs) = (Vec::new(), HashMap::new());
        for (t, lora) in lora.iter().flat_map(|lora| lora.layout.tensors().map(move |t| (t, lora))) {
            let var = Var::from_tensor(&frozen.tensor(&lora.values[t.at.clone()], &t.shape)?)?;
            pairs.entry((t.block, t.module.name)).or_insert([0; 2])[usize::from(t.is_b)] = vars.len();
            vars.push((t, var));
        }
        let scale = lora.map_or(0.0, |lora| f64::from(lora.scale));
        Ok(PlainLlama { frozen, lora: vars, pairs, scale })
    }

    /// Takes over the values of an adapter of the same layout.
    pub(crate) fn set_lora(&self, lora: &Lora) -> Result<()> {
        self.lora
            .iter()
            .try_for_each(|(t, var)| var.set(&self.frozen.tensor(&lora.values[t.at.clone()], &t.shape)?))
    }

    /// Logits at every row of the forest, `[rows, vocab]`.
    ///
    /// # Errors
    /// Whatever candle reports.
    pub fn logits(&self, forest: &Forest) -> Result<Tensor> {
        self.head(&self.hidden(forest)?)
    }

    /// What the last block makes of the forest, `[rows, hidden]`.
    fn hidden(&self, forest: &Forest) -> Result<Tensor> {
        self.run(forest.tokens(), forest.positions(), &forest.query_blocks(0), None)
    }

    /// What the last block makes of `tokens`, `[rows, hidden]`. With a cache, keys and values go to its slots, and the
    /// blocks' keys are rows of it.
    pub(crate) fn run(
        &self,
        tokens: &[u32],
        positions: &[u32],
        blocks: &[QueryBlock],
        cache: Option<&PlainSlots<'_>>,
    ) -> Result<Tensor> {
        let frozen = &self.frozen;
        let ids = Tensor::from_slice(tokens, tokens.len(), &frozen.device)?;
        let mut x = frozen.embedding.index_select(&ids, 0)?;
        let (cos, sin) = self.angles(positions)?;
        let shared = Shared { cos, sin, mask: self.mask(tokens.len(), blocks)?, cache };
        for index in 0..frozen.config.num_layers {
            x = (&x + self.attention(index, &x, &shared)?)?;
            x = (&x + self.feed_forward(index, &x)?)?;
        }
        Ok(x)
    }

    /// The logits after some rows of `x`, one after the other.
    pub(crate) fn logits_after(&self, x: &Tensor, rows: &[usize]) -> Result<Vec<f32>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        self.head(&self.at(x, rows)?)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
    }

    /// `ln P` of each target after its row of the forest.
    pub(crate) fn target_logprobs(
        &self,
        forest: &Forest,
        rows: &[usize],
        targets: &[Target],
    ) -> Result<Vec<f32>> {
        let logits = self.head(&self.at(&self.hidden(forest)?, rows)?)?;
        self.logprobs(&logits, targets)?.to_dtype(DType::F32)?.to_vec1()
    }

    /// The weighted sum of the negative log-likelihoods of the sequences' responses, times `scale`, and its
    /// gradient laid out as the adapter's parameters.
    ///
    /// # Errors
    /// Whatever candle reports.
    pub fn loss_and_gradient(&self, sequences: &[Sequence], scale: f64) -> Result<(f64, Vec<f64>)> {
        let inputs: Vec<&[u32]> = sequences.iter().map(|s| &s.tokens[..s.tokens.len() - 1]).collect();
        let forest = Forest::pack(&inputs);
        let (rows, targets) = targets(&forest, sequences);
        let logits = self.head(&self.at(&self.hidden(&forest)?, &rows)?)?;
        let weights: Vec<f32> = targets.iter().map(|target| target.weight).collect();
        let weights = self.frozen.tensor(&weights, &[weights.len()])?;
        let loss = (self.logprobs(&logits, &targets)?.neg()? * weights)?.sum_all()?;
        let grads = loss.affine(scale, 0.0)?.backward()?;
        let mut flat = vec![0.0; self.lora.iter().map(|(t, _)| t.at.end).max().unwrap_or(0)];
        for (tensor, var) in &self.lora {
            if let Some(grad) = grads.get(var) {
                let values = on_cpu(grad)?.flatten_all()?.to_vec1::<f64>()?;
                flat[tensor.at.clone()].copy_from_slice(&values);
            }
        }
        Ok((on_cpu(&loss)?.to_scalar::<f64>()?, flat))
    }

    /// An empty cache.
    pub(crate) fn cache(&self, capacity: usize) -> Result<PlainCache> {
        let frozen = &self.frozen;
        let zeros = || Tensor::zeros((capacity, frozen.config.kv_width()), frozen.dtype, &frozen.device);
        let layers = (0..frozen.config.num_layers).map(|_| Ok([zeros()?, zeros()?]));
        Ok(PlainCache { layers: layers.collect::<Result<_>>()? })
    }

    fn at(&self, x: &Tensor, rows: &[usize]) -> Result<Tensor> {
        let rows: Vec<u32> = rows.iter().map(|row| *row as u32).collect();
        x.index_select(&Tensor::new(rows, &self.frozen.device)?, 0)
    }

    fn head(&self, x: &Tensor) -> Result<Tensor> {
        self.rms_norm(x, &self.frozen.norm)?.matmul(&self.frozen.head.t()?)
    }

    /// `[targets]`, of as many rows of logits.
    fn logprobs(&self, logits: &Tensor, targets: &[Target]) -> Result<Tensor> {
        let ids: Vec<u32> = targets.iter().map(|target| target.token).collect();
        let ids = Tensor::from_vec(ids, (targets.len(), 1), &self.frozen.device)?;
        log_softmax(logits, D::Minus1)?.gather(&ids, 1)?.flatten_all()
    }

    fn attention(&self, index: usize, x: &Tensor, shared: &Shared<'_>) -> Result<Tensor> {
        let frozen = &self.frozen;
        let c = &frozen.config;
        let rows = x.dim(0)?;
        let normed = self.rms_norm(x, &frozen.blocks[index]["attn_norm"])?;
        let heads = |x: Tensor, n| x.reshape((x.dim(0)?, n, c.head_dim))?.transpose(0, 1)?.contiguous();
        let turned = |name, n, norm| {
            let x = heads(self.linear(index, name, &normed)?, n)?;
            let x = match frozen.blocks[index].get(norm) {
                Some(scale) => self.rms_norm(&x, scale)?,
                None => x,
            };
            rotate(&x, &shared.cos, &shared.sin)
        };
        let q = turned("self_attn.q_proj", c.num_heads, "q_norm")?;
        let mut k = turned("self_attn.k_proj", c.num_kv_heads, "k_norm")?;
        let v = self.linear(index, "self_attn.v_proj", &normed)?;
        let v = match shared.cache {
            None => heads(v, c.num_kv_heads)?,
            Some(PlainSlots { cache, slots }) => {
                let [keys, values] = &cache.layers[index];
                let flat = k.transpose(0, 1)?.contiguous()?.reshape((rows, c.kv_width()))?;
                store(keys, &flat, slots)?;
                store(values, &v, slots)?;
                let seen = shared.mask.dim(1)?;
                k = heads(keys.narrow(0, 0, seen)?, c.num_kv_heads)?;
                heads(values.narrow(0, 0, seen)?, c.num_kv_heads)?
            }
        };
        let of_head: Vec<u32> =
            (0..c.num_heads).map(|h| (h / (c.num_heads / c.num_kv_heads)) as u32).collect();
        let of_head = Tensor::new(of_head, &frozen.device)?;
        let (k, v) = (k.index_select(&of_head, 0)?, v.index_select(&of_head, 0)?);
        let scores =
            (q.matmul(&k.transpose(1, 2)?)? / (c.head_dim as f64).sqrt())?.broadcast_add(&shared.mask)?;
        let out = softmax(&scores, D::Minus1)?.matmul(&v)?;
        let out = out.transpose(0, 1)?.contiguous()?.reshape((rows, c.q_width()))?;
        self.linear(index, "self_attn.o_proj", &out)
    }

    fn feed_forward(&self, index: usize, x: &Tensor) -> Result<Tensor> {
        let normed = self.rms_norm(x, &self.frozen.blocks[index]["mlp_norm"])?;
        let gate = self.linear(index, "mlp.gate_proj", &normed)?.silu()?;
        let up = self.linear(index, "mlp.up_proj", &normed)?;
        self.linear(index, "mlp.down_proj", &(gate * up)?)
    }

    fn linear(&self, index: usize, name: &'static str, x: &Tensor) -> Result<Tensor> {
        let mut out = x.matmul(&self.frozen.blocks[index][name].t()?)?;
        if let Some(bias) = self.frozen.biases[index].get(name) {
            out = out.broadcast_add(bias)?;
        }
        if let Some([a, b]) = self.pairs.get(&(index, name)).map(|pair| pair.map(|at| &self.lora[at].1)) {
            let change = x.matmul(&a.t()?)?.matmul(&b.t()?)?;
            out = (out + change.affine(self.scale, 0.0)?)?;
        }
        Ok(out)
    }

    fn rms_norm(&self, x: &Tensor, scale: &Tensor) -> Result<Tensor> {
        let mean = x.sqr()?.mean_keepdim(D::Minus1)?;
        let root = (mean + f64::from(self.frozen.config.rms_norm_eps))?.sqrt()?;
        x.broadcast_div(&root)?.broadcast_mul(scale)
    }

    fn angles(&self, positions: &[u32]) -> Result<(Tensor, Tensor)> {
        let frequencies = self.frozen.config.rope_frequencies();
        let angles = || positions.iter().flat_map(|&p| frequencies.iter().map(move |f| f64::from(p) * f));
        let shape = (positions.len(), frequencies.len());
        // Not every device has f64, so cosines are made before they go there.
        let tensor = |values: Vec<f64>| {
            let on_cpu = Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(self.frozen.dtype)?;
            on_cpu.to_device(&self.frozen.device)
        };
        Ok((tensor(angles().map(f64::cos).collect())?, tensor(angles().map(f64::sin).collect())?))
    }

    /// 0 where a row sees a key, minus infinity elsewhere, `[rows, keys]`.
    fn mask(&self, rows: usize, blocks: &[QueryBlock]) -> Result<Tensor> {
        let last = |block: &QueryBlock| seen(block, block.rows.end - 1).map(|keys| keys.end).max();
        let keys = blocks.iter().filter_map(last).max().unwrap_or(0);
        let mut mask = vec![f32::NEG_INFINITY; rows * keys];
        for block in blocks {
            for row in block.rows.clone() {
                seen(block, row).flatten().for_each(|key| mask[row * keys + key] = 0.0);
            }
        }
        self.frozen.tensor(&mask, &[rows, keys])
    }
}

/// Not every device has f64.
fn on_cpu(x: &Tensor) -> Result<Tensor> {
    x.to_device(&Device::Cpu)?.to_dtype(DType::F64)
}

/// The keys that a row of the block sees.
fn seen(block: &QueryBlock, row: usize) -> impl Iterator<Item = Range<usize>> {
    let own = block.own..block.own + row - block.rows.start + 1;
    block.past.iter().cloned().chain([own])
}

/// Writes the rows of `x` to slots of a cache, which take them in order.
fn store(cache: &Tensor, x: &Tensor, slots: &[Range<usize>]) -> Result<()> {
    let mut next = 0;
    for slot in slots.iter().filter(|slot| !slot.is_empty()) {
        cache.slice_set(&x.narrow(0, next, slot.len())?.contiguous()?, 0, slot.start)?;
        next += slot.len();
    }
    Ok(())
}

/// `x`: `[heads, rows, dim]`; `cos`, `sin`: `[rows, dim / 2]`.
fn rotate(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let half = x.dim(D::Minus1)? / 2;
    let (low, high) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
    let turned_low = (low.broadcast_mul(cos)? - high.broadcast_mul(sin)?)?;
    let turned_high = (high.broadcast_mul(cos)? + low.broadcast_mul(sin)?)?;
    Tensor::cat(&[turned_low, turned_high], D::Minus1)
}

fn unfused(
    c: &LlamaConfig,
    block: &BlockWeights,
    tensor: &impl Fn(&[f32], &[usize]) -> Result<Tensor>,
) -> Result<HashMap<&'static str, Tensor>> {
    let mut parts = HashMap::from([
        ("attn_norm", tensor(&block.attn_norm, &[c.hidden_size])?),
        ("mlp_norm", tensor(&block.mlp_norm, &[c.hidden_size])?),
    ]);
    for module in crate::MODULES {
        parts.insert(module.name, tensor(&block.linear(module).unpack(), &module.shape(c))?);
    }
    for (name, scale) in [("q_norm", &block.q_norm), ("k_norm", &block.k_norm)] {
        if let Some(scale) = scale {
            parts.insert(name, tensor(scale, &[c.head_dim])?);
        }
    }
    Ok(parts)
}

/// By the name of the linear layer that has one.
fn biases(
    c: &LlamaConfig,
    block: &BlockWeights,
    tensor: &impl Fn(&[f32], &[usize]) -> Result<Tensor>,
) -> Result<HashMap<&'static str, Tensor>> {
    let biased = crate::MODULES.into_iter().filter_map(|module| Some((module.name, block.bias(module, c)?)));
    biased.map(|(name, bias)| Ok((name, tensor(bias, &[bias.len()])?))).collect()
}
