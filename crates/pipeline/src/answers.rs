//! What collaborators answered stays in the run's files: there may be more of it than memory holds.

use crate::{Answers, PipelineError, files};
use std::path::PathBuf;

/// The answers to each unlabelled sample, of the last round that asked about it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KeptAnswers {
    /// The rounds in their order.
    rounds: Vec<Kept>,
    n: usize,
}

/// The answers of one round.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    /// The samples that it asked about, ascending.
    rows: Vec<usize>,
    /// Their answers, one after the other.
    files: Vec<PathBuf>,
}

impl KeptAnswers {
    /// Adds those of a further round about `rows`; the first asks about all samples.
    pub(crate) fn add(&mut self, rows: &[usize], files: Vec<PathBuf>) {
        self.n = self.n.max(rows.len());
        self.rounds.push(Kept { rows: rows.to_vec(), files });
    }

    /// How many samples have some.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// One item for each sample, in their order.
    ///
    /// # Errors
    /// The items from the one on whose file has gone or cannot be read.
    pub fn iter(&self) -> impl Iterator<Item = Result<Answers, PipelineError>> + '_ {
        let mut rounds: Vec<_> =
            self.rounds.iter().map(|round| (round.rows.iter().peekable(), read(&round.files))).collect();
        (0..self.n).map(move |row| {
            let mut last = None;
            // Those of earlier rounds are read, too, so that their files go on with the next row.
            for (rows, answers) in &mut rounds {
                if rows.next_if(|asked| **asked == row).is_some() {
                    last = answers.next();
                }
            }
            last.unwrap_or_else(|| {
                Err(PipelineError::Assembly(format!(
                    "the answers to unlabelled row {} are no longer in the run's folder: run it again",
                    row + 1
                )))
            })
        })
    }
}

/// The rows of the files. Behind one that cannot be read there are none: they would be taken for other rows'.
fn read(files: &[PathBuf]) -> impl Iterator<Item = Result<Answers, PipelineError>> + '_ {
    let rows = files.iter().flat_map(|file| {
        let (lines, failed) = match files::lines(file) {
            Ok(lines) => (Some(lines), None),
            Err(error) => (None, Some(Err(error))),
        };
        failed.into_iter().chain(lines.into_iter().flatten())
    });
    let mut whole = true;
    rows.take_while(move |row| std::mem::replace(&mut whole, row.is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_the_last_rounds_answers() -> Result<(), PipelineError> {
        let folder = tempfile::tempdir().map_err(|error| PipelineError::Assembly(error.to_string()))?;
        let mut kept = KeptAnswers::default();
        let mut round = |name: &str, rows: &[usize], part: usize| {
            let answers =
                |row: &usize| Answers { id: format!("{name}{row}"), candidates: Vec::new(), warm: None };
            let files = rows.chunks(part).enumerate().map(|(number, rows)| {
                let file = folder.path().join(format!("{name}-{number}.jsonl"));
                files::write_jsonl(&file, &rows.iter().map(answers).collect::<Vec<_>>()).map(|()| file)
            });
            files.collect::<Result<Vec<_>, _>>().map(|files| kept.add(rows, files))
        };
        round("a", &[0, 1, 2, 3, 4], 2)?;
        round("b", &[1, 2, 4], 2)?;
        round("c", &[2], 2)?;
        let ids = kept.iter().map(|one| one.map(|one| one.id)).collect::<Result<Vec<_>, _>>()?;
        assert_eq!(ids, ["a0", "b1", "c2", "a3", "b4"]);
        // A file that has gone is an error, and no answer of another row.
        let remove = |name: &str| {
            let removed = std::fs::remove_file(folder.path().join(name));
            removed.map_err(|error| PipelineError::Assembly(error.to_string()))?;
            let ids = kept.iter().map(|one| one.map(|one| one.id).ok());
            Ok::<_, PipelineError>(ids.map(Option::unwrap_or_default).collect::<Vec<_>>())
        };
        assert_eq!(remove("b-1.jsonl")?, ["a0", "b1", "c2", "a3", ""]);
        assert_eq!(remove("a-0.jsonl")?, ["", "b1", "c2", "", ""]);
        Ok(())
    }
}
