//! What is drawn at a temperature is drawn anew for each row and for each collaborator.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{Doubles, Recorder, seed_run};
use semievol_core::{Answer, Labeled, Sample};
use semievol_data::{ClosedSet, FreeText, Task};
use semievol_pipeline::{Answers, MethodConfig, Parts, SeedRun};
use semievol_testkit::ScriptedModel;
use std::collections::BTreeMap;

const METHOD: &str = r#"
neighbours = 0
retrieval = { kind = "bm25" }
warm = {}
collaborators = [
    { kind = "language_model", name = "warm", temperature = 1.0 },
    { kind = "language_model", name = "base", model = "base", temperature = 1.0 },
]
justify = { kind = "majority" }
confidence = { kind = "mean_nll" }
select = { kind = "all" }
evolve = {}
"#;

/// What two collaborators answer to 200 rows with these options.
fn answers(
    task: &dyn Task,
    options: &[&str],
    model: fn(&str) -> ScriptedModel,
    label: &Answer,
) -> Vec<Answers> {
    let out = tempfile::tempdir().unwrap();
    let (loader, trainer) = (Doubles::of(model("base"), model("trained")), Recorder::new(usize::MAX));
    let sample =
        |id: String| Sample::new(&id, format!("What is row {id}?")).with_options(options.iter().copied());
    let labelled: Vec<Labeled> =
        (0..4).map(|n| Labeled { sample: sample(format!("l{n}")), answer: label.clone() }).collect();
    let unlabelled: Vec<Sample> = (0..200).map(|n: usize| sample(n.to_string())).collect();
    let method = toml::from_str::<MethodConfig>(METHOD).unwrap().build().unwrap();
    let evolved = seed_run(Parts::new(&loader, &trainer), out.path(), |run| {
        let run = SeedRun { task, ..run };
        run.evolve(&method, &labelled, &unlabelled, &[], &mut |_| ()).unwrap()
    });
    evolved.answers.iter().map(Result::unwrap).collect()
}

/// Each of three answers is given to a third of the rows by either, and the same one by both.
fn check(answers: &[Answers]) {
    assert_eq!(answers.len(), 200);
    let third = |rows: usize| (46..88).contains(&rows);
    for at in 0..2 {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for one in answers {
            *counts.entry(one.candidates[at].answer.as_ref().unwrap().to_string()).or_default() += 1;
        }
        assert!(counts.len() == 3 && counts.values().all(|rows| third(*rows)), "{counts:?}");
    }
    let alike = answers.iter().filter(|one| one.candidates[0].answer == one.candidates[1].answer).count();
    assert!(third(alike), "the same answer to {alike} rows");
}

#[test]
fn options_are_drawn_for_each_row_and_collaborator() {
    let flat = |id: &str| ScriptedModel::babbler(id).scoring(|_, _| -1.0);
    let options = ["bad", "fair", "good"];
    check(&answers(&ClosedSet::default(), &options, flat, &Answer::Choice(0)));
}

#[test]
fn responses_are_drawn_for_each_row_and_collaborator() {
    let says_any = |id: &str| {
        ScriptedModel::new(id, |request| {
            ["red", "green", "blue"][(request.seed.uniform() * 3.0) as usize].to_owned()
        })
    };
    check(&answers(&FreeText::default(), &[], says_any, &Answer::Text("red".into())));
}
