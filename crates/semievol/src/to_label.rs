//! Which unlabelled rows a person should label next.

use crate::RunError;
use crate::page::written;
use crate::pseudo::PseudoResults;
use semievol_core::Sample;
use semievol_data::question_key;
use semievol_pipeline::files;
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

/// The file's name.
pub(crate) const TO_LABEL: &str = "to-label.csv";

/// Rows that are listed; nobody labels more before the next run.
const MOST: usize = 1000;

const COLUMNS: [&str; 7] = ["rank", "id", "question", "options", "suggestion", "confidence", "answer"];

/// Writes the [`MOST`] unlabelled rows that a label would tell most about to `to-label.csv`: first those without an
/// answer, then the less sure the earlier (uncertainty sampling, Lewis and Gale, SIGIR 1994). Of rows with one question
/// only the first is listed. The last column is empty: the label's place.
pub(crate) fn write(folder: &Path, unlabelled: &[Sample], pseudo: &PseudoResults) -> Result<(), RunError> {
    let samples = &unlabelled[..pseudo.n];
    Ok(files::write_with(&folder.join(TO_LABEL), |file| csv(samples, pseudo, file).map_err(Into::into))?)
}

fn csv(samples: &[Sample], pseudo: &PseudoResults, mut out: impl Write) -> Result<(), csv::Error> {
    // Spreadsheets take a file without this mark for one in their country's old encoding.
    out.write_all("\u{feff}".as_bytes())?;
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(COLUMNS)?;
    for (rank, index) in ranking(samples, pseudo).into_iter().take(MOST).enumerate() {
        let (sample, selected) = (&samples[index], &pseudo.selected[index]);
        let suggestion = selected.answer.as_ref().map(|answer| written(sample, answer)).unwrap_or_default();
        let confidence = selected.confidence.map(|sure| format!("{:.4}", sure.value())).unwrap_or_default();
        let options = sample.options.join(" | ");
        writer.write_record([
            &(rank + 1).to_string(),
            &sample.id,
            &sample.question,
            &options,
            &suggestion,
            &confidence,
            "",
        ])?;
    }
    Ok(writer.flush()?)
}

fn ranking(samples: &[Sample], pseudo: &PseudoResults) -> Vec<usize> {
    let sure =
        |index: &usize| pseudo.selected[*index].confidence.map_or(f64::NEG_INFINITY, |sure| sure.value());
    let mut order: Vec<usize> = (0..samples.len()).collect();
    order.sort_by(|one, other| sure(one).total_cmp(&sure(other)).then(one.cmp(other)));
    let mut met = HashSet::new();
    order.retain(|index| met.insert(question_key(&samples[*index])));
    order
}
