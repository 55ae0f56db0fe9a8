use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// One question of a task. It has no answer: see [`Labeled`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Unique within its data set; stable when rows are added or reordered where the source has ids.
    pub id: String,
    /// The question, as the data set words it.
    pub question: String,
    /// The closed set of answers in the data set's order; empty for free text and numbers. Samples may share it.
    #[serde(default, skip_serializing_if = "is_empty", with = "shared")]
    pub options: Arc<[String]>,
    /// A group to report accuracy by, such as a subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// What folds keep together, and splits where they are asked to, such as the document that a sentence is from: rows of
    /// one group are alike, so a model that has learnt one of them shows little by answering another. Intervals and tests over
    /// test rows take groups as wholes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

impl Sample {
    /// A free-text sample; add options with [`Sample::with_options`].
    pub fn new(id: impl Into<String>, question: impl Into<String>) -> Self {
        Sample {
            id: id.into(),
            question: question.into(),
            options: Arc::default(),
            category: None,
            group: None,
        }
    }

    /// The same sample with a closed set of answers.
    pub fn with_options<S: Into<String>>(mut self, options: impl IntoIterator<Item = S>) -> Self {
        self.options = options.into_iter().map(Into::into).collect();
        self
    }
}

/// Shared texts are written as a list.
mod shared {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::sync::Arc;

    pub fn serialize<S: Serializer>(texts: &Arc<[String]>, serializer: S) -> Result<S::Ok, S::Error> {
        texts.as_ref().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[String]>, D::Error> {
        Ok(Vec::<String>::deserialize(deserializer)?.into())
    }
}

fn is_empty(options: &Arc<[String]>) -> bool {
    options.is_empty()
}

/// An answer in the terms of its task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Index into [`Sample::options`].
    Choice(usize),
    /// Free text.
    Text(String),
    /// A number with its digits as written, so that nothing is lost in binary floating point.
    Number(String),
}

/// For messages: the text, or the option's position counted from 1.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Choice(index) => write!(f, "option {}", index + 1),
            Answer::Text(text) | Answer::Number(text) => f.write_str(text),
        }
    }
}

/// A sample whose answer is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Labeled {
    /// The question.
    pub sample: Sample,
    /// Its answer.
    pub answer: Answer,
}
