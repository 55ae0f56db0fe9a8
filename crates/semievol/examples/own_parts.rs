//! A selector and a language model of one's own in the place of semievol's: the model, a list of words, is one
//! more collaborator; the selector keeps what all collaborators agree on.
//!
//!     cargo run --example own_parts
//!
//! It runs in seconds, on a tiny random model and the sixty remarks of `fixtures/minitask`, so the numbers it
//! prints mean nothing.

use semievol::core::TokenLogprob;
use semievol::engine::Engine;
use semievol::hub::{Hub, HubConfig};
use semievol::model::{
    Capabilities, GenerateRequest, Generation, LanguageModel, ModelError, ModelId, OnDone, ScoreRequest,
    Scores,
};
use semievol::pipeline::CollaboratorConfig;
use semievol::select::{Decision, Pool, SelectError, Selection, Selector};
use semievol::{Event, Experiment, ExperimentConfig, StageEvent};
use std::path::Path;
use std::sync::Arc;

/// Keeps the pseudo-labels on which all collaborators agreed.
struct KeepAgreed;

impl Selector for KeepAgreed {
    fn id(&self) -> String {
        "keep agreed".into()
    }
    fn select(&self, pool: Pool<'_>) -> Result<Selection, SelectError> {
        let decisions = pool.unlabelled.iter().map(|label| match label.agreed {
            true => Decision::accept("all collaborators agreed"),
            false => Decision::reject("they did not agree"),
        });
        Ok(decisions.collect::<Vec<_>>().into())
    }
}

/// Knows a few words of praise and of blame.
struct Lexicon(ModelId);

impl LanguageModel for Lexicon {
    fn id(&self) -> &ModelId {
        &self.0
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities { scores: true, ..Capabilities::default() }
    }
    fn score_each(&self, requests: &[ScoreRequest], on_done: OnDone<'_, Scores>) -> Result<(), ModelError> {
        for (index, request) in requests.iter().enumerate() {
            let text = request.prompt.messages.last().map_or("", |message| &message.content);
            let count = |words: &[&str]| words.iter().filter(|word| text.contains(**word)).count();
            let said = match (count(&["best", "lovely", "great"]), count(&["broken", "never", "burnt"])) {
                (praise, blame) if praise > blame => "positive",
                (praise, blame) if praise < blame => "negative",
                _ => "neutral",
            };
            let probability = |option: &String| if option.trim() == said { 0.8 } else { 0.1 };
            let score = |option| vec![TokenLogprob { token: 0, logprob: f32::ln(probability(option)) }];
            if on_done(index, Ok(request.continuations.iter().map(score).collect())).is_break() {
                break;
            }
        }
        Ok(())
    }
    fn generate_each(&self, _: &[GenerateRequest], _: OnDone<'_, Generation>) -> Result<(), ModelError> {
        Err(ModelError::Unsupported { model: self.0.clone(), what: "generation" })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let experiment = experiment(&fixtures)?;

    let lexicon = Lexicon(ModelId::new("lexicon 1"));
    let engine = Engine::load(&fixtures.join("tiny-llama"))?
        .with_embedder(&fixtures.join("tiny-bert"))?
        .with_model("lexicon", Arc::new(lexicon));
    let mut method = experiment.method()?;
    method.selector = Arc::new(KeepAgreed);
    method.config.collaborators.push(CollaboratorConfig::LanguageModel {
        name: "list of words".into(),
        model: "lexicon".into(),
        shots: 0,
        temperature: 0.0,
        wording: None,
    });

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
