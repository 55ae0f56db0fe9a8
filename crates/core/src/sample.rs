use serde::{Deserialize, Serialize};

/// One question of a task. It has no answer: see [`Labeled`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Unique within its data set; stable when rows are added or reordered where the source has ids.
    pub id: String,
    /// The question, as the data set words it.
    pub question: String,
    /// The closed set of answers in the data set's order; empty for free text and numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// A group to report accuracy by, such as a subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
}

impl Sample {
    /// A free-text sample; add options with [`Sample::with_options`].
    pub fn new(id: impl Into<String>, question: impl Into<String>) -> Self {
        Sample { id: id.into(), question: question.into(), options: Vec::new(), category: None }
    }

    /// The same sample with a closed set of answers.
    pub fn with_options<S: Into<String>>(mut self, options: impl IntoIterator<Item = S>) -> Self {
        self.options = options.into_iter().map(Into::into).collect();
        self
    }
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

/// A sample whose answer is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Labeled {
    /// The question.
    pub sample: Sample,
    /// Its answer.
    pub answer: Answer,
}
