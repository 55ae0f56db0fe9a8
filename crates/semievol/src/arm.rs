use serde::{Deserialize, Serialize};
use std::fmt;

/// A way to answer that an experiment compares with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Arm {
    /// The base model as it is.
    Vanilla,
    /// The base model, shown the nearest labelled rows in its prompt.
    InContext,
    /// The base model fine-tuned on the labelled rows.
    Sft,
    /// The same for as many optimiser steps as the evolved model took: the control for training longer.
    SftMatched,
    /// The base model fine-tuned on labelled rows and selected pseudo-labels.
    Semievol,
}

impl Arm {
    /// Every arm, in the order in which tables show them.
    pub const ALL: [Arm; 5] = [Arm::Vanilla, Arm::InContext, Arm::Sft, Arm::SftMatched, Arm::Semievol];

    /// Its name in configurations, files and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Arm::Vanilla => "vanilla",
            Arm::InContext => "in_context",
            Arm::Sft => "sft",
            Arm::SftMatched => "sft_matched",
            Arm::Semievol => "semievol",
        }
    }

    /// Whether it is trained on labels alone.
    pub fn is_sft(self) -> bool {
        matches!(self, Arm::Sft | Arm::SftMatched)
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
