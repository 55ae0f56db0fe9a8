//! RMSNorm over each head of queries and keys (Henry et al., arXiv 2010.04245, with RMSNorm for the L2 norm).
//!
//! In two steps, because the backward pass wants what lies between them: heads divided by their root mean square,
//! and those times the scale. Rows are `[queries | keys | values]` of `width` columns; values are left alone.

use super::ROWS_PER_TASK;
use super::vector::{dot_lanes, vectorized};
use rayon::prelude::*;
use std::iter::repeat_n;

/// The scales of one block, `[head_dim]` each, and how many heads they are for.
#[derive(Debug, Clone, Copy)]
pub struct HeadNorms<'a> {
    /// For queries.
    pub q: &'a [f32],
    /// For keys.
    pub k: &'a [f32],
    /// Query heads.
    pub n: usize,
    /// Key heads.
    pub n_kv: usize,
}

impl<'a> HeadNorms<'a> {
    fn scales(self) -> impl Iterator<Item = &'a [f32]> {
        repeat_n(self.q, self.n).chain(repeat_n(self.k, self.n_kv))
    }

    /// `x *= inv` with `inv = 1 / sqrt(mean(x^2) + eps)` per head. `inv`: `[rows, n + n_kv]`.
    pub fn divide(self, rows: &mut [f32], width: usize, eps: f32, inv: &mut [f32]) {
        let (dim, heads) = (self.q.len(), self.n + self.n_kv);
        assert_eq!(rows.len() / width, inv.len() / heads);
        rows.par_chunks_mut(ROWS_PER_TASK * width).zip(inv.par_chunks_mut(ROWS_PER_TASK * heads)).for_each(
            |(rows, inv)| {
                vectorized(
                    #[inline(always)]
                    || {
                        for (row, inv) in rows.chunks_exact_mut(width).zip(inv.chunks_exact_mut(heads)) {
                            for (head, inv) in row.chunks_exact_mut(dim).zip(inv) {
                                *inv = 1.0 / (dot_lanes(head, head) / dim as f32 + eps).sqrt();
                                head.iter_mut().for_each(|x| *x *= *inv);
                            }
                        }
                    },
                );
            },
        );
    }

    /// `x *= scale`
    pub fn scale(self, rows: &mut [f32], width: usize) {
        rows.par_chunks_mut(ROWS_PER_TASK * width).for_each(|rows| {
            vectorized(
                #[inline(always)]
                || {
                    for row in rows.chunks_exact_mut(width) {
                        for (head, scale) in row.chunks_exact_mut(self.q.len()).zip(self.scales()) {
                            head.iter_mut().zip(scale).for_each(|(x, s)| *x *= s);
                        }
                    }
                },
            );
        });
    }

    /// Turns the gradient with respect to the scaled heads into that with respect to the heads before
    /// [`HeadNorms::divide`], whose results are `unit` and `inv`.
    ///
    /// With `g = d * scale`: `d = inv * (g - unit * mean(g unit))`.
    pub fn backward(self, unit: &[f32], inv: &[f32], width: usize, d: &mut [f32]) {
        let (dim, heads) = (self.q.len(), self.n + self.n_kv);
        assert_eq!((d.len(), d.len() / width), (unit.len(), inv.len() / heads));
        d.par_chunks_mut(ROWS_PER_TASK * width)
            .zip(unit.par_chunks(ROWS_PER_TASK * width))
            .zip(inv.par_chunks(ROWS_PER_TASK * heads))
            .for_each(|((d, unit), inv)| {
                vectorized(
                    #[inline(always)]
                    || {
                        let rows = d.chunks_exact_mut(width).zip(unit.chunks_exact(width));
                        for ((d, unit), inv) in rows.zip(inv.chunks_exact(heads)) {
                            let heads = d.chunks_exact_mut(dim).zip(unit.chunks_exact(dim));
                            for (((d, unit), scale), &inv) in heads.zip(self.scales()).zip(inv) {
                                backward_head(unit, scale, inv, d);
                            }
                        }
                    },
                );
            });
    }
}

#[inline(always)]
fn backward_head(unit: &[f32], scale: &[f32], inv: f32, d: &mut [f32]) {
    d.iter_mut().zip(scale).for_each(|(d, s)| *d *= s);
    let pull = dot_lanes(d, unit) / unit.len() as f32;
    d.iter_mut().zip(unit).for_each(|(d, u)| *d = inv * (*d - u * pull));
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPS: f32 = 1e-5;

    #[test]
    fn gradient_matches_finite_differences_and_values_are_left_alone() {
        for dim in [2, 5, 16, 18] {
            // A scale of 0 is no special case.
            let q: Vec<f32> = (0..dim).map(|i| 0.4 * i as f32 - 0.4).collect();
            let k: Vec<f32> = (0..dim).map(|i| 1.0 + 0.1 * (i as f32).cos()).collect();
            let norms = HeadNorms { q: &q, k: &k, n: 2, n_kv: 1 };
            let (rows, width) = (ROWS_PER_TASK + 1, 4 * dim);
            let x: Vec<f32> = (0..rows * width).map(|i| (i as f32 * 0.7).sin() + 0.2).collect();
            let weight: Vec<f32> = (0..rows * width).map(|i| (i as f32 * 1.3).cos()).collect();
            let (mut unit, mut inv) = (x.clone(), vec![0.0; rows * 3]);
            norms.divide(&mut unit, width, EPS, &mut inv);
            let mut d = weight.clone();
            norms.backward(&unit, &inv, width, &mut d);
            let loss = |x: &[f32], row: usize| -> f64 {
                let (mut out, mut inv) = (x[row * width..][..width].to_vec(), vec![0.0; 3]);
                norms.divide(&mut out, width, EPS, &mut inv);
                norms.scale(&mut out, width);
                out.iter().zip(&weight[row * width..]).map(|(o, w)| f64::from(o * w)).sum()
            };
            for row in [0, rows - 1] {
                for i in row * width..(row + 1) * width {
                    let (mut up, mut down) = (x.clone(), x.clone());
                    up[i] += 1e-2;
                    down[i] -= 1e-2;
                    let numeric = (loss(&up, row) - loss(&down, row)) / 2e-2;
                    let off = (numeric - f64::from(d[i])).abs();
                    assert!(off < 2e-2 * (1.0 + numeric.abs()), "dim {dim} at {i}: {numeric} {}", d[i]);
                }
                let values = row * width + 3 * dim..(row + 1) * width;
                assert_eq!(
                    (&unit[values.clone()], &d[values.clone()]),
                    (&x[values.clone()], &weight[values])
                );
            }
        }
    }
}
