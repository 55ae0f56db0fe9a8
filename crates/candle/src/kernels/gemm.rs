//! Matrix products of strided views, on the `gemm` crate (AVX-512, AVX2 or plain, chosen at run time).

use gemm::Parallelism;

/// A read-only matrix over a slice.
#[derive(Debug, Clone, Copy)]
pub struct Mat<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
}

/// A writable matrix over a slice, row-major.
#[derive(Debug)]
pub struct MatMut<'a> {
    pub(super) data: &'a mut [f32],
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: usize,
}

/// Whether a product replaces its destination or is added to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// `out = a b`
    Set,
    /// `out += a b`
    Add,
}

/// Elements a slice needs so that the last one of a view lies inside; `None` where no slice is so long.
fn needed(rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> Option<usize> {
    if rows == 0 || cols == 0 {
        return Some(0);
    }
    (rows - 1).checked_mul(row_stride)?.checked_add((cols - 1).checked_mul(col_stride)?)?.checked_add(1)
}

impl<'a> Mat<'a> {
    /// `[rows, cols]`, row-major, without gaps.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Mat::strided(data, rows, cols, cols)
    }

    /// `[rows, cols]`, row-major, rows `row_stride` elements apart.
    pub fn strided(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(
            needed(rows, cols, row_stride, 1).is_some_and(|needed| needed <= data.len()),
            "matrix view {rows}x{cols} outside its slice"
        );
        Mat { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// The transpose, without moving anything.
    pub fn t(self) -> Self {
        Mat {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }
}

impl<'a> MatMut<'a> {
    /// `[rows, cols]`, row-major, without gaps.
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        MatMut::strided(data, rows, cols, cols)
    }

    /// `[rows, cols]`, row-major, rows `row_stride` elements apart.
    pub fn strided(data: &'a mut [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(cols <= row_stride, "rows of {cols} overlap at stride {row_stride}");
        assert!(
            needed(rows, cols, row_stride, 1).is_some_and(|needed| needed <= data.len()),
            "matrix view {rows}x{cols} outside its slice"
        );
        MatMut { data, rows, cols, row_stride }
    }
}

/// `out = scale * a b` or `out += scale * a b`, on all threads of the current rayon pool if that pays.
pub fn matmul(out: MatMut<'_>, write: Write, scale: f32, a: Mat<'_>, b: Mat<'_>) {
    product(out, write, scale, a, b, Parallelism::Rayon(0));
}

/// [`matmul`] on the calling thread alone, for use inside a parallel loop.
pub fn matmul_serial(out: MatMut<'_>, write: Write, scale: f32, a: Mat<'_>, b: Mat<'_>) {
    product(out, write, scale, a, b, Parallelism::None);
}

fn product(out: MatMut<'_>, write: Write, scale: f32, a: Mat<'_>, b: Mat<'_>, parallelism: Parallelism) {
    assert_eq!((out.rows, out.cols, a.cols), (a.rows, b.cols, b.rows), "matrix product of unlike shapes");
    if out.rows == 0 || out.cols == 0 {
        return;
    }
    // SAFETY: the constructors of `Mat` and `MatMut` checked that every element of the three views lies inside
    // its slice, the shapes agree, and `out` is borrowed exclusively, so it overlaps neither operand.
    unsafe {
        gemm::gemm(
            out.rows,
            out.cols,
            a.cols,
            out.data.as_mut_ptr(),
            1,
            out.row_stride as isize,
            write == Write::Add,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "outside its slice")]
    fn a_stride_that_wraps_around_is_outside() {
        Mat::strided(&[0.0; 8], 4, 1, usize::MAX / 3 + 1);
    }

    #[test]
    fn agrees_with_the_definition_at_odd_sizes() {
        for (m, k, n) in [(1, 1, 1), (3, 7, 5), (17, 33, 9)] {
            let a: Vec<f32> = (0..m * k).map(|i| (i as f32 * 0.3).sin()).collect();
            let b: Vec<f32> = (0..n * k).map(|i| (i as f32 * 0.7).cos()).collect();
            for (write, before) in [(Write::Set, f32::NAN), (Write::Add, 2.0)] {
                let mut out = vec![before; m * n];
                matmul(MatMut::new(&mut out, m, n), write, 0.5, Mat::new(&a, m, k), Mat::new(&b, n, k).t());
                for r in 0..m {
                    for c in 0..n {
                        let sum: f32 = (0..k).map(|i| a[r * k + i] * b[c * k + i]).sum();
                        let expected = 0.5 * sum + if write == Write::Add { before } else { 0.0 };
                        assert!((out[r * n + c] - expected).abs() < 1e-4);
                    }
                }
            }
        }
    }
}
