//! `semievol run`: an experiment from files to a verdict.

mod dry;

use crate::input::Input;
use crate::machine::Machine;
use crate::screen::{Screen, say};
use anyhow::bail;
use semievol::engine::Engine;
use semievol::hub::Hub;
use semievol::{Arm, Experiment, FinishedRun, Results};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  semievol run mine.toml --dry-run            what would be asked, how long it would take, what looks wrong
  semievol run mine.toml --limit 50           the whole way on 50 unlabelled and 50 test rows
  semievol run mine.toml --seeds 1,2,3        with mean and spread over three draws
  semievol run --labelled labeled.csv --unlabelled unlabeled.jsonl --test test.parquet
  semievol run --labelled l.csv --unlabelled u.csv --question text --answer label --model path/to/model
  semievol run mine.toml --set train.lr=1e-4 --set 'tune.epochs=[6,12,24]'

Results go to OUT/NAME-DIGEST, report.html among them. Stopped and started again, a run goes on where it was.";

/// Trains on labels and on what the model is sure of, and says whether the unlabelled rows helped.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Runs these seeds instead of the file's.
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    seeds: Vec<u64>,
    /// Takes at most so many unlabelled and so many test rows.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Trains nothing: shows prompts and tokens, measures this machine, estimates, and warns about what it sees.
    #[arg(long)]
    dry_run: bool,
    /// Where the folder of results goes.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// Prints the results as one JSON object (metrics.json) instead of tables.
    #[arg(long, conflicts_with = "dry_run")]
    json: bool,
    #[command(flatten)]
    machine: Machine,
    // Last, for its heading holds for all that follows.
    #[command(flatten)]
    input: Input,
}

impl Args {
    /// Whether the same command goes on where this one stopped.
    pub fn resumes(&self) -> bool {
        !self.dry_run
    }
}

/// Runs the command.
///
/// # Errors
/// Whatever keeps the experiment from its results; in words that say what to do.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let (mut config, file) = args.input.config()?;
    if !args.seeds.is_empty() {
        config.seeds = args.seeds.clone();
    }
    if let Some(limit) = args.limit {
        if limit == 0 {
            bail!("--limit 0: nothing could be measured; give at least 1");
        }
        config = config.limited(limit);
    }
    let experiment = config.check(&file)?;
    let hub = args.machine.hub()?;
    if args.dry_run {
        return dry::run(&experiment, &hub);
    }
    let results = execute(&experiment, &hub, &args.out)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&results)?);
        return Ok(());
    }
    print(&results);
    println!("{}", next(&results)?);
    Ok(())
}

/// Runs an experiment with its events on the terminal, and keeps the times beside the results.
///
/// # Errors
/// What the run says.
pub fn execute(experiment: &Experiment, hub: &Hub, out: &Path) -> anyhow::Result<Results> {
    let mut screen = Screen::new();
    let done = measure(experiment, hub, out, &mut screen);
    screen.clear();
    let results = done?;
    screen.timing.keep()?;
    say(&screen.timing.line());
    Ok(results)
}

fn measure(experiment: &Experiment, hub: &Hub, out: &Path, screen: &mut Screen) -> anyhow::Result<Results> {
    let engine = Engine::open(experiment, hub, &mut |event| screen.on(event))?;
    screen.timing.load = screen.timing.total();
    Ok(experiment.run(hub, engine.parts(), &mut |event| screen.on(event), out)?)
}

/// Prints verdict and tables.
pub fn print(results: &Results) {
    println!("\n{}\n\n{}", results.verdict(), results.table());
    if let Some(table) = results.methods_table() {
        println!("methods\n{table}");
    }
    if let Some(table) = results.paraphrase_table() {
        println!("in other words\n{table}");
    }
    for (heading, table) in results.pseudo_tables() {
        println!("{heading}\n{table}");
    }
    for line in [results.said(), results.worth(), results.sizes(), results.notes()].concat() {
        println!("{line}");
    }
    println!("\nresults: {}; open report.html there in a browser", results.folder.display());
}

/// How the models are used.
fn next(results: &Results) -> anyhow::Result<String> {
    let run = FinishedRun::open(&results.folder)?;
    let folder = results.folder.display();
    let arms = results.summary.iter().map(|summary| &summary.arm).filter(|arm| **arm != Arm::Vanilla);
    let of = |arm: &Arm| Some((arm.clone(), run.adapter(None, arm).ok()??.folder));
    let models: Vec<(Arm, PathBuf)> = arms.filter_map(of).collect();
    let mut lines: Vec<String> =
        models.iter().map(|(arm, folder)| format!("model of {arm}: {}", folder.display())).collect();
    if let Some((best, right)) = results.most_right() {
        let several = if results.seeds.len() > 1 { " in the mean; --seed says of which seed" } else { "" };
        lines.push(format!(
            "to use one: semievol predict {folder} new.csv --arm {best}; semievol merge {folder} --arm {best} -o merged ({best} answers the most test rows right of those that were trained, {:.1}%{several})",
            100.0 * right
        ));
        let base = results.summary.iter().find(|of| of.arm == Arm::Vanilla).map(|of| of.accuracy.mean);
        if base.is_some_and(|base| base >= right) {
            lines.push(
                "the base model, untrained, answers as many right, or more: no training was worth it here"
                    .to_owned(),
            );
        }
    }
    Ok(lines.join("\n"))
}
