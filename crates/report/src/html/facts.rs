//! Model, set sizes and overlap, beneath the title.

use crate::Report;
use crate::format::count;
use serde::Serialize;

/// A line with its name.
#[derive(Serialize)]
pub(super) struct Fact {
    name: String,
    value: String,
}

/// The model and the sets' sizes, once if all seeds have the same.
pub(super) fn facts(report: &Report) -> Vec<Fact> {
    let mut facts = Vec::new();
    if !report.model.trim().is_empty() {
        facts.push(Fact { name: "Model".into(), value: report.model.clone() });
    }
    let seeds = report.seeds.iter().map(|seed| seed.seed.to_string()).collect::<Vec<_>>();
    match seeds.as_slice() {
        [] => {}
        [seed] => facts.push(Fact { name: "Seed".into(), value: seed.clone() }),
        _ => facts.push(Fact { name: "Seeds".into(), value: seeds.join(", ") }),
    }
    facts.extend(sizes(report));
    facts
}

fn sizes(report: &Report) -> Vec<Fact> {
    let line = |sizes: &crate::SetSizes| {
        let (labelled, unlabelled) = (count(sizes.labelled), count(sizes.unlabelled));
        format!("{labelled} labelled, {unlabelled} unlabelled, {} test", count(sizes.test))
    };
    let Some(first) = report.seeds.first() else { return Vec::new() };
    if report.seeds.iter().all(|seed| seed.sizes == first.sizes) {
        let name = if report.seeds.len() > 1 { "Rows, each seed" } else { "Rows" };
        return vec![Fact { name: name.into(), value: line(&first.sizes) }];
    }
    let of = |seed: &crate::SeedReport| Fact {
        name: format!("Rows, seed {}", seed.seed),
        value: line(&seed.sizes),
    };
    report.seeds.iter().map(of).collect()
}

/// The overlap lines, once if all seeds have the same.
pub(super) fn overlap(report: &Report) -> Vec<String> {
    let Some(first) = report.seeds.first() else { return Vec::new() };
    if report.seeds.iter().all(|seed| seed.overlap == first.overlap) {
        return first.overlap.clone();
    }
    let of = |seed: &crate::SeedReport| {
        let number = seed.seed;
        seed.overlap.iter().map(move |line| format!("seed {number}: {line}")).collect::<Vec<_>>()
    };
    report.seeds.iter().flat_map(of).collect()
}
