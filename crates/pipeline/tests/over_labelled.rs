//! A percentile over the labels is one of the warm model's confidence in their gold answers, each asked as the other rows are.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{Doubles, Recorder, asked, ids_in, seed_run};
use semievol_core::{Answer, Labeled, Prompt, Sample};
use semievol_data::{ClosedSet, FreeText, Task};
use semievol_pipeline::{MethodConfig, Parts, SeedRun, Selected, files};
use semievol_testkit::ScriptedModel;

const METHOD: &str = r#"
neighbours = 1
retrieval = { kind = "bm25" }
warm = {}
collaborators = [{ kind = "language_model", name = "warm", shots = 1, temperature = 0.0 }]
justify = { kind = "self_justify" }
confidence = { kind = "mean_nll" }
confidence_shots = 1
select = { kind = "percentile", theta = 50, over = "labelled" }
evolve = {}
"#;

/// The mean log-probability of the tokens of each label's gold answer. Half of them reach the fourth, -0.4.
const OF_GOLD: [f64; 8] = [-1.5, -0.2, -1.6, -0.4, -0.1, -1.8, -0.3, -1.7];
/// The same of the other rows' final answers.
const OF_FINAL: [f64; 6] = [-0.02, -0.25, -0.39, -0.41, -0.9, -0.07];

/// Two labels each are about one kind of film, and so neighbours.
fn film(id: String) -> Sample {
    let kinds = ["dull", "witty", "long", "tender"];
    let kind = kinds[number(&id) / 2 % kinds.len()];
    Sample::new(&id, format!("A {kind} film [{id}]"))
}

fn number(id: &str) -> usize {
    id[1..].parse().unwrap()
}

/// Knows the gold answers and the final one, and where a gold answer is doubtful to it, another one better. Shown another
/// label than the neighbour, it is sure of anything.
fn warm(gold: fn(usize) -> String, last: &'static str) -> ScriptedModel {
    let mean = move |prompt: &Prompt, said: &str| {
        let id = asked(prompt);
        let n = number(&id);
        let neighbour = ids_in(&prompt.messages[0].content) == [format!("L{}", n ^ 1)];
        match (id.starts_with('L'), said == gold(n)) {
            (true, _) if !neighbour => -0.01,
            (true, true) => OF_GOLD[n],
            (true, false) if OF_GOLD[n] < -1.0 => -0.05,
            (false, _) if said == last => OF_FINAL[n],
            _ => -4.0,
        }
    };
    let reply = last.to_owned();
    ScriptedModel::new("warm", move |_| reply.clone()).scoring(move |prompt, said| {
        let tokens = said.split_whitespace().count() + 1;
        mean(prompt, said.trim()) * tokens as f64
    })
}

fn assert_by_gold(task: &dyn Task, warm: ScriptedModel, labelled: &[Labeled], unlabelled: &[Sample]) {
    let (loader, trainer) = (Doubles::of(ScriptedModel::babbler("base"), warm), Recorder::new(usize::MAX));
    let method = toml::from_str::<MethodConfig>(METHOD).unwrap().build().unwrap();
    let out = tempfile::tempdir().unwrap();
    seed_run(Parts::new(&loader, &trainer), out.path(), |run| {
        let run = SeedRun { task, task_id: "films", ..run };
        run.evolve(&method, labelled, unlabelled, &[], &mut |_| ()).unwrap();
    });
    let of_labels: Vec<f64> = files::read_jsonl(&out.path().join("confidence-labelled.jsonl")).unwrap();
    let selection: Vec<Selected> = files::read_jsonl(&out.path().join("selection.jsonl")).unwrap();
    let of_others: Vec<f64> = selection.iter().map(|one| one.confidence.unwrap().value()).collect();
    for (found, expected) in [(of_labels, &OF_GOLD[..]), (of_others, &OF_FINAL[..])] {
        let alike = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6);
        assert!(alike && found.len() == expected.len(), "{found:?}, and not {expected:?}");
    }
    for (one, sure) in selection.iter().zip(OF_FINAL) {
        assert_eq!(one.accepted, sure > -0.4, "{one:?}");
    }
}

#[test]
fn options_are_compared_with_the_gold_ones_of_labels() {
    let closed = |id: String| film(id).with_options(["yes", "no"]);
    let label = |n: usize| Labeled { sample: closed(format!("L{n}")), answer: Answer::Choice(n % 2) };
    let labelled: Vec<Labeled> = (0..8).map(label).collect();
    let unlabelled: Vec<Sample> = (0..6).map(|n| closed(format!("U{n}"))).collect();
    let warm = warm(|n| ["A", "B"][n % 2].to_owned(), "A");
    assert_by_gold(&ClosedSet::default(), warm, &labelled, &unlabelled);
}

#[test]
fn open_answers_are_compared_with_the_gold_ones_of_labels() {
    let label =
        |n: usize| Labeled { sample: film(format!("L{n}")), answer: Answer::Text(format!("seen {n} times")) };
    let labelled: Vec<Labeled> = (0..8).map(label).collect();
    let unlabelled: Vec<Sample> = (0..6).map(|n| film(format!("U{n}"))).collect();
    let warm = warm(|n| format!("seen {n} times"), "never");
    assert_by_gold(&FreeText::default(), warm, &labelled, &unlabelled);
}
