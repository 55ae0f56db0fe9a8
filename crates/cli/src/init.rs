//! `semievol init`: a commented experiment file from a look at the rows.

use crate::input::Rows;
use crate::propose::{Files, propose};
use crate::screen::say;
use anyhow::{Context, bail};
use semievol::ExperimentConfig;
use std::fs;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  semievol init labeled.csv unlabeled.jsonl -o mine.toml
  semievol init labeled.csv unlabeled.csv test.parquet --answer label > mine.toml";

/// Looks at files of rows and writes a commented experiment file.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Rows with answers, rows without, and rows that test, in this order; the last two may be left out.
    #[arg(value_name = "FILE", num_args = 0..=3)]
    files: Vec<PathBuf>,
    /// Writes this file instead of standard output.
    #[arg(short, long, value_name = "FILE.toml")]
    output: Option<PathBuf>,
    /// Writes over a file that is there.
    #[arg(long)]
    force: bool,
    // Last, for its heading holds for all that follows.
    #[command(flatten)]
    rows: Rows,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut rows = args.rows.clone();
    let places = [&mut rows.labelled, &mut rows.unlabelled, &mut rows.test];
    for (place, file) in places.into_iter().zip(&args.files) {
        if let Some(named) = place.replace(file.clone()) {
            bail!("{} and {}: two files for the same rows; name each once", file.display(), named.display());
        }
    }
    let Some(labelled) = rows.labelled.clone() else {
        bail!("name the file of labelled rows: semievol init labeled.csv unlabeled.jsonl");
    };
    let name = args.output.as_deref().and_then(Path::file_stem).map(PathBuf::from);
    let text = propose(&Files { labelled, name, rows })?;
    // What is proposed has to be an experiment.
    ExperimentConfig::parse(&text, "the proposal".as_ref())?;
    match &args.output {
        None => anstream::print!("{text}"),
        Some(file) if file.exists() && !args.force => {
            bail!("{}: is there already; --force writes over it, or name another with -o", file.display());
        }
        Some(file) => {
            fs::write(file, &text).with_context(|| format!("{}: cannot be written", file.display()))?;
            say(&format!("wrote {0}; look it over, then: semievol run {0} --dry-run", file.display()));
        }
    }
    Ok(())
}
