use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Where a row stands: a file and a line, or a record number where the format has no lines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file as it was named.
    pub file: Arc<Path>,
    /// Counted from 1: the line the row begins on; in parquet files and JSON arrays the record's number. 0 for the file as a
    /// whole.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file.display()),
            line => write!(f, "{}:{line}", self.file.display()),
        }
    }
}

/// What reading data can fail with. Each message names the file, the line, the value and what to change.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file cannot be opened or read.
    #[error("{}: cannot be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds no row.
    #[error("{}: holds no row; check that the download finished, or leave the file out", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Neither the extension nor the configuration says what the file is.
    #[error("{}: the extension does not say the format; set data.file.format to csv, tsv, jsonl or parquet", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// Bytes that are not text in the stated encoding.
    #[error(
        "{at}: not UTF-8 near `{near}`; set data.file.encoding = \"latin1\", or convert the file to UTF-8"
    )]
    Encoding {
        /// The row.
        at: Place,
        /// The text around the first bad byte.
        near: String,
    },
    /// A file in UTF-16, recognised by its byte order mark.
    #[error("{}: is UTF-16; convert it to UTF-8", path.display())]
    Utf16 {
        /// The file.
        path: PathBuf,
    },
    /// A row with more or fewer fields than the header.
    #[error(
        "{at}: {found} fields where {expected} are expected, beginning `{value}`; check quotes and separators (data.file.separator), and data.file.names if the file has no header"
    )]
    Ragged {
        /// The row.
        at: Place,
        /// Fields in the row.
        found: usize,
        /// Fields in the header or in the configured names.
        expected: usize,
        /// The beginning of the row.
        value: String,
    },
    /// Two columns of one name.
    #[error("{at}: column `{name}` occurs twice; rename one in the file; empty names count, too")]
    DuplicateColumn {
        /// The header.
        at: Place,
        /// The name.
        name: String,
    },
    /// A line that is not a JSON object.
    #[error(
        "{at}: not a JSON object: `{value}`; each line must be one object such as {{\"question\": \"...\"}}"
    )]
    Json {
        /// The row.
        at: Place,
        /// The beginning of the line.
        value: String,
        /// What the parser said; absent where the JSON is fine but no object.
        source: Option<serde_json::Error>,
    },
    /// A quote that is still open at the end of the file, so that all rows after it are one.
    #[error(
        "{at}: a quote in this row never closes; close it, write it twice inside of a quoted field, or set data.file.format = \"tsv\" where quotes are ordinary characters and tabs separate"
    )]
    OpenQuote {
        /// The row that it opens in.
        at: Place,
    },
    /// A file of another kind than rows.
    #[error("{}: is {what}", path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
        /// What it is, and what to do.
        what: &'static str,
    },
    /// A number as an answer, which may count from 0 or from 1.
    #[error(
        "{at}: the answer is the number {value}, which may count from 0 or from 1; set data.columns.answer = {{ column = \"...\", kind = \"one_based\" }} or \"zero_based\"; the options are {options}"
    )]
    AmbiguousNumber {
        /// The row.
        at: Place,
        /// The number.
        value: String,
        /// The options with their letters.
        options: String,
    },
    /// A letter where options are letters, too, so that it may be one's text and another one's place.
    #[error(
        "{at}: answer `{value}` may be an option's letter or its text; set data.columns.answer = {{ column = \"...\", kind = \"letter\" }} or \"text\"; the options are {options}"
    )]
    AmbiguousLetter {
        /// The row.
        at: Place,
        /// The letter.
        value: String,
        /// The options with their letters.
        options: String,
    },
    /// The csv reader gave up.
    #[error("{at}: broken csv")]
    Csv {
        /// The row.
        at: Place,
        /// Why.
        source: csv::Error,
    },
    /// The parquet reader gave up.
    #[cfg(feature = "parquet")]
    #[error("{at}: broken or unsupported parquet; supported compressions are snappy, gzip and zstd")]
    Parquet {
        /// The record.
        at: Place,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// A column the configuration names, or a usual one, is not there.
    #[error(
        "{at}: no column `{wanted}` for the {purpose}; the columns are {columns}; set data.columns.{purpose}"
    )]
    MissingColumn {
        /// The row.
        at: Place,
        /// What was looked for.
        wanted: String,
        /// `question`, `options` and so on: the configuration key.
        purpose: &'static str,
        /// The columns that exist.
        columns: String,
    },
    /// A cell that must hold something holds nothing.
    #[error("{at}: the {purpose} is empty; fill it in, or set data.on_bad_row = \"skip\"")]
    EmptyCell {
        /// The row.
        at: Place,
        /// The configuration key.
        purpose: &'static str,
    },
    /// A cell that should be a list of options.
    #[error(
        "{at}: `{value}` is not a JSON list of options; expected [\"first\", \"second\"], or name one column per option"
    )]
    Options {
        /// The row.
        at: Place,
        /// The beginning of the cell.
        value: String,
    },
    /// An answer that names no option.
    #[error(
        "{at}: answer `{value}` is none of {options}; it may be a letter, an option's text or a digit from 1 (other forms: data.columns.answer.kind; an option that is missing: data.columns.options)"
    )]
    Answer {
        /// The row.
        at: Place,
        /// The answer.
        value: String,
        /// The options with their letters.
        options: String,
    },
    /// An answer column with bins that holds no number.
    #[error("{at}: `{value}` is not a number, and data.columns.answer.bins needs one")]
    NotANumber {
        /// The row.
        at: Place,
        /// The cell.
        value: String,
    },
    /// A chat record that cannot be cut into a question and an answer.
    #[error(
        "{at}: {reason}; expected a list of {{\"role\": ..., \"content\": ...}} or {{\"from\": ..., \"value\": ...}} with at least one user turn"
    )]
    Chat {
        /// The row.
        at: Place,
        /// What is wrong.
        reason: String,
    },
    /// One id on two rows.
    #[error(
        "id `{id}` stands at {first} and at {second}; name another column in data.columns.id, or a template such as \"{{id}}-{{_line}}\""
    )]
    DuplicateId {
        /// The id.
        id: String,
        /// Where it stands first.
        first: Place,
        /// Where it stands again.
        second: Place,
    },
    /// A labelled row without its answer.
    #[error(
        "sample `{id}` has no answer, and labelled data needs one; fill it in, or set data.columns.answer to the column that holds it"
    )]
    NoAnswer {
        /// The sample.
        id: String,
    },
    /// A configuration that cannot be meant.
    #[error("data configuration: {reason}")]
    Config {
        /// What is wrong and what to change.
        reason: String,
    },
}

/// The first characters of a value, on one line, for messages.
pub(crate) fn excerpt(value: &str) -> String {
    const LEN: usize = 60;
    let mut chars = value.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = chars.by_ref().take(LEN).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}
