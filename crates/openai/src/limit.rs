//! How many requests may be under way: more by one for each round that goes well, half as many when the server has too
//! much to do (additive increase, multiplicative decrease).

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Refusals of one burst count once.
const BURST: Duration = Duration::from_millis(500);

pub(crate) struct Limit {
    most: usize,
    now: Mutex<(f64, Option<Instant>)>,
}

impl Limit {
    pub fn new(most: usize) -> Self {
        Limit { most, now: Mutex::new((most as f64, None)) }
    }

    /// At least 1.
    pub fn current(&self) -> usize {
        self.lock().0 as usize
    }

    pub fn went_well(&self) {
        let mut now = self.lock();
        now.0 = (now.0 + 1.0 / now.0).min(self.most as f64);
    }

    pub fn overloaded(&self, at: Instant) {
        let mut now = self.lock();
        if now.1.is_none_or(|last| at.duration_since(last) >= BURST) {
            *now = ((now.0 / 2.0).max(1.0), Some(at));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (f64, Option<Instant>)> {
        self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{BURST, Limit};
    use std::time::Instant;

    #[test]
    fn refusals_halve_it_once_a_burst_and_answers_bring_it_back() {
        let limit = Limit::new(16);
        let start = Instant::now();
        limit.overloaded(start);
        limit.overloaded(start);
        assert_eq!(limit.current(), 8);
        (1..20).for_each(|burst| limit.overloaded(start + burst * BURST));
        assert_eq!(limit.current(), 1);
        (0..500).for_each(|_| limit.went_well());
        assert_eq!(limit.current(), 16);
    }
}
