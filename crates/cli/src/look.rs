//! A look at a file of rows: its columns and what stands in them.

use anyhow::Context;
use semievol::data::{DataError, Encoding, FileOptions, Format, rows};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rows of a file that tell which columns it has.
const FEW: usize = 100;
/// Values of a column that are told apart.
const VALUES: usize = 200;
/// What stands between cells where it is no comma.
const SEPARATORS: [char; 3] = [';', '\t', '|'];

/// What a file looks like.
pub struct Look {
    pub file: PathBuf,
    /// How it is laid out.
    pub layout: FileOptions,
    /// Rows that were looked at.
    pub rows: usize,
    /// In the file's order.
    pub columns: Vec<Column>,
}

/// A column.
#[derive(Clone)]
pub struct Column {
    pub name: String,
    /// Rows in which something stands there.
    pub filled: usize,
    /// Each value that occurs with its number of rows; empty where there are too many.
    pub values: BTreeMap<String, usize>,
    /// Characters, of all rows.
    characters: usize,
    /// Rows in which a list, or an object, stands there.
    pub nested: usize,
    /// Rows in which a list of single values stands there, two or more, and the length of the longest.
    pub lists: usize,
    pub longest: usize,
    /// Rows in which a number stands there.
    pub numbers: usize,
    too_many: bool,
}

impl Look {
    /// At all of its rows.
    pub fn at(file: &Path) -> anyhow::Result<Look> {
        Self::at_first(file, usize::MAX)
    }

    /// At its beginning, which says what its columns are. One column is taken for one if it can be one with this separator,
    /// that of another file, whatever its text has in it.
    pub fn at_beginning(file: &Path, separator: Option<char>) -> anyhow::Result<Look> {
        match Self::at_first(file, FEW) {
            Ok(look) if look.columns.len() > 1 => Ok(look),
            other => match separator.and_then(|sign| Self::decode(file, Some(sign), FEW).ok()) {
                Some(look) if look.rows > 0 && is_csv(file) => Ok(look),
                _ => other,
            },
        }
    }

    fn at_first(file: &Path, n: usize) -> anyhow::Result<Look> {
        let look = Self::decode(file, None, n);
        // One column, whether all rows have one or not: perhaps several, with something else between them.
        let whole = match &look {
            Ok(look) => look.columns.len() == 1,
            Err(error) => matches!(error, DataError::Ragged { expected: 1, .. }),
        };
        let otherwise = || {
            let mut looks = SEPARATORS.into_iter().filter_map(|sign| Self::decode(file, Some(sign), n).ok());
            looks.find(|look| look.columns.len() > 1)
        };
        let look = match (whole && is_csv(file)).then(otherwise).flatten() {
            Some(other) => other,
            None => look?,
        };
        (look.rows > 0)
            .then_some(look)
            .with_context(|| format!("{}: holds no row; check that it is the right file", file.display()))
    }

    /// In UTF-8, or else in Windows-1252.
    fn decode(file: &Path, separator: Option<char>, n: usize) -> Result<Look, DataError> {
        let layout = |encoding| FileOptions { encoding, separator, ..FileOptions::default() };
        match Self::read(file, layout(Encoding::Utf8), n) {
            Err(DataError::Encoding { .. }) => Self::read(file, layout(Encoding::Latin1), n),
            look => look,
        }
    }

    fn read(file: &Path, layout: FileOptions, n: usize) -> Result<Look, DataError> {
        let all = rows(file, &layout)?;
        let mut look = Look { file: file.to_owned(), layout, rows: 0, columns: Vec::new() };
        for row in all.take(n) {
            let row = row?;
            look.rows += 1;
            for (name, value) in &row.values {
                let at = match look.columns.iter().position(|column| column.name == *name) {
                    Some(at) => at,
                    None => {
                        look.columns.push(Column::new(name));
                        look.columns.len() - 1
                    }
                };
                look.columns[at].add(value);
            }
        }
        Ok(look)
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The first of these names that is a column, in any case.
    pub fn any_of(&self, names: &[&str]) -> Option<&Column> {
        names
            .iter()
            .find_map(|name| self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)))
    }

    /// The column names, for messages.
    pub fn names(&self) -> String {
        self.columns
            .iter()
            .map(|column| format!("`{}`", column.name.escape_debug()))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// Whether a separator stands between its cells.
pub fn is_csv(file: &Path) -> bool {
    Format::of(file) == Some(Format::Csv)
}

impl Column {
    /// A column that stands in no file by itself.
    pub fn of<'t>(name: &str, values: impl IntoIterator<Item = &'t str>) -> Self {
        let mut column = Column::new(name);
        values.into_iter().for_each(|value| column.add(&value.into()));
        column
    }

    fn new(name: &str) -> Self {
        Column {
            name: name.to_owned(),
            filled: 0,
            values: BTreeMap::new(),
            characters: 0,
            nested: 0,
            lists: 0,
            longest: 0,
            numbers: 0,
            too_many: false,
        }
    }

    fn add(&mut self, value: &Value) {
        let text = match value {
            Value::Null => return,
            Value::String(text) => text.trim().to_owned(),
            Value::Array(_) | Value::Object(_) => {
                self.nested += 1;
                // Some files have the texts of options beside their letters.
                let list = value.as_array().or_else(|| value.get("text")?.as_array());
                let single = |value: &Value| !(value.is_array() || value.is_object());
                if let Some(list) = list.filter(|list| list.len() >= 2 && list.iter().all(single)) {
                    self.lists += 1;
                    self.longest = self.longest.max(list.len());
                }
                value.to_string()
            }
            other => other.to_string(),
        };
        if text.is_empty() {
            return;
        }
        self.filled += 1;
        self.characters += text.chars().count();
        self.numbers += usize::from(text.parse::<f64>().is_ok_and(f64::is_finite));
        if !self.too_many {
            *self.values.entry(text).or_default() += 1;
            if self.values.len() > VALUES {
                self.too_many = true;
                self.values.clear();
            }
        }
    }

    /// Characters of a row, in the mean.
    pub fn length(&self) -> f64 {
        self.characters as f64 / self.filled.max(1) as f64
    }

    /// The values, of those that differ in case alone the one that more rows have: answers are read so, too.
    pub fn spellings(&self) -> Vec<String> {
        let mut alike: BTreeMap<String, (&String, usize)> = BTreeMap::new();
        for (value, rows) in &self.values {
            let (spelling, most) = alike.entry(value.to_lowercase()).or_insert((value, *rows));
            if rows > most {
                (*spelling, *most) = (value, *rows);
            }
        }
        let mut spellings: Vec<String> = alike.into_values().map(|(spelling, _)| spelling.clone()).collect();
        spellings.sort();
        spellings
    }

    /// Rows that have this value, whatever the case.
    pub fn rows_of(&self, value: &str) -> usize {
        let alike = |other: &&String| other.to_lowercase() == value.to_lowercase();
        self.values.iter().filter(|(other, _)| alike(other)).map(|(_, rows)| rows).sum()
    }

    /// Whether its values are few, short and occur more than once: classes.
    pub fn is_closed(&self) -> bool {
        self.repeated().is_some_and(|classes| classes <= 30)
    }

    /// How many short values there are, if they occur more than once.
    pub fn repeated(&self) -> Option<usize> {
        // Ratings are classes, measurements are not.
        let classes = self.spellings().len();
        let measured = self.is_numeric() && classes > 10;
        let repeat = !self.values.is_empty()
            && !measured
            && self.nested == 0
            && 2 * classes <= self.filled.max(4)
            && self.values.keys().all(|value| value.chars().count() <= 60);
        repeat.then_some(classes)
    }

    pub fn is_numeric(&self) -> bool {
        self.filled > 0 && self.numbers == self.filled
    }
}
