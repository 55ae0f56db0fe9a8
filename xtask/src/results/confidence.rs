//! How well confidence tells right answers from wrong ones, over the experiments of a suite.

use super::by_experiment;
use super::line::percent;
use semievol::eval::{Align, Table, over_seeds};
use semievol::{Arm, ConfidenceResults, Results};

/// One estimator over several experiments, each with its seeds.
struct Estimator<'r> {
    arm: &'r Arm,
    name: &'r str,
    experiments: Vec<Vec<&'r ConfidenceResults>>,
}

/// The estimators of each arm whose answers several were tried on, the best first, as a table with the words that it needs;
/// nothing where no two experiments have them.
pub fn over(all: &[&Results]) -> String {
    let mut estimators = gather(all);
    estimators.retain(|one| one.experiments.len() > 1);
    let of_arm: Vec<&Arm> = estimators.iter().map(|one| one.arm).collect();
    estimators.retain(|one| of_arm.iter().filter(|arm| **arm == one.arm).count() > 1);
    if estimators.is_empty() {
        return String::new();
    }
    estimators.sort_by(|one, other| {
        one.arm.as_str().cmp(other.arm.as_str()).then(other.auroc().total_cmp(&one.auroc()))
    });
    let right = Align::Right;
    let mut table = Table::new([
        ("answers of", Align::Left),
        ("how sure, by", Align::Left),
        ("runs", right),
        ("AUROC", right),
        ("right in the surer half, %", right),
    ]);
    for one in &estimators {
        table.row([
            one.arm.to_string(),
            one.name.to_owned(),
            one.experiments.iter().map(Vec::len).sum::<usize>().to_string(),
            format!("{:.3}", one.auroc()),
            percent(one.mean(|run| run.surer_half.share().unwrap_or(0.0))),
        ]);
    }
    format!(
        "\nHow well each estimator tells right final answers to the unlabelled prompts from wrong ones, the mean over experiments of\n\
         the mean over their seeds: the chance that a right one is surer than a wrong one, and how many of the surer half are\n\
         right.\n\n{}",
        table.to_markdown()
    )
}

fn gather<'r>(all: &[&'r Results]) -> Vec<Estimator<'r>> {
    let tried = by_experiment(all, |seed| {
        let of_arm =
            seed.pseudo.iter().flat_map(|pseudo| pseudo.confidences.iter().map(|one| (&pseudo.arm, one)));
        of_arm.map(|(arm, one)| ((arm, one.name.as_str()), one)).collect()
    });
    tried.into_iter().map(|((arm, name), experiments)| Estimator { arm, name, experiments }).collect()
}

impl Estimator<'_> {
    fn auroc(&self) -> f64 {
        self.mean(|run| run.auroc)
    }

    /// Every experiment counts once.
    fn mean(&self, of: impl Fn(&ConfidenceResults) -> f64) -> f64 {
        let mean = |values: Vec<f64>| over_seeds(&values, 0.95).map_or(0.0, |summary| summary.mean);
        let seeds = |seeds: &Vec<&ConfidenceResults>| mean(seeds.iter().map(|run| of(run)).collect());
        mean(self.experiments.iter().map(seeds).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use semievol::RightOf;

    #[test]
    fn experiments_count_once() {
        let one = |auroc, right| ConfidenceResults {
            name: "margin".into(),
            auroc,
            aurc: 0.1,
            surer_half: RightOf { right, of: 100 },
        };
        let (low, high, other) = (one(0.5, 60), one(0.7, 80), one(0.9, 100));
        let margin = Estimator {
            arm: &Arm::Semievol,
            name: "margin",
            experiments: vec![vec![&low, &high], vec![&other]],
        };
        assert!((margin.auroc() - 0.75).abs() < 1e-12, "{}", margin.auroc());
        assert!((margin.mean(|run| run.surer_half.share().unwrap()) - 0.85).abs() < 1e-12);
        assert_eq!(over(&[]), "");
    }
}
