//! `cargo xtask pool`: what a large pool costs beside the models, which doubles stand in for.

use anyhow::{Context, bail};
use semievol::hub::{Hub, HubConfig};
use semievol::model::{Adapter, Embedder, LanguageModel, ModelError, ModelId, ModelLoader};
use semievol::{Event, ExperimentConfig, Parts, StageEvent};
use semievol_cli::peak_memory;
use semievol_testkit::{HashingEmbedder, HashingTrainer, ScriptedModel};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Runs the method on many made-up rows with models that answer at once: time and memory of everything else.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Unlabelled rows.
    #[arg(long, default_value_t = 20_000)]
    rows: usize,
    /// The method's preset.
    #[arg(long, default_value = "default")]
    preset: String,
    /// Where the run's folder goes; a temporary folder by default.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Width of the default embedder's vectors.
const WIDTH: usize = 384;

struct Doubles(Arc<ScriptedModel>);

impl ModelLoader for Doubles {
    fn load(&self, _: Option<&Adapter>) -> Result<Arc<dyn LanguageModel>, ModelError> {
        Ok(self.0.clone())
    }
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let folder = args.out.clone().unwrap_or_else(|| scratch.path().to_owned());
    if folder.join("runs").exists() {
        bail!(
            "{} holds a run: its stages would be read, not measured; give another folder",
            folder.display()
        );
    }
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    write_rows(&folder.join("labelled.jsonl"), 100, true)?;
    write_rows(&folder.join("unlabelled.jsonl"), args.rows, false)?;
    write_rows(&folder.join("test.jsonl"), 100, true)?;
    let text = format!(
        "name = 'pool'\nmodel = 'double'\narms = ['semievol']\n[data]\nroot = {:?}\nlabelled = 'labelled.jsonl'\nunlabelled = 'unlabelled.jsonl'\ntest = 'test.jsonl'\n[train]\nmax_steps = 1\n[method]\npreset = {:?}\n",
        folder.display().to_string(),
        args.preset
    );
    let file = Path::new("pool.toml");
    let experiment = ExperimentConfig::parse(&text, file)?.check(file)?;
    let score = |prompt: &semievol::core::Prompt, option: &str| {
        let asked = prompt.messages.last().map_or(0, |message| message.content.len());
        if (asked + option.len()).is_multiple_of(3) { -0.2 } else { -2.0 }
    };
    let model = Arc::new(ScriptedModel::babbler("double").scoring(score));
    let (loader, trainer) = (Doubles(model), HashingTrainer::new(ModelId::new("double")));
    let (id, embedder) = (ModelId::new("hashing"), HashingEmbedder::new(WIDTH));
    let parts = Parts::new(&loader, &trainer).with_embedder(&id, &embedder as &dyn Embedder);
    let begun = Instant::now();
    let mut last = begun;
    println!("{:>32} {:>9} {:>12}", "stage", "seconds", "peak memory");
    let mut line = |name: &str| {
        let peak = peak_memory().map_or("not known".to_owned(), |peak| format!("{peak:.0} MiB"));
        println!("{name:>32} {:9.2} {peak:>13}", last.elapsed().as_secs_f64());
        last = Instant::now();
    };
    let hub = Hub::new(HubConfig::new(folder.join("cache")));
    experiment.run(
        &hub,
        parts,
        &mut |event| match event {
            Event::Drawn { .. } => line("read and drawn"),
            Event::Overlap { .. } => line("compared"),
            Event::Stage { event: StageEvent::Done(stage), .. } => line(&stage.name),
            _ => {}
        },
        &folder.join("runs"),
    )?;
    line("results");
    let (seconds, rows) = (begun.elapsed().as_secs_f64(), args.rows as f64);
    let memory =
        |peak: f64| format!(", {:.2} GB at most, {:.1} KB a row", peak / 953.7, peak * 1024.0 / rows);
    let memory = peak_memory().map(memory).unwrap_or_default();
    println!("{} rows: {seconds:.1} s ({:.0} rows/s){memory}", args.rows, rows / seconds);
    Ok(())
}

/// Rows of about thirty words with three options; every text is another.
fn write_rows(path: &Path, rows: usize, answers: bool) -> anyhow::Result<()> {
    const WORDS: [&str; 16] = [
        "kettle", "garden", "broken", "lovely", "quiet", "handle", "parcel", "yellow", "morning", "never",
        "again", "sturdy", "cheap", "gift", "window", "careful",
    ];
    let mut out = BufWriter::new(File::create(path).with_context(|| path.display().to_string())?);
    for row in 0..rows {
        let words = (0..30).map(|at| WORDS[(row / 16usize.pow(at % 5) + at as usize * 7) % 16]);
        let text = words.collect::<Vec<_>>().join(" ");
        let answer =
            if answers { format!(", \"answer\": \"{}\"", ["A", "B", "C"][row % 3]) } else { String::new() };
        writeln!(
            out,
            "{{\"id\": \"{row}\", \"question\": \"{text} {row}\", \"options\": [\"negative\", \"neutral\", \"positive\"]{answer}}}"
        )?;
    }
    Ok(out.flush()?)
}
