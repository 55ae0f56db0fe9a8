//! Matrix products of strided views, on the `gemm` crate (AVX-512, AVX2 or plain, chosen at run time).

use gemm::Parallelism;
use std::marker::PhantomData;
use std::ops::Range;

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
    /// All rows and columns lie behind it, and for as long as the matrix lives nobody else touches them.
    pub(super) data: *mut f32,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: usize,
    slice: PhantomData<&'a mut [f32]>,
}

// SAFETY: it stands for an exclusive borrow of the slice, or of columns that no other matrix has.
unsafe impl Send for MatMut<'_> {}

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

    /// Some of its columns.
    ///
    /// # Panics
    /// If it has fewer.
    pub fn columns(self, columns: Range<usize>) -> Self {
        assert!(columns.start <= columns.end && columns.end <= self.cols, "{columns:?} of {}", self.cols);
        let data = self.data.get(columns.start * self.col_stride..).unwrap_or_default();
        Mat { data, cols: columns.len(), ..self }
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
        MatMut { data: data.as_mut_ptr(), rows, cols, row_stride, slice: PhantomData }
    }

    /// Matrices of these widths side by side: disjoint columns of this one.
    ///
    /// # Panics
    /// Where they are wider than this one together.
    pub fn side_by_side(self, widths: impl IntoIterator<Item = usize>) -> impl Iterator<Item = Self> {
        let MatMut { data, rows, cols, row_stride, .. } = self;
        let mut next: usize = 0;
        widths.into_iter().map(move |width| {
            let first = next;
            let fits = first.checked_add(width).filter(|end| *end <= cols);
            assert!(fits.is_some(), "{} columns side by side in {cols}", first.saturating_add(width));
            next += width;
            MatMut { data: data.wrapping_add(first), rows, cols: width, row_stride, slice: PhantomData }
        })
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
            out.data,
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
    fn columns_are_views() {
        let mut values: Vec<f32> = (0..10).map(|i| i as f32).collect();
        let mat = Mat::new(&values, 2, 5);
        assert_eq!(mat.columns(3..5).t().columns(1..2).data[0], 8.0);
        assert_eq!(mat.columns(5..5).cols, 0);
        let parts: Vec<MatMut<'_>> = MatMut::new(&mut values, 2, 5).side_by_side([2, 0, 3]).collect();
        assert_eq!(parts.iter().map(|part| part.cols).collect::<Vec<_>>(), [2, 0, 3]);
        for (part, x) in parts.into_iter().zip([10.0, 20.0, 30.0]) {
            let (rows, cols) = (part.rows, part.cols);
            matmul(part, Write::Set, x, Mat::new(&[1.0; 2], rows, 1), Mat::new(&[1.0; 3], 1, cols));
        }
        assert_eq!(values, [10.0, 10.0, 30.0, 30.0, 30.0, 10.0, 10.0, 30.0, 30.0, 30.0]);
    }

    #[test]
    #[should_panic(expected = "6 columns side by side in 5")]
    fn there_are_no_more_columns_than_there_are() {
        MatMut::new(&mut [0.0; 10], 2, 5).side_by_side([4, 2]).for_each(drop);
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
