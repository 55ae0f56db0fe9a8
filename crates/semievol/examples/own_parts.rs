//! A selector and a classifier of one's own: the classifier, a list of words, is one more collaborator; the selector
//! stands in the place of semievol's and keeps what all collaborators agree on.
//!
//!     cargo run --example own_parts
//!
//! It runs in seconds, on a tiny random model and the sixty remarks of `fixtures/minitask`, so the numbers it
//! prints mean nothing.

use semievol::core::{Sample, Seed};
use semievol::engine::Engine;
use semievol::hub::{Hub, HubConfig};
use semievol::pipeline::CollaboratorConfig;
use semievol::select::classify::{Classifier, Rows, Taught};
use semievol::select::{Decision, Pool, SelectError, Selection, Selector};
use semievol::{Event, Experiment, ExperimentConfig, StageEvent};
use std::path::Path;
use std::sync::Arc;

/// Keeps the pseudo-labels on which all collaborators agreed, with an answer that can be taught and a confidence.
#[derive(Debug)]
pub struct KeepAgreed;

impl Selector for KeepAgreed {
    fn id(&self) -> String {
        "keep agreed".into()
    }
    fn select(&self, pool: Pool<'_>) -> Result<Selection, SelectError> {
        let decisions = pool.unlabelled.iter().map(|label| {
            if label.answer.is_none() || label.confidence.is_none() {
                Decision::reject("there is no answer, or no confidence in it")
            } else if label.agreed {
                Decision::accept("all collaborators agreed")
            } else {
                Decision::reject("they did not agree")
            }
        });
        Ok(decisions.collect::<Vec<_>>().into())
    }
}

/// Knows a few words of praise and of blame; the options are negative, neutral and positive. Of other options it knows
/// nothing.
#[derive(Debug)]
pub struct Lexicon;

impl Classifier for Lexicon {
    fn id(&self) -> String {
        "lexicon 1".into()
    }
    fn classify(&self, taught: &Taught<'_>, asked: &Rows<'_>, _: Seed) -> Result<Vec<Vec<f64>>, SelectError> {
        let say = |sample: &&Sample| {
            if taught.n_classes != 3 {
                return Vec::new();
            }
            let count = |words: &[&str]| words.iter().filter(|word| sample.question.contains(**word)).count();
            match (count(&["best", "lovely", "great"]), count(&["broken", "never", "burnt"])) {
                (praise, blame) if praise > blame => vec![0.1, 0.1, 0.8],
                (praise, blame) if praise < blame => vec![0.8, 0.1, 0.1],
                _ => vec![0.1, 0.8, 0.1],
            }
        };
        Ok(asked.samples.iter().map(say).collect())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let experiment = experiment(&fixtures)?;

    let engine = Engine::load(&fixtures.join("tiny-llama"))?.with_embedder(&fixtures.join("tiny-bert"))?;
    let mut config = experiment.config().method.clone();
    config.collaborators.push(CollaboratorConfig::own("list of words"));
    let mut method = config.build()?.with_classifier("list of words", Arc::new(Lexicon));
    method.selector = Arc::new(KeepAgreed);

    let out = std::env::temp_dir().join("semievol-own-parts");
    let hub = Hub::new(HubConfig::new(out.join("cache")));
    let mut on_event = |event: &Event| {
        if let Event::Stage { event: StageEvent::Done(stage) | StageEvent::Kept(stage), .. } = event {
            println!("{}: {} {}", stage.name, stage.total, stage.unit);
        }
    };
    let results = experiment.run_with(&method, &hub, engine.parts(), &mut on_event, &out)?;
    for (heading, table) in results.pseudo_tables() {
        println!("\n{heading}\n{table}");
    }
    println!("{}", results.folder.join("report.html").display());
    Ok(())
}

/// The part that is a file elsewhere.
fn experiment(fixtures: &Path) -> Result<Experiment, Box<dyn std::error::Error>> {
    let text = r#"
        name = "own-parts"
        model = "tiny-llama"
        [data]
        labelled = "labeled.csv"
        unlabelled = "unlabeled.jsonl"
        test = "test.csv"
        [train]
        max_steps = 3
    "#;
    let file = Path::new("own-parts.toml");
    let config = ExperimentConfig::parse(text, file)?.with_data_root(fixtures.join("minitask"));
    Ok(config.check(file)?)
}
