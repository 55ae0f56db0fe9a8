use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// A way to answer that an experiment compares with others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum Arm {
    /// The base model as it is.
    Vanilla,
    /// The base model, shown the nearest labelled rows in its prompt: `method.neighbours`, or 3 where that is 0.
    InContext,
    /// The same, the nearest by words (BM25) instead of by embeddings.
    InContextBm25,
    /// A logistic regression over the embeddings of the labelled rows.
    Classifier,
    /// The base model fine-tuned on the labelled rows.
    Sft,
    /// The same after the language-model loss on the prompts of all rows (task-adaptive pretraining), as
    /// `method.pretrain` says, or its defaults.
    SftPretrained,
    /// [`Arm::Sft`] for as many optimiser steps as the evolved model took, the longest of them where there are several: the
    /// control for training longer.
    SftMatched,
    /// The base model fine-tuned on labelled rows and selected pseudo-labels, as the table `method` says.
    Semievol,
    /// The same as another table, `methods.NAME`, says.
    Variant(String),
    /// The base model fine-tuned as `method` says on labelled rows and all unlabelled ones with their gold answers: what
    /// pseudo-labels could bring at best.
    Oracle,
}

impl Arm {
    /// The arms of an experiment that names none.
    pub const DEFAULT: [Arm; 5] = [Arm::Vanilla, Arm::InContext, Arm::Sft, Arm::SftMatched, Arm::Semievol];

    /// Those that have no name of their own.
    pub(crate) const NAMED: [Arm; 9] = [
        Arm::Vanilla,
        Arm::InContext,
        Arm::InContextBm25,
        Arm::Classifier,
        Arm::Sft,
        Arm::SftPretrained,
        Arm::SftMatched,
        Arm::Semievol,
        Arm::Oracle,
    ];

    /// Its name in configurations, files and tables.
    pub fn as_str(&self) -> &str {
        match self {
            Arm::Vanilla => "vanilla",
            Arm::InContext => "in_context",
            Arm::InContextBm25 => "in_context_bm25",
            Arm::Classifier => "classifier",
            Arm::Sft => "sft",
            Arm::SftPretrained => "sft_pretrained",
            Arm::SftMatched => "sft_matched",
            Arm::Semievol => "semievol",
            Arm::Variant(name) => name,
            Arm::Oracle => "oracle",
        }
    }

    /// What it is, in a phrase; `None` for the methods of the configuration.
    pub(crate) fn explained(&self) -> Option<&'static str> {
        Some(match self {
            Arm::Vanilla => "the base model as it is",
            Arm::InContext => {
                "the base model, shown the nearest labelled rows in its prompt, as the method finds them"
            }
            Arm::InContextBm25 => {
                "the base model, shown the nearest labelled rows by their words (BM25) in its prompt"
            }
            Arm::Classifier => "a logistic regression over the embeddings of the labelled rows",
            Arm::Sft => "the base model fine-tuned on the labelled rows alone",
            Arm::SftPretrained => {
                "the base model fine-tuned on the labelled rows, after training on the text of all prompts (task-adaptive pretraining)"
            }
            // The notes on the numbers have it.
            Arm::SftMatched => return None,
            Arm::Semievol => {
                "the base model fine-tuned on labels and pseudo-labels, as the table `method` says"
            }
            Arm::Oracle => {
                "what pseudo-labels could bring at best: the unlabelled rows with their gold answers, which a user does not have"
            }
            Arm::Variant(_) => return None,
        })
    }

    /// Whether a model is trained for it.
    pub(crate) fn is_trained(&self) -> bool {
        self.is_sft() || self.is_semi_supervised() || matches!(self, Arm::SftPretrained | Arm::Oracle)
    }

    /// Whether it is the base model trained on labels alone.
    pub fn is_sft(&self) -> bool {
        matches!(self, Arm::Sft | Arm::SftMatched)
    }

    /// Where its files stand, in the folder of a seed.
    pub(crate) fn folder(&self, seed: &Path) -> PathBuf {
        match self {
            Arm::Variant(name) => seed.join(name),
            _ => seed.to_owned(),
        }
    }

    /// Whether it learns from the unlabelled rows, without their answers.
    pub fn is_semi_supervised(&self) -> bool {
        matches!(self, Arm::Semievol | Arm::Variant(_))
    }
}

impl From<String> for Arm {
    fn from(name: String) -> Self {
        Arm::NAMED.into_iter().find(|arm| arm.as_str() == name).unwrap_or(Arm::Variant(name))
    }
}

impl From<Arm> for String {
    fn from(arm: Arm) -> Self {
        arm.as_str().to_owned()
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
