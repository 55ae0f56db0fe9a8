//! `semievol evaluate`: how good a trained model is on rows with answers.

use crate::rows::{answer_in_chunks, say_left_out};
use crate::screen::say;
use crate::trained::Which;
use anyhow::{Context, bail};
use semievol::core::{Groups, Seed};
use semievol::data::{Dataset, DatasetConfig, OnDuplicate};
use semievol::eval::{Align, AnswerKey, Comparison, Graded, Interval, Prediction, Table, auroc, compare};
use semievol::model::{LanguageModel, ModelLoader};
use semievol::{Predicted, Predictor};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

const EXAMPLES: &str = "\
Examples:
  semievol evaluate runs/mine-1a2b3c4d more.csv
  semievol evaluate runs/mine-1a2b3c4d more.csv --arm sft --json
  semievol evaluate mine.toml --adapter path/to/adapter more.csv";

const LEVEL: f64 = 0.95;

/// Grades a trained model on rows with answers, and compares it with its base model on the same rows.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Rows with answers, none of which any model has learnt.
    #[arg(value_name = "ROWS")]
    rows: PathBuf,
    /// Does not ask the base model.
    #[arg(long)]
    alone: bool,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    if args.rows.as_os_str() == "-" {
        bail!(
            "-: rows with answers are read from a file, whose extension says their format; write standard input to one"
        );
    }
    let trained = args.which.open()?;
    let config = trained.experiment.config();
    // Every row of the file is graded.
    let columns = DatasetConfig { on_duplicate: OnDuplicate::Keep, ..config.data.dataset() };
    let rows = Dataset::read([&args.rows], &columns);
    let rows = rows.map_err(|error| trained.about_settings(&error.into()))?;
    say_left_out(&args.rows, &rows);
    if let Some(known) = trained.known(&rows.samples) {
        say(&known);
    }
    // A row without an answer is found before the model is asked.
    rows.labeled().with_context(|| args.rows.display().to_string())?;
    let key = AnswerKey::new(&rows.samples, &rows.answers)?;
    let task = config.task.build()?;
    let is_correct = |predicted: &_, gold: &_| task.is_correct(predicted, gold);
    if let Some((id, answer)) = key.unreadable(&rows.samples, &is_correct) {
        bail!(
            "{}: sample `{id}`: its answer `{answer}` is none that the task can read, so nobody could be right; correct it, or leave the row out",
            args.rows.display()
        );
    }
    let grade = |model: Arc<dyn LanguageModel>| -> anyhow::Result<(Graded, Vec<Predicted>)> {
        let predictor = Predictor::new(config, model)?;
        let mut predicted = Vec::with_capacity(rows.len());
        answer_in_chunks(&predictor, &rows.samples, |_, answers| {
            predicted.extend(answers);
            Ok(())
        })?;
        let answers: Vec<Prediction> = rows
            .samples
            .iter()
            .zip(&predicted)
            .map(|(sample, predicted)| Prediction::new(&sample.id, predicted.answer.clone()))
            .collect();
        let correct = |predicted: &_, gold: &_| predictor.task().is_correct(predicted, gold);
        Ok((key.grade(&answers, &correct)?, predicted))
    };
    let (graded, predicted) = grade(trained.model()?)?;
    let interval = graded.accuracy_interval(LEVEL)?;
    // A row without an answer has no confidence.
    let correct = graded.correct();
    let answered = predicted.iter().zip(&correct).filter_map(|(one, right)| Some((one.confidence?, *right)));
    let (sure, right): (Vec<f64>, Vec<bool>) = answered.unzip();
    let ranks = auroc(&sure, &right)?;
    let against = if args.alone || trained.adapter.is_none() {
        None
    } else {
        let (base, _) = grade(trained.engine.base().load(None)?)?;
        Some((base.accuracy(), compare(&graded, &base, Seed(0))?))
    };
    // What intervals and the test take as wholes.
    let groups = Groups::of(&rows.samples);
    let groups = Some(groups.n_groups()).filter(|n| *n > 1 && !groups.are_single());
    let evaluated = Evaluated { macro_f1: graded.macro_f1().ok(), graded, interval, ranks, against, groups };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&evaluated.json())?);
    } else {
        evaluated.print();
    }
    Ok(())
}

struct Evaluated {
    graded: Graded,
    interval: Interval,
    macro_f1: Option<f64>,
    /// AUROC of confidence, where there are right and wrong answers.
    ranks: Option<f64>,
    /// The base model's accuracy, and the gain over it.
    against: Option<(f64, Comparison)>,
    groups: Option<usize>,
}

impl Evaluated {
    fn json(&self) -> serde_json::Value {
        let Evaluated { graded, interval, macro_f1, ranks, against, .. } = self;
        json!({
            "n": graded.len(),
            "n_correct": graded.n_correct(),
            "n_unread": graded.n_unparsed(),
            "accuracy": graded.accuracy(),
            "interval": interval,
            "macro_f1": macro_f1,
            "auroc_of_confidence": ranks,
            "per_class": graded.per_class(),
            "by_category": graded.by_category(),
            "base": against.as_ref().map(|(accuracy, comparison)| json!({ "accuracy": accuracy, "gain": comparison })),
        })
    }

    fn print(&self) {
        let Evaluated { graded, interval, .. } = self;
        println!(
            "{}% of {} rows{} right (95% interval {} to {}){}",
            percent(graded.accuracy()),
            graded.len(),
            self.groups.map(|n| format!(" of {n} groups")).unwrap_or_default(),
            percent(interval.low),
            percent(interval.high),
            self.macro_f1.map(|f1| format!(", macro-F1 {}", percent(f1))).unwrap_or_default()
        );
        if graded.n_unparsed() > 0 {
            println!(
                "{} rows have no answer (the response could not be read, or the prompt did not fit); they count as wrong",
                graded.n_unparsed()
            );
        }
        if let Some((base, comparison)) = &self.against {
            let p = match comparison.mcnemar.p {
                p if p < 0.001 => "p < 0.001".to_owned(),
                p => format!("p = {p:.3}"),
            };
            let test = self.groups.map_or("exact McNemar", |_| "exact test of whole groups");
            println!(
                "the base model: {}%; gain {:+.1} points ({:+.1} to {:+.1}), {p} ({test})",
                percent(*base),
                100.0 * comparison.difference,
                100.0 * comparison.interval.low,
                100.0 * comparison.interval.high
            );
        }
        if let Some(ranks) = self.ranks {
            println!("a right answer is surer than a wrong one in {}% of pairs (AUROC)", percent(ranks));
        }
        self.print_classes();
        self.print_categories();
    }

    fn print_classes(&self) {
        let classes = self.graded.per_class();
        if classes.is_empty() {
            return;
        }
        let columns = [("precision", Align::Right), ("recall", Align::Right), ("F1", Align::Right)];
        let mut table = Table::new([("class", Align::Left)].into_iter().chain(columns));
        for class in &classes {
            table.row([
                class.class.clone(),
                percent(class.precision),
                percent(class.recall),
                percent(class.f1),
            ]);
        }
        println!("\n{table}");
    }

    fn print_categories(&self) {
        let categories = self.graded.by_category();
        if categories.is_empty() {
            return;
        }
        let columns = [("right", Align::Right), ("rows", Align::Right)];
        let mut table = Table::new([("category", Align::Left)].into_iter().chain(columns));
        for (category, (right, all)) in &categories {
            table.row([category.clone(), percent(*right as f64 / *all as f64), all.to_string()]);
        }
        println!("{table}");
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}
