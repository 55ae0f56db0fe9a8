//! From numbers to the page: what the templates are given, and the templates.
//!
//! Templates escape every text but the charts, which escape theirs. They are given text, not numbers, so that
//! none can come out as NaN.

mod cards;
mod facts;
mod pseudo;
mod table;
mod tested;

use crate::{Report, SeedReport, verdict};
use cards::Text;
use facts::Fact;
use minijinja::{Environment, Value};
use pseudo::{ChartView, PseudoView};
use serde::Serialize;
use table::TableView;
use tested::BreakdownView;

/// The page of a report.
pub(crate) fn page(report: &Report) -> Result<String, minijinja::Error> {
    // Escaping is on for names that end in `.html`.
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.add_template("report.html", include_str!("templates/report.html.jinja"))?;
    environment.add_template("table.html", include_str!("templates/table.html.jinja"))?;
    environment.add_template("breakdown.html", include_str!("templates/breakdown.html.jinja"))?;
    environment.add_template("pseudo.html", include_str!("templates/pseudo.html.jinja"))?;
    environment.add_template("words.html", include_str!("templates/words.html.jinja"))?;
    environment.add_template("card.html", include_str!("templates/card.html.jinja"))?;
    let page = environment.get_template("report.html")?.render(PageView::new(report))?;
    Ok(without_controls(&page))
}

/// What the page shows.
#[derive(Serialize)]
struct PageView<'a> {
    css: Value,
    name: &'a str,
    description: Text,
    verdict: String,
    next: &'a [String],
    findings: &'a [String],
    facts: Vec<Fact>,
    overlap: Vec<String>,
    table: Option<TableView>,
    breakdowns: Vec<BreakdownView>,
    seeds: Vec<SeedView>,
    notes: &'a [String],
    config: &'a str,
}

impl<'a> PageView<'a> {
    fn new(report: &'a Report) -> Self {
        let several = report.seeds.len() > 1;
        let seeds = report.seeds.iter().enumerate();
        PageView {
            css: Value::from_safe_string(include_str!("templates/report.css").into()),
            name: if report.name.trim().is_empty() { "Results" } else { &report.name },
            description: Text::new(&report.description),
            verdict: verdict(report),
            next: &report.next,
            findings: &report.findings,
            facts: facts::facts(report),
            overlap: facts::overlap(report),
            table: TableView::new(report),
            breakdowns: report.breakdowns.iter().map(BreakdownView::new).collect(),
            seeds: seeds.map(|(index, seed)| SeedView::new(seed, several.then_some(index))).collect(),
            notes: &report.notes,
            config: &report.config,
        }
    }
}

/// One seed's section.
#[derive(Serialize)]
struct SeedView {
    /// Heading of the section that opens and closes; absent with a single seed, which has none.
    label: Option<String>,
    /// Begins the names by which links find its sections.
    anchor: String,
    open: bool,
    losses: Vec<ChartView>,
    tested: Vec<ChartView>,
    pseudo: Vec<PseudoView>,
}

impl SeedView {
    /// `place` among several seeds.
    fn new(seed: &SeedReport, place: Option<usize>) -> Self {
        let several = seed.pseudo.len() > 1;
        let pseudo = seed.pseudo.iter().enumerate().map(|(index, pseudo)| {
            let group = format!("show-{}-{index}", place.unwrap_or(0));
            PseudoView::new(pseudo, &seed.labelled_classes, several, group)
        });
        SeedView {
            label: place.map(|_| format!("Seed {}", seed.seed)),
            anchor: format!("seed-{}", place.unwrap_or(0)),
            open: place.is_none_or(|place| place == 0),
            losses: pseudo::loss_charts(&seed.losses),
            tested: tested::charts(seed),
            pseudo: pseudo.collect(),
        }
    }
}

/// Control characters, which neither HTML nor XML takes, as the replacement character.
fn without_controls(page: &str) -> String {
    let allowed = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    let replace = |c: char| match c {
        '\r' => '\n',
        '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        _ if !allowed(c) => '\u{fffd}',
        _ => c,
    };
    page.chars().map(replace).collect()
}
