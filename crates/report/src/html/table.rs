//! The table of arms.

use crate::format::{ABSENT, count, p_value, percent, points, proper, spread};
use crate::svg::{IntervalScale, interval};
use crate::{ArmOverSeeds, ArmRole, ArmRow, Difference, Interval, Report};
use minijinja::Value;
use serde::Serialize;

/// The table as text and small drawings.
#[derive(Serialize)]
pub(super) struct TableView {
    /// Whether there is a seed column.
    several: bool,
    macro_f1: bool,
    differences: bool,
    groups: Vec<GroupView>,
    /// What the dashed lines in the drawings stand for.
    reference: Option<String>,
}

#[derive(Serialize)]
struct GroupView {
    label: String,
    mean: bool,
    rows: Vec<RowView>,
}

#[derive(Serialize)]
struct RowView {
    arm: String,
    semi: bool,
    note: Option<String>,
    accuracy: String,
    interval: Option<String>,
    bar: Value,
    macro_f1: String,
    difference: Option<DifferenceView>,
}

#[derive(Serialize)]
struct DifferenceView {
    against: String,
    points: String,
    interval: Option<String>,
    bar: Value,
    p: String,
}

impl TableView {
    /// The table of a report, the means first; absent if no arm has results.
    pub(super) fn new(report: &Report) -> Option<Self> {
        let groups: Vec<Group> = groups(report);
        let rows = || groups.iter().flat_map(|group| &group.rows);
        rows().next()?;
        let accuracies: Vec<_> = rows().map(|row| (row.accuracy, row.interval)).collect();
        let differences: Vec<_> =
            rows().filter_map(|row| row.difference).map(|found| (found.mean, found.interval)).collect();
        let reference = reference(&groups);
        let scales = Scales {
            accuracy: IntervalScale::new(&accuracies, reference.map(|row| row.accuracy)),
            difference: IntervalScale::new(&differences, Some(0.0)),
        };
        Some(TableView {
            several: report.seeds.len() > 1,
            macro_f1: rows().any(|row| row.macro_f1.is_some()),
            differences: !differences.is_empty(),
            reference: reference.map(|row| {
                let mean = if row.mean { ", mean over seeds" } else { "" };
                format!("{} ({}{mean})", row.arm, percent(row.accuracy))
            }),
            groups: groups.iter().map(|group| group.view(&scales)).collect(),
        })
    }
}

struct Scales {
    accuracy: IntervalScale,
    difference: IntervalScale,
}

struct Group<'a> {
    label: String,
    rows: Vec<Row<'a>>,
}

/// What a seed's row and a mean's row have in common.
struct Row<'a> {
    arm: &'a str,
    role: ArmRole,
    mean: bool,
    n_unparsed: usize,
    accuracy: f64,
    sd: Option<f64>,
    interval: Option<Interval>,
    macro_f1: Option<(f64, Option<f64>)>,
    difference: Option<&'a Difference>,
}

fn groups(report: &Report) -> Vec<Group<'_>> {
    let means = Group { label: "mean".into(), rows: report.summary.iter().map(Row::of_mean).collect() };
    let seeds = report.seeds.iter().map(|seed| Group {
        label: seed.seed.to_string(),
        rows: seed.arms.iter().map(Row::of_seed).collect(),
    });
    std::iter::once(means).chain(seeds).filter(|group| !group.rows.is_empty()).collect()
}

/// The arm with labels alone that others are compared with, in the first group.
fn reference<'a>(groups: &'a [Group<'_>]) -> Option<&'a Row<'a>> {
    let rows = &groups.first()?.rows;
    let against = rows.iter().find_map(|row| row.difference).map(|difference| &difference.against)?;
    rows.iter().find(|row| row.arm == against)
}

impl<'a> Row<'a> {
    fn of_seed(row: &'a ArmRow) -> Self {
        Row {
            arm: &row.arm,
            role: row.role,
            mean: false,
            n_unparsed: row.n_unparsed,
            accuracy: row.accuracy,
            sd: None,
            interval: proper(row.interval),
            macro_f1: row.macro_f1.map(|value| (value, None)),
            difference: row.difference.as_ref(),
        }
    }

    fn of_mean(row: &'a ArmOverSeeds) -> Self {
        Row {
            arm: &row.arm,
            role: row.role,
            mean: true,
            n_unparsed: 0,
            accuracy: row.accuracy,
            sd: row.sd,
            interval: proper(row.interval),
            macro_f1: row.macro_f1.map(|value| (value, row.macro_f1_sd)),
            difference: row.difference.as_ref(),
        }
    }

    fn view(&self, scales: &Scales) -> RowView {
        let title = format!("{}: {}", self.arm, percent(self.accuracy));
        RowView {
            arm: self.arm.into(),
            semi: matches!(self.role, ArmRole::SemiSupervised | ArmRole::Variant),
            note: (self.n_unparsed > 0).then(|| format!("{} unreadable", count(self.n_unparsed))),
            accuracy: spread(self.accuracy, self.sd),
            interval: self.interval.map(|ends| format!("[{}, {}]", percent(ends.low), percent(ends.high))),
            bar: drawn(interval(&title, self.accuracy, self.interval, &scales.accuracy)),
            macro_f1: self.macro_f1.map_or(ABSENT.into(), |(value, sd)| spread(value, sd)),
            difference: self.difference.map(|difference| DifferenceView::new(difference, &scales.difference)),
        }
    }
}

impl Group<'_> {
    fn view(&self, scales: &Scales) -> GroupView {
        let rows: Vec<RowView> = self.rows.iter().map(|row| row.view(scales)).collect();
        GroupView { label: self.label.clone(), mean: self.rows.iter().any(|row| row.mean), rows }
    }
}

impl DifferenceView {
    fn new(difference: &Difference, scale: &IntervalScale) -> Self {
        let title = format!("{} points against {}", points(difference.mean), difference.against);
        let ends = proper(difference.interval);
        DifferenceView {
            against: difference.against.clone(),
            points: points(difference.mean),
            interval: ends.map(|ends| format!("[{}, {}]", points(ends.low), points(ends.high))),
            bar: drawn(interval(&title, difference.mean, ends, scale)),
            p: difference.p.map_or(ABSENT.into(), p_value),
        }
    }
}

fn drawn(svg: String) -> Value {
    Value::from_safe_string(svg)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeedReport;

    #[test]
    fn rows_read_as_a_table() {
        let interval = |low, high| Some(Interval { low, high });
        let sft = ArmRow {
            arm: "sft".into(),
            role: ArmRole::LabelsOnly,
            accuracy: 0.83,
            interval: interval(0.8, 0.86),
            macro_f1: Some(0.8),
            ..Default::default()
        };
        let difference =
            Difference { against: "sft".into(), mean: 0.011, interval: interval(-0.01, 0.03), p: Some(0.52) };
        let semi = ArmRow {
            arm: "SemiEvol".into(),
            accuracy: 0.841,
            interval: interval(f64::NAN, 0.9),
            n_unparsed: 2,
            difference: Some(difference),
            ..Default::default()
        };
        let seeds = vec![SeedReport { arms: vec![sft, semi], ..Default::default() }];
        let table = TableView::new(&Report { seeds, ..Default::default() }).unwrap();
        let text = |row: &RowView| {
            let difference = row.difference.as_ref().map(|found| {
                format!("{} {} {}", found.points, found.interval.clone().unwrap_or_default(), found.p)
            });
            let (interval, note) = (row.interval.clone(), row.note.clone());
            [
                row.arm.clone(),
                row.accuracy.clone(),
                interval.unwrap_or_default(),
                row.macro_f1.clone(),
                difference.unwrap_or_default(),
                note.unwrap_or_default(),
            ]
            .join(" | ")
        };
        assert_eq!(
            table.groups[0].rows.iter().map(text).collect::<Vec<_>>(),
            [
                "sft | 83.0 | [80.0, 86.0] | 80.0 |  | ",
                "SemiEvol | 84.1 |  | – | +1.1 [−1.0, +3.0] 0.520 | 2 unreadable",
            ]
        );
        assert_eq!(table.reference.as_deref(), Some("sft (83.0)"));
        assert!(TableView::new(&Report::default()).is_none());
    }
}
