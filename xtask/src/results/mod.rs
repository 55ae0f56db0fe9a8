//! `cargo xtask results`: what finished runs gave, kept with the project, and the pages made from it.

mod confidence;
mod kept;
mod line;
mod page;
mod promises;

pub use kept::Kept;
pub use page::write as write_pages;

use anyhow::Context;
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
        let results = semievol::Results::read(&run.join("metrics.json"));
        kept.keep(&results.context("RUN is the folder of a finished run, as runs/NAME-DIGEST")?)?;
    }
    let n = write_pages(&kept)?;
    println!("{n} tables in {}", args.out.display());
    Ok(())
}
