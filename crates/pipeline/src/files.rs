//! Files of a run: whole or absent, never half.

use crate::PipelineError;
use crate::folder::Hashing;
use semievol_core::write_whole;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Writes beside the file and renames.
///
/// # Errors
/// Names the file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), PipelineError> {
    create_folder_of(path)?;
    write_whole(path, bytes).map_err(|source| PipelineError::file(path, source))
}

/// The folder that a file is to stand in.
pub(crate) fn create_folder_of(path: &Path) -> Result<(), PipelineError> {
    path.parent().map_or(Ok(()), |folder| {
        fs::create_dir_all(folder).map_err(|error| PipelineError::file(folder, error))
    })
}

/// Indented JSON with a final line end.
///
/// # Errors
/// Names the file.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), PipelineError> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| PipelineError::file(path, error.into()))?;
    write(path, (text + "\n").as_bytes())
}

/// One JSON value a line.
///
/// # Errors
/// Names the file.
pub fn write_jsonl<T: Serialize>(path: &Path, values: &[T]) -> Result<(), PipelineError> {
    let mut bytes = Vec::new();
    for value in values {
        bytes.extend(json_line(value).map_err(|error| PipelineError::file(path, error))?);
    }
    write(path, &bytes)
}

/// What [`write_jsonl`] wrote.
///
/// # Errors
/// Names the file and the line.
pub fn read_jsonl<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, PipelineError> {
    let text = fs::read_to_string(path).map_err(|error| PipelineError::file(path, error))?;
    let value = |(number, line): (usize, &str)| {
        let wrong = |error| io::Error::other(format!("line {}: {error}", number + 1));
        serde_json::from_str(line).map_err(|error| PipelineError::file(path, wrong(error)))
    };
    text.lines().enumerate().map(value).collect()
}

pub(crate) fn json_line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// SHA-256 of a file's bytes, in hexadecimal.
pub(crate) fn digest(path: &Path) -> io::Result<String> {
    let mut hasher = Hashing::default();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.hex())
}
