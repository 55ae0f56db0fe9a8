use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a file is no experiment. Names the file, the key, its value and what would be right.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, or a key or type that is not known.
    #[error("{}: {source}", file.display())]
    Toml {
        /// The file.
        file: PathBuf,
        /// Line, column and what is allowed there.
        source: toml::de::Error,
    },
    /// A value out of range, or keys that do not go together.
    #[error("{}: `{key}` is {value}, but must be {expected}", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// The key with its tables, such as `train.lr`.
        key: String,
        /// What it is set to.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// The recipe or the task makes no sense.
    #[error("{}: {source}", file.display())]
    Part {
        /// The file.
        file: PathBuf,
        /// Which field, its value and the range.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A change of a single value that cannot be made.
    #[error("override `{text}`: {reason}")]
    Override {
        /// As it was written.
        text: String,
        /// What is wrong and what would be right.
        reason: String,
    },
}

impl ConfigError {
    pub(super) fn value(
        file: &Path,
        key: &str,
        value: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        ConfigError::Value {
            file: file.to_owned(),
            key: key.into(),
            value: value.into(),
            expected: expected.into(),
        }
    }
}
