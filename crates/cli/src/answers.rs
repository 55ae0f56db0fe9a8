//! Answers as users write them.

use semievol::core::{Answer, Sample};
use semievol::data::Dataset;
use std::path::Path;

/// The option's text, the text or the number.
pub fn written(sample: &Sample, answer: &Answer) -> String {
    match answer {
        Answer::Choice(index) => {
            sample.options.get(*index).cloned().unwrap_or_else(|| format!("option {}", index + 1))
        }
        Answer::Text(text) | Answer::Number(text) => text.clone(),
    }
}

/// Tells of rows of a file that were not read into the data set.
pub fn say_left_out(file: &Path, rows: &Dataset) {
    if let Some(first) = rows.skipped.first() {
        eprintln!(
            "{}: {} of {} rows left out, the first at {}: {}",
            file.display(),
            rows.skipped.len(),
            rows.len() + rows.skipped.len(),
            first.at,
            if first.detail.is_empty() { format!("{:?}", first.reason) } else { first.detail.clone() }
        );
    }
}
