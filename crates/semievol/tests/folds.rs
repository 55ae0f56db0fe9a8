//! Cross-fitting: models that have not learnt a fold of the labels, as collaborators and as the measure of a promise.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{engine, hub, minitask, rows, run_again, run_tiny};
use semievol::core::Answer;
use semievol::pipeline::{Answers, Estimate, Justified, Selected};
use semievol::{Event, Experiment, ExperimentConfig, StageEvent};
use std::collections::BTreeSet;
use std::path::Path;

fn with_method(method: &str) -> Experiment {
    let both = minitask("arms = ['sft', 'semievol']");
    common::with_method(&both, &format!("preset = 'default'\n{method}"))
}

const METHOD: &str = "
folds = 2
collaborators = [
    { kind = 'language_model', name = 'warm', shots = 1, temperature = 0.0 },
    { kind = 'language_model', name = 'crowd', model = 'folds', temperature = 0.0 },
    { kind = 'classifier', name = 'embeddings', folds = 2 },
    { kind = 'neighbours', name = 'vote', k = 3 },
]
select = { kind = 'error_controlled', alpha = 0.01, otherwise = 50.0 }
";

#[test]
fn every_label_is_asked_once_of_a_model_that_has_not_learnt_it() {
    let out = tempfile::tempdir().unwrap();
    let (mut notes, mut trained) = (Vec::new(), BTreeSet::new());
    let results = run_tiny(&with_method(METHOD), out.path(), &mut |event| match event {
        Event::Stage { event: StageEvent::Note(note), .. } => notes.push(note.clone()),
        Event::Stage { event: StageEvent::Begin(stage), .. } => drop(trained.insert(stage.name.clone())),
        _ => (),
    });
    assert!(trained.contains("fold-0") && trained.contains("fold-1"), "{trained:?}");
    let split: serde_json::Value =
        serde_json::from_slice(&std::fs::read(results.folder.join("seed-1/split.json")).unwrap()).unwrap();
    let labelled: BTreeSet<&str> =
        split["labelled"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    let folds: Vec<Vec<Answers>> =
        [0, 1].map(|fold| rows(&results, &format!("candidates-fold-{fold}.jsonl"))).into();
    let asked: Vec<&str> = folds.iter().flatten().map(|answers| answers.id.as_str()).collect();
    assert_eq!(asked.len(), labelled.len(), "each once");
    assert_eq!(asked.into_iter().collect::<BTreeSet<_>>(), labelled);

    // Of the unlabelled rows the crowd is both models, of a fold the one that may be asked.
    let all: Vec<Answers> = rows(&results, "candidates.jsonl");
    for answers in all.iter().chain(folds.iter().flatten()) {
        let sum: f64 = answers.candidates[1].distribution.iter().sum();
        assert!((sum - 1.0).abs() < 1e-9, "{answers:?}");
    }

    // So few labels certify no 1%, which is said, and the surer half is kept as configured.
    assert!(
        notes.iter().any(|note| note.starts_with("cannot certify 1.0% wrong pseudo-labels")),
        "{notes:?}"
    );
    let said = results.said();
    assert!(said.len() == 1 && said[0].starts_with("semievol: cannot certify 1.0%"), "{said:?}");
    for page in ["table.md", "report.html"] {
        let page = std::fs::read_to_string(results.folder.join(page)).unwrap();
        assert!(page.contains("cannot certify 1.0%"), "{page}");
    }
    let selected: Vec<Selected> = rows(&results, "selection.jsonl");
    assert!(selected.iter().any(|one| one.accepted && one.reason.contains("the 50% threshold")));

    run_again(&with_method(METHOD), out.path());
}

#[test]
fn a_probe_puts_one_calibrated_number_in_the_place_of_another() {
    let out = tempfile::tempdir().unwrap();
    let method = format!("probe = true\n{METHOD}").replace("otherwise = 50.0", "otherwise = 40.0");
    let results = run_tiny(&with_method(&method), out.path(), &mut |_| ());
    let judged: Vec<Estimate> = rows(&results, "confidence-probe.jsonl");
    assert_eq!(judged.len(), 30);
    let confidences = &results.seeds[0].pseudo[0].confidences;
    assert!(confidences.first().is_some_and(|one| one.name == "probe"), "{confidences:?}");
    let certified = &results.seeds[0].pseudo[0].certified;
    assert_eq!(certified.len(), 6, "three promises by two rules");
    assert!(certified.iter().all(|one| one.oracle <= 30 && one.kept.of <= 30));
}

/// Log-probabilities stay what they are where the labels teach the probe nothing: as probabilities they would all weigh 0.
#[test]
fn weights_outlive_a_probe_that_learns_nothing() {
    let out = tempfile::tempdir().unwrap();
    let method = format!("probe = true\nconfidence = {{ kind = 'mean_nll' }}\n{METHOD}")
        .replace("{ kind = 'error_controlled', alpha = 0.01, otherwise = 50.0 }", "{ kind = 'weighted' }");
    let mut notes = Vec::new();
    let results = run_tiny(&with_method(&method), out.path(), &mut |event| {
        if let Event::Stage { event: StageEvent::Note(note), .. } = event {
            notes.push(note.clone());
        }
    });
    // Nine labels are too few.
    assert!(notes.iter().any(|note| note.contains("teach the probe nothing")), "{notes:?}");
    let selected: Vec<Selected> = rows(&results, "selection.jsonl");
    let expected = |one: &Selected| one.confidence.map(|sure| sure.value().exp() as f32);
    assert!(selected.iter().all(|one| one.accepted && Some(one.weight) == expected(one)), "{selected:?}");
}

#[test]
fn collaborators_are_weighed_by_labels_that_they_have_not_learnt() {
    let method = format!(
        "combine = {{ kind = 'log_pool', align = 0.5 }}\nevolve = {{ on = 'labels_and_selected', targets = 'soft' }}\n{METHOD}"
    );
    let (out, experiment) = (tempfile::tempdir().unwrap(), with_method(&method));
    let mut notes = Vec::new();
    let results = run_tiny(&experiment, out.path(), &mut |event| {
        if let Event::Stage { event: StageEvent::Note(note), .. } = event {
            notes.push(note.clone());
        }
    });
    assert!(notes.iter().any(|note| note.contains("not learnt; weights: warm ")), "{notes:?}");
    let finals: Vec<Justified> = rows(&results, "justified.jsonl");
    let estimates: Vec<Estimate> = rows(&results, "confidence.jsonl");
    assert_eq!((finals.len(), estimates.len()), (30, 30));
    for (last, estimate) in finals.iter().zip(&estimates) {
        let distribution = &last.last.distribution;
        assert!((distribution.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let most = distribution.iter().copied().fold(0.0, f64::max);
        assert_eq!(estimate.probability, Some(most));
        assert_eq!(estimate.confidence.unwrap().value(), most);
    }
    run_again(&experiment, out.path());
}

#[test]
fn groups_of_labels_stay_in_one_fold() {
    let method =
        format!("combine = {{ kind = 'log_pool', align = 0.5 }}\nevolve = {{ targets = 'soft' }}\n{METHOD}");
    // Each class one group: nothing is harder to fold.
    let text = with_method(&method.replace("folds = 2\n", "folds = 5\n")).config().to_toml();
    let text = text.replacen("[data.columns]", "[data.columns]\ngroup = \"answer\"", 1);
    let file = Path::new("minitask.toml");
    let experiment = ExperimentConfig::parse(&text, file).unwrap().check(file).unwrap();
    let (out, mut notes) = (tempfile::tempdir().unwrap(), Vec::new());
    let results = run_tiny(&experiment, out.path(), &mut |event| {
        if let Event::Stage { event: StageEvent::Note(note), .. } = event {
            notes.push(note.clone());
        }
    });
    assert_eq!(results.seeds[0].sizes.labelled_groups, Some(3));
    let labelled = std::fs::read_to_string(common::fixture("minitask/labeled.csv")).unwrap();
    let class = |id: &str| {
        let (_, after) = labelled.split_once(&format!("{id},")).unwrap();
        after.lines().nth(1).unwrap().chars().last().unwrap()
    };
    let of_fold = |fold| -> BTreeSet<char> {
        let answers: Vec<Answers> = rows(&results, &format!("candidates-fold-{fold}.jsonl"));
        answers.iter().map(|answers| class(&answers.id)).collect()
    };
    let mut classes: Vec<char> = (0..3).flat_map(of_fold).collect();
    classes.sort_unstable();
    assert_eq!(classes, ['A', 'B', 'C'], "a fold for each group");
    assert!(notes.iter().any(|note| note.ends_with("3 folds in the place of 5")), "{notes:?}");
    // The unlabelled rows are of the same groups, so the labels' shares are as good as those of single rows.
    assert!(!notes.iter().any(|note| note.contains("come in groups")), "{notes:?}");
    run_again(&experiment, out.path());
}

#[test]
fn an_ensemble_is_several_models_of_all_labels() {
    let method = "
        ensemble = 3
        collaborators = [
            { kind = 'language_model', name = 'warm', temperature = 0.0 },
            { kind = 'language_model', name = 'all three', model = 'ensemble', temperature = 0.0 },
        ]
        combine = { kind = 'log_pool', align = 0.5 }
        select = { kind = 'all' }
        warm = { shots = 0 }
        neighbours = 0
        evolve = { targets = 'soft' }
    ";
    let (out, experiment) = (tempfile::tempdir().unwrap(), with_method(method));
    let results = run_tiny(&experiment, out.path(), &mut |_| ());
    let seed = results.folder.join("seed-1");
    let weights = ["warm", "ensemble-1", "ensemble-2"]
        .map(|name| std::fs::read(seed.join(name).join("adapter_model.safetensors")).unwrap());
    assert!(weights[0] != weights[1] && weights[1] != weights[2] && weights[0] != weights[2]);
    let answers: Vec<Answers> = rows(&results, "candidates.jsonl");
    assert_eq!(answers.len(), 30);
    for answers in &answers {
        let [warm, all] = answers.candidates.as_slice() else { panic!("{answers:?}") };
        assert!((all.distribution.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert_ne!(warm.distribution, all.distribution);
    }
    run_again(&experiment, out.path());
}

#[test]
fn pseudo_labels_have_the_shares_that_are_known() {
    let method = "
        shares = { negative = 0.6, neutral = 0.1, positive = 0.3 }
        collaborators = [{ kind = 'language_model', name = 'warm', temperature = 0.0 }]
        combine = { kind = 'log_pool', align = 1.0 }
        select = { kind = 'balanced', theta = 33.0 }
        warm = { shots = 0 }
        neighbours = 0
    ";
    let (out, experiment) = (tempfile::tempdir().unwrap(), with_method(method));
    let results = run_tiny(&experiment, out.path(), &mut |_| ());
    let finals: Vec<Justified> = rows(&results, "justified.jsonl");
    for (option, share) in [0.6, 0.1, 0.3].into_iter().enumerate() {
        let mean: f64 = finals.iter().map(|last| last.last.distribution[option]).sum::<f64>() / 30.0;
        assert!((mean - share).abs() < 1e-6, "{option}: {mean}");
    }
    // Of ten kept, each class has its share, or as many as there are of it.
    let kept = &results.seeds[0].pseudo[0].classes_kept;
    let said =
        |class: usize| finals.iter().filter(|last| last.last.answer == Some(Answer::Choice(class))).count();
    assert_eq!((0..3).map(said).sum::<usize>(), 30);
    for (class, most) in [6, 1, 3].into_iter().enumerate() {
        let rows = kept.iter().find(|kept| kept.class == ["negative", "neutral", "positive"][class]);
        assert_eq!(rows.map_or(0, |kept| kept.rows), most.min(said(class)), "{class}: {kept:?}");
    }
    run_again(&experiment, out.path());
}

#[test]
fn folds_that_make_no_sense_are_refused() {
    let config = minitask("arms = ['semievol']").config().to_toml();
    let refused = |method: &str| {
        let (before, _) = config.split_once("[method]").unwrap();
        let file = Path::new("minitask.toml");
        let text = format!("{before}[method]\npreset = 'default'\n{method}");
        let out = tempfile::tempdir().unwrap();
        match ExperimentConfig::parse(&text, file).unwrap().check(file) {
            Err(error) => error.to_string(),
            Ok(experiment) => {
                experiment.run(&hub(), engine().parts(), &mut |_| (), out.path()).unwrap_err().to_string()
            }
        }
    };
    for (method, expected) in [
        ("folds = 1", "method.folds is 1, but must be 0 or at least 2"),
        ("select = { kind = 'error_controlled', alpha = 0.1 }", "method.folds is 0: set it to 2 or more"),
        (
            "collaborators = [{ kind = 'language_model', name = 'c', model = 'folds' }]",
            "asks the models of method.folds, but that is 0",
        ),
        (
            "collaborators = [{ kind = 'language_model', name = 'c', model = 'ensemble' }]",
            "asks the models of method.ensemble, but that is 0",
        ),
        ("ensemble = 1", "method.ensemble is 1, which is the warm model"),
        ("folds = 1000", "labelled rows: take fewer folds"),
        ("probe = true", "method.probe learns from labels that models have not, but method.folds is 0"),
        ("combine = { kind = 'log_pool', align = 2.0 }", "method.combine.align is 2, but must be in [0, 1]"),
        (
            "shares = { negative = 1.5 }",
            "method.shares: that of `negative` is 1.5, but must be above 0 and below 1",
        ),
        (
            "shares = { negative = 0.5, neutral = 0.2 }",
            "method.shares: they make 0.700 together, but must make 1",
        ),
        (
            "shares = { negative = 0.5, neutral = 0.5 }",
            "nothing goes by them: set method.combine.align, or method.select.kind",
        ),
        (
            "shares = { negative = 0.5, other = 0.5 }\nselect = { kind = 'balanced' }",
            "method.shares: there is no option `other`; there are negative, neutral, positive",
        ),
        (
            "shares = { negative = 0.5, neutral = 0.5 }\nselect = { kind = 'balanced' }",
            "method.shares: `positive` has none; give one for each of negative, neutral, positive",
        ),
        (
            "combine = { kind = 'log_pool' }\nconfidence = { kind = 'mean_nll' }\nselect = { kind = 'percentile', over = 'labelled' }",
            "take one over the unlabelled rows",
        ),
        (
            "folds = 2\nselect = { kind = 'error_controlled', alpha = 0.1 }\n[tune]\nlr = [1e-4, 2e-4]",
            "the labels that certify its promise may not have chosen the recipe",
        ),
        (
            "folds = 2\nselect = { kind = 'error_controlled', alpha = 1.5 }",
            "alpha is 1.5, but must be above 0 and below 1",
        ),
    ] {
        let found = refused(method);
        assert!(found.contains(expected), "{method}: {found}");
    }
}
