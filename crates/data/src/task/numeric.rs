use super::number::{Decimal, Found, numbers, whole};
use super::{Task, TaskError, Wording, render};
use semievol_core::{Answer, Labeled, Prompt, Sample};
use serde::{Deserialize, Serialize};

/// A question answered by a number.
///
/// `$1,200`, `12.5%` and `(3.2)` are read as 1200, 12.5 and -3.2. Without a tolerance an answer must be equal
/// digit for digit (`1.50` is 1.5): a relative one that forgives roundings also calls 2022 and 2023 equal.
/// A number with a magnitude against it (`$1.2M`, `5k`, `$3bn`) is not read.
///
/// ```
/// use semievol_core::{Answer, Sample};
/// use semievol_data::{Numeric, Task};
///
/// let (task, sample) = (Numeric::default(), Sample::new("1", "How much?"));
/// assert_eq!(task.parse(&sample, "Answer: **$1,200**"), Some(Answer::Number("1200".into())));
/// assert_eq!(task.parse(&sample, "between 3 and 4"), None);
/// assert!(task.is_correct(&Answer::Number("1200.0".into()), &Answer::Text("$1,200".into())));
/// assert!(!task.is_correct(&Answer::Number("2022".into()), &Answer::Number("2023".into())));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Numeric {
    /// Right if at most this far from the gold number; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absolute_tolerance: Option<f64>,
    /// Right if at most this share of the gold number away from it; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_tolerance: Option<f64>,
    /// What stands before the question; empty for nothing.
    pub instruction: String,
    /// What every response is forced to begin with. When empty the target says `Answer:` itself.
    pub response_prefix: String,
}

impl Default for Numeric {
    fn default() -> Self {
        Numeric {
            absolute_tolerance: None,
            relative_tolerance: None,
            instruction:
                "Answer the question with a number. Your response should be in the format 'Answer: VALUE'."
                    .to_owned(),
            response_prefix: render::RESPONSE_PREFIX.to_owned(),
        }
    }
}

impl Numeric {
    /// Refuses tolerances that mean nothing.
    pub(super) fn check(&self) -> Result<(), TaskError> {
        let both = [
            ("absolute_tolerance", self.absolute_tolerance),
            ("relative_tolerance", self.relative_tolerance),
        ];
        for (name, value) in both {
            if let Some(value) = value.filter(|value| !value.is_finite() || *value < 0.0) {
                return Err(TaskError::Tolerance { name, value });
            }
        }
        Ok(())
    }
}

impl Task for Numeric {
    fn prompt(&self, sample: &Sample, shots: &[&Labeled]) -> Prompt {
        let shots: Vec<_> = shots
            .iter()
            .map(|shot| (shot.sample.question.clone(), self.target(&shot.sample, &shot.answer)))
            .collect();
        render::prompt(&self.instruction, &sample.question, &self.response_prefix, &shots)
    }

    /// The number after the last `answer`, else the one that the response begins with or consists of, else
    /// the only number there is. Two that differ are no answer, nor is one with a magnitude (`5k`).
    fn parse(&self, _sample: &Sample, response: &str) -> Option<Answer> {
        let response = render::without_prefix(&self.response_prefix, response);
        let lower = response.to_ascii_lowercase();
        let marked = lower.rfind("answer").map(|at| first_line(&response[at..]));
        let marked = marked.filter(|line| numbers(line).next().is_some());
        let line = first_line(response);
        let heads = || line.chars().find(|c| c.is_alphanumeric()).is_some_and(|c| c.is_ascii_digit());
        let found = match marked {
            Some(line) => agreed(line),
            None => heads().then(|| agreed(line)).flatten().or_else(|| agreed(response)),
        }?;
        Some(Answer::Number(found.canonical))
    }

    fn target(&self, _sample: &Sample, answer: &Answer) -> String {
        let written = number(answer).map(|found| found.canonical).unwrap_or_default();
        render::target(&self.response_prefix, &written)
    }

    fn is_correct(&self, predicted: &Answer, gold: &Answer) -> bool {
        let (Some(predicted), Some(gold)) = (number(predicted), number(gold)) else { return false };
        let exact: (Decimal, Decimal) = (predicted.decimal(), gold.decimal());
        let (Ok(p), Ok(g)) = (predicted.canonical.parse::<f64>(), gold.canonical.parse::<f64>()) else {
            return exact.0 == exact.1;
        };
        let within = |limit: Option<f64>| limit.is_some_and(|limit| (p - g).abs() <= limit);
        exact.0 == exact.1
            || within(self.absolute_tolerance)
            || within(self.relative_tolerance.map(|share| share * g.abs()))
    }

    fn reworded(&self, wording: &Wording) -> Option<Box<dyn Task>> {
        if wording.form.is_some() {
            return None;
        }
        let instruction = wording.instruction.clone().unwrap_or_else(|| self.instruction.clone());
        Some(Box::new(Numeric { instruction, ..self.clone() }))
    }
}

/// The number of an answer; gold answers of text files are numbers only when read as such.
fn number(answer: &Answer) -> Option<Found> {
    match answer {
        Answer::Number(text) | Answer::Text(text) => whole(text),
        Answer::Choice(_) => None,
    }
}

/// The first number, if no other differs from it and none has a magnitude.
fn agreed(text: &str) -> Option<Found> {
    let mut found = numbers(text);
    let first = found.next()?;
    let value = first.decimal();
    let agree = !first.scaled && found.all(|other| !other.scaled && other.decimal() == value);
    agree.then_some(first)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
