use serde::{Deserialize, Serialize};
use std::fmt;

/// A way to answer that an experiment compares with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Arm {
    /// The base model as it is.
    Vanilla,
    /// The base model fine-tuned on the labelled rows.
    Sft,
}

impl Arm {
    /// Its name in configurations, files and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Arm::Vanilla => "vanilla",
            Arm::Sft => "sft",
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
