//! Whoever is shown some of the neighbours is shown the nearest, in their order; where that is too long, the farthest go first.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{Doubles, Recorder, length, seed_run};
use semievol_core::{Answer, Labeled, Prompt, Role, Sample};
use semievol_pipeline::{Answers, Method, MethodConfig, Parts, PromptRecord, files};
use semievol_testkit::ScriptedModel;
use semievol_train::Example;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const WORDS: [&str; 5] = ["dull", "witty", "long", "tender", "loud"];

fn method() -> Method {
    let text = r#"
        neighbours = 3
        retrieval = { kind = "bm25" }
        warm = { shots = 2 }
        confidence_shots = 1
        collaborators = [
            { kind = "language_model", name = "warm, two", shots = 2 },
            { kind = "language_model", name = "base, three", model = "base", shots = 3 },
            { kind = "language_model", name = "base, one", model = "base", shots = 1 },
        ]
        justify = { kind = "mixture" }
        confidence = { kind = "mean_nll" }
        select = { kind = "all" }
        evolve = {}
    "#;
    toml::from_str::<MethodConfig>(text).unwrap().build().unwrap()
}

/// A question that says which sample it is, so that prompts do.
fn sample(id: String, word: usize, longer: usize) -> Sample {
    let question = format!("A {} film{} [{id}]", WORDS[word % 5], " and more".repeat(longer));
    Sample::new(id, question).with_options(["bad", "fair", "good"])
}

fn labelled() -> Vec<Labeled> {
    let label =
        |n: usize| Labeled { sample: sample(format!("L{n}"), n, n % 4), answer: Answer::Choice(n % 3) };
    (0..12).map(label).collect()
}

fn unlabelled() -> Vec<Sample> {
    (0..20).map(|n| sample(format!("U{n}"), n, 0)).collect()
}

/// Which sample a prompt asks about, and those that it shows.
fn asked_and_shown(prompt: &Prompt) -> (String, Vec<String>) {
    let ids = |role: Role| {
        let texts = prompt.messages.iter().filter(|message| message.role == role);
        let marks = texts.flat_map(|message| message.content.split('[').skip(1));
        marks.filter_map(|rest| Some(rest.split_once(']')?.0.to_owned())).collect::<Vec<_>>()
    };
    (ids(Role::User).remove(0), ids(Role::System))
}

type Prompts = Arc<Mutex<Vec<Prompt>>>;

/// Holds so many tokens, and remembers the prompts that fit.
fn recording(id: &str, limit: usize) -> (ScriptedModel, Prompts) {
    let prompts = Prompts::default();
    let kept = prompts.clone();
    let score = move |prompt: &Prompt, option: &str| {
        if option == " A" {
            kept.lock().unwrap().push(prompt.clone());
        }
        -1.0
    };
    (ScriptedModel::babbler(id).scoring(score).with_max_context(limit), prompts)
}

/// What was asked about the unlabelled samples.
struct Asked {
    base: Prompts,
    trained: Prompts,
    answers: Vec<Answers>,
    /// Of each sample, the nearest first.
    neighbours: BTreeMap<String, Vec<String>>,
}

/// Asks a base model that holds so many tokens.
fn ask(limit: usize) -> Asked {
    let out = tempfile::tempdir().unwrap();
    let ((base, of_base), (trained, of_trained)) =
        (recording("base", limit), recording("trained", usize::MAX));
    let (loader, trainer) = (Doubles::of(base, trained), Recorder::new(usize::MAX));
    let evolved = seed_run(Parts::new(&loader, &trainer), out.path(), |run| {
        run.evolve(&method(), &labelled(), &unlabelled(), &[], &mut |_| ()).unwrap()
    });
    let records: Vec<PromptRecord> = files::read_jsonl(&out.path().join("prompts.jsonl")).unwrap();
    let of = |record: PromptRecord| (record.id, record.neighbours.into_iter().map(|near| near.id).collect());
    Asked {
        base: of_base,
        trained: of_trained,
        answers: evolved.answers.iter().map(Result::unwrap).collect(),
        neighbours: records.into_iter().map(of).collect(),
    }
}

/// How many of the neighbours each sample was shown with, ascending, once they are found to be the nearest.
fn counts(prompts: &Prompts, neighbours: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<usize>> {
    let mut counts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for prompt in prompts.lock().unwrap().iter() {
        let (asked, shown) = asked_and_shown(prompt);
        assert_eq!(shown, neighbours[&asked][..shown.len()], "of {asked}");
        counts.entry(asked).or_default().push(shown.len());
    }
    counts.values_mut().for_each(|counts| counts.sort_unstable());
    counts
}

#[test]
fn collaborators_and_confidence_are_shown_the_nearest() {
    let asked = ask(usize::MAX);
    let all = |shown: [usize; 2]| -> BTreeMap<String, Vec<usize>> {
        unlabelled().into_iter().map(|one| (one.id, shown.to_vec())).collect()
    };
    assert_eq!(counts(&asked.base, &asked.neighbours), all([1, 3]));
    assert_eq!(counts(&asked.trained, &asked.neighbours), all([1, 2]));
}

#[test]
fn a_prompt_that_does_not_fit_loses_the_farthest_first() {
    let wide = ask(usize::MAX);
    let words = |prompt: &Prompt| -> usize {
        // With the names of both roles, the beginning of the response, and an option with its end.
        5 + prompt.messages.iter().map(|message| message.content.split_whitespace().count()).sum::<usize>()
    };
    let longest: Vec<usize> = (wide.base.lock().unwrap().iter())
        .filter(|prompt| asked_and_shown(prompt).1.len() == 3)
        .map(words)
        .collect();
    let limit = (longest.iter().min().unwrap() + longest.iter().max().unwrap()) / 2;
    let narrow = ask(limit);
    assert_eq!(narrow.neighbours, wide.neighbours);
    let counts = counts(&narrow.base, &narrow.neighbours);
    for answers in &narrow.answers {
        let mut said: Vec<usize> = answers.candidates[1..].iter().map(|candidate| candidate.shots).collect();
        said.sort_unstable();
        assert_eq!(counts[&answers.id], said, "of {}", answers.id);
    }
    for most in [2, 3] {
        assert!(counts.values().any(|counts| *counts == [1, most]), "{counts:?}");
    }
}

/// The neighbours of each label, the nearest first.
fn neighbours_of_labels() -> BTreeMap<String, Vec<String>> {
    let (out, loader, trainer) = (tempfile::tempdir().unwrap(), Doubles::new(), Recorder::new(usize::MAX));
    let (labelled, method) = (labelled(), method());
    seed_run(Parts::new(&loader, &trainer), out.path(), |run| {
        let retrieval = &method.config.retrieval;
        let library = run.library(&labelled, &[], Some(retrieval), false, &mut |_| ()).unwrap();
        let found = library.leave_one_out(labelled.len(), 3).unwrap();
        let id = |one: &Labeled| one.sample.id.clone();
        let shown = found.iter().map(|hits| library.shots(hits).into_iter().map(id).collect());
        labelled.iter().map(id).zip(shown).collect()
    })
}

/// What the warm model learns of a trainer that holds so many characters.
fn warm_lessons(limit: usize) -> Vec<Example> {
    let (out, loader, trainer) = (tempfile::tempdir().unwrap(), Doubles::new(), Recorder::new(limit));
    seed_run(Parts::new(&loader, &trainer), out.path(), |run| {
        run.evolve(&method(), &labelled(), &unlabelled(), &[], &mut |_| ()).unwrap();
    });
    trainer.into_jobs().into_iter().rfind(|job| job.name == "warm").unwrap().examples
}

#[test]
fn the_warm_model_learns_with_the_nearest_and_a_lesson_loses_the_farthest_first() {
    let nearest = neighbours_of_labels();
    let shown = |lesson: &Example| {
        let (asked, shown) = asked_and_shown(&lesson.prompt);
        assert_eq!(shown, nearest[&asked][..shown.len()], "of {asked}");
        shown.len()
    };
    let wide = warm_lessons(usize::MAX);
    let expected: Vec<usize> = [0, 1, 2].into_iter().flat_map(|shown| [shown; 12]).collect();
    assert_eq!(wide.iter().map(shown).collect::<Vec<_>>(), expected);
    let limit = wide.iter().filter(|lesson| shown(lesson) < 2).map(length).max().unwrap();
    let shorter = |lesson: &Example| if length(lesson) > limit { 1 } else { shown(lesson) };
    let expected: Vec<usize> = wide.iter().map(shorter).collect();
    assert!(expected.iter().filter(|shown| **shown == 1).count() > 12, "{expected:?}");
    assert_eq!(warm_lessons(limit).iter().map(shown).collect::<Vec<_>>(), expected);
}
