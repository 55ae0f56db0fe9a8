//! The same model in candle's plain operators and automatic differentiation: slow, short, and the oracle that
//! the engine's own passes are tested against.
//!
//! Only operators with a backward pass are used; candle-nn's fused `softmax_last_dim`, `rms_norm` and `rope`
//! would silently cut the gradient.

use crate::backward::Sequence;
use crate::forest::Forest;
use crate::lora::{Lora, LoraTensor};
use crate::{BlockWeights, LlamaConfig, LlamaWeights};
use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::ops::softmax;
use std::collections::HashMap;

/// A model whose LoRA matrices are candle variables.
pub struct PlainLlama {
    config: LlamaConfig,
    embedding: Tensor,
    head: Tensor,
    norm: Tensor,
    blocks: Vec<HashMap<&'static str, Tensor>>,
    biases: Vec<HashMap<&'static str, Tensor>>,
    lora: Vec<(LoraTensor, Var)>,
    scale: f64,
    dtype: DType,
    device: Device,
}

impl PlainLlama {
    /// Copies weights and adapter to `device` in `dtype`.
    ///
    /// # Errors
    /// Whatever candle reports.
    pub fn new(weights: &LlamaWeights, lora: &Lora, dtype: DType, device: &Device) -> Result<Self> {
        let c = weights.config.clone();
        let tensor =
            |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, device)?.to_dtype(dtype);
        let embedding = tensor(&weights.embedding.unpack(), &[c.vocab_size, c.hidden_size])?;
        let head = tensor(&weights.head().unpack(), &[c.vocab_size, c.hidden_size])?;
        let blocks = weights.blocks.iter().map(|block| unfused(&c, block, &tensor)).collect::<Result<_>>()?;
        let biases = weights.blocks.iter().map(|block| biases(&c, block, &tensor)).collect::<Result<_>>()?;
        let lora_vars = lora.layout.tensors().map(|t| {
            let var = Var::from_tensor(&tensor(&lora.values[t.at.clone()], &t.shape)?)?;
            Ok((t, var))
        });
        Ok(PlainLlama {
            lora: lora_vars.collect::<Result<_>>()?,
            norm: tensor(&weights.norm, &[c.hidden_size])?,
            scale: f64::from(lora.scale),
            config: c,
            embedding,
            head,
            blocks,
            biases,
            dtype,
            device: device.clone(),
        })
    }

    /// Logits at every row of the forest, `[rows, vocab]`.
    ///
    /// # Errors
    /// Whatever candle reports.
    pub fn logits(&self, forest: &Forest) -> Result<Tensor> {
        let c = &self.config;
        let rows = forest.len();
        let mut x =
            self.embedding.index_select(&Tensor::from_slice(forest.tokens(), rows, &self.device)?, 0)?;
        let (cos, sin) = self.angles(forest.positions())?;
        let mask = self.mask(forest)?;
        for index in 0..c.num_layers {
            x = (&x + self.attention(index, &x, &cos, &sin, &mask)?)?;
            x = (&x + self.feed_forward(index, &x)?)?;
        }
        self.rms_norm(&x, &self.norm)?.matmul(&self.head.t()?)
    }

    /// The weighted sum of the negative log-likelihoods of the sequences' responses, times `scale`, and its
    /// gradient laid out as the adapter's parameters.
    ///
    /// # Errors
    /// Whatever candle reports.
    pub fn loss_and_gradient(&self, sequences: &[Sequence], scale: f64) -> Result<(f64, Vec<f64>)> {
        let inputs: Vec<&[u32]> = sequences.iter().map(|s| &s.tokens[..s.tokens.len() - 1]).collect();
        let forest = Forest::pack(&inputs);
        let logits = self.logits(&forest)?;
        let mut loss = Tensor::zeros((), self.dtype, &self.device)?;
        for (i, sequence) in sequences.iter().enumerate() {
            let rows: Vec<u32> = forest.rows(i).skip(sequence.n_prompt - 1).map(|row| row as u32).collect();
            let n = rows.len();
            let logits = logits.index_select(&Tensor::new(rows, &self.device)?, 0)?;
            let targets = Tensor::from_slice(&sequence.tokens[sequence.n_prompt..], (n, 1), &self.device)?;
            let nll =
                candle_nn::ops::log_softmax(&logits, D::Minus1)?.gather(&targets, 1)?.sum_all()?.neg()?;
            loss = (loss + nll.affine(f64::from(sequence.weight) * scale, 0.0)?)?;
        }
        let grads = loss.backward()?;
        let mut flat = vec![0.0; self.lora.iter().map(|(t, _)| t.at.end).max().unwrap_or(0)];
        for (tensor, var) in &self.lora {
            if let Some(grad) = grads.get(var) {
                let values = grad.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
                flat[tensor.at.clone()].copy_from_slice(&values);
            }
        }
        Ok((loss.to_dtype(DType::F64)?.to_scalar::<f64>()? / scale, flat))
    }

    fn attention(
        &self,
        index: usize,
        x: &Tensor,
        cos: &Tensor,
        sin: &Tensor,
        mask: &Tensor,
    ) -> Result<Tensor> {
        let c = &self.config;
        let rows = x.dim(0)?;
        let normed = self.rms_norm(x, &self.blocks[index]["attn_norm"])?;
        let heads = |name, n| {
            self.linear(index, name, &normed)?.reshape((rows, n, c.head_dim))?.transpose(0, 1)?.contiguous()
        };
        let normed_heads = |name, n, norm| match self.blocks[index].get(norm) {
            Some(scale) => self.rms_norm(&heads(name, n)?, scale),
            None => heads(name, n),
        };
        let q = rotate(&normed_heads("self_attn.q_proj", c.num_heads, "q_norm")?, cos, sin)?;
        let k = rotate(&normed_heads("self_attn.k_proj", c.num_kv_heads, "k_norm")?, cos, sin)?;
        let v = heads("self_attn.v_proj", c.num_kv_heads)?;
        let shared: Vec<u32> =
            (0..c.num_heads).map(|h| (h / (c.num_heads / c.num_kv_heads)) as u32).collect();
        let shared = Tensor::new(shared, &self.device)?;
        let (k, v) = (k.index_select(&shared, 0)?, v.index_select(&shared, 0)?);
        let scores = (q.matmul(&k.transpose(1, 2)?)? / (c.head_dim as f64).sqrt())?.broadcast_add(mask)?;
        let out = softmax(&scores, D::Minus1)?.matmul(&v)?;
        let out = out.transpose(0, 1)?.contiguous()?.reshape((rows, c.q_width()))?;
        self.linear(index, "self_attn.o_proj", &out)
    }

    fn feed_forward(&self, index: usize, x: &Tensor) -> Result<Tensor> {
        let normed = self.rms_norm(x, &self.blocks[index]["mlp_norm"])?;
        let gate = self.linear(index, "mlp.gate_proj", &normed)?.silu()?;
        let up = self.linear(index, "mlp.up_proj", &normed)?;
        self.linear(index, "mlp.down_proj", &(gate * up)?)
    }

    fn linear(&self, index: usize, name: &'static str, x: &Tensor) -> Result<Tensor> {
        let mut out = x.matmul(&self.blocks[index][name].t()?)?;
        if let Some(bias) = self.biases[index].get(name) {
            out = out.broadcast_add(bias)?;
        }
        let mut pair = self.lora.iter().filter(|(t, _)| t.block == index && t.module.name == name);
        if let (Some((_, a)), Some((_, b))) = (pair.next(), pair.next()) {
            let change = x.matmul(&a.t()?)?.matmul(&b.t()?)?;
            out = (out + change.affine(self.scale, 0.0)?)?;
        }
        Ok(out)
    }

    fn rms_norm(&self, x: &Tensor, scale: &Tensor) -> Result<Tensor> {
        let mean = x.sqr()?.mean_keepdim(D::Minus1)?;
        let root = (mean + f64::from(self.config.rms_norm_eps))?.sqrt()?;
        x.broadcast_div(&root)?.broadcast_mul(scale)
    }

    fn angles(&self, positions: &[u32]) -> Result<(Tensor, Tensor)> {
        let frequencies = self.config.rope_frequencies();
        let all: Vec<f64> =
            positions.iter().flat_map(|&p| frequencies.iter().map(move |f| f64::from(p) * f)).collect();
        let angles = Tensor::from_slice(&all, (positions.len(), frequencies.len()), &self.device)?;
        Ok((angles.cos()?.to_dtype(self.dtype)?, angles.sin()?.to_dtype(self.dtype)?))
    }

    /// 0 where a row sees another, minus infinity elsewhere, `[rows, rows]`.
    fn mask(&self, forest: &Forest) -> Result<Tensor> {
        let rows = forest.len();
        let mut mask = vec![f32::NEG_INFINITY; rows * rows];
        for block in forest.query_blocks(0) {
            for row in block.rows.clone() {
                let own = block.own..row + 1;
                block
                    .past
                    .iter()
                    .cloned()
                    .chain([own])
                    .flatten()
                    .for_each(|key| mask[row * rows + key] = 0.0);
            }
        }
        Tensor::from_vec(mask, (rows, rows), &self.device)?.to_dtype(self.dtype)
    }
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
