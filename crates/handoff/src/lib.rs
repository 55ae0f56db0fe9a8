//! Training elsewhere: a job becomes a folder that LLaMA-Factory and Axolotl understand, a command trains it, and the PEFT
//! adapter comes back.
//!
//! Depend on this crate to train a model that is too large for this process, on however many GPUs those programs use.
//!
//! The decision that shaped it: the folder is the interface. It holds the data, a configuration for each of the two programs and
//! nothing of this process, so a person can take it to another machine as well as a command can. What a job has and the
//! programs have not (weights of examples, soft targets, an adapter to go on from) is refused, never dropped.
//!
//! ```no_run
//! use semievol_handoff::{CommandTrainer, ElsewhereConfig};
//! use semievol_model::ModelId;
//!
//! let config = ElsewhereConfig {
//!     command: vec!["llamafactory-cli".into(), "train".into(), "llamafactory.yaml".into()],
//!     ..ElsewhereConfig::new("HuggingFaceTB/SmolLM2-135M-Instruct")
//! };
//! let trainer = CommandTrainer::new(config, ModelId::new("the model in this process"));
//! ```

mod command;
mod files;

pub use command::CommandTrainer;
pub use files::write;

// Their types stand in signatures.
pub use {semievol_core, semievol_model, semievol_train};

use serde::{Deserialize, Serialize};

/// Where and how adapters are trained: the table `[elsewhere]` of an experiment file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElsewhereConfig {
    /// The base model as the other program names it: a Hugging Face id, or a path there.
    pub base: String,
    /// What to run in the hand-off's folder, such as `["llamafactory-cli", "train", "llamafactory.yaml"]`; with none, the
    /// run stops when the folder is written, and goes on when an adapter lies in `adapter` there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// LLaMA-Factory's name of the chat template; absent, it takes the tokenizer's own, which is the one that this project
    /// asks with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Most tokens of an example there; what is longer is cut off by LLaMA-Factory and left out by Axolotl.
    #[serde(default = "cutoff")]
    pub max_tokens: usize,
}

impl ElsewhereConfig {
    /// This base, everything else by default.
    pub fn new(base: impl Into<String>) -> Self {
        ElsewhereConfig { base: base.into(), command: Vec::new(), template: None, max_tokens: cutoff() }
    }
}

fn cutoff() -> usize {
    2048
}
