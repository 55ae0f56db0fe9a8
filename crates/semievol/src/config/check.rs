//! Whether what an experiment file says makes sense, as far as that shows without its files.

use super::{ConfigError, ExperimentConfig};
use crate::Arm;
use semievol_pipeline::{EvolveOn, MethodConfig, OWN_MODELS, PipelineError, Targets};
use semievol_select::SelectorConfig;
use std::path::Path;

impl ExperimentConfig {
    /// The experiment, once everything that can be checked without its files is found to make sense.
    ///
    /// # Errors
    /// Names the file, the key, its value and what would be right.
    pub fn check(mut self, file: &Path) -> Result<crate::Experiment, ConfigError> {
        if self.arms.is_empty() {
            let unlabelled = self.data.source.is_some() || self.data.unlabelled.is_some();
            self.arms = if unlabelled { Arm::DEFAULT.to_vec() } else { vec![Arm::Vanilla, Arm::Sft] };
            self.arms.extend(self.methods.keys().cloned().map(Arm::Variant).filter(|_| unlabelled));
        }
        let check = Check { config: &self, file, candidates: self.candidates() };
        check.name_and_seeds()?;
        check.names_of_methods()?;
        check.arms()?;
        check.counts()?;
        check.models()?;
        check.parts()?;
        check.words()?;
        check.elsewhere()?;
        check.tune()?;
        check.methods_are_built()?;
        check.matched_arm()?;
        let origin = self.data.origin(file)?;
        Ok(crate::Experiment::new(self, origin))
    }
}

/// A configuration whose arms are known.
struct Check<'a> {
    config: &'a ExperimentConfig,
    file: &'a Path,
    /// The file's method with each selector that a seed chooses from.
    candidates: Vec<MethodConfig>,
}

impl Check<'_> {
    fn refuse(&self, key: &str, value: impl Into<String>, expected: &str) -> Result<(), ConfigError> {
        Err(ConfigError::value(self.file, key, value.into(), expected))
    }

    fn part(&self, source: impl std::error::Error + Send + Sync + 'static) -> ConfigError {
        ConfigError::Part { file: self.file.to_owned(), source: Box::new(source) }
    }

    fn part_says(&self, reason: String) -> ConfigError {
        self.part(PipelineError::Assembly(reason))
    }

    /// Of all arms, and those that a seed chooses from.
    fn methods(&self) -> impl Iterator<Item = &MethodConfig> {
        [&self.config.method].into_iter().chain(self.config.methods.values()).chain(&self.candidates)
    }

    fn name_and_seeds(&self) -> Result<(), ConfigError> {
        let ExperimentConfig { name, seeds, .. } = self.config;
        if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(in_name) {
            let expected =
                "letters, digits, `-`, `_` and `.`, beginning with a letter or digit: it names a folder";
            return self.refuse("name", format!("{name:?}"), expected);
        }
        if seeds.is_empty() {
            return self.refuse("seeds", "[]", "at least one number, such as [1]");
        }
        if let Some(twice) = repeated(seeds) {
            let expected = format!("different numbers, but {twice} occurs twice");
            return self.refuse("seeds", format!("{seeds:?}"), &expected);
        }
        // Seeds name folders and stand in TOML, whose integers are signed.
        match seeds.iter().find(|seed| i64::try_from(**seed).is_err()) {
            Some(large) => self.refuse("seeds", large.to_string(), "below 2^63"),
            None => Ok(()),
        }
    }

    /// They name folders beside those of the stages.
    fn names_of_methods(&self) -> Result<(), ConfigError> {
        for name in self.config.methods.keys() {
            let refuse = |expected| self.refuse("methods", format!("{name:?}"), expected);
            // Names that differ in case alone are one folder on many disks.
            let folder = name.to_ascii_lowercase();
            if STAGES.iter().any(|start| folder.starts_with(start)) {
                return refuse("a name that no stage's folder begins with");
            }
            if name.is_empty() || !name.chars().all(in_name) || name.starts_with('.') {
                return refuse("letters, digits, `-`, `_` and `.`: the name of a method is that of a folder");
            }
            if !matches!(Arm::from(folder.clone()), Arm::Variant(_))
                || TAKEN.contains(&folder.as_str())
                || WRITTEN.iter().any(|end| folder.ends_with(end))
                || self.config.methods.keys().any(|other| other != name && other.eq_ignore_ascii_case(name))
            {
                return refuse("a name that nothing else of the run has, in capitals or not");
            }
            if is_device(&folder) || name.ends_with('.') {
                return refuse("a name that Windows takes for a folder's, too");
            }
        }
        Ok(())
    }

    fn arms(&self) -> Result<(), ConfigError> {
        let ExperimentConfig { arms, methods, .. } = self.config;
        let unknown = |arm: &&Arm| matches!(arm, Arm::Variant(name) if !methods.contains_key(name));
        if let Some(unknown) = arms.iter().find(unknown) {
            let own: Vec<String> = methods.keys().map(|name| format!(", `{name}`")).collect();
            let expected = format!("{} or one of `methods`{}", names(&Arm::NAMED).join(", "), own.concat());
            return self.refuse("arms", format!("\"{unknown}\""), &expected);
        }
        match repeated(arms) {
            Some(twice) => {
                let expected = format!("different arms, but \"{twice}\" occurs twice");
                self.refuse("arms", format!("{:?}", names(arms)), &expected)
            }
            None => Ok(()),
        }
    }

    fn counts(&self) -> Result<(), ConfigError> {
        let quick = &self.config.quick;
        let counts = [
            ("max_answer_tokens", self.config.max_answer_tokens),
            ("quick.labelled", quick.labelled),
            ("quick.test", quick.test),
            ("quick.max_steps", quick.max_steps),
        ];
        match counts.into_iter().find(|(_, count)| *count == 0) {
            Some((key, _)) => self.refuse(key, "0", "at least 1"),
            None => Ok(()),
        }
    }

    /// Those that answer, and the one that embeds, elsewhere.
    fn models(&self) -> Result<(), ConfigError> {
        let ExperimentConfig { servers, batches, embedding_server, .. } = self.config;
        for name in servers.keys().chain(batches.keys()) {
            let (served, batch) = (servers.contains_key(name), batches.contains_key(name));
            if (served && batch) || OWN_MODELS.contains(&name.as_str()) {
                let key = if batch { "batches" } else { "servers" };
                return self.refuse(key, format!("{name:?}"), "a name that no other model of the run has");
            }
        }
        for (name, server) in servers {
            server.check().map_err(|reason| self.part_says(format!("servers.{name}: {reason}")))?;
        }
        match embedding_server.as_ref().filter(|name| !servers.contains_key(*name)) {
            Some(name) => {
                let known: Vec<&str> = servers.keys().map(String::as_str).collect();
                let expected = format!("one of `servers`: {known:?}");
                self.refuse("embedding_server", format!("{name:?}"), &expected)
            }
            None => Ok(()),
        }
    }

    fn parts(&self) -> Result<(), ConfigError> {
        self.config.train.check().map_err(|error| self.part(error))?;
        self.config.task.build().map_err(|error| self.part(error))?;
        Ok(())
    }

    /// Instructions that measure, and others that are taught.
    fn words(&self) -> Result<(), ConfigError> {
        let ExperimentConfig { paraphrases, taught_paraphrases: taught, .. } = self.config;
        if let Some(twice) = repeated(paraphrases) {
            let expected = format!("different instructions, but {twice:?} occurs twice");
            return self.refuse("paraphrases", format!("{paraphrases:?}"), &expected);
        }
        if taught.is_empty() && self.methods().any(|one| one.evolve.paraphrase) {
            let expected = "some other instructions where method.evolve.paraphrase is true";
            return self.refuse("taught_paraphrases", "[]", expected);
        }
        match taught.iter().find(|words| paraphrases.contains(words)) {
            Some(both) => {
                let expected = "other instructions than those of `paraphrases`, which measure";
                self.refuse("taught_paraphrases", format!("{both:?}"), expected)
            }
            None => Ok(()),
        }
    }

    /// What other programs cannot learn.
    fn elsewhere(&self) -> Result<(), ConfigError> {
        if self.config.elsewhere.is_none() {
            return Ok(());
        }
        if self.config.arms.contains(&Arm::SftPretrained) {
            let expected = "left out where `sft_pretrained` is an arm: other programs cannot go on from what was pretrained";
            return self.refuse("elsewhere", "set", expected);
        }
        let beyond = |method: &MethodConfig| {
            method.evolve.targets == Targets::Soft
                || matches!(method.select, SelectorConfig::Weighted { .. })
                || method.pretrain.is_some()
        };
        if self.methods().any(beyond) {
            let expected = "left out where method.evolve.targets is \"soft\", method.select weighs or there is a method.pretrain: other programs cannot learn those";
            return self.refuse("elsewhere", "set", expected);
        }
        Ok(())
    }

    fn tune(&self) -> Result<(), ConfigError> {
        let Some(tune) = &self.config.tune else { return Ok(()) };
        tune.check(&self.config.train).map_err(|reason| self.part_says(reason))?;
        let chooses = !tune.select.is_empty();
        if chooses && self.config.method.evolve.on == EvolveOn::Selected {
            let expected = "left out where method.evolve.on is \"selected\": a selector that keeps nothing of some fold's prompts leaves nothing to learn";
            return self.refuse("tune.select", "set", expected);
        }
        if chooses && !self.config.arms.contains(&Arm::Semievol) {
            let expected =
                "left out where the arm \"semievol\" is none of `arms`: it chooses that arm's selector";
            return self.refuse("tune.select", "set", expected);
        }
        let promises =
            |method: &MethodConfig| matches!(method.select, SelectorConfig::ErrorControlled { .. });
        if tune.tries_recipes() && self.methods().any(promises) {
            let expected = "left out where a method's selector is \"error_controlled\": the labels that certify its promise may not have chosen the recipe; run tune with another selector, and write what it chose into `train`";
            return self.refuse("tune.epochs and tune.lr", "set", expected);
        }
        for method in &self.candidates {
            method.build().map_err(|error| self.part_says(format!("tune.select: {error}")))?;
        }
        Ok(())
    }

    fn methods_are_built(&self) -> Result<(), ConfigError> {
        self.methods().try_for_each(|method| method.build().map(drop).map_err(|error| self.part(error)))
    }

    fn matched_arm(&self) -> Result<(), ConfigError> {
        let arms = &self.config.arms;
        if !arms.contains(&Arm::SftMatched) || arms.iter().any(Arm::is_semi_supervised) {
            return Ok(());
        }
        let expected =
            "arms with \"semievol\" or one of `methods` where \"sft_matched\" is one: it takes as many steps";
        self.refuse("arms", format!("{:?}", names(arms)), expected)
    }
}

/// How the names of stages' folders begin that a number or a name ends.
const STAGES: [&str; 6] = ["fold-", "ensemble-", "evolved-", "tune-", "embeddings-", "pretrain-"];

/// Folders of a seed that a method of this name would meet.
const TAKEN: [&str; 3] = ["warm", "evolved", "stages"];

/// How the names of files end that stand beside them.
const WRITTEN: [&str; 4] = [".json", ".jsonl", ".csv", ".safetensors"];

fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

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
