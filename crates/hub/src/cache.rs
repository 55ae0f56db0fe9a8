//! Entries are written beside their final name and renamed into place, so what has its final name is whole.
//! A lock per entry keeps two processes from doing the same download; it is advisory and vanishes with its
//! process. Lock files stay behind on purpose: removing one under a waiter would let two in.

use crate::error::IoContext;
use crate::{HubError, Progress};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const TEMPORARY: &str = "tmp-";

/// Holds an entry until dropped.
pub(crate) struct Lock {
    _file: File,
}

/// Creates the entry's folder and waits for the sole right to write in it. Leftovers of a process that died
/// while it held the lock are removed.
pub(crate) fn lock(entry: &Path, on: &mut dyn FnMut(&Progress)) -> Result<Lock, HubError> {
    fs::create_dir_all(entry).at("create", entry)?;
    let path = entry.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path).at("open", &path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            on(&Progress::Waiting { lock: path.clone() });
            file.lock().at("lock", &path)?;
        }
        Err(TryLockError::Error(error)) => return Err(error).at("lock", &path),
    }
    remove_leftovers(entry)?;
    Ok(Lock { _file: file })
}

fn remove_leftovers(entry: &Path) -> Result<(), HubError> {
    for item in fs::read_dir(entry).at("list", entry)? {
        let path = item.at("list", entry)?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY)) {
            fs::remove_dir_all(&path).at("remove", &path)?;
        }
    }
    Ok(())
}

/// A folder inside `entry` that vanishes unless it is published.
pub(crate) fn temporary(entry: &Path) -> Result<TempDir, HubError> {
    tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(entry).at("create a folder in", entry)
}

/// Gives a finished folder its final name.
pub(crate) fn publish(finished: &Path, name: &Path) -> Result<(), HubError> {
    if let Some(parent) = name.parent() {
        fs::create_dir_all(parent).at("create", parent)?;
    }
    fs::rename(finished, name).at("move the finished download to", name)
}

/// Bytes of the largest file below a folder; what vanishes meanwhile counts nothing.
pub(crate) fn largest_file(folder: &Path) -> u64 {
    let Ok(items) = fs::read_dir(folder) else { return 0 };
    let sizes = items.flatten().map(|item| match item.metadata() {
        Ok(metadata) if metadata.is_dir() => largest_file(&item.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.max().unwrap_or(0)
}

/// The one file or folder inside `folder`, if it is there; what macOS' file browser leaves does not count.
pub(crate) fn only_child(folder: &Path) -> Option<PathBuf> {
    let mut items = fs::read_dir(folder).ok()?.flatten().filter(|item| item.file_name() != ".DS_Store");
    let child = items.next()?.path();
    items.next().is_none().then_some(child)
}
