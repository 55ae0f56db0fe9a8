//! Files of a run: whole or absent, never half.

use crate::PipelineError;
use crate::folder::Hashing;
use semievol_core::write_whole_with;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

/// Writes beside the file and renames.
///
/// # Errors
/// Names the file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), PipelineError> {
    write_with(path, |file| file.write_all(bytes))
}

/// The same for what need not be in memory at once.
///
/// # Errors
/// Names the file.
pub fn write_with(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), PipelineError> {
    create_folder_of(path)?;
    write_whole_with(path, write).map_err(|source| PipelineError::file(path, source))
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
    write_with(path, |file| values.iter().try_for_each(|value| file.write_all(&json_line(value)?)))
}

/// What [`write_jsonl`] wrote.
///
/// # Errors
/// Names the file and the line.
pub fn read_jsonl<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, PipelineError> {
    lines(path)?.collect()
}

/// The same one by one, for what need not be in memory at once.
///
/// # Errors
/// Names the file, and in an item the line.
pub fn lines<T: DeserializeOwned>(
    path: &Path,
) -> Result<impl Iterator<Item = Result<T, PipelineError>> + use<T>, PipelineError> {
    let path = path.to_owned();
    let file = File::open(&path).map_err(|error| PipelineError::file(&path, error))?;
    Ok(BufReader::new(file).lines().enumerate().map(move |(number, line)| {
        let wrong = |error| io::Error::other(format!("line {}: {error}", number + 1));
        let value = line.and_then(|line| serde_json::from_str(&line).map_err(wrong));
        value.map_err(|error| PipelineError::file(&path, error))
    }))
}

pub(crate) fn json_line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// SHA-256 of bytes, in hexadecimal.
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    let mut hasher = Hashing::default();
    // Writing to a hasher cannot fail.
    let _ = hasher.write_all(bytes);
    hasher.hex()
}

/// SHA-256 of a file's bytes, in hexadecimal.
pub(crate) fn digest(path: &Path) -> io::Result<String> {
    let mut hasher = Hashing::default();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.hex())
}
