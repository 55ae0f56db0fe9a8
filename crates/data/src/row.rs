use crate::error::{DataError, Place};
use crate::read::Format;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// One record of a file: named columns in the file's order, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Column name to value. Cells of csv and tab-separated files are strings.
    pub values: Map<String, Value>,
    /// File and line.
    pub at: Place,
}

impl Row {
    /// The value of a column.
    ///
    /// # Errors
    /// If there is none of that name; it lists those there are.
    pub fn get(&self, column: &str, purpose: &'static str) -> Result<&Value, DataError> {
        self.values.get(column).ok_or_else(|| self.missing(column, purpose))
    }

    /// The error for a column that is not there.
    pub(crate) fn missing(&self, wanted: &str, purpose: &'static str) -> DataError {
        let names: Vec<String> = self.values.keys().map(|name| format!("`{name}`")).collect();
        let mut columns = names.join(", ");
        let is_csv = Format::of(&self.at.file) == Some(Format::Csv);
        let sign = columns.chars().find(|sign| is_csv && ";\t|,".contains(*sign));
        if let ([only], Some(sign)) = (names.as_slice(), sign) {
            columns =
                format!("{only}, which data.file.separator = {:?} would make several", sign.to_string());
        }
        DataError::MissingColumn { at: self.at.clone(), wanted: wanted.to_owned(), purpose, columns }
    }
}

/// A value as text: strings as they are, nothing for null, JSON for the rest.
pub(crate) fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}
