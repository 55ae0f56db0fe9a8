//! What is done with the unlabelled prompts: a configuration, and the parts that it becomes.

use crate::labels::shares;
use crate::{CombineConfig, PipelineError, PretrainConfig};
use semievol_confidence::{ConfidenceConfig, ConfidenceEstimator};
use semievol_core::{Labeled, Sample};
use semievol_data::Wording;
use semievol_retrieval::RetrievalConfig;
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
    /// Labelled neighbours found for each prompt (`k`; paper: 3).
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

/// One collaborator. They have to differ: by model, by shots, or by kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
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
}

/// The evolved model, trained from the base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvolveConfig {
    /// What it is trained on.
    pub on: EvolveOn,
    /// The labelled set is repeated whole until it is at least this share of the examples; 0 leaves it once.
    pub label_share: f64,
    /// Passes over the examples; else as many as the recipe says. Where little was kept these would be fewer steps than
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

fn warm() -> String {
    WARM.to_owned()
}

fn one() -> f64 {
    1.0
}

fn five() -> usize {
    5
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
pub(crate) const OWN_MODELS: [&str; 4] = [WARM, BASE, FOLDS, ENSEMBLE];

impl CollaboratorConfig {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            CollaboratorConfig::LanguageModel { name, .. }
            | CollaboratorConfig::Classifier { name, .. }
            | CollaboratorConfig::Neighbours { name, .. } => name,
        }
    }

    /// The model that it asks, if it is one.
    pub fn model(&self) -> Option<&str> {
        match self {
            CollaboratorConfig::LanguageModel { model, .. } => Some(model),
            CollaboratorConfig::Classifier { .. } | CollaboratorConfig::Neighbours { .. } => None,
        }
    }

    /// Whether the other differs from it by its name alone.
    fn answers_like(&self, other: &Self) -> bool {
        let unnamed = |one: &Self| {
            let mut one = one.clone();
            match &mut one {
                CollaboratorConfig::LanguageModel { name, .. }
                | CollaboratorConfig::Classifier { name, .. }
                | CollaboratorConfig::Neighbours { name, .. } => name.clear(),
            }
            one
        };
        unnamed(self) == unnamed(other)
    }

    /// Neighbours in its prompt.
    pub fn shots(&self) -> usize {
        match self {
            CollaboratorConfig::LanguageModel { shots, .. } => *shots,
            CollaboratorConfig::Classifier { .. } | CollaboratorConfig::Neighbours { .. } => 0,
        }
    }
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
        })
    }

    fn check(&self) -> Result<(), String> {
        if let Some(ratio) = self.unlabelled_per_label.filter(|ratio| !(ratio.is_finite() && *ratio > 0.0)) {
            return Err(format!(
                "method.unlabelled_per_label is {ratio}, but must be above 0; leave it out for all"
            ));
        }
        if self.collaborators.is_empty() {
            return Err("method.collaborators is empty, but somebody has to answer: give at least one".into());
        }
        for (index, collaborator) in self.collaborators.iter().enumerate() {
            let name = collaborator.name();
            if name.is_empty() {
                return Err(format!("method.collaborators: number {} has no name", index + 1));
            }
            if self.collaborators[..index].iter().any(|other| other.name() == name) {
                return Err(format!("method.collaborators: two are called `{name}`; names have to differ"));
            }
            let twin = self.collaborators[..index].iter().find(|other| other.answers_like(collaborator));
            if let Some(twin) = twin {
                return Err(format!(
                    "method.collaborators: `{name}` answers like `{}`; they have to differ by model, shots, temperature, wording or kind",
                    twin.name()
                ));
            }
            if collaborator.shots() > self.neighbours {
                return Err(format!(
                    "method.collaborators: `{name}` has shots = {}, but method.neighbours is {}",
                    collaborator.shots(),
                    self.neighbours
                ));
            }
            match collaborator {
                CollaboratorConfig::LanguageModel { temperature, .. } => {
                    if !(temperature.is_finite() && *temperature >= 0.0) {
                        return Err(format!(
                            "method.collaborators: `{name}` has temperature {temperature}, but it must be 0 or more"
                        ));
                    }
                }
                CollaboratorConfig::Classifier { folds, .. } => {
                    if *folds < 2 {
                        return Err(format!(
                            "method.collaborators: `{name}` has {folds} folds, but it needs at least 2"
                        ));
                    }
                }
                CollaboratorConfig::Neighbours { k, .. } => {
                    if *k == 0 {
                        return Err(format!(
                            "method.collaborators: `{name}` has k = 0, but somebody has to vote"
                        ));
                    }
                }
            }
        }
        let shown = [
            ("warm.shots", self.warm.shots),
            ("confidence_shots", self.confidence_shots),
            ("evolve.shots", self.evolve.shots),
        ];
        for (setting, shots) in shown {
            if shots > self.neighbours {
                return Err(format!(
                    "method.{setting} is {shots}, but method.neighbours is {}",
                    self.neighbours
                ));
            }
        }
        if self.folds == 1 {
            return Err(
                "method.folds is 1, but must be 0 or at least 2: one fold leaves nothing to learn from"
                    .into(),
            );
        }
        if self.ensemble > 1 && !self.collaborators.iter().any(|one| one.model() == Some(ENSEMBLE)) {
            return Err(format!(
                "method.ensemble is {}, but no collaborator asks model = \"ensemble\": let one do so, or leave it out",
                self.ensemble
            ));
        }
        if self.ensemble > 0 && self.rounds.n > 1 {
            return Err(format!(
                "method.rounds.n is {}, but the models of method.ensemble are the first round's: take one round, or no ensemble",
                self.rounds.n
            ));
        }
        if self.ensemble == 1 {
            return Err(
                "method.ensemble is 1, which is the warm model: set it to 2 or more, or leave it out".into(),
            );
        }
        for (key, n) in [(FOLDS, self.folds), (ENSEMBLE, self.ensemble)] {
            let asked = self.collaborators.iter().find(|one| one.model() == Some(key));
            if let Some(one) = asked.filter(|_| n == 0) {
                return Err(format!(
                    "method.collaborators: `{}` asks the models of method.{key}, but that is 0: set it to 2 or more",
                    one.name()
                ));
            }
        }
        if self.probe && self.folds == 0 {
            return Err("method.probe learns from labels that models have not, but method.folds is 0: set it to 2 or more, 5 is usual".into());
        }
        if self.do_no_harm && (self.folds == 0 || self.own_voice().is_none()) {
            return Err("method.do_no_harm compares final answers with the models' own on labels that these have not learnt: set method.folds to 2 or more, and let a collaborator ask model = \"warm\", \"folds\" or \"ensemble\"".into());
        }
        if self.probe && self.combine.is_some() {
            return Err(
                "method.probe and method.combine both say how sure an answer is: take one of them".into()
            );
        }
        if let Some(pretrain) = &self.pretrain {
            pretrain.check()?;
        }
        if let Some(combine) = self.combine {
            combine.check()?;
        }
        self.check_shares()?;
        let RoundsConfig { n, validation } = self.rounds;
        if n == 0 {
            return Err("method.rounds.n is 0, but must be at least 1".into());
        }
        if n > 1 && (self.probe || self.do_no_harm || (self.combine.is_some() && self.folds > 0)) {
            return Err(format!(
                "method.rounds.n is {n}, but method.folds measures models of the first round alone: take one round, or none of method.probe, method.do_no_harm and method.combine with folds"
            ));
        }
        if !(0.0..=0.5).contains(&validation) {
            return Err(format!("method.rounds.validation is {validation}, but must be in [0, 0.5]"));
        }
        let share = self.evolve.label_share;
        if !(0.0..1.0).contains(&share) {
            return Err(format!("method.evolve.label_share is {share}, but must be in [0, 1)"));
        }
        if self.evolve.epochs == Some(0) {
            return Err("method.evolve.epochs is 0, but must be at least 1".into());
        }
        Ok(())
    }

    fn check_shares(&self) -> Result<(), String> {
        if self.shares.is_empty() {
            return Ok(());
        }
        if let Some((option, share)) = self.shares.iter().find(|(_, share)| !(**share > 0.0 && **share < 1.0))
        {
            return Err(format!(
                "method.shares: that of `{option}` is {share}, but must be above 0 and below 1"
            ));
        }
        let sum: f64 = self.shares.values().sum();
        if (sum - 1.0).abs() > 0.011 {
            return Err(format!("method.shares: they make {sum:.3} together, but must make 1"));
        }
        if !self.goes_by_shares() {
            return Err("method.shares are given, but nothing goes by them: set method.combine.align, or method.select.kind = \"balanced\"".into());
        }
        Ok(())
    }

    fn goes_by_shares(&self) -> bool {
        let aligned = self.combine.is_some_and(|CombineConfig::LogPool { align }| align > 0.0);
        aligned || matches!(self.select, SelectorConfig::Balanced { .. })
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
        let co_trained =
            |one: &CollaboratorConfig| matches!(one, CollaboratorConfig::Classifier { co_trained: true, .. });
        self.collaborators.iter().any(co_trained)
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

    /// Whether embeddings are needed: by retrieval or by a classifier.
    pub fn needs_embedder(&self) -> bool {
        self.collaborators.iter().any(|one| one.model().is_none())
            || (self.retrieval.needs_embedder() && self.most_shots() > 0)
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
