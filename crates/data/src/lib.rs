//! Rows from files, tasks that prompt, parse and grade, splits, and a check for rows that stand in two sets.
//!
//! [`Dataset::read`] turns csv, tsv, jsonl and parquet files into [`Sample`](semievol_core::Sample)s as a
//! [`DatasetConfig`] says; a [`Task`] turns a sample into a prompt and a response into an answer; [`split`]
//! draws labelled, unlabelled and test rows; [`overlap`] finds what stands in two of them.
//!
//! The decision that shaped it: a data set comes in as configuration, not as code. A numeric rating becomes
//! three classes by [`Bin`]s, a sentence id names its document by a [`Part`] rule, a question is put together
//! by a template; so a new file needs no new reader. The cost: rules that go further (joining files, cleaning
//! text) are not here and have to happen before.
//!
//! ```
//! use semievol_data::{ClosedSet, Dataset, DatasetConfig, SplitConfig, Task, split};
//! use semievol_core::Seed;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("ratings.tsv");
//! std::fs::write(&path, "1_1\t-2.1\tIt broke.\n1_2\t0.1\tIt is blue.\n2_1\t3.0\tLovely.\n")?;
//! let config: DatasetConfig = toml::from_str(r#"
//!     file = { names = ["id", "rating", "question"] }
//!     [columns]
//!     options = { fixed = ["negative", "positive"] }
//!     answer = { column = "rating", bins = [
//!         { label = "negative", below = -0.5 },
//!         { label = "positive", above = 0.5 },
//!     ] }
//!     group = { column = "id", before = "_" }
//! "#)?;
//! let dataset = Dataset::read([&path], &config)?;
//! assert_eq!((dataset.len(), dataset.skipped.len()), (2, 1));
//!
//! let sizes = SplitConfig { labelled: 1, test: 1, by_group: true, ..SplitConfig::default() };
//! let parts = split(&dataset, &sizes, Seed(7))?;
//! let labelled = dataset.subset(&parts.labelled).labeled()?;
//! let prompt = ClosedSet::default().prompt(&dataset.samples[parts.test[0]], &[&labelled[0]]);
//! assert_eq!(prompt.response_prefix, "Answer:");
//! # Ok(()) }
//! ```

mod columns;
mod dataset;
mod error;
mod label;
mod overlap;
mod read;
mod row;
mod split;
mod task;
mod text;

pub use columns::{AnswerFrom, AnswerKind, Bin, Cell, Columns, Keep, OptionsFrom, Part, Shorten, SkipReason};
pub use dataset::{Dataset, DatasetConfig, OnBadRow, OnDuplicate, Skipped};
pub use error::{DataError, Place};
pub use overlap::{Occurrence, Overlap, OverlapReport, overlap, question_key};
pub use read::{Encoding, FileOptions, Format, Rows, rows};
pub use row::Row;
pub use split::{Split, SplitConfig, SplitError, split};
pub use task::{AnswerForm, ClosedSet, FreeText, Numeric, Task, TaskConfig, TaskError, Wording};
pub use text::folded;

// Its types stand in signatures.
pub use semievol_core;
