//! What the tests share: fixtures and experiments on them.
#![allow(dead_code)] // every test file uses a part

use semievol::hub::{Hub, HubConfig};
use semievol::{Experiment, ExperimentConfig};
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
