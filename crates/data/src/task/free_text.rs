use super::{Task, Wording, render};
use crate::text::{is_wrapping, words};
use semievol_core::{Answer, Labeled, Prompt, Sample};
use serde::{Deserialize, Serialize};

/// A question answered by any text; answers are equal when their words are, whatever their case and the
/// punctuation around them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FreeText {
    /// What stands before the question; empty for nothing.
    pub instruction: String,
    /// What every response is forced to begin with. When empty the target says `Answer:` itself.
    pub response_prefix: String,
}

impl Default for FreeText {
    fn default() -> Self {
        FreeText {
            instruction: "Answer the question. Your response should be in the format 'Answer: VALUE'."
                .to_owned(),
            response_prefix: render::RESPONSE_PREFIX.to_owned(),
        }
    }
}

impl Task for FreeText {
    fn prompt(&self, sample: &Sample, shots: &[&Labeled]) -> Prompt {
        let shots: Vec<_> = shots
            .iter()
            .map(|shot| (shot.sample.question.clone(), self.target(&shot.sample, &shot.answer)))
            .collect();
        render::prompt(&self.instruction, &sample.question, &self.response_prefix, &shots)
    }

    /// The response without a repeated prefix; a response of punctuation alone is no answer.
    fn parse(&self, _sample: &Sample, response: &str) -> Option<Answer> {
        let text = render::without_prefix(&self.response_prefix, response);
        let says_something = text.chars().any(|c| !is_wrapping(c) && !c.is_whitespace());
        says_something.then(|| Answer::Text(text.to_owned()))
    }

    fn target(&self, sample: &Sample, answer: &Answer) -> String {
        render::target(&self.response_prefix, written(answer, sample).unwrap_or_default().trim())
    }

    fn is_correct(&self, predicted: &Answer, gold: &Answer) -> bool {
        match (text(predicted), text(gold)) {
            (Some(predicted), Some(gold)) => words(predicted) == words(gold),
            _ => predicted == gold,
        }
    }

    fn reworded(&self, wording: &Wording) -> Option<Box<dyn Task>> {
        if wording.form.is_some() {
            return None;
        }
        let instruction = wording.instruction.clone().unwrap_or_else(|| self.instruction.clone());
        Some(Box::new(FreeText { instruction, ..self.clone() }))
    }
}

fn text(answer: &Answer) -> Option<&str> {
    match answer {
        Answer::Text(text) | Answer::Number(text) => Some(text),
        Answer::Choice(_) => None,
    }
}

fn written<'a>(answer: &'a Answer, sample: &'a Sample) -> Option<&'a str> {
    match answer {
        Answer::Choice(index) => sample.options.get(*index).map(String::as_str),
        other => text(other),
    }
}
