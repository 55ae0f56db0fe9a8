//! Answers as users write them.

use semievol::core::{Answer, Sample};

/// The option's text, the text or the number.
pub fn written(sample: &Sample, answer: &Answer) -> String {
    match answer {
        Answer::Choice(index) => {
            sample.options.get(*index).cloned().unwrap_or_else(|| format!("option {}", index + 1))
        }
        Answer::Text(text) | Answer::Number(text) => text.clone(),
    }
}
