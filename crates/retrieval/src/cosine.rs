//! Cosine of unit vectors, with the same bits on every machine.

use pulp::{Arch, Simd, WithSimd};

const LANES: usize = 32;

/// Runs a loop compiled for this machine's instruction set. Everything it calls must be `#[inline(always)]`.
#[inline(always)]
pub(crate) fn vectorized<R>(arch: Arch, work: impl FnOnce() -> R) -> R {
    struct Work<F>(F);
    impl<R, F: FnOnce() -> R> WithSimd for Work<F> {
        type Output = R;
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> R {
            simd.vectorize(self.0)
        }
    }
    arch.dispatch(Work(work))
}

/// The dot product of two unit vectors of one width, kept in `[-1, 1]`, never `-0.0`.
///
/// The lanes and the order in which they are added are fixed, and no product is fused with a sum: an index
/// answers alike with SSE2 and with AVX-512, one query at a time and many.
#[inline(always)]
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_body, a_tail) = a.split_at(a.len() - a.len() % LANES);
    let (b_body, b_tail) = b.split_at(a_body.len());
    for (x, y) in a_body.chunks_exact(LANES).zip(b_body.chunks_exact(LANES)) {
        for lane in 0..LANES {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    for (lane, (x, y)) in lanes.iter_mut().zip(a_tail.iter().zip(b_tail)) {
        *lane += x * y;
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    // Adding 0.0 makes 0.0 of -0.0, which would be another score to the tie rule.
    lanes[0].clamp(-1.0, 1.0) + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn is_the_plain_sum_and_the_same_for_every_instruction_set(
            pairs in prop::collection::vec((-0.1f32..0.1, -0.1f32..0.1), 1..90),
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let plain = cosine(&a, &b);
            let naive: f64 = a.iter().zip(&b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            prop_assert!((f64::from(plain) - naive).abs() < 1e-6, "{plain} is not {naive}");
            prop_assert_eq!(vectorized(Arch::new(), || cosine(&a, &b)).to_bits(), plain.to_bits());
        }
    }

    #[test]
    fn stays_between_minus_one_and_one_and_has_one_zero() {
        // The f32 nearest to the square root of 1/3 is a little too large: three squares sum to more than 1.
        let a = [0.577_350_3f32; 3];
        assert!(a.iter().map(|v| v * v).sum::<f32>() > 1.0);
        assert_eq!(cosine(&a, &a), 1.0);
        assert_eq!(cosine(&a, &a.map(|v| -v)), -1.0);
        assert!(cosine(&[0.0, 1.0], &[-1.0, 0.0]).is_sign_positive());
    }
}
