//! The test rows: parts of them, and how sure each arm was.

use super::pseudo::ChartView;
use crate::format::{ABSENT, count, percent, rate};
use crate::stats::{Scored, risk_coverage};
use crate::svg;
use crate::{Breakdown, Part, SeedReport, Tested};
use minijinja::Value;
use serde::Serialize;

/// Accuracy on parts of the test rows as text.
#[derive(Serialize)]
pub(super) struct BreakdownView {
    by: String,
    arms: Vec<String>,
    rows: Vec<PartView>,
}

#[derive(Serialize)]
struct PartView {
    name: String,
    n: String,
    cells: Vec<String>,
}

impl BreakdownView {
    pub(super) fn new(breakdown: &Breakdown) -> Self {
        let row = |part: &Part| PartView {
            name: part.name.clone(),
            n: count(part.right.iter().map(|share| share.whole).max().unwrap_or(0)),
            cells: part.right.iter().map(|share| rate(*share).map_or(ABSENT.into(), percent)).collect(),
        };
        BreakdownView {
            by: breakdown.by.clone(),
            arms: breakdown.arms.clone(),
            rows: breakdown.parts.iter().map(row).collect(),
        }
    }
}

/// How sure each arm was of right and of wrong answers.
pub(super) fn charts(seed: &SeedReport) -> Vec<ChartView> {
    seed.tested.iter().filter_map(chart).collect()
}

fn chart(tested: &Tested) -> Option<ChartView> {
    let sure = tested.answers.iter().filter(|answer| answer.probability.is_finite());
    let sure = sure.map(|answer| Scored {
        confidence: answer.probability,
        correct: Some(answer.correct),
        kept: true,
    });
    let scored: Vec<Scored> = sure.collect();
    let risk = risk_coverage(&scored)?;
    let title = format!("{}: answers to the test rows", tested.arm);
    let chart = svg::histogram(&title, "probability of the answer", &scored, None);
    Some(ChartView {
        heading: tested.arm.clone(),
        chart: Value::from_safe_string(chart),
        caption: format!("{}; {} answers.", risk.areas(), count(scored.len())),
    })
}
