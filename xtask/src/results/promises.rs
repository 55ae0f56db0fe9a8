//! Whether promises on the share of wrong pseudo-labels were kept, over all runs that measured them.

use semievol::eval::{Align, Interval, Table, over_seeds};
use semievol::select::Rule;
use semievol::{CertifiedResults, Results};

const LEVEL: f64 = 0.95;

/// One promise over several runs.
struct Promise<'r> {
    alpha: f64,
    rule: Rule,
    /// One for each seed of each experiment.
    runs: Vec<&'r CertifiedResults>,
}

/// A section with a table; nothing where nobody measured any.
pub fn over<'r>(all: impl Iterator<Item = &'r Results>) -> String {
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
        ("wrong of what was kept, %", right),
        ("95% interval", right),
        ("kept, % of what an oracle keeps", right),
    ]);
    for promise in &promises {
        table.row(promise.cells());
    }
    format!(
        "\n## Promises on the share of wrong pseudo-labels\n\n\
         Over all runs above whose labels measured them: a run is one seed. A run that certifies nothing keeps nothing, and is\n\
         counted in no mean. The interval is Student's t over runs. The oracle keeps as many of the surest as it can, knowing\n\
         the answers.\n\n{}",
        table.to_markdown()
    )
}

fn gather<'r>(all: impl Iterator<Item = &'r Results>) -> Vec<Promise<'r>> {
    let mut promises: Vec<Promise<'r>> = Vec::new();
    let measured = all.flat_map(|results| &results.seeds).flat_map(|seed| &seed.pseudo);
    for one in measured.flat_map(|pseudo| &pseudo.certified) {
        match promises.iter_mut().find(|known| (known.alpha, known.rule) == (one.alpha, one.rule)) {
            Some(known) => known.runs.push(one),
            None => promises.push(Promise { alpha: one.alpha, rule: one.rule, runs: vec![one] }),
        }
    }
    promises.sort_by(|one, other| one.alpha.total_cmp(&other.alpha));
    promises
}

impl Promise<'_> {
    fn cells(&self) -> [String; 7] {
        let errors: Vec<f64> = self.runs.iter().filter_map(|run| run.error()).collect();
        let error = over_seeds(&errors, LEVEL).ok();
        let certified = || self.runs.iter().filter(|run| run.kept.of > 0);
        let kept: usize = certified().map(|run| run.kept.of).sum();
        let oracle: usize = certified().map(|run| run.oracle).sum();
        let percent = |share: f64| format!("{:.1}", 100.0 * share);
        let ends = |ends: Interval| format!("[{}, {}]", percent(ends.low.max(0.0)), percent(ends.high));
        [
            format!("{:.0}", 100.0 * self.alpha),
            match self.rule {
                Rule::Conformal => "conformal".to_owned(),
                Rule::Lec => "lec".to_owned(),
            },
            self.runs.len().to_string(),
            errors.len().to_string(),
            error.map(|error| percent(error.mean)).unwrap_or_default(),
            error.and_then(|error| error.interval).map(ends).unwrap_or_default(),
            if oracle > 0 { format!("{:.0}", 100.0 * kept as f64 / oracle as f64) } else { String::new() },
        ]
    }
}
