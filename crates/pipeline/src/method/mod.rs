//! What is done with the unlabelled prompts: a configuration, and the parts that it becomes.

mod check;
mod collaborator;

pub use collaborator::CollaboratorConfig;
pub use collaborator::OWN_MODELS;
pub(crate) use collaborator::{BASE, ENSEMBLE, FOLDS, WARM};

use crate::labels::shares;
use crate::{CombineConfig, PipelineError, PretrainConfig};
use semievol_confidence::{ConfidenceConfig, ConfidenceEstimator};
use semievol_core::{Labeled, Sample, Scale};
use semievol_retrieval::{RetrievalConfig, RetrieverFactory};
use semievol_select::classify::Classifier;
use semievol_select::{Adjudicator, AdjudicatorConfig, SelectError, Selector, SelectorConfig};
use semievol_train::Recipe;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The method of an experiment file. The facade crate has presets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodConfig {
    /// At most so many unlabelled samples for each labelled one, the first of them; all where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlabelled_per_label: Option<f64>,
    /// Labelled neighbours found for each prompt (`k`; paper: 3): what `prompts.jsonl` lists, what the arm `in_context` shows,
    /// and the most that `shots` anywhere may ask for. How many a prompt shows is said there.
    pub neighbours: usize,
    /// What finds them.
    pub retrieval: RetrievalConfig,
    /// Learns to write the prompts themselves before anything else; every later training goes on from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretrain: Option<PretrainConfig>,
    /// How the warm model is trained (Eq. 1).
    pub warm: WarmConfig,
    /// Trains so many further models like the warm one, each on the labels without one fold: collaborators may name
    /// them, and they can be asked about labels that they have not learnt. 0 trains none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub folds: usize,
    /// Models trained on all labels, the warm one and others that differ by their initial values and the order of the
    /// examples: collaborators may name them, and answer with their mean (deep ensembles, Lakshminarayanan et al., arXiv
    /// 1612.01474). 0 trains the warm one alone.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ensemble: usize,
    /// Who answers the unlabelled prompts (Eq. 4; paper: 4).
    pub collaborators: Vec<CollaboratorConfig>,
    /// The classes' shares among the unlabelled prompts, by option, where you know them from elsewhere:
    /// `{ negative = 0.13, neutral = 0.62, positive = 0.25 }`. `combine.align` and `select.kind = "balanced"` go by them; by
    /// default they go by those of the labels, one more of each class counted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shares: BTreeMap<String, f64>,
    /// Makes one distribution of all collaborators', whose most probable option is the final answer and whose
    /// probability is how sure it is; then `justify` and `confidence` have nothing to do. For closed sets alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub combine: Option<CombineConfig>,
    /// Who decides where they disagree (Eq. 5).
    pub justify: AdjudicatorConfig,
    /// How sure a pseudo-label is (Eq. 6).
    pub confidence: ConfidenceConfig,
    /// Puts a calibrated number in the place of `confidence`'s: the chance that the answer is right, by a logistic
    /// regression over all estimators' numbers, learnt from the labels that each fold's model has not. For closed sets.
    #[serde(default, skip_serializing_if = "is_false")]
    pub probe: bool,
    /// Neighbours in the prompt under which the warm model judges its confidence.
    #[serde(default)]
    pub confidence_shots: usize,
    /// Which pseudo-labels are kept (Eq. 7-8).
    pub select: SelectorConfig,
    /// How the evolved model is trained (Eq. 9).
    pub evolve: EvolveConfig,
    /// How often all of it is done (section 4.3.7); once where it is absent.
    #[serde(default, skip_serializing_if = "RoundsConfig::is_default")]
    pub rounds: RoundsConfig,
    /// Gives the warm model back, untouched, where the final answers to labels that no model had learnt are right less
    /// often than those models' own, beyond chance (a one-sided sign test at 0.1): pseudo-labels that are worse than the
    /// model would only pull it down. Needs `folds`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub do_no_harm: bool,
}

/// Rounds: what was kept joins the labels, what was not is tried again by the evolved model, and the next one is
/// trained from the base on all of it. They end before their number when one keeps nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoundsConfig {
    /// Rounds at most; the paper has up to 4.
    pub n: usize,
    /// Keeps about this share of the labels, whole groups of them, out of all training, to judge each round by: when fewer of them are answered right
    /// than by the model before, that one (the warm one in the first round) stays and the rounds end. 0 judges nothing.
    pub validation: f64,
}

impl Default for RoundsConfig {
    fn default() -> Self {
        RoundsConfig { n: 1, validation: 0.0 }
    }
}

impl RoundsConfig {
    fn is_default(&self) -> bool {
        *self == RoundsConfig::default()
    }
}

/// The warm model: `FT(M_base, D_l)`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WarmConfig {
    /// Trains on each label with 0 to this many of its neighbours in the prompt, in as many steps as without.
    /// A model that never saw an example in a prompt copies the neighbour's label when it is shown one.
    pub shots: usize,
}

/// The evolved model, trained from the base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvolveConfig {
    /// What it is trained on.
    pub on: EvolveOn,
    /// The labelled set is repeated whole until it is at least this share of the examples; 0 leaves it once.
    pub label_share: f64,
    /// Passes over the examples (every preset says 2); for a program, none is as many as the recipe says. Where little was kept these would be fewer steps than
    /// the labels alone were given: then as many as those take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// What it learns of a pseudo-label.
    #[serde(skip_serializing_if = "Targets::is_hard")]
    pub targets: Targets,
    /// Teaches each pseudo-label in words that are drawn for it, of the task's own and the experiment's
    /// `taught_paraphrases`: the answer shall not depend on the words of the instruction (consistency training).
    #[serde(skip_serializing_if = "is_false")]
    pub paraphrase: bool,
    /// Puts 0 to this many of its neighbours into the prompt of each pseudo-label that is taught, a number and an order that
    /// are drawn for it: the answer shall not depend on the examples in the prompt (consistency training), and a model of a
    /// later round is one that has seen them.
    #[serde(skip_serializing_if = "is_zero")]
    pub shots: usize,
}

/// What the evolved model learns of a pseudo-label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Targets {
    /// The final answer.
    #[default]
    Hard,
    /// Every option with its probability: the final answer's distribution, or else the mean of the collaborators'
    /// (distillation, Hinton et al., arXiv 1503.02531). Where nobody has a distribution, the final answer.
    Soft,
}

impl Targets {
    fn is_hard(&self) -> bool {
        *self == Targets::Hard
    }
}

/// What the evolved model is trained on: the paper says both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvolveOn {
    /// Labels and the pseudo-labels that were kept (Eq. 9).
    #[default]
    LabelsAndSelected,
    /// The pseudo-labels that were kept (Algorithm 1).
    Selected,
}

impl Default for EvolveConfig {
    fn default() -> Self {
        EvolveConfig {
            on: EvolveOn::LabelsAndSelected,
            label_share: 0.0,
            epochs: None,
            targets: Targets::Hard,
            paraphrase: false,
            shots: 0,
        }
    }
}

impl EvolveConfig {
    /// The recipe of the evolved model for so many examples: it starts from the base as the warm model does, and is never
    /// trained for fewer steps than that was on `labelled` rows.
    pub(crate) fn recipe(&self, recipe: &Recipe, labelled: usize, examples: usize) -> Recipe {
        let mut own = Recipe { epochs: self.epochs.unwrap_or(recipe.epochs), ..recipe.clone() };
        let (warm, per_epoch) = (recipe.total_steps(labelled), examples.div_ceil(recipe.batch_size.max(1)));
        if recipe.max_steps == 0 && own.total_steps(examples) < warm {
            own.epochs = warm.div_ceil(per_epoch.max(1));
        }
        own
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(on: &bool) -> bool {
    !on
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// The parts of a method, ready to run. Made by [`MethodConfig::build`]; put a part of your own in its place
/// before the run.
#[derive(Clone)]
pub struct Method {
    /// What was configured: neighbours, collaborators, warm-up and evolution.
    pub config: MethodConfig,
    /// Decides disputes.
    pub adjudicator: Arc<dyn Adjudicator>,
    /// Estimates confidence.
    pub estimator: Arc<dyn ConfidenceEstimator>,
    /// Keeps or drops pseudo-labels.
    pub selector: Arc<dyn Selector>,
    /// Classifiers of a program's own, by the names of the collaborators that they are.
    own: BTreeMap<String, Arc<dyn Classifier>>,
    /// What finds neighbours, where a program brings its own.
    own_retrieval: Option<Arc<dyn RetrieverFactory>>,
}

impl std::fmt::Debug for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Method")
            .field("config", &self.config)
            .field("retrieval", &self.retrieval().id())
            .field("adjudicator", &self.adjudicator.id())
            .field("estimator", &self.estimator.id())
            .field("selector", &self.selector.id())
            .field("own", &self.own_ids())
            .finish_non_exhaustive()
    }
}

impl Method {
    /// The same with another selector.
    ///
    /// # Errors
    /// As [`MethodConfig::build`].
    pub fn selecting(&self, select: SelectorConfig) -> Result<Method, PipelineError> {
        let config = self.config.selecting(select);
        let selector = config.build()?.selector;
        Ok(Method { config, selector, ..self.clone() })
    }

    /// What the confidences that are selected by say beyond their order: pooled distributions give probabilities, else it is
    /// the estimator's to say. A probe that learns nothing leaves its numbers as they were.
    pub(crate) fn scale(&self) -> Scale {
        if self.config.combine.is_some() { Scale::Probability } else { self.estimator.scale() }
    }

    /// The same with a classifier of your own, for the collaborator of `kind = "own"` that is called so:
    /// [`CollaboratorConfig::own`] makes one.
    pub fn with_classifier(mut self, name: impl Into<String>, classifier: Arc<dyn Classifier>) -> Method {
        self.own.insert(name.into(), classifier);
        self
    }

    /// The same with the other's own classifiers.
    pub fn with_classifiers_of(mut self, other: &Method) -> Method {
        self.own.extend(other.own.iter().map(|(name, one)| (name.clone(), one.clone())));
        self
    }

    /// The classifiers of a program's own, by name.
    pub fn own_classifiers(&self) -> impl Iterator<Item = (&str, &dyn Classifier)> {
        self.own.iter().map(|(name, one)| (name.as_str(), one.as_ref()))
    }

    /// The same with retrieval of your own in the place of the configured one, for the arm `in_context` as well. An experiment loads its embedder where its
    /// file's `method.retrieval` or a classifier asks for one: leave `kind = "exact"` there if yours embeds.
    pub fn with_retrieval(mut self, retrieval: Arc<dyn RetrieverFactory>) -> Method {
        self.own_retrieval = Some(retrieval);
        self
    }

    /// The same with the other's own retrieval, if it has some and both are configured alike.
    pub fn with_retrieval_of(mut self, other: &Method) -> Method {
        if self.config.retrieval == other.config.retrieval {
            self.own_retrieval.clone_from(&other.own_retrieval);
        }
        self
    }

    /// What makes the retrievers.
    pub fn retrieval(&self) -> &dyn RetrieverFactory {
        self.own_retrieval.as_deref().unwrap_or(&self.config.retrieval)
    }

    /// That of a program's own, if it brought some.
    pub fn own_retrieval(&self) -> Option<&dyn RetrieverFactory> {
        self.own_retrieval.as_deref()
    }

    /// Whether embeddings are needed: by retrieval or by a classifier.
    pub fn needs_embedder(&self) -> bool {
        self.config.needs_embedder_with(self.retrieval())
    }

    /// The ids of those among the collaborators, in the configuration's order.
    pub(crate) fn own_ids(&self) -> Vec<String> {
        let own = self.config.collaborators.iter().filter(|one| one.is_own());
        own.filter_map(|one| Some(self.own.get(one.name())?.id())).collect()
    }

    /// The classifier that a collaborator is.
    pub(crate) fn classifier(
        &self,
        collaborator: &CollaboratorConfig,
    ) -> Result<Arc<dyn Classifier>, PipelineError> {
        let name = collaborator.name();
        collaborator.classifier().or_else(|| self.own.get(name).cloned()).ok_or_else(|| {
            PipelineError::Assembly(format!(
                "method.collaborators: `{name}` is of kind own, a classifier that a program brings (Method::with_classifier), and none was brought: take kind = \"classifier\", which learns from embeddings"
            ))
        })
    }
}

impl MethodConfig {
    /// The parts, once their settings are found to make sense.
    ///
    /// # Errors
    /// Names the setting, its value and what would be right.
    pub fn build(&self) -> Result<Method, PipelineError> {
        self.check().map_err(PipelineError::Assembly)?;
        self.retrieval.check().map_err(|error| PipelineError::Assembly(error.to_string()))?;
        let of = |table: &'static str| {
            move |error: SelectError| {
                PipelineError::Assembly(match error {
                    SelectError::Setting { .. } => format!("method.{table}.{error}"),
                    other => other.to_string(),
                })
            }
        };
        Ok(Method {
            config: self.clone(),
            adjudicator: self.justify.build().map_err(of("justify"))?.into(),
            estimator: self.confidence.build().into(),
            selector: self.select.build().map_err(of("select"))?.into(),
            own: BTreeMap::new(),
            own_retrieval: None,
        })
    }

    /// The same with another selector; without [`shares`](field@MethodConfig::shares) where nothing goes by them then.
    pub fn selecting(&self, select: SelectorConfig) -> MethodConfig {
        let mut config = MethodConfig { select, ..self.clone() };
        if !config.goes_by_shares() {
            config.shares.clear();
        }
        config
    }

    /// The classes' shares in the options' order: those that are given, or those of the labels.
    pub(crate) fn shares(&self, labels: &[Labeled]) -> Vec<f64> {
        let Some(first) = labels.first().filter(|_| !self.shares.is_empty()) else { return shares(labels) };
        let sum: f64 = self.shares.values().sum();
        // The plan was checked: every option has a share.
        first
            .sample
            .options
            .iter()
            .map(|option| self.shares.get(option).copied().unwrap_or_default() / sum)
            .collect()
    }

    /// A collaborator that answers with the mean of several models.
    pub(crate) fn asks_several(&self) -> Option<&CollaboratorConfig> {
        self.collaborators.iter().find(|one| matches!(one.model(), Some(FOLDS | ENSEMBLE)))
    }

    /// Whether a collaborator learns from what earlier rounds kept.
    pub(crate) fn co_trains(&self) -> bool {
        self.collaborators.iter().any(CollaboratorConfig::co_trained)
    }

    /// The first collaborator that says what models trained on the labels say.
    pub(crate) fn own_voice(&self) -> Option<usize> {
        self.collaborators.iter().position(|one| matches!(one.model(), Some(FOLDS | ENSEMBLE | WARM)))
    }

    /// How many of the unlabelled samples are used; at least one.
    pub fn n_unlabelled(&self, labelled: usize, unlabelled: usize) -> usize {
        let wanted =
            self.unlabelled_per_label.map_or(unlabelled, |ratio| (ratio * labelled as f64).round() as usize);
        wanted.clamp(1, unlabelled.max(1)).min(unlabelled)
    }

    /// Those of the unlabelled samples that are used.
    pub fn of_pool<'s>(&self, labelled: usize, pool: &'s [Sample]) -> &'s [Sample] {
        &pool[..self.n_unlabelled(labelled, pool.len())]
    }

    /// Whether embeddings are needed: by the configured retrieval or by a classifier.
    pub fn needs_embedder(&self) -> bool {
        self.needs_embedder_with(&self.retrieval)
    }

    fn needs_embedder_with(&self, retrieval: &dyn RetrieverFactory) -> bool {
        self.collaborators.iter().any(CollaboratorConfig::needs_embeddings)
            || (retrieval.needs_embedder() && self.most_shots() > 0)
    }

    /// The most neighbours that any prompt shows.
    pub fn most_shots(&self) -> usize {
        let shown = self.collaborators.iter().map(CollaboratorConfig::shots).max().unwrap_or(0);
        shown.max(self.warm.shots).max(self.confidence_shots).max(self.evolve.shots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_evolved_model_takes_at_least_the_warm_ones_steps() {
        let recipe = Recipe { epochs: 30, batch_size: 8, ..Recipe::default() };
        let evolve = EvolveConfig { epochs: Some(2), ..EvolveConfig::default() };
        // 12 labels for 60 steps; 24 examples are 3 steps a pass.
        assert_eq!(evolve.recipe(&recipe, 12, 24).total_steps(24), 60);
        assert_eq!(evolve.recipe(&recipe, 12, 400).total_steps(400), 100);
        let given = Recipe { max_steps: 5, ..recipe };
        assert_eq!(evolve.recipe(&given, 12, 24).total_steps(24), 5);
    }
}
