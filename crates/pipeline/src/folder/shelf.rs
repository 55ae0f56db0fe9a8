use super::{BOOKKEEPING, Manifest, join, read};
use crate::{PipelineError, files};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Finished stages of all runs below one folder, by key: variants of an experiment share what they have in
/// common, and so do seeds.
#[derive(Debug, Default)]
pub struct Shelf {
    manifests: Mutex<BTreeMap<String, PathBuf>>,
}

impl Shelf {
    /// Looks through `out/RUN/SEED/stages/` and `out/RUN/SEED/VARIANT/stages/`. Folders that cannot be read hold
    /// nothing.
    pub fn of(out: &Path) -> Self {
        let shelf = Shelf::default();
        for seed in folders(out).iter().flat_map(|run| folders(run)) {
            shelf.add_all(&seed);
            folders(&seed).iter().for_each(|variant| shelf.add_all(variant));
        }
        shelf
    }

    fn add_all(&self, folder: &Path) {
        let manifests = entries(&folder.join(BOOKKEEPING)).into_iter();
        for path in manifests.filter(|path| path.extension().is_some_and(|end| end == "json")) {
            if let Some(manifest) = read(&path) {
                self.add(&manifest.key, &path);
            }
        }
    }

    pub(super) fn add(&self, key: &str, manifest: &Path) {
        let mut manifests = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        manifests.entry(key.to_owned()).or_insert_with(|| manifest.to_owned());
    }

    /// Copies the output of a stage that has this key to `output`, if there is one and its files are as they
    /// were written.
    pub(super) fn copy(&self, key: &str, output: &Path) -> Result<Option<Manifest>, PipelineError> {
        let manifests = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((path, manifest)) = manifests.get(key).and_then(|path| Some((path, read(path)?))) else {
            return Ok(None);
        };
        let Some(folder) = path.parent().and_then(Path::parent) else { return Ok(None) };
        let source = folder.join(&manifest.output);
        if manifest.key != key || source == output {
            return Ok(None);
        }
        if output.is_dir() {
            // Of another key: a checkpoint in it would be taken for one of these files' own.
            fs::remove_dir_all(output).map_err(|error| PipelineError::file(output, error))?;
        }
        for (file, digest) in &manifest.files {
            let from = join(&source, file);
            if !files::digest(&from).is_ok_and(|found| found == *digest) {
                return Ok(None);
            }
            let bytes = fs::read(&from).map_err(|error| PipelineError::file(&from, error))?;
            files::write(&join(output, file), &bytes)?;
        }
        Ok(Some(manifest))
    }
}

/// The folders in a folder, in the order of their names.
fn folders(folder: &Path) -> Vec<PathBuf> {
    entries(folder).into_iter().filter(|path| path.is_dir()).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries
}
