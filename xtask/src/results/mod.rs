//! `cargo xtask results`: what finished runs gave, kept with the project, and the pages made from it.

mod confidence;
mod kept;
mod line;
mod page;
mod promises;

pub use kept::Kept;
pub use page::write as write_pages;

use anyhow::Context;
use semievol::{Results, SeedResults};
use std::path::PathBuf;

/// Keeps what finished runs gave, and writes the pages of results anew from all that is kept.
///
/// Kept are figures and ids of test rows, in DIR/data/NAME/seed-N.json; runs of one experiment with other seeds go together.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders of finished runs; none to write the pages alone.
    #[arg(value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Where results are kept.
    #[arg(long, value_name = "DIR", default_value = "docs/results")]
    out: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let kept = Kept::in_folder(&args.out);
    for run in &args.runs {
        let results = Results::read(&run.join("metrics.json"));
        kept.keep(&results.context("RUN is the folder of a finished run, as runs/NAME-DIGEST")?)?;
    }
    let n = write_pages(&kept)?;
    println!("{n} tables in {}", args.out.display());
    Ok(())
}

/// What the seeds of experiments have of each kind: for a kind, one entry for each experiment that has some, with its seeds'.
fn by_experiment<'r, K: PartialEq, T>(
    all: &[&'r Results],
    of_seed: impl Fn(&'r SeedResults) -> Vec<(K, &'r T)>,
) -> Vec<(K, Vec<Vec<&'r T>>)> {
    let mut kinds: Vec<(K, Vec<Vec<&'r T>>)> = Vec::new();
    for (at, results) in all.iter().enumerate() {
        for (kind, one) in results.seeds.iter().flat_map(&of_seed) {
            let known = kinds.iter().position(|(known, _)| *known == kind).unwrap_or_else(|| {
                kinds.push((kind, Vec::new()));
                kinds.len() - 1
            });
            let experiments = &mut kinds[known].1;
            experiments.resize(all.len(), Vec::new());
            experiments[at].push(one);
        }
    }
    for (_, experiments) in &mut kinds {
        experiments.retain(|seeds| !seeds.is_empty());
    }
    kinds
}
