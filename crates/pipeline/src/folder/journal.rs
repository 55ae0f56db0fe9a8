//! Results of a stage as they arrive, so that a kill loses none of them.

use crate::{PipelineError, files};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// An append-only file: the stage's key, then one result a line. A line that was cut off, and all after it,
/// count as never written.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
}

/// What a journal held when it was opened.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    /// Results by the index of their question.
    pub results: BTreeMap<usize, T>,
    /// Batches that are complete.
    pub batches: Vec<usize>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line<T> {
    Result { index: usize, result: T },
    Batch { batch: usize },
}

impl Journal {
    /// Opens the journal of a stage and reads what is in it; one of another key is begun anew.
    pub fn open<T: DeserializeOwned>(path: &Path, key: &str) -> Result<(Journal, Kept<T>), PipelineError> {
        let mut kept = Kept { results: BTreeMap::new(), batches: Vec::new() };
        let text = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(PipelineError::file(path, error)),
        };
        let good = read(&text, key, &mut kept);
        files::create_folder_of(path)?;
        let open = || {
            let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            file.set_len(good as u64)?;
            std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0))?;
            if good == 0 {
                file.write_all(&files::json_line(&Header { key: key.to_owned() })?)?;
            }
            Ok(file)
        };
        let file = open().map_err(|error| PipelineError::file(path, error))?;
        Ok((Journal { path: path.to_owned(), file }, kept))
    }

    pub fn result<T: Serialize>(&mut self, index: usize, result: &T) -> Result<(), PipelineError> {
        self.append(&Line::Result { index, result })
    }

    /// All results of a batch are written.
    pub fn batch(&mut self, batch: usize) -> Result<(), PipelineError> {
        self.append(&Line::<()>::Batch { batch })
    }

    fn append(&mut self, line: &impl Serialize) -> Result<(), PipelineError> {
        // One write a line: a process that is killed leaves whole lines, and a torn one is cut off at opening.
        let written = files::json_line(line).and_then(|bytes| self.file.write_all(&bytes));
        written.map_err(|error| PipelineError::file(&self.path, error))
    }
}

/// Reads whole lines; returns how many bytes of the file are good.
fn read<T: DeserializeOwned>(bytes: &[u8], key: &str, kept: &mut Kept<T>) -> usize {
    let mut good = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if !line.ends_with(b"\n") {
            break;
        }
        if good == 0 {
            if !serde_json::from_slice::<Header>(line).is_ok_and(|header| header.key == key) {
                return 0;
            }
        } else {
            match serde_json::from_slice(line) {
                Ok(Line::Result { index, result }) => drop(kept.results.insert(index, result)),
                Ok(Line::Batch { batch }) => kept.batches.push(batch),
                Err(_) => break,
            }
        }
        good += line.len();
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_cut_off_and_another_key_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.journal");
        let (mut journal, kept) = Journal::open::<String>(&path, "k").unwrap();
        assert!(kept.results.is_empty());
        journal.result(3, &"three").unwrap();
        journal.batch(0).unwrap();
        journal.result(4, &"four").unwrap();
        drop(journal);
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let (mut journal, kept) = Journal::open::<String>(&path, "k").unwrap();
            assert!(kept.results.values().all(|value| value == "three"), "{kept:?}");
            journal.result(5, &"five").unwrap();
            drop(journal);
            let (_, kept) = Journal::open::<String>(&path, "k").unwrap();
            assert_eq!(kept.results[&5], "five", "cut at {cut}");
        }
        let (_, kept) = Journal::open::<String>(&path, "other").unwrap();
        assert!(kept.results.is_empty() && kept.batches.is_empty());
    }
}
