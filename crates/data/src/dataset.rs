use crate::columns::{Columns, Mapped, SkipReason, Wanted};
use crate::error::{DataError, Place};
use crate::overlap::question_key;
use crate::read::{FileOptions, rows};
use semievol_core::{Answer, Labeled, Sample};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

/// How files become a data set. The default reads the usual columns by their usual names.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatasetConfig {
    /// Format, encoding, header.
    pub file: FileOptions,
    /// Which columns make a sample.
    pub columns: Columns,
    /// What to do with a row whose question, options or answer cannot be understood.
    pub on_bad_row: OnBadRow,
    /// What to do with a row that repeats an earlier one, as [`overlap`](crate::overlap) sees it. A random
    /// split of a file that repeats itself puts test rows into the training data.
    pub on_duplicate: OnDuplicate,
}

/// What to do with a row that cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBadRow {
    /// Stop with its error.
    #[default]
    Error,
    /// Leave it out and count it. A file that cannot be read at all is an error all the same.
    Skip,
}

/// What to do with a row whose question and options an earlier row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDuplicate {
    /// Keep it, as benchmarks with known duplicates are reported.
    #[default]
    Keep,
    /// Leave it out and count it; the first row stays, whatever the answers.
    Skip,
}

/// Samples with what their rows say besides, as lists of one length and order.
///
/// The answers stand apart from the samples: hand `samples` to the pipeline and `answers` to evaluation.
#[derive(Debug, Clone, Default)]
pub struct Dataset {
    /// The questions, with ids that occur once.
    pub samples: Vec<Sample>,
    /// Their answers, where the rows have them.
    pub answers: Vec<Option<Answer>>,
    /// Rows that were left out.
    pub skipped: Vec<Skipped>,
    /// Rows that are there and whose answers count as none; see [`Dataset::read_unlabelled`].
    pub disregarded: usize,
    /// What is wrong with the first of those answers, and where.
    pub first_disregarded: Option<String>,
}

/// A row that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Where it stands.
    pub at: Place,
    /// Why.
    pub reason: SkipReason,
    /// What exactly, in words.
    pub detail: String,
}

impl Dataset {
    /// Reads files, one after the other, into one data set.
    ///
    /// # Errors
    /// For a file that cannot be read or is without rows, a row that cannot be understood (unless `on_bad_row` is `skip`),
    /// and an id that occurs twice.
    pub fn read<P: AsRef<Path>>(
        paths: impl IntoIterator<Item = P>,
        config: &DatasetConfig,
    ) -> Result<Dataset, DataError> {
        Self::read_as(paths, config, Wanted::Answer)
    }

    /// Reads rows that count as unlabelled. An answer that names no option (`-1` stands for unknown in many files) counts as
    /// none; `disregarded` says how many. With `on_bad_row = "skip"` such a row is left out like any other bad row; where
    /// there are bins, a row in none of them is left out here, too.
    ///
    /// # Errors
    /// As [`Dataset::read`], but for answers that name no option.
    pub fn read_unlabelled<P: AsRef<Path>>(
        paths: impl IntoIterator<Item = P>,
        config: &DatasetConfig,
    ) -> Result<Dataset, DataError> {
        match config.on_bad_row {
            OnBadRow::Error => Self::read_as(paths, config, Wanted::AnswerIfAny),
            OnBadRow::Skip => Self::read_as(paths, config, Wanted::Answer),
        }
    }

    /// Reads rows that are to be answered, a sample for each that has anything in it. What they say of their answers may be
    /// anything, ids may occur twice, a question may be empty, and there need be no columns for id, category and group; the
    /// latter two are not read.
    ///
    /// # Errors
    /// As [`Dataset::read`], but for these.
    pub fn read_questions<P: AsRef<Path>>(
        paths: impl IntoIterator<Item = P>,
        config: &DatasetConfig,
    ) -> Result<Dataset, DataError> {
        Self::read_as(paths, config, Wanted::Question)
    }

    fn read_as<P: AsRef<Path>>(
        paths: impl IntoIterator<Item = P>,
        config: &DatasetConfig,
        wanted: Wanted,
    ) -> Result<Dataset, DataError> {
        config.columns.check()?;
        let mut dataset = Dataset::default();
        let mut met = Met::default();
        for path in paths {
            dataset.extend(path.as_ref(), config, wanted, &mut met)?;
        }
        Ok(dataset)
    }

    fn extend(
        &mut self,
        path: &Path,
        config: &DatasetConfig,
        wanted: Wanted,
        met: &mut Met,
    ) -> Result<(), DataError> {
        let mut n_rows = 0;
        for row in rows(path, &config.file)? {
            let row = row?;
            n_rows += 1;
            let mapped = match config.columns.map(&row, n_rows, wanted) {
                Err(error) if config.on_bad_row == OnBadRow::Skip && concerns_one_row(&error) => {
                    self.skip(row.at, SkipReason::BadRow, error.to_string());
                    continue;
                }
                mapped => mapped?,
            };
            let (mut sample, answer, disregarded) = match mapped {
                Mapped::Kept { sample, answer, disregarded } => (sample, answer, disregarded),
                Mapped::Skipped(reason) => {
                    self.skip(row.at, reason, String::new());
                    continue;
                }
            };
            if config.on_duplicate == OnDuplicate::Skip && !met.keys.insert(question_key(&sample)) {
                self.skip(row.at, SkipReason::Duplicate, String::new());
                continue;
            }
            let before = met.ids.insert(sample.id.clone(), row.at.clone());
            if let Some(first) = before.filter(|_| !matches!(wanted, Wanted::Question)) {
                return Err(DataError::DuplicateId { id: sample.id, first, second: row.at });
            }
            // Rows mostly have the options of the row before.
            if let Some(before) = self.samples.last().filter(|before| before.options == sample.options) {
                sample.options = before.options.clone();
            }
            self.samples.push(sample);
            self.answers.push(answer);
            self.disregarded += usize::from(disregarded.is_some());
            self.first_disregarded = self.first_disregarded.take().or(disregarded);
        }
        match n_rows {
            0 => Err(DataError::Empty { path: path.to_owned() }),
            _ => Ok(()),
        }
    }

    fn skip(&mut self, at: Place, reason: SkipReason, detail: String) {
        self.skipped.push(Skipped { at, reason, detail });
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The samples at these positions, in this order, with their answers; positions beyond the end are ignored.
    pub fn subset(&self, positions: &[usize]) -> Dataset {
        let kept: Vec<usize> = positions.iter().copied().filter(|index| *index < self.len()).collect();
        Dataset {
            samples: kept.iter().map(|index| self.samples[*index].clone()).collect(),
            answers: kept.iter().map(|index| self.answers[*index].clone()).collect(),
            ..Dataset::default()
        }
    }

    /// The samples with their answers, as a labelled set.
    ///
    /// # Errors
    /// For the first that has none.
    pub fn labeled(&self) -> Result<Vec<Labeled>, DataError> {
        let pairs = self.samples.iter().zip(&self.answers);
        let labeled = pairs.map(|(sample, answer)| match answer {
            Some(answer) => Ok(Labeled { sample: sample.clone(), answer: answer.clone() }),
            None => Err(DataError::NoAnswer { id: sample.id.clone() }),
        });
        labeled.collect()
    }

    /// How many rows were left out, by reason.
    pub fn skip_counts(&self) -> BTreeMap<SkipReason, usize> {
        let mut counts = BTreeMap::new();
        for skipped in &self.skipped {
            *counts.entry(skipped.reason).or_default() += 1;
        }
        counts
    }
}

/// What the rows before had.
#[derive(Default)]
struct Met {
    ids: HashMap<String, Place>,
    keys: HashSet<String>,
}

fn concerns_one_row(error: &DataError) -> bool {
    matches!(
        error,
        DataError::EmptyCell { .. }
            | DataError::Options { .. }
            | DataError::Answer { .. }
            | DataError::NotANumber { .. }
            | DataError::Chat { .. }
    )
}
