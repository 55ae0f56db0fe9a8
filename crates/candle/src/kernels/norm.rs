//! RMSNorm (Zhang and Sennrich, arXiv 1910.07467) and its backward pass.

use super::ROWS_PER_TASK;
use super::vector::{dot_lanes, vectorized};
use rayon::prelude::*;

/// `out = x * inv * scale` with `inv = 1 / sqrt(mean(x^2) + eps)` per row; `inv` is kept for the backward pass.
///
/// `x`, `out`: `[rows, width]`; `scale`: `[width]`; `inv`: `[rows]`.
pub fn rms_norm(x: &[f32], scale: &[f32], eps: f32, inv: &mut [f32], out: &mut [f32]) {
    let width = scale.len();
    assert_eq!((x.len(), out.len()), (inv.len() * width, inv.len() * width));
    out.par_chunks_mut(ROWS_PER_TASK * width)
        .zip(x.par_chunks(ROWS_PER_TASK * width))
        .zip(inv.par_chunks_mut(ROWS_PER_TASK))
        .for_each(|((out, x), inv)| {
            vectorized(
                #[inline(always)]
                || {
                    for ((out, x), inv) in
                        out.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(inv.iter_mut())
                    {
                        *inv = 1.0 / (dot_lanes(x, x) / width as f32 + eps).sqrt();
                        scale_row(x, scale, *inv, out);
                    }
                },
            );
        });
}

/// [`rms_norm`] with `inv` already known.
pub fn rms_norm_again(x: &[f32], scale: &[f32], inv: &[f32], out: &mut [f32]) {
    let width = scale.len();
    assert_eq!((x.len(), out.len()), (inv.len() * width, inv.len() * width));
    out.par_chunks_mut(ROWS_PER_TASK * width)
        .zip(x.par_chunks(ROWS_PER_TASK * width))
        .zip(inv.par_chunks(ROWS_PER_TASK))
        .for_each(|((out, x), inv)| {
            vectorized(
                #[inline(always)]
                || {
                    for ((out, x), &inv) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(inv) {
                        scale_row(x, scale, inv, out);
                    }
                },
            );
        });
}

#[inline(always)]
fn scale_row(x: &[f32], scale: &[f32], inv: f32, out: &mut [f32]) {
    for ((o, x), s) in out.iter_mut().zip(x).zip(scale) {
        *o = x * inv * s;
    }
}

/// Adds the gradient with respect to `x` to `dx`, given that with respect to the output.
///
/// With `g = d_out * scale`: `dx += inv * (g - x * inv^2 * mean(g x))`.
pub fn rms_norm_backward(d_out: &[f32], x: &[f32], scale: &[f32], inv: &[f32], dx: &mut [f32]) {
    let width = scale.len();
    assert_eq!((d_out.len(), x.len(), dx.len()), (dx.len(), dx.len(), inv.len() * width));
    dx.par_chunks_mut(ROWS_PER_TASK * width)
        .zip(d_out.par_chunks(ROWS_PER_TASK * width))
        .zip(x.par_chunks(ROWS_PER_TASK * width))
        .zip(inv.par_chunks(ROWS_PER_TASK))
        .for_each(|(((dx, d_out), x), inv)| {
            vectorized(
                #[inline(always)]
                || {
                    let rows =
                        dx.chunks_exact_mut(width).zip(d_out.chunks_exact(width)).zip(x.chunks_exact(width));
                    for (((dx, d_out), x), &inv) in rows.zip(inv) {
                        backward_row(d_out, x, scale, inv, dx);
                    }
                },
            );
        });
}

#[inline(always)]
fn backward_row(d_out: &[f32], x: &[f32], scale: &[f32], inv: f32, dx: &mut [f32]) {
    let mut lanes = [0.0f32; 16];
    let body = x.len() - x.len() % 16;
    for start in (0..body).step_by(16) {
        let (d, x, s) = (&d_out[start..start + 16], &x[start..start + 16], &scale[start..start + 16]);
        for lane in 0..16 {
            lanes[lane] += d[lane] * s[lane] * x[lane];
        }
    }
    let tail: f32 = (body..x.len()).map(|i| d_out[i] * scale[i] * x[i]).sum();
    let pull = (super::vector::sum_lanes(lanes) + tail) / x.len() as f32 * inv * inv;
    for (((dx, d), x), s) in dx.iter_mut().zip(d_out).zip(x).zip(scale) {
        *dx += inv * (d * s - x * pull);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradient_matches_finite_differences_at_odd_widths() {
        for width in [1, 5, 16, 33] {
            let x: Vec<f32> = (0..3 * width).map(|i| (i as f32 * 0.7).sin() + 0.2).collect();
            let scale: Vec<f32> = (0..width).map(|i| 1.0 + 0.1 * (i as f32).cos()).collect();
            let weight: Vec<f32> = (0..3 * width).map(|i| (i as f32 * 1.3).cos()).collect();
            let loss = |x: &[f32]| -> f64 {
                let (mut inv, mut out) = (vec![0.0; 3], vec![0.0; x.len()]);
                rms_norm(x, &scale, 1e-5, &mut inv, &mut out);
                out.iter().zip(&weight).map(|(o, w)| f64::from(o * w)).sum()
            };
            let (mut inv, mut out, mut dx) = (vec![0.0; 3], vec![0.0; x.len()], vec![0.0; x.len()]);
            rms_norm(&x, &scale, 1e-5, &mut inv, &mut out);
            rms_norm_backward(&weight, &x, &scale, &inv, &mut dx);
            for i in 0..x.len() {
                let (mut up, mut down) = (x.clone(), x.clone());
                up[i] += 1e-2;
                down[i] -= 1e-2;
                let numeric = (loss(&up) - loss(&down)) / 2e-2;
                assert!(
                    (numeric - f64::from(dx[i])).abs() < 2e-2,
                    "width {width} at {i}: {numeric} {}",
                    dx[i]
                );
            }
        }
    }
}
