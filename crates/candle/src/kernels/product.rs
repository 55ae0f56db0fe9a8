//! Sums of matrix products, on all threads: `out = a b + c d + ...`.
//!
//! A LoRA layer is such a sum (`x W^T + (A x) B^T`), forward and backward, and products that do not need each other are
//! made together, so that the threads seldom wait for each other. The bits of a row depend on that row alone (see
//! `tile.rs`): batches may be cut and packed at will.

use super::aligned::Aligned;
use super::gemm::{Mat, MatMut, Write};
use super::panels::{Panels, Precision};
use super::tasks::for_each_task;
use super::tile::{Ahead, Isa, Left, Right, TILE_COLUMNS, TILE_ROWS, VECTOR, tile};
use std::cell::RefCell;
use std::ops::Range;

/// One summand.
#[derive(Debug, Clone, Copy)]
pub struct Term<'a> {
    /// `[rows, len]`.
    pub left: Mat<'a>,
    /// `[len, columns]`.
    pub right: Factor<'a>,
}

/// The right operand of a summand.
#[derive(Debug, Clone, Copy)]
pub enum Factor<'a> {
    /// `w^T` of packed weights `w`, as in a forward pass.
    Transposed(&'a Panels),
    /// Packed weights `w`, as in a backward pass.
    Plain(&'a Panels),
    /// Any matrix.
    Mat(Mat<'a>),
}

/// Most of the contraction that is done at once: so much of the left rows, of the right panel and of the result
/// stays in the cache that belongs to a core.
const INNER: usize = 640;
/// The same when the right operand is widened or transposed into a buffer; a multiple of a panel's rows.
const INNER_COPIED: usize = 16 * TILE_COLUMNS;
/// The same for few rows, as in the gradients of LoRA's matrices, when the right operand is read about once: so few of
/// its rows that a task's panels are read side by side.
const INNER_FEW_ROWS: usize = 32;
const FEW_ROWS: usize = 64;
/// Rows that go through a panel while it is in the cache, and when it had to be copied there.
const ROWS: usize = 256;
const ROWS_COPIED: usize = 512;
/// Panels that use the same part of the left rows one after the other.
const PANELS: usize = 4;
/// Multiply-adds below which threads cost more than they save.
const SERIAL: usize = 1 << 16;

/// `out = sum of terms`, or `out += sum of terms`.
#[derive(Debug)]
pub struct Product<'a> {
    /// `[rows, columns]`.
    pub out: MatMut<'a>,
    /// Whether the sum replaces what is there.
    pub write: Write,
    /// What is added up, in this order.
    pub terms: &'a [Term<'a>],
}

/// `out = sum of terms`, or `out += sum of terms`.
///
/// # Panics
/// If the shapes do not fit together.
pub fn product(out: MatMut<'_>, write: Write, terms: &[Term<'_>]) {
    products(&mut [Product { out, write, terms }]);
}

/// Several of them at once. They are begun in this order: large ones first leave less to wait for at the end.
///
/// # Panics
/// If the shapes do not fit together.
pub fn products(products: &mut [Product<'_>]) {
    products_with(Isa::best(), products);
}

/// [`products`] with a given instruction set, which the machine must have.
pub(super) fn products_with(isa: Isa, products: &mut [Product<'_>]) {
    assert!(Isa::available().any(|other| other == isa), "this machine has no {isa:?}");
    let work: usize = products.iter().map(Product::work).sum();
    let threads = if work <= SERIAL { 1 } else { rayon::current_num_threads() };
    let mut n_tasks = 0;
    let jobs: Vec<Job<'_>> = products
        .iter_mut()
        .map(|product| {
            let job = Job::new(isa, product, threads, n_tasks);
            n_tasks = job.tasks.end;
            job
        })
        .collect();
    for_each_task(threads, n_tasks, |task| {
        let job = &jobs[jobs.partition_point(|job| job.tasks.end <= task)];
        let part = job.part(task - job.tasks.start);
        // SAFETY: `out` is borrowed exclusively and holds all rows and columns; tasks have disjoint ones.
        SCRATCH.with_borrow_mut(|scratch| unsafe { part.run(job.target, job.terms, scratch) });
    });
}

impl Product<'_> {
    /// Multiply-adds.
    fn work(&self) -> usize {
        self.out.rows * self.out.cols * self.terms.iter().map(|term| term.left.cols).sum::<usize>()
    }
}

/// A product and how it is cut.
struct Job<'a> {
    isa: Isa,
    target: Target,
    rows: usize,
    columns: usize,
    write: Write,
    terms: &'a [Term<'a>],
    grid: Grid,
    /// Its tasks' numbers among those of all products.
    tasks: Range<usize>,
}

impl<'a> Job<'a> {
    fn new(isa: Isa, product: &mut Product<'a>, threads: usize, first: usize) -> Self {
        let Product { out, write, terms } = product;
        for Term { left, right } in *terms {
            assert_eq!(
                [out.rows, left.cols, out.cols],
                [left.rows, right.len(), right.columns()],
                "a product of unlike shapes"
            );
        }
        let grid = Grid::new(isa, [out.rows, out.cols], threads, terms);
        Job {
            isa,
            target: Target { data: out.data, stride: out.row_stride },
            rows: out.rows,
            columns: out.cols,
            write: *write,
            terms,
            tasks: first..first + grid.n_tasks(out.rows),
            grid,
        }
    }

    fn part(&self, task: usize) -> Part {
        let Grid { panels, groups, rows } = self.grid;
        let (first, group) = (task / groups * rows, task % groups);
        Part {
            isa: self.isa,
            rows: first..(first + rows).min(self.rows),
            panels: group * panels..((group + 1) * panels).min(self.columns.div_ceil(TILE_COLUMNS)),
            few: self.rows <= FEW_ROWS,
            columns: self.columns,
            write: self.write,
        }
    }
}

/// How a product is cut into tasks: into large ones, for what is read serves more rows and columns; into several for
/// each thread, for threads are not equally fast.
struct Grid {
    /// Panels of a task.
    panels: usize,
    /// Tasks side by side.
    groups: usize,
    /// Rows of a task.
    rows: usize,
}

impl Grid {
    fn new(isa: Isa, [rows, columns]: [usize; 2], threads: usize, terms: &[Term<'_>]) -> Self {
        const TASKS_PER_THREAD: usize = 6;
        if rows == 0 || columns == 0 {
            return Grid { panels: 1, groups: 0, rows: 1 };
        }
        let wanted = if threads == 1 { 1 } else { TASKS_PER_THREAD * threads };
        let n_panels = columns.div_ceil(TILE_COLUMNS);
        let copied = terms.iter().any(|term| !term.right.is_in_place());
        let most = rows.min(if copied { ROWS_COPIED } else { ROWS });
        let n_row_blocks = rows.div_ceil(most).max(wanted.div_ceil(n_panels));
        let panels = (n_panels * n_row_blocks / wanted).clamp(1, PANELS);
        let rows = rows.div_ceil(n_row_blocks).next_multiple_of(isa.tile_rows());
        Grid { panels, groups: n_panels.div_ceil(panels), rows }
    }

    /// Number of tasks.
    fn n_tasks(&self, rows: usize) -> usize {
        self.groups * rows.div_ceil(self.rows)
    }
}

impl Factor<'_> {
    fn len(&self) -> usize {
        match self {
            Factor::Transposed(w) => w.n_in(),
            Factor::Plain(w) => w.n_out(),
            Factor::Mat(mat) => mat.rows,
        }
    }

    fn columns(&self) -> usize {
        match self {
            Factor::Transposed(w) => w.n_out(),
            Factor::Plain(w) => w.n_in(),
            Factor::Mat(mat) => mat.cols,
        }
    }

    /// Whether whole panels are read without a copy.
    fn is_in_place(&self) -> bool {
        match self {
            Factor::Transposed(w) => w.precision() == Precision::F32,
            Factor::Plain(_) => false,
            Factor::Mat(mat) => mat.col_stride == 1,
        }
    }

    /// Rows `inner` of the operand at `width` columns of a panel, padded to whole vectors: values and row stride.
    fn chunk<'a>(
        &'a self,
        isa: Isa,
        panel: usize,
        width: usize,
        inner: Range<usize>,
        scratch: &'a mut Scratch,
    ) -> (&'a [f32], usize) {
        let column = panel * TILE_COLUMNS;
        match *self {
            Factor::Transposed(w) => (w.chunk(panel, inner, &mut scratch.chunk), TILE_COLUMNS),
            Factor::Plain(w) => {
                let first = inner.start / TILE_COLUMNS;
                let n_squares = inner.end.div_ceil(TILE_COLUMNS) - first;
                let to = scratch.chunk.at_least(n_squares * TILE_COLUMNS * TILE_COLUMNS);
                for (i, square) in to.chunks_exact_mut(TILE_COLUMNS * TILE_COLUMNS).enumerate() {
                    w.square(isa, first + i, column, &mut scratch.square, square);
                }
                (to, TILE_COLUMNS)
            }
            Factor::Mat(mat) if mat.col_stride == 1 && width.is_multiple_of(VECTOR) => {
                (&mat.data[inner.start * mat.row_stride + column..], mat.row_stride)
            }
            Factor::Mat(mat) => {
                let to = scratch.chunk.at_least(inner.len() * TILE_COLUMNS);
                to.fill(0.0);
                // Column by column: transposed operands lie that way.
                for c in 0..width {
                    for (i, row) in inner.clone().enumerate() {
                        to[i * TILE_COLUMNS + c] =
                            mat.data[row * mat.row_stride + (column + c) * mat.col_stride];
                    }
                }
                (to, TILE_COLUMNS)
            }
        }
    }
}

/// Buffers of a task.
#[derive(Default)]
struct Scratch {
    chunk: Aligned,
    square: Aligned,
}

thread_local! {
    /// Kept from one product to the next: at most [`INNER_COPIED`] rows of a panel.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Where results go; tasks write disjoint parts of it.
#[derive(Clone, Copy)]
struct Target {
    data: *mut f32,
    stride: usize,
}

// SAFETY: a pointer by itself; who writes through it says why that is right.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

/// Some rows of some panels' columns of a product.
struct Part {
    isa: Isa,
    panels: Range<usize>,
    rows: Range<usize>,
    /// Whether the whole product has few rows.
    few: bool,
    columns: usize,
    write: Write,
}

impl Part {
    /// # Safety
    /// `target` holds the part's rows and columns, and nobody else reads or writes them meanwhile. The machine has the
    /// instruction set, and the terms' shapes fit.
    unsafe fn run(&self, target: Target, terms: &[Term<'_>], scratch: &mut Scratch) {
        let mut load = self.write == Write::Add;
        for term in terms {
            let len = term.left.cols;
            let step = match term.right {
                right if !right.is_in_place() => INNER_COPIED,
                Factor::Mat(_) if self.few => INNER_FEW_ROWS,
                _ => len.div_ceil(len.div_ceil(INNER).max(1)).next_multiple_of(VECTOR),
            };
            for start in (0..len).step_by(step.max(1)) {
                for panel in self.panels.clone() {
                    // SAFETY: the caller's promise.
                    unsafe { self.add(target, term, panel, start..(start + step).min(len), load, scratch) }
                }
                load = true;
            }
        }
        if !load {
            let columns =
                self.panels.start * TILE_COLUMNS..(self.panels.end * TILE_COLUMNS).min(self.columns);
            for row in self.rows.clone() {
                // SAFETY: the caller's promise.
                unsafe { target.data.add(row * target.stride + columns.start).write_bytes(0, columns.len()) }
            }
        }
    }

    /// Adds a part of a term to a panel's columns, or puts it there.
    ///
    /// # Safety
    /// As [`Part::run`].
    unsafe fn add(
        &self,
        target: Target,
        Term { left, right }: &Term<'_>,
        panel: usize,
        inner: Range<usize>,
        load: bool,
        scratch: &mut Scratch,
    ) {
        let column = panel * TILE_COLUMNS;
        let width = (self.columns - column).min(TILE_COLUMNS);
        let (chunk, stride) = right.chunk(self.isa, panel, width, inner.clone(), scratch);
        assert!(
            chunk.len() >= (inner.len() - 1) * stride + width.next_multiple_of(VECTOR),
            "a chunk falls short"
        );
        let (next, lines) = match right {
            Factor::Transposed(w) if right.is_in_place() => (w.n_in() * TILE_COLUMNS, chunk.len() / VECTOR),
            _ => (0, 0),
        };
        let tile_rows = self.isa.tile_rows();
        let n_tiles = self.rows.len().div_ceil(tile_rows);
        for (i, row) in self.rows.clone().step_by(tile_rows).enumerate() {
            let rows = (self.rows.end - row).min(tile_rows);
            let first = left.row_stride * row + inner.start * left.col_stride;
            assert!(
                first + (rows - 1) * left.row_stride + (inner.len() - 1) * left.col_stride < left.data.len()
            );
            let share = i * lines / n_tiles..(i + 1) * lines / n_tiles;
            // SAFETY: the asserts put all elements of both operands inside their slices, the caller those of the
            // target.
            unsafe {
                let left = Left {
                    data: left.data.as_ptr().add(first),
                    row_stride: left.row_stride,
                    step: left.col_stride,
                };
                let right = Right { data: chunk.as_ptr(), stride };
                let ahead = Ahead {
                    data: chunk.as_ptr().wrapping_add(next + share.start * VECTOR),
                    lines: share.len(),
                };
                let out = Target { data: target.data.add(row * target.stride + column), ..target };
                self.tile((rows, width), inner.len(), left, right, out, load, ahead);
            }
        }
    }

    /// A tile whose last vector may reach beyond the target's columns.
    ///
    /// # Safety
    /// As [`tile`], for `width` columns of `out`.
    #[allow(clippy::too_many_arguments)]
    #[inline]
    unsafe fn tile(
        &self,
        (rows, width): (usize, usize),
        len: usize,
        left: Left,
        right: Right,
        out: Target,
        load: bool,
        ahead: Ahead,
    ) {
        let vectors = width.div_ceil(VECTOR);
        let (isa, size) = (self.isa, (rows, vectors));
        if width.is_multiple_of(VECTOR) {
            // SAFETY: the caller's promise.
            unsafe { tile(isa, size, len, left, right, out.data, out.stride, load, ahead) }
            return;
        }
        let mut whole = [0.0f32; TILE_ROWS * TILE_COLUMNS];
        // SAFETY: `whole` holds a full tile; of `out`, `width` columns of each row are read and written.
        unsafe {
            for r in 0..rows {
                let part = std::slice::from_raw_parts(out.data.add(r * out.stride), width);
                whole[r * TILE_COLUMNS..][..width].copy_from_slice(part);
            }
            tile(isa, size, len, left, right, whole.as_mut_ptr(), TILE_COLUMNS, load, ahead);
            for r in 0..rows {
                let part = std::slice::from_raw_parts_mut(out.data.add(r * out.stride), width);
                part.copy_from_slice(&whole[r * TILE_COLUMNS..][..width]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wave(len: usize, step: f32) -> Vec<f32> {
        (0..len).map(|i| (i as f32 * step).sin()).collect()
    }

    /// `out += a b`, by the definition, in f64.
    fn add_naive(
        out: &mut [f64],
        a: &dyn Fn(usize, usize) -> f32,
        b: &dyn Fn(usize, usize) -> f32,
        n: [usize; 3],
    ) {
        let [rows, inner, columns] = n;
        for r in 0..rows {
            for c in 0..columns {
                out[r * columns + c] +=
                    (0..inner).map(|i| f64::from(a(r, i)) * f64::from(b(i, c))).sum::<f64>();
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        /// All four kinds of right operand, every instruction set, every precision, any sizes.
        #[test]
        fn agrees_with_the_definition(
            rows in 1usize..40, columns in 1usize..120, inner in 1usize..230, few in 1usize..20, gap in 0usize..5,
            add: bool, precision in prop::sample::select(vec![Precision::F32, Precision::Bf16, Precision::Q8]),
        ) {
            let (x, y) = (wave(rows * (inner + gap), 0.3), wave(few * rows, 0.17));
            let w = Panels::pack(&wave(columns * inner, 0.7), columns, inner, precision);
            let v = Panels::pack(&wave(inner * columns, 0.9), inner, columns, precision);
            let b = wave(few * columns, 0.23);
            let (stored_w, stored_v) = (w.unpack(), v.unpack());
            let mut expected = vec![if add { 0.5 } else { 0.0 }; rows * columns];
            let left = |r: usize, i: usize| x[r * (inner + gap) + i];
            add_naive(&mut expected, &left, &|i, c| stored_w[c * inner + i], [rows, inner, columns]);
            add_naive(&mut expected, &left, &|i, c| stored_v[i * columns + c], [rows, inner, columns]);
            add_naive(&mut expected, &|r, i| y[i * rows + r], &|i, c| b[i * columns + c], [rows, few, columns]);
            add_naive(&mut expected, &|r, i| y[r * few + i], &|i, c| b[c * few + i], [rows, few, columns]);
            let x = Mat::strided(&x, rows, inner, inner + gap);
            let terms = [
                Term { left: x, right: Factor::Transposed(&w) },
                Term { left: x, right: Factor::Plain(&v) },
                Term { left: Mat::new(&y, few, rows).t(), right: Factor::Mat(Mat::new(&b, few, columns)) },
                Term { left: Mat::new(&y, rows, few), right: Factor::Mat(Mat::new(&b, columns, few).t()) },
            ];
            let write = if add { Write::Add } else { Write::Set };
            let stride = columns + gap;
            for isa in Isa::available() {
                let mut out = vec![0.5; rows * stride];
                let sum = MatMut::strided(&mut out, rows, columns, stride);
                products_with(isa, &mut [Product { out: sum, write, terms: &terms }]);
                for (r, row) in out.chunks(stride).enumerate() {
                    for (c, &found) in row[..columns].iter().enumerate() {
                        let expected = expected[r * columns + c];
                        prop_assert!((f64::from(found) - expected).abs() < 3e-4, "{isa:?} {r} {c}: {found} {expected}");
                    }
                    prop_assert!(row[columns..].iter().all(|&beyond| beyond == 0.5));
                }
            }
        }

        /// A row's bits depend on nothing but the row.
        #[test]
        fn rows_do_not_depend_on_their_batch(rows in 2usize..600, columns in 1usize..120, threads in 1usize..4, at: prop::sample::Index) {
            let inner = 200;
            let (x, w) = (wave(rows * inner, 0.3), wave(columns * inner, 0.7));
            let w = Panels::pack(&w, columns, inner, Precision::F32);
            let v = Panels::pack(&wave(columns * inner, 0.2), inner, columns, Precision::F32);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let run = |x: &[f32]| {
                let rows = x.len() / inner;
                let mut out = vec![0.0; rows * columns];
                let x = Mat::new(x, rows, inner);
                let terms = [Factor::Transposed(&w), Factor::Plain(&v)].map(|right| Term { left: x, right });
                pool.install(|| product(MatMut::new(&mut out, rows, columns), Write::Set, &terms));
                out
            };
            let at = at.index(rows);
            let together = run(&x);
            let alone = run(&x[at * inner..(at + 1) * inner]);
            prop_assert_eq!(&together[at * columns..(at + 1) * columns], &alone[..]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        /// Products made together are those made one by one.
        #[test]
        fn company_changes_nothing(
            rows in 0usize..70, inner in 0usize..100, widths in prop::collection::vec(0usize..200, 0..4),
            threads in 1usize..4,
        ) {
            let total = widths.iter().sum::<usize>();
            let (x, y) = (wave(rows * inner, 0.3), wave(inner * total, 0.7));
            let (x, y) = (Mat::new(&x, rows, inner), Mat::new(&y, inner, total));
            let (mut alone, mut together) = (vec![1.0; rows * total], vec![1.0; rows * total]);
            product(MatMut::new(&mut alone, rows, total), Write::Add, &[Term { left: x, right: Factor::Mat(y) }]);
            let mut first = 0;
            let terms: Vec<[Term<'_>; 1]> = widths
                .iter()
                .map(|width| {
                    first += width;
                    [Term { left: x, right: Factor::Mat(y.columns(first - width..first)) }]
                })
                .collect();
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
                let parts = MatMut::new(&mut together, rows, total).side_by_side(widths.iter().copied());
                let parts = parts.zip(&terms).map(|(out, terms)| Product { out, write: Write::Add, terms });
                products(&mut parts.collect::<Vec<_>>());
            });
            prop_assert_eq!(alone, together);
        }
    }

    #[test]
    fn instruction_sets_with_fused_multiply_add_agree_to_the_bit() {
        let (rows, inner, columns) = (21, 333, 100);
        let (x, w) = (wave(rows * inner, 0.3), wave(columns * inner, 0.7));
        let w = Panels::pack(&w, columns, inner, Precision::F32);
        let run = |isa| {
            let mut out = vec![0.0; rows * columns];
            let term = Term { left: Mat::new(&x, rows, inner), right: Factor::Transposed(&w) };
            let sum = MatMut::new(&mut out, rows, columns);
            products_with(isa, &mut [Product { out: sum, write: Write::Set, terms: &[term] }]);
            out
        };
        let fused: Vec<Vec<f32>> = Isa::available().filter(|&isa| isa != Isa::Plain).map(run).collect();
        assert!(fused.windows(2).all(|pair| pair[0] == pair[1]));
    }

    /// Real models contract over thousands, chunk by chunk.
    #[test]
    fn a_contraction_of_several_chunks_agrees_with_the_definition() {
        let (rows, inner, columns) = (7, 1_703, 61);
        let (x, b) = (wave(rows * inner, 0.3), wave(inner * columns, 0.23));
        for precision in [Precision::F32, Precision::Bf16, Precision::Q8] {
            let w = Panels::pack(&wave(columns * inner, 0.7), columns, inner, precision);
            let v = Panels::pack(&wave(inner * columns, 0.9), inner, columns, precision);
            let (stored_w, stored_v) = (w.unpack(), v.unpack());
            let mut expected = vec![0.0; rows * columns];
            let left = |r: usize, i: usize| x[r * inner + i];
            add_naive(&mut expected, &left, &|i, c| stored_w[c * inner + i], [rows, inner, columns]);
            add_naive(&mut expected, &left, &|i, c| stored_v[i * columns + c], [rows, inner, columns]);
            add_naive(&mut expected, &left, &|i, c| b[i * columns + c], [rows, inner, columns]);
            add_naive(&mut expected, &left, &|i, c| b[c * inner + i], [rows, inner, columns]);
            let left = Mat::new(&x, rows, inner);
            let rights = [
                Factor::Transposed(&w),
                Factor::Plain(&v),
                Factor::Mat(Mat::new(&b, inner, columns)),
                Factor::Mat(Mat::new(&b, columns, inner).t()),
            ];
            let terms = rights.map(|right| Term { left, right });
            for isa in Isa::available() {
                let mut out = vec![0.0; rows * columns];
                let sum = MatMut::new(&mut out, rows, columns);
                products_with(isa, &mut [Product { out: sum, write: Write::Set, terms: &terms }]);
                for (at, (found, expected)) in out.iter().zip(&expected).enumerate() {
                    let off = (f64::from(*found) - expected).abs();
                    assert!(off < 1e-3, "{precision:?} {isa:?} {at}: {found} {expected}");
                }
            }
        }
    }

    #[test]
    fn nothing_to_add_is_zero() {
        let mut out = vec![1.0; 6];
        product(MatMut::new(&mut out, 2, 3), Write::Set, &[]);
        assert_eq!(out, [0.0; 6]);
        product(MatMut::new(&mut out, 0, 3), Write::Set, &[]);
        product(MatMut::new(&mut out, 2, 0), Write::Set, &[]);
    }

    #[test]
    #[should_panic(expected = "unlike shapes")]
    fn shapes_are_checked() {
        let x = [0.0; 6];
        let term = Term { left: Mat::new(&x, 2, 3), right: Factor::Mat(Mat::new(&x, 2, 3)) };
        product(MatMut::new(&mut [0.0; 6], 2, 3), Write::Set, &[term]);
    }
}
