//! What the tests share: fixtures and experiments on them.
#![allow(dead_code)] // every test file uses a part

use semievol::engine::Engine;
use semievol::hub::{Hub, HubConfig};
use semievol::{Event, Experiment, ExperimentConfig, Results, StageEvent};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

/// The mini task with a few steps of training, and what a test adds to it.
pub fn minitask(more: &str) -> Experiment {
    let file = Path::new("minitask.toml");
    let text = format!(
        r#"
name = "minitask"
model = {:?}
embedder = {:?}
{more}
[data]
labelled = "labeled.csv"
unlabelled = "unlabeled.jsonl"
test = "test.csv"
[data.draw]
labelled = 9
[train]
max_steps = 3
rank = 4
"#,
        fixture("tiny-llama").display().to_string(),
        fixture("tiny-bert").display().to_string()
    );
    // Without a word on it, the two arms that need no unlabelled rows.
    let arms = if more.contains("arms =") { "" } else { "arms = ['vanilla', 'sft']\n" };
    let text = format!("{arms}{text}");
    let config = ExperimentConfig::parse(&text, file).unwrap().with_data_root(fixture("minitask"));
    config.check(file).unwrap()
}

/// An experiment with another table `[method]`.
pub fn with_method(experiment: &Experiment, method: &str) -> Experiment {
    let text = experiment.config().to_toml();
    let (before, _) = text.split_once("[method]").unwrap();
    let file = Path::new("minitask.toml");
    ExperimentConfig::parse(&format!("{before}[method]\n{method}"), file).unwrap().check(file).unwrap()
}

/// The tiny models.
pub fn engine() -> Engine {
    Engine::load(&fixture("tiny-llama")).unwrap().with_embedder(&fixture("tiny-bert")).unwrap()
}

/// Runs with the tiny models.
pub fn run_tiny(experiment: &Experiment, out: &Path, events: &mut dyn FnMut(&Event)) -> Results {
    experiment.run(&hub(), engine().parts(), events, out).unwrap()
}

/// Runs with the tiny models again; all stages have to be finished.
pub fn run_again(experiment: &Experiment, out: &Path) -> Results {
    let mut begun = 0;
    let results = run_tiny(experiment, out, &mut |event| {
        begun += usize::from(matches!(event, Event::Stage { event: StageEvent::Begin(_), .. }));
    });
    assert_eq!(begun, 0, "all stages were finished");
    results
}

/// The lines of a file of the first seed.
pub fn rows<T: DeserializeOwned>(results: &Results, file: &str) -> Vec<T> {
    let text = fs::read_to_string(results.folder.join("seed-1").join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The mini task's files, the unlabelled rows without their answers.
pub fn without_answers() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["labeled.csv", "test.csv"] {
        fs::copy(fixture("minitask").join(file), folder.path().join(file)).unwrap();
    }
    let text = fs::read_to_string(fixture("minitask").join("unlabeled.jsonl")).unwrap();
    let rows = text.lines().map(|line| {
        let mut row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        assert!(row.remove("answer").is_some());
        serde_json::to_string(&row).unwrap() + "\n"
    });
    fs::write(folder.path().join("unlabeled.jsonl"), rows.collect::<String>()).unwrap();
    folder
}

/// A hub that downloads nothing.
pub fn hub() -> Hub {
    Hub::new(HubConfig { offline: true, ..HubConfig::new("never-used") })
}

/// Every file below a folder with its bytes.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(inner).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}
