use crate::SelectError;
use semievol_core::{Answer, Candidate, Confidence, Sample, Scale, Seed};
use semievol_data::Task;
use semievol_model::LanguageModel;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A sample on whose answer collaborators differ, or that some of them could not answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dispute<'a> {
    /// The sample.
    pub sample: &'a Sample,
    /// What each collaborator answered, in the configuration's order; at least one has an answer.
    pub candidates: &'a [Candidate],
}

/// Decides disputes.
pub trait Adjudicator: Send + Sync {
    /// Names the adjudicator with every setting that changes its decisions; part of the key under which they
    /// are kept.
    fn id(&self) -> String;

    /// Whether it can decide closed sets alone; asked while planning.
    fn needs_options(&self) -> bool {
        false
    }

    /// The final candidate of each dispute, in order, its `collaborator` being the adjudicator. One whose
    /// answer is absent decided nothing: the sample gets no pseudo-label. `judge` is the warm model.
    ///
    /// # Errors
    /// If the judge fails; a single prompt that does not fit is a candidate without answer instead.
    fn adjudicate(
        &self,
        judge: &dyn LanguageModel,
        task: &dyn Task,
        disputes: &[Dispute<'_>],
    ) -> Result<Vec<Candidate>, SelectError>;
}

/// An unlabelled sample with the answer it would be trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PseudoLabel {
    /// The sample.
    pub id: String,
    /// The final answer; absent if nobody gave one that could be read.
    pub answer: Option<Answer>,
    /// How sure; absent without an answer.
    pub confidence: Option<Confidence>,
    /// Whether all collaborators gave this answer.
    pub agreed: bool,
}

/// What a selector chooses from.
#[derive(Debug, Clone, Copy)]
pub struct Pool<'a> {
    /// Every unlabelled sample of the round.
    pub unlabelled: &'a [PseudoLabel],
    /// The warm model's confidence in the gold answer of each labelled sample; empty unless the selector
    /// [wants it](Selector::wants_labelled).
    pub labelled: &'a [Confidence],
    /// Labelled samples answered and judged as the unlabelled ones are, by models that were not trained on them;
    /// empty unless the selector [wants them](Selector::wants_calibration).
    pub calibration: &'a [Calibrated],
    /// The classes' shares among the labelled samples, in the options' order; empty for open answers, or where nobody
    /// knows.
    pub prior: &'a [f64],
    /// What the confidences say beyond their order.
    pub scale: Scale,
    /// Source of whatever is drawn.
    pub seed: Seed,
}

impl<'a> Pool<'a> {
    /// A pool of unlabelled samples alone, whose confidences are good for their order.
    pub fn new(unlabelled: &'a [PseudoLabel], seed: Seed) -> Self {
        Pool { unlabelled, labelled: &[], calibration: &[], prior: &[], scale: Scale::Order, seed }
    }
}

/// How sure an answer to a labelled sample was, and whether it was right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibrated {
    /// On the scale of the pseudo-labels' confidence.
    pub confidence: Confidence,
    /// Whether the answer was the gold one.
    pub correct: bool,
}

/// What becomes of one pseudo-label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Whether it is trained on.
    pub accepted: bool,
    /// Why, in words that name the value and the threshold.
    pub reason: String,
    /// Weight of its tokens in the loss, finite and 0 or more; 1 is that of a label.
    pub weight: f32,
}

impl Decision {
    /// Kept with the weight of a label.
    pub fn accept(reason: impl Into<String>) -> Self {
        Decision { accepted: true, reason: reason.into(), weight: 1.0 }
    }

    /// Left out.
    pub fn reject(reason: impl Into<String>) -> Self {
        Decision { accepted: false, reason: reason.into(), weight: 0.0 }
    }
}

/// One decision per pseudo-label of the pool, in its order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// The decisions.
    pub decisions: Vec<Decision>,
    /// What the user should know about all of them: a wish that could not be granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl From<Vec<Decision>> for Selection {
    fn from(decisions: Vec<Decision>) -> Self {
        Selection { decisions, note: None }
    }
}

/// Chooses the pseudo-labels to train on. It sees the whole pool, because a percentile is a fact about the
/// population.
pub trait Selector: Send + Sync {
    /// Names the selector with every setting that changes its decisions; part of the key under which they are
    /// kept.
    fn id(&self) -> String;

    /// Whether [`Pool::labelled`] is needed, which costs one pass over the labelled samples.
    fn wants_labelled(&self) -> bool {
        false
    }

    /// Whether [`Pool::calibration`] is needed, which costs models trained on parts of the labelled samples.
    fn wants_calibration(&self) -> bool {
        false
    }

    /// Whether it takes the confidence for more than an order, so that [`Pool::scale`] has to say what it is.
    fn weighs(&self) -> bool {
        false
    }

    /// One decision for each pseudo-label. One without an answer or a confidence is never accepted. The
    /// decisions depend on the pool's content, not on its order.
    ///
    /// # Errors
    /// If the pool lacks what the selector needs.
    fn select(&self, pool: Pool<'_>) -> Result<Selection, SelectError>;
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: Adjudicator + ?Sized> Adjudicator for $pointer {
            fn id(&self) -> String {
                (**self).id()
            }
            fn needs_options(&self) -> bool {
                (**self).needs_options()
            }
            fn adjudicate(
                &self,
                judge: &dyn LanguageModel,
                task: &dyn Task,
                disputes: &[Dispute<'_>],
            ) -> Result<Vec<Candidate>, SelectError> {
                (**self).adjudicate(judge, task, disputes)
            }
        }

        impl<T: Selector + ?Sized> Selector for $pointer {
            fn id(&self) -> String {
                (**self).id()
            }
            fn wants_labelled(&self) -> bool {
                (**self).wants_labelled()
            }
            fn wants_calibration(&self) -> bool {
                (**self).wants_calibration()
            }
            fn weighs(&self) -> bool {
                (**self).weighs()
            }
            fn select(&self, pool: Pool<'_>) -> Result<Selection, SelectError> {
                (**self).select(pool)
            }
        }
    )*};
}

forward!(&T, Box<T>, Arc<T>);
