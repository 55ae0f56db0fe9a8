//! One process at a time in a run's folder.

use crate::RunError;
use semievol_pipeline::PipelineError;
use std::fs::TryLockError;
use std::path::Path;

/// Keeps other processes out of a run folder; the file stands beside it, hidden from `runs/*`, and says nothing.
pub(crate) struct Lock(std::fs::File);

impl Lock {
    pub fn take(folder: &Path) -> Result<Self, RunError> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let path = folder.with_file_name(format!(".{name}.lock"));
        let failed = |source| PipelineError::File { path: path.clone(), source };
        if let Some(out) = folder.parent() {
            let failed = |source| PipelineError::File { path: out.to_owned(), source };
            std::fs::create_dir_all(out).map_err(failed)?;
        }
        let file = std::fs::File::create(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => Err(RunError::Assembly(format!(
                "{}: another process is running this experiment; wait for it, or give another --out",
                folder.display()
            ))),
            // A file system without locks: better unguarded than not at all.
            Err(TryLockError::Error(_)) => Ok(Lock(file)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}
