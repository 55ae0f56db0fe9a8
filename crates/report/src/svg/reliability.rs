//! Accuracy against probability.

use super::axes::{Frame, Scale, percent_labels};
use super::{Anchor, Drawing, WIDTH, nothing};
use crate::format::percent;
use semievol_eval::{Bin, Reliability, wilson};

/// Height of the strip that shows the bins' sizes.
const STRIP: f64 = 34.0;

/// One mark per tenth of the scale with its 95% interval, and below it how many answers it stands for.
pub(crate) fn reliability(title: &str, reliability: Option<&Reliability>) -> String {
    let why = "No probability of an answer known to be right or wrong.";
    let Some(reliability) = reliability else { return nothing(title, why) };
    let described: Vec<String> = found(reliability)
        .map(|(bin, mean, accuracy)| format!("{} at {}%: {}% right", bin.n, percent(mean), percent(accuracy)))
        .collect();
    let description =
        format!("ECE {:.3}. Answers by probability: {}.", reliability.ece, described.join("; "));
    let mut drawing = Drawing::new("chart", WIDTH, 316.0, title, &description);
    let frame = Frame::new(Scale::linear(0.0, 1.0), Scale::linear(0.0, 1.0), 30.0, 220.0);
    frame.draw_y(&mut drawing, "right", &percent_labels(&frame.y.ticks(5)));
    drawing.line("reference", frame.place((0.0, 0.0)), frame.place((1.0, 1.0)));
    for (bin, mean, accuracy) in found(reliability) {
        let at = |share| frame.place((mean, share));
        if let Ok(interval) = wilson(bin.n_correct, bin.n, 0.95) {
            drawing.line("whisker s0", at(interval.low), at(interval.high));
        }
        drawing.marker("mark s0", 0, at(accuracy));
    }
    draw_sizes(&mut drawing, &frame, reliability);
    drawing.line("reference", (46.0, 12.0), (70.0, 12.0));
    drawing.label("legend", (76.0, 16.0), Anchor::Start, "as right as sure");
    drawing.marker("mark s0", 0, (206.0, 12.0));
    drawing.label("legend", (216.0, 16.0), Anchor::Start, "found, 95% interval");
    drawing.finish()
}

/// The bins that hold answers, with the mean probability and the share of right ones.
fn found(reliability: &Reliability) -> impl Iterator<Item = (&Bin, f64, f64)> {
    reliability.bins.iter().filter_map(|bin| Some((bin, bin.mean_probability?, bin.accuracy()?)))
}

fn draw_sizes(drawing: &mut Drawing, frame: &Frame, reliability: &Reliability) {
    let largest = reliability.bins.iter().map(|bin| bin.n).max().unwrap_or(1) as f64;
    let bottom = frame.bottom + 20.0 + STRIP;
    for bin in reliability.bins.iter().filter(|bin| bin.n > 0) {
        let (from, to) = (frame.x.at(bin.low), frame.x.at(bin.high));
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
