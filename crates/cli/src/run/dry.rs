//! `semievol run --dry-run`: what a run would do, measured on a few of its own rows.

mod warnings;

use crate::input::prepare;
use crate::inspect::{heading, open_prompt, taught};
use crate::rows::example;
use crate::timing::peak_memory;
use semievol::candle::BaseModel;
use semievol::core::{Labeled, Sample, Seed};
use semievol::data::Task;
use semievol::engine::Engine;
use semievol::hub::Hub;
use semievol::model::{Embedder, ModelLoader, TextRole};
use semievol::pipeline::NamedEmbedder;
use semievol::train::{Example, Recipe, TrainJob, Trainer};
use semievol::{ArmWork, Experiment, ExperimentConfig, Predictor, Sets};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use warnings::{lost_contradictions, warnings};

/// Prompts of each set whose tokens are counted, and prompts whose scoring is timed.
const COUNTED: usize = 1_000;
const TIMED: usize = 16;
/// Texts whose embedding is timed.
const TIMED_TEXTS: usize = 64;

/// Runs the command.
pub fn run(experiment: &Experiment, hub: &Hub) -> anyhow::Result<()> {
    let config = experiment.config();
    let (drawn, engine) = prepare(experiment, config.seeds[0], hub, Engine::open)?;
    let task = config.task.build()?;
    let base = engine.base();
    experiment.check_rows(&drawn, engine.parts())?;

    heading("rows");
    let sizes = &drawn.sizes;
    println!(
        "{} labelled, {} unlabelled, {} test (seed {})",
        sizes.labelled, sizes.unlabelled, sizes.test, config.seeds[0]
    );
    for class in &sizes.labelled_classes {
        println!("  {:5} labelled {}", class.rows, class.class);
    }

    if let Some(first) = drawn.labelled.first() {
        heading(&format!("what is trained on, for the labelled row `{}`", first.sample.id));
        taught(base, task.as_ref(), first, false)?;
    }
    if let Some(first) = drawn.unlabelled.first() {
        heading(&format!("what is asked, for the unlabelled row `{}`", first.id));
        open_prompt(base, &task.prompt(first, &[]), false)?;
    }

    let counts = Counts::of(base, task.as_ref(), &drawn, config.max_answer_tokens)?;
    heading("tokens of a prompt, neighbours not counted");
    println!(
        "{:.0} in the mean, {} at most, of the {} that the model can read{}",
        counts.mean,
        counts.most,
        counts.limit,
        counts.first_of.map(|n| format!(" (the first {n} rows of each set)")).unwrap_or_default()
    );

    heading("estimate");
    // A server embeds at its own pace.
    let embedder = engine.parts().embedder.filter(|_| config.embedding_server.is_none());
    estimate(experiment, &engine, task.as_ref(), &drawn, &counts, embedder)?;
    for asked in experiment.asked_elsewhere(&drawn, engine.parts())? {
        println!("{asked}");
    }

    heading("warnings");
    let mut warnings = warnings(&drawn, &counts, engine.parts().embedder);
    warnings.extend(lost_contradictions(experiment, &drawn, hub));
    warnings.iter().for_each(|warning| println!("- {warning}"));
    if warnings.is_empty() {
        println!("none");
    }
    Ok(())
}

pub(super) struct Counts {
    mean: f64,
    most: usize,
    limit: usize,
    /// Labelled rows that do not fit with their answers: training would stop at them.
    over_labelled: Vec<String>,
    /// Other rows whose prompt does not fit.
    over: Vec<String>,
    /// Labelled rows whose answer is longer than what is generated.
    over_answer: Vec<String>,
    /// Rows of the largest set that was looked at, where that was not all.
    first_of: Option<usize>,
}

impl Counts {
    fn of(
        base: &BaseModel,
        task: &dyn Task,
        drawn: &Sets,
        max_answer_tokens: usize,
    ) -> anyhow::Result<Counts> {
        let limit = base.llama.config().max_context;
        let sets = [&drawn.test[..], &drawn.unlabelled[..]];
        let largest = sets.iter().map(|set| set.len()).max().unwrap_or(0).max(drawn.labelled.len());
        let mut counts = Counts {
            mean: 0.0,
            most: 0,
            limit,
            over_labelled: Vec::new(),
            over: Vec::new(),
            over_answer: Vec::new(),
            first_of: (largest > COUNTED).then_some(COUNTED),
        };
        let mut n = 0;
        let mut count = |sample: &Sample, answer: usize| {
            let prompt = base.tokenizer.encode_prompt(&task.prompt(sample, &[]))?.len();
            n += 1;
            counts.mean += prompt as f64;
            counts.most = counts.most.max(prompt);
            Ok::<bool, anyhow::Error>(prompt + answer > limit)
        };
        for one in drawn.labelled.iter().take(COUNTED) {
            let prefix = task.prompt(&one.sample, &[]).response_prefix;
            let answer = base.tokenizer.encode_response(&prefix, &task.target(&one.sample, &one.answer))?;
            if count(&one.sample, answer.ids.len())? {
                counts.over_labelled.push(one.sample.id.clone());
            }
            if answer.ids.len() > max_answer_tokens && task.candidates(&one.sample).is_empty() {
                counts.over_answer.push(one.sample.id.clone());
            }
        }
        for sample in sets.into_iter().flat_map(|set| set.iter().take(COUNTED)) {
            if count(sample, 1)? {
                counts.over.push(sample.id.clone());
            }
        }
        counts.mean /= f64::from(n.max(1));
        Ok(counts)
    }
}

/// Time and memory, from one step of training and a few prompts.
fn estimate(
    experiment: &Experiment,
    engine: &Engine,
    task: &dyn Task,
    drawn: &Sets,
    counts: &Counts,
    embedder: Option<NamedEmbedder<'_>>,
) -> anyhow::Result<()> {
    let config = experiment.config();
    let fits = |id: &String| !counts.over.contains(id) && !counts.over_labelled.contains(id);
    let labelled: Vec<&Labeled> = drawn.labelled.iter().filter(|one| fits(&one.sample.id)).collect();
    // Elsewhere a step takes what it takes there, and the model may be one that cannot be trained here.
    let per_step = match &config.elsewhere {
        None => step_time(engine.parts().trainer, task, &labelled, &config.train)?,
        Some(_) => Duration::ZERO,
    };
    let asked = drawn.unlabelled.iter().chain(&drawn.test).filter(|sample| fits(&sample.id)).take(TIMED);
    let per_prompt = prompt_time(config, engine.base(), &asked.cloned().collect::<Vec<_>>())?;
    let work = experiment.work(&drawn.sizes);
    let time = |work: &ArmWork| per_step.mul_f64(work.steps as f64) + per_prompt.mul_f64(work.prompts as f64);
    for arm in &work {
        println!(
            "{:>16}: at most {:5} steps, {:6} prompts, about {}",
            arm.arm.as_str(),
            arm.steps,
            arm.prompts,
            about(time(arm))
        );
    }
    let (steps, prompts) = experiment.tuning(&drawn.sizes);
    let tuning = per_step.mul_f64(steps as f64) + per_prompt.mul_f64(prompts as f64);
    if steps > 0 {
        println!("{:>16}: at most {steps:5} steps, {prompts:6} prompts, about {}", "tune", about(tuning));
    }
    let mut all = work.iter().map(time).sum::<Duration>() + tuning;
    if let Some(embedder) = embedder {
        let sizes = &drawn.sizes;
        // The labelled ones are found, and look for others. To choose a selector, it is done again without each fold.
        let folds = config.tune.as_ref().filter(|tune| !tune.select.is_empty()).map_or(0, |tune| tune.folds);
        let n = (1 + folds) * (2 * sizes.labelled + sizes.unlabelled + sizes.test);
        let embedding = text_time(embedder.embedder, drawn)?.mul_f64(n as f64);
        println!("{:>16}: {n} texts, about {}", "embeddings", about(embedding));
        all += embedding;
    }
    let seeds = config.seeds.len();
    let step = match &config.elsewhere {
        None => format!("{:.2} s a step", per_step.as_secs_f64()),
        Some(_) => "steps elsewhere, which are not counted,".to_owned(),
    };
    println!(
        "{step} and {:.3} s a prompt here: about {} in all{}, at most; prompts with neighbours take longer",
        per_prompt.as_secs_f64(),
        about(all * seeds as u32),
        if seeds > 1 { format!(" for {seeds} seeds") } else { String::new() }
    );
    if let Some(peak) = peak_memory() {
        println!(
            "memory: {:.2} GB held at most while this was measured, which is the least that the run needs: longer rows and neighbours take more",
            peak / 953.7
        );
    }
    Ok(())
}

/// One optimiser step, the second of two: the first one makes the buffers.
fn step_time(
    trainer: &dyn Trainer,
    task: &dyn Task,
    labelled: &[&Labeled],
    recipe: &Recipe,
) -> anyhow::Result<Duration> {
    let examples: Vec<Example> =
        labelled.iter().take(2 * recipe.batch_size).map(|one| example(task, one)).collect();
    if examples.is_empty() {
        return Ok(Duration::ZERO);
    }
    let folder = tempfile::tempdir()?;
    let recipe = Recipe { max_steps: 3, checkpoint_every: 0, ..recipe.clone() };
    let job =
        TrainJob { examples: &examples, recipe: &recipe, seed: Seed(0), out: folder.path(), from: None };
    let mut last = Instant::now();
    let mut least = Duration::MAX;
    trainer.train(&job, &mut |step| {
        if step.step > 0 {
            least = least.min(last.elapsed());
        }
        last = Instant::now();
        ControlFlow::Continue(())
    })?;
    Ok(least)
}

/// One answer to a test row.
fn prompt_time(config: &ExperimentConfig, base: &BaseModel, samples: &[Sample]) -> anyhow::Result<Duration> {
    if samples.is_empty() {
        return Ok(Duration::ZERO);
    }
    let predictor = Predictor::new(config, base.load(None)?)?;
    let begun = Instant::now();
    predictor.answer(samples)?;
    Ok(begun.elapsed() / samples.len() as u32)
}

/// One text's vector.
fn text_time(embedder: &dyn Embedder, drawn: &Sets) -> anyhow::Result<Duration> {
    let samples = drawn.unlabelled.iter().chain(&drawn.test).take(TIMED_TEXTS);
    let texts: Vec<&str> = samples.map(|sample| sample.question.as_str()).collect();
    if texts.is_empty() {
        return Ok(Duration::ZERO);
    }
    let begun = Instant::now();
    embedder.embed(TextRole::Query, &texts)?;
    Ok(begun.elapsed() / texts.len() as u32)
}

fn about(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds < 90 => format!("{seconds} s"),
        seconds if seconds < 5400 => format!("{} min", (seconds + 30) / 60),
        seconds => format!("{:.1} h", seconds as f64 / 3600.0),
    }
}
