//! Curves over steps.

use super::axes::{Frame, Scale};
use super::{Anchor, Drawing, WIDTH, clip, nothing};

/// Most points of the longest line; more are averaged, and as many at a time in all lines.
const MAX_POINTS: usize = 60;

/// Lines that can be told apart.
pub(crate) const MAX_LINES: usize = 6;

/// Lines whose names share a row of the legend with another's.
const IN_PAIRS: usize = 4;

/// One curve.
pub(crate) struct Line<'a> {
    /// Its name in the legend.
    pub(crate) name: &'a str,
    /// Its points from left to right.
    pub(crate) points: Vec<(f64, f64)>,
}

/// One line per curve with a legend above. The vertical axis is logarithmic where all values are above 0 and
/// the largest is more than ten times the smallest.
pub(crate) fn lines(title: &str, x_title: &str, y_title: &str, lines: &[Line<'_>]) -> String {
    let size = averaged_points(lines);
    let drawn: Vec<(&str, Vec<(f64, f64)>)> = lines
        .iter()
        .map(|line| (line.name, averaged(&line.points, size)))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let ranges = (range(&drawn, |point| point.0), range(&drawn, |point| point.1));
    let (Some(xs), Some(ys)) = ranges else { return nothing(title, "No steps were recorded.") };
    let ends = |(name, points): &(&str, Vec<(f64, f64)>)| {
        let (first, last) = (points[0].1, points[points.len() - 1].1);
        format!("{name} goes from {first:.3} to {last:.3}")
    };
    let described: Vec<String> = drawn.iter().map(ends).collect();

    let columns = if drawn.len() > IN_PAIRS { 1 } else { 2 };
    let top = 14.0 + 18.0 * drawn.len().div_ceil(columns) as f64;
    let bottom = top + 190.0;
    let mut drawing =
        Drawing::new("chart", WIDTH, bottom + 40.0, title, &format!("{}.", described.join("; ")));
    let y = match ys.0 > 0.0 && ys.1 / ys.0 > 10.0 {
        true => Scale::logarithmic(ys.0 * 0.9, ys.1 * 1.1),
        false => Scale::linear(ys.0.min(0.0), ys.1 + 0.05 * (ys.1 - ys.0.min(0.0))),
    };
    let frame = Frame::new(Scale::linear(xs.0.min(0.0), xs.1.max(1.0)), y, top, bottom);
    frame.draw(&mut drawing, x_title, y_title);
    for (index, (name, points)) in drawn.iter().enumerate() {
        draw_line(&mut drawing, &frame, index, points);
        legend(&mut drawing, index, columns, name);
    }
    drawing.finish()
}

fn draw_line(drawing: &mut Drawing, frame: &Frame, index: usize, points: &[(f64, f64)]) {
    let style = index % MAX_LINES;
    drawing.polyline(&format!("line s{style}"), points.iter().map(|point| frame.place(*point)));
    let n = points.len();
    // Marks stand at other places on each line, so that lines on top of each other both show theirs.
    let every = (n / 4).max(1);
    let marked = (0..n).skip(if n > 8 { index * every / 4 } else { 0 }).step_by(every);
    for place in marked {
        drawing.marker(&format!("mark s{style}"), index, frame.place(points[place]));
    }
}

fn legend(drawing: &mut Drawing, index: usize, columns: usize, name: &str) {
    let style = index % MAX_LINES;
    let (x, y) = (46.0 + 156.0 * (index % columns) as f64, 12.0 + 18.0 * (index / columns) as f64);
    drawing.polyline(&format!("line s{style}"), [(x, y), (x + 28.0, y)].into_iter());
    drawing.marker(&format!("mark s{style}"), index, (x + 14.0, y));
    drawing.label("legend", (x + 34.0, y + 4.0), Anchor::Start, &clip(name, 38 / columns - 2));
}

/// How many neighbouring points [`lines`] draws as one, their mean.
pub(crate) fn averaged_points(lines: &[Line<'_>]) -> usize {
    let longest = lines.iter().map(|line| line.points.len()).max().unwrap_or(0);
    longest.div_ceil(MAX_POINTS).max(1)
}

fn averaged(points: &[(f64, f64)], size: usize) -> Vec<(f64, f64)> {
    let finite: Vec<(f64, f64)> =
        points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let mean = |chunk: &[(f64, f64)]| {
        let n = chunk.len() as f64;
        let sum = |of: fn(&(f64, f64)) -> f64| chunk.iter().map(of).sum::<f64>();
        (sum(|point| point.0) / n, sum(|point| point.1) / n)
    };
    finite.chunks(size).map(mean).collect()
}

fn range(lines: &[(&str, Vec<(f64, f64)>)], of: impl Fn(&(f64, f64)) -> f64) -> Option<(f64, f64)> {
    let values = lines.iter().flat_map(|(_, points)| points.iter().map(&of));
    values.fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    })
}
