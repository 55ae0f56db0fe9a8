//! The innermost loop of matrix products: a tile of up to 8 rows by 48 columns, held in registers whole or in parts.
//!
//! Every element of a product is one running sum over the contraction, in ascending order, with one fused
//! multiply-add a step. So its bits depend neither on the tile it falls into, nor on the other rows of the batch,
//! nor on the number of threads; AVX-512 and AVX2 agree to the bit, the plain path rounds twice a step.

/// Most rows of a tile.
pub const TILE_ROWS: usize = 8;
/// Columns of a full tile, and of a panel of packed weights.
pub const TILE_COLUMNS: usize = 48;
/// Columns that one vector of the widest instruction set holds; tiles are whole vectors wide.
pub const VECTOR: usize = 16;

/// An instruction set that products are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// 512-bit vectors with fused multiply-add.
    Avx512,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// Whatever the compiler makes of plain loops.
    Plain,
}

impl Isa {
    /// The best one of this machine.
    pub fn best() -> Self {
        Isa::available().next().unwrap_or(Isa::Plain)
    }

    /// All that this machine can run, best first.
    pub fn available() -> impl Iterator<Item = Self> {
        [Isa::Avx512, Isa::Avx2, Isa::Plain].into_iter().filter(|isa| isa.runs_here())
    }

    /// Rows of a full tile: as many as its registers hold sums for.
    pub(super) fn tile_rows(self) -> usize {
        match self {
            Isa::Avx2 => 6,
            Isa::Avx512 | Isa::Plain => TILE_ROWS,
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn runs_here(self) -> bool {
        match self {
            Isa::Avx512 => is_x86_feature_detected!("avx512f"),
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Isa::Plain => true,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn runs_here(self) -> bool {
        self == Isa::Plain
    }
}

/// The left operand of a tile: element `(r, i)` lies at `data + r * row_stride + i * step`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    pub data: *const f32,
    pub row_stride: usize,
    pub step: usize,
}

/// The right operand: `[len, columns]`, rows `stride` apart, columns a multiple of [`VECTOR`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Right {
    pub data: *const f32,
    pub stride: usize,
}

/// What is computed next from memory that is not in the cache yet.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only x86's tiles fetch ahead"))]
pub(super) struct Ahead {
    pub data: *const f32,
    /// Cache lines of [`VECTOR`] values.
    pub lines: usize,
}

/// `out[r, c] = (load ? out[r, c] : 0) + sum_i left[r, i] right[i, c]` for `rows` (1 to [`Isa::tile_rows`]) times `vectors` (1 to 3)
/// times [`VECTOR`] columns; rows of `out` lie `stride` apart.
///
/// # Safety
/// The machine has `isa`; every element named above lies inside live allocations, `out` may be written, and nobody
/// else reads or writes its elements meanwhile. `ahead` is a hint and may point anywhere.
#[allow(clippy::too_many_arguments)] // the operands of a fused multiply-add, and their sizes
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables, reason = "only x86's tiles fetch ahead"))]
#[inline]
pub(super) unsafe fn tile(
    isa: Isa,
    (rows, vectors): (usize, usize),
    len: usize,
    left: Left,
    right: Right,
    out: *mut f32,
    stride: usize,
    load: bool,
    ahead: Ahead,
) {
    debug_assert!((1..=isa.tile_rows()).contains(&rows) && (1..=3).contains(&vectors));
    // SAFETY: the caller's promise, handed on.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => x86::avx512((rows, vectors), len, left, right, out, stride, load, ahead),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => x86::avx2((rows, vectors), len, left, right, out, stride, load, ahead),
            _ => plain((rows, vectors), len, left, right, out, stride, load),
        }
    }
}

/// # Safety
/// As [`tile`].
unsafe fn plain(
    (rows, vectors): (usize, usize),
    len: usize,
    left: Left,
    right: Right,
    out: *mut f32,
    stride: usize,
    load: bool,
) {
    for r in 0..rows {
        for v in 0..vectors {
            // SAFETY: the caller's promise.
            unsafe {
                let out = out.add(r * stride + v * VECTOR);
                let mut sums = [0.0f32; VECTOR];
                if load {
                    sums = out.cast::<[f32; VECTOR]>().read_unaligned();
                }
                for i in 0..len {
                    let x = *left.data.add(r * left.row_stride + i * left.step);
                    let y = right
                        .data
                        .add(i * right.stride + v * VECTOR)
                        .cast::<[f32; VECTOR]>()
                        .read_unaligned();
                    for (sum, y) in sums.iter_mut().zip(y) {
                        *sum += x * y;
                    }
                }
                out.cast::<[f32; VECTOR]>().write_unaligned(sums);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Ahead, Left, Right, VECTOR};
    use std::arch::x86_64::*;

    /// Contraction steps between two prefetches.
    const UNROLL: usize = 4;

    /// # Safety
    /// As [`super::tile`].
    #[allow(clippy::too_many_arguments)]
    #[target_feature(enable = "avx512f")]
    pub unsafe fn avx512(
        (rows, vectors): (usize, usize),
        len: usize,
        left: Left,
        right: Right,
        out: *mut f32,
        stride: usize,
        load: bool,
        ahead: Ahead,
    ) {
        macro_rules! of_size {
            ($($rows:literal)*) => {
                match (rows, vectors) {
                    $(($rows, 1) => avx512_sized::<$rows, 1>(len, left, right, out, stride, load, ahead),
                    ($rows, 2) => avx512_sized::<$rows, 2>(len, left, right, out, stride, load, ahead),
                    ($rows, _) => avx512_sized::<$rows, 3>(len, left, right, out, stride, load, ahead),)*
                    _ => unreachable!("a tile of {rows} rows"),
                }
            };
        }
        // SAFETY: the caller's promise.
        unsafe { of_size!(1 2 3 4 5 6 7 8) }
    }

    #[target_feature(enable = "avx512f")]
    unsafe fn avx512_sized<const ROWS: usize, const VECTORS: usize>(
        len: usize,
        left: Left,
        right: Right,
        out: *mut f32,
        stride: usize,
        load: bool,
        ahead: Ahead,
    ) {
        // SAFETY: the caller's promise; a prefetch may name any address.
        unsafe {
            let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
            for (r, sums) in sums.iter_mut().enumerate() {
                for (v, sum) in sums.iter_mut().enumerate() {
                    let out = out.add(r * stride + v * VECTOR);
                    if load {
                        *sum = _mm512_loadu_ps(out);
                    } else {
                        _mm_prefetch::<_MM_HINT_ET0>(out.cast());
                    }
                }
            }
            let (mut x, mut y) = (left.data, right.data);
            let mut step = |sums: &mut [[__m512; VECTORS]; ROWS]| {
                let mut columns = [_mm512_setzero_ps(); VECTORS];
                for (v, column) in columns.iter_mut().enumerate() {
                    *column = _mm512_loadu_ps(y.add(v * VECTOR));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = _mm512_set1_ps(*x.add(r * left.row_stride));
                    for (sum, column) in sums.iter_mut().zip(columns) {
                        *sum = _mm512_fmadd_ps(x, column, *sum);
                    }
                }
                x = x.wrapping_add(left.step);
                y = y.wrapping_add(right.stride);
            };
            let mut line = 0;
            for _ in 0..len / UNROLL {
                if line < ahead.lines {
                    _mm_prefetch::<_MM_HINT_T1>(ahead.data.wrapping_add(line * VECTOR).cast());
                    line += 1;
                }
                for _ in 0..UNROLL {
                    step(&mut sums);
                }
            }
            for _ in 0..len % UNROLL {
                step(&mut sums);
            }
            for (r, sums) in sums.into_iter().enumerate() {
                for (v, sum) in sums.into_iter().enumerate() {
                    _mm512_storeu_ps(out.add(r * stride + v * VECTOR), sum);
                }
            }
        }
    }

    /// One vector's columns after the other: 6 rows are 12 sums, enough for two multiply-adds a cycle that take four
    /// cycles each, and leave registers for what they read.
    ///
    /// # Safety
    /// As [`super::tile`].
    #[allow(clippy::too_many_arguments)]
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn avx2(
        (rows, vectors): (usize, usize),
        len: usize,
        left: Left,
        right: Right,
        out: *mut f32,
        stride: usize,
        load: bool,
        mut ahead: Ahead,
    ) {
        macro_rules! of_size {
            ($($rows:literal)*; $arguments:tt) => {
                match rows {
                    $($rows => avx2_sized::<$rows> $arguments,)*
                    _ => unreachable!("a tile of {rows} rows"),
                }
            };
        }
        for column in (0..vectors * VECTOR).step_by(VECTOR) {
            // SAFETY: the caller's promise.
            unsafe {
                let right = Right { data: right.data.add(column), ..right };
                let out = out.add(column);
                of_size!(1 2 3 4 5 6; (len, left, right, out, stride, load, ahead))
            }
            ahead.lines = 0;
        }
    }

    /// Columns that a vector of AVX2 holds.
    const LANES: usize = VECTOR / 2;

    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2_sized<const ROWS: usize>(
        len: usize,
        left: Left,
        right: Right,
        out: *mut f32,
        stride: usize,
        load: bool,
        ahead: Ahead,
    ) {
        // SAFETY: the caller's promise; a prefetch may name any address.
        unsafe {
            let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
            if load {
                for (r, sums) in sums.iter_mut().enumerate() {
                    for (v, sum) in sums.iter_mut().enumerate() {
                        *sum = _mm256_loadu_ps(out.add(r * stride + v * LANES));
                    }
                }
            }
            let (mut x, mut y) = (left.data, right.data);
            let mut step = |sums: &mut [[__m256; 2]; ROWS]| {
                let mut columns = [_mm256_setzero_ps(); 2];
                for (v, column) in columns.iter_mut().enumerate() {
                    *column = _mm256_loadu_ps(y.add(v * LANES));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = _mm256_set1_ps(*x.add(r * left.row_stride));
                    for (sum, column) in sums.iter_mut().zip(columns) {
                        *sum = _mm256_fmadd_ps(x, column, *sum);
                    }
                }
                x = x.wrapping_add(left.step);
                y = y.wrapping_add(right.stride);
            };
            // One step after the other: of several at a time, the compiler would read too much too early.
            let n_ahead = ahead.lines.min(len);
            for line in 0..n_ahead {
                _mm_prefetch::<_MM_HINT_T1>(ahead.data.wrapping_add(line * VECTOR).cast());
                step(&mut sums);
            }
            for _ in n_ahead..len {
                step(&mut sums);
            }
            for (r, sums) in sums.into_iter().enumerate() {
                for (v, sum) in sums.into_iter().enumerate() {
                    _mm256_storeu_ps(out.add(r * stride + v * LANES), sum);
                }
            }
        }
    }
}
