//! `x W^T` for a handful of rows `x`, as in decoding: `W` is streamed from memory once, without packing.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Most rows of `x` for which this beats a packed product.
pub const MOST_ROWS: usize = 8;
const COLUMNS_PER_TASK: usize = 64;

/// `out = x w^T`; `x`: `[rows, k]`, `w`: `[n, k]`, `out`: `[rows, n]`, `rows` at most [`MOST_ROWS`].
pub fn matmul_skinny(x: &[f32], w: &[f32], rows: usize, k: usize, out: &mut [f32]) {
    assert!(rows <= MOST_ROWS && x.len() == rows * k && k > 0);
    let n = w.len() / k;
    assert_eq!((w.len(), out.len()), (n * k, rows * n));
    let mut transposed = vec![0.0; rows * n];
    transposed
        .par_chunks_mut(COLUMNS_PER_TASK * rows.max(1))
        .zip(w.par_chunks(COLUMNS_PER_TASK * k))
        .for_each(|(out, w)| Arch::new().dispatch(Columns { x, w, rows, k, out }));
    for (row, out) in out.chunks_exact_mut(n.max(1)).enumerate() {
        for (o, column) in out.iter_mut().zip(transposed.chunks_exact(rows)) {
            *o = column[row];
        }
    }
}

/// Some columns of the product, transposed: `out`: `[w.len() / k, rows]`.
struct Columns<'a> {
    x: &'a [f32],
    w: &'a [f32],
    rows: usize,
    k: usize,
    out: &'a mut [f32],
}

impl WithSimd for Columns<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.rows {
            1 => self.columns::<S, 1>(simd),
            2 => self.columns::<S, 2>(simd),
            3 => self.columns::<S, 3>(simd),
            4 => self.columns::<S, 4>(simd),
            5 => self.columns::<S, 5>(simd),
            6 => self.columns::<S, 6>(simd),
            7 => self.columns::<S, 7>(simd),
            8 => self.columns::<S, 8>(simd),
            _ => {}
        }
    }
}

impl Columns<'_> {
    #[inline(always)]
    fn columns<S: Simd, const ROWS: usize>(self, simd: S) {
        let x: [&[f32]; ROWS] = std::array::from_fn(|row| &self.x[row * self.k..(row + 1) * self.k]);
        let x: [(&[S::f32s], &[f32]); ROWS] = x.map(S::as_simd_f32s);
        for (w, out) in self.w.chunks_exact(self.k).zip(self.out.chunks_exact_mut(ROWS)) {
            let (body, tail) = S::as_simd_f32s(w);
            let mut sums = [simd.splat_f32s(0.0); ROWS];
            for (i, &w) in body.iter().enumerate() {
                for row in 0..ROWS {
                    sums[row] = simd.mul_add_e_f32s(w, x[row].0[i], sums[row]);
                }
            }
            for row in 0..ROWS {
                let rest: f32 = tail.iter().zip(x[row].1).map(|(a, b)| a * b).sum();
                out[row] = simd.reduce_sum_f32s(sums[row]) + rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_naive_product_at_odd_sizes() {
        for (rows, n, k) in [(1, 1, 1), (1, 130, 7), (3, 65, 33), (8, 64, 48), (5, 2, 100), (0, 3, 4)] {
            let x: Vec<f32> = (0..rows * k).map(|i| (i as f32 * 0.3).sin()).collect();
            let w: Vec<f32> = (0..n * k).map(|i| (i as f32 * 0.7).cos()).collect();
            let mut out = vec![f32::NAN; rows * n];
            matmul_skinny(&x, &w, rows, k, &mut out);
            for r in 0..rows {
                for c in 0..n {
                    let naive: f32 = (0..k).map(|i| x[r * k + i] * w[c * k + i]).sum();
                    assert!((out[r * n + c] - naive).abs() < 1e-4, "{rows}x{n}x{k}");
                }
            }
        }
    }
}
