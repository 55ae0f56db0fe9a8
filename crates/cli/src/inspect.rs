//! `semievol inspect`: which tokens a row becomes, and what the model is shown.

use crate::input::{Input, prepare};
use crate::machine::Machine;
use crate::rows::example;
use anstyle::{AnsiColor, Style};
use anyhow::bail;
use semievol::candle::{BaseModel, CandleTrainer, ChatTokenizer};
use semievol::core::{Labeled, Prompt, Sample, Seed};
use semievol::data::Task;
use semievol::engine::Engine;
use semievol::model::ModelLoader;
use semievol::pipeline::{SeedRun, Shelf};
use semievol::{Experiment, Sets};

const EXAMPLES: &str = "\
Examples:
  semievol inspect mine.toml
  semievol inspect mine.toml --row l07 --ids
  semievol inspect --labelled labeled.csv --unlabelled unlabeled.jsonl --answer label

Trained tokens stand in ⟦ ⟧, and in colour on a terminal; everything before them is read and not learnt.";

/// Shows exactly which tokens a row becomes, a prompt with its neighbours, and rows that stand twice.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Shows the rows of these ids; by default the first two labelled ones and the first unlabelled one.
    #[arg(long, value_name = "ID")]
    row: Vec<String>,
    /// Shows each token's number.
    #[arg(long)]
    ids: bool,
    /// Draws the rows as this seed does; the experiment's first by default.
    #[arg(long)]
    seed: Option<u64>,
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
    let seed = args.seed.unwrap_or(experiment.config().seeds[0]);
    let (drawn, engine) = prepare(&experiment, seed, &hub, Engine::open)?;
    let task = experiment.config().task.build()?;
    let known = |id: &String| {
        drawn.labelled.iter().any(|one| one.sample.id == *id)
            || drawn.unlabelled.iter().any(|one| one.id == *id)
    };
    if let Some(unknown) = args.row.iter().find(|id| !known(id)) {
        bail!("--row {unknown}: neither a labelled nor an unlabelled row that seed {seed} draws has this id");
    }
    let wanted = |id: &str, index: usize, first: usize| {
        if args.row.is_empty() { index < first } else { args.row.iter().any(|row| row == id) }
    };
    let labelled = drawn.labelled.iter().enumerate().filter(|(index, one)| wanted(&one.sample.id, *index, 2));
    for (_, one) in labelled {
        heading(&format!("labelled row `{}`", one.sample.id));
        taught(engine.base(), task.as_ref(), one, args.ids)?;
    }
    let rows = drawn.unlabelled.iter().enumerate().filter(|(index, sample)| wanted(&sample.id, *index, 1));
    let rows: Vec<_> = rows.map(|(_, sample)| sample.clone()).collect();
    let shown = neighbours(&experiment, &engine, &drawn, &rows)?;
    for (sample, shots) in rows.iter().zip(shown) {
        let shots: Vec<&Labeled> = shots.iter().collect();
        let fit =
            fitting(engine.base(), task.as_ref(), sample, &shots, experiment.config().max_answer_tokens)?;
        let neighbours = |n| if n == 1 { "1 neighbour".to_owned() } else { format!("{n} neighbours") };
        let shown = match shots.len() {
            all if all == fit => neighbours(all),
            all => format!(
                "{fit} of {}: more do not fit into {} tokens",
                neighbours(all),
                engine.base().llama.config().max_context
            ),
        };
        heading(&format!("unlabelled row `{}`, with {shown}", sample.id));
        open_prompt(engine.base(), &task.prompt(sample, &shots[..fit]), args.ids)?;
        let options = task.candidates(sample);
        if !options.is_empty() {
            println!("scored after it: {options:?}");
        }
    }
    heading("rows that stand twice");
    let overlap = drawn.overlap();
    println!("{}", if overlap.is_empty() { "none".to_owned() } else { overlap.to_string() });
    Ok(())
}

pub fn heading(text: &str) {
    let bold = Style::new().bold();
    anstream::println!("\n{bold}{text}{bold:#}");
}

/// A labelled row as it is trained on.
pub fn taught(base: &BaseModel, task: &dyn Task, one: &Labeled, ids: bool) -> anyhow::Result<()> {
    let example = example(task, one);
    if example.response.is_empty() {
        bail!(
            "row `{}`: its answer `{}` is none that the task can write; correct it, or check task.kind and data.columns.answer",
            one.sample.id,
            one.answer
        );
    }
    for sequence in CandleTrainer::new(base.clone()).encode(&example)? {
        let (read, learnt) = sequence.tokens.split_at(sequence.n_prompt);
        tokens(&base.tokenizer, read, learnt, ids);
        println!("{} tokens, {} of them trained", sequence.tokens.len(), learnt.len());
    }
    Ok(())
}

/// How many of the shots the model is shown: the farthest goes first where all do not fit, and the question never.
fn fitting(
    base: &BaseModel,
    task: &dyn Task,
    sample: &Sample,
    shots: &[&Labeled],
    max_answer_tokens: usize,
) -> anyhow::Result<usize> {
    let limit = base.llama.config().max_context;
    for shown in (1..=shots.len()).rev() {
        let prompt = task.prompt(sample, &shots[..shown]);
        let mut longest = 0;
        for option in task.candidates(sample) {
            let response = base.tokenizer.encode_response(&prompt.response_prefix, &option)?;
            longest = longest.max(response.ids.len());
        }
        let response = if longest > 0 { longest } else { max_answer_tokens };
        if base.tokenizer.encode_prompt(&prompt)?.len() + response <= limit {
            return Ok(shown);
        }
    }
    Ok(0)
}

/// A prompt as a model reads it, up to where it answers.
pub fn open_prompt(base: &BaseModel, prompt: &Prompt, ids: bool) -> anyhow::Result<()> {
    let read = base.encode_open(prompt)?;
    tokens(&base.tokenizer, &read, &[], ids);
    println!("{} tokens", read.len());
    Ok(())
}

fn tokens(tokenizer: &ChatTokenizer, read: &[u32], learnt: &[u32], ids: bool) {
    let trained = AnsiColor::Green.on_default().bold();
    if ids {
        for (part, style) in [(read, Style::new()), (learnt, trained)] {
            for id in part {
                let text = tokenizer.token_text(*id).unwrap_or_default();
                let mark = if style == trained { "trained" } else { "" };
                anstream::println!("{style}{id:>7}  {text:24} {mark}{style:#}");
            }
        }
        return;
    }
    let text = |part: &[u32]| tokenizer.decode_markup(part);
    match learnt {
        [] => anstream::println!("{}", text(read)),
        _ => anstream::println!("{}{trained}⟦{}⟧{trained:#}", text(read), text(learnt)),
    }
}

/// The labelled neighbours of each row, as many as any prompt of the first method that shows some has.
fn neighbours(
    experiment: &Experiment,
    engine: &Engine,
    drawn: &Sets,
    rows: &[Sample],
) -> anyhow::Result<Vec<Vec<Labeled>>> {
    let config = experiment.config();
    let method = experiment.methods().find(|method| method.most_shots() > 0);
    let Some(method) = method.filter(|_| !rows.is_empty()) else { return Ok(vec![Vec::new(); rows.len()]) };
    let folder = tempfile::tempdir()?;
    let task = config.task.build()?;
    let parts = engine.parts();
    let run = SeedRun {
        part: SeedRun::PART,
        parts,
        task: task.as_ref(),
        task_id: "inspect",
        paraphrases: &[],
        base: engine.base().load(None)?,
        recipe: &config.train,
        max_answer_tokens: config.max_answer_tokens,
        seed: Seed(drawn.seed),
        folder: folder.path().to_owned(),
        shelf: &Shelf::of(folder.path()),
    };
    let embeds = method.retrieval.needs_embedder();
    let library = run.library(&drawn.labelled, &[rows], Some(&method.retrieval), embeds, &mut |_| ())?;
    let hits = library.nearest(rows, method.most_shots())?;
    Ok(hits.iter().map(|hits| library.shots(hits).into_iter().cloned().collect()).collect())
}
