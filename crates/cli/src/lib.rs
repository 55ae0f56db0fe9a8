//! The command `semievol`: fine-tuning on a few labels and many unlabelled prompts, for files of your own.
//!
//! Depend on this crate to draw a run's events on a terminal ([`Screen`]) or to run an experiment as the command does
//! ([`run::execute`]); to run one without a terminal, depend on `semievol`.
//!
//! The decision that shaped it: flags are a shorter way to write an experiment file. `semievol run --labelled x.csv`
//! looks at the files, proposes the file that `semievol init` would write, and runs that. So there is one way through
//! the code, and whatever flags can say a file can say too. The cost: a flag has to be a key of the file.
//!
//! ```
//! use clap::CommandFactory;
//!
//! let names: Vec<String> =
//!     semievol_cli::Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
//! assert_eq!(names[..4], ["init", "run", "predict", "evaluate"]);
//! ```

mod doctor;
mod evaluate;
mod init;
mod input;
mod inspect;
mod look;
mod machine;
mod merge;
mod predict;
mod propose;
mod rows;
pub mod run;
mod screen;
mod timing;
mod trained;

pub use machine::Machine;
pub use run::{execute, print};
pub use screen::Screen;
pub use timing::{Timing, peak_memory};

use clap::{CommandFactory, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

const OVERVIEW: &str = "\
From files to a model, in four commands:
  semievol init labeled.csv unlabeled.jsonl -o mine.toml  look at the files, write a commented configuration
  semievol run mine.toml --dry-run                        what would be asked, how long it would take, what looks wrong
  semievol run mine.toml                                  train, compare, say whether the unlabelled rows helped
  semievol predict runs/mine-1a2b3c4d new.csv             answers to new rows, with confidence

Exit codes: 0 done; 1 failed, or a check of `doctor` failed; 2 the command line cannot be read; 130 stopped by Ctrl-C.
SEMIEVOL_CACHE names the folder for downloads; NO_COLOR turns colours off.";

/// Fine-tunes a language model on a few labelled and many unlabelled rows, and says whether that helped.
#[derive(Parser)]
#[command(name = "semievol", version, after_help = OVERVIEW, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

impl std::fmt::Debug for Cli {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cli").finish_non_exhaustive()
    }
}

#[derive(Subcommand)]
enum Command {
    Init(init::Args),
    Run(run::Args),
    Predict(predict::Args),
    Evaluate(evaluate::Args),
    Inspect(inspect::Args),
    Doctor(doctor::Args),
    Merge(merge::Args),
    /// Prints completions for a shell: `semievol completions bash > /etc/bash_completion.d/semievol`.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    quiet_at_a_closed_pipe();
    let command = Cli::parse().command;
    // Whatever was finished is on the disk, and whatever was not is in no finished file: leaving at once loses nothing.
    let resumes = matches!(&command, Command::Run(args) if args.resumes());
    let left = match &command {
        Command::Predict(args) => args.left(),
        _ => None,
    };
    let _ = ctrlc::set_handler(move || {
        let holds = |file: &&PathBuf| file.metadata().is_ok_and(|file| file.len() > 0);
        let hint = match left.as_ref().filter(holds) {
            Some(file) => format!("; what was answered until now stands in {}", file.display()),
            None if resumes => "; the same command goes on where this one stopped".to_owned(),
            None => String::new(),
        };
        screen::say(&format!("\nstopped{hint}"));
        std::process::exit(130);
    });
    let done = match command {
        Command::Init(args) => init::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "semievol", &mut script);
            print!("{}", String::from_utf8_lossy(&script));
            Ok(())
        }
    };
    exit(done)
}

/// `println!` panics when whoever read our output has seen enough of it, as `head` does; that is no failure. Where nobody hears
/// what goes wrong, it is one.
pub fn quiet_at_a_closed_pipe() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let what = panic.payload_as_str().unwrap_or_default();
        // Windows says it in its own language, with one of two numbers.
        let closed = ["Broken pipe", "(os error 109)", "(os error 232)"];
        if what.starts_with("failed printing to") && closed.iter().any(|words| what.contains(words)) {
            std::process::exit(i32::from(!what.starts_with("failed printing to stdout")));
        }
        loud(panic);
    }));
}

/// Says what went wrong, if anything did.
pub fn exit(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has seen enough of it.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let bold = anstyle::AnsiColor::Red.on_default().bold();
            anstream::eprintln!("{bold}error:{bold:#} {}", whole(&error));
            ExitCode::FAILURE
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

/// An error with its causes, without those that it repeats.
fn whole(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        let cause = cause.trim_end();
        if text.is_empty() {
            text = cause.to_owned();
        } else if !text.contains(cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow::anyhow!("no such file").context("model: no such file").context("stopped");
        assert_eq!(whole(&error), "stopped: model: no such file");
    }
}
