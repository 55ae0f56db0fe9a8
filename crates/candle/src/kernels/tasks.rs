//! Tasks that are not equally long, on threads that are not equally fast.

use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls `work` for every task below `n`, begun in their order: whichever thread is free takes the next one, so at the
/// end no thread waits for more than one task of another. (Rayon's own loops hand out several at a time.)
pub(super) fn for_each_task(threads: usize, n: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    let take = |_| {
        loop {
            let task = next.fetch_add(1, Ordering::Relaxed);
            if task >= n {
                return;
            }
            work(task);
        }
    };
    if threads.min(n) <= 1 {
        take(0);
    } else {
        (0..threads.min(n)).into_par_iter().with_max_len(1).for_each(take);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_done_once() {
        for (threads, n) in [(0, 3), (1, 0), (1, 5), (3, 2), (3, 100)] {
            let done: Vec<AtomicUsize> = (0..n).map(|_| AtomicUsize::new(0)).collect();
            for_each_task(threads, n, |task| {
                done[task].fetch_add(1, Ordering::Relaxed);
            });
            assert!(done.iter().all(|done| done.load(Ordering::Relaxed) == 1));
        }
    }
}
