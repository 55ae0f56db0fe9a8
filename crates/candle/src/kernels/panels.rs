//! Frozen matrices, packed once into panels of 48 rows so that products stream them.
//!
//! A matrix `w` of shape `[out, in]` serves `x w^T` (forward) and `d w` (backward) from this one copy: forward, a
//! panel is read as it lies; backward, squares of it are transposed into a buffer that stays in the cache. In bf16
//! or 8 bits a matrix takes a half or a quarter of the memory and is widened to `f32` piece by piece, in the same
//! buffer, so arithmetic and gradients are `f32` throughout.

use super::aligned::Aligned;
use super::tile::{Isa, TILE_COLUMNS};
use super::transpose::transpose_square;
use super::vector::vectorized;
use half::bf16;
use rayon::prelude::*;
use std::ops::Range;

/// How a frozen weight is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Precision {
    /// 4 bytes, exact.
    #[default]
    F32,
    /// 2 bytes: exact for models published in bf16, 8 bits of mantissa otherwise.
    Bf16,
    /// 1.125 bytes: blocks of 32 values with a common scale, as GGUF's Q8_0 but for a wider scale.
    Q8,
}

impl Precision {
    /// How the embedding and the head are stored beside linear layers of this precision: never in 8 bits, for
    /// everything passes through them.
    pub fn of_tables(self) -> Self {
        if self == Precision::Q8 { Precision::Bf16 } else { self }
    }
}

/// Values along `in` that share a scale.
const BLOCK: usize = 32;

/// A matrix `[out, in]`, packed: panel, then position along `in`, then 48 rows side by side. Rows that fill the
/// last panel up are zero.
#[derive(Debug, Clone)]
pub struct Panels {
    n_out: usize,
    n_in: usize,
    values: Values,
}

#[derive(Debug, Clone)]
enum Values {
    F32(Aligned),
    Bf16(Vec<bf16>),
    /// A scale for every block of every row: `[panel, in / 32, 48]`.
    Q8 {
        values: Vec<i8>,
        scales: Vec<f32>,
    },
}

impl Panels {
    /// Packs `w`, `[n_out, n_in]` row-major.
    ///
    /// # Panics
    /// If `w` has another length.
    pub fn pack(w: &[f32], n_out: usize, n_in: usize, precision: Precision) -> Self {
        assert_eq!(Some(w.len()), n_out.checked_mul(n_in), "a matrix of {n_out} x {n_in}");
        let n_panels = n_out.div_ceil(TILE_COLUMNS);
        let (each, n_blocks) = (n_in * TILE_COLUMNS, n_in.div_ceil(BLOCK));
        let rows = |panel: usize| {
            let rows = panel * TILE_COLUMNS..((panel + 1) * TILE_COLUMNS).min(n_out);
            rows.map(|row| &w[row * n_in..(row + 1) * n_in]).enumerate()
        };
        let values = match precision {
            Precision::F32 => {
                let mut values = Aligned::zeros(n_panels * each);
                values.as_mut_slice().par_chunks_mut(each.max(1)).enumerate().for_each(|(panel, to)| {
                    rows(panel).for_each(|(lane, row)| spread(row, lane, to, |x| x));
                });
                Values::F32(values)
            }
            Precision::Bf16 => {
                let mut values = vec![bf16::ZERO; n_panels * each];
                values.par_chunks_mut(each.max(1)).enumerate().for_each(|(panel, to)| {
                    rows(panel).for_each(|(lane, row)| spread(row, lane, to, bf16::from_f32));
                });
                Values::Bf16(values)
            }
            Precision::Q8 => {
                let mut values = vec![0i8; n_panels * each];
                let mut scales = vec![0.0f32; n_panels * n_blocks * TILE_COLUMNS];
                let panels = values.par_chunks_mut(each.max(1));
                let scaled = scales.par_chunks_mut((n_blocks * TILE_COLUMNS).max(1));
                panels.zip(scaled).enumerate().for_each(|(panel, (values, scales))| {
                    for (lane, row) in rows(panel) {
                        let blocks = row.chunks(BLOCK).zip(values.chunks_mut(BLOCK * TILE_COLUMNS));
                        for ((from, to), scales) in blocks.zip(scales.chunks_mut(TILE_COLUMNS)) {
                            // `f32::max` would pass over a NaN, and broken weights would look whole.
                            let broken = from.iter().any(|x| !x.is_finite());
                            let most = from.iter().fold(0.0f32, |most, x| most.max(x.abs()));
                            let scale = if broken { f32::NAN } else { most / 127.0 };
                            let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
                            scales[lane] = scale;
                            spread(from, lane, to, |x| (x * inverse).round() as i8);
                        }
                    }
                });
                Values::Q8 { values, scales }
            }
        };
        Panels { n_out, n_in, values }
    }

    /// Rows of the matrix.
    pub fn n_out(&self) -> usize {
        self.n_out
    }

    /// Columns of the matrix.
    pub fn n_in(&self) -> usize {
        self.n_in
    }

    /// How its values are stored.
    pub fn precision(&self) -> Precision {
        match self.values {
            Values::F32(_) => Precision::F32,
            Values::Bf16(_) => Precision::Bf16,
            Values::Q8 { .. } => Precision::Q8,
        }
    }

    /// The matrix again, `[n_out, n_in]` row-major, as precise as it is stored.
    pub fn unpack(&self) -> Vec<f32> {
        let mut w = vec![0.0; self.n_out * self.n_in];
        w.par_chunks_mut(self.n_in.max(1)).enumerate().for_each(|(row, out)| self.read_row(row, out));
        w
    }

    /// One row, `[n_in]`.
    pub fn read_row(&self, row: usize, out: &mut [f32]) {
        assert!(row < self.n_out && out.len() == self.n_in, "row {row} of {} x {}", self.n_out, self.n_in);
        let (panel, lane) = (row / TILE_COLUMNS, row % TILE_COLUMNS);
        let at = |i: usize| (panel * self.n_in + i) * TILE_COLUMNS + lane;
        for (i, out) in out.iter_mut().enumerate() {
            *out = match &self.values {
                Values::F32(values) => values.as_slice()[at(i)],
                Values::Bf16(values) => values[at(i)].to_f32(),
                Values::Q8 { values, scales } => {
                    let scale = (panel * self.n_in.div_ceil(BLOCK) + i / BLOCK) * TILE_COLUMNS + lane;
                    f32::from(values[at(i)]) * scales[scale]
                }
            };
        }
    }

    /// `w^T` of a panel's rows, at `inner` of the columns: `[inner.len(), 48]`, in place or widened into `buffer`.
    pub(super) fn chunk<'a>(
        &'a self,
        panel: usize,
        inner: Range<usize>,
        buffer: &'a mut Aligned,
    ) -> &'a [f32] {
        let at = (panel * self.n_in + inner.start) * TILE_COLUMNS;
        let len = inner.len() * TILE_COLUMNS;
        match &self.values {
            Values::F32(values) => &values.as_slice()[at..at + len],
            _ => {
                let wide = buffer.at_least(len);
                self.widen(panel, inner, wide);
                wide
            }
        }
    }

    /// `w` of a panel's rows at 48 columns from `column`: `[48, 48]` into `to`, zero beyond the matrix. `buffer` is
    /// scratch.
    pub(super) fn square(&self, isa: Isa, panel: usize, column: usize, buffer: &mut Aligned, to: &mut [f32]) {
        let end = (column + TILE_COLUMNS).min(self.n_in);
        let whole = end - column == TILE_COLUMNS;
        match &self.values {
            Values::F32(values) if whole => {
                let from = &values.as_slice()[(panel * self.n_in + column) * TILE_COLUMNS..];
                transpose_square(isa, from, to);
            }
            _ => {
                let wide = buffer.at_least(TILE_COLUMNS * TILE_COLUMNS);
                let (inside, beyond) = wide.split_at_mut((end - column) * TILE_COLUMNS);
                self.widen(panel, column..end, inside);
                beyond.fill(0.0);
                transpose_square(isa, wide, to);
            }
        }
    }

    /// Copies a panel's rows at `inner` of the columns as `f32`.
    fn widen(&self, panel: usize, inner: Range<usize>, to: &mut [f32]) {
        let at = (panel * self.n_in + inner.start) * TILE_COLUMNS;
        let n_blocks = self.n_in.div_ceil(BLOCK);
        match &self.values {
            Values::F32(values) => to.copy_from_slice(&values.as_slice()[at..at + to.len()]),
            Values::Bf16(values) => {
                let from = &values[at..at + to.len()];
                vectorized(
                    #[inline(always)]
                    || {
                        for (to, from) in to.iter_mut().zip(from) {
                            *to = f32::from_bits(u32::from(from.to_bits()) << 16);
                        }
                    },
                );
            }
            Values::Q8 { values, scales } => {
                let from = &values[at..at + to.len()];
                vectorized(
                    #[inline(always)]
                    || {
                        let rows = to.chunks_exact_mut(TILE_COLUMNS).zip(from.chunks_exact(TILE_COLUMNS));
                        for ((to, from), i) in rows.zip(inner) {
                            let scales =
                                &scales[(panel * n_blocks + i / BLOCK) * TILE_COLUMNS..][..TILE_COLUMNS];
                            for lane in 0..TILE_COLUMNS {
                                to[lane] = f32::from(from[lane]) * scales[lane];
                            }
                        }
                    },
                );
            }
        }
    }
}

/// Puts a row where it stands in its panel.
fn spread<T>(row: &[f32], lane: usize, panel: &mut [T], stored: impl Fn(f32) -> T) {
    for (&value, to) in row.iter().zip(panel.chunks_mut(TILE_COLUMNS)) {
        to[lane] = stored(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(len: usize) -> Vec<f32> {
        (0..len).map(|i| (i as f32 * 0.37).sin() * (1.0 + (i % 7) as f32)).collect()
    }

    #[test]
    fn unpacking_gives_back_what_was_packed() {
        for (n_out, n_in) in [(1, 1), (48, 32), (49, 33), (100, 70), (7, 200)] {
            let w = matrix(n_out * n_in);
            assert_eq!(Panels::pack(&w, n_out, n_in, Precision::F32).unpack(), w);
            for (precision, tolerance) in [(Precision::Bf16, 1.0 / 256.0), (Precision::Q8, 1.0 / 254.0)] {
                let again = Panels::pack(&w, n_out, n_in, precision).unpack();
                let rows = w.chunks(n_in).zip(again.chunks(n_in));
                for (a, b) in rows.flat_map(|(a, b)| a.chunks(BLOCK).zip(b.chunks(BLOCK))) {
                    let most = a.iter().fold(0.0f32, |most, x| most.max(x.abs()));
                    for (a, b) in a.iter().zip(b) {
                        assert!((a - b).abs() <= tolerance * 1.001 * most, "{precision:?} {a} {b} of {most}");
                    }
                }
            }
        }
    }

    #[test]
    fn broken_weights_stay_broken() {
        for broken in [f32::NAN, f32::INFINITY] {
            for precision in [Precision::F32, Precision::Bf16, Precision::Q8] {
                let again = Panels::pack(&[1.0, broken, 2.0], 1, 3, precision).unpack();
                assert!(again.iter().any(|x| !x.is_finite()), "{precision:?} {again:?}");
            }
        }
    }

    #[test]
    fn what_fits_a_precision_is_kept_to_the_bit() {
        let exact: Vec<f32> = (0..49 * 40).map(|i| bf16::from_f32((i as f32).sin()).to_f32()).collect();
        assert_eq!(Panels::pack(&exact, 49, 40, Precision::Bf16).unpack(), exact);
        let zero = vec![0.0; 49 * 40];
        assert_eq!(Panels::pack(&zero, 49, 40, Precision::Q8).unpack(), zero);
    }
}
