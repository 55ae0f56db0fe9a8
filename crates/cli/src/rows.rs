//! What commands say of rows and make of them.

use crate::screen::{SILENCE, say, style};
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget};
use semievol::core::{Labeled, Sample};
use semievol::data::{Dataset, Task};
use semievol::train::Example;
use semievol::{Predicted, Predictor};
use std::io::IsTerminal;
use std::path::Path;
use std::time::Instant;

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
    let hidden = !std::io::stderr().is_terminal();
    if hidden {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let mut said = Instant::now();
    let bar = bar.with_style(style("[{bar:30}] {pos}/{len} rows  {per_sec}  {eta} left"));
    for chunk in samples.chunks(CHUNK) {
        each(chunk, predictor.answer(chunk)?)?;
        bar.inc(chunk.len() as u64);
        if hidden && said.elapsed() >= SILENCE {
            said = Instant::now();
            say(&format!("{} of {} rows, {} left", bar.position(), samples.len(), HumanDuration(bar.eta())));
        }
    }
    bar.finish_and_clear();
    Ok(())
}
