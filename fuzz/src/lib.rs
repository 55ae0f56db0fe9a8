//! What reads a file of the user's, on bytes that may be anything: it may refuse them, and must not panic, hang, take
//! memory without measure or write anywhere else.
//!
//! `cargo +nightly fuzz run gguf --features libfuzzer -- -detect_leaks=0` makes inputs up (looking for leaks after each of them
//! takes nine tenths of the time); `cargo test --workspace --test corpus` runs what is kept in
//! `corpus/`, in which findings stay. `rows` and `archive` are built in minutes with
//! `--no-default-features --features libfuzzer`, which leaves the engine out.

#[cfg(feature = "engine")]
mod engine;
mod files;

#[cfg(feature = "engine")]
pub use engine::{adapter, configuration, gguf, safetensors};
pub use files::{archive, rows};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A target with the folder of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// All targets that are built.
pub const TARGETS: &[Target] = &[
    ("rows", rows),
    ("archive", archive),
    #[cfg(feature = "engine")]
    ("gguf", gguf),
    #[cfg(feature = "engine")]
    ("safetensors", safetensors),
    #[cfg(feature = "engine")]
    ("adapter", adapter),
    #[cfg(feature = "engine")]
    ("configuration", configuration),
];

/// A folder for the input; in memory where the system has such a place.
fn scratch() -> TempDir {
    let shared = Path::new("/dev/shm");
    let made = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
    made.unwrap_or_else(|error| unreachable!("no folder for the input: {error}"))
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap_or_else(|error| unreachable!("{}: {error}", path.display()));
    path
}
