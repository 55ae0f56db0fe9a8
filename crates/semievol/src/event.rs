use crate::{Arm, SetSizes};
use semievol_data::OverlapReport;
use semievol_hub::Progress;
use semievol_model::ModelId;
use semievol_train::Step;
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
    /// A stage begins.
    Stage(Stage),
    /// So much of the stage is done.
    Progress {
        /// Samples answered.
        done: usize,
        /// Samples in all.
        total: usize,
    },
    /// An optimiser step of the stage is done.
    Step(Step),
    /// The stage has ended.
    StageDone(Stage),
    /// Something the user should know.
    Note(String),
}

/// A part of an experiment that takes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// The seed.
    pub seed: u64,
    /// The arm.
    pub arm: Arm,
    /// What is done.
    pub work: Work,
    /// Optimiser steps or samples.
    pub total: usize,
}

/// What a [`Stage`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    /// Trains an adapter; the unit is the optimiser step.
    Train,
    /// Answers the test samples; the unit is the sample.
    Answer,
}

impl Work {
    /// One word.
    pub fn as_str(self) -> &'static str {
        match self {
            Work::Train => "train",
            Work::Answer => "answer",
        }
    }
}
