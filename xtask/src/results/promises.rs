//! Whether promises on the share of wrong pseudo-labels were kept, over experiments that measured them.

use super::by_experiment;
use super::line::percent;
use semievol::eval::{Align, Interval, Table, over_seeds};
use semievol::select::Rule;
use semievol::{Arm, CertifiedResults, Results};

const LEVEL: f64 = 0.95;

/// One promise over several experiments.
struct Promise<'r> {
    alpha: f64,
    rule: Rule,
    /// The seeds of each experiment.
    experiments: Vec<Vec<&'r CertifiedResults>>,
}

/// What became of the promises of each experiment's own arm, as a table with the words that it needs; nothing where nobody
/// measured any.
pub fn over(all: &[&Results]) -> String {
    let promises = gather(all);
    if promises.is_empty() {
        return String::new();
    }
    let right = Align::Right;
    let mut table = Table::new([
        ("at most wrong, %", right),
        ("rule", Align::Left),
        ("runs", right),
        ("certified in", right),
        ("wrong, %", right),
        ("95% interval", right),
        ("wrong where certified, %", right),
        ("95% interval", right),
        ("kept, % of what an oracle keeps", right),
    ]);
    for promise in &promises {
        table.row(promise.cells());
    }
    format!(
        "\nA run is one seed of one experiment. Wrong: of what a promise keeps, the mean over experiments of the mean over their\n\
         seeds; where nothing is certified the promise keeps nothing, and none of that counts as wrong, though the run may keep\n\
         some without a promise (`otherwise`). Intervals are Student's t over experiments, as if no two shared\n\
         rows (those of one data set do). The oracle knows the answers and keeps as many of the surest as the promise allows; of\n\
         what it keeps, the mean over runs that certify something, where a run that keeps more than the oracle (and so too many\n\
         wrong ones) counts as 100%.\n\n{}",
        table.to_markdown()
    )
}

fn gather<'r>(all: &[&'r Results]) -> Vec<Promise<'r>> {
    let measured = by_experiment(all, |seed| {
        let own = seed.pseudo.iter().filter(|pseudo| pseudo.arm == Arm::Semievol);
        own.flat_map(|pseudo| &pseudo.certified).map(|one| ((one.alpha, one.rule), one)).collect()
    });
    let promise = |((alpha, rule), experiments)| Promise { alpha, rule, experiments };
    let mut promises: Vec<Promise<'r>> = measured.into_iter().map(promise).collect();
    promises.sort_by(|one, other| one.alpha.total_cmp(&other.alpha));
    promises
}

impl Promise<'_> {
    fn cells(&self) -> [String; 9] {
        let runs = || self.experiments.iter().flatten();
        let mean = |seeds: &Vec<&CertifiedResults>| {
            seeds.iter().map(|run| run.error().unwrap_or(0.0)).sum::<f64>() / seeds.len() as f64
        };
        let wrong = over_seeds(&self.experiments.iter().map(mean).collect::<Vec<_>>(), LEVEL).ok();
        let certified = self.experiments.iter().filter_map(|seeds| {
            let wrong: Vec<f64> = seeds.iter().filter_map(|run| run.error()).collect();
            over_seeds(&wrong, LEVEL).ok().map(|wrong| wrong.mean)
        });
        let certified = over_seeds(&certified.collect::<Vec<_>>(), LEVEL).ok();
        let covered: Vec<f64> = runs()
            .filter(|run| run.kept.of > 0)
            .map(|run| (run.kept.of as f64 / run.oracle.max(1) as f64).min(1.0))
            .collect();
        let ends = |ends: Interval| {
            let Interval { low, high, .. } = ends.of_share();
            format!("[{}, {}]", percent(low), percent(high))
        };
        [
            format!("{:.0}", 100.0 * self.alpha),
            match self.rule {
                Rule::Conformal => "conformal".to_owned(),
                Rule::Lec => "lec".to_owned(),
            },
            runs().count().to_string(),
            covered.len().to_string(),
            wrong.map(|wrong| percent(wrong.mean)).unwrap_or_default(),
            wrong.and_then(|wrong| wrong.interval).map(ends).unwrap_or_default(),
            certified.map(|wrong| percent(wrong.mean)).unwrap_or_default(),
            certified.and_then(|wrong| wrong.interval).map(ends).unwrap_or_default(),
            over_seeds(&covered, LEVEL).map(|share| format!("{:.0}", 100.0 * share.mean)).unwrap_or_default(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use semievol::RightOf;

    #[test]
    fn experiments_count_once_and_what_is_not_kept_is_not_wrong() {
        let one = |right, of, oracle| CertifiedResults {
            alpha: 0.1,
            rule: Rule::Lec,
            kept: RightOf { right, of },
            oracle,
        };
        let (sure, unsure, none) = (one(90, 100, 120), one(30, 50, 40), one(0, 0, 60));
        let promise =
            Promise { alpha: 0.1, rule: Rule::Lec, experiments: vec![vec![&sure, &unsure], vec![&none]] };
        // (10% + 40%) / 2 = 25%, and 0%: 12.5% in the mean; 100 of 120 and, of 40, all.
        let cells = promise.cells();
        assert_eq!([&cells[2], &cells[3], &cells[4], &cells[6], &cells[8]], ["3", "2", "12.5", "25.0", "92"]);
        assert_eq!(over(&[]), "");
    }
}
