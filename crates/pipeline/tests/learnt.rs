//! What each training of a seed is given to learn: nobody learns what it is asked about later, gold answers are the oracle's
//! alone, and what was pretrained is gone on from.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{Doubles, Job, Recorder, ids_in, labelled, seed_run, text, unlabelled};
use semievol_core::{Answer, Labeled, Seed};
use semievol_data::{ClosedSet, Task};
use semievol_pipeline::{Answers, Method, MethodConfig, Parts, SeedRun};
use semievol_select::SelectError;
use semievol_select::classify::{Classifier, Rows, Taught};
use semievol_train::Recipe;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Ids of all samples that stand in a job, as questions or as neighbours.
fn ids_of(job: &Job) -> BTreeSet<String> {
    job.examples.iter().flat_map(|example| ids_in(&text(example))).collect()
}

/// A classifier that remembers whom it was taught and whom it was asked about.
#[derive(Default)]
struct Pupil {
    lessons: Mutex<Vec<[BTreeSet<String>; 2]>>,
}

impl Classifier for Pupil {
    fn id(&self) -> String {
        "pupil".to_owned()
    }

    fn classify(&self, taught: &Taught<'_>, asked: &Rows<'_>, _: Seed) -> Result<Vec<Vec<f64>>, SelectError> {
        let ids = |rows: &Rows<'_>| rows.samples.iter().map(|sample| sample.id.clone()).collect();
        self.lessons.lock().unwrap().push([ids(&taught.rows), ids(asked)]);
        Ok(vec![vec![0.5, 0.3, 0.2]; asked.samples.len()])
    }
}

/// The jobs of what is done with a seed.
fn jobs(out: &Path, paraphrases: &[Box<dyn Task>], work: impl FnOnce(&SeedRun<'_>)) -> Vec<Job> {
    let (loader, trainer) = (Doubles::new(), Recorder::new(usize::MAX));
    seed_run(Parts::new(&loader, &trainer), out, |run| work(&SeedRun { paraphrases, ..run }));
    trainer.into_jobs()
}

fn method(more: &str) -> Method {
    let text = format!(
        r#"
        neighbours = 2
        retrieval = {{ kind = "bm25" }}
        justify = {{ kind = "mixture" }}
        confidence = {{ kind = "mixture" }}
        select = {{ kind = "per_class", theta = 50 }}
        {more}
        "#
    );
    toml::from_str::<MethodConfig>(&text).unwrap().build().unwrap()
}

#[test]
fn a_fold_is_asked_of_models_that_have_not_seen_it() {
    let out = tempfile::tempdir().unwrap();
    let pupil = Arc::new(Pupil::default());
    let method = method(
        r#"
        warm = { shots = 1 }
        folds = 3
        probe = true
        collaborators = [
            { kind = "language_model", name = "warm", shots = 1 },
            { kind = "own", name = "pupil" },
        ]
        evolve = {}
        "#,
    )
    .with_classifier("pupil", pupil.clone());
    let jobs = jobs(out.path(), &[], |run| {
        run.evolve(&method, &labelled(), &unlabelled(), &[], &mut |_| ()).unwrap();
    });
    let all: BTreeSet<String> = labelled().into_iter().map(|one| one.sample.id).collect();
    let mut met = 0;
    for fold in 0..3 {
        let file = std::fs::read_to_string(out.path().join(format!("candidates-fold-{fold}.jsonl"))).unwrap();
        let asked: BTreeSet<String> =
            file.lines().map(|line| serde_json::from_str::<Answers>(line).unwrap().id).collect();
        met += asked.len();
        let job = jobs.iter().find(|job| job.name == format!("fold-{fold}")).unwrap();
        let learnt: BTreeSet<String> = all.difference(&asked).cloned().collect();
        assert_eq!(ids_of(job), learnt, "fold {fold} is asked about {asked:?}");
        // Some show a neighbour, which is none of the fold's either.
        assert!(job.examples.iter().any(|example| ids_in(&text(example)).len() > 1));
    }
    assert_eq!(met, all.len());
    let lessons = pupil.lessons.lock().unwrap();
    assert!(lessons.iter().any(|[_, asked]| asked.iter().any(|id| id.starts_with('L'))));
    for [taught, asked] in lessons.iter() {
        assert!(taught.is_disjoint(asked) && taught.len() >= 8, "taught {taught:?}, asked {asked:?}");
    }
}

#[test]
fn the_oracle_learns_the_labels_and_every_gold_answer() {
    let out = tempfile::tempdir().unwrap();
    let collaborators = r#"collaborators = [{ kind = "language_model", name = "warm" }]"#;
    let method = method(&format!("warm = {{}}\n{collaborators}\nevolve = {{}}"));
    let gold: Vec<Labeled> = unlabelled()
        .into_iter()
        .enumerate()
        .map(|(n, sample)| Labeled { sample, answer: Answer::Choice(n * n % 3) })
        .collect();
    let jobs = jobs(out.path(), &[], |run| {
        run.train_on_gold("oracle", &method.config, &labelled(), &gold, &mut |_| ()).unwrap();
    });
    let [oracle] = &jobs[..] else { panic!("{}", jobs.len()) };
    assert_eq!(oracle.examples.len(), 42);
    for one in labelled().iter().chain(&gold) {
        let target = ClosedSet::default().target(&one.sample, &one.answer);
        let mark = format!("[{}]", one.sample.id);
        let taught: Vec<&str> = oracle
            .examples
            .iter()
            .filter(|example| text(example).contains(&mark))
            .map(|example| example.response.as_str())
            .collect();
        assert_eq!(taught, [target.as_str()], "{mark}");
    }
}

#[test]
fn all_that_learn_labels_go_on_from_what_was_pretrained() {
    let out = tempfile::tempdir().unwrap();
    let method = method(
        r#"
        warm = {}
        folds = 2
        probe = true
        ensemble = 2
        pretrain = { lr = 3e-4 }
        collaborators = [
            { kind = "language_model", name = "warm" },
            { kind = "language_model", name = "other", model = "ensemble" },
        ]
        evolve = {}
        "#,
    );
    let jobs = jobs(out.path(), &[], |run| {
        run.evolve(&method, &labelled(), &unlabelled(), &[], &mut |_| ()).unwrap();
    });
    let (first, others) = jobs.split_first().unwrap();
    assert_eq!((first.from.as_ref(), first.lr, first.examples.len()), (None, 3e-4, 42));
    let names: BTreeSet<&str> = others.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["ensemble-1", "evolved", "fold-0", "fold-1", "warm"].into());
    for job in others {
        assert!(job.from.is_some() && job.from == others[0].from, "{}", job.name);
        assert_eq!(job.lr, Recipe::default().lr, "{}", job.name);
    }
}

#[test]
fn pseudo_labels_are_taught_in_other_words_and_labels_in_the_tasks_own() {
    let task = |instruction: &str| -> Box<dyn Task> {
        Box::new(ClosedSet { instruction: Some(instruction.to_owned()), ..ClosedSet::default() })
    };
    let words = [task("Which one?"), task("Choose.")];
    let collaborators = r#"collaborators = [{ kind = "language_model", name = "warm" }]"#;
    let method = method(&format!("warm = {{}}\n{collaborators}\nevolve = {{ paraphrase = true }}"));
    let run = || {
        let out = tempfile::tempdir().unwrap();
        let jobs = jobs(out.path(), &words, |run| {
            run.evolve(&method, &labelled(), &unlabelled(), &[], &mut |_| ()).unwrap();
        });
        jobs.into_iter().find(|job| job.name == "evolved").unwrap().examples
    };
    let lessons = run();
    let mut met = BTreeSet::new();
    for lesson in &lessons {
        let text = text(lesson);
        let way = ["Answer the multiple-choice question", "Which one?", "Choose."]
            .iter()
            .position(|start| text.starts_with(start))
            .unwrap_or_else(|| panic!("{text}"));
        assert!(way == 0 || text.contains("[U"), "{text}");
        met.insert(way);
    }
    assert_eq!(met, [0, 1, 2].into());
    assert_eq!(lessons, run());
}
