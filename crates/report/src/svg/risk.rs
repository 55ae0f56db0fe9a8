//! Error against the share of answers taken.

use super::axes::{Frame, Scale, percent_labels};
use super::{Anchor, Drawing, WIDTH, nothing};
use crate::format::percent;
use crate::stats::RiskCoverage;
use semievol_eval::RiskPoint;

/// Most steps of the drawn curve.
const MAX_STEPS: usize = 150;

/// The curve, the error without selection as a dashed line and what was kept as a mark.
pub(crate) fn risk(title: &str, risk: Option<&RiskCoverage>) -> String {
    let Some(risk) = risk else { return nothing(title, "No answer is known to be right or wrong.") };
    let all = risk.curve.last().map_or(0.0, |point| point.risk);
    let highest = risk.curve.iter().map(|point| point.risk).fold(0.0, f64::max);
    let highest = highest.max(risk.kept.map_or(0.0, |kept| kept.1)).max(0.02);
    let kept = risk.kept.map(|(coverage, risk)| {
        format!(" Kept: {}% of the answers with {}% errors.", percent(coverage), percent(risk))
    });
    let description = format!("{}% of all answers are wrong.{}", percent(all), kept.unwrap_or_default());
    let mut drawing = Drawing::new("chart", WIDTH, 270.0, title, &description);
    let frame =
        Frame::new(Scale::linear(0.0, 1.0), Scale::linear(0.0, (highest * 1.15).min(1.0)), 30.0, 230.0);
    frame.draw_y(&mut drawing, "wrong among those", &percent_labels(&frame.y.ticks(5)));
    frame.draw_x(&mut drawing, "surest answers taken", &percent_labels(&frame.x.ticks(5)));
    drawing.line("reference", frame.place((0.0, all)), frame.place((1.0, all)));
    drawing.polyline("line s0", steps(&risk.curve).map(|point| frame.place(point)));
    drawing.marker("mark s0", 0, frame.place((1.0, all)));
    if let Some(kept) = risk.kept {
        drawing.marker("mark kept", 3, frame.place(kept));
    }
    draw_legend(&mut drawing, risk.kept.is_some());
    drawing.finish()
}

fn draw_legend(drawing: &mut Drawing, kept: bool) {
    drawing.line("reference", (46.0, 12.0), (70.0, 12.0));
    drawing.label("legend", (76.0, 16.0), Anchor::Start, "all answers");
    if kept {
        drawing.marker("mark kept", 3, (178.0, 12.0));
        drawing.label("legend", (188.0, 16.0), Anchor::Start, "kept");
    }
}

/// The curve as the area below it counts: answers that are equally sure have one risk. At most about [`MAX_STEPS`]
/// steps, the first and the last point among their ends.
fn steps(curve: &[RiskPoint]) -> impl Iterator<Item = (f64, f64)> + '_ {
    let every = curve.len().div_ceil(MAX_STEPS).max(1);
    let last = curve.len().saturating_sub(1);
    let shown = move |at: &usize| at.is_multiple_of(every) || *at == last;
    let mut from = 0.0;
    (0..curve.len()).filter(shown).flat_map(move |at| {
        let RiskPoint { coverage, risk, .. } = curve[at];
        [(std::mem::replace(&mut from, coverage), risk), (coverage, risk)]
    })
}
