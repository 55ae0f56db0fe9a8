//! Charts as SVG, drawn into a page whose styles colour them: elements have classes, not colours, so that they
//! follow the page into the dark and onto paper.
//!
//! Every chart takes any numbers: what is not finite is left out, and a chart without anything to show says so.

mod axes;
mod confidence;
mod histogram;
mod interval;
mod lines;
mod reliability;
mod risk;
mod stacked;

pub(crate) use histogram::histogram;
pub(crate) use interval::{IntervalScale, interval};
pub(crate) use lines::{Line, MAX_LINES, averaged_points, lines};
pub(crate) use reliability::reliability;
pub(crate) use risk::risk;
pub(crate) use stacked::{MAX_SEGMENTS, Stack, segment_class, stacked};

use std::fmt::Write;

/// Width of a chart in its own units; about the width of a telephone, so that text stays legible there.
const WIDTH: f64 = 360.0;

/// An SVG element in the making.
pub(crate) struct Drawing {
    text: String,
}

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy)]
enum Anchor {
    Start,
    Middle,
    End,
}

impl Drawing {
    /// An empty drawing; title and description are for who cannot see it.
    fn new(class: &str, width: f64, height: f64, title: &str, description: &str) -> Self {
        let mut drawing = Drawing { text: String::new() };
        drawing.push(format_args!(
            r#"<svg class="{class}" viewBox="0 0 {} {}" role="img"><title>{}</title><desc>{}</desc>"#,
            short(width),
            short(height),
            escape(title),
            escape(description)
        ));
        drawing
    }

    fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(short);
        self.push(format_args!(r#"<line class="{class}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>"#));
    }

    /// A rectangle; one without extent is left out.
    fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        if width <= 0.0 || height <= 0.0 {
            return;
        }
        let [x, y, width, height] = [x, y, width, height].map(short);
        self.push(format_args!(
            r#"<rect class="{class}" x="{x}" y="{y}" width="{width}" height="{height}"/>"#
        ));
    }

    fn polyline(&mut self, class: &str, points: impl Iterator<Item = (f64, f64)>) {
        let points: Vec<String> = points.map(|(x, y)| format!("{},{}", short(x), short(y))).collect();
        self.push(format_args!(r#"<polyline class="{class}" points="{}"/>"#, points.join(" ")));
    }

    /// One of four shapes, so that lines differ by more than colour.
    fn marker(&mut self, class: &str, shape: usize, (x, y): (f64, f64)) {
        let [x, y] = [x, y].map(short);
        let path = match shape % 4 {
            0 => "m-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0-6.8 0z",
            1 => "m-3-3h6v6h-6z",
            2 => "m0-4l4 7h-8z",
            _ => "m0-4.4l4.4 4.4l-4.4 4.4l-4.4-4.4z",
        };
        self.push(format_args!(r#"<path class="{class}" d="M{x} {y}{path}"/>"#));
    }

    fn label(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let (x, y, text) = (short(x), short(y), escape(text));
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.push(format_args!(
            r#"<text class="{class}" x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>"#
        ));
    }

    /// Text that reads upwards.
    fn upright_label(&mut self, (x, y): (f64, f64), text: &str) {
        let (x, y, text) = (short(x), short(y), escape(text));
        self.push(format_args!(
            r#"<text class="axis-title" transform="translate({x} {y}) rotate(-90)" text-anchor="middle">{text}</text>"#
        ));
    }

    fn finish(mut self) -> String {
        self.text.push_str("</svg>");
        self.text
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.text.write_fmt(text);
    }
}

/// A chart that has nothing to show.
fn nothing(title: &str, why: &str) -> String {
    let mut drawing = Drawing::new("chart", WIDTH, 60.0, title, why);
    drawing.label("note", (WIDTH / 2.0, 34.0), Anchor::Middle, why);
    drawing.finish()
}

/// A coordinate with one digit; 0 for what is none.
fn short(value: f64) -> String {
    if !value.is_finite() {
        return "0".into();
    }
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".into() } else { text.into() }
}

fn escape(text: &str) -> String {
    minijinja::HtmlEscape(text).to_string()
}

/// At most `n` characters.
fn clip(text: &str, n: usize) -> String {
    if text.chars().count() <= n {
        return text.into();
    }
    text.chars().take(n.saturating_sub(1)).chain(['…']).collect()
}
