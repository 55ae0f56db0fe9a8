//! Readers that need no engine.

use crate::{scratch, write};
use semievol_data::{Dataset, DatasetConfig, FileOptions, Format};
use std::fs;
use std::path::Path;

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
