//! Accuracy against probability.

use super::axes::{Frame, Scale, percent_labels};
use super::{Anchor, Drawing, WIDTH, nothing};
use crate::format::{number, percent};
use crate::stats::{BINS, Reliability};

/// Height of the strip that shows the bins' sizes.
const STRIP: f64 = 34.0;

/// One mark per tenth of the scale with its 95% interval, and below it how many answers it stands for.
pub(crate) fn reliability(title: &str, reliability: Option<&Reliability>) -> String {
    let why = "No probability of an answer known to be right or wrong.";
    let Some(reliability) = reliability else { return nothing(title, why) };
    let bins = reliability.bins.iter().flatten();
    let described: Vec<String> = bins
        .map(|bin| format!("{} at {}%: {}% right", bin.n, percent(bin.probability), percent(bin.accuracy())))
        .collect();
    let description =
        format!("ECE {}. Answers by probability: {}.", number(reliability.ece), described.join("; "));
    let mut drawing = Drawing::new("chart", WIDTH, 316.0, title, &description);
    let frame = Frame::new(Scale::linear(0.0, 1.0), Scale::linear(0.0, 1.0), 30.0, 220.0);
    frame.draw_y(&mut drawing, "right", &percent_labels(&frame.y.ticks(5)));
    drawing.line("reference", frame.place((0.0, 0.0)), frame.place((1.0, 1.0)));
    for bin in reliability.bins.iter().flatten() {
        let (low, high) = bin.interval();
        let at = |share| frame.place((bin.probability, share));
        drawing.line("whisker s0", at(low), at(high));
        drawing.marker("mark s0", 0, at(bin.accuracy()));
    }
    draw_sizes(&mut drawing, &frame, reliability);
    drawing.line("reference", (46.0, 12.0), (70.0, 12.0));
    drawing.label("legend", (76.0, 16.0), Anchor::Start, "as right as sure");
    drawing.marker("mark s0", 0, (206.0, 12.0));
    drawing.label("legend", (216.0, 16.0), Anchor::Start, "found, 95% interval");
    drawing.finish()
}

fn draw_sizes(drawing: &mut Drawing, frame: &Frame, reliability: &Reliability) {
    let largest = reliability.bins.iter().flatten().map(|bin| bin.n).max().unwrap_or(1) as f64;
    let bottom = frame.bottom + 20.0 + STRIP;
    for (index, bin) in reliability.bins.iter().enumerate() {
        let Some(bin) = bin else { continue };
        let (from, to) =
            (frame.x.at(index as f64 / BINS as f64), frame.x.at((index + 1) as f64 / BINS as f64));
        // Even a single answer shows.
        let height = (STRIP * bin.n as f64 / largest).max(1.0);
        drawing.rect("bar size", (from + 1.0, bottom - height), (to - from - 2.0, height));
        drawing.label("small", ((from + to) / 2.0, bottom - height - 3.0), Anchor::Middle, &brief(bin.n));
    }
    let strip = Frame { bottom, ..*frame };
    drawing.line("axis", (frame.left, frame.bottom), (frame.right, frame.bottom));
    drawing.label("tick", (frame.left - 5.0, bottom - 2.0), Anchor::End, "n");
    strip.draw_x(drawing, "probability of the final answer", &percent_labels(&frame.x.ticks(5)));
}

/// A count in four characters.
fn brief(n: usize) -> String {
    match n {
        0..=9_999 => n.to_string(),
        10_000..=999_999 => format!("{}k", n / 1000),
        _ => format!("{}M", n / 1_000_000),
    }
}
