//! What commands say of rows and make of them.

use crate::screen::{Quiet, say, seen, style};
use indicatif::ProgressBar;
use semievol::core::{Labeled, Sample};
use semievol::data::{Dataset, Task};
use semievol::train::Example;
use semievol::{Predicted, Predictor};
use std::path::Path;

/// Rows that are asked together: what a model keeps of a request must not add up over a whole file.
const CHUNK: usize = 64;

/// A label as it is trained on, without neighbours.
pub fn example(task: &dyn Task, one: &Labeled) -> Example {
    Example::new(task.prompt(&one.sample, &[]), task.target(&one.sample, &one.answer))
}

/// Tells of rows of a file that were not read into the data set.
pub fn say_left_out(file: &Path, rows: &Dataset) {
    if let Some(first) = rows.skipped.first() {
        say(&format!(
            "{}: {} of {} rows left out, the first at {}: {}",
            file.display(),
            rows.skipped.len(),
            rows.len() + rows.skipped.len(),
            first.at,
            if first.detail.is_empty() { format!("{:?}", first.reason) } else { first.detail.clone() }
        ));
    }
}

/// Has rows answered, chunk by chunk, with a bar on a terminal.
pub fn answer_in_chunks(
    predictor: &Predictor,
    samples: &[Sample],
    mut each: impl FnMut(&[Sample], Vec<Predicted>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let bar = ProgressBar::new(samples.len() as u64);
    let mut quiet = Quiet::new();
    let bar = seen(bar).with_style(style("[{bar:30}] {pos}/{len} rows  {per_sec}  {eta} left"));
    for chunk in samples.chunks(CHUNK) {
        each(chunk, predictor.answer(chunk)?)?;
        bar.inc(chunk.len() as u64);
        quiet.tell(&bar, "", " rows");
    }
    bar.finish_and_clear();
    Ok(())
}
