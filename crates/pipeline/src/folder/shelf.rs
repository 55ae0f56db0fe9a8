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
    /// All that there are of a key, for one of them may have lost its files.
    manifests: Mutex<BTreeMap<String, Vec<PathBuf>>>,
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
        let known = manifests.entry(key.to_owned()).or_default();
        if !known.iter().any(|one| one == manifest) {
            known.push(manifest.to_owned());
        }
    }

    /// Copies the output of a stage that has this key to `output`, if there is one and its files are as they
    /// were written.
    pub(super) fn copy(&self, key: &str, output: &Path) -> Result<Option<Manifest>, PipelineError> {
        let manifests = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = manifests.get(key).into_iter().flatten();
        let Some((manifest, whole)) = known.find_map(|path| intact(path, key, output)) else {
            return Ok(None);
        };
        // Of another key: a checkpoint in it would be taken for one of these files' own. Not before all that takes its place is
        // at hand, and no folder in it: what was brought by hand stands in one.
        for file in entries(output).iter().filter(|path| path.is_file()) {
            fs::remove_file(file).map_err(|error| PipelineError::file(file, error))?;
        }
        for (file, bytes) in whole {
            files::write(&join(output, &file), &bytes)?;
        }
        Ok(Some(manifest))
    }
}

/// Files by their names.
type Files = Vec<(String, Vec<u8>)>;

/// A stage's files, if all are as they were written, and none of them is `output` itself.
fn intact(path: &Path, key: &str, output: &Path) -> Option<(Manifest, Files)> {
    let manifest = read(path).filter(|manifest| manifest.key == key)?;
    let source = path.parent().and_then(Path::parent)?.join(&manifest.output);
    let whole = |(file, digest): (&String, &String)| {
        let bytes = fs::read(join(&source, file)).ok()?;
        (files::digest_of(&bytes) == *digest).then(|| (file.clone(), bytes))
    };
    let files = (source != output).then(|| manifest.files.iter().map(whole).collect::<Option<_>>())??;
    Some((manifest, files))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::{Inputs, Place};

    /// A stage of this key in `out/RUN/seed-1`.
    fn place(out: &Path, run: &str, name: &str, work: &str) -> Place {
        Place::new(&out.join(run).join("seed-1"), name, name, Inputs::of(work))
    }

    fn finish(place: &Place, text: &str) {
        for file in ["a", "b"] {
            files::write(&place.output().join(file), text.as_bytes()).unwrap();
        }
        place.finish(&Shelf::default(), &["a", "b"]).unwrap();
    }

    #[test]
    fn of_several_copies_a_whole_one_is_taken_and_else_nothing_is_touched() {
        let out = tempfile::tempdir().unwrap();
        let [first, second] = ["run-1", "run-2"].map(|run| place(out.path(), run, "warm", "train"));
        finish(&first, "learnt");
        finish(&second, "learnt");
        fs::remove_file(first.output().join("b")).unwrap();
        let third = place(out.path(), "run-3", "sft", "train");
        assert!(third.is_finished(&Shelf::of(out.path())).unwrap());
        assert_eq!(fs::read_to_string(third.output().join("b")).unwrap(), "learnt");

        // All of them damaged: what was computed so far stays where it is.
        fs::write(second.output().join("a"), "changed").unwrap();
        fs::remove_file(third.output().join("a")).unwrap();
        let fourth = place(out.path(), "run-4", "warm", "train");
        let checkpoint = fourth.output().join("checkpoint");
        files::write(&checkpoint, b"half").unwrap();
        assert!(!fourth.is_finished(&Shelf::of(out.path())).unwrap());
        assert_eq!(fs::read_to_string(&checkpoint).unwrap(), "half");

        // What is of another key goes before the copy comes.
        let other = place(out.path(), "run-5", "warm", "other");
        finish(&other, "otherwise");
        let fifth = place(out.path(), "run-4", "warm", "other");
        assert!(fifth.is_finished(&Shelf::of(out.path())).unwrap() && !checkpoint.exists());
    }

    #[test]
    fn what_was_answered_under_other_settings_waits_for_them() {
        let out = tempfile::tempdir().unwrap();
        let [before, after] = ["4096", "8192"].map(|context| place(out.path(), "run", "asked", context));
        before.journal::<String>().unwrap().0.result(3, &"three").unwrap();
        assert!(after.journal::<String>().unwrap().1.results.is_empty());
        assert_eq!(before.journal::<String>().unwrap().1.results[&3], "three");
    }
}
