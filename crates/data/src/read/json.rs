use super::{Encoding, Lines, Rows};
use crate::error::{DataError, Place, excerpt};
use crate::row::Row;
use serde_json::{Map, Value};
use std::path::Path;
use std::sync::Arc;

/// Rows of a file with one object a line, or of one array of objects.
pub(super) fn rows(path: &Path, encoding: Encoding) -> Result<Rows, DataError> {
    let mut lines = Lines::open(path, encoding)?;
    match lines.first_byte() {
        Some(b'[') => array(path, &lines.rest()?),
        _ => Ok(Box::new(lines.map(|line| {
            let (at, line) = line?;
            object(at, &line)
        }))),
    }
}

fn object(at: Place, line: &str) -> Result<Row, DataError> {
    match serde_json::from_str::<Map<String, Value>>(line) {
        Ok(values) => Ok(Row { values, at }),
        Err(source) => Err(DataError::Json { at, value: excerpt(line), source: Some(source) }),
    }
}

/// A whole array has to be in memory at once; a file of one object a line has not.
fn array(path: &Path, text: &str) -> Result<Rows, DataError> {
    let file: Arc<Path> = Arc::from(path);
    let records: Vec<Value> = serde_json::from_str(text).map_err(|source| DataError::Json {
        at: Place { file: Arc::clone(&file), line: source.line() },
        value: excerpt(text.lines().nth(source.line().saturating_sub(1)).unwrap_or_default()),
        source: Some(source),
    })?;
    Ok(Box::new(records.into_iter().enumerate().map(move |(index, record)| {
        let at = Place { file: Arc::clone(&file), line: index + 1 };
        match record {
            Value::Object(values) => Ok(Row { values, at }),
            other => Err(DataError::Json { at, value: excerpt(&other.to_string()), source: None }),
        }
    })))
}
