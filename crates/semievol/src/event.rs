use crate::SetSizes;
use semievol_data::OverlapReport;
use semievol_hub::Progress;
use semievol_model::ModelId;
use semievol_pipeline::StageEvent;
use std::path::PathBuf;

/// What an experiment is doing, as it does it. Nothing in it is a time: who draws it has the clock.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The model or a data file is being fetched.
    Fetching {
        /// Its source.
        what: String,
        /// How far.
        progress: Progress,
    },
    /// The model's weights are being read.
    Loading {
        /// The file or folder.
        path: PathBuf,
    },
    /// The base model answers.
    Loaded {
        /// Its name, with the digest of its weights.
        model: ModelId,
    },
    /// Where the results go.
    Folder {
        /// Named after the experiment and the digest of its configuration and data.
        path: PathBuf,
    },
    /// The rows of a seed are drawn.
    Drawn {
        /// The seed.
        seed: u64,
        /// How many there are, by set and class.
        sizes: SetSizes,
    },
    /// The sets of a seed were compared row by row; sent when nothing was found, too.
    Overlap {
        /// The seed.
        seed: u64,
        /// Rows that stand twice.
        report: OverlapReport,
    },
    /// A stage of a seed begins, goes on, or ends.
    Stage {
        /// The seed.
        seed: u64,
        /// What happened.
        event: StageEvent,
    },
    /// Something the user should know.
    Note(String),
}
