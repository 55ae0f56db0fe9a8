//! Files that both sides read: workloads, the model in the peers' formats, the adapter that training starts from.

use super::workload::{self, Row};
use crate::files;
use anyhow::{Context, bail};
use semievol::ExperimentConfig;
use semievol::core::Seed;
use semievol::data::Dataset;
use semievol::hub::{Hub, HubConfig, Source};
use semievol::train::Example;
use semievol_candle::{BaseModel, CandleTrainer, Lora, adapter, export, load_model};
use std::fs;
use std::path::{Path, PathBuf};

/// Rows of `shared.jsonl` and of `apart.jsonl`.
pub const SHARED: usize = 256;
pub const APART: usize = 64;
pub const RANK: usize = 16;
pub const ALPHA: f64 = 32.0;

/// Where everything lies.
#[derive(Debug, Clone)]
pub struct Places {
    /// The model as fetched.
    pub gguf: PathBuf,
    /// The same weights as a Hugging Face folder in f32.
    pub huggingface: PathBuf,
    /// The same weights as GGUF files of other types.
    pub ggufs: PathBuf,
    /// Prompts of an experiment.
    pub shared: PathBuf,
    /// Prompts that share nothing.
    pub apart: PathBuf,
    /// LoRA parameters before training.
    pub adapter: PathBuf,
}

impl Places {
    fn of(folder: &Path, experiment: &str, gguf: PathBuf) -> Self {
        let name = gguf.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let model = folder.join(name);
        Places {
            huggingface: model.join("huggingface"),
            ggufs: model.join("gguf"),
            adapter: model.join("adapter"),
            shared: folder.join(experiment).join("shared.jsonl"),
            apart: folder.join(experiment).join("apart.jsonl"),
            gguf,
        }
    }
}

/// The experiment whose rows are taken.
pub fn experiment(data: Option<&Path>) -> &'static str {
    if data.is_some() { "fpb" } else { "movie-reviews" }
}

fn config(data: Option<&Path>) -> anyhow::Result<ExperimentConfig> {
    let file = files::find(experiment(data))?;
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    Ok(ExperimentConfig::parse(&text, &file)?)
}

/// Fetches the model and names the places.
pub fn places(folder: &Path, data: Option<&Path>) -> anyhow::Result<Places> {
    let hub = Hub::new(HubConfig::from_env()?);
    let gguf = hub.fetch(&config(data)?.model, &mut |_| ())?.path;
    let folder = std::path::absolute(folder)?;
    Ok(Places::of(&folder, experiment(data), gguf))
}

/// Writes what is not there yet; in a process of its own, for it holds the model twice.
pub fn write(folder: &Path, data: Option<&Path>) -> anyhow::Result<()> {
    let places = places(folder, data)?;
    let base = BaseModel::new(load_model(&places.gguf)?)?;
    let rows = rows(&config(data)?, data, &CandleTrainer::new(base.clone()))?;
    workload::write(&places.shared, &rows)?;
    let apart = workload::apart(&rows, APART);
    if apart.len() < APART {
        bail!("only {} of {} rows have a token that no other begins with", apart.len(), rows.len());
    }
    workload::write(&places.apart, &apart)?;
    adapter::write(&places.adapter, &Lora::init(base.llama.config(), RANK, ALPHA, Seed(1)), &base.id)?;
    // The configuration is the last file of the folder to be written.
    if !places.huggingface.join("config.json").is_file() {
        export::write_huggingface(&places.huggingface, base.llama.weights(), &base.tokenizer)?;
    }
    Ok(())
}

/// The first rows with an answer, as training sees them.
fn rows(config: &ExperimentConfig, data: Option<&Path>, trainer: &CandleTrainer) -> anyhow::Result<Vec<Row>> {
    let task = config.task.build()?;
    let source = config.data.source.as_ref().or(config.data.unlabelled.as_ref());
    let source = match (source.context("the experiment names no rows")?, data) {
        (Source::Local(path), Some(data)) => Source::Local(data.join(path)),
        (source, _) => source.clone(),
    };
    let file = Hub::new(HubConfig::from_env()?).fetch(&source, &mut |_| ())?.path;
    let dataset = Dataset::read([&file], &config.data.dataset())?;
    let mut rows = Vec::with_capacity(SHARED);
    for (sample, answer) in dataset.samples.into_iter().zip(dataset.answers) {
        let Some(answer) = answer else { continue };
        let example = Example::new(task.prompt(&sample, &[]), task.target(&sample, &answer));
        let Some(sequence) = trainer.encode(&example)?.pop() else { continue };
        let (prompt, target) = sequence.tokens.split_at(sequence.n_prompt);
        rows.push(Row { prompt: prompt.to_vec(), target: target.to_vec() });
        if rows.len() == SHARED {
            return Ok(rows);
        }
    }
    bail!("{}: only {} rows have an answer, {SHARED} are needed", file.display(), rows.len())
}
