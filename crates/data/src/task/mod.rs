//! What a task asks, how it reads a response and when an answer is right.

mod choice;
mod closed_set;
mod free_text;
mod letters;
mod number;
mod numeric;
mod render;

pub use closed_set::{AnswerForm, ClosedSet};
pub use free_text::FreeText;
pub use numeric::Numeric;

use semievol_core::{Answer, Labeled, Prompt, Sample};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thiserror::Error;

/// How one kind of question is asked, answered and graded. Knows nothing of engines.
///
/// The law every task keeps: for each answer `a` that belongs to a sample, `parse(target(a))` is `a` again.
/// What cannot be read, or could be read in two ways, is `None`: a state of its own and never a label.
pub trait Task: Send + Sync {
    /// The prompt for a sample. `shots` are shown first, in the order given, each with its answer.
    fn prompt(&self, sample: &Sample, shots: &[&Labeled]) -> Prompt;

    /// The answer a response gives. The response begins after the prompt's `response_prefix`; one that
    /// repeats it is understood too. Never panics.
    fn parse(&self, sample: &Sample, response: &str) -> Option<Answer>;

    /// What the model should say after the prompt's `response_prefix`, such as ` B` or ` positive`. Empty for
    /// an answer that does not belong to the sample: nothing may be trained on it.
    fn target(&self, sample: &Sample, answer: &Answer) -> String;

    /// Whether an answer is right.
    fn is_correct(&self, predicted: &Answer, gold: &Answer) -> bool;

    /// The targets to score, one per option in order; empty where answers are open.
    fn candidates(&self, _sample: &Sample) -> Vec<String> {
        Vec::new()
    }

    /// The same questions with the same answers, asked otherwise; `None` where the task cannot be.
    fn reworded(&self, _wording: &Wording) -> Option<Box<dyn Task>> {
        None
    }
}

/// How the questions of a task are asked otherwise: what is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wording {
    /// How an answer from a closed set is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<AnswerForm>,
    /// What stands before the question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: Task + ?Sized> Task for $pointer {
            fn prompt(&self, sample: &Sample, shots: &[&Labeled]) -> Prompt {
                (**self).prompt(sample, shots)
            }
            fn parse(&self, sample: &Sample, response: &str) -> Option<Answer> {
                (**self).parse(sample, response)
            }
            fn target(&self, sample: &Sample, answer: &Answer) -> String {
                (**self).target(sample, answer)
            }
            fn is_correct(&self, predicted: &Answer, gold: &Answer) -> bool {
                (**self).is_correct(predicted, gold)
            }
            fn candidates(&self, sample: &Sample) -> Vec<String> {
                (**self).candidates(sample)
            }
            fn reworded(&self, wording: &Wording) -> Option<Box<dyn Task>> {
                (**self).reworded(wording)
            }
        }
    )*};
}

forward!(&T, Box<T>, Arc<T>);

/// Which task, as a configuration says it.
///
/// ```
/// use semievol_data::TaskConfig;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config: TaskConfig = toml::from_str("kind = 'closed_set'\nform = 'text'")?;
/// let task = config.build()?;
/// # let _ = task; Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TaskConfig {
    /// One of the options.
    ClosedSet(ClosedSet),
    /// Any text.
    FreeText(FreeText),
    /// A number; a comma in it groups thousands, decimals have a point.
    Numeric(Numeric),
}

impl TaskConfig {
    /// The task, once its settings are found to make sense.
    ///
    /// # Errors
    /// Names the setting that makes none, its value and what would be right.
    pub fn build(&self) -> Result<Box<dyn Task>, TaskError> {
        match self {
            TaskConfig::ClosedSet(task) => Ok(Box::new(task.clone())),
            TaskConfig::FreeText(task) => Ok(Box::new(task.clone())),
            TaskConfig::Numeric(task) => {
                task.check()?;
                Ok(Box::new(task.clone()))
            }
        }
    }

    /// The same task asked in other words.
    pub fn with_instruction(mut self, instruction: impl Into<String>) -> Self {
        let instruction = instruction.into();
        match &mut self {
            TaskConfig::ClosedSet(task) => task.instruction = Some(instruction),
            TaskConfig::FreeText(task) => task.instruction = instruction,
            TaskConfig::Numeric(task) => task.instruction = instruction,
        }
        self
    }
}

/// Settings that make no task.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TaskError {
    /// A tolerance below zero or not finite.
    #[error("task.{name} = {value}; a tolerance is finite and at least 0, or left out for exact equality")]
    Tolerance {
        /// Which one.
        name: &'static str,
        /// Its value.
        value: f64,
    },
}
