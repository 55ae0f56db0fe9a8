//! Causal attention over packed token trees, with grouped key/value heads, and its backward pass.
//!
//! There is no padding and no mask tensor. Every [`QueryBlock`] is a run of consecutive tokens; each of them
//! sees some spans of earlier keys whole, and of its own block the tokens up to itself. A token tree, a ragged
//! batch, a cached prefix and a decoding step are all lists of such blocks.

#![allow(clippy::single_range_in_vec_init, reason = "lists of spans, some with one span")]

use super::gemm::{Mat, MatMut, Write, matmul_serial};
use super::vector::{dot_lanes, exp_shifted_sum, max_lanes, vectorized};
use rayon::prelude::*;
use std::ops::Range;

/// Most queries of one block: long runs are cut so that threads share them and little is computed in vain
/// above the diagonal.
pub const MOST_QUERIES: usize = 64;
/// Below this many queries, plain loops beat packed products.
const FEW_QUERIES: usize = 4;

/// Heads of an attention layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub n: usize,
    /// Key/value heads; divides `n`.
    pub n_kv: usize,
    /// Width of a head.
    pub dim: usize,
}

/// Consecutive tokens that see the same earlier keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryBlock {
    /// Rows of the query matrix.
    pub rows: Range<usize>,
    /// Rows of the key matrix that every query of the block sees.
    pub past: Vec<Range<usize>>,
    /// Row of the first query's own key; the others follow it.
    pub own: usize,
}

impl QueryBlock {
    fn len(&self) -> usize {
        self.rows.len()
    }

    /// All key rows that some query of the block sees, in the order of the score matrix's columns.
    fn spans(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.past.iter().cloned().chain([self.own..self.own + self.len()])
    }

    fn n_keys(&self) -> usize {
        self.past.iter().map(Range::len).sum::<usize>() + self.len()
    }

    /// Keys that the `i`-th query sees.
    fn n_visible(&self, i: usize) -> usize {
        self.n_keys() - self.len() + i + 1
    }
}

/// Queries, or keys and values, side by side in the rows of one buffer.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    /// The buffer.
    pub data: &'a [f32],
    /// Elements from one row to the next.
    pub stride: usize,
}

impl<'a> Columns<'a> {
    /// `[rows.len(), width]` starting at column `column`.
    fn view(&self, rows: Range<usize>, column: usize, width: usize) -> Mat<'a> {
        Mat::strided(&self.data[rows.start * self.stride + column..], rows.len(), width, self.stride)
    }

    fn row(&self, row: usize, column: usize, width: usize) -> &'a [f32] {
        &self.data[row * self.stride + column..][..width]
    }
}

/// Keys and values of a layer: `n_kv * dim` columns of keys from `k_column`, and of values from `v_column`.
#[derive(Debug, Clone, Copy)]
pub struct KeysValues<'a> {
    /// Where they lie.
    pub columns: Columns<'a>,
    /// First column of the keys.
    pub k_column: usize,
    /// First column of the values.
    pub v_column: usize,
}

/// `out = softmax(q k^T / sqrt(dim)) v` per head. `out`: `[rows, n * dim]`; `log_sums`: `[rows, n]`, the log of
/// each softmax's denominator, for the backward pass. `blocks` cover the rows in ascending order without gaps.
pub fn attend(
    heads: Heads,
    queries: Columns<'_>,
    kv: KeysValues<'_>,
    blocks: &[QueryBlock],
    out: &mut [f32],
    log_sums: &mut [f32],
) {
    let width = heads.n * heads.dim;
    let mut jobs = Vec::with_capacity(blocks.len());
    let (mut out, mut log_sums) = (out, log_sums);
    let mut next = 0;
    for block in blocks {
        assert_eq!(block.rows.start, next, "query blocks leave a gap");
        next = block.rows.end;
        let (o, l);
        (o, out) = out.split_at_mut(block.len() * width);
        (l, log_sums) = log_sums.split_at_mut(block.len() * heads.n);
        jobs.push((block, o, l));
    }
    assert!(out.is_empty() && log_sums.is_empty(), "query blocks do not cover every row");
    jobs.into_par_iter().with_max_len(1).for_each_init(Vec::new, |scores, (block, out, log_sums)| {
        for head in 0..heads.n {
            let at = Head::new(heads, head, queries, kv);
            if block.len() < FEW_QUERIES {
                at.attend_few(block, scores, out, log_sums);
            } else {
                at.attend_many(block, scores, out, log_sums);
            }
        }
    });
}

/// One query head with the key/value head it shares.
struct Head<'a> {
    index: usize,
    heads: Heads,
    queries: Columns<'a>,
    kv: KeysValues<'a>,
    q_column: usize,
    k_column: usize,
    v_column: usize,
    scale: f32,
}

impl<'a> Head<'a> {
    fn new(heads: Heads, index: usize, queries: Columns<'a>, kv: KeysValues<'a>) -> Self {
        let shared = index / (heads.n / heads.n_kv) * heads.dim;
        Head {
            index,
            heads,
            queries,
            kv,
            q_column: index * heads.dim,
            k_column: kv.k_column + shared,
            v_column: kv.v_column + shared,
            scale: 1.0 / (heads.dim as f32).sqrt(),
        }
    }

    fn q(&self, block: &QueryBlock) -> Mat<'a> {
        self.queries.view(block.rows.clone(), self.q_column, self.heads.dim)
    }

    fn k(&self, span: Range<usize>) -> Mat<'a> {
        self.kv.columns.view(span, self.k_column, self.heads.dim)
    }

    fn v(&self, span: Range<usize>) -> Mat<'a> {
        self.kv.columns.view(span, self.v_column, self.heads.dim)
    }

    /// `scores = scale * q k^T`, `[block.len(), block.n_keys()]`, the part above the diagonal included.
    fn scores(&self, block: &QueryBlock, scores: &mut Vec<f32>) {
        let n_keys = block.n_keys();
        scores.resize(block.len() * n_keys, 0.0);
        let mut column = 0;
        for span in block.spans() {
            let part = MatMut::strided(&mut scores[column..], block.len(), span.len(), n_keys);
            column += span.len();
            matmul_serial(part, Write::Set, self.scale, self.q(block), self.k(span).t());
        }
    }

    fn attend_many(&self, block: &QueryBlock, scores: &mut Vec<f32>, out: &mut [f32], log_sums: &mut [f32]) {
        self.scores(block, scores);
        let n_keys = block.n_keys();
        let (width, dim) = (self.heads.n * self.heads.dim, self.heads.dim);
        for (i, row) in scores.chunks_exact_mut(n_keys).enumerate() {
            let (seen, unseen) = row.split_at_mut(block.n_visible(i));
            log_sums[i * self.heads.n + self.index] = softmax(seen);
            unseen.fill(0.0);
        }
        let mut column = 0;
        for span in block.spans() {
            let part = Mat::strided(&scores[column..], block.len(), span.len(), n_keys);
            let write = if column == 0 { Write::Set } else { Write::Add };
            column += span.len();
            let out = MatMut::strided(&mut out[self.q_column..], block.len(), dim, width);
            matmul_serial(out, write, 1.0, part, self.v(span));
        }
    }

    fn attend_few(&self, block: &QueryBlock, scores: &mut Vec<f32>, out: &mut [f32], log_sums: &mut [f32]) {
        let (width, dim) = (self.heads.n * self.heads.dim, self.heads.dim);
        for i in 0..block.len() {
            let q = self.queries.row(block.rows.start + i, self.q_column, dim);
            let out = &mut out[i * width + self.q_column..][..dim];
            vectorized(
                #[inline(always)]
                || {
                    let keys = || block.spans().flatten().take(block.n_visible(i));
                    scores.clear();
                    scores.extend(keys().map(
                        #[inline(always)]
                        |key| self.scale * dot_lanes(q, self.kv.columns.row(key, self.k_column, dim)),
                    ));
                    log_sums[i * self.heads.n + self.index] = softmax(scores);
                    out.fill(0.0);
                    for (key, &p) in keys().zip(scores.iter()) {
                        let v = self.kv.columns.row(key, self.v_column, dim);
                        for (o, v) in out.iter_mut().zip(v) {
                            *o += p * v;
                        }
                    }
                },
            );
        }
    }
}

/// Turns scores into probabilities; the log of the denominator.
fn softmax(scores: &mut [f32]) -> f32 {
    vectorized(
        #[inline(always)]
        || {
            let most = max_lanes(scores);
            let sum = exp_shifted_sum(scores, most);
            let inverse = 1.0 / sum;
            for p in scores.iter_mut() {
                *p *= inverse;
            }
            most + sum.ln()
        },
    )
}

/// What the backward pass needs of the forward pass.
#[derive(Debug, Clone, Copy)]
pub struct Attended<'a> {
    /// The output, `[rows, n * dim]`.
    pub out: &'a [f32],
    /// The log of each softmax's denominator, `[rows, n]`.
    pub log_sums: &'a [f32],
}

/// Gradients of [`attend`] when queries, keys and values are the columns of one `qkv` buffer
/// (`[rows, (n + 2 n_kv) * dim]`): `d_qkv` is overwritten, given `d_out`.
///
/// Each query head is one task with a gradient buffer of its own for the keys and values it shares; they are
/// added up at the end in the order of the heads, so any number of threads gives the same bits.
pub fn attend_backward(
    heads: Heads,
    qkv: &[f32],
    blocks: &[QueryBlock],
    attended: Attended<'_>,
    d_out: &[f32],
    scratch: &mut Vec<f32>,
    d_qkv: &mut [f32],
) {
    let Heads { n, n_kv, dim } = heads;
    let stride = (n + 2 * n_kv) * dim;
    let rows = qkv.len() / stride;
    let columns = Columns { data: qkv, stride };
    let kv = KeysValues { columns, k_column: n * dim, v_column: (n + n_kv) * dim };
    scratch.resize(n * 3 * rows * dim, 0.0);
    scratch.par_chunks_mut(3 * rows * dim).enumerate().with_max_len(1).for_each(|(head, d_head)| {
        d_head.fill(0.0);
        let mut d_head = HeadGradient::split(d_head, rows * dim);
        let (mut p, mut d_scores) = (Vec::new(), Vec::new());
        let head = Head::new(heads, head, columns, kv);
        for block in blocks {
            head.backward(block, attended, d_out, &mut p, &mut d_scores, &mut d_head);
        }
    });
    let group = n / n_kv;
    let of = |head: usize, part: usize, row: usize| &scratch[((head * 3 + part) * rows + row) * dim..][..dim];
    d_qkv.par_chunks_mut(stride).enumerate().for_each(|(row, d_row)| {
        for (column, d) in d_row.chunks_exact_mut(dim).enumerate() {
            if column < n {
                d.copy_from_slice(of(column, 0, row));
                continue;
            }
            let (part, shared) = if column < n + n_kv { (1, column - n) } else { (2, column - n - n_kv) };
            d.copy_from_slice(of(shared * group, part, row));
            for head in shared * group + 1..(shared + 1) * group {
                for (d, x) in d.iter_mut().zip(of(head, part, row)) {
                    *d += x;
                }
            }
        }
    });
}

/// `[rows, dim]` each.
struct HeadGradient<'a> {
    q: &'a mut [f32],
    k: &'a mut [f32],
    v: &'a mut [f32],
}

impl<'a> HeadGradient<'a> {
    fn split(buffer: &'a mut [f32], each: usize) -> Self {
        let (q, rest) = buffer.split_at_mut(each);
        let (k, v) = rest.split_at_mut(each);
        HeadGradient { q, k, v }
    }
}

impl Head<'_> {
    /// With `P` the probabilities and `D = rowsum(dO * O)`: `dV = P^T dO`, `dS = P * (dO V^T - D)`,
    /// `dQ = dS K`, `dK = dS^T Q` (Dao et al., arXiv 2205.14135, appendix B).
    fn backward(
        &self,
        block: &QueryBlock,
        attended: Attended<'_>,
        d_out: &[f32],
        p: &mut Vec<f32>,
        d_scores: &mut Vec<f32>,
        grad: &mut HeadGradient<'_>,
    ) {
        let (n_keys, dim, width) = (block.n_keys(), self.heads.dim, self.heads.n * self.heads.dim);
        let d_out = Columns { data: d_out, stride: width };
        let out = Columns { data: attended.out, stride: width };
        let d_block = d_out.view(block.rows.clone(), self.q_column, dim);
        self.scores(block, p);
        d_scores.resize(block.len() * n_keys, 0.0);
        let mut column = 0;
        for span in block.spans() {
            let part = MatMut::strided(&mut d_scores[column..], block.len(), span.len(), n_keys);
            column += span.len();
            matmul_serial(part, Write::Set, 1.0, d_block, self.v(span).t());
        }
        for (i, (p, d)) in p.chunks_exact_mut(n_keys).zip(d_scores.chunks_exact_mut(n_keys)).enumerate() {
            let row = block.rows.start + i;
            let log_sum = attended.log_sums[row * self.heads.n + self.index];
            let (o, d_o) = (out.row(row, self.q_column, dim), d_out.row(row, self.q_column, dim));
            score_gradient(p, d, block.n_visible(i), log_sum, o, d_o, self.scale);
        }
        let mut column = 0;
        for span in block.spans() {
            let p = Mat::strided(&p[column..], block.len(), span.len(), n_keys);
            let d = Mat::strided(&d_scores[column..], block.len(), span.len(), n_keys);
            column += span.len();
            let at = span.start * dim..span.end * dim;
            let d_v = MatMut::new(&mut grad.v[at.clone()], span.len(), dim);
            matmul_serial(d_v, Write::Add, 1.0, p.t(), d_block);
            let d_k = MatMut::new(&mut grad.k[at], span.len(), dim);
            matmul_serial(d_k, Write::Add, 1.0, d.t(), self.q(block));
            let d_q = MatMut::new(&mut grad.q[block.rows.start * dim..], block.len(), dim);
            matmul_serial(d_q, Write::Add, 1.0, d, self.k(span));
        }
    }
}

/// Turns a row of scores into probabilities and a row of `dO V^T` into the gradient of the raw products.
#[inline(always)]
fn score_gradient(
    p: &mut [f32],
    d: &mut [f32],
    seen: usize,
    log_sum: f32,
    out: &[f32],
    d_out: &[f32],
    scale: f32,
) {
    vectorized(
        #[inline(always)]
        || {
            let pull = dot_lanes(out, d_out);
            exp_shifted_sum(&mut p[..seen], log_sum);
            for (p, d) in p[..seen].iter().zip(&mut d[..seen]) {
                *d = p * (*d - pull) * scale;
            }
            p[seen..].fill(0.0);
            d[seen..].fill(0.0);
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADS: Heads = Heads { n: 4, n_kv: 2, dim: 6 };
    const STRIDE: usize = 8 * 6;

    /// A prefix of 5, two continuations of 3 and 9, and one token after the second.
    fn tree() -> Vec<QueryBlock> {
        vec![
            QueryBlock { rows: 0..5, past: vec![], own: 0 },
            QueryBlock { rows: 5..8, past: vec![0..5], own: 5 },
            QueryBlock { rows: 8..17, past: vec![0..5], own: 8 },
            QueryBlock { rows: 17..18, past: vec![0..5, 8..17], own: 17 },
        ]
    }

    fn sees(blocks: &[QueryBlock], row: usize, key: usize) -> bool {
        let Some(block) = blocks.iter().find(|b| b.rows.contains(&row)) else { return false };
        block.past.iter().any(|s| s.contains(&key))
            || (block.own..=block.own + row - block.rows.start).contains(&key)
    }

    fn naive(qkv: &[f64], blocks: &[QueryBlock], rows: usize) -> Vec<f64> {
        let at = |row: usize, column: usize, i: usize| qkv[row * STRIDE + column * 6 + i];
        let mut out = Vec::new();
        for row in 0..rows {
            for head in 0..4 {
                let keys: Vec<usize> = (0..rows).filter(|&key| sees(blocks, row, key)).collect();
                let score = |key: usize| {
                    (0..6).map(|i| at(row, head, i) * at(key, 4 + head / 2, i)).sum::<f64>() / 6f64.sqrt()
                };
                let total: f64 = keys.iter().map(|&key| score(key).exp()).sum();
                for i in 0..6 {
                    out.push(keys.iter().map(|&k| score(k).exp() / total * at(k, 6 + head / 2, i)).sum());
                }
            }
        }
        out
    }

    fn run(qkv: &[f32], blocks: &[QueryBlock], rows: usize) -> (Vec<f32>, Vec<f32>) {
        let columns = Columns { data: qkv, stride: STRIDE };
        let kv = KeysValues { columns, k_column: 24, v_column: 36 };
        let (mut out, mut log_sums) = (vec![f32::NAN; rows * 24], vec![f32::NAN; rows * 4]);
        attend(HEADS, columns, kv, blocks, &mut out, &mut log_sums);
        (out, log_sums)
    }

    #[test]
    fn forward_and_backward_agree_with_the_definition_on_a_tree() {
        let (rows, blocks) = (18, tree());
        let qkv: Vec<f32> = (0..rows * STRIDE).map(|i| 1.5 * (i as f32 * 0.37).sin()).collect();
        let exact: Vec<f64> = qkv.iter().map(|&x| f64::from(x)).collect();
        let (out, log_sums) = run(&qkv, &blocks, rows);
        for (o, n) in out.iter().zip(naive(&exact, &blocks, rows)) {
            assert!((f64::from(*o) - n).abs() < 1e-5, "{o} {n}");
        }
        let d_out: Vec<f32> = (0..out.len()).map(|i| (i as f32 * 0.71).cos()).collect();
        let mut d_qkv = vec![f32::NAN; qkv.len()];
        let attended = Attended { out: &out, log_sums: &log_sums };
        attend_backward(HEADS, &qkv, &blocks, attended, &d_out, &mut Vec::new(), &mut d_qkv);
        let loss = |x: &[f64]| -> f64 {
            naive(x, &blocks, rows).iter().zip(&d_out).map(|(o, &d)| o * f64::from(d)).sum()
        };
        for i in (0..qkv.len()).step_by(5) {
            let (mut up, mut down) = (exact.clone(), exact.clone());
            up[i] += 1e-5;
            down[i] -= 1e-5;
            let numeric = (loss(&up) - loss(&down)) / 2e-5;
            assert!((numeric - f64::from(d_qkv[i])).abs() < 1e-4, "{i}: {numeric} {}", d_qkv[i]);
        }
    }

    #[test]
    fn cutting_a_run_into_blocks_changes_nothing() {
        let rows = 18;
        let qkv: Vec<f32> = (0..rows * STRIDE).map(|i| (i as f32 * 0.53).cos()).collect();
        let whole = [QueryBlock { rows: 0..18, past: vec![], own: 0 }];
        let cut = [
            QueryBlock { rows: 0..7, past: vec![], own: 0 },
            QueryBlock { rows: 7..9, past: vec![0..7], own: 7 },
            QueryBlock { rows: 9..18, past: vec![0..9], own: 9 },
        ];
        let ((a, la), (b, lb)) = (run(&qkv, &whole, rows), run(&qkv, &cut, rows));
        assert!(a.iter().zip(&b).chain(la.iter().zip(&lb)).all(|(x, y)| (x - y).abs() < 1e-5));
    }
}
