//! `semievol doctor`: whether a model can be trained and trusted on this machine.

use crate::input::{Input, prepare};
use crate::machine::Machine;
use crate::rows::example;
use anstyle::AnsiColor;
use anyhow::bail;
use semievol::candle::doctor::{Verdict, examine};
use semievol::engine::Engine;
use semievol::train::Example;
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  semievol doctor mine.toml
  semievol doctor --labelled labeled.csv --model path/to/model.gguf

`odd` is no failure: some templates trim an answer, some tokenizers do not give a text back as it was.";

/// Labelled rows that the checks use.
const ROWS: usize = 6;

/// Checks the model with your own rows: tokenizer, template, loss mask, gradients, merging.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Prints one JSON object a check.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    machine: Machine,
    // Last, for its heading holds for all that follows.
    #[command(flatten)]
    input: Input,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let experiment = args.input.experiment()?;
    let hub = args.machine.hub()?;
    let config = experiment.config();
    let (drawn, engine) = prepare(&experiment, config.seeds[0], &hub, Engine::open_base)?;
    let task = config.task.build()?;
    let examples: Vec<Example> =
        drawn.labelled.iter().take(ROWS).map(|one| example(task.as_ref(), one)).collect();
    let checks = examine(engine.base(), &examples)?;
    for check in &checks {
        let (word, colour) = match check.verdict {
            Verdict::Passed => ("ok", AnsiColor::Green),
            Verdict::Odd => ("odd", AnsiColor::Yellow),
            Verdict::Failed => ("FAILED", AnsiColor::Red),
        };
        if args.json {
            println!(
                "{}",
                json!({ "check": check.name, "verdict": word.to_lowercase(), "finding": check.finding })
            );
        } else {
            let colour = colour.on_default();
            anstream::println!("{colour}{word:6}{colour:#} {:13} {}", check.name, check.finding);
        }
    }
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Failed).count();
    if failed > 0 {
        bail!("{failed} checks failed: what is trained with {} here cannot be trusted", engine.base().id);
    }
    Ok(())
}
