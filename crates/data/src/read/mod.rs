//! Files to rows, one at a time.

mod delimited;
mod json;
mod lines;
#[cfg(feature = "parquet")]
mod parquet;

use crate::error::{DataError, Place};
use crate::row::Row;
use lines::Lines;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// How a file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Format {
    /// Separated by commas, or by what `separator` says, with quotes (RFC 4180).
    Csv,
    /// Tab-separated, one row a line. Quotes are ordinary characters, but for those around a whole cell, which spreadsheets
    /// write around commas and quotes.
    Tsv,
    /// One JSON object a line; a file that begins with `[` is read as one array of objects.
    Jsonl,
    /// Apache Parquet, nested lists and structures included.
    Parquet,
}

impl Format {
    /// The format an extension stands for.
    pub fn of(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Format::Csv),
            "tsv" | "tab" => Some(Format::Tsv),
            "jsonl" | "ndjson" | "json" => Some(Format::Jsonl),
            "parquet" => Some(Format::Parquet),
            _ => None,
        }
    }
}

/// How the bytes of a text file stand for characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark; anything else is an error.
    #[default]
    Utf8,
    /// Windows-1252, of which ISO 8859-1 is a part, wherever the bytes are not UTF-8: so nothing is an error, and a file in
    /// UTF-8 beside others stays as it is.
    Latin1,
}

/// How a file is to be read; the default goes by the extension and expects UTF-8 with a header.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileOptions {
    /// The format; by the extension when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// The encoding of csv, tsv and jsonl files; `latin1` is Windows-1252 wherever their bytes are not UTF-8.
    pub encoding: Encoding,
    /// What stands between the cells of a csv file: one ASCII character, such as `";"`, which spreadsheets write where the
    /// decimal sign is a comma; a comma when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub separator: Option<char>,
    /// The columns of a csv or tsv file that has no header line; when absent the first line is the header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
}

/// The rows of one file, read as they are asked for. After an error the iterator may end early.
pub type Rows = Box<dyn Iterator<Item = Result<Row, DataError>>>;

/// Opens a file and gives its rows.
///
/// The parquet crate panics on some damaged files, which is an error here. The first reading of a parquet file puts a panic
/// hook before the process's own; it keeps quiet about these panics and passes all others on.
///
/// ```no_run
/// # fn main() -> Result<(), semievol_data::DataError> {
/// for row in semievol_data::rows("train.jsonl".as_ref(), &Default::default())? {
///     let row = row?;
///     let _columns = row.values.keys();
/// }
/// # Ok(()) }
/// ```
///
/// # Errors
/// If the file cannot be opened, is of no known format, or has no rows; of what is wrong with a row, the iterator tells.
pub fn rows(path: &Path, options: &FileOptions) -> Result<Rows, DataError> {
    let format = options.format.or_else(|| Format::of(path));
    refuse_no_rows(path, format)?;
    let format = format.ok_or_else(|| DataError::UnknownFormat { path: path.to_owned() })?;
    match format {
        Format::Csv => delimited::csv_rows(path, options),
        Format::Tsv => delimited::tsv_rows(path, options),
        Format::Jsonl => json::rows(path, options.encoding),
        #[cfg(feature = "parquet")]
        Format::Parquet => parquet::rows(path),
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => {
            let what =
                "a parquet file, and this build reads none: turn on the feature `parquet` of semievol-data";
            Err(DataError::NoRows { path: path.to_owned(), what })
        }
    }
}

/// Files of other kinds are read as text with errors that lead nowhere.
fn refuse_no_rows(path: &Path, format: Option<Format>) -> Result<(), DataError> {
    const KINDS: [(&[u8], &str); 4] = [
        (b"PAR1", "a parquet file; name it .parquet, or set data.file.format = \"parquet\""),
        (b"PK\x03\x04", "a zip archive or an Excel workbook; unpack it, or save its sheet as csv"),
        (b"\x1f\x8b", "compressed by gzip; unpack it"),
        (b"\x28\xb5\x2f\xfd", "compressed by zstd; unpack it"),
    ];
    let refuse = |what| Err(DataError::NoRows { path: path.to_owned(), what });
    if path.is_dir() {
        return refuse("a folder; name a file in it");
    }
    // What is read from a pipe is gone.
    if !path.is_file() || format == Some(Format::Parquet) {
        return Ok(());
    }
    let mut start = Vec::new();
    let opened = File::open(path).and_then(|file| file.take(4).read_to_end(&mut start));
    opened.map_err(|source| DataError::Io { path: path.to_owned(), source })?;
    match KINDS.iter().find(|(magic, _)| start.starts_with(magic)) {
        Some((_, what)) => refuse(what),
        None => Ok(()),
    }
}

/// Bytes to text, or the error that says what encoding to state.
fn decode(bytes: Vec<u8>, encoding: Encoding, at: &Place) -> Result<String, DataError> {
    String::from_utf8(bytes).or_else(|error| match encoding {
        Encoding::Latin1 => {
            Ok(encoding_rs::WINDOWS_1252.decode_without_bom_handling(error.as_bytes()).0.into_owned())
        }
        Encoding::Utf8 => {
            let bad = error.utf8_error().valid_up_to();
            let bytes = error.as_bytes();
            let near = &bytes[bad.saturating_sub(20)..bytes.len().min(bad + 10)];
            Err(DataError::Encoding { at: at.clone(), near: String::from_utf8_lossy(near).into_owned() })
        }
    })
}
