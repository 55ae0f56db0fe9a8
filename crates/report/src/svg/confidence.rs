//! A scale for confidences, most of which crowd at their upper end.

use crate::format::number;

/// Distances from the top below this one are not told apart.
const FLOOR: f64 = 1e-6;

/// Where confidences stand, before any scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Spacing {
    /// As they are.
    Even,
    /// By the logarithm of their distance from the top, 0 or 1, that none of them exceeds.
    NearTop(f64),
}

impl Spacing {
    /// Logarithmic if more than half of the values lie in a twentieth of their range, at 0 or 1.
    pub(super) fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (Some(low), Some(high)) = (sorted.first(), sorted.last()) else { return Spacing::Even };
        let top = if *high <= 0.0 { 0.0 } else { 1.0 };
        let median = sorted[sorted.len() / 2];
        let crowded = *high <= top && top - median < (top - low) / 20.0 && top - low > 20.0 * FLOOR;
        if crowded { Spacing::NearTop(top) } else { Spacing::Even }
    }

    /// Where a confidence stands; grows with it.
    pub(super) fn position(self, confidence: f64) -> f64 {
        match self {
            Spacing::Even => confidence,
            Spacing::NearTop(top) => -(top - confidence).max(FLOOR).log10(),
        }
    }

    /// What to write at a position.
    pub(super) fn label(self, position: f64) -> String {
        match self {
            Spacing::Even => number(position),
            Spacing::NearTop(top) => {
                let digits = position.ceil().clamp(0.0, 6.0) as usize;
                let text = format!("{:.digits$}", top - 10f64.powf(-position));
                text.replace('-', "−")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crowded_values_are_spread() {
        assert_eq!(Spacing::of(&[-1.0, -0.5, -0.2]), Spacing::Even);
        assert_eq!(Spacing::of(&[-1.0, -0.002, -0.001]), Spacing::NearTop(0.0));
        assert_eq!(Spacing::of(&[0.3, 0.999, 0.9999]), Spacing::NearTop(1.0));
        assert_eq!(Spacing::of(&[0.3, 0.999, 7.0]), Spacing::Even);
        assert_eq!(Spacing::of(&[]), Spacing::Even);
        assert_eq!(Spacing::NearTop(1.0).label(3.0), "0.999");
        assert_eq!(Spacing::NearTop(0.0).label(1.0), "−0.1");
        assert_eq!(Spacing::NearTop(0.0).position(0.0), 6.0);
    }
}
