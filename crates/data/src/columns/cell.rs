use crate::error::DataError;
use crate::row::{Row, text_of};
use serde::{Deserialize, Serialize};

/// A column, or a part of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a column's name or { column = \"...\", before = \"...\", after = \"...\" }"
)]
pub enum Cell {
    /// The whole cell.
    Column(String),
    /// What a rule cuts out of it.
    Part(Part),
}

/// A rule that cuts a part out of a cell: the article `12` out of the sentence id `12_3` with `before = "_"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The column.
    pub column: String,
    /// Keep what stands before the first of these; a cell without one is kept whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Keep what stands after the last of these; a cell without one is kept whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Cell {
    /// The text of the cell; `None` where it is empty or null.
    pub(super) fn read(&self, row: &Row, purpose: &'static str) -> Result<Option<String>, DataError> {
        let text = match self {
            Cell::Column(column) => text_of(row.get(column, purpose)?).into_owned(),
            Cell::Part(part) => {
                let text = text_of(row.get(&part.column, purpose)?);
                cut(&text, part.before.as_deref(), part.after.as_deref()).to_owned()
            }
        };
        Ok(Some(text).filter(|text| !text.trim().is_empty()))
    }
}

/// What stands after the last `after`, and of that what stands before the first `before`.
pub(super) fn cut<'t>(text: &'t str, before: Option<&str>, after: Option<&str>) -> &'t str {
    let text = after.and_then(|mark| text.rsplit_once(mark)).map_or(text, |(_, rest)| rest);
    before.and_then(|mark| text.split_once(mark)).map_or(text, |(kept, _)| kept).trim()
}

/// A column of that name, or else a template: `{name}` is a column, `{_line}` the row's place in its file,
/// `{{` and `}}` are braces.
pub(super) fn render(pattern: &str, row: &Row, purpose: &'static str) -> Result<String, DataError> {
    if let Some(value) = row.values.get(pattern) {
        return Ok(text_of(value).into_owned());
    }
    if !pattern.contains('{') {
        return Err(row.missing(pattern, purpose));
    }
    let mut text = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(doubled) = rest.strip_prefix(brace) {
            text.push_str(brace);
            rest = doubled;
        } else if let Some((name, after)) = rest.split_once('}').filter(|_| brace == "{") {
            match name {
                "_line" => text.push_str(&row.at.line.to_string()),
                name => text.push_str(&text_of(row.get(name, purpose)?)),
            }
            rest = after;
        } else {
            let reason = format!(
                "columns.{purpose} = `{pattern}` has a lone `{brace}`; write it twice to mean the character"
            );
            return Err(DataError::Config { reason });
        }
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Place;
    use std::path::Path;
    use std::sync::Arc;

    fn check(pattern: &str, expected: Result<&str, &str>) {
        let values = serde_json::json!({"title": "T", "body": "B", "n": 3, "none": null});
        let at = Place { file: Arc::from(Path::new("f.csv")), line: 7 };
        let row = Row { values: values.as_object().cloned().unwrap(), at };
        match (render(pattern, &row, "question"), expected) {
            (Ok(text), Ok(expected)) => assert_eq!(text, expected),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (got, _) => panic!("{pattern}: {got:?}"),
        }
    }

    #[test]
    fn templates() {
        check("title", Ok("T"));
        check("{title}\n{body}", Ok("T\nB"));
        check("{n}{none}", Ok("3"));
        check("{{{title}}}", Ok("{T}"));
        check("{_line}", Ok("7"));
        check("titel", Err("the columns are `title`, `body`, `n`, `none`"));
        check("{titel}", Err("f.csv:7: no column `titel`"));
        check("{title", Err("lone `{`"));
        check("{title} }", Err("lone `}`"));
    }

    #[test]
    fn parts() {
        assert_eq!(cut("12_3", Some("_"), None), "12");
        assert_eq!(cut("12", Some("_"), None), "12");
        assert_eq!(cut("so 40 + 2 = 42\n#### 42", None, Some("####")), "42");
        assert_eq!(cut("a/b/c.txt", Some("."), Some("/")), "c");
    }
}
