//! Scales, ticks and the frame of a chart.

use super::{Anchor, Drawing, WIDTH};
use crate::format::number;

/// Maps numbers to places.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
    from: f64,
    to: f64,
}

impl Scale {
    /// Equal steps. A range without extent gets one.
    pub(super) fn linear(low: f64, high: f64) -> Self {
        let (low, high) = if high > low { (low, high) } else { (low - 0.5, low + 0.5) };
        Scale { low, high, logarithmic: false, from: 0.0, to: 1.0 }
    }

    /// Equal factors; both ends are above 0.
    pub(super) fn logarithmic(low: f64, high: f64) -> Self {
        let (low, high) = if high > low { (low, high) } else { (low / 2.0, low * 2.0) };
        Scale { low, high, logarithmic: true, from: 0.0, to: 1.0 }
    }

    /// The same numbers at other places.
    pub(super) fn onto(self, from: f64, to: f64) -> Self {
        Scale { from, to, ..self }
    }

    /// Where a number stands; one outside stands at the nearer end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let part = match self.logarithmic {
            true => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        self.from + part.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Round numbers within the scale, about `n` of them.
    pub(super) fn ticks(&self, n: usize) -> Vec<f64> {
        if self.logarithmic { self.factor_ticks(n) } else { self.step_ticks(n) }
    }

    fn step_ticks(&self, n: usize) -> Vec<f64> {
        let rough = (self.high - self.low) / n.max(1) as f64;
        let unit = 10f64.powf(rough.log10().floor());
        let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * unit >= rough * 0.99).unwrap_or(10.0);
        let step = unit * factor;
        let (first, last) = ((self.low / step - 1e-9).ceil(), (self.high / step + 1e-9).floor());
        let n_ticks = (last - first).clamp(-1.0, 100.0) as i64;
        (0..=n_ticks).map(|tick| (first + tick as f64) * step + 0.0).collect()
    }

    fn factor_ticks(&self, n: usize) -> Vec<f64> {
        let decades: Vec<i32> = (self.low.log10().floor() as i32..=self.high.log10().ceil() as i32).collect();
        let within = |factors: &[f64]| -> Vec<f64> {
            let ticks = decades.iter().flat_map(|decade| factors.iter().map(|f| f * 10f64.powi(*decade)));
            ticks.filter(|tick| (self.low * 0.999..=self.high * 1.001).contains(tick)).collect()
        };
        let ticks = [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]].into_iter().map(within);
        let mut last = Vec::new();
        for ticks in ticks {
            last = ticks;
            if last.len() <= n + 1 {
                return last;
            }
        }
        let every = last.len().div_ceil(n.max(1));
        last.into_iter().step_by(every).collect()
    }
}

/// The plot's area with its two scales.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) x: Scale,
    pub(super) y: Scale,
}

impl Frame {
    /// A frame with room for labels at the left and below.
    pub(super) fn new(x: Scale, y: Scale, top: f64, bottom: f64) -> Self {
        let (left, right) = (52.0, WIDTH - 12.0);
        Frame { left, right, top, bottom, x: x.onto(left, right), y: y.onto(bottom, top) }
    }

    /// Draws the grid with numbers, and the names of the axes.
    pub(super) fn draw(&self, drawing: &mut Drawing, x_title: &str, y_title: &str) {
        self.draw_y(drawing, y_title, &tick_labels(&self.y.ticks(5)));
        self.draw_x(drawing, x_title, &tick_labels(&self.x.ticks(5)));
    }

    /// Draws the vertical axis with these ticks.
    pub(super) fn draw_y(&self, drawing: &mut Drawing, title: &str, ticks: &[(f64, String)]) {
        for (value, text) in ticks {
            let y = self.y.at(*value);
            drawing.line("grid", (self.left, y), (self.right, y));
            drawing.label("tick", (self.left - 5.0, y + 3.8), Anchor::End, text);
        }
        drawing.upright_label((11.0, (self.top + self.bottom) / 2.0), title);
    }

    /// Draws the horizontal axis with these ticks.
    pub(super) fn draw_x(&self, drawing: &mut Drawing, title: &str, ticks: &[(f64, String)]) {
        drawing.line("axis", (self.left, self.bottom), (self.right, self.bottom));
        for (value, text) in ticks {
            let x = self.x.at(*value);
            drawing.line("axis", (x, self.bottom), (x, self.bottom + 4.0));
            // A label at the right end must not leave the drawing.
            let half = 3.2 * text.chars().count() as f64;
            drawing.label("tick", (x.min(WIDTH - 1.0 - half), self.bottom + 16.0), Anchor::Middle, text);
        }
        let middle = (self.left + self.right) / 2.0;
        drawing.label("axis-title", (middle, self.bottom + 32.0), Anchor::Middle, title);
    }

    /// A point of the data in the drawing.
    pub(super) fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x.at(x), self.y.at(y))
    }
}

/// Ticks with as many digits as their steps need.
pub(super) fn tick_labels(ticks: &[f64]) -> Vec<(f64, String)> {
    let step = ticks.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
    let even = ticks.windows(2).all(|pair| ((pair[1] - pair[0]) / step - 1.0).abs() < 1e-6);
    let label = |value: f64| {
        if !even || !step.is_finite() || !(1e-4..1e7).contains(&step) {
            return trimmed(&number(value));
        }
        let digits = (-(step * 1.001).log10().floor()).max(0.0) as usize;
        format!("{value:.digits$}").replace('-', "−")
    };
    ticks.iter().map(|value| (*value, label(*value))).collect()
}

/// Percent ticks of a scale of shares.
pub(super) fn percent_labels(ticks: &[f64]) -> Vec<(f64, String)> {
    let percent: Vec<f64> = ticks.iter().map(|tick| 100.0 * tick).collect();
    let labels = tick_labels(&percent).into_iter().map(|(_, label)| label + "%");
    ticks.iter().copied().zip(labels).collect()
}

/// `0.0500` as `0.05`.
fn trimmed(text: &str) -> String {
    match text.contains('.') && !text.contains('e') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, n: usize) -> Vec<String> {
        tick_labels(&scale.ticks(n)).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(Scale::linear(0.0, 1.0), 5), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(Scale::linear(-3.0, 120.0), 5), ["0", "50", "100"]);
        assert_eq!(labels(Scale::linear(-0.013, -0.001), 5), ["−0.010", "−0.005"]);
        assert_eq!(labels(Scale::logarithmic(0.01, 2.0), 5), ["0.01", "0.03", "0.1", "0.3", "1"]);
        assert_eq!(labels(Scale::logarithmic(1.5, 4.0), 5), ["2"]);
        assert_eq!(labels(Scale::logarithmic(1e-8, 1.0), 4).len(), 3);
    }

    #[test]
    fn a_range_without_extent_still_maps() {
        assert_eq!(Scale::linear(2.0, 2.0).onto(0.0, 10.0).at(2.0), 5.0);
        assert_eq!(Scale::logarithmic(2.0, 2.0).onto(0.0, 10.0).at(2.0), 5.0);
        assert_eq!(Scale::linear(0.0, 1.0).onto(0.0, 10.0).at(7.0), 10.0);
    }
}
