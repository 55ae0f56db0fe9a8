//! Drives experiments and benchmarks: `cargo xtask --help`.

mod agreement;
mod bench;
mod cores;
mod experiment;
mod files;
mod peers;
mod progress;
mod results;
mod shapes;
mod timing;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Drives semievol's experiments and benchmarks.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Experiment(experiment::Args),
    Bench(bench::Args),
    Results(results::Args),
    Agreement(agreement::Args),
    /// One side of one row of `bench --peers`.
    #[command(hide = true)]
    BenchJob(peers::ours::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Experiment(args) => experiment::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Results(args) => results::run(&args),
        Command::Agreement(args) => agreement::run(&args),
        Command::BenchJob(args) => peers::ours::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", whole(&error));
            ExitCode::FAILURE
        }
    }
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
    use clap::CommandFactory;

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
