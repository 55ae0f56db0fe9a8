//! Arithmetic over plain `f32` slices: the only place that knows about instruction sets and threads.
//!
//! Every public function here is safe, has a scalar meaning that its test states as a naive loop, and gives the same
//! bits for any number of threads: work is split over rows, columns or heads, never over a sum.

mod aligned;
pub mod attention;
pub mod gemm;
pub mod head_norm;
pub mod loss;
pub mod norm;
pub mod panels;
pub mod product;
pub mod rope;
pub mod swiglu;
mod tasks;
mod tile;
pub mod transpose;
pub mod vector;

/// Rows that one task of an elementwise loop handles.
pub(crate) const ROWS_PER_TASK: usize = 32;

/// Runs `work` on a thread of the pool. From outside, every loop would wake one up and be woken by it: thousands of
/// times in a training step.
pub(crate) fn on_the_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}
