//! What the evolved model is taught: the labels, and what was kept as it was kept.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{Doubles, Recorder, asked, ids_in, labelled, sample, seed_run, unlabelled};
use semievol_core::{Answer, Labeled};
use semievol_data::{ClosedSet, Task};
use semievol_pipeline::{Answers, MethodConfig, Parts, PromptRecord, Selected, files};
use semievol_train::Example;
use std::collections::{BTreeMap, BTreeSet};

const METHOD: &str = r#"
neighbours = 2
retrieval = { kind = "bm25" }
warm = {}
collaborators = [
    { kind = "language_model", name = "warm" },
    { kind = "language_model", name = "base", model = "base", shots = 1 },
]
justify = { kind = "mixture" }
confidence = { kind = "mixture" }
select = SELECT
evolve = { shots = 2, label_share = 0.5, targets = "TARGETS" }
"#;

const HALF_OF_EACH: &str = r#"{ kind = "per_class", theta = 50 }"#;
const ALL_BY_WEIGHT: &str = r#"{ kind = "weighted" }"#;

/// The last training's lessons, and the files that say what they should be.
struct Taught {
    lessons: Vec<Example>,
    selection: Vec<Selected>,
    answers: Vec<Answers>,
    prompts: Vec<PromptRecord>,
}

fn taught(select: &str, targets: &str) -> Taught {
    let out = tempfile::tempdir().unwrap();
    let (loader, trainer) = (Doubles::new(), Recorder::new(usize::MAX));
    let method = METHOD.replace("SELECT", select).replace("TARGETS", targets);
    let method = toml::from_str::<MethodConfig>(&method).unwrap().build().unwrap();
    seed_run(Parts::new(&loader, &trainer), out.path(), |run| {
        run.evolve(&method, &labelled(), &unlabelled(), &[], &mut |_| ()).unwrap();
    });
    let file = |name: &str| out.path().join(name);
    Taught {
        lessons: trainer.into_jobs().into_iter().find(|job| job.name == "evolved").unwrap().examples,
        selection: files::read_jsonl(&file("selection.jsonl")).unwrap(),
        answers: files::read_jsonl(&file("candidates.jsonl")).unwrap(),
        prompts: files::read_jsonl(&file("prompts.jsonl")).unwrap(),
    }
}

impl Taught {
    fn kept(&self) -> Vec<&Selected> {
        self.selection.iter().filter(|one| one.accepted).collect()
    }

    /// The lesson of each unlabelled row, once the labels are found to be half of all and nothing else to be there.
    fn of_kept(&self) -> BTreeMap<String, &Example> {
        let task = ClosedSet::default();
        let (labels, n_kept) = (labelled(), self.kept().len());
        let repeats = n_kept.div_ceil(labels.len());
        assert!(repeats > 1);
        assert_eq!(self.lessons.len(), repeats * labels.len() + n_kept);
        for Labeled { sample, answer } in &labels {
            let plain = Example::new(task.prompt(sample, &[]), task.target(sample, answer));
            let times = self.lessons.iter().filter(|lesson| **lesson == plain).count();
            assert_eq!(times, repeats, "{}", sample.id);
        }
        let lessons = self.lessons.iter().map(|lesson| (asked(&lesson.prompt), lesson));
        let lessons: BTreeMap<_, _> = lessons.filter(|(id, _)| id.starts_with('U')).collect();
        let kept: BTreeSet<&String> = self.kept().into_iter().map(|one| &one.id).collect();
        assert_eq!(lessons.keys().collect::<BTreeSet<_>>(), kept);
        lessons
    }
}

#[test]
fn what_was_kept_is_taught_and_what_was_dropped_is_not() {
    let taught = taught(HALF_OF_EACH, "hard");
    let (task, lessons) = (ClosedSet::default(), taught.of_kept());
    assert!(lessons.len() < taught.selection.len() - 5);
    for last in taught.kept() {
        let target = task.target(&sample(last.id.clone()), last.answer.as_ref().unwrap());
        let said: Vec<(&str, f32)> = lessons[&last.id].responses().collect();
        assert_eq!(said, [(target.as_str(), 1.0_f32)], "{last:?}");
    }
}

#[test]
fn a_lesson_shows_the_nearest_neighbours_of_its_own_row() {
    let (task, labels) = (ClosedSet::default(), labelled());
    let label = |id: &String| labels.iter().find(|label| label.sample.id == *id).unwrap();
    let mut numbers = BTreeSet::new();
    for select in [HALF_OF_EACH, ALL_BY_WEIGHT] {
        let taught = taught(select, "hard");
        for (id, lesson) in taught.of_kept() {
            let [before @ .., _] = &lesson.prompt.messages[..] else { panic!("{lesson:?}") };
            let shown: Vec<String> = before.iter().flat_map(|message| ids_in(&message.content)).collect();
            let record = taught.prompts.iter().find(|record| record.id == id).unwrap();
            let nearest = record.neighbours.iter().take(shown.len()).map(|near| &near.id);
            let nearest: BTreeSet<&String> = nearest.collect();
            assert_eq!(shown.iter().collect::<BTreeSet<_>>(), nearest, "{id}");
            let shots: Vec<&Labeled> = shown.iter().map(label).collect();
            numbers.insert(shots.len());
            assert_eq!(lesson.prompt, task.prompt(&sample(id), &shots));
        }
    }
    assert_eq!(numbers, [0, 1, 2].into());
}

#[test]
fn a_lesson_weighs_what_the_selector_says() {
    let taught = taught(ALL_BY_WEIGHT, "hard");
    let lessons = taught.of_kept();
    assert_eq!(lessons.len(), taught.selection.len());
    for last in &taught.selection {
        assert!(last.weight < 0.99, "{last:?}");
        assert_eq!((lessons[&last.id].weight, lessons[&last.id].others.len()), (last.weight, 0));
    }
}

#[test]
fn a_soft_lesson_shares_its_weight_out_as_its_own_row_was_answered() {
    let task = ClosedSet::default();
    for select in [HALF_OF_EACH, ALL_BY_WEIGHT] {
        let taught = taught(select, "soft");
        let lessons = taught.of_kept();
        for last in taught.kept() {
            let answers = taught.answers.iter().find(|answers| answers.id == last.id).unwrap();
            let [warm, base] = &answers.candidates[..] else { panic!("{answers:?}") };
            let lesson = lessons[&last.id];
            let sample = sample(last.id.clone());
            assert_eq!(lesson.response, task.target(&sample, last.answer.as_ref().unwrap()));
            let said: BTreeMap<&str, f32> = lesson.responses().collect();
            assert_eq!(said.len(), 3, "{lesson:?}");
            for option in 0..3 {
                let mean = (warm.distribution[option] + base.distribution[option]) / 2.0;
                let found = said[task.target(&sample, &Answer::Choice(option)).as_str()];
                let expected = f64::from(last.weight) * mean;
                assert!((f64::from(found) - expected).abs() < 1e-6, "{lesson:?}: {expected}");
            }
        }
    }
}
