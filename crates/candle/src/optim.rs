//! AdamW (Loshchilov and Hutter, arXiv 1711.05101) over one vector of parameters.

use crate::kernels::vector::{dot_lanes, vectorized};
use rayon::prelude::*;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f32 = 1e-8;
const CHUNK: usize = 1 << 15;

/// Running means of the gradient and of its square.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    /// Of the gradient.
    pub first: Vec<f32>,
    /// Of its square.
    pub second: Vec<f32>,
    /// Steps done.
    pub steps: usize,
}

impl AdamW {
    /// Nothing seen yet.
    pub fn new(len: usize) -> Self {
        AdamW { first: vec![0.0; len], second: vec![0.0; len], steps: 0 }
    }

    /// One step along `grad_scale * grad`.
    pub fn step(&mut self, values: &mut [f32], grad: &[f32], grad_scale: f32, lr: f64, weight_decay: f64) {
        self.steps += 1;
        let bias_1 = 1.0 - BETA_1.powi(self.steps as i32);
        let bias_2 = 1.0 - BETA_2.powi(self.steps as i32);
        let (rate, root) = ((lr / bias_1) as f32, bias_2.sqrt() as f32);
        let keep = (1.0 - lr * weight_decay) as f32;
        let (beta_1, beta_2) = (BETA_1 as f32, BETA_2 as f32);
        values
            .par_chunks_mut(CHUNK)
            .zip(grad.par_chunks(CHUNK))
            .zip(self.first.par_chunks_mut(CHUNK))
            .zip(self.second.par_chunks_mut(CHUNK))
            .for_each(|(((values, grad), first), second)| {
                vectorized(
                    #[inline(always)]
                    || {
                        for (((value, g), m), v) in values.iter_mut().zip(grad).zip(first).zip(second) {
                            let g = g * grad_scale;
                            *m = beta_1 * *m + (1.0 - beta_1) * g;
                            *v = beta_2 * *v + (1.0 - beta_2) * g * g;
                            *value = *value * keep - rate * *m / (v.sqrt() / root + EPSILON);
                        }
                    },
                );
            });
    }
}

/// Euclidean norm, summed in the same order for any number of threads.
pub fn norm(values: &[f32]) -> f64 {
    let parts: Vec<f64> = values
        .par_chunks(CHUNK)
        .map(|part| {
            let rows = part.chunks(256);
            vectorized(
                #[inline(always)]
                || rows.map(|row| f64::from(dot_lanes(row, row))).sum::<f64>(),
            )
        })
        .collect();
    parts.iter().sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_definition() {
        let (lr, decay) = (0.1, 0.01);
        let mut values = vec![1.0f32, -2.0, 0.5];
        let mut optimizer = AdamW::new(3);
        let (mut x, mut m, mut v) = ([1.0f64, -2.0, 0.5], [0.0f64; 3], [0.0f64; 3]);
        for t in 1..=5 {
            let grad: Vec<f32> = values.iter().map(|&x| 2.0 * x + 0.3).collect();
            optimizer.step(&mut values, &grad, 0.5, lr, decay);
            for i in 0..3 {
                let g = 0.5 * (2.0 * x[i] + f64::from(0.3f32));
                m[i] = 0.9 * m[i] + 0.1 * g;
                v[i] = 0.999 * v[i] + 0.001 * g * g;
                let (m_hat, v_hat) = (m[i] / (1.0 - 0.9f64.powi(t)), v[i] / (1.0 - 0.999f64.powi(t)));
                x[i] -= lr * decay * x[i] + lr * m_hat / (v_hat.sqrt() + 1e-8);
            }
        }
        assert!(values.iter().zip(x).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5), "{values:?} {x:?}");
    }

    #[test]
    fn norm_of_long_and_short() {
        for len in [0, 1, 255, 70_001] {
            let values: Vec<f32> = (0..len).map(|i| (i as f32 * 0.01).sin()).collect();
            let naive = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
            assert!((norm(&values) - naive).abs() < 1e-4 * naive.max(1.0));
        }
    }
}
