use super::{Encoding, FileOptions, Lines, Rows, decode, lines};
use crate::error::{DataError, Place, excerpt};
use crate::row::Row;
use serde_json::{Map, Value};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// What is read after the end of a csv file: a row of its own, unless a quote is still open.
const END: &str = "\n\0END\0";

/// Rows of a file with commas, or what stands in their place, and quotes.
pub(super) fn csv_rows(path: &Path, options: &FileOptions) -> Result<Rows, DataError> {
    let file: Arc<Path> = Arc::from(path);
    let encoding = options.encoding;
    // `flexible` so that a ragged row is reported in our words, with its line.
    let bytes = lines::open(path)?.chain(END.as_bytes());
    let reader = csv::ReaderBuilder::new()
        .delimiter(separator(options)?)
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes);
    let before_the_end = |record: &csv::Result<csv::ByteRecord>| match record {
        Ok(record) => record.len() != 1 || record[0] != *END.trim_start().as_bytes(),
        Err(_) => true,
    };
    let records = reader.into_byte_records().take_while(before_the_end);
    let mut records = records.map(move |record| fields(record, &file, encoding));
    let names = header(path, options, || records.next())?;
    Ok(rows(names, records))
}

/// Rows of a file with tabs.
pub(super) fn tsv_rows(path: &Path, options: &FileOptions) -> Result<Rows, DataError> {
    let mut records = Lines::open(path, options.encoding)?.map(|line| {
        let (at, line) = line?;
        Ok((at, line.split('\t').map(unquoted).collect::<Vec<_>>()))
    });
    let names = header(path, options, || records.next())?;
    Ok(rows(names, records))
}

/// Records under their names. One of several cells without anything in them, as spreadsheets leave behind the last row, is
/// none.
fn rows(names: Vec<String>, records: impl Iterator<Item = Fields> + 'static) -> Rows {
    let blank = |(_, cells): &(Place, Vec<String>)| {
        cells.len() > 1 && cells.iter().all(|cell| cell.trim().is_empty())
    };
    let records = records.filter(move |record| !record.as_ref().is_ok_and(blank));
    Box::new(records.map(move |record| {
        let (at, cells) = record?;
        row(&names, at, cells)
    }))
}

/// The byte between cells.
fn separator(options: &FileOptions) -> Result<u8, DataError> {
    let separator = options.separator.unwrap_or(',');
    match u8::try_from(separator) {
        Ok(byte) if (byte.is_ascii_punctuation() || matches!(byte, b'\t' | b' ')) && byte != b'"' => Ok(byte),
        _ => {
            let reason = format!(
                "data.file.separator = {separator:?}: it has to be a comma, a semicolon, a tab or another ASCII sign, but no quote"
            );
            Err(DataError::Config { reason })
        }
    }
}

/// A cell without the quotes that stand around all of it and double those within.
fn unquoted(cell: &str) -> String {
    let inner = cell.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner.filter(|inner| !inner.replace("\"\"", "").contains('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => cell.to_owned(),
    }
}

type Fields = Result<(Place, Vec<String>), DataError>;

fn fields(record: csv::Result<csv::ByteRecord>, file: &Arc<Path>, encoding: Encoding) -> Fields {
    let place = |position: Option<&csv::Position>| Place {
        file: Arc::clone(file),
        line: position.map_or(0, |position| position.line() as usize),
    };
    let record = record.map_err(|source| DataError::Csv { at: place(source.position()), source })?;
    let at = place(record.position());
    if record.iter().next_back().is_some_and(|cell| cell.ends_with(END.as_bytes())) {
        return Err(DataError::OpenQuote { at });
    }
    let cells = record.iter().map(|cell| decode(cell.to_vec(), encoding, &at)).collect::<Result<_, _>>()?;
    Ok((at, cells))
}

/// The configured names, or the first record.
fn header(
    path: &Path,
    options: &FileOptions,
    first: impl FnOnce() -> Option<Fields>,
) -> Result<Vec<String>, DataError> {
    let (at, names) = match &options.names {
        Some(names) => (Place { file: Arc::from(path), line: 0 }, names.clone()),
        None => first().ok_or_else(|| DataError::Empty { path: path.to_owned() })??,
    };
    match names.iter().enumerate().find(|(column, name)| names[..*column].contains(name)) {
        Some((_, name)) => Err(DataError::DuplicateColumn { at, name: name.clone() }),
        None => Ok(names),
    }
}

fn row(names: &[String], at: Place, cells: Vec<String>) -> Result<Row, DataError> {
    if cells.len() != names.len() {
        let value = excerpt(&cells.join(" | "));
        return Err(DataError::Ragged { at, found: cells.len(), expected: names.len(), value });
    }
    let values: Map<String, Value> =
        names.iter().cloned().zip(cells.into_iter().map(Value::String)).collect();
    Ok(Row { values, at })
}
