//! Transposes.

use super::tile::{Isa, TILE_COLUMNS, VECTOR};
use rayon::prelude::*;

/// `to[j, i] = from[i, j]`; `from`: `[rows, columns]`.
pub fn transpose(from: &[f32], columns: usize, to: &mut Vec<f32>) {
    to.resize(from.len(), 0.0);
    each(from, columns, to, |to, from| *to = from);
}

/// `to[j, i] += from[i, j]`; `from`: `[rows, columns]`.
pub fn add_transposed(from: &[f32], columns: usize, to: &mut [f32]) {
    each(from, columns, to, |to, from| *to += from);
}

/// Calls `put` for every element of `to` with that of `from` that belongs there.
fn each(from: &[f32], columns: usize, to: &mut [f32], put: impl Fn(&mut f32, f32) + Sync) {
    assert_eq!(from.len(), to.len());
    if from.is_empty() {
        return;
    }
    let rows = from.len() / columns;
    to.par_chunks_mut(VECTOR * rows).enumerate().for_each(|(stripe, to)| {
        let first = stripe * VECTOR;
        for (i, row) in from.chunks_exact(columns).enumerate() {
            for (j, to) in to.chunks_exact_mut(rows).enumerate() {
                put(&mut to[i], row[first + j]);
            }
        }
    });
}

/// `to[i, j] = from[j, i]` for a square of [`TILE_COLUMNS`], both rows of that width.
pub(super) fn transpose_square(isa: Isa, from: &[f32], to: &mut [f32]) {
    const SIZE: usize = TILE_COLUMNS * TILE_COLUMNS;
    let (from, to) = (&from[..SIZE], &mut to[..SIZE]);
    for row in (0..TILE_COLUMNS).step_by(VECTOR) {
        for column in (0..TILE_COLUMNS).step_by(VECTOR) {
            let (source, target) = (row * TILE_COLUMNS + column, column * TILE_COLUMNS + row);
            match isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => {
                    assert!(is_x86_feature_detected!("avx512f"));
                    // SAFETY: the instructions exist, and both blocks of 16 rows, 48 values apart, lie in their squares.
                    unsafe { x86::block(from.as_ptr().add(source), to.as_mut_ptr().add(target)) }
                }
                _ => {
                    for i in 0..VECTOR {
                        for j in 0..VECTOR {
                            to[target + j * TILE_COLUMNS + i] = from[source + i * TILE_COLUMNS + j];
                        }
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::TILE_COLUMNS;
    use std::arch::x86_64::*;

    /// Transposes 16 x 16 values, in four rounds of exchanging halves: single values, pairs, quarters, halves of
    /// registers.
    ///
    /// # Safety
    /// 16 values of 16 rows, [`TILE_COLUMNS`] apart, can be read at `from` and written at `to`.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn block(from: *const f32, to: *mut f32) {
        // SAFETY: the caller's promise.
        let rows: [__m512; 16] =
            std::array::from_fn(|i| unsafe { _mm512_loadu_ps(from.add(i * TILE_COLUMNS)) });
        let singles: [__m512; 16] = std::array::from_fn(|i| {
            let (a, b) = (rows[i / 2 * 2], rows[i / 2 * 2 + 1]);
            if i % 2 == 0 { _mm512_unpacklo_ps(a, b) } else { _mm512_unpackhi_ps(a, b) }
        });
        // Row `4 g + c`: in each quarter of the register, column `c` of that quarter for the rows of group `g`.
        let pairs: [__m512; 16] = std::array::from_fn(|i| {
            let (group, column) = (i / 4 * 4, i % 4);
            let a = _mm512_castps_pd(singles[group + column / 2]);
            let b = _mm512_castps_pd(singles[group + 2 + column / 2]);
            _mm512_castpd_ps(if column % 2 == 0 {
                _mm512_unpacklo_pd(a, b)
            } else {
                _mm512_unpackhi_pd(a, b)
            })
        });
        for column in 0..4 {
            let [a, b, c, d] = std::array::from_fn(|group| pairs[4 * group + column]);
            let even = [_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0x88>(c, d)];
            let odd = [_mm512_shuffle_f32x4::<0xdd>(a, b), _mm512_shuffle_f32x4::<0xdd>(c, d)];
            let done = [
                _mm512_shuffle_f32x4::<0x88>(even[0], even[1]),
                _mm512_shuffle_f32x4::<0x88>(odd[0], odd[1]),
                _mm512_shuffle_f32x4::<0xdd>(even[0], even[1]),
                _mm512_shuffle_f32x4::<0xdd>(odd[0], odd[1]),
            ];
            for (quarter, row) in done.into_iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { _mm512_storeu_ps(to.add((4 * quarter + column) * TILE_COLUMNS), row) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_of_any_size() {
        for (rows, columns) in [(1, 1), (3, 40), (17, 5), (16, 100)] {
            let from: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let (mut to, mut sum) = (Vec::new(), vec![0.5; rows * columns]);
            transpose(&from, columns, &mut to);
            add_transposed(&from, columns, &mut sum);
            for i in 0..rows {
                for j in 0..columns {
                    let expected = from[i * columns + j];
                    assert_eq!((to[j * rows + i], sum[j * rows + i]), (expected, expected + 0.5));
                }
            }
        }
    }

    #[test]
    fn every_path_moves_every_value_to_its_place() {
        let from: Vec<f32> = (0..TILE_COLUMNS * TILE_COLUMNS).map(|i| i as f32).collect();
        for isa in Isa::available() {
            let mut to = vec![f32::NAN; from.len()];
            transpose_square(isa, &from, &mut to);
            for (i, row) in to.chunks(TILE_COLUMNS).enumerate() {
                for (j, &value) in row.iter().enumerate() {
                    assert_eq!(value, from[j * TILE_COLUMNS + i], "{isa:?} {i} {j}");
                }
            }
        }
    }
}
