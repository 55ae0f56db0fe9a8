use super::bins::{self, Bin};
use super::cell::cut;
use super::options::OptionsFrom;
use crate::error::{DataError, excerpt};
use crate::label::{index_of_label, label};
use crate::row::{Row, text_of};
use crate::text::words;
use semievol_core::Answer;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where the answer comes from: a column's name, or a column with rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Short", into = "Rules")]
pub struct AnswerFrom {
    /// The column.
    pub column: String,
    /// How the column writes an option.
    pub kind: AnswerKind,
    /// Keep what stands before the first of these.
    pub before: Option<String>,
    /// Keep what stands after the last of these, such as `####`.
    pub after: Option<String>,
    /// Turns a number into an option; a row in no bin is left out.
    pub bins: Option<Vec<Bin>>,
}

/// How a column writes an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerKind {
    /// An option's text; else a letter; else digits, counted from 1. What could be meant in two ways is refused: a letter
    /// that is also another option's text, or any where the options are letters, too; and a bare JSON number that is no
    /// option's text, since files count from 0 as often as from 1.
    #[default]
    Any,
    /// A letter, `A` for the first.
    Letter,
    /// The option's text.
    Text,
    /// A number, 1 for the first.
    OneBased,
    /// A number, 0 for the first.
    ZeroBased,
}

/// How an [`AnswerFrom`] is written down.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a column's name or { column = \"...\", kind, before, after, bins }")]
enum Short {
    Column(String),
    Rules(Rules),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    column: String,
    #[serde(default)]
    kind: AnswerKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bins: Option<Vec<Bin>>,
}

impl From<Short> for AnswerFrom {
    fn from(short: Short) -> Self {
        match short {
            Short::Column(column) => AnswerFrom::column(column),
            Short::Rules(Rules { column, kind, before, after, bins }) => {
                AnswerFrom { column, kind, before, after, bins }
            }
        }
    }
}

impl From<AnswerFrom> for Rules {
    fn from(AnswerFrom { column, kind, before, after, bins }: AnswerFrom) -> Self {
        Rules { column, kind, before, after, bins }
    }
}

/// What a row says about its answer.
pub(super) enum Found {
    Answer(Answer),
    Nothing,
    OutsideBins,
}

impl AnswerFrom {
    /// A column as it stands.
    pub fn column(column: impl Into<String>) -> Self {
        AnswerFrom { column: column.into(), kind: AnswerKind::Any, before: None, after: None, bins: None }
    }

    pub(super) fn check(&self, options: Option<&OptionsFrom>) -> Result<(), DataError> {
        let Some(bins) = &self.bins else { return Ok(()) };
        bins::check(bins)?;
        let Some(OptionsFrom::Fixed { fixed }) = options else { return Ok(()) };
        match bins.iter().find(|bin| !fixed.contains(&bin.label)) {
            None => Ok(()),
            Some(bin) => Err(DataError::Config {
                reason: format!("bin `{}` is none of data.columns.options.fixed = {fixed:?}", bin.label),
            }),
        }
    }
}

/// The answer of a row: from the configured column, else from the record's shape, else from `answer`.
/// A column that is absent or empty is no answer: unlabelled files look like that.
pub(super) fn read(
    from: Option<&AnswerFrom>,
    row: &Row,
    implied: Option<String>,
    options: &[String],
) -> Result<Found, DataError> {
    let usual = AnswerFrom::column("answer");
    // A record's answer is what it says, and has no column whose kind could be set.
    let has_column = from.is_some() || implied.is_none();
    let implied = implied.map(Value::String);
    let (from, value) = match (from, &implied) {
        (Some(from), _) => (from, row.values.get(&from.column)),
        (None, Some(output)) => (&usual, Some(output)),
        (None, None) => (&usual, row.values.get("answer")),
    };
    let Some(value) = value else { return Ok(Found::Nothing) };
    let whole = text_of(value);
    let text = cut(&whole, from.before.as_deref(), from.after.as_deref());
    if text.is_empty() {
        return Ok(Found::Nothing);
    }
    match &from.bins {
        None => answer(text, value, from.kind, has_column, options, row).map(Found::Answer),
        Some(bins) => {
            let number: f64 = text
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite())
                .ok_or_else(|| DataError::NotANumber { at: row.at.clone(), value: excerpt(text) })?;
            match bins.iter().find(|bin| bin.holds(number)) {
                None => Ok(Found::OutsideBins),
                Some(bin) => {
                    let label = Value::from(bin.label.as_str());
                    answer(&bin.label, &label, AnswerKind::Text, has_column, options, row).map(Found::Answer)
                }
            }
        }
    }
}

/// Whether an answer that names no option of a labelled row says that answers count from 0: a row that is left out for it
/// would shift all others by one place. Options that are numbers are meant by their text.
pub(super) fn may_count_from_zero(from: Option<&AnswerFrom>, answer: &str, options: &[String]) -> bool {
    let any = from.is_none_or(|from| from.kind == AnswerKind::Any && from.bins.is_none());
    let numbers = options.iter().all(|option| option.trim().parse::<f64>().is_ok());
    any && whole(answer) == "0" && !numbers
}

fn answer(
    text: &str,
    value: &Value,
    kind: AnswerKind,
    has_column: bool,
    options: &[String],
    row: &Row,
) -> Result<Answer, DataError> {
    if options.is_empty() {
        return Ok(match value {
            // Without the exponent that JSON writes small and large ones with.
            Value::Number(number) if text.contains(['e', 'E']) => {
                Answer::Number(number.as_f64().map_or_else(|| text.to_owned(), |number| number.to_string()))
            }
            Value::Number(_) => Answer::Number(text.to_owned()),
            _ => Answer::Text(text.to_owned()),
        });
    }
    let index = match kind {
        AnswerKind::Letter => letter(text, options),
        AnswerKind::Text => option_text(text, options),
        AnswerKind::OneBased => digits(whole(text), 1, options),
        AnswerKind::ZeroBased => digits(whole(text), 0, options),
        AnswerKind::Any => {
            let (named, lettered) = (option_text(text, options), letter(text, options));
            let two_ways = match (named, lettered) {
                // Files write letters large.
                (Some(named), Some(lettered)) => named != lettered && text.chars().all(char::is_uppercase),
                (None, Some(_)) => are_letters(options),
                _ => false,
            };
            if two_ways && has_column {
                let (at, value, options) = (row.at.clone(), excerpt(text), with_letters(options));
                return Err(DataError::AmbiguousLetter { at, value, options });
            }
            named
                .or(lettered.filter(|_| !two_ways))
                .or_else(|| digits(text, 1, options).filter(|_| !value.is_number()))
        }
    };
    index.map(Answer::Choice).ok_or_else(|| {
        let (at, number) = (row.at.clone(), kind == AnswerKind::Any && value.is_number());
        let (value, options) = (excerpt(text), with_letters(options));
        match number {
            true => DataError::AmbiguousNumber { at, value, options },
            false => DataError::Answer { at, value, options },
        }
    })
}

fn with_letters(options: &[String]) -> String {
    let lettered = options.iter().enumerate().map(|(i, option)| format!("{}. {option}", label(i)));
    lettered.collect::<Vec<_>>().join(", ")
}

/// Whether all options are letters, and some of them letters that name an option's place.
fn are_letters(options: &[String]) -> bool {
    let letters = || options.iter().map(|option| option.trim());
    let all = letters().all(|option| option.len() == 1 && option.bytes().all(|c| c.is_ascii_alphabetic()));
    all && letters().any(|option| letter(option, options).is_some())
}

fn letter(text: &str, options: &[String]) -> Option<usize> {
    index_of_label(&text.to_ascii_uppercase(), options.len())
}

/// The one option with this text; case and surrounding punctuation do not matter if that stays clear.
fn option_text(text: &str, options: &[String]) -> Option<usize> {
    if let Some(exact) = options.iter().position(|option| option.trim() == text) {
        return Some(exact);
    }
    let wanted = words(text);
    let mut alike = (0..options.len()).filter(|index| words(&options[*index]) == wanted);
    alike.next().filter(|_| alike.next().is_none())
}

/// `1` for `1.0`: pandas writes whole numbers so where a cell of the column is empty.
fn whole(text: &str) -> &str {
    match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|digit| digit == b'0') => whole,
        _ => text,
    }
}

fn digits(text: &str, first: usize, options: &[String]) -> Option<usize> {
    text.parse::<usize>().ok()?.checked_sub(first).filter(|index| *index < options.len())
}
