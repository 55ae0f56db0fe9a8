//! Which of the labelled rows test: whole groups, with whatever asks the same, and of each class its share.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{fixture, hub, minitask};
use semievol::core::Sample;
use semievol::model::{Adapter, LanguageModel, ModelError, ModelId, ModelLoader};
use semievol::train::{Example, Step, TrainError, TrainJob, Trainer};
use semievol::{Experiment, ExperimentConfig, Parts, Sets};
use semievol_testkit::{HashingTrainer, ScriptedModel};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};

const OPTIONS: [&str; 3] = ["no", "maybe", "yes"];

/// A quarter of 40 rows tests: 20 of the first class, 12 of the second, 8 of the third, and four of each document.
fn holding_out(folder: &Path, question: impl Fn(usize) -> String, columns: &str) -> Experiment {
    let row = |n: usize| {
        let class = [20, 32, 40].iter().position(|end| n < *end).unwrap();
        format!("{n},{},{},{}\n", question(n), OPTIONS[class], n / 4)
    };
    let rows: String = (0..40).map(row).collect();
    std::fs::write(folder.join("rows.csv"), format!("id,question,answer,document\n{rows}")).unwrap();
    let text = format!(
        "name = 'rows'\nmodel = 'none'\narms = ['sft']\n[data]\nlabelled = 'rows.csv'\nhold_out = 0.25\n[data.columns]\noptions = {{ fixed = {OPTIONS:?} }}\n{columns}\n"
    );
    let file = Path::new("rows.toml");
    ExperimentConfig::parse(&text, file).unwrap().with_data_root(folder).check(file).unwrap()
}

fn question(n: usize) -> String {
    format!("Is row {n} fine")
}

/// The question of a row; `twin` has that of `row`, in other letters and with other blanks.
fn with_twin(n: usize, row: usize, twin: usize) -> String {
    if n == twin { question(row).to_uppercase().replace(' ', "  ") } else { question(n) }
}

fn drawn(experiment: &Experiment, seed: u64) -> Sets {
    experiment.draw(seed, &hub(), &mut |_| ()).unwrap()
}

/// The numbers of the rows that train, and of those that test.
fn sides(sets: &Sets) -> [BTreeSet<usize>; 2] {
    let number = |sample: &Sample| sample.id.parse::<usize>().unwrap();
    [sets.labelled.iter().map(|one| number(&one.sample)).collect(), sets.test.iter().map(number).collect()]
}

/// Ten rows test, and of each class as many as its share is, but for one.
fn assert_shares(sets: &Sets) {
    assert_eq!(sets.test.len(), 10);
    for (class, share) in sets.sizes.test_classes.iter().zip([5_usize, 3, 2]) {
        assert!(class.rows.abs_diff(share) <= 1, "{:?}", sets.sizes.test_classes);
    }
}

#[test]
fn rows_that_stand_alone_keep_the_shares_of_the_classes() {
    let folder = tempfile::tempdir().unwrap();
    let experiment = holding_out(folder.path(), question, "");
    let mut tests = BTreeSet::new();
    for seed in 1..=20 {
        let sets = drawn(&experiment, seed);
        assert_shares(&sets);
        let [train, test] = sides(&sets);
        assert!(train.is_disjoint(&test) && train.len() == 30, "{seed}: {test:?}");
        tests.insert(test);
    }
    assert!(tests.len() > 10, "{tests:?}");
}

#[test]
fn no_group_stands_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let experiment = holding_out(folder.path(), question, "group = 'document'");
    for seed in 1..=20 {
        let sets = drawn(&experiment, seed);
        let [train, test] = sides(&sets).map(|rows| rows.iter().map(|n| n / 4).collect::<BTreeSet<_>>());
        assert!(train.is_disjoint(&test), "{seed}: {test:?}");
        // Ten rows are two documents and a half.
        assert_eq!((sets.test.len(), sets.labelled.len()), (8, 32));
        assert_eq!((sets.sizes.test_groups, sets.sizes.labelled_groups), (Some(2), Some(8)));
    }
}

/// Three rows of ten test, of the documents of `document`; some have no answer, and half of the others train.
fn with_documents(folder: &Path, document: impl Fn(usize) -> usize, unanswered: &[usize]) -> Experiment {
    let row = |n: usize| {
        let answer = if unanswered.contains(&n) { "" } else { ["no", "yes"][n % 2] };
        format!("{n},{},{answer},{}\n", question(n), document(n))
    };
    let rows: String = (0..100).map(row).collect();
    std::fs::write(folder.join("rows.csv"), format!("id,question,answer,document\n{rows}")).unwrap();
    let text = "name = 'rows'\nmodel = 'none'\narms = ['sft']\n[data]\nlabelled = 'rows.csv'\nhold_out = 0.3\ndraw = { labelled = 35 }\n[data.columns]\noptions = { fixed = ['no', 'yes'] }\ngroup = 'document'\n";
    let file = Path::new("rows.toml");
    ExperimentConfig::parse(text, file).unwrap().with_data_root(folder).check(file).unwrap()
}

#[test]
fn a_document_that_is_too_much_is_learnt_and_others_test_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    // One of 70 rows, and thirty of one.
    let experiment = with_documents(folder.path(), |n| n.saturating_sub(69), &[]);
    for seed in 1..=20 {
        assert_eq!(drawn(&experiment, seed).test.len(), 30);
    }
    // Two halves: the smaller one tests, though it is too much.
    let experiment = with_documents(folder.path(), |n| usize::from(n < 55), &[]);
    for seed in 1..=20 {
        assert_eq!(drawn(&experiment, seed).test.len(), 45);
    }
}

#[test]
fn rows_without_an_answer_do_not_test_and_tear_no_document() {
    let folder = tempfile::tempdir().unwrap();
    // The first row of each of twelve documents, and all of the last.
    let unanswered: Vec<usize> = (0..100).filter(|n| n % 8 == 0 || *n >= 96).collect();
    let experiment = with_documents(folder.path(), |n| n / 8, &unanswered);
    for seed in 1..=20 {
        let sets = drawn(&experiment, seed);
        let [train, test] = sides(&sets);
        assert_eq!((train.len(), test.len()), (35, 28), "{seed}");
        assert!(train.iter().chain(&test).all(|row| !unanswered.contains(row)), "{seed}");
        let [train, test] = [train, test].map(|rows| rows.iter().map(|n| n / 8).collect::<BTreeSet<_>>());
        assert!(train.is_disjoint(&test), "{seed}: {test:?}");
    }
}

#[test]
fn rows_that_ask_the_same_are_held_out_together() {
    let folder = tempfile::tempdir().unwrap();
    let pairs = [(0, 1), (10, 11), (20, 21), (30, 31)];
    let asked = |n: usize| {
        let pair = pairs.iter().find(|(_, twin)| n == *twin);
        pair.map_or_else(|| question(n), |(row, twin)| with_twin(n, *row, *twin))
    };
    let experiment = holding_out(folder.path(), asked, "");
    let mut whole = 0;
    for seed in 1..=20 {
        let sets = drawn(&experiment, seed);
        assert_shares(&sets);
        let [train, test] = sides(&sets);
        for (row, twin) in pairs {
            let apart = |one: &usize, other: &usize| train.contains(one) && test.contains(other);
            assert!(!apart(&row, &twin) && !apart(&twin, &row), "{seed}: {row} and {twin}");
            whole += usize::from(test.contains(&row) && test.contains(&twin));
        }
        assert_eq!(train.len() + test.len(), 40);
        // They are no groups: intervals go by rows.
        assert_eq!((sets.sizes.labelled_groups, sets.sizes.test_groups), (None, None));
    }
    assert!(whole > 0);
}

#[test]
fn groups_with_a_question_in_common_are_held_out_together() {
    let folder = tempfile::tempdir().unwrap();
    let experiment = holding_out(folder.path(), |n| with_twin(n, 0, 20), "group = 'document'");
    for seed in 1..=20 {
        let [train, test] = sides(&drawn(&experiment, seed)).map(|rows| {
            let document = |n: &usize| if n / 4 == 5 { 0 } else { n / 4 };
            rows.iter().map(document).collect::<BTreeSet<_>>()
        });
        assert!(train.is_disjoint(&test), "{seed}: {test:?}");
    }
}

struct Babbler;

impl ModelLoader for Babbler {
    fn load(&self, _: Option<&Adapter>) -> Result<Arc<dyn LanguageModel>, ModelError> {
        Ok(Arc::new(ScriptedModel::babbler("base")))
    }
}

/// Remembers what the oracle is taught.
struct Recorder {
    inner: HashingTrainer,
    taught: Mutex<Vec<Example>>,
}

impl Trainer for Recorder {
    fn id(&self) -> String {
        self.inner.id()
    }

    fn train(
        &self,
        job: &TrainJob<'_>,
        on_step: &mut dyn FnMut(&Step) -> ControlFlow<()>,
    ) -> Result<Adapter, TrainError> {
        if job.out.ends_with("oracle") {
            self.taught.lock().unwrap().extend_from_slice(job.examples);
        }
        self.inner.train(job, on_step)
    }
}

#[test]
fn unlabelled_rows_that_are_drawn_keep_their_own_gold_answers() {
    let mut config = minitask("arms = ['sft', 'oracle']").config().clone();
    config.data.draw.as_mut().unwrap().unlabelled = Some(7);
    let experiment = config.check(Path::new("minitask.toml")).unwrap();
    let sets = drawn(&experiment, 1);
    let ids: BTreeSet<&str> = sets.unlabelled.iter().map(|sample| sample.id.as_str()).collect();
    assert_eq!(ids.len(), 7);
    let trainer = Recorder { inner: HashingTrainer::new(ModelId::new("base")), taught: Mutex::default() };
    let out = tempfile::tempdir().unwrap();
    experiment.run(&hub(), Parts::new(&Babbler, &trainer), &mut |_| (), out.path()).unwrap();
    let taught = trainer.taught.into_inner().unwrap();
    let file = std::fs::read_to_string(fixture("minitask/unlabeled.jsonl")).unwrap();
    for line in file.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| row[name].as_str().unwrap();
        let asked = format!("{}\n", text("question"));
        let gold = row["options"]["ABC".find(text("answer")).unwrap()].as_str().unwrap();
        let asks = |example: &&Example| example.prompt.messages.last().unwrap().content.contains(&asked);
        let answers: Vec<&str> = taught.iter().filter(asks).map(|one| one.response.trim()).collect();
        let expected = if ids.contains(text("id")) { vec![gold] } else { Vec::new() };
        assert_eq!(answers, expected, "{line}");
    }
}
