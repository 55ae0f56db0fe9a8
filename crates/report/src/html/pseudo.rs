//! Numbers and charts of one set of pseudo-labels.

use super::cards::CardView;
use crate::format::{ABSENT, count, number, percent, rate, share};
use crate::stats::{reliability, risk_coverage, scored};
use crate::svg::{self, Line, MAX_SEGMENTS, Stack, segment_class, stacked};
use crate::{Agreement, ClassCount, LossCurve, PseudoLabel, PseudoReport, Share};
use minijinja::Value;
use serde::Serialize;
use std::collections::BTreeMap;

/// A set of pseudo-labels as text and charts.
#[derive(Serialize)]
pub(super) struct PseudoView {
    title: Option<String>,
    /// Name of the group of filter buttons, one of its kind in the page.
    group: String,
    figures: Vec<Figure>,
    mix: Option<MixView>,
    collaborators: Vec<CollaboratorView>,
    /// What a final answer is called that not all collaborators gave.
    changes: &'static str,
    deciders: Vec<DeciderView>,
    gold: bool,
    charts: Vec<ChartView>,
    cards: Vec<CardView>,
    /// How many of how many prompts the cards show.
    browsed: String,
    filters: Vec<FilterView>,
}

/// One large number.
#[derive(Serialize)]
struct Figure {
    name: &'static str,
    value: String,
    detail: String,
}

#[derive(Serialize)]
struct MixView {
    chart: Value,
    columns: Vec<&'static str>,
    rows: Vec<MixRow>,
}

#[derive(Serialize)]
struct MixRow {
    class: String,
    key: String,
    cells: Vec<String>,
}

#[derive(Serialize)]
struct CollaboratorView {
    name: String,
    answered: String,
    correct: String,
}

#[derive(Serialize)]
struct DeciderView {
    name: String,
    n: String,
    correct: String,
}

/// A chart with what to read in it.
#[derive(Serialize)]
pub(super) struct ChartView {
    pub(super) heading: String,
    pub(super) chart: Value,
    pub(super) caption: String,
}

#[derive(Serialize)]
struct FilterView {
    name: &'static str,
    label: &'static str,
    n: String,
}

impl PseudoView {
    pub(super) fn new(
        pseudo: &PseudoReport,
        labelled: &[ClassCount],
        titled: bool,
        group: String,
    ) -> PseudoView {
        let labels = &pseudo.labels;
        let cards: Vec<CardView> =
            pseudo.sample.iter().map(|prompt| CardView::new(prompt, pseudo.combined)).collect();
        let (collaborators, deciders) = (collaborators(pseudo), deciders(labels));
        PseudoView {
            title: titled.then(|| pseudo.title.clone()),
            group,
            figures: figures(labels, pseudo.combined),
            mix: mix(labels, labelled),
            gold: labels.iter().any(|label| label.correct.is_some())
                || pseudo.collaborators.iter().any(|one| one.correct.is_some()),
            collaborators,
            changes: if pseudo.combined { "changed by combining" } else { "disputes" },
            deciders,
            charts: charts(pseudo),
            filters: filters(&cards, pseudo.combined),
            browsed: format!("{} of {}", count(cards.len()), count(labels.len())),
            cards,
        }
    }
}

/// The loss curves, in charts of no more lines than can be told apart.
pub(super) fn loss_charts(losses: &[LossCurve]) -> Vec<ChartView> {
    let line = |curve: &'_ LossCurve| -> Vec<(f64, f64)> {
        curve.points.iter().map(|point| (point.step as f64, point.loss)).collect()
    };
    let chart = |curves: &[LossCurve]| {
        let lines: Vec<Line<'_>> =
            curves.iter().map(|curve| Line { name: &curve.name, points: line(curve) }).collect();
        let caption = match svg::averaged_points(&lines) {
            1 => "Each point is the batch of one step.".into(),
            size => format!("Each point is the mean of {size} steps."),
        };
        ChartView {
            heading: "Training loss".into(),
            chart: Value::from_safe_string(svg::lines(
                "Training loss",
                "step",
                "loss (nats per token)",
                &lines,
            )),
            caption,
        }
    };
    losses.chunks(svg::MAX_LINES).map(chart).collect()
}

fn n_where(labels: &[PseudoLabel], holds: impl Fn(&PseudoLabel) -> bool) -> usize {
    labels.iter().filter(|label| holds(label)).count()
}

/// Right ones of those known, among the labels that pass.
fn right(labels: &[PseudoLabel], passes: impl Fn(&PseudoLabel) -> bool) -> Option<Share> {
    let known = n_where(labels, |label| passes(label) && label.correct.is_some());
    let part = n_where(labels, |label| passes(label) && label.correct == Some(true));
    (known > 0).then_some(Share { part, whole: known })
}

fn rate_text(share: Share) -> String {
    rate(share).map_or(ABSENT.into(), |rate| format!("{}%", percent(rate)))
}

fn figures(labels: &[PseudoLabel], combined: bool) -> Vec<Figure> {
    let whole = labels.len();
    let counted = |name, part| {
        let value = Share { part, whole };
        Figure { name, value: count(part), detail: rate(value).map_or(String::new(), |_| rate_text(value)) }
    };
    let of = |agreement| n_where(labels, |label| label.agreement == agreement);
    let mut figures = vec![
        Figure { name: "prompts", value: count(whole), detail: "unlabelled".into() },
        counted("agreed", of(Agreement::Agreed)),
        counted(if combined { "changed" } else { "disputed" }, of(Agreement::Disputed)),
        counted("no final answer", of(Agreement::Unanswered)),
        counted("kept", n_where(labels, |label| label.kept)),
    ];
    let detailed = |name, found: Share| Figure {
        name,
        value: rate_text(found),
        detail: format!("{} of {}", count(found.part), count(found.whole)),
    };
    let answered = |label: &PseudoLabel| label.agreement != Agreement::Unanswered;
    figures.extend(right(labels, answered).map(|found| detailed("right, answered", found)));
    figures.extend(right(labels, |label| label.kept).map(|found| detailed("right, kept", found)));
    figures
}

/// Class mixes of the labels, of all pseudo-labels and of those kept. Classes beyond the colours are one.
fn mix(labels: &[PseudoLabel], labelled: &[ClassCount]) -> Option<MixView> {
    let mut classes: Vec<&str> = labelled.iter().map(|count| count.class.as_str()).collect();
    let mut more: Vec<&str> = labels.iter().filter_map(|label| label.class.as_deref()).collect();
    more.sort_unstable();
    more.dedup();
    classes.extend(more.into_iter().filter(|class| labelled.iter().all(|count| count.class != *class)));
    if classes.is_empty() || labels.iter().all(|label| label.class.is_none()) {
        return None;
    }
    let of = |keep: &dyn Fn(&PseudoLabel) -> bool| -> Vec<usize> {
        let n = |class: &&str| n_where(labels, |label| label.class.as_deref() == Some(*class) && keep(label));
        classes.iter().map(n).collect()
    };
    let given = classes.iter().map(|class| {
        labelled.iter().filter(|count| count.class == *class).map(|count| count.n).sum::<usize>()
    });
    let mut stacks = vec![
        Stack { name: "labels", sizes: given.collect() },
        Stack { name: "pseudo-labels before selection", sizes: of(&|_| true) },
        Stack { name: "pseudo-labels kept", sizes: of(&|label| label.kept) },
    ];
    if labelled.is_empty() {
        stacks.remove(0);
    }
    let mut names: Vec<String> = classes.iter().map(|class| (*class).to_owned()).collect();
    if names.len() > MAX_SEGMENTS + 1 {
        names.truncate(MAX_SEGMENTS);
        names.push(format!("{} other classes", classes.len() - MAX_SEGMENTS));
        for stack in &mut stacks {
            let rest = stack.sizes.split_off(MAX_SEGMENTS).iter().sum();
            stack.sizes.push(rest);
        }
    }
    Some(MixView::new(names, &stacks))
}

impl MixView {
    fn new(names: Vec<String>, stacks: &[Stack<'_>]) -> Self {
        let cell = |stack: &Stack<'_>, index: usize| {
            let share = Share { part: stack.sizes[index], whole: stack.sizes.iter().sum() };
            format!("{} ({})", count(share.part), rate_text(share))
        };
        let row = |(index, class): (usize, String)| MixRow {
            class,
            key: segment_class(index),
            cells: stacks.iter().map(|stack| cell(stack, index)).collect(),
        };
        let column = |stack: &Stack<'_>| match stack.name {
            "labels" => "labels",
            "pseudo-labels kept" => "kept",
            _ => "before selection",
        };
        MixView {
            chart: Value::from_safe_string(stacked("Class mix", stacks)),
            columns: stacks.iter().map(column).collect(),
            rows: names.into_iter().enumerate().map(row).collect(),
        }
    }
}

fn collaborators(pseudo: &PseudoReport) -> Vec<CollaboratorView> {
    let view = |one: &crate::Collaborator| CollaboratorView {
        name: one.name.clone(),
        answered: rate_text(one.answered),
        correct: one.correct.map_or(ABSENT.into(), share),
    };
    pseudo.collaborators.iter().map(view).collect()
}

/// Who decided disputes, in alphabetical order.
fn deciders(labels: &[PseudoLabel]) -> Vec<DeciderView> {
    let mut by_name: BTreeMap<&str, Vec<PseudoLabel>> = BTreeMap::new();
    for label in labels.iter().filter(|label| label.agreement == Agreement::Disputed) {
        by_name.entry(label.decided_by.as_deref().unwrap_or("not recorded")).or_default().push(label.clone());
    }
    let view = |(name, decided): (&str, Vec<PseudoLabel>)| DeciderView {
        name: name.into(),
        n: count(decided.len()),
        correct: right(&decided, |_| true).map_or(ABSENT.into(), share),
    };
    by_name.into_iter().map(view).collect()
}

fn charts(pseudo: &PseudoReport) -> Vec<ChartView> {
    if pseudo.labels.is_empty() {
        return Vec::new();
    }
    let scored = scored(&pseudo.labels);
    let name = if pseudo.confidence_name.is_empty() { "confidence" } else { &pseudo.confidence_name };
    let (risk, reliability) = (risk_coverage(&scored), reliability(&pseudo.labels));
    let threshold = pseudo.threshold.filter(|threshold| threshold.is_finite());
    let shades = "Solid: kept. Pale: dropped.";
    let sure = |kept: bool| scored.iter().any(|one| one.kept == kept);
    let histogram = ChartView {
        heading: "Confidence".into(),
        chart: Value::from_safe_string(svg::histogram(
            "Confidence of pseudo-labels",
            name,
            &scored,
            threshold,
        )),
        caption: match threshold {
            Some(threshold) => format!("{shades} The dashed line is the threshold, {}.", number(threshold)),
            None if scored.is_empty() => String::new(),
            None if !sure(false) => "Every answer was kept.".into(),
            None if !sure(true) => "None was kept.".into(),
            None => format!("{shades} Selection was not by one threshold."),
        },
    };
    let mut charts = vec![histogram];
    if let Some(risk) = &risk {
        charts.push(ChartView {
            heading: "Risk and coverage".into(),
            chart: Value::from_safe_string(svg::risk("Risk and coverage", Some(risk))),
            caption: format!(
                "{}. How many are wrong if only the surest are taken; answers only.",
                risk.areas()
            ),
        });
    }
    if let Some(reliability) = &reliability {
        charts.push(ChartView {
            heading: "Reliability".into(),
            chart: Value::from_safe_string(svg::reliability("Reliability", Some(reliability))),
            caption: format!(
                "ECE {:.3} over {} answers, in tenths of the scale; n is each tenth's size.",
                reliability.ece,
                count(reliability.bins.iter().map(|bin| bin.n).sum())
            ),
        });
    }
    charts
}

fn filters(cards: &[CardView], combined: bool) -> Vec<FilterView> {
    let filter = |name, label| {
        let n = cards.iter().filter(|card| name == "all" || card.is(name)).count();
        FilterView { name, label, n: count(n) }
    };
    let all = [
        ("all", "All"),
        ("kept", "Kept"),
        ("dropped", "Dropped"),
        ("disputed", if combined { "Changed" } else { "Disputed" }),
        ("wrong", "Wrong"),
    ];
    all.into_iter().map(|(name, label)| filter(name, label)).collect()
}
