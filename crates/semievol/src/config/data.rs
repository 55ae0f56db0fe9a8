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
    pub test: Source,
    pub draw: Draw,
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
        let need = |key: &str, source: &Option<Source>| {
            let source = source.as_ref().map(|source| self.rooted(source));
            source.ok_or_else(|| ConfigError::value(file, key, "absent", "a file of rows with answers"))
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
            labelled: need("data.labelled", &self.labelled)?,
            unlabelled: self.unlabelled.as_ref().map(|source| self.rooted(source)),
            test: need("data.test", &self.test)?,
            draw,
        })
    }

    fn rooted(&self, source: &Source) -> Source {
        match (source, &self.root) {
            (Source::Local(path), Some(root)) => Source::Local(root.join(path)),
            _ => source.clone(),
        }
    }

    /// Lowers the sizes to at most these, and draws with the class shares of the whole.
    pub(super) fn limit(&mut self, labelled: usize, unlabelled: usize, test: usize) {
        let lower = |size: Option<usize>, limit: usize| Some(size.map_or(limit, |size| size.min(limit)));
        if let Some(split) = &mut self.split {
            split.labelled = split.labelled.min(labelled);
            split.test = split.test.min(test);
            split.unlabelled = lower(split.unlabelled, unlabelled);
            split.stratified = true;
        }
        if self.source.is_none() {
            let draw = self.draw.get_or_insert_default();
            draw.labelled = lower(draw.labelled, labelled);
            draw.unlabelled = lower(draw.unlabelled, unlabelled);
            draw.test = lower(draw.test, test);
            draw.stratified = true;
            draw.at_most = true;
        }
    }
}
