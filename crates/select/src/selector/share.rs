use crate::SelectError;
use semievol_core::Confidence;
use std::fmt;

/// A percentage above 0 and at most 100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Share(f64);

impl Share {
    pub(super) fn new(theta: f64) -> Result<Self, SelectError> {
        if theta > 0.0 && theta <= 100.0 {
            return Ok(Share(theta));
        }
        let value = theta.to_string();
        Err(SelectError::Setting { setting: "theta", value, expected: "above 0 and at most 100" })
    }

    /// The nearest rank: `ceil(theta / 100 * n)`, at least 1 of a non-empty set.
    pub(super) fn of(self, n: usize) -> usize {
        // 7% of 100 must be 7, though 0.07 * 100 is a little more.
        let rank = (self.0 * n as f64 / 100.0 - 1e-9).ceil();
        (rank as usize).clamp(n.min(1), n)
    }

    /// The confidence at the nearest rank, counted from the surest; `None` of an empty set.
    pub(super) fn threshold(self, mut confidences: Vec<Confidence>) -> Option<Confidence> {
        confidences.sort_unstable_by(|one, other| other.cmp(one));
        confidences.get(self.of(confidences.len()).checked_sub(1)?).copied()
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_exact_for_whole_percentages() {
        for percent in 1..=100_u32 {
            let share = Share::new(f64::from(percent)).unwrap_or_else(|error| panic!("{error}"));
            for n in 0..=300_usize {
                let exact = (percent as usize * n).div_ceil(100);
                assert_eq!(share.of(n), exact, "{percent}% of {n}");
            }
        }
    }
}
