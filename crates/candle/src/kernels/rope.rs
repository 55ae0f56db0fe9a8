//! Rotary position embedding (Su et al., arXiv 2104.09864), the two halves of a head rotated together.

use super::ROWS_PER_TASK;
use rayon::prelude::*;

/// Cosines and sines for every position, `[positions, head_dim / 2]` each.
#[derive(Debug, Clone)]
pub struct RopeTable {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

/// Which way to rotate; backward is the transpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// By `position * frequency`.
    Forward,
    /// By the negative angle.
    Backward,
}

impl RopeTable {
    /// Angles for positions `0..positions`; `frequencies`: `[head_dim / 2]`, radians per position.
    pub fn new(frequencies: &[f64], positions: usize) -> Self {
        let half = frequencies.len();
        // Angles are products in f32, as in the reference implementations, so that long contexts agree.
        let angles = (0..positions).flat_map(|p| frequencies.iter().map(move |&f| p as f32 * f as f32));
        let (cos, sin) = angles.map(|angle| (angle.cos(), angle.sin())).unzip();
        RopeTable { half, cos, sin }
    }

    /// Number of positions.
    pub fn positions(&self) -> usize {
        self.cos.len() / self.half
    }

    /// Rotates the first `n_heads` heads of every row in place. `rows`: `[positions.len(), width]`.
    pub fn rotate(&self, turn: Turn, rows: &mut [f32], width: usize, n_heads: usize, positions: &[u32]) {
        assert_eq!(rows.len(), width * positions.len());
        assert!(n_heads * self.half * 2 <= width);
        let sign = if turn == Turn::Forward { 1.0 } else { -1.0 };
        rows.par_chunks_mut(ROWS_PER_TASK * width).zip(positions.par_chunks(ROWS_PER_TASK)).for_each(
            |(rows, positions)| {
                for (row, &position) in rows.chunks_exact_mut(width).zip(positions) {
                    self.rotate_row(sign, &mut row[..n_heads * self.half * 2], position as usize);
                }
            },
        );
    }

    fn rotate_row(&self, sign: f32, heads: &mut [f32], position: usize) {
        let at = position * self.half..(position + 1) * self.half;
        let (cos, sin) = (&self.cos[at.clone()], &self.sin[at]);
        for head in heads.chunks_exact_mut(2 * self.half) {
            let (low, high) = head.split_at_mut(self.half);
            for (((low, high), c), s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                let (x, y, s) = (*low, *high, s * sign);
                *low = x * c - y * s;
                *high = y * c + x * s;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frequencies(half: usize, theta: f64) -> Vec<f64> {
        (0..half).map(|i| theta.powf(-(i as f64) / half as f64)).collect()
    }

    #[test]
    fn turning_back_undoes_turning() {
        let table = RopeTable::new(&frequencies(3, 10_000.0), 40);
        let before: Vec<f32> = (0..3 * 20).map(|i| (i as f32).sin()).collect();
        let mut rows = before.clone();
        table.rotate(Turn::Forward, &mut rows, 20, 3, &[0, 7, 39]);
        assert_eq!(rows[..20], before[..20], "position 0 turns by nothing");
        assert_ne!(rows[20..38], before[20..38]);
        assert_eq!(rows[38..40], before[38..40], "columns after the heads stay");
        table.rotate(Turn::Backward, &mut rows, 20, 3, &[0, 7, 39]);
        assert!(rows.iter().zip(&before).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn dot_products_depend_on_distance_alone() {
        let table = RopeTable::new(&frequencies(4, 100.0), 64);
        let product = |p: u32, q: u32| {
            let mut a: Vec<f32> = (0..8).map(|i| (i as f32 * 0.4).cos()).collect();
            let mut b: Vec<f32> = (0..8).map(|i| (i as f32 * 0.9).sin()).collect();
            table.rotate(Turn::Forward, &mut a, 8, 1, &[p]);
            table.rotate(Turn::Forward, &mut b, 8, 1, &[q]);
            super::super::vector::dot(&a, &b)
        };
        assert!((product(3, 10) - product(43, 50)).abs() < 1e-5);
    }
}
