//! `cargo xtask bench --peers`: the engine against Transformers with PEFT and against llama.cpp, on the same tokens,
//! in the same run, each job in a process of its own.

mod figures;
mod machine;
pub mod ours;
mod plan;
mod prepare;
mod python;
mod run;
mod table;
mod workload;

pub use run::run;

use std::path::PathBuf;

/// Options of `cargo xtask bench --peers`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "With --peers")]
pub struct Args {
    /// Measure against other engines, as docs/performance.md says.
    #[arg(long)]
    pub peers: bool,
    /// A folder with the rows of the experiment `fpb`; without it, the rows of `movie-reviews`.
    #[arg(long, value_name = "DIR", requires = "peers")]
    data: Option<PathBuf>,
    /// The Python that has the peers installed (benches/peers/requirements.txt); else that of
    /// SEMIEVOL_PEERS_PYTHON, else python3.
    #[arg(long, value_name = "PATH", requires = "peers")]
    python: Option<PathBuf>,
    /// Fewer rows and one round: figures are rough.
    #[arg(long, requires = "peers")]
    quick: bool,
    /// Where models and workloads for the peers go; they are kept for the next run.
    #[arg(long, value_name = "DIR", requires = "peers", default_value = "runs/peers")]
    folder: PathBuf,
    /// Write the table there as well, as Markdown.
    #[arg(long, value_name = "FILE", requires = "peers")]
    out: Option<PathBuf>,
}
