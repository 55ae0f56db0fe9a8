use super::ConfigError;
use semievol_data::{Columns, DatasetConfig, FileOptions, OnBadRow, OnDuplicate, SplitConfig};
use semievol_hub::Source;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The rows: either one `source` that `split` divides, or the ready-made files `labelled`, `unlabelled` and
/// `test`, of which `draw` takes a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Folder in which relative paths start; else the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
    /// One file to be split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// A file of rows that train with their answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labelled: Option<Source>,
    /// A file of rows that train without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlabelled: Option<Source>,
    /// A file of rows that test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Source>,
    /// Where there is no `test`: the share of `labelled` that tests instead of training, such as 0.25; drawn anew for
    /// each seed, with the class shares of the whole. Rows of one group, and rows that ask the same, stay together, so that
    /// it may be somewhat fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_out: Option<f64>,
    /// What to do with a row that cannot be understood.
    #[serde(default)]
    pub on_bad_row: OnBadRow,
    /// What to do with a row that repeats an earlier one of its file.
    #[serde(default)]
    pub on_duplicate: OnDuplicate,
    /// How the files are laid out.
    #[serde(default)]
    pub file: FileOptions,
    /// Which columns make a sample.
    #[serde(default)]
    pub columns: Columns,
    /// How `source` is divided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitConfig>,
    /// How many rows are drawn from ready-made files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draw: Option<Draw>,
}

/// How many rows to draw from each ready-made file; all, in the file's order, where nothing is said. Every
/// class of a file is among the rows drawn from it if there are places enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Draw {
    /// Labelled rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labelled: Option<usize>,
    /// Unlabelled rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlabelled: Option<usize>,
    /// Test rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<usize>,
    /// Gives the rows drawn the class shares of their file, as far as whole numbers allow.
    pub stratified: bool,
    /// Takes all rows of a file that has fewer than asked for; else that is an error.
    pub at_most: bool,
}

impl Draw {
    /// How many of a file's rows to draw, where `wanted` are; `None` for all.
    pub(crate) fn of(&self, rows: usize, wanted: Option<usize>) -> Option<usize> {
        wanted.filter(|wanted| !(self.at_most && *wanted >= rows))
    }
}

/// Where the rows come from, with nothing left open.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Origin {
    Split { source: Source, sizes: SplitConfig },
    Files(Box<PreparedFiles>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PreparedFiles {
    pub labelled: Source,
    pub unlabelled: Option<Source>,
    pub test: TestRows,
    pub draw: Draw,
}

/// Where ready-made files have the rows that test.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TestRows {
    File(Source),
    /// This share of the labelled rows.
    HeldOut(f64),
}

impl DataConfig {
    /// How a file becomes samples.
    pub fn dataset(&self) -> DatasetConfig {
        DatasetConfig {
            file: self.file.clone(),
            columns: self.columns.clone(),
            on_bad_row: self.on_bad_row,
            on_duplicate: self.on_duplicate,
        }
    }

    pub(super) fn origin(&self, file: &Path) -> Result<Origin, ConfigError> {
        let prepared = [("labelled", &self.labelled), ("unlabelled", &self.unlabelled), ("test", &self.test)];
        let given = prepared.iter().find_map(|(name, source)| source.as_ref().map(|source| (*name, source)));
        let missing = |key: &str, expected: &str| ConfigError::value(file, key, "absent", expected);
        match (&self.source, given) {
            (Some(_), Some((name, other))) => Err(ConfigError::value(
                file,
                &format!("data.{name}"),
                format!("`{other}`"),
                "absent where data.source is given: either one source is split, or the files are ready-made",
            )),
            (None, None) => Err(missing(
                "data.source",
                "a source to split, unless data.labelled and data.test name ready-made files",
            )),
            (Some(source), None) => {
                let sizes = self.split.clone().ok_or_else(|| {
                    missing(
                        "data.split",
                        "a table with `labelled` and `test`, the rows to draw from data.source",
                    )
                })?;
                let sizes_given = [("labelled", sizes.labelled), ("test", sizes.test)];
                if let Some((name, _)) = sizes_given.iter().find(|(_, size)| *size == 0) {
                    return Err(ConfigError::value(file, &format!("data.split.{name}"), "0", "at least 1"));
                }
                if let Some(share) = self.hold_out {
                    let expected = "absent where data.source is given: the sizes stand in data.split";
                    return Err(ConfigError::value(file, "data.hold_out", share.to_string(), expected));
                }
                if self.draw.is_some() {
                    let expected = "absent where data.source is given: the sizes stand in data.split";
                    return Err(ConfigError::value(file, "data.draw", "given", expected));
                }
                Ok(Origin::Split { source: self.rooted(source), sizes })
            }
            (None, Some(_)) => Ok(Origin::Files(Box::new(self.files(file)?))),
        }
    }

    fn files(&self, file: &Path) -> Result<PreparedFiles, ConfigError> {
        let absent = |key, expected: &str| ConfigError::value(file, key, "absent", expected);
        let labelled = self.labelled.as_ref().map(|source| self.rooted(source));
        let labelled = labelled.ok_or_else(|| absent("data.labelled", "a file of rows with answers"))?;
        let test = match (&self.test, self.hold_out) {
            (Some(test), None) => TestRows::File(self.rooted(test)),
            (None, Some(share)) if 0.0 < share && share < 1.0 => TestRows::HeldOut(share),
            (None, Some(share)) => {
                let expected = "a share between 0 and 1, such as 0.25";
                return Err(ConfigError::value(file, "data.hold_out", share.to_string(), expected));
            }
            (Some(_), Some(share)) => {
                let expected = "absent where data.test is given: that file tests";
                return Err(ConfigError::value(file, "data.hold_out", share.to_string(), expected));
            }
            (None, None) => {
                let expected = "a file of rows with answers; or set data.hold_out = 0.25, and a quarter of the labelled rows tests";
                return Err(absent("data.test", expected));
            }
        };
        if self.split.is_some() {
            let expected = "absent where the files are ready-made: the sizes stand in data.draw";
            return Err(ConfigError::value(file, "data.split", "given", expected));
        }
        let draw = self.draw.unwrap_or_default();
        for (key, size) in [("data.draw.labelled", draw.labelled), ("data.draw.test", draw.test)] {
            if size == Some(0) {
                return Err(ConfigError::value(file, key, "0", "at least 1, or absent for all rows"));
            }
        }
        Ok(PreparedFiles {
            labelled,
            unlabelled: self.unlabelled.as_ref().map(|source| self.rooted(source)),
            test,
            draw,
        })
    }

    fn rooted(&self, source: &Source) -> Source {
        match (source, &self.root) {
            (Source::Local(path), Some(root)) => Source::Local(root.join(path)),
            _ => source.clone(),
        }
    }

    /// Lowers the numbers of unlabelled and test rows to at most this.
    pub(super) fn limit_rows(&mut self, rows: usize) {
        match &mut self.split {
            Some(split) => {
                split.at_most |= split.unlabelled.is_none();
                lower(&mut split.unlabelled, rows);
                split.test = split.test.min(rows);
            }
            None => {
                let draw = self.draw.get_or_insert_default();
                lower(&mut draw.unlabelled, rows);
                lower(&mut draw.test, rows);
                draw.at_most = true;
            }
        }
    }

    /// Lowers the sizes to at most these, and draws with the class shares of the whole.
    pub(super) fn limit(&mut self, labelled: usize, unlabelled: usize, test: usize) {
        match &mut self.split {
            Some(split) => {
                split.labelled = split.labelled.min(labelled);
                split.test = split.test.min(test);
                split.at_most |= split.unlabelled.is_none();
                lower(&mut split.unlabelled, unlabelled);
                split.stratified = true;
            }
            None => {
                let draw = self.draw.get_or_insert_default();
                lower(&mut draw.labelled, labelled);
                lower(&mut draw.unlabelled, unlabelled);
                lower(&mut draw.test, test);
                draw.stratified = true;
                draw.at_most = true;
            }
        }
    }
}

/// At most so many; as many where nothing is said.
fn lower(size: &mut Option<usize>, limit: usize) {
    *size = Some(size.map_or(limit, |size| size.min(limit)));
}
