use crate::error::{DataError, excerpt};
use crate::row::{Row, text_of};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where the options of a closed set come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a column's name, a list of columns, or { fixed = [\"first\", \"second\"] }"
)]
#[non_exhaustive]
pub enum OptionsFrom {
    /// A column that holds a list: of JSON, as text or nested, or an object with the list under `text`.
    Column(String),
    /// One column per option, in this order; empty ones are left out.
    Columns(Vec<String>),
    /// The same options for every row.
    Fixed {
        /// The options, in order.
        fixed: Vec<String>,
    },
}

/// The options of a row; none for an open answer.
pub(super) fn read(from: Option<&OptionsFrom>, row: &Row) -> Result<Vec<String>, DataError> {
    match from {
        None => match row.values.get("options") {
            Some(value) if !text_of(value).trim().is_empty() => list(value, row),
            _ => Ok(Vec::new()),
        },
        Some(OptionsFrom::Column(column)) => list(row.get(column, "options")?, row),
        Some(OptionsFrom::Columns(columns)) => {
            let cells = columns.iter().map(|column| Ok(text_of(row.get(column, "options")?).into_owned()));
            let cells: Vec<String> = cells.collect::<Result<_, DataError>>()?;
            Ok(cells.into_iter().filter(|cell| !cell.trim().is_empty()).collect())
        }
        Some(OptionsFrom::Fixed { fixed }) => Ok(fixed.clone()),
    }
}

fn list(value: &Value, row: &Row) -> Result<Vec<String>, DataError> {
    let parsed;
    let inner = match value {
        Value::String(text) => {
            parsed = serde_json::from_str(text)
                .or_else(|_| serde_json::from_str(&with_quoted_nan(text)))
                .unwrap_or(Value::Null);
            &parsed
        }
        nested => nested,
    };
    let items = inner.as_array().or_else(|| inner.get("text")?.as_array());
    let plain = |item: &Value| !matches!(item, Value::Null | Value::Array(_) | Value::Object(_));
    match items.filter(|items| !items.is_empty() && items.iter().all(plain)) {
        Some(items) => Ok(items.iter().map(|item| text_of(item).into_owned()).collect()),
        None => Err(DataError::Options { at: row.at.clone(), value: excerpt(&text_of(value)) }),
    }
}

/// Python writes a missing option, often one that read "None", as a bare `NaN`, which is no JSON. It keeps its
/// place, since answers count options, and becomes the text `NaN`.
fn with_quoted_nan(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    let (mut inside, mut escaped) = (false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if !inside && rest.starts_with("NaN") {
            quoted.push_str("\"NaN\"");
            rest = &rest[3..];
            continue;
        }
        inside ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        quoted.push(c);
        rest = &rest[c.len_utf8()..];
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_nan_is_an_option() {
        assert_eq!(
            with_quoted_nan(r#"[NaN, "a NaN\\", "\"NaN", NaN]"#),
            r#"["NaN", "a NaN\\", "\"NaN", "NaN"]"#
        );
    }
}
