//! What commands say of rows and make of them.

use semievol::core::Labeled;
use semievol::data::{Dataset, Task};
use semievol::train::Example;
use std::path::Path;

/// A label as it is trained on, without neighbours.
pub fn example(task: &dyn Task, one: &Labeled) -> Example {
    Example::new(task.prompt(&one.sample, &[]), task.target(&one.sample, &one.answer))
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
