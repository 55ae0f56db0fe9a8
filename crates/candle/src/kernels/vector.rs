//! Loops over vectors, compiled for the widest instruction set of the machine they run on.

use pulp::{Arch, Simd, WithSimd};

const LANES: usize = 16;

/// Runs a loop compiled for this machine's instruction set. Everything it calls must be `#[inline(always)]`.
#[inline(always)]
pub(crate) fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    struct Work<F>(F);
    impl<R, F: FnOnce() -> R> WithSimd for Work<F> {
        type Output = R;
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> R {
            simd.vectorize(self.0)
        }
    }
    Arch::new().dispatch(Work(work))
}

/// `sum a[i] b[i]`, summed in 16 lanes.
#[inline(always)]
pub(crate) fn dot_lanes(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_body, a_tail) = a.split_at(a.len() - a.len() % LANES);
    let (b_body, b_tail) = b.split_at(a_body.len());
    for (x, y) in a_body.chunks_exact(LANES).zip(b_body.chunks_exact(LANES)) {
        for lane in 0..LANES {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    let tail: f32 = a_tail.iter().zip(b_tail).map(|(x, y)| x * y).sum();
    sum_lanes(lanes) + tail
}

/// `max a[i]`, in 16 lanes; `-inf` for an empty slice.
#[inline(always)]
pub(crate) fn max_lanes(a: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let body = a.chunks_exact(LANES);
    let tail = body.remainder();
    for x in body {
        for lane in 0..LANES {
            lanes[lane] = if x[lane] > lanes[lane] { x[lane] } else { lanes[lane] };
        }
    }
    lanes.iter().chain(tail).fold(f32::NEG_INFINITY, |most, &x| if x > most { x } else { most })
}

/// Replaces each `x` by `exp(x - shift)` and returns the sum.
#[inline(always)]
pub(crate) fn exp_shifted_sum(values: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let mut body = values.chunks_exact_mut(LANES);
    for x in &mut body {
        for lane in 0..LANES {
            x[lane] = exp(x[lane] - shift);
            lanes[lane] += x[lane];
        }
    }
    let mut tail = 0.0;
    for x in body.into_remainder() {
        *x = exp(*x - shift);
        tail += *x;
    }
    sum_lanes(lanes) + tail
}

#[inline(always)]
pub(crate) fn sum_lanes(lanes: [f32; LANES]) -> f32 {
    let mut half = [0.0; LANES / 2];
    for i in 0..LANES / 2 {
        half[i] = lanes[i] + lanes[i + LANES / 2];
    }
    ((half[0] + half[4]) + (half[1] + half[5])) + ((half[2] + half[6]) + (half[3] + half[7]))
}

/// `e^x` to 2e-7 relative, without a branch, so that loops over it vectorise; 0 under -87.3.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // ln 2 in two parts, the first short enough that `n * LN2_HI` is exact.
    const LN2_HI: f32 = 0.693_359_4;
    const LN2_LO: f32 = -2.121_944_4e-4;
    // Adding 1.5 * 2^23 leaves the nearest integer in the low bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.3, 88.3);
    let shifted = clamped * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * LN2_HI) - n * LN2_LO;
    // Minimax polynomial of Cephes' expf.
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let fraction = p * (r * r) + r + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    let value = fraction * power;
    if x < -87.3 { 0.0 } else { value }
}

/// `sum a[i] b[i]`.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    vectorized(
        #[inline(always)]
        || dot_lanes(a, b),
    )
}

/// `out[i] += a[i]`.
pub fn add_assign(out: &mut [f32], a: &[f32]) {
    assert_eq!(out.len(), a.len());
    vectorized(
        #[inline(always)]
        || {
            for (o, x) in out.iter_mut().zip(a) {
                *o += x;
            }
        },
    );
}

/// `values[i] *= factor`.
pub fn scale_all(values: &mut [f32], factor: f32) {
    vectorized(
        #[inline(always)]
        || {
            for value in values {
                *value *= factor;
            }
        },
    );
}

/// `ln sum exp x[i]`, the values left as `exp(x - max)` with their sum: `(log_sum, sum)`.
pub fn softmax_terms(values: &mut [f32]) -> (f32, f32) {
    vectorized(
        #[inline(always)]
        || {
            let most = max_lanes(values);
            let sum = exp_shifted_sum(values, most);
            (most + sum.ln(), sum)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_everywhere() {
        let mut worst = 0.0f64;
        for i in -87_000..88_000 {
            let x = i as f32 / 1000.0;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) - exact).abs() / exact);
        }
        assert!(worst < 2e-7, "{worst}");
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-1e30), 0.0);
    }

    #[test]
    fn sums_at_odd_lengths() {
        for len in [0, 1, 15, 16, 17, 100, 577] {
            let a: Vec<f32> = (0..len).map(|i| (i as f32 * 0.37).sin()).collect();
            let b: Vec<f32> = (0..len).map(|i| (i as f32 * 0.11).cos()).collect();
            let naive: f64 = a.iter().zip(&b).map(|(x, y)| f64::from(x * y)).sum();
            assert!((f64::from(dot(&a, &b)) - naive).abs() < 1e-4, "{len}");
            let most = a.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(max_lanes(&a), most);
            let log_sum = a.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
            let mut terms = a.clone();
            if len > 0 {
                assert!((f64::from(softmax_terms(&mut terms).0) - log_sum).abs() < 1e-5, "{len}");
            }
        }
    }
}
