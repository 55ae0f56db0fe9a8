//! Drives experiments and benchmarks: `cargo xtask --help`.

mod agreement;
mod bench;
mod cores;
mod experiment;
mod files;
mod peers;
mod pool;
mod reference;
mod results;
mod shapes;
mod suite;

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
    Pool(pool::Args),
    Suite(suite::Args),
    Results(results::Args),
    Reference(reference::Args),
    Agreement(agreement::Args),
    /// One side of one row of `bench --peers`.
    #[command(hide = true)]
    BenchJob(peers::ours::Args),
}

fn main() -> ExitCode {
    semievol_cli::quiet_at_a_closed_pipe();
    let done = match Cli::parse().command {
        Command::Experiment(args) => experiment::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Pool(args) => pool::run(&args),
        Command::Suite(args) => suite::run(&args),
        Command::Results(args) => results::run(&args),
        Command::Reference(args) => reference::run(&args),
        Command::Agreement(args) => agreement::run(&args),
        Command::BenchJob(args) => peers::ours::run(&args),
    };
    semievol_cli::exit(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
