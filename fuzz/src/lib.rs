//! What reads a file of the user's, on bytes that may be anything: it may refuse them, and must not panic, hang, take
//! memory without measure or write anywhere else.
//!
//! `cargo +nightly fuzz run rows --features libfuzzer` makes inputs up; `cargo test -p semievol-fuzz` runs what is kept in
//! `corpus/`, in which findings stay.

use semievol::ExperimentConfig;
use semievol_candle::{LlamaConfig, adapter as adapters, load_model};
use semievol_data::{Dataset, DatasetConfig, FileOptions, Format};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

/// A target with the folder of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 6] = [
    ("rows", rows),
    ("gguf", gguf),
    ("safetensors", safetensors),
    ("adapter", adapter),
    ("archive", archive),
    ("configuration", configuration),
];

/// A folder for the input; in memory where the system has such a place.
fn scratch() -> TempDir {
    let shared = Path::new("/dev/shm");
    let made = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
    made.unwrap_or_else(|error| unreachable!("no folder for the input: {error}"))
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap_or_else(|error| unreachable!("{}: {error}", path.display()));
    path
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(name)
}

/// A data file. The first byte says the format and how its columns are read.
pub fn rows(data: &[u8]) {
    const COLUMNS: [&str; 4] = [
        "",
        "columns = { question = \"{question} {id}\", options = { fixed = [\"a\", \"b\"] }, answer = \"answer\" }",
        "columns = { answer = { column = \"answer\", bins = [{ label = \"a\", below = 0.5 }, { label = \"b\", above = 0.5 }] }, options = { fixed = [\"a\", \"b\"] }, shorten = { words = 2 } }",
        "on_bad_row = \"skip\"\non_duplicate = \"skip\"\nfile = { encoding = \"latin1\" }\ncolumns = { group = { column = \"id\", before = \"_\" } }",
    ];
    let Some((kind, bytes)) = data.split_first() else { return };
    let format = [Format::Csv, Format::Tsv, Format::Jsonl, Format::Parquet][usize::from(kind & 3)];
    let config: DatasetConfig =
        toml::from_str(COLUMNS[usize::from(kind >> 2 & 3)]).unwrap_or_else(|error| unreachable!("{error}"));
    let config =
        DatasetConfig { file: FileOptions { format: Some(format), ..config.file.clone() }, ..config };
    let folder = scratch();
    if let Ok(dataset) = Dataset::read([write(&folder, "rows", bytes)], &config) {
        assert_eq!(dataset.samples.len(), dataset.answers.len());
        let _ = dataset.labeled();
    }
}

/// A GGUF file.
pub fn gguf(data: &[u8]) {
    let folder = scratch();
    let _ = load_model(&write(&folder, "model.gguf", data));
}

/// The weights of a Hugging Face folder whose other files are sound.
pub fn safetensors(data: &[u8]) {
    let folder = scratch();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        let bytes = fs::read(fixture("tiny-llama").join(name));
        write(&folder, name, &bytes.unwrap_or_else(|error| unreachable!("{name}: {error}")));
    }
    write(&folder, "model.safetensors", data);
    let _ = load_model(folder.path());
}

/// An adapter's two files, the configuration up to the first zero byte.
pub fn adapter(data: &[u8]) {
    static CONFIG: OnceLock<LlamaConfig> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        let loaded = load_model(&fixture("tiny-llama"));
        loaded.unwrap_or_else(|error| unreachable!("{error}")).weights.config
    });
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let folder = scratch();
    write(&folder, adapters::CONFIG_FILE, &data[..at]);
    write(&folder, adapters::WEIGHTS_FILE, data.get(at + 1..).unwrap_or_default());
    if let Ok(lora) = adapters::read(folder.path(), config) {
        assert_eq!(lora.values.len(), lora.layout.len());
    }
}

/// An archive, unpacked whole.
pub fn archive(data: &[u8]) {
    // Two folders deep, so that what climbs out of one is seen.
    let folder = scratch();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap_or_else(|error| unreachable!("{error}"));
    let path = write(&folder, "inner/archive", data);
    let _ = semievol_hub::extract(&path, None, &inner.join("out"));
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(folder.path()), ["inner"], "something was written outside");
    let known = |name: &String| name == "archive" || name == "out" || name.starts_with("out.");
    assert!(names(&inner).iter().all(known), "something was written beside the archive: {:?}", names(&inner));
}

/// An experiment file.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let file = Path::new("experiment.toml");
    let Ok(config) = ExperimentConfig::parse(text, file) else { return };
    let written = config.to_toml();
    if let Ok(experiment) = config.quick().check(file) {
        let again = ExperimentConfig::parse(&experiment.config().to_toml(), file);
        assert!(
            again.is_ok_and(|again| again == *experiment.config()),
            "what is written reads otherwise: {written}"
        );
    }
}
