//! Who answers the unlabelled prompts.

use super::is_false;
use semievol_data::Wording;
use semievol_select::classify::{Classifier, CrossValidatedRegression, NearestNeighbours};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One collaborator. They have to differ: by model, shots, temperature, wording or kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum CollaboratorConfig {
    /// A language model that is shown some of the neighbours.
    LanguageModel {
        /// Names it in files and tables.
        name: String,
        /// `warm`, `base`, `folds` and `ensemble` (the mean of their models), or the name of a further model.
        #[serde(default = "warm")]
        model: String,
        /// Neighbours in its prompt, the nearest ones.
        #[serde(default)]
        shots: usize,
        /// 1 samples from the model's distribution, 0 takes the most probable answer.
        #[serde(default = "one")]
        temperature: f64,
        /// Asks it otherwise than the task does: in letters or in words, under another instruction.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wording: Option<Wording>,
    },
    /// A logistic regression over the embeddings of the labelled prompts, its penalty chosen by
    /// cross-validation.
    Classifier {
        /// Names it in files and tables.
        name: String,
        /// Folds of the cross-validation.
        #[serde(default = "five")]
        folds: usize,
        /// Learns from the pseudo-labels that earlier rounds kept, too: the two views of a prompt, words and embedding,
        /// teach each other (co-training, Blum and Mitchell, COLT 1998). Shows from the second round on.
        #[serde(default, skip_serializing_if = "is_false")]
        co_trained: bool,
    },
    /// A vote of the nearest labelled prompts, by their embeddings.
    Neighbours {
        /// Names it in files and tables.
        name: String,
        /// How many vote.
        #[serde(default = "five")]
        k: usize,
    },
    /// A classifier that a program brings under this name, by `Method::with_classifier`. The command line has none.
    Own {
        /// Names it in files and tables.
        name: String,
        /// Has embeddings made of the prompts, for a classifier that needs them.
        #[serde(default, skip_serializing_if = "is_false")]
        embeddings: bool,
        /// Learns from the pseudo-labels that earlier rounds kept, too.
        #[serde(default, skip_serializing_if = "is_false")]
        co_trained: bool,
    },
}

/// The model trained on the labels, as collaborators name it.
pub(crate) const WARM: &str = "warm";
/// The base model, as collaborators name it.
pub(crate) const BASE: &str = "base";
/// The models trained on the labels without a fold, as collaborators name them.
pub(crate) const FOLDS: &str = "folds";
/// The models trained on all labels, as collaborators name them.
pub(crate) const ENSEMBLE: &str = "ensemble";
/// What collaborators may name besides further models.
pub const OWN_MODELS: [&str; 4] = [WARM, BASE, FOLDS, ENSEMBLE];

impl CollaboratorConfig {
    /// A classifier of your own that goes by words alone and learns from no pseudo-labels.
    pub fn own(name: impl Into<String>) -> Self {
        CollaboratorConfig::Own { name: name.into(), embeddings: false, co_trained: false }
    }

    pub(super) fn is_own(&self) -> bool {
        matches!(self, CollaboratorConfig::Own { .. })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            CollaboratorConfig::LanguageModel { name, .. }
            | CollaboratorConfig::Classifier { name, .. }
            | CollaboratorConfig::Neighbours { name, .. }
            | CollaboratorConfig::Own { name, .. } => name,
        }
    }

    /// The model that it asks, if it is one.
    pub fn model(&self) -> Option<&str> {
        match self {
            CollaboratorConfig::LanguageModel { model, .. } => Some(model),
            _ => None,
        }
    }

    /// Neighbours in its prompt.
    pub fn shots(&self) -> usize {
        match self {
            CollaboratorConfig::LanguageModel { shots, .. } => *shots,
            _ => 0,
        }
    }

    /// Whether it goes by the prompts' embeddings.
    pub fn needs_embeddings(&self) -> bool {
        match self {
            CollaboratorConfig::LanguageModel { .. } => false,
            CollaboratorConfig::Classifier { .. } | CollaboratorConfig::Neighbours { .. } => true,
            CollaboratorConfig::Own { embeddings, .. } => *embeddings,
        }
    }

    /// Whether it learns from what earlier rounds kept.
    pub(crate) fn co_trained(&self) -> bool {
        match self {
            CollaboratorConfig::Classifier { co_trained, .. }
            | CollaboratorConfig::Own { co_trained, .. } => *co_trained,
            _ => false,
        }
    }

    /// The classifier that it is, but for one of a program's own.
    pub(super) fn classifier(&self) -> Option<Arc<dyn Classifier>> {
        match self {
            CollaboratorConfig::Classifier { folds, .. } => {
                Some(Arc::new(CrossValidatedRegression { folds: *folds }))
            }
            CollaboratorConfig::Neighbours { k, .. } => Some(Arc::new(NearestNeighbours { k: *k })),
            CollaboratorConfig::LanguageModel { .. } | CollaboratorConfig::Own { .. } => None,
        }
    }

    /// Whether the other differs from it by its name alone.
    pub(super) fn answers_like(&self, other: &Self) -> bool {
        let unnamed = |one: &Self| {
            let mut one = one.clone();
            match &mut one {
                CollaboratorConfig::LanguageModel { name, .. }
                | CollaboratorConfig::Classifier { name, .. }
                | CollaboratorConfig::Neighbours { name, .. } => name.clear(),
                // The name says which it is.
                CollaboratorConfig::Own { .. } => {}
            }
            one
        };
        unnamed(self) == unnamed(other)
    }
}

fn warm() -> String {
    WARM.to_owned()
}

fn one() -> f64 {
    1.0
}

fn five() -> usize {
    5
}
