//! How many requests may be under way: more by one for each round that goes well, half as many when the server has too
//! much to do (additive increase, multiplicative decrease).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Refusals of one burst count once.
const BURST: Duration = Duration::from_millis(500);

pub(crate) struct Limit {
    most: usize,
    now: Mutex<Now>,
    left: Notify,
}

struct Now {
    /// So many may be under way, and are.
    allowed: f64,
    under_way: usize,
    overloaded: Option<Instant>,
}

/// Held by an attempt that is under way.
pub(crate) struct Permit<'a>(&'a Limit);

impl Limit {
    pub fn new(most: usize) -> Self {
        let now = Now { allowed: most as f64, under_way: 0, overloaded: None };
        Limit { most, now: Mutex::new(now), left: Notify::new() }
    }

    /// As many as there may ever be.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Waits until another may begin.
    pub async fn permit(&self) -> Permit<'_> {
        loop {
            // Before looking: what leaves in between is not missed.
            let left = self.left.notified();
            {
                let mut now = self.lock();
                if now.under_way < now.allowed as usize {
                    now.under_way += 1;
                    return Permit(self);
                }
            }
            left.await;
        }
    }

    pub fn went_well(&self) {
        let mut now = self.lock();
        now.allowed = (now.allowed + 1.0 / now.allowed).min(self.most as f64);
    }

    pub fn overloaded(&self, at: Instant) {
        let mut now = self.lock();
        if now.overloaded.is_none_or(|last| at.duration_since(last) >= BURST) {
            now.allowed = (now.allowed / 2.0).max(1.0);
            now.overloaded = Some(at);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
        // All look again: there may be room for more than one.
        self.0.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::{BURST, Limit};
    use std::time::Instant;

    impl Limit {
        fn allowed(&self) -> usize {
            self.lock().allowed as usize
        }
    }

    #[test]
    fn refusals_halve_it_once_a_burst_and_answers_bring_it_back() {
        let limit = Limit::new(16);
        let start = Instant::now();
        limit.overloaded(start);
        limit.overloaded(start);
        assert_eq!(limit.allowed(), 8);
        (1..20).for_each(|burst| limit.overloaded(start + burst * BURST));
        assert_eq!(limit.allowed(), 1);
        (0..500).for_each(|_| limit.went_well());
        assert_eq!(limit.allowed(), 16);
    }
}
