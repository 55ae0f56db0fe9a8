//! SwiGLU (Shazeer, arXiv 2002.05202): `silu(gate) * up`, gate and up side by side in one row.

use super::ROWS_PER_TASK;
use super::vector::{exp, vectorized};
use rayon::prelude::*;

/// `out = silu(gate) * up`; `gate_up`: `[rows, 2 width]`, `out`: `[rows, width]`.
pub fn swiglu(gate_up: &[f32], width: usize, out: &mut [f32]) {
    assert_eq!(gate_up.len(), 2 * out.len());
    out.par_chunks_mut(ROWS_PER_TASK * width).zip(gate_up.par_chunks(ROWS_PER_TASK * 2 * width)).for_each(
        |(out, gate_up)| {
            vectorized(
                #[inline(always)]
                || {
                    for (out, row) in out.chunks_exact_mut(width).zip(gate_up.chunks_exact(2 * width)) {
                        let (gate, up) = row.split_at(width);
                        for ((o, &g), u) in out.iter_mut().zip(gate).zip(up) {
                            *o = g / (1.0 + exp(-g)) * u;
                        }
                    }
                },
            );
        },
    );
}

/// Replaces `gate_up` by its gradient, given that of the output.
pub fn swiglu_backward(d_out: &[f32], width: usize, gate_up: &mut [f32]) {
    assert_eq!(gate_up.len(), 2 * d_out.len());
    gate_up.par_chunks_mut(ROWS_PER_TASK * 2 * width).zip(d_out.par_chunks(ROWS_PER_TASK * width)).for_each(
        |(gate_up, d_out)| {
            vectorized(
                #[inline(always)]
                || {
                    for (row, d_out) in gate_up.chunks_exact_mut(2 * width).zip(d_out.chunks_exact(width)) {
                        let (gate, up) = row.split_at_mut(width);
                        backward_row(gate, up, d_out);
                    }
                },
            );
        },
    );
}

/// In groups of a fixed size, because the compiler does not vectorise the plain loop.
#[inline(always)]
fn backward_row(gate: &mut [f32], up: &mut [f32], d_out: &[f32]) {
    const LANES: usize = 16;
    let mut gate = gate.chunks_exact_mut(LANES);
    let mut up = up.chunks_exact_mut(LANES);
    let mut d_out = d_out.chunks_exact(LANES);
    for ((gate, up), d_out) in (&mut gate).zip(&mut up).zip(&mut d_out) {
        for lane in 0..LANES {
            (gate[lane], up[lane]) = gradient(gate[lane], up[lane], d_out[lane]);
        }
    }
    for ((gate, up), &d_out) in
        gate.into_remainder().iter_mut().zip(up.into_remainder()).zip(d_out.remainder())
    {
        (*gate, *up) = gradient(*gate, *up, d_out);
    }
}

/// `d (silu(gate) * up)` with respect to gate and up.
#[inline(always)]
fn gradient(gate: f32, up: f32, d_out: f32) -> (f32, f32) {
    let sigmoid = 1.0 / (1.0 + exp(-gate));
    let silu = gate * sigmoid;
    (d_out * up * (sigmoid + silu * (1.0 - sigmoid)), d_out * silu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_definition_and_its_derivative() {
        for width in [1, 7, 16, 35] {
            let gate_up: Vec<f32> = (0..4 * width).map(|i| 3.0 * (i as f32 * 0.9).sin()).collect();
            let d_out: Vec<f32> = (0..2 * width).map(|i| (i as f32 * 0.3).cos()).collect();
            let silu = |g: f64| g / (1.0 + (-g).exp());
            let (mut out, mut grad) = (vec![0.0; 2 * width], gate_up.clone());
            swiglu(&gate_up, width, &mut out);
            swiglu_backward(&d_out, width, &mut grad);
            for row in 0..2 {
                for i in 0..width {
                    let (g, u) = (row * 2 * width + i, row * 2 * width + width + i);
                    let (gate, up, d) =
                        (f64::from(gate_up[g]), f64::from(gate_up[u]), f64::from(d_out[row * width + i]));
                    assert!((f64::from(out[row * width + i]) - silu(gate) * up).abs() < 1e-5);
                    let slope = (silu(gate + 1e-5) - silu(gate - 1e-5)) / 2e-5;
                    assert!((f64::from(grad[g]) - d * up * slope).abs() < 1e-5);
                    assert!((f64::from(grad[u]) - d * silu(gate)).abs() < 1e-5);
                }
            }
        }
    }
}
