//! What a run is made of, before any rows.

use crate::{Arm, Experiment, ExperimentConfig, RunError};
use semievol_data::Task;
use semievol_model::LanguageModel;
use semievol_pipeline::{Method, MethodConfig, Parts};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Methods, task and models of an experiment, put together. What it refuses of rows stands in `check.rs`, what others are asked
/// about them in `asked.rs`.
pub(crate) struct Assembly<'a> {
    pub config: &'a ExperimentConfig,
    /// That of the arm `semievol`.
    pub method: &'a Method,
    /// Those of arms of their own.
    pub variants: BTreeMap<String, Method>,
    /// The method with each selector that a seed chooses from on folds of its labels; none where nothing is chosen.
    pub candidates: Vec<Method>,
    pub task: Box<dyn Task>,
    pub parts: Parts<'a>,
    pub base: Arc<dyn LanguageModel>,
}

impl<'a> Assembly<'a> {
    pub fn new(experiment: &'a Experiment, method: &'a Method, parts: Parts<'a>) -> Result<Self, RunError> {
        let config = experiment.config();
        let task = config.task.build().map_err(|error| RunError::Assembly(error.to_string()))?;
        // Arms of their own find the classifiers that the first method was given, and look neighbours up where it does
        // unless their file says otherwise.
        let variant = |(name, config): (&String, &MethodConfig)| {
            Ok((name.clone(), config.build()?.with_classifiers_of(method).with_retrieval_of(method)))
        };
        let variants = config.methods.iter().map(variant).collect::<Result<_, RunError>>()?;
        let candidates = candidates(experiment, method)?;
        let base = parts.loader.load(None).map_err(|error| RunError::load("model", error))?;
        Ok(Assembly { config, method, variants, candidates, task, parts, base })
    }

    /// The method that an arm runs, if it is one.
    pub fn method_of(&self, arm: &Arm) -> Option<&Method> {
        match arm {
            Arm::Semievol => Some(self.method),
            Arm::Variant(name) => self.variants.get(name),
            _ => None,
        }
    }

    /// Those of the arms that have one.
    pub fn methods(&self) -> impl Iterator<Item = &Method> + Clone {
        self.config.arms.iter().filter_map(|arm| self.method_of(arm))
    }
}

fn candidates(experiment: &Experiment, method: &Method) -> Result<Vec<Method>, RunError> {
    let select = experiment.config().tune.iter().flat_map(|tune| &tune.select);
    let candidates = select.map(|select| method.selecting(*select)).collect::<Result<Vec<_>, _>>()?;
    if !candidates.is_empty() && method.selector.id() != experiment.method()?.selector.id() {
        return Err(RunError::Assembly(format!(
            "tune.select puts another selector in the place of {}, which is none of this file's: leave one of the two out",
            method.selector.id()
        )));
    }
    Ok(candidates)
}
