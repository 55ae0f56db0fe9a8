//! Which columns make a sample, its answer and its group.

mod answer;
mod bins;
mod cell;
mod chat;
mod options;
mod shorten;

pub use answer::{AnswerFrom, AnswerKind};
pub use bins::Bin;
pub use cell::{Cell, Part};
pub use options::OptionsFrom;
pub use shorten::{Keep, Shorten};

use crate::error::DataError;
use crate::row::{Row, text_of};
use answer::Found;
use semievol_core::{Answer, Sample};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The columns that make a sample. What is not set is looked for under its usual name.
///
/// A question may be a template, `"{title}\n{body}"`; `{_line}` is the row's place in its file. Without a
/// `question`, chat records (`messages`, or `conversations` with `from` and `value`) and instruction records
/// (`instruction`, `input`, `output`) are understood too.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    /// A column or template; default `id` if there is one, else the file's name and the row's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A column or template; default `question`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// Cuts long questions; default not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shorten: Option<Shorten>,
    /// Where the closed set of answers comes from; default `options` if there is one, else an open answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<OptionsFrom>,
    /// Where the answer comes from; default `answer` if there is one. Unlabelled rows need none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerFrom>,
    /// What accuracy is reported by, where it has two rows or more in the mean; default `category`, `Subject` or `subject` if
    /// there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Cell>,
    /// What folds of the labels, `data.hold_out` and `split.by_group` keep together, and intervals and tests over test rows
    /// take as a whole, such as the document a sentence comes from; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Cell>,
}

/// Why a row was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// Its value falls in none of `columns.answer.bins`.
    OutsideBins,
    /// Its question, options or answer could not be understood, and `on_bad_row` is `skip`.
    BadRow,
    /// An earlier row has the same question and options, and `on_duplicate` is `skip`.
    Duplicate,
}

/// What is wanted of a row beside its question.
#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    /// Its answer, if it has one.
    Answer,
    /// The same, and none where it has one that names no option.
    AnswerIfAny,
    /// Nothing; and the question itself may be empty.
    Question,
}

/// What a row turns into.
pub(crate) enum Mapped {
    /// A sample, its answer where the row has one, and what is wrong with one that counts as none.
    Kept { sample: Sample, answer: Option<Answer>, disregarded: Option<String> },
    /// Left out by the configuration.
    Skipped(SkipReason),
}

impl Columns {
    /// Finds what can be found wrong without a row.
    pub(crate) fn check(&self) -> Result<(), DataError> {
        if let Some(OptionsFrom::Fixed { fixed }) = &self.options {
            let mut listed = fixed.iter().enumerate();
            if let Some((_, twice)) = listed.find(|(index, option)| fixed[..*index].contains(option)) {
                let reason = format!("data.columns.options.fixed lists `{twice}` twice");
                return Err(DataError::Config { reason });
            }
        }
        self.shorten.as_ref().map_or(Ok(()), Shorten::check)?;
        self.answer.as_ref().map_or(Ok(()), |answer| answer.check(self.options.as_ref()))
    }

    /// Reads one row; `number` counts the rows of its file from 1.
    pub(crate) fn map(&self, row: &Row, number: usize, wanted: Wanted) -> Result<Mapped, DataError> {
        let (question, implied) = self.question(row)?;
        // A record's answer is what it says.
        let has_column = self.answer.is_some() || implied.is_none();
        if question.trim().is_empty() && !matches!(wanted, Wanted::Question) {
            return Err(DataError::EmptyCell { at: row.at.clone(), purpose: "question" });
        }
        let question = match &self.shorten {
            Some(shorten) => shorten.cut(&question).to_owned(),
            None => question,
        };
        let options = options::read(self.options.as_ref(), row)?;
        let found = match wanted {
            Wanted::Answer | Wanted::AnswerIfAny => {
                answer::read(self.answer.as_ref(), row, implied, &options)
            }
            Wanted::Question => Ok(Found::Nothing),
        };
        let (answer, disregarded) = match (found, wanted) {
            (Ok(Found::Answer(answer)), _) => (Some(answer), None),
            (Ok(Found::Nothing), _) => (None, None),
            (Ok(Found::OutsideBins), _) => return Ok(Mapped::Skipped(SkipReason::OutsideBins)),
            // What may be meant in two ways is an error here, too.
            (Err(error @ (DataError::Answer { .. } | DataError::NotANumber { .. })), Wanted::AnswerIfAny) => {
                (None, Some(error.to_string()))
            }
            (Err(DataError::Answer { at, value, options: shown }), Wanted::Answer)
                if has_column && answer::may_count_from_zero(self.answer.as_ref(), &value, &options) =>
            {
                return Err(DataError::AmbiguousNumber { at, value, options: shown });
            }
            (Err(error), _) => return Err(error),
        };
        let id = match (self.id(row, number), wanted) {
            (Err(DataError::MissingColumn { .. }), Wanted::Question) => Columns::default().id(row, number)?,
            (id, _) => id?,
        };
        // Nothing is reported by them, or kept together, of rows that are answered.
        let (category, group) = match wanted {
            Wanted::Question => (None, None),
            Wanted::Answer | Wanted::AnswerIfAny => (self.category(row)?, self.group(row)?),
        };
        let sample = Sample { id, question, options: options.into(), category, group };
        Ok(Mapped::Kept { sample, answer, disregarded })
    }

    /// The question, and the answer that a chat or instruction record brings along.
    fn question(&self, row: &Row) -> Result<(String, Option<String>), DataError> {
        if let Some(pattern) = &self.question {
            return Ok((cell::render(pattern, row, "question")?, None));
        }
        if let Some(question) = row.values.get("question") {
            return Ok((text_of(question).into_owned(), None));
        }
        if let Some(turns) = row.values.get("messages").or_else(|| row.values.get("conversations")) {
            return chat::cut(turns, &row.at);
        }
        let instruction = row.values.get("instruction").ok_or_else(|| row.missing("question", "question"))?;
        let text = |name| row.values.get(name).map(text_of).unwrap_or_default();
        let input = text("input");
        let parts = [text_of(instruction), input];
        let parts: Vec<&str> = parts.iter().map(Cow::as_ref).filter(|part| !part.trim().is_empty()).collect();
        Ok((parts.join("\n\n"), Some(text("output").into_owned())))
    }

    fn id(&self, row: &Row, number: usize) -> Result<String, DataError> {
        let id = match &self.id {
            Some(pattern) => cell::render(pattern, row, "id")?,
            None => row.values.get("id").map(|id| text_of(id).into_owned()).unwrap_or_default(),
        };
        if id.trim().is_empty() {
            let stem = row.at.file.file_stem().unwrap_or_default().to_string_lossy();
            return Ok(format!("{stem}:{number}"));
        }
        Ok(id)
    }

    fn category(&self, row: &Row) -> Result<Option<String>, DataError> {
        match &self.category {
            Some(cell) => cell.read(row, "category"),
            None => {
                let usual = ["category", "Subject", "subject"].iter().find_map(|name| row.values.get(*name));
                Ok(usual.map(|value| text_of(value).into_owned()).filter(|value| !value.is_empty()))
            }
        }
    }

    fn group(&self, row: &Row) -> Result<Option<String>, DataError> {
        self.group.as_ref().map_or(Ok(None), |group| group.read(row, "group"))
    }
}
