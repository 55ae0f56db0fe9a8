//! How sure right and wrong answers are.

use super::axes::{Frame, Scale, tick_labels};
use super::confidence::Spacing;
use super::{Anchor, Drawing, WIDTH, nothing};
use crate::format::{count, number};
use crate::stats::Scored;

/// Bars from end to end.
const BARS: usize = 24;

/// Answers of one bar: dropped, kept.
type Bar = [usize; 2];

/// Right answers upwards, wrong ones downwards, kept ones solid: neither depends on colour. Answers not known to
/// be right or wrong stand upwards if none is.
pub(crate) fn histogram(title: &str, x_title: &str, scored: &[Scored], threshold: Option<f64>) -> String {
    if scored.is_empty() {
        return nothing(title, "No answer has a confidence.");
    }
    let known = scored.iter().any(|label| label.correct.is_some());
    let shown: Vec<&Scored> = scored.iter().filter(|label| !known || label.correct.is_some()).collect();
    let values: Vec<f64> = shown.iter().map(|label| label.confidence).collect();
    let threshold = threshold.filter(|threshold| threshold.is_finite());
    let bins = Bins::new(&values, threshold);
    let (mut up, mut down) = (vec![[0; 2]; bins.n], vec![[0; 2]; bins.n]);
    for label in shown {
        let side = if label.correct == Some(false) { &mut down } else { &mut up };
        side[bins.index(label.confidence)][usize::from(label.kept)] += 1;
    }

    let most = |bars: &[Bar]| bars.iter().map(|bar| bar[0] + bar[1]).max().unwrap_or(0) as f64;
    let (highest, lowest) = (most(&up).max(1.0), if known { most(&down).max(0.25 * most(&up)) } else { 0.0 });
    let description = describe(&up, &down, known, threshold);
    let mut drawing = Drawing::new("chart", WIDTH, 270.0, title, &description);
    let frame = Frame::new(
        Scale::linear(bins.start, bins.end()),
        Scale::linear(-lowest, highest * 1.04),
        30.0,
        230.0,
    );
    let mark = threshold.map(|threshold| bins.spacing.position(threshold)).filter(|at| bins.holds(*at));
    if let Some(at) = mark {
        let x = frame.x.at(at);
        drawing.rect("dropped-area", (frame.left, frame.top), (x - frame.left, frame.bottom - frame.top));
    }
    draw_axes(&mut drawing, &frame, &bins, x_title);
    for (index, (up, down)) in up.iter().zip(&down).enumerate() {
        draw_bar(&mut drawing, &frame, bins.edges(index), up, 1.0, "right");
        draw_bar(&mut drawing, &frame, bins.edges(index), down, -1.0, "wrong");
    }
    let zero = frame.y.at(0.0);
    drawing.line("axis", (frame.left, zero), (frame.right, zero));
    if known {
        drawing.label("side", (frame.left + 4.0, frame.top + 12.0), Anchor::Start, "right ↑");
        drawing.label("side", (frame.left + 4.0, frame.bottom - 6.0), Anchor::Start, "wrong ↓");
    }
    if let Some(at) = mark {
        draw_threshold(&mut drawing, &frame, frame.x.at(at));
    }
    drawing.finish()
}

fn draw_axes(drawing: &mut Drawing, frame: &Frame, bins: &Bins, x_title: &str) {
    let ticks = frame.y.ticks(5).into_iter().filter(|tick| tick.fract() == 0.0).collect::<Vec<f64>>();
    let sizes = ticks.iter().map(|tick| (*tick, count(tick.abs() as usize)));
    frame.draw_y(drawing, "answers", &sizes.collect::<Vec<_>>());
    let ticks = frame.x.ticks(5);
    let labels = match bins.spacing {
        Spacing::Even => tick_labels(&ticks),
        spacing => {
            let whole = ticks.iter().filter(|tick| tick.fract() == 0.0);
            whole.map(|tick| (*tick, spacing.label(*tick))).collect()
        }
    };
    frame.draw_x(drawing, x_title, &labels);
}

fn draw_bar(drawing: &mut Drawing, frame: &Frame, edges: (f64, f64), bar: &Bar, sign: f64, class: &str) {
    let (x, width) = (frame.x.at(edges.0) + 0.6, frame.x.at(edges.1) - frame.x.at(edges.0) - 1.2);
    let mut base = 0.0;
    for (n, class) in [(bar[1], format!("bar {class}")), (bar[0], format!("bar {class} pale"))] {
        let next = base + sign * n as f64;
        let (one, other) = (frame.y.at(base), frame.y.at(next));
        drawing.rect(&class, (x, one.min(other)), (width, (one - other).abs()));
        base = next;
    }
}

fn draw_threshold(drawing: &mut Drawing, frame: &Frame, x: f64) {
    drawing.line("threshold", (x, frame.top - 6.0), (x, frame.bottom));
    let y = frame.top - 11.0;
    // Near an edge the word on that side has no room.
    if x - frame.left > 60.0 {
        drawing.label("legend", (x - 6.0, y), Anchor::End, "← dropped");
    }
    if frame.right - x > 40.0 {
        drawing.label("legend", (x + 6.0, y), Anchor::Start, "kept →");
    }
}

fn describe(up: &[Bar], down: &[Bar], known: bool, threshold: Option<f64>) -> String {
    let some_dropped = up.iter().chain(down).any(|bar| bar[0] > 0);
    let total = |bars: &[Bar]| {
        let [dropped, kept] = [0, 1].map(|kept| count(bars.iter().map(|bar| bar[kept]).sum()));
        if some_dropped { format!("{kept} kept, {dropped} dropped") } else { kept }
    };
    let threshold = threshold.map(|value| format!(" Threshold {}.", number(value))).unwrap_or_default();
    match known {
        true => format!("Right: {}. Wrong: {}.{threshold}", total(up), total(down)),
        false => format!("{}.{threshold}", total(up)),
    }
}

/// Equal bins of positions; the threshold is an edge, so that no bar stands on both sides of it.
struct Bins {
    spacing: Spacing,
    anchor: f64,
    start: f64,
    width: f64,
    n: usize,
}

impl Bins {
    fn new(values: &[f64], threshold: Option<f64>) -> Self {
        let spacing = Spacing::of(values);
        let positions = values.iter().map(|value| spacing.position(*value));
        let low = positions.clone().fold(f64::INFINITY, f64::min);
        let high = positions.fold(f64::NEG_INFINITY, f64::max);
        // Equal values get one bar of some width.
        let range = if high > low { high - low } else { low.abs().max(1.0) * 0.1 };
        let width = range / BARS as f64;
        let anchor = threshold.map(|value| spacing.position(value));
        let anchor = anchor.filter(|anchor| (low - width..=high + width).contains(anchor)).unwrap_or(low);
        let before = ((anchor - low) / width).ceil().max(0.0);
        let after = ((high - anchor) / width).floor().max(0.0) + 1.0;
        Bins { spacing, anchor, start: anchor - before * width, width, n: (before + after) as usize }
    }

    fn index(&self, value: f64) -> usize {
        let before = ((self.anchor - self.start) / self.width).round();
        let place = ((self.spacing.position(value) - self.anchor) / self.width).floor() + before;
        (place.max(0.0) as usize).min(self.n - 1)
    }

    fn edges(&self, index: usize) -> (f64, f64) {
        let low = self.start + index as f64 * self.width;
        (low, low + self.width)
    }

    fn end(&self) -> f64 {
        self.start + self.n as f64 * self.width
    }

    fn holds(&self, position: f64) -> bool {
        (self.start..=self.end()).contains(&position)
    }
}
