//! Files of the results: whole or absent, never half.

use crate::RunError;
use serde::Serialize;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Writes beside the file and renames.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    let attempt = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = path.with_file_name(format!("{name}.{}.tmp", std::process::id()));
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    attempt().map_err(|source| RunError::Write { path: path.to_owned(), source })
}

/// Indented JSON with a final line end.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), RunError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| json_error(path, error))?;
    write(path, (text + "\n").as_bytes())
}

/// One JSON value a line.
pub(crate) fn write_jsonl<T: Serialize>(path: &Path, values: &[T]) -> Result<(), RunError> {
    let mut text = String::new();
    for value in values {
        text += &serde_json::to_string(value).map_err(|error| json_error(path, error))?;
        text.push('\n');
    }
    write(path, text.as_bytes())
}

fn json_error(path: &Path, error: serde_json::Error) -> RunError {
    RunError::Write { path: path.to_owned(), source: error.into() }
}
