//! The whole method on the mini task: twice, killed, resumed, with doubles, with parts of one's own.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{engine, files, hub, minitask, rows, without_answers};
use semievol::core::{Answer, Prompt};
use semievol::data::{AnswerForm, ClosedSet, TaskConfig};
use semievol::model::{Adapter, LanguageModel, ModelError, ModelId, ModelLoader};
use semievol::pipeline::{Answers, Justified, PromptRecord, Selected, Verdict};
use semievol::select::{Decision, Pool, SelectError, Selection, Selector};
use semievol::{Event, Experiment, ExperimentConfig, Parts, Results, StageEvent};
use semievol_testkit::{HashingEmbedder, HashingTrainer, ScriptedModel};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

const ALL: &str = "arms = ['vanilla', 'in_context', 'sft', 'sft_matched', 'semievol']";

fn with_method(method: &str) -> Experiment {
    let mut config = minitask(ALL).config().clone();
    config.train.checkpoint_every = 1;
    common::with_method(&config.check(Path::new("minitask.toml")).unwrap(), method)
}

#[test]
fn every_stage_leaves_its_artefact_and_a_second_run_the_same_bytes() {
    for preset in ["default", "paper"] {
        let experiment = with_method(&format!("preset = '{preset}'"));
        let out = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [first, second] = out.each_ref().map(|out| {
            let results = experiment.run(&hub(), engine().parts(), &mut |_| (), out.path()).unwrap();
            files(&results.folder)
        });
        let expected = [
            "config.toml",
            "manifest.json",
            "metrics.json",
            "report.html",
            "seed-1/candidates.jsonl",
            "seed-1/confidence.jsonl",
            "seed-1/evolved/adapter_model.safetensors",
            "seed-1/justified.jsonl",
            "seed-1/predictions-in_context.jsonl",
            "seed-1/predictions-semievol.jsonl",
            "seed-1/predictions-sft.jsonl",
            "seed-1/predictions-sft_matched.jsonl",
            "seed-1/predictions-vanilla.jsonl",
            "seed-1/prompts.jsonl",
            "seed-1/selection.jsonl",
            "seed-1/stages/evolved.json",
            "seed-1/to-label.csv",
            "seed-1/warm/adapter_model.safetensors",
            "table.md",
        ];
        for file in expected {
            assert!(first.contains_key(file), "{preset}: {file} is missing of {:?}", first.keys());
        }
        assert!(
            !first.keys().any(|file| [".journal", ".tmp", ".part"].iter().any(|end| file.ends_with(end)))
        );
        assert!(first == second, "{preset}: the two runs differ");
    }
}

/// Runs until the given event (a kill is played by a panic: nothing of the run's own code gets to clean up) and
/// counts the work that was done.
fn run_until(experiment: &Experiment, parts: Parts<'_>, out: &Path, stop: usize) -> (Option<Results>, usize) {
    let mut seen = 0;
    let run = std::panic::AssertUnwindSafe(|| {
        let mut on_event = |_: &Event| {
            seen += 1;
            assert!(seen <= stop, "killed");
        };
        experiment.run(&hub(), parts, &mut on_event, out).unwrap()
    });
    let results = std::panic::catch_unwind(run).ok();
    (results, seen)
}

#[test]
fn killed_at_twenty_points_over_all_stages_it_ends_with_the_same_bytes() {
    let experiment = with_method("preset = 'paper'");
    let engine = engine();
    let whole = tempfile::tempdir().unwrap();
    let (expected, n_events) = run_until(&experiment, engine.parts(), whole.path(), usize::MAX);
    let expected = files(&expected.unwrap().folder);
    let mut met = BTreeSet::new();
    for point in 0..20 {
        let out = tempfile::tempdir().unwrap();
        let stop = (point * n_events) / 20;
        let (none, _) = run_until(&experiment, engine.parts(), out.path(), stop);
        assert!(none.is_none(), "event {stop} of {n_events} did not kill it");
        met.extend(files(out.path()).into_keys());
        let mut kept = 0;
        let mut on_event = |event: &Event| {
            kept += usize::from(matches!(event, Event::Stage { event: StageEvent::Kept(_), .. }));
        };
        let results = experiment.run(&hub(), engine.parts(), &mut on_event, out.path()).unwrap();
        assert!(files(&results.folder) == expected, "killed at event {stop} of {n_events}: other files");
        assert!(kept > 0 || point < 4, "killed at event {stop} of {n_events}: nothing was kept");
    }
    // The points fell into trainings and answerings alike.
    assert!(
        met.iter().any(|file| file.ends_with("checkpoint.safetensors") || file.contains("checkpoint")),
        "{met:?}"
    );
    assert!(met.iter().any(|file| file.ends_with(".journal")), "{met:?}");
}

/// Gives one model for the base and another for every adapter.
struct Loader {
    base: Arc<ScriptedModel>,
    tuned: Arc<ScriptedModel>,
}

impl ModelLoader for Loader {
    fn load(&self, adapter: Option<&Adapter>) -> Result<Arc<dyn LanguageModel>, ModelError> {
        let model = if adapter.is_some() { &self.tuned } else { &self.base };
        Ok(model.clone())
    }
}

impl Loader {
    /// The tuned model knows by the remark's length; the base model says `negative`.
    fn opinionated() -> Self {
        let tuned = |prompt: &Prompt, option: &str| {
            let options = ["negative", "neutral", "positive"];
            let said = prompt.messages.last().unwrap().content.len() % 3;
            if option.contains(options[said]) { -0.2 } else { -2.5 }
        };
        let base = |_: &Prompt, option: &str| if option.contains("negative") { -0.3 } else { -2.0 };
        Loader {
            base: Arc::new(ScriptedModel::babbler("base").scoring(base)),
            tuned: Arc::new(ScriptedModel::babbler("tuned").scoring(tuned)),
        }
    }

    fn served(&self) -> usize {
        self.base.n_served() + self.tuned.n_served()
    }
}

/// Runs with doubles.
fn run(experiment: &Experiment, loader: &Loader, out: &Path, on_event: &mut dyn FnMut(&Event)) -> Results {
    let trainer = HashingTrainer::new(ModelId::new("base"));
    let (embedder, id) = (HashingEmbedder::new(32), ModelId::new("hashing"));
    let parts = Parts::new(loader, &trainer).with_embedder(&id, &embedder);
    experiment.run(&hub(), parts, on_event, out).unwrap()
}

#[test]
fn no_question_is_asked_twice_and_no_step_taken_twice_however_often_it_is_killed() {
    let experiment = with_method("preset = 'paper'");
    let whole = tempfile::tempdir().unwrap();
    let loader = Loader::opinionated();
    let mut steps = 0;
    let mut count = |event: &Event| {
        if let Event::Stage { event: StageEvent::Step(_), .. } = event {
            steps += 1;
        }
    };
    let expected = files(&run(&experiment, &loader, whole.path(), &mut count).folder);
    let (served, total_steps) = (loader.served(), steps);

    // Killed after every fifth event, until it gets through.
    let out = tempfile::tempdir().unwrap();
    let loader = Loader::opinionated();
    let (mut steps, mut kills) = (0, 0);
    let results = loop {
        let attempt = std::panic::AssertUnwindSafe(|| {
            let mut progress = 0;
            run(&experiment, &loader, out.path(), &mut |event| {
                if let Event::Stage { event, .. } = event {
                    steps += usize::from(matches!(event, StageEvent::Step(_)));
                    progress +=
                        usize::from(matches!(event, StageEvent::Progress { .. } | StageEvent::Step(_)));
                    assert!(progress < 5, "killed");
                }
            })
        });
        match std::panic::catch_unwind(attempt) {
            Ok(results) => break results,
            Err(_) => kills += 1,
        }
        assert!(kills < 1000, "it never gets through");
    };
    assert!(kills > 20, "{kills}");
    // A batch of disputes is decided at once: a kill loses at most one of them.
    assert_eq!((loader.served(), steps), (served, total_steps));
    assert!(files(&results.folder) == expected, "other files");
}

/// Four collaborators ask 30 prompts each; what the warm model makes of a prompt without neighbours serves the
/// first collaborator and the confidence, and a question of two collaborators is one.
#[test]
fn what_collaborators_share_is_asked_once() {
    let candidates = |method: &str| {
        let out = tempfile::tempdir().unwrap();
        let mut total = None;
        run(&with_method(method), &Loader::opinionated(), out.path(), &mut |event| match event {
            Event::Stage { event: StageEvent::Begin(stage), .. } if stage.name == "candidates" => {
                total = Some(stage.total);
            }
            _ => {}
        });
        total.unwrap()
    };
    assert_eq!(candidates("preset = 'paper'"), 4 * 30);
    assert_eq!(candidates("preset = 'paper'\nconfidence_shots = 1"), 5 * 30);
    let one = "kind = 'language_model', model = 'warm', shots = 1";
    let two =
        format!("collaborators = [{{ {one}, name = 'a' }}, {{ {one}, temperature = 0.0, name = 'b' }}]");
    assert_eq!(candidates(&format!("preset = 'paper'\n{two}\nconfidence_shots = 1")), 30);
}

/// Eq. 6 is about the final answer, whoever gave it, and no other.
#[test]
fn confidence_is_that_of_the_final_answer() {
    let out = tempfile::tempdir().unwrap();
    let method = "preset = 'paper'\njustify = { kind = 'mixture' }";
    let results = common::run_tiny(&with_method(method), out.path(), &mut |_| ());
    let answers: Vec<Answers> = rows(&results, "candidates.jsonl");
    let selected: Vec<Selected> = rows(&results, "selection.jsonl");
    let mut others = 0;
    for (answers, selected) in answers.iter().zip(&selected) {
        let Some(Answer::Choice(own)) = selected.answer else { continue };
        let tokens = &answers.warm.as_ref().unwrap()[own];
        let mean = tokens.iter().map(|token| f64::from(token.logprob)).sum::<f64>() / tokens.len() as f64;
        assert!((selected.confidence.unwrap().value() - mean).abs() < 1e-9, "{selected:?} {mean}");
        others += usize::from(answers.candidates[0].answer != selected.answer);
    }
    assert!(others > 0, "the first collaborator's is always the final one");
}

#[test]
fn the_rows_to_label_next_are_the_least_sure_and_no_question_twice() {
    let out = tempfile::tempdir().unwrap();
    let experiment = with_method("preset = 'default'");
    let results = run(&experiment, &Loader::opinionated(), out.path(), &mut |_| ());
    let queue = std::fs::read(results.folder.join("seed-1/to-label.csv")).unwrap();
    assert!(queue.starts_with("\u{feff}rank,".as_bytes()), "spreadsheets ask for the mark");
    let mut file = csv::Reader::from_reader(queue.as_slice());
    let queue: Vec<csv::StringRecord> = file.records().map(Result::unwrap).collect();
    let sure: Vec<f64> = queue.iter().map(|row| row[5].parse().unwrap_or(f64::NEG_INFINITY)).collect();
    assert!(sure.is_sorted() && sure.first() < sure.last(), "{sure:?}");
    assert!(queue.iter().enumerate().all(|(at, row)| row[0] == (at + 1).to_string()), "{queue:?}");
    let prompts: Vec<PromptRecord> = rows(&results, "prompts.jsonl");
    let ids: BTreeSet<&str> = prompts.iter().map(|prompt| prompt.id.as_str()).collect();
    let questions: BTreeSet<&str> = queue.iter().map(|row| row[2].trim()).collect();
    assert_eq!(questions.len(), queue.len());
    assert!(queue.iter().all(|row| ids.contains(&row[1])), "{queue:?}");
}

#[test]
fn a_finished_run_is_read() {
    let experiment = with_method("preset = 'default'");
    let out = tempfile::tempdir().unwrap();
    let first = run(&experiment, &Loader::opinionated(), out.path(), &mut |_| ());
    let before = files(&first.folder);
    let loader = Loader::opinionated();
    let results = run(&experiment, &loader, out.path(), &mut |event| {
        assert!(!matches!(event, Event::Stage { event: StageEvent::Begin(_), .. }), "{event:?}");
    });
    assert_eq!(loader.served(), 0);
    assert!(files(&results.folder) == before);
}

#[test]
fn a_variant_takes_over_what_it_has_in_common_and_computes_the_rest() {
    let out = tempfile::tempdir().unwrap();
    run(&with_method("preset = 'default'"), &Loader::opinionated(), out.path(), &mut |_| ());
    let mut kept = Vec::new();
    let mut begun = Vec::new();
    let other = with_method("preset = 'default'\nselect = { kind = 'all' }");
    run(&other, &Loader::opinionated(), out.path(), &mut |event| match event {
        Event::Stage { event: StageEvent::Kept(stage), .. } => kept.push(stage.name.clone()),
        Event::Stage { event: StageEvent::Begin(stage), .. } => begun.push(stage.name.clone()),
        _ => {}
    });
    let common = [
        "embeddings",
        "predictions-vanilla",
        "predictions-in_context",
        "sft",
        "predictions-sft",
        "warm",
        "candidates",
        "justified",
        "confidence",
    ];
    for stage in common {
        assert!(kept.iter().any(|kept| kept == stage), "{stage} was computed again: {begun:?}");
    }
    assert!(begun.contains(&"evolved".to_owned()), "{begun:?}");
}

#[test]
fn what_was_changed_by_hand_is_computed_again() {
    let experiment = with_method("preset = 'default'");
    let out = tempfile::tempdir().unwrap();
    let results = run(&experiment, &Loader::opinionated(), out.path(), &mut |_| ());
    let before = files(&results.folder);
    for file in ["seed-1/candidates.jsonl", "seed-1/sft/adapter_model.safetensors"] {
        std::fs::write(results.folder.join(file), "{}\n").unwrap();
        run(&experiment, &Loader::opinionated(), out.path(), &mut |_| ());
        assert!(files(&results.folder) == before, "{file}");
    }
}

#[test]
fn another_model_task_recipe_or_row_reuses_nothing_stale() {
    let out = tempfile::tempdir().unwrap();
    let base = with_method("preset = 'default'");
    run(&base, &Loader::opinionated(), out.path(), &mut |_| ());
    let begun = |experiment: &Experiment, loader: &Loader| {
        let mut begun = BTreeSet::new();
        run(experiment, loader, out.path(), &mut |event| {
            if let Event::Stage { event: StageEvent::Begin(stage), .. } = event {
                begun.insert(stage.name.clone());
            }
        });
        begun
    };
    let check = |what: &str, begun: BTreeSet<String>, stages: &[&str]| {
        for stage in stages {
            assert!(begun.contains(*stage), "{what}: a stale `{stage}` was used; begun: {begun:?}");
        }
    };
    let changed = |change: &dyn Fn(&mut ExperimentConfig)| {
        let mut config = base.config().clone();
        change(&mut config);
        config.check(Path::new("changed.toml")).unwrap()
    };
    let lr = changed(&|config| config.train.lr = 1e-3);
    check("recipe", begun(&lr, &Loader::opinionated()), &["sft", "warm", "evolved"]);
    let worded = changed(&|config| {
        let text = "kind = 'closed_set'\nform = 'text'\ninstruction = 'Say how the buyer feels.'";
        config.task = toml::from_str(text).unwrap();
    });
    let all = ["predictions-vanilla", "predictions-in_context", "sft", "warm", "candidates", "evolved"];
    check("wording", begun(&worded, &Loader::opinionated()), &all);
    let seed = changed(&|config| config.seeds = vec![2]);
    check("seed", begun(&seed, &Loader::opinionated()), &["sft", "warm", "candidates"]);
    let other_model = Loader {
        tuned: Arc::new(ScriptedModel::babbler("tuned anew").scoring(|_, option| -(option.len() as f64))),
        ..Loader::opinionated()
    };
    let answers = ["predictions-sft", "candidates", "justified", "confidence"];
    check("adapter's model", begun(&base, &other_model), &answers);
    let other_base =
        Loader { base: Arc::new(ScriptedModel::babbler("another base")), ..Loader::opinionated() };
    check("base model", begun(&base, &other_base), &["predictions-vanilla", "sft", "warm", "evolved"]);
}

#[test]
fn every_prompt_has_its_neighbours_its_answers_and_a_reasoned_decision() {
    let experiment = with_method("preset = 'paper'");
    let out = tempfile::tempdir().unwrap();
    let results = run(&experiment, &Loader::opinionated(), out.path(), &mut |_| ());
    let prompts: Vec<PromptRecord> = rows(&results, "prompts.jsonl");
    let answers: Vec<Answers> = rows(&results, "candidates.jsonl");
    let finals: Vec<Justified> = rows(&results, "justified.jsonl");
    let selected: Vec<Selected> = rows(&results, "selection.jsonl");
    assert_eq!([prompts.len(), answers.len(), finals.len(), selected.len()], [30; 4]);
    assert!(prompts.iter().all(|prompt| prompt.neighbours.len() == 3));
    assert!(prompts.iter().all(|prompt| prompt.neighbours.is_sorted_by(|a, b| a.score >= b.score)));
    let shots: Vec<usize> = answers[0].candidates.iter().map(|candidate| candidate.shots).collect();
    assert_eq!(shots, [0, 2, 1, 3]);
    for verdict in [Verdict::Agreement, Verdict::Adjudicated] {
        assert!(finals.iter().any(|last| last.by == verdict), "no {verdict:?}");
    }
    let classes: BTreeSet<_> = selected
        .iter()
        .filter(|one| one.accepted)
        .filter_map(|one| match one.answer {
            Some(Answer::Choice(class)) => Some(class),
            _ => None,
        })
        .collect();
    assert!(classes.len() >= 2, "{classes:?}");
    assert!(selected.iter().all(|one| !one.reason.is_empty()));
    let pseudo = &results.seeds[0].pseudo[0];
    assert_eq!(pseudo.n_agreed + pseudo.n_adjudicated + pseudo.n_unanswered, 30);
    assert_eq!(pseudo.before.unwrap().of, 30);
}

/// The unlabelled file's answers may be looked at by the evaluation, and by nothing else.
#[test]
fn gold_answers_of_unlabelled_rows_change_no_artefact() {
    let without = without_answers();
    let blind = with_method("preset = 'default'").config().clone().with_data_root(without.path());
    let blind = blind.check(Path::new("blind.toml")).unwrap();
    let out = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let sighted = run(&with_method("preset = 'default'"), &Loader::opinionated(), out[0].path(), &mut |_| ());
    let blind = run(&blind, &Loader::opinionated(), out[1].path(), &mut |_| ());
    let artefacts = |results: &Results| {
        let mut files = files(&results.folder);
        files.retain(|file, _| file.starts_with("seed-1/"));
        files
    };
    assert!(artefacts(&sighted) == artefacts(&blind));
    let pseudo = |results: &Results| results.seeds[0].pseudo[0].clone();
    assert!(pseudo(&sighted).before.is_some() && pseudo(&blind).before.is_none());
}

#[test]
fn a_prompt_that_is_too_long_loses_its_farthest_neighbours_and_keeps_its_question() {
    let experiment = with_method("preset = 'paper'");
    let out = tempfile::tempdir().unwrap();
    let all = Loader::opinionated();
    run(&experiment, &all, out.path(), &mut |_| ());
    let narrow = Loader {
        base: Arc::new(ScriptedModel::babbler("narrow").with_max_context(80)),
        tuned: Arc::new(ScriptedModel::babbler("narrow tuned").with_max_context(80)),
    };
    let results = run(&experiment, &narrow, out.path(), &mut |_| ());
    let answers: Vec<Answers> = rows(&results, "candidates.jsonl");
    let shown: Vec<usize> = answers.iter().map(|row| row.candidates[3].shots).collect();
    assert!(shown.iter().any(|shots| *shots < 3) && shown.iter().all(|shots| *shots > 0), "{shown:?}");
    assert!(answers.iter().flat_map(|row| &row.candidates).all(|candidate| candidate.answer.is_some()));
}

#[test]
fn a_collaborator_may_be_asked_in_letters_where_others_are_in_words() {
    let collaborators = "collaborators = [
        { kind = 'language_model', name = 'words', model = 'base', temperature = 0.0 },
        { kind = 'language_model', name = 'letters', model = 'base', temperature = 0.0, wording = { form = 'letter', instruction = 'Which letter?' } },
    ]";
    let mut config = with_method(&format!("preset = 'default'\n{collaborators}")).config().clone();
    config.task = TaskConfig::ClosedSet(ClosedSet::new(AnswerForm::Text));
    let experiment = config.check(Path::new("minitask.toml")).unwrap();
    // In letters it takes the second, in words the first.
    let score = |prompt: &Prompt, option: &str| {
        let letters = prompt.messages.iter().any(|message| message.content.contains("Which letter?"));
        if option.trim() == if letters { "B" } else { "negative" } { -0.1 } else { -3.0 }
    };
    let model = |name| Arc::new(ScriptedModel::babbler(name).scoring(score));
    let loader = Loader { base: model("base"), tuned: model("tuned") };
    let out = tempfile::tempdir().unwrap();
    let results = run(&experiment, &loader, out.path(), &mut |_| ());
    let all: Vec<Answers> = rows(&results, "candidates.jsonl");
    for answers in all {
        let said: Vec<_> = answers.candidates.iter().map(|candidate| candidate.answer.clone()).collect();
        assert_eq!(said, [Some(Answer::Choice(0)), Some(Answer::Choice(1))]);
    }
}

#[test]
fn answers_that_nobody_can_read_are_never_trained_on() {
    let out = tempfile::tempdir().unwrap();
    let data = out.path().join("sums.jsonl");
    let sums =
        (0..20).map(|n| format!("{{\"id\": \"{n}\", \"question\": \"{n} + 1?\", \"answer\": {}}}\n", n + 1));
    std::fs::write(&data, sums.collect::<String>()).unwrap();
    let file = Path::new("open.toml");
    let text = format!(
        "name = 'sums'\nmodel = 'none'\n[data]\nsource = {data:?}\nsplit = {{ labelled = 4, test = 4 }}\n[task]\nkind = 'numeric'\n[train]\nmax_steps = 2\n[method]\npreset = 'paper'\nretrieval = {{ kind = 'bm25' }}\n"
    );
    let experiment = ExperimentConfig::parse(&text, file).unwrap().check(file).unwrap();
    let reply = |request: &semievol::model::GenerateRequest| {
        let asked = &request.prompt.messages.last().unwrap().content;
        let number: u64 =
            asked.split(|c: char| !c.is_ascii_digit()).find(|w| !w.is_empty()).unwrap().parse().unwrap();
        match number % 3 {
            0 => "I cannot say".to_owned(),
            1 => format!(" {}", number + 1),
            _ => format!(" {}", number + request.seed.child("noise", 0).0 % 2),
        }
    };
    let loader = Loader {
        base: Arc::new(ScriptedModel::new("base", reply)),
        tuned: Arc::new(ScriptedModel::new("tuned", reply)),
    };
    let results = run(&experiment, &loader, out.path(), &mut |_| ());
    let selected: Vec<Selected> = rows(&results, "selection.jsonl");
    let unanswered: Vec<&Selected> = selected.iter().filter(|one| one.answer.is_none()).collect();
    assert!(unanswered.len() >= 4 && unanswered.len() < selected.len(), "{selected:?}");
    assert!(unanswered.iter().all(|one| !one.accepted && one.by == Verdict::Unanswered));
    assert!(selected.iter().any(|one| one.accepted && one.by == Verdict::Agreement));
    let pseudo = &results.seeds[0].pseudo[0];
    assert_eq!(pseudo.n_unanswered, unanswered.len());
}

struct KeepOdd;

impl Selector for KeepOdd {
    fn id(&self) -> String {
        "keep odd".into()
    }
    fn select(&self, pool: Pool<'_>) -> Result<Selection, SelectError> {
        let decide = |(index, label): (usize, &semievol::select::PseudoLabel)| match index % 2 {
            1 if label.answer.is_some() => Decision::accept("odd"),
            _ => Decision::reject("even"),
        };
        Ok(pool.unlabelled.iter().enumerate().map(decide).collect::<Vec<_>>().into())
    }
}

#[test]
fn a_selector_of_ones_own_takes_the_place_of_the_files() {
    let experiment = with_method("preset = 'default'");
    let out = tempfile::tempdir().unwrap();
    let engine = engine();
    let mut method = experiment.method().unwrap();
    method.selector = Arc::new(KeepOdd);
    let results = experiment.run_with(&method, &hub(), engine.parts(), &mut |_| (), out.path()).unwrap();
    assert_eq!(results.seeds[0].pseudo[0].n_kept, 15);
    let usual = experiment.run(&hub(), engine.parts(), &mut |_| (), out.path()).unwrap();
    assert_ne!(usual.folder, results.folder);
}

/// Both settings ask the same questions; only which of the replies confidence goes by differs.
#[test]
fn the_prompt_that_confidence_is_judged_by_is_part_of_the_key() {
    let out = tempfile::tempdir().unwrap();
    for shots in [0, 2] {
        let experiment = with_method(&format!("preset = 'paper'\nconfidence_shots = {shots}"));
        run(&experiment, &Loader::opinionated(), out.path(), &mut |_| ());
    }
    let runs = std::fs::read_dir(out.path()).unwrap().flatten().filter(|entry| entry.path().is_dir());
    let keys: BTreeSet<String> = runs
        .map(|entry| {
            let manifest = std::fs::read(entry.path().join("seed-1/stages/candidates.json")).unwrap();
            let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
            manifest["key"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(keys.len(), 2);
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_computed() {
    let check = |method: &str, change: &dyn Fn(&mut ExperimentConfig), expected: &str| {
        let mut config = with_method(method).config().clone();
        change(&mut config);
        let experiment = config.check(Path::new("x.toml")).unwrap();
        let out = tempfile::tempdir().unwrap();
        let trainer = HashingTrainer::new(ModelId::new("base"));
        let (embedder, id) = (HashingEmbedder::new(32), ModelId::new("hashing"));
        let loader = Loader::opinionated();
        let parts = Parts::new(&loader, &trainer).with_embedder(&id, &embedder);
        let error = experiment.run(&hub(), parts, &mut |_| (), out.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(loader.served(), 0, "{error}");
    };
    let nothing = |_: &mut ExperimentConfig| ();
    check(
        "preset = 'paper'\ncollaborators = [{ kind = 'language_model', name = 'a', model = 'wram' }]",
        &nothing,
        "`a` asks model `wram`, but there are only warm, base",
    );
    let few = |config: &mut ExperimentConfig| config.data.draw.as_mut().unwrap().labelled = Some(4);
    check("preset = 'default'", &few, "its 5 folds need");
    let free = |config: &mut ExperimentConfig| config.task = toml::from_str("kind = 'free_text'").unwrap();
    check("preset = 'default'", &free, "needs a closed set");
    check(
        "preset = 'paper'\nconfidence = { kind = 'agreement' }\nselect = { kind = 'percentile', over = 'labelled' }",
        &nothing,
        "who were not asked about them",
    );
}

#[test]
fn a_second_process_keeps_out() {
    let experiment = with_method("preset = 'paper'");
    let out = tempfile::tempdir().unwrap();
    let mut refused = None;
    run(&experiment, &Loader::opinionated(), out.path(), &mut |event| {
        if refused.is_none() && matches!(event, Event::Stage { .. }) {
            let (loader, trainer) = (Loader::opinionated(), HashingTrainer::new(ModelId::new("base")));
            let (embedder, id) = (HashingEmbedder::new(32), ModelId::new("hashing"));
            let parts = Parts::new(&loader, &trainer).with_embedder(&id, &embedder);
            refused = Some(experiment.run(&hub(), parts, &mut |_| (), out.path()).unwrap_err().to_string());
        }
    });
    assert!(refused.unwrap().contains("another process is running this experiment"));
    // `runs/NAME-*` is the run alone.
    let entries = std::fs::read_dir(out.path()).unwrap().flatten();
    let shown = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    assert_eq!(shown.count(), 1);
}

#[test]
fn soft_targets_change_what_is_learnt_and_not_how_long() {
    let out = tempfile::tempdir().unwrap();
    let engine = engine();
    let [hard, soft] = ["hard", "soft"].map(|targets| {
        let evolve = format!("evolve = {{ on = 'selected', targets = '{targets}' }}");
        let experiment = with_method(&format!("preset = 'default'\n{evolve}"));
        experiment.run(&hub(), engine.parts(), &mut |_| (), out.path()).unwrap()
    });
    let read =
        |results: &Results, file: &str| std::fs::read(results.folder.join("seed-1").join(file)).unwrap();
    assert_eq!(read(&hard, "selection.jsonl"), read(&soft, "selection.jsonl"));
    let weights = "evolved/adapter_model.safetensors";
    assert_ne!(read(&hard, weights), read(&soft, weights));
    let steps =
        |results: &Results| read(results, "evolved/steps.jsonl").iter().filter(|b| **b == b'\n').count();
    assert_eq!(steps(&hard), steps(&soft));
}
