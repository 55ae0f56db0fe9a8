use super::{Task, Wording, choice, letters, render};
use crate::label::label;
use semievol_core::{Answer, Labeled, Prompt, Sample};
use serde::{Deserialize, Serialize};

/// A question with a closed set of options.
///
/// ```
/// use semievol_core::{Answer, Sample};
/// use semievol_data::{ClosedSet, Task};
///
/// let task = ClosedSet::default();
/// let sample = Sample::new("1", "Is it good?").with_options(["no", "yes"]);
/// assert_eq!(task.parse(&sample, " **(b)**"), Some(Answer::Choice(1)));
/// assert_eq!(task.parse(&sample, "I would say A or B"), None);
/// assert_eq!(task.target(&sample, &Answer::Choice(1)), " B");
/// assert_eq!(task.candidates(&sample), [" A", " B"]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClosedSet {
    /// How an answer is written.
    pub form: AnswerForm,
    /// What stands before the question; by the form when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
    /// What every response is forced to begin with. When empty the target says `Answer:` itself.
    pub response_prefix: String,
}

/// How an answer from a closed set is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerForm {
    /// Its letter; the prompt shows the options as `A. negative`.
    #[default]
    Letter,
    /// Its text; the prompt shows the options without letters.
    Text,
}

impl Default for ClosedSet {
    fn default() -> Self {
        ClosedSet {
            form: AnswerForm::Letter,
            instruction: None,
            response_prefix: render::RESPONSE_PREFIX.to_owned(),
        }
    }
}

impl ClosedSet {
    /// A closed set with answers written in this form.
    pub fn new(form: AnswerForm) -> Self {
        ClosedSet { form, ..ClosedSet::default() }
    }

    fn instruction(&self) -> &str {
        match (&self.instruction, self.form) {
            (Some(instruction), _) => instruction,
            (None, AnswerForm::Letter) => {
                "Answer the multiple-choice question. Your response should be in the format 'Answer: LETTER'."
            }
            (None, AnswerForm::Text) => {
                "Answer the question with one of the options. Your response should be in the format 'Answer: OPTION'."
            }
        }
    }

    /// The question and its options, as prompts show them.
    fn body(&self, sample: &Sample) -> String {
        let options = sample.options.iter().enumerate().map(|(index, option)| match self.form {
            AnswerForm::Letter => format!("\n{}. {option}", label(index)),
            AnswerForm::Text => format!("\n- {option}"),
        });
        format!("{}\n{}", sample.question, options.collect::<String>())
    }
}

impl Task for ClosedSet {
    fn prompt(&self, sample: &Sample, shots: &[&Labeled]) -> Prompt {
        let shots: Vec<_> = shots
            .iter()
            .map(|shot| (self.body(&shot.sample), self.target(&shot.sample, &shot.answer)))
            .collect();
        render::prompt(self.instruction(), &self.body(sample), &self.response_prefix, &shots)
    }

    fn parse(&self, sample: &Sample, response: &str) -> Option<Answer> {
        let options = &sample.options;
        let index = match self.form {
            AnswerForm::Letter => letters::parse(response, options),
            AnswerForm::Text => {
                let rest = render::without_prefix(&self.response_prefix, response);
                choice::exact(response, options)
                    .or_else(|| choice::exact(rest, options))
                    .or_else(|| choice::embedded(rest, options))
            }
        };
        index.map(Answer::Choice)
    }

    fn target(&self, sample: &Sample, answer: &Answer) -> String {
        let written = match answer {
            Answer::Choice(index) if *index < sample.options.len() => match self.form {
                AnswerForm::Letter => label(*index),
                AnswerForm::Text => sample.options[*index].trim().to_owned(),
            },
            _ => String::new(),
        };
        render::target(&self.response_prefix, &written)
    }

    fn is_correct(&self, predicted: &Answer, gold: &Answer) -> bool {
        matches!((predicted, gold), (Answer::Choice(predicted), Answer::Choice(gold)) if predicted == gold)
    }

    fn candidates(&self, sample: &Sample) -> Vec<String> {
        (0..sample.options.len()).map(|index| self.target(sample, &Answer::Choice(index))).collect()
    }

    fn reworded(&self, wording: &Wording) -> Option<Box<dyn Task>> {
        let form = wording.form.unwrap_or(self.form);
        // Words about letters do not fit words.
        let own = self.instruction.clone().filter(|_| form == self.form);
        let instruction = wording.instruction.clone().or(own);
        Some(Box::new(ClosedSet { form, instruction, ..self.clone() }))
    }
}
