//! One experiment in a list of experiments.

use semievol::eval::{Align, Interval, Table, over_seeds};
use semievol::{Arm, Results};

/// What is said of an experiment in one line.
pub struct Line {
    cells: [String; COLUMNS.len()],
    /// By how much the errors change, where an arm with gold answers stands beside.
    pub cut: Option<Cut>,
}

/// How much fewer errors an arm makes than one with labels alone, as a share of the latter's.
#[derive(Clone, Copy)]
pub struct Cut {
    /// The arm `semievol` than the better of those with labels alone.
    own: f64,
    /// The same than each of them.
    over: [Option<f64>; 2],
    /// The arm that learns the same prompts with their gold answers than the better one.
    gold: f64,
}

/// The arms with labels alone.
const LABELS_ALONE: [Arm; 2] = [Arm::Sft, Arm::SftMatched];

const COLUMNS: [&str; 11] = [
    "experiment",
    "seeds",
    "labels only",
    "semievol",
    "paper",
    "gain",
    "95% interval",
    "errors",
    // Of `LABELS_ALONE`.
    "over sft",
    "over sft_matched",
    "with gold",
];

/// A table of such lines, without the columns that none of them has.
pub fn table(lines: &[Line]) -> Table {
    let shown: Vec<usize> = (0..COLUMNS.len())
        .filter(|column| lines.iter().any(|line| !line.cells[*column].is_empty()))
        .collect();
    let align = |column: usize| if column == 0 { Align::Left } else { Align::Right };
    let mut table = Table::new(shown.iter().map(|column| (COLUMNS[*column], align(*column))));
    for line in lines {
        table.row(shown.iter().map(|column| line.cells[*column].clone()));
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
        let cut = |reached: f64, labels: f64| (labels < 1.0).then(|| (reached - labels) / (1.0 - labels));
        let own = labels.and_then(|labels| cut(reached, labels));
        let over = LABELS_ALONE.map(|arm| cut(reached, find(arm)?.accuracy.mean));
        let gold = labels.zip(find(Arm::Oracle)).and_then(|(labels, gold)| cut(gold.accuracy.mean, labels));
        let fewer = |cut: Option<f64>| cut.map(|cut| change(-cut)).unwrap_or_default();
        let cells = [
            link(&results.name),
            results.seeds.len().to_string(),
            labels.map(percent).unwrap_or_default(),
            percent(reached),
            find(Arm::Variant("paper".into())).map(|arm| percent(arm.accuracy.mean)).unwrap_or_default(),
            gain.map(|gain| format!("{:+.1}", 100.0 * gain)).unwrap_or_default(),
            interval
                .map(|ends| format!("[{}, {}]", percent(ends.low), percent(ends.high)))
                .unwrap_or_default(),
            fewer(own),
            fewer(over[0]),
            fewer(over[1]),
            fewer(gold),
        ];
        Some(Line { cells, cut: own.zip(gold).map(|(own, gold)| Cut { own, over, gold }) })
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

/// A change of the number of errors, as a share of them.
fn change(share: f64) -> String {
    // No zero has a sign of its own.
    format!("{:+.0}%", (100.0 * share).round() + 0.0)
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

/// What came out over all experiments that have an upper bound, each counted once; the interval of the errors is Student's
/// t over experiments.
pub fn mean_cut(cuts: &[Cut]) -> String {
    let errors = |of: &dyn Fn(&Cut) -> Option<f64>| {
        over_seeds(&cuts.iter().filter_map(of).map(|cut| -cut).collect::<Vec<_>>(), 0.95).ok()
    };
    let mean =
        |of: &dyn Fn(&Cut) -> Option<f64>| errors(of).map(|errors| change(errors.mean)).unwrap_or_default();
    let interval = errors(&|cut| Some(cut.own)).and_then(|errors| errors.interval);
    let interval = interval.map(|ends| format!(", interval {} to {}", change(ends.low), change(ends.high)));
    if cuts.is_empty() {
        return String::new();
    }
    let over: Vec<String> = (LABELS_ALONE.iter().enumerate())
        .filter(|(at, _)| cuts.iter().any(|cut| cut.over[*at].is_some()))
        .map(|(at, arm)| format!("{} over {arm}", mean(&|cut| cut.over[at])))
        .collect();
    format!(
        "\nOver the {} with gold answers beside them, in the mean (interval: Student's t over them, as if no two shared a data set):\n\
         errors {}{} ({}), with gold answers {}.\n",
        cuts.len(),
        mean(&|cut| Some(cut.own)),
        interval.unwrap_or_default(),
        over.join(", "),
        mean(&|cut| Some(cut.gold))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_no_line_has_are_left_out() {
        let mut cells: [String; COLUMNS.len()] = Default::default();
        (cells[0], cells[3]) = ("one".into(), "90.0".into());
        let table = table(&[Line { cells, cut: None }]).to_markdown();
        assert!(table.starts_with("| experiment | semievol |"), "{table}");
    }

    #[test]
    fn cuts_are_fewer_errors_in_the_mean() {
        let cut = |own: f64| Cut { own, over: [Some(own), None], gold: 0.4 };
        let said = mean_cut(&[cut(0.2), cut(0.1), cut(-0.303)]);
        assert!(
            said.contains("errors +0%, interval -66% to +66% (+0% over sft), with gold answers -40%"),
            "{said}"
        );
        assert_eq!(mean_cut(&[]), "");
    }
}
