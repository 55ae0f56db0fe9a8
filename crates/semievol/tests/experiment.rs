//! Whole experiments on the mini task: with the tiny model, and with doubles that know the answers.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{files, fixture, hub, minitask};
use semievol::core::{Answer, Prompt};
use semievol::data::{Cell, Dataset, DatasetConfig};
use semievol::engine::Engine;
use semievol::model::{Adapter, LanguageModel, ModelError, ModelId, ModelLoader};
use semievol::{Answered, Event, Experiment, ExperimentConfig, GainMethod, Parts, RunError, StageEvent};
use semievol_testkit::{HashingTrainer, ScriptedModel};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

fn engine() -> Engine {
    Engine::load(&fixture("tiny-llama")).unwrap()
}

#[test]
fn the_same_experiment_writes_the_same_files_twice() {
    let experiment = minitask("");
    let out = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut written = out.iter().map(|out| {
        let results = experiment.run(&hub(), engine().parts(), &mut |_| (), out.path()).unwrap();
        let folder = results.folder.file_name().unwrap().to_string_lossy().into_owned();
        (folder, files(&results.folder))
    });
    let (first, second) = (written.next().unwrap(), written.next().unwrap());
    let names: Vec<&str> = first.1.keys().map(String::as_str).collect();
    let expected = [
        "config.toml",
        "manifest.json",
        "metrics.json",
        "report.html",
        "seed-1/adapters.json",
        "seed-1/predictions-sft.jsonl",
        "seed-1/predictions-vanilla.jsonl",
        "seed-1/sft/adapter_config.json",
        "seed-1/sft/adapter_model.safetensors",
        "seed-1/sft/steps.jsonl",
        "seed-1/split.json",
        "seed-1/stages/predictions-sft.json",
        "seed-1/stages/predictions-vanilla.json",
        "seed-1/stages/sft.json",
        "table.md",
    ];
    assert_eq!(names, expected);
    assert!(first == second, "the two runs differ");
    // A third run into the first folder writes it again.
    experiment.run(&hub(), engine().parts(), &mut |_| (), out[0].path()).unwrap();
    assert!(files(&out[0].path().join(&first.0)) == first.1, "the run into the same folder differs");
}

#[test]
fn predictions_are_distributions_over_the_options() {
    let out = tempfile::tempdir().unwrap();
    let results = minitask("").run(&hub(), engine().parts(), &mut |_| (), out.path()).unwrap();
    for arm in ["vanilla", "sft"] {
        let text =
            std::fs::read_to_string(results.folder.join(format!("seed-1/predictions-{arm}.jsonl"))).unwrap();
        let answered: Vec<Answered> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(answered.len(), 15);
        for one in answered {
            let total: f64 = one.options.iter().map(|option| option.probability).sum();
            assert!((total - 1.0).abs() < 1e-9, "{one:?}");
            let Some(Answer::Choice(chosen)) = one.predicted else { panic!("{one:?}") };
            assert!(one.options.iter().all(|option| option.logprob <= one.options[chosen].logprob));
        }
    }
}

#[test]
fn tables_tell_how_much_of_each_class_and_category_is_right() {
    let out = tempfile::tempdir().unwrap();
    let mut config = minitask("").config().clone();
    config.data.columns.category = Some(Cell::Column("answer".into()));
    let experiment = config.check(Path::new("minitask.toml")).unwrap();
    let results = experiment.run(&hub(), engine().parts(), &mut |_| (), out.path()).unwrap();
    let table = results.to_markdown();
    for (by, names) in [("class", ["negative", "neutral", "positive"]), ("category", ["A", "B", "C"])] {
        let (_, part) = table.split_once(&format!("## by {by}\n")).unwrap();
        let rows: Vec<Vec<&str>> = part
            .lines()
            .skip_while(|line| !line.starts_with('|'))
            .take_while(|line| line.starts_with('|'))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        assert_eq!(rows[0], [by, "rows", "vanilla", "sft"]);
        assert_eq!(rows[2..].iter().map(|row| row[0]).collect::<Vec<_>>(), names);
        for (column, arm) in results.seeds[0].arms.iter().enumerate() {
            let right = |row: &Vec<&str>| {
                row[1].parse::<f64>().unwrap() * row[2 + column].parse::<f64>().unwrap() / 100.0
            };
            let sum: f64 = rows[2..].iter().map(right).sum();
            assert!((sum - arm.n_correct as f64).abs() < 0.05, "{by}, {}: {sum}", arm.arm);
        }
    }
}

#[test]
fn events_tell_the_order_of_the_stages() {
    let out = tempfile::tempdir().unwrap();
    let mut stages = Vec::new();
    let mut steps = 0;
    let mut on_event = |event: &Event| match event {
        Event::Stage { event: StageEvent::Begin(stage), .. } => {
            stages.push((stage.name.clone(), stage.unit.to_string(), stage.total));
        }
        Event::Stage { event: StageEvent::Step(_), .. } => steps += 1,
        Event::Drawn { sizes, .. } => {
            assert_eq!((sizes.labelled, sizes.unlabelled, sizes.test), (9, 30, 15));
            assert!(sizes.labelled_classes.iter().all(|class| class.rows > 0), "{sizes:?}");
        }
        _ => {}
    };
    minitask("").run(&hub(), engine().parts(), &mut on_event, out.path()).unwrap();
    let expected =
        [("predictions-vanilla", "prompts", 15), ("sft", "steps", 3), ("predictions-sft", "prompts", 15)];
    let expected = expected.map(|(name, unit, total)| (name.to_owned(), unit.to_owned(), total));
    assert_eq!((stages.as_slice(), steps), (expected.as_slice(), 3));
}

#[test]
fn the_written_configuration_runs_again() {
    let out = tempfile::tempdir().unwrap();
    let experiment = minitask("");
    let results = experiment.run(&hub(), engine().parts(), &mut |_| (), out.path()).unwrap();
    assert_eq!(Experiment::read(&results.folder.join("config.toml")).unwrap(), experiment);
}

#[test]
fn another_configuration_gets_another_folder() {
    let out = tempfile::tempdir().unwrap();
    let run = |more| minitask(more).run(&hub(), engine().parts(), &mut |_| (), out.path()).unwrap().folder;
    assert_ne!(run("arms = ['vanilla']"), run("arms = ['vanilla']\nseeds = [2]"));
    // Neither words nor the sizes of another run change anything.
    assert_eq!(run("arms = ['vanilla']"), run("arms = ['vanilla']\nquick = { test = 7 }"));
    assert_eq!(run("arms = ['vanilla']"), run("arms = ['vanilla']\ndescription = 'other words'"));
}

/// Gives one model for the base and another for every adapter.
struct Loader {
    base: Arc<ScriptedModel>,
    tuned: Arc<ScriptedModel>,
}

impl ModelLoader for Loader {
    fn load(&self, adapter: Option<&Adapter>) -> Result<Arc<dyn LanguageModel>, ModelError> {
        Ok(if adapter.is_some() { self.tuned.clone() } else { self.base.clone() })
    }
}

/// A loader whose base model always says the first option and whose tuned model is always right.
fn loader() -> Loader {
    let test = Dataset::read([fixture("minitask/test.csv")], &DatasetConfig::default()).unwrap();
    let gold: HashMap<String, String> = test
        .labeled()
        .unwrap()
        .into_iter()
        .map(|labeled| match labeled.answer {
            Answer::Choice(index) => (labeled.sample.question, labeled.sample.options[index].clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    let right = move |prompt: &Prompt, option: &str| {
        let asked = &prompt.messages.last().unwrap().content;
        let answer = gold.iter().find(|(question, _)| asked.contains(*question)).unwrap().1;
        if option.trim() == answer { -0.1 } else { -3.0 }
    };
    let first = |_: &Prompt, option: &str| if option.trim() == "negative" { -0.1 } else { -3.0 };
    Loader {
        base: Arc::new(ScriptedModel::babbler("base").scoring(first)),
        tuned: Arc::new(ScriptedModel::babbler("tuned").scoring(right)),
    }
}

#[test]
fn a_model_that_is_always_right_has_accuracy_1() {
    let out = tempfile::tempdir().unwrap();
    let (loader, trainer) = (loader(), HashingTrainer::new(ModelId::new("base")));
    let parts = Parts::new(&loader, &trainer);
    let results = minitask("").run(&hub(), parts, &mut |_| (), out.path()).unwrap();
    let [vanilla, sft] = results.seeds[0].arms.as_slice() else { panic!("{results:?}") };
    assert_eq!((vanilla.n_correct, sft.n_correct, sft.accuracy, sft.macro_f1), (5, 15, 1.0, Some(1.0)));
    let against = &vanilla.against.as_ref().unwrap().comparison;
    // Ten samples that only one gets right: twice 1 / 2^10.
    assert_eq!(against.mcnemar.p, 2.0 / 1024.0);
    let expected = "\
arm      accuracy  95% interval   macro-F1   gain  over      p
vanilla      33.3  [15.2, 58.3]       16.7  -66.7  sft   0.002
sft         100.0  [79.6, 100.0]     100.0
";
    assert_eq!(results.table().to_string(), expected);
    assert_eq!(
        results.sizes(),
        [
            "9 labelled (4 negative, 3 neutral, 2 positive), 30 unlabelled, 15 test (5 negative, 5 neutral, 5 positive)",
            "negative for every test row would be right in 33.3%",
            "overlap: no row stands twice",
        ]
    );
}

#[test]
fn seeds_that_share_their_test_rows_ask_the_base_model_once() {
    let out = tempfile::tempdir().unwrap();
    let (loader, trainer) = (loader(), HashingTrainer::new(ModelId::new("base")));
    let parts = Parts::new(&loader, &trainer);
    let results = minitask("seeds = [1, 2, 3]").run(&hub(), parts, &mut |_| (), out.path()).unwrap();
    // The double has one name for all adapters, and so its answers are shared, too.
    assert_eq!((loader.base.n_served(), loader.tuned.n_served()), (15, 15));
    let gain = results.summary[0].gain.clone().unwrap();
    assert_eq!((gain.mean, gain.method), (-2.0 / 3.0, GainMethod::RowsAndSeeds));
    let draws: Vec<_> = (1..=3)
        .map(|seed| files(&results.folder.join(format!("seed-{seed}")))["split.json"].clone())
        .collect();
    assert_ne!(draws[0], draws[1]);
    let table = results.table().to_string();
    assert_eq!(table.lines().count(), 1 + 6 + 2, "{table}");
}

#[test]
fn an_open_task_generates_and_parses() {
    let file = Path::new("open.toml");
    let out = tempfile::tempdir().unwrap();
    let data = out.path().join("sums.jsonl");
    let rows =
        (0..6).map(|n| format!("{{\"id\": \"{n}\", \"question\": \"{n} + 1?\", \"answer\": {}}}\n", n + 1));
    std::fs::write(&data, rows.collect::<String>()).unwrap();
    let text = format!(
        "name = 'sums'\nmodel = 'none'\narms = ['vanilla', 'sft']\n[data]\nsource = {data:?}\nsplit = {{ labelled = 2, test = 4 }}\n[task]\nkind = 'numeric'\n"
    );
    let experiment = ExperimentConfig::parse(&text, file).unwrap().check(file).unwrap();
    let says = |id, text: &'static str| Arc::new(ScriptedModel::new(id, move |_| text.to_owned()));
    let loader = Loader { base: says("m", "I cannot say"), tuned: says("m, tuned", " 3") };
    let trainer = HashingTrainer::new(ModelId::new("m"));
    let parts = Parts::new(&loader, &trainer);
    let results = experiment.run(&hub(), parts, &mut |_| (), out.path()).unwrap();
    let [vanilla, sft] = results.seeds[0].arms.as_slice() else { panic!("{results:?}") };
    assert_eq!((vanilla.n_correct, vanilla.n_unparsed, vanilla.macro_f1), (0, 4, None));
    // Of the six sums one makes 3.
    assert!(results.seeds[0].test_ids.iter().any(|id| id == "2"), "{:?}", results.seeds[0].test_ids);
    assert_eq!((sft.n_correct, sft.n_unparsed), (1, 0), "{sft:?}");
}

#[test]
fn a_prompt_that_does_not_fit_fails_alone_and_says_so() {
    let out = tempfile::tempdir().unwrap();
    let loader = loader();
    // The longest prompts need more.
    let base = Arc::new(ScriptedModel::babbler("base").with_max_context(42));
    let loader = Loader { base, ..loader };
    let trainer = HashingTrainer::new(ModelId::new("base"));
    let parts = Parts::new(&loader, &trainer);
    let mut notes = Vec::new();
    let mut on_event = |event: &Event| {
        if let Event::Note(note) = event {
            notes.push(note.clone());
        }
    };
    let results = minitask("").run(&hub(), parts, &mut on_event, out.path()).unwrap();
    let vanilla = &results.seeds[0].arms[0];
    assert!(vanilla.n_unparsed > 0 && vanilla.n_unparsed < 15, "{vanilla:?}");
    assert!(notes.iter().any(|note| note.contains("of 15 prompts did not fit")), "{notes:?}");
}

#[test]
fn a_model_that_cannot_score_is_refused_before_anything_is_written_for_a_seed() {
    let out = tempfile::tempdir().unwrap();
    let base = Arc::new(ScriptedModel::babbler("server").without_scores());
    let loader = Loader { base, ..loader() };
    let trainer = HashingTrainer::new(ModelId::new("server"));
    let parts = Parts::new(&loader, &trainer);
    let error = minitask("").run(&hub(), parts, &mut |_| (), out.path()).unwrap_err();
    assert!(matches!(error, RunError::Assembly(_)), "{error}");
    assert_eq!(
        error.to_string(),
        "server cannot score, and task.kind = \"closed_set\" compares the options' probabilities: take another model"
    );
}

#[test]
fn a_row_in_two_sets_is_reported() {
    let out = tempfile::tempdir().unwrap();
    let row = |id: &str, question: &str, answer: &str| format!("{id},{question},{answer}\n");
    let head = "id,question,answer\n".to_owned();
    let write =
        |name: &str, rows: String| std::fs::write(out.path().join(name), head.clone() + &rows).unwrap();
    write("train.csv", row("a", "A fine film.", "yes") + &row("b", "A dull film.", "no"));
    write("test.csv", row("c", "a  fine film", "yes") + &row("d", "A long film.", "no"));
    let file = Path::new("twice.toml");
    let text = "name = 'twice'\nmodel = 'none'\n[data]\nlabelled = 'train.csv'\ntest = 'test.csv'\n[data.columns]\noptions = { fixed = ['no', 'yes'] }";
    let config = ExperimentConfig::parse(text, file).unwrap().with_data_root(out.path());
    let loader = Loader { base: Arc::new(ScriptedModel::babbler("m")), ..loader() };
    let loader = Loader { tuned: loader.base.clone(), ..loader };
    let trainer = HashingTrainer::new(ModelId::new("m"));
    let parts = Parts::new(&loader, &trainer);
    let results = config.check(file).unwrap().run(&hub(), parts, &mut |_| (), out.path()).unwrap();
    assert_eq!(results.seeds[0].overlap.count("labelled", "test"), 1);
    assert_eq!(results.sizes()[2], "overlap: 1 row in labelled and test: a = c");
}

/// A kill is played by a panic between two steps: nothing of the run's own code gets to clean up.
#[test]
fn a_run_that_was_killed_in_training_goes_on_and_ends_with_the_same_files() {
    let mut config = minitask("").config().clone();
    (config.train.max_steps, config.train.checkpoint_every) = (9, 2);
    let experiment = config.check(Path::new("minitask.toml")).unwrap();
    let [whole, broken] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let expected = experiment.run(&hub(), engine().parts(), &mut |_| (), whole.path()).unwrap();
    let killed = std::panic::catch_unwind(|| {
        let mut kill = |event: &Event| {
            if let Event::Stage { event: StageEvent::Step(step), .. } = event {
                assert!(step.step < 5, "killed");
            }
        };
        experiment.run(&hub(), engine().parts(), &mut kill, broken.path())
    });
    assert!(killed.is_err());
    let mut steps = Vec::new();
    let mut watch = |event: &Event| {
        if let Event::Stage { event: StageEvent::Step(step), .. } = event {
            steps.push(step.step);
        }
    };
    let results = experiment.run(&hub(), engine().parts(), &mut watch, broken.path()).unwrap();
    assert_eq!(steps, [4, 5, 6, 7, 8], "from the last checkpoint on");
    assert!(files(&results.folder) == files(&expected.folder), "the files differ");
}

#[test]
fn weights_in_half_the_memory_are_another_model_and_recomputing_changes_nothing() {
    let run = |engine: &str| {
        let mut config = minitask("").config().clone();
        config.engine = toml::from_str(engine).unwrap();
        let experiment = config.check(Path::new("minitask.toml")).unwrap();
        let out = tempfile::tempdir().unwrap();
        let engine = Engine::open(&experiment, &hub(), &mut |_| ()).unwrap();
        let results = experiment.run(&hub(), engine.parts(), &mut |_| (), out.path()).unwrap();
        let adapter = results.folder.join("seed-1/sft/adapter_model.safetensors");
        (
            results.folder.file_name().unwrap().to_owned(),
            results.model.clone(),
            std::fs::read(adapter).unwrap(),
        )
    };
    let plain = run("");
    assert!(run("recompute = true") == plain);
    let half = run("stored = 'bf16'");
    assert!(half.0 != plain.0 && half.1 != plain.1);
}
