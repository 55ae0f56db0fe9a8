//! A value with its interval, small enough for a table.

use super::Drawing;
use super::axes::Scale;
use crate::Interval;
use crate::format::{finite, proper};

const SIZE: (f64, f64) = (120.0, 18.0);

/// The scale that a column of intervals shares.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IntervalScale {
    scale: Scale,
    /// Where a faint line stands in every row.
    reference: Option<f64>,
}

impl IntervalScale {
    /// A scale that holds all these values and intervals, and the reference.
    pub(crate) fn new(values: &[(f64, Option<Interval>)], reference: Option<f64>) -> Self {
        let reference = reference.and_then(finite);
        let ends = values.iter().flat_map(|(value, interval)| {
            let ends = proper(*interval).map(|ends| [ends.low, ends.high]);
            finite(*value).into_iter().chain(ends.into_iter().flatten())
        });
        let (low, high) = ends
            .chain(reference)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let scale = if low.is_finite() { Scale::linear(low, high) } else { Scale::linear(0.0, 1.0) };
        IntervalScale { scale: scale.onto(5.0, SIZE.0 - 5.0), reference }
    }
}

/// The value as a dot on its interval; a dot alone without one.
pub(crate) fn interval(title: &str, value: f64, ends: Option<Interval>, scale: &IntervalScale) -> String {
    let Some(value) = finite(value) else { return String::new() };
    let mut drawing = Drawing::new("interval", SIZE.0, SIZE.1, title, "");
    let middle = SIZE.1 / 2.0;
    if let Some(reference) = scale.reference {
        let x = scale.scale.at(reference);
        drawing.line("reference", (x, 0.0), (x, SIZE.1));
    }
    if let Some(ends) = proper(ends) {
        let (low, high) = (scale.scale.at(ends.low), scale.scale.at(ends.high));
        drawing.line("whisker s0", (low, middle), (high, middle));
        for x in [low, high] {
            drawing.line("whisker s0", (x, middle - 3.5), (x, middle + 3.5));
        }
    }
    drawing.marker("mark s0", 0, (scale.scale.at(value), middle));
    drawing.finish()
}
