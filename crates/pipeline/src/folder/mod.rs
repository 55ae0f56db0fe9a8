//! The run folder: what is finished is read, what is partial goes on, what has other inputs is computed.

mod journal;
mod key;
mod shelf;

pub(crate) use journal::{Journal, Kept};
pub(crate) use key::Hashing;
pub use key::Inputs;
pub use shelf::Shelf;

use crate::{PipelineError, files};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Where manifests and journals stand, beside the artefacts they are about.
const BOOKKEEPING: &str = "stages";

/// One stage's place in a run folder: an output (a file or a folder), a manifest, perhaps a journal.
#[derive(Debug)]
pub(crate) struct Place {
    folder: PathBuf,
    name: String,
    output: String,
    inputs: Inputs,
    key: String,
}

/// Written last, by rename: a stage is finished when its manifest says so.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Manifest {
    stage: String,
    /// SHA-256 of `inputs`.
    key: String,
    inputs: serde_json::Map<String, serde_json::Value>,
    /// The file or folder that the stage made.
    output: String,
    /// SHA-256 of the output, or of each file in it.
    files: BTreeMap<String, String>,
}

impl Place {
    pub fn new(folder: &Path, name: &str, output: &str, inputs: Inputs) -> Self {
        let (folder, name, output) = (folder.to_owned(), name.to_owned(), output.to_owned());
        Place { folder, name, output, key: inputs.key(), inputs }
    }

    pub fn output(&self) -> PathBuf {
        self.folder.join(&self.output)
    }

    /// Whether the stage is finished with these inputs: here, or elsewhere on the shelf, from where it is
    /// copied. A file that has changed since it was written makes it unfinished.
    pub fn is_finished(&self, shelf: &Shelf) -> Result<bool, PipelineError> {
        if read(&self.manifest_path()).is_some_and(|manifest| self.is_intact(&manifest)) {
            return Ok(true);
        }
        let Some(copied) = shelf.copy(&self.key, &self.output())? else { return Ok(false) };
        let manifest = Manifest { stage: self.name.clone(), output: self.output.clone(), ..copied };
        files::write_json(&self.manifest_path(), &manifest)?;
        Ok(self.is_intact(&manifest))
    }

    fn is_intact(&self, manifest: &Manifest) -> bool {
        let intact = |(file, digest): (&String, &String)| {
            files::digest(&join(&self.output(), file)).is_ok_and(|found| found == *digest)
        };
        manifest.key == self.key && manifest.output == self.output && manifest.files.iter().all(intact)
    }

    /// What the stage has computed so far.
    pub fn journal<T: serde::de::DeserializeOwned>(&self) -> Result<(Journal, Kept<T>), PipelineError> {
        Journal::open(&self.journal_path(), &self.key)
    }

    /// The output is whole: `files` of it, or the output itself for none.
    pub fn finish(&self, shelf: &Shelf, files: &[&str]) -> Result<(), PipelineError> {
        let files = if files.is_empty() { &[""] } else { files };
        let mut digests = BTreeMap::new();
        for file in files {
            let path = join(&self.output(), file);
            let digest = files::digest(&path).map_err(|error| PipelineError::file(&path, error))?;
            digests.insert((*file).to_owned(), digest);
        }
        let manifest = Manifest {
            stage: self.name.clone(),
            key: self.key.clone(),
            inputs: self.inputs.as_map().clone(),
            output: self.output.clone(),
            files: digests,
        };
        let path = self.manifest_path();
        files::write_json(&path, &manifest)?;
        shelf.add(&self.key, &path);
        match fs::remove_file(self.journal_path()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(PipelineError::file(&self.journal_path(), error))
            }
            _ => Ok(()),
        }
    }

    /// Where a part of the output may be kept until all are there. Its name has the key, so that no part of
    /// another's is taken.
    pub fn part(&self, number: usize) -> PathBuf {
        self.folder.join(BOOKKEEPING).join(format!("{}-{}.{number}.part", self.name, &self.key[..16]))
    }

    /// Removes what [`Place::part`] named.
    pub fn remove_parts(&self, n: usize) {
        // One that stays does no harm.
        (0..n).for_each(|number| drop(fs::remove_file(self.part(number))));
    }

    fn manifest_path(&self) -> PathBuf {
        self.folder.join(BOOKKEEPING).join(format!("{}.json", self.name))
    }

    /// Its name has the key: what was answered under other settings stays until these are back.
    fn journal_path(&self) -> PathBuf {
        self.folder.join(BOOKKEEPING).join(format!("{}-{}.journal", self.name, &self.key[..16]))
    }
}

/// A manifest that can be understood; one that cannot, or names what lies outside its folder, is as good as none.
fn read(path: &Path) -> Option<Manifest> {
    let manifest: Manifest = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let inside = |name: &str| {
        let mut parts = Path::new(name).components();
        matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
    };
    let files = manifest.files.keys().all(|file| file.is_empty() || inside(file));
    (files && inside(&manifest.output)).then_some(manifest)
}

fn join(output: &Path, file: &str) -> PathBuf {
    if file.is_empty() { output.to_owned() } else { output.join(file) }
}
