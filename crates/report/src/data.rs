use serde::{Deserialize, Serialize};

/// Everything that the page shows. Any value is valid: what is absent is left out of the page, and a number that
/// is not finite counts as absent.
///
/// Shares and probabilities are between 0 and 1; the page shows them in percent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The experiment's name.
    pub name: String,
    /// What it is about, in the author's words; may be empty.
    pub description: String,
    /// The base model, with whatever names its weights.
    pub model: String,
    /// One entry per seed, in the order of the page.
    pub seeds: Vec<SeedReport>,
    /// Each arm over all seeds, in the order of the page; empty with a single seed.
    pub summary: Vec<ArmOverSeeds>,
    /// Accuracy on parts of the test rows; empty where nothing tells them apart.
    pub breakdowns: Vec<Breakdown>,
    /// What to do with the results, one sentence a line.
    pub next: Vec<String>,
    /// What is to be known besides the verdict, one sentence a line.
    pub findings: Vec<String>,
    /// How the numbers were made, one sentence a line.
    pub notes: Vec<String>,
    /// The configuration as TOML; may be empty.
    pub config: String,
}

/// One seed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SeedReport {
    /// The seed.
    pub seed: u64,
    /// Rows of each set.
    pub sizes: SetSizes,
    /// What stands in two sets, one line each; empty if nothing was looked for.
    pub overlap: Vec<String>,
    /// Labelled rows of each class, in the order in which the page shows classes, classes without rows included;
    /// empty for open answers.
    pub labelled_classes: Vec<ClassCount>,
    /// One entry per arm.
    pub arms: Vec<ArmRow>,
    /// How sure arms were of their answers to the test rows; arms without probabilities are left out.
    pub tested: Vec<Tested>,
    /// One entry per set of pseudo-labels: usually one, several with rounds or with several semi-supervised
    /// arms, none without such an arm.
    pub pseudo: Vec<PseudoReport>,
    /// One curve per trained model.
    pub losses: Vec<LossCurve>,
}

/// Rows of each set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SetSizes {
    /// With labels, to train on.
    pub labelled: usize,
    /// Without labels.
    pub unlabelled: usize,
    /// To test on.
    pub test: usize,
}

/// Rows of a class.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClassCount {
    /// The class as people write it.
    pub class: String,
    /// Its rows.
    pub n: usize,
}

/// The ends of a 95% interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What an arm is to the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArmRole {
    /// The base model as it is.
    Base,
    /// Fine-tuned on the labelled rows alone, for however many steps.
    LabelsOnly,
    /// Fine-tuned on labels and pseudo-labels. The verdict is about the first such arm.
    SemiSupervised,
    /// The same, to be held against others. The verdict is about all of them where there is no `SemiSupervised` arm.
    Variant,
    /// Anything else, such as the control that sees all gold answers: shown, but no part of the verdict.
    #[default]
    Other,
}

/// An arm on the test rows of one seed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ArmRow {
    /// Its name, the same in every seed.
    pub arm: String,
    /// What it is to the verdict.
    pub role: ArmRole,
    /// What it took before the test rows; absent where nobody counted.
    pub cost: Option<Cost>,
    /// Test rows.
    pub n: usize,
    /// Responses that could not be read.
    pub n_unparsed: usize,
    /// The share of right answers.
    pub accuracy: f64,
    /// Its interval.
    pub interval: Option<Interval>,
    /// The mean F1 of the classes; absent where there are none.
    pub macro_f1: Option<f64>,
    /// Against the better arm with labels alone; absent for that arm and where there is none.
    pub difference: Option<Difference>,
}

/// What an arm took before the test rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cost {
    /// Optimiser steps of all its trainings.
    pub steps: usize,
    /// Prompts answered or scored.
    pub prompts: usize,
}

/// An arm over all seeds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ArmOverSeeds {
    /// Its name.
    pub arm: String,
    /// What it is to the verdict.
    pub role: ArmRole,
    /// Mean accuracy.
    pub accuracy: f64,
    /// Standard deviation of the accuracy over seeds.
    pub sd: Option<f64>,
    /// Interval of the mean.
    pub interval: Option<Interval>,
    /// Mean macro-F1; absent where there are no classes.
    pub macro_f1: Option<f64>,
    /// Standard deviation of the macro-F1 over seeds.
    pub macro_f1_sd: Option<f64>,
    /// Mean difference to the arm with labels alone that is better in the mean; absent for that arm.
    pub difference: Option<Difference>,
}

/// An arm's accuracy less that of another on the same rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Name of the other arm.
    pub against: String,
    /// The difference, as a share: 0.011 is 1.1 points.
    pub mean: f64,
    /// Its interval.
    pub interval: Option<Interval>,
    /// Of one seed: the exact McNemar test, of whole groups where test rows come in groups. Over seeds: one less the level at
    /// which the interval would end at 0.
    pub p: Option<f64>,
}

/// Accuracy on parts of the test rows, over all seeds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Breakdown {
    /// What tells the parts apart: `class`, `category`.
    pub by: String,
    /// The arms.
    pub arms: Vec<String>,
    /// One entry per part, in the order of the page.
    pub parts: Vec<Part>,
}

/// A part of the test rows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Part {
    /// Its class or category.
    pub name: String,
    /// Its rows that were answered right, for each arm.
    pub right: Vec<Share>,
}

/// How sure an arm was of its answers to the test rows of one seed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tested {
    /// The arm.
    pub arm: String,
    /// One entry per answer that has a probability.
    pub answers: Vec<Sure>,
}

/// An answer to a test row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sure {
    /// The probability that the model gave to it, among the options.
    pub probability: f64,
    /// Whether it is right.
    pub correct: bool,
}

/// The training loss of one model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LossCurve {
    /// The model, by its arm where it is one's: `sft`, `warm`, `sft_matched`, `semievol`.
    pub name: String,
    /// In order of steps.
    pub points: Vec<LossPoint>,
}

/// The loss of one optimiser step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LossPoint {
    /// Counted from 0.
    pub step: usize,
    /// Mean negative log-likelihood of the batch's target tokens.
    pub loss: f64,
}

/// One set of pseudo-labels and what was chosen from it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PseudoReport {
    /// Tells it from the seed's other sets, such as `round 2`; shown only where there are several.
    pub title: String,
    /// One entry per unlabelled prompt. All counts, rates, class mixes and charts are made from these.
    pub labels: Vec<PseudoLabel>,
    /// The collaborators, in the configuration's order.
    pub collaborators: Vec<Collaborator>,
    /// Whether final answers are combined from all that collaborators say, so that all of them can be changed, rather than
    /// disputes be decided.
    pub combined: bool,
    /// What the confidence is, for an axis: `minus the mean NLL (nats per token)`.
    pub confidence_name: String,
    /// The confidence at or above which labels were kept; absent where selection is not by one threshold, and where nothing
    /// that has an answer was dropped or kept.
    pub threshold: Option<f64>,
    /// Prompts to browse, in the order of the page.
    pub sample: Vec<PromptSample>,
}

/// How collaborators answered a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Agreement {
    /// All gave the final answer.
    #[default]
    Agreed,
    /// They differed or some had no answer, and the dispute was decided.
    Disputed,
    /// There is no final answer.
    Unanswered,
}

/// What became of one unlabelled prompt.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PseudoLabel {
    /// How collaborators answered.
    pub agreement: Agreement,
    /// The class of the final answer; absent without an answer and for open answers.
    pub class: Option<String>,
    /// Who decided, for a dispute: the adjudicator's name.
    pub decided_by: Option<String>,
    /// How sure, larger is surer, on the selection's own scale; absent without an answer.
    pub confidence: Option<f64>,
    /// The warm model's probability of the final answer among the options; absent for open answers.
    pub probability: Option<f64>,
    /// Whether the final answer is right, where the evaluation knows; a prompt without a final answer whose gold
    /// answer is known is `false`.
    pub correct: Option<bool>,
    /// Whether it was chosen to train on.
    pub kept: bool,
}

/// One collaborator over all unlabelled prompts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Collaborator {
    /// Its name, with what tells it from the others: `warm, 3 examples`.
    pub name: String,
    /// Prompts that it answered, of all that it was asked.
    pub answered: Share,
    /// Right answers, of the prompts whose gold answer the evaluation knows; no answer counts as wrong.
    pub correct: Option<Share>,
}

/// So many out of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Share {
    /// Those counted.
    pub part: usize,
    /// All of them.
    pub whole: usize,
}

/// One prompt to browse.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PromptSample {
    /// The row's id.
    pub id: String,
    /// The question, in full.
    pub question: String,
    /// The options, in order; empty for open answers.
    pub options: Vec<String>,
    /// The labelled examples shown with it, nearest first.
    pub neighbours: Vec<Neighbour>,
    /// What each collaborator answered.
    pub answers: Vec<CollaboratorAnswer>,
    /// The final answer, as people write it; absent if there is none.
    pub final_answer: Option<String>,
    /// Who decided, for a dispute.
    pub decided_by: Option<String>,
    /// How collaborators answered.
    pub agreement: Agreement,
    /// How sure.
    pub confidence: Option<f64>,
    /// Whether it was chosen to train on.
    pub kept: bool,
    /// Why it was or was not.
    pub reason: String,
    /// The gold answer, where the evaluation shows it.
    pub gold: Option<String>,
    /// Whether the final answer is right, where the evaluation knows.
    pub correct: Option<bool>,
}

/// A labelled example shown with a prompt.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Neighbour {
    /// Its question; the page shortens it.
    pub question: String,
    /// Its label.
    pub label: String,
    /// How near it is; larger is nearer.
    pub similarity: Option<f64>,
}

/// One collaborator's answer to one prompt.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CollaboratorAnswer {
    /// The collaborator.
    pub name: String,
    /// Its answer; absent if it could not be read.
    pub answer: Option<String>,
    /// The probability that it gave that answer.
    pub probability: Option<f64>,
}
