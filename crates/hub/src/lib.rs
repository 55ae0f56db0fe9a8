//! Where weights and data sets come from: a [`Source`] is one line of text, a [`Hub`] turns it into a path.
//!
//! Depend on this crate to let a configuration name a model as a local path, a part of a package of the
//! Python package index, or a repository of the Hugging Face hub, and to get the same bytes everywhere.
//!
//! The decision that shaped it: a source carries its own digest, and nothing of a download is read before the
//! digest is checked. A pinned source therefore means the same bytes on every machine, and a finished download
//! is never asked for again. Two costs: the digest must be known when the configuration is written (without
//! one, [`Fetched::digest`] tells what came, ready to be pinned), and archives stay in the cache beside what
//! was unpacked of them, which needs the space twice.
//!
//! Packages are downloaded by pip, which knows the user's mirrors, proxies and certificates. Wheels run no
//! code; a source archive (`;sdist`) runs its build script inside pip, so pin those.
//!
//! ```
//! use semievol_hub::{Hub, HubConfig, Source};
//!
//! let folder = tempfile::tempdir()?;
//! std::fs::write(folder.path().join("model.gguf"), "weights")?;
//!
//! let hub = Hub::new(HubConfig::new(folder.path().join("cache")));
//! let source: Source = folder.path().join("model.gguf").display().to_string().parse()?;
//! let fetched = hub.fetch(&source, &mut |progress| eprintln!("{progress:?}"))?;
//! assert!(fetched.path.is_file());
//!
//! let source: Source = "pypi:some-model==1.0!model.gguf".parse()?;
//! let offline = Hub::new(HubConfig { offline: true, ..HubConfig::new(folder.path().join("cache")) });
//! let error = offline.fetch(&source, &mut |_| ()).unwrap_err();
//! assert!(error.to_string().contains("downloads are off"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod archive;
mod cache;
mod config;
mod digest;
mod error;
mod hf;
mod nearest;
mod pip;
mod pypi;
mod source;

pub use config::{HubConfig, Token};
pub use digest::sha256_file;
pub use error::HubError;
use nearest::nearest;
#[doc(hidden)] // for fuzzing; no stable interface
pub fn extract(archive: &Path, member: Option<&str>, to: &Path) -> Result<(), HubError> {
    archive::Archive::open(archive)?.extract(member, to)
}

pub use source::{HfSource, PypiSource, Source, SourceError};
use std::path::{Path, PathBuf};

/// Turns sources into paths, downloading what is not in the cache.
///
/// Any number of processes and threads may share a cache: one downloads, the others wait for it.
#[derive(Debug, Clone)]
pub struct Hub {
    config: HubConfig,
}

/// What a source turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// A file or folder; read it, and leave it as it is.
    pub path: PathBuf,
    /// SHA-256 in hexadecimal of the package's archive, or of the hub's file; `None` for local paths, for
    /// folders of the hub, and for files that the hub's cache held already, where they are small or the system has no
    /// symbolic links.
    pub digest: Option<String>,
}

/// What a fetch is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Another process or thread is fetching the same; its result will be used.
    Waiting {
        /// The lock it holds.
        lock: PathBuf,
    },
    /// A download begins.
    Started {
        /// Package and version, or repository.
        what: String,
    },
    /// Bytes of the current file, and about how many there will be, if known.
    Bytes {
        /// So far.
        done: u64,
        /// In all.
        total: Option<u64>,
    },
    /// The download is whole and being unpacked.
    Unpacking {
        /// The member, or the package.
        what: String,
    },
    /// The path is ready.
    Done {
        /// The file or folder.
        path: PathBuf,
        /// Whether it was there before: nothing was downloaded or unpacked.
        cached: bool,
    },
}

impl Hub {
    /// A hub with everything said.
    pub fn new(config: HubConfig) -> Self {
        Hub { config }
    }

    /// A hub as the environment describes it: see [`HubConfig::from_env`].
    ///
    /// # Errors
    /// If no folder for the cache can be found.
    pub fn from_env() -> Result<Self, HubError> {
        HubConfig::from_env().map(Hub::new)
    }

    /// What it was made with.
    pub fn config(&self) -> &HubConfig {
        &self.config
    }

    /// The path of what `source` names, downloaded and unpacked if need be. The last event is
    /// [`Progress::Done`]; after an error there is none.
    ///
    /// # Errors
    /// If it is not there, cannot be downloaded, does not have the digest asked for, or lacks the member; the
    /// cache then holds nothing of it that a later fetch could mistake for whole.
    pub fn fetch(
        &self,
        source: &Source,
        on_progress: &mut dyn FnMut(&Progress),
    ) -> Result<Fetched, HubError> {
        let mut worked = false;
        let mut on = |progress: &Progress| {
            worked |= !matches!(progress, Progress::Waiting { .. });
            on_progress(progress);
        };
        let fetched = match source {
            Source::Local(path) => local(path),
            Source::Pypi(package) => pypi::fetch(self, package, &mut on),
            Source::Hf(repository) => hf::fetch(self, repository, &mut on),
        }?;
        on_progress(&Progress::Done { path: fetched.path.clone(), cached: !worked });
        Ok(fetched)
    }
}

fn local(path: &Path) -> Result<Fetched, HubError> {
    if path.exists() {
        return Ok(Fetched { path: path.to_path_buf(), digest: None });
    }
    Err(HubError::NotFound { path: path.to_path_buf(), start: std::env::current_dir().unwrap_or_default() })
}
