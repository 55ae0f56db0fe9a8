//! The head: log-probabilities of given tokens, and the cross-entropy's gradient, at chosen rows alone.
//!
//! Logits are made for a few rows at a time, so memory does not grow with the number of target tokens.

use super::gemm::{Mat, MatMut, Write};
use super::panels::Panels;
use super::product::{Factor, Term, product};
use super::vector::{softmax_terms, vectorized};
use rayon::prelude::*;

/// Rows whose logits are held at once.
const ROWS_AT_ONCE: usize = 64;

/// A token to predict from one row of hidden states.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Its id.
    pub token: u32,
    /// Weight of its negative log-likelihood in the loss.
    pub weight: f32,
}

/// Natural-log probability of each target's token under `softmax(hidden head^T)`.
///
/// `hidden`: `[targets.len(), width]`, `head`: `[vocab, width]`.
pub fn target_logprobs(hidden: &[f32], head: &Panels, targets: &[Target]) -> Vec<f32> {
    let mut logprobs = vec![0.0; targets.len()];
    let vocab = head.n_out();
    for_logits(hidden, head, targets.len(), |start, _, logits| {
        let out = &mut logprobs[start..start + logits.len() / vocab];
        let targets = &targets[start..start + out.len()];
        out.par_iter_mut().zip(targets).zip(logits.par_chunks_mut(vocab)).for_each(|((out, target), row)| {
            let logit = row[target.token as usize];
            *out = logit - softmax_terms(row).0;
        });
    });
    logprobs
}

/// Like [`target_logprobs`], and also `d_hidden = d/d hidden (scale * sum weight * -logprob)`.
pub fn cross_entropy(
    hidden: &[f32],
    head: &Panels,
    targets: &[Target],
    scale: f32,
    d_hidden: &mut [f32],
) -> Vec<f32> {
    let (vocab, width) = (head.n_out(), head.n_in());
    assert_eq!(d_hidden.len(), targets.len() * width);
    let mut logprobs = vec![0.0; targets.len()];
    for_logits(hidden, head, targets.len(), |start, rows, logits| {
        let targets = &targets[start..start + rows];
        let out = &mut logprobs[start..start + rows];
        out.par_iter_mut().zip(targets).zip(logits.par_chunks_mut(vocab)).for_each(|((out, target), row)| {
            let logit = row[target.token as usize];
            let (log_sum, sum) = softmax_terms(row);
            *out = logit - log_sum;
            let factor = scale * target.weight / sum;
            vectorized(
                #[inline(always)]
                || {
                    for p in row.iter_mut() {
                        *p *= factor;
                    }
                },
            );
            row[target.token as usize] -= scale * target.weight;
        });
        let d_rows = &mut d_hidden[start * width..(start + rows) * width];
        let term = Term { left: Mat::new(logits, rows, vocab), right: Factor::Plain(head) };
        product(MatMut::new(d_rows, rows, width), Write::Set, &[term]);
    });
    logprobs
}

/// Calls `work(first row, number of rows, logits)` for consecutive groups of rows.
fn for_logits(hidden: &[f32], head: &Panels, n_rows: usize, mut work: impl FnMut(usize, usize, &mut [f32])) {
    let (vocab, width) = (head.n_out(), head.n_in());
    assert_eq!(hidden.len(), n_rows * width);
    let mut logits = vec![0.0; n_rows.min(ROWS_AT_ONCE) * vocab];
    for start in (0..n_rows).step_by(ROWS_AT_ONCE) {
        let rows = (n_rows - start).min(ROWS_AT_ONCE);
        let logits = &mut logits[..rows * vocab];
        linear(&hidden[start * width..(start + rows) * width], head, logits);
        work(start, rows, logits);
    }
}

/// `out = x w^T`.
pub fn linear(x: &[f32], w: &Panels, out: &mut [f32]) {
    let rows = x.len() / w.n_in();
    let term = Term { left: Mat::new(x, rows, w.n_in()), right: Factor::Transposed(w) };
    product(MatMut::new(out, rows, w.n_out()), Write::Set, &[term]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::panels::Precision;

    #[test]
    fn gradient_matches_finite_differences_over_several_groups_of_rows() {
        let (width, vocab, rows) = (5, 23, ROWS_AT_ONCE + 3);
        let head: Vec<f32> = (0..vocab * width).map(|i| (i as f32 * 0.31).sin()).collect();
        let head = Panels::pack(&head, vocab, width, Precision::F32);
        let hidden: Vec<f32> = (0..rows * width).map(|i| (i as f32 * 0.17).cos()).collect();
        let targets: Vec<Target> = (0..rows)
            .map(|i| Target { token: (i * 7 % vocab) as u32, weight: 0.5 + (i % 3) as f32 })
            .collect();
        let loss = |hidden: &[f32]| -> f64 {
            let logprobs = target_logprobs(hidden, &head, &targets);
            logprobs.iter().zip(&targets).map(|(l, t)| -0.1 * f64::from(l * t.weight)).sum()
        };
        let mut grad = vec![0.0; hidden.len()];
        let logprobs = cross_entropy(&hidden, &head, &targets, 0.1, &mut grad);
        assert_eq!(logprobs, target_logprobs(&hidden, &head, &targets));
        assert!(logprobs.iter().all(|&l| l < 0.0));
        for i in (0..hidden.len()).step_by(7) {
            let (mut up, mut down) = (hidden.clone(), hidden.clone());
            up[i] += 1e-2;
            down[i] -= 1e-2;
            let numeric = (loss(&up) - loss(&down)) / 2e-2;
            assert!((numeric - f64::from(grad[i])).abs() < 2e-3, "{i}: {numeric} {}", grad[i]);
        }
    }
}
