//! One experiment in a list of experiments.

use semievol::eval::{Align, Interval, Table};
use semievol::{Arm, Results};

/// What is said of an experiment in one line.
pub struct Line {
    cells: [String; 8],
    /// How much fewer errors its own arm makes than the better one with labels alone, and how much fewer the arm that
    /// learns the same prompts with their gold answers; absent where there is no such arm.
    pub cut: Option<(f64, f64)>,
}

/// A table of such lines.
pub fn table<'l>(lines: impl IntoIterator<Item = &'l Line>) -> Table {
    let columns = ["seeds", "labels only", "SemiEvol", "gain", "95% interval", "errors", "with gold"];
    let columns = columns.into_iter().map(|name| (name, Align::Right));
    let mut table = Table::new([("experiment", Align::Left)].into_iter().chain(columns));
    for line in lines {
        table.row(line.cells.clone());
    }
    table
}

impl Line {
    /// Of results whose page is `NAME.md`; nothing for those that have no arm `semievol`.
    pub fn new(results: &Results) -> Option<Self> {
        let find = |wanted: Arm| results.summary.iter().find(|arm| arm.arm == wanted);
        let reached = find(Arm::Semievol)?.accuracy.mean;
        let (gain, interval) = gain(results).unzip();
        let labels = gain.map(|gain| reached - gain);
        let left = labels.filter(|labels| *labels < 1.0);
        let cut = |reached: f64| left.map(|labels| (reached - labels) / (1.0 - labels));
        let own = cut(reached);
        let gold = find(Arm::Oracle).map(|arm| arm.accuracy.mean).and_then(cut);
        let fewer = |cut: f64| format!("{:+.0}%", -100.0 * cut);
        let cells = [
            link(&results.name),
            results.seeds.len().to_string(),
            labels.map(percent).unwrap_or_default(),
            percent(reached),
            gain.map(|gain| format!("{:+.1}", 100.0 * gain)).unwrap_or_default(),
            interval
                .map(|ends| format!("[{}, {}]", percent(ends.low), percent(ends.high)))
                .unwrap_or_default(),
            own.map(fewer).unwrap_or_default(),
            gold.map(fewer).unwrap_or_default(),
        ];
        Some(Line { cells, cut: own.zip(gold) })
    }
}

/// An experiment's page.
pub fn link(name: &str) -> String {
    format!("[{name}]({name}.md)")
}

/// A share, in percent.
pub fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// Of the arm `semievol` over the better one with labels alone: over several seeds the summary knows, a single one knows
/// itself.
fn gain(results: &Results) -> Option<(f64, Interval)> {
    if let [seed] = results.seeds.as_slice() {
        let own = seed.arms.iter().find(|arm| arm.arm == Arm::Semievol)?;
        let comparison = own.against.as_ref()?.comparison;
        return Some((comparison.difference, comparison.interval));
    }
    let own = results.summary.iter().find(|arm| arm.arm == Arm::Semievol)?;
    own.gain.as_ref().map(|gain| (gain.mean, gain.interval))
}

/// What came out over all experiments that have an upper bound, each counted once.
pub fn mean_cut(cuts: &[(f64, f64)]) -> String {
    if cuts.is_empty() {
        return String::new();
    }
    let mean = |of: fn(&(f64, f64)) -> f64| -100.0 * cuts.iter().map(of).sum::<f64>() / cuts.len() as f64;
    format!(
        "\nOver the {} with gold answers beside them, in the mean: errors {:+.0}%, with gold answers {:+.0}%.\n",
        cuts.len(),
        mean(|cut| cut.0),
        mean(|cut| cut.1)
    )
}
