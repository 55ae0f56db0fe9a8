//! Several rounds: what is kept joins the labels, what is not is tried again, and a round that harms is undone.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{engine, files, fixture, hub, minitask, rows, run_again, run_tiny};
use semievol::core::Prompt;
use semievol::model::{Adapter, LanguageModel, ModelError, ModelId, ModelLoader};
use semievol::pipeline::{Answers, Selected};
use semievol::select::{Decision, Pool, PseudoLabel, SelectError, Selection, Selector};
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
    let table = std::fs::read_to_string(results.folder.join("table.md")).unwrap();
    assert!(table.contains("kept in round 1 ") && table.contains("kept in round 2 "), "{table}");
    assert!(pseudo.rounds.len() > 1 && pseudo.n_kept == kept.len() && pseudo.n_kept > pseudo.rounds[0].kept);

    let before = files(&results.folder);
    let again = run_again(&experiment, out.path());
    assert!(files(&again.folder) == before);
}

/// Keeps the same rows whenever it is asked.
struct KeepOddIds;

impl Selector for KeepOddIds {
    fn id(&self) -> String {
        "odd ids".into()
    }

    fn select(&self, pool: Pool<'_>) -> Result<Selection, SelectError> {
        let decide = |label: &PseudoLabel| match label.id.bytes().last() {
            Some(digit) if digit % 2 == 1 && label.answer.is_some() => Decision::accept("odd"),
            _ => Decision::reject("even"),
        };
        Ok(pool.unlabelled.iter().map(decide).collect::<Vec<_>>().into())
    }
}

#[test]
fn a_round_that_keeps_nothing_more_is_the_last_and_trains_nothing() {
    let experiment = with_method("rounds = { n = 4 }");
    let mut method = experiment.method().unwrap();
    method.selector = Arc::new(KeepOddIds);
    let (out, engine) = (tempfile::tempdir().unwrap(), engine());
    let results = experiment.run_with(&method, &hub(), engine.parts(), &mut |_| (), out.path()).unwrap();
    let said = results.said();
    assert_eq!(said, ["semievol: round 2 kept nothing more: the rounds end"]);
    assert_eq!(results.seeds[0].pseudo[0].rounds.len(), 1);
    assert!(!results.folder.join("seed-1/evolved-round-2").exists());
}

/// The label of the question that a prompt ends with, if it is one of these.
fn known<'l>(labels: &'l [(String, String)], prompt: &Prompt) -> Option<&'l str> {
    let asked = &prompt.messages.last().unwrap().content;
    let found = labels.iter().find(|(question, _)| asked.contains(question))?;
    Some(&found.1)
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
            let known = known(&labels, prompt);
            let said = known.filter(|_| !evolved).unwrap_or("negative");
            if option.contains(said) { -0.1 } else { -3.0 }
        };
        Ok(Arc::new(ScriptedModel::babbler(if evolved { "spoilt" } else { "base" }).scoring(score)))
    }
}

/// The labels by their questions.
fn known_labels() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(fixture("minitask").join("labeled.csv")).unwrap();
    // A record is two lines: what is asked, then the remark with options and letter.
    let record = |line: &str| {
        let (remark, rest) = line.split_once("\",")?;
        let answer = ["negative", "neutral", "positive"]["ABC".find(rest.chars().last()?)?];
        Some((remark.to_owned(), answer.to_owned()))
    };
    let labels: Vec<(String, String)> = text.lines().filter_map(record).collect();
    assert!(labels.len() > 9);
    labels
}

#[test]
fn a_round_that_harms_is_undone() {
    let experiment = with_method(
        "rounds = { n = 2, validation = 0.34 }\nneighbours = 0\nwarm = { shots = 0 }\ncollaborators = [{ kind = 'language_model', name = 'warm', temperature = 0.0 }]",
    );
    let trainer = HashingTrainer::new(ModelId::new("base"));
    let loader = Spoilt { labels: known_labels() };
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
    assert!(results.said().iter().any(|said| said.contains("that one stays")), "{:?}", results.said());
    // Nothing of it counts as kept.
    let pseudo = &results.seeds[0].pseudo[0];
    assert_eq!((pseudo.n_kept, pseudo.rounds[0].kept > 0), (0, true));
    let selected: Vec<Selected> = rows(&results, "selection.jsonl");
    assert!(selected.iter().all(|one| !one.accepted && one.weight == 0.0), "{selected:?}");
    assert!(selected.iter().any(|one| one.reason.ends_with("the round was undone")), "{selected:?}");
    // The warm model answers the test rows.
    let predictions =
        std::fs::read_to_string(results.folder.join("seed-1/predictions-semievol.jsonl")).unwrap();
    let manifest =
        std::fs::read_to_string(results.folder.join("seed-1/stages/predictions-semievol.json")).unwrap();
    assert!(!predictions.is_empty() && manifest.contains("\"base\"") && !manifest.contains("spoilt"));
}

/// Trained models know the labels, the base model says something else.
struct Misled {
    labels: Vec<(String, String)>,
}

impl ModelLoader for Misled {
    fn load(&self, adapter: Option<&Adapter>) -> Result<Arc<dyn LanguageModel>, ModelError> {
        let (trained, labels) = (adapter.is_some(), self.labels.clone());
        let score = move |prompt: &Prompt, option: &str| {
            let known = known(&labels, prompt);
            let right = known.unwrap_or("neutral");
            let wrong = if right == "negative" { "positive" } else { "negative" };
            if option.contains(if trained { right } else { wrong }) { -0.1 } else { -3.0 }
        };
        Ok(Arc::new(ScriptedModel::babbler(if trained { "trained" } else { "base" }).scoring(score)))
    }
}

#[test]
fn pseudo_labels_worse_than_the_model_are_given_up() {
    let run = |do_no_harm: bool| {
        let experiment = with_method(&format!(
            "do_no_harm = {do_no_harm}\nfolds = 3\nneighbours = 1\nretrieval = {{ kind = 'bm25' }}\nwarm = {{ shots = 0 }}\njustify = {{ kind = 'mixture' }}\ncollaborators = [{{ kind = 'language_model', name = 'own', temperature = 0.0 }}, {{ kind = 'language_model', name = 'one', model = 'base', temperature = 0.0 }}, {{ kind = 'language_model', name = 'other', model = 'base', shots = 1, temperature = 0.0 }}]",
        ));
        let trainer = HashingTrainer::new(ModelId::new("base"));
        let loader = Misled { labels: known_labels() };
        let out = tempfile::tempdir().unwrap();
        let results = experiment.run(&hub(), Parts::new(&loader, &trainer), &mut |_| (), out.path()).unwrap();
        let pseudo = &results.seeds[0].pseudo[0];
        (pseudo.rounds.len(), pseudo.n_kept, results.folder.join("seed-1/evolved").exists())
    };
    assert_eq!(run(true), (0, 0, false));
    let (rounds, kept, trained) = run(false);
    assert!(rounds == 1 && kept > 0 && trained);
}

#[test]
fn a_classifier_learns_what_earlier_rounds_kept_where_it_is_asked_to() {
    let second_round = |co_trained: bool| {
        let experiment = with_method(&format!(
            "rounds = {{ n = 2 }}\ncollaborators = [{{ kind = 'language_model', name = 'words' }}, {{ kind = 'classifier', name = 'embeddings', folds = 2, co_trained = {co_trained} }}]",
        ));
        let out = tempfile::tempdir().unwrap();
        let mut embedded = Vec::new();
        let results = run_tiny(&experiment, out.path(), &mut |event| match event {
            Event::Stage { event: StageEvent::Begin(stage), .. } if stage.name.contains("embeddings") => {
                embedded.push(stage.total);
            }
            _ => {}
        });
        // What the first round kept can be found in the second; all else is known.
        let kept = results.seeds[0].pseudo[0].rounds[0].kept;
        assert!(kept > 0 && embedded[1..] == [kept], "{embedded:?}, {kept} kept");
        run_again(&experiment, out.path());
        let first: Vec<Answers> = rows(&results, "candidates.jsonl");
        let second: Vec<Answers> = rows(&results, "candidates-round-2.jsonl");
        let of = |answers: &Answers| answers.candidates[1].distribution.clone();
        let before = second.iter().map(|answers| of(first.iter().find(|one| one.id == answers.id).unwrap()));
        (before.collect::<Vec<_>>(), second.iter().map(of).collect::<Vec<_>>())
    };
    let (before, after) = second_round(true);
    assert!(!after.is_empty() && before != after);
    let (before, after) = second_round(false);
    assert_eq!(before, after);
}

#[test]
fn rounds_that_make_no_sense_are_refused() {
    for (rounds, expected) in [
        ("{ n = 0 }", "method.rounds.n is 0"),
        ("{ validation = 0.9 }", "method.rounds.validation is 0.9"),
        ("{ n = 1 }\ndo_no_harm = true", "method.do_no_harm compares final answers with the models' own"),
        ("{ n = 2 }\nfolds = 3\nprobe = true", "measures models of the first round alone"),
        (
            "{ n = 2 }\ncombine = { kind = 'log_pool', align = 0.5 }",
            "later rounds have the rest of them: take one round, or align = 0",
        ),
    ] {
        let text = minitask("").config().to_toml();
        let (before, _) = text.split_once("[method]").unwrap();
        let text = format!("{before}[method]\nrounds = {rounds}");
        let file = Path::new("rounds.toml");
        let error = ExperimentConfig::parse(&text, file).unwrap().check(file).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
