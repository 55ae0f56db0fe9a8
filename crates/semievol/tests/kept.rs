//! Results that are read again and put together.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{minitask, run_tiny};
use semievol::{Experiment, Results};
use std::path::Path;

fn of_seeds(seeds: &[u64], more: &str) -> Experiment {
    let mut config =
        minitask(&format!("arms = ['vanilla', 'sft', 'semievol', 'oracle']\n{more}")).config().clone();
    config.seeds = seeds.to_vec();
    config.check(Path::new("minitask.toml")).unwrap()
}

fn json(results: &Results) -> serde_json::Value {
    serde_json::to_value(results).unwrap()
}

#[test]
fn seeds_of_several_runs_give_what_one_run_of_them_all_gives() {
    let out = tempfile::tempdir().unwrap();
    let run = |seeds: &[u64]| {
        let results = run_tiny(&of_seeds(seeds, ""), out.path(), &mut |_| ());
        let read = Results::read(&results.folder.join("metrics.json")).unwrap();
        assert_eq!(json(&read), json(&results));
        assert_eq!(read.to_markdown(), results.to_markdown());
        read
    };
    let (whole, second, first) = (run(&[1, 2, 3]), run(&[2]), run(&[1, 3]));
    let together = Results::together(vec![second.clone(), first.clone()]).unwrap();
    assert_eq!(json(&together), json(&whole));
    assert_eq!(together.to_markdown(), whole.to_markdown());
    let again = Results::together(whole.by_seed().unwrap()).unwrap();
    assert_eq!(json(&again), json(&whole));
    assert_eq!(json(&whole.by_seed().unwrap()[1]), json(&second));

    // Of what an older build kept, comparisons are made anew.
    let mut old = second.clone();
    let against = old.seeds[0].arms.iter_mut().filter_map(|arm| arm.against.as_mut());
    assert!(against.map(|against| against.comparison.interval.low = -9.0).count() > 0);
    assert_eq!(json(&Results::together(vec![old]).unwrap()), json(&second));

    let twice = Results::together(vec![second.clone(), second.clone()]).unwrap_err();
    assert_eq!(twice.to_string(), "minitask: seed 2 stands there twice");
    let other = run_tiny(&of_seeds(&[5], "max_answer_tokens = 7"), out.path(), &mut |_| ());
    let differ = Results::together(vec![second, other]).unwrap_err();
    assert_eq!(
        differ.to_string(),
        "minitask: the settings of seeds [2] and [5] differ, so they are no repetitions of each other: run some of them again, or give one another name"
    );
}

#[test]
fn settings_know_neither_seeds_nor_places_nor_words() {
    let settings = |experiment: &Experiment| experiment.settings().unwrap();
    let one = of_seeds(&[1], "");
    let mut moved = one.config().clone();
    (moved.seeds, moved.description) = (vec![4, 5], "other words".into());
    moved.data.root = Some("elsewhere".into());
    let moved = moved.check(Path::new("minitask.toml")).unwrap();
    assert_eq!(settings(&one), settings(&moved));
    assert_ne!(settings(&one), settings(&of_seeds(&[1], "max_answer_tokens = 7")));
    assert_ne!(settings(&one), settings(&common::with_method(&one, "preset = 'paper'")));
}

#[test]
fn results_of_another_version_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metrics.json");
    let none = r#"{"name":"x","model":"m","parts":[],"settings":"s","data":[],"seeds":[],"summary":[]}"#;
    for (text, why) in [(r#"{"name": "x"}"#, "missing field"), (none, "it has no seeds")] {
        std::fs::write(&file, text).unwrap();
        let error = Results::read(&file).unwrap_err().to_string();
        assert!(error.starts_with(&file.display().to_string()) && error.contains(why), "{error}");
        assert!(error.ends_with("run that experiment again, and finished stages are read"), "{error}");
    }
    assert_eq!(Results::together(Vec::new()).unwrap_err().to_string(), "no results to put together");
}
