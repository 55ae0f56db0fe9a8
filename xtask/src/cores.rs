//! What the cores give at the moment: multiplications of matrices that stay in the innermost caches, on one thread and
//! on all at once. On rented machines two threads may share a core or have one each, and that changes by the minute.

use semievol_candle::kernels::gemm::{Mat, MatMut, Write};
use semievol_candle::kernels::product::{Factor, Term, product};
use semievol_candle::{Panels, Precision};
use std::fmt;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// GFLOP/s.
pub struct Cores {
    threads: usize,
    alone: f64,
    together: f64,
}

impl Cores {
    /// Takes a second.
    pub fn measure(threads: usize) -> Self {
        Cores { threads, alone: rates(1).iter().sum(), together: rates(threads).iter().sum() }
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} GFLOP/s on one thread, {:.0} on {} at once", self.alone, self.together, self.threads)
    }
}

/// The rate of each of `threads` threads that begin together.
fn rates(threads: usize) -> Vec<f64> {
    let barrier = Barrier::new(threads);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(|| rate(&barrier))).collect();
        all.into_iter().map(|one| one.join().unwrap_or(0.0)).collect()
    })
}

fn rate(begin: &Barrier) -> f64 {
    const TIME: Duration = Duration::from_millis(400);
    const ROWS: usize = 64;
    const INNER: usize = 128;
    const COLUMNS: usize = 48;
    let (x, w) = (vec![0.5; ROWS * INNER], vec![0.25; COLUMNS * INNER]);
    let panels = Panels::pack(&w, COLUMNS, INNER, Precision::F32);
    let term = Term { left: Mat::new(&x, ROWS, INNER), right: Factor::Transposed(&panels) };
    let mut out = vec![0.0; ROWS * COLUMNS];
    let mut work = || {
        (0..64).for_each(|_| product(MatMut::new(&mut out, ROWS, COLUMNS), Write::Set, &[term]));
    };
    let measure = move || {
        work();
        begin.wait();
        let (start, mut n) = (Instant::now(), 0.0);
        while start.elapsed() < TIME {
            work();
            n += 64.0;
        }
        n * 2.0 * (ROWS * INNER * COLUMNS) as f64 / start.elapsed().as_secs_f64() / 1e9
    };
    // A pool of its own keeps the product on this thread.
    match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
        Ok(pool) => pool.install(measure),
        Err(_) => 0.0,
    }
}
