//! Several rounds: what is kept joins the labels, what is not is tried again, and a round that harms is undone.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{files, fixture, hub, minitask, rows, run_again, run_tiny};
use semievol::core::Prompt;
use semievol::model::{Adapter, LanguageModel, ModelError, ModelId, ModelLoader};
use semievol::pipeline::Selected;
use semievol::{Event, Experiment, ExperimentConfig, Parts, Results, StageEvent};
use semievol_testkit::{HashingTrainer, ScriptedModel};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

fn with_method(method: &str) -> Experiment {
    let alone = minitask("arms = ['semievol']");
    common::with_method(&alone, &format!("preset = 'default'\n{method}"))
}

fn selected(results: &Results, round: usize) -> Vec<Selected> {
    let tag = if round == 1 { String::new() } else { format!("-round-{round}") };
    rows(results, &format!("selection{tag}.jsonl"))
}

#[test]
fn what_was_kept_is_not_asked_again() {
    let experiment = with_method("rounds = { n = 3 }");
    let out = tempfile::tempdir().unwrap();
    let results = run_tiny(&experiment, out.path(), &mut |_| ());
    let pseudo = &results.seeds[0].pseudo[0];
    let mut kept = BTreeSet::new();
    let mut open = pseudo.n;
    for (number, round) in pseudo.rounds.iter().enumerate() {
        let rows = selected(&results, number + 1);
        assert_eq!(rows.len(), open, "round {} asks about what is left", number + 1);
        let accepted: Vec<&Selected> = rows.iter().filter(|row| row.accepted).collect();
        assert_eq!(accepted.len(), round.kept);
        assert!(accepted.iter().all(|row| kept.insert(row.id.clone())), "each is kept once");
        open -= round.kept;
    }
    assert!(pseudo.rounds.len() > 1 && pseudo.n_kept == kept.len() && pseudo.n_kept > pseudo.rounds[0].kept);

    let before = files(&results.folder);
    let again = run_again(&experiment, out.path());
    assert!(files(&again.folder) == before);
}

/// Answers `negative` to everything once it has learnt pseudo-labels, and knows the labels before.
struct Spoilt {
    labels: Vec<(String, String)>,
}

impl ModelLoader for Spoilt {
    fn load(&self, adapter: Option<&Adapter>) -> Result<Arc<dyn LanguageModel>, ModelError> {
        let evolved = adapter.is_some_and(|adapter| adapter.folder.ends_with("evolved"));
        let labels = self.labels.clone();
        let score = move |prompt: &Prompt, option: &str| {
            let asked = &prompt.messages.last().unwrap().content;
            let known = labels.iter().find(|(question, _)| asked.contains(question));
            let said = known.filter(|_| !evolved).map_or("negative", |(_, answer)| answer);
            if option.contains(said) { -0.1 } else { -3.0 }
        };
        Ok(Arc::new(ScriptedModel::babbler(if evolved { "spoilt" } else { "base" }).scoring(score)))
    }
}

#[test]
fn a_round_that_harms_is_undone() {
    let text = std::fs::read_to_string(fixture("minitask").join("labeled.csv")).unwrap();
    // A record is two lines: what is asked, then the remark with options and letter.
    let record = |line: &str| {
        let (remark, rest) = line.split_once("\",")?;
        let answer = ["negative", "neutral", "positive"]["ABC".find(rest.chars().last()?)?];
        Some((remark.to_owned(), answer.to_owned()))
    };
    let labels: Vec<(String, String)> = text.lines().filter_map(record).collect();
    assert!(labels.len() > 9);
    let experiment = with_method(
        "rounds = { n = 2, validation = 0.34 }\nneighbours = 0\nwarm = { shots = 0 }\ncollaborators = [{ kind = 'language_model', name = 'warm', temperature = 0.0 }]",
    );
    let trainer = HashingTrainer::new(ModelId::new("base"));
    let loader = Spoilt { labels };
    let out = tempfile::tempdir().unwrap();
    let mut notes = Vec::new();
    let results = experiment.run(
        &hub(),
        Parts::new(&loader, &trainer),
        &mut |event| {
            if let Event::Stage { event: StageEvent::Note(note), .. } = event {
                notes.push(note.clone());
            }
        },
        out.path(),
    );
    let results = results.unwrap();
    let rounds = &results.seeds[0].pseudo[0].rounds;
    assert!(rounds.len() == 1 && rounds[0].rolled_back, "{rounds:?} {notes:?}");
    assert!(notes.iter().any(|note| note.contains("that one stays")), "{notes:?}");
    // Nothing of it counts as kept.
    let pseudo = &results.seeds[0].pseudo[0];
    assert_eq!((pseudo.n_kept, pseudo.rounds[0].kept > 0), (0, true));
    // The warm model answers the test rows.
    let predictions =
        std::fs::read_to_string(results.folder.join("seed-1/predictions-semievol.jsonl")).unwrap();
    let manifest =
        std::fs::read_to_string(results.folder.join("seed-1/stages/predictions-semievol.json")).unwrap();
    assert!(!predictions.is_empty() && manifest.contains("\"base\"") && !manifest.contains("spoilt"));
}

#[test]
fn rounds_that_make_no_sense_are_refused() {
    for (rounds, expected) in [
        ("{ n = 0 }", "method.rounds.n is 0"),
        ("{ validation = 0.9 }", "method.rounds.validation is 0.9"),
        ("{ n = 2 }\nfolds = 3\nprobe = true", "measures models of the first round alone"),
    ] {
        let text = minitask("").config().to_toml();
        let (before, _) = text.split_once("[method]").unwrap();
        let text = format!("{before}[method]\nrounds = {rounds}");
        let file = Path::new("rounds.toml");
        let error = ExperimentConfig::parse(&text, file).unwrap().check(file).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
