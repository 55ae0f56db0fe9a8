use super::share::Share;
use super::{against, confidences, eligible};
use crate::{Pool, SelectError, Selection, Selector};
use semievol_core::Confidence;
use serde::{Deserialize, Serialize};

/// Whose confidence a percentile is of: the paper's text and its Eq. 7 differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// The pseudo-labels' (Eq. 7).
    #[default]
    Unlabelled,
    /// The labelled samples', in their gold answers (the paper's text).
    Labelled,
}

/// Keeps the surest `theta` percent: confidence at or above a threshold (Eq. 8: `H <= tau`).
///
/// The threshold is the `theta`-percentile of `H = -confidence` by nearest rank: of `n` values, the
/// `ceil(theta / 100 * n)`-th smallest `H`, never interpolated. Over unlabelled samples the values are those of
/// the pseudo-labels that have an answer. All that equal the threshold are kept, so that the pool's order never
/// decides; with many ties, as a share of agreement has, more than `theta` percent are.
///
/// Over labelled samples the threshold comes from them alone: none or all of the pseudo-labels may pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percentile {
    theta: Share,
    over: Over,
}

impl Percentile {
    const NAME: &str = "percentile";

    /// Keeps `theta` percent.
    ///
    /// # Errors
    /// Unless `theta` is above 0 and at most 100.
    pub fn new(theta: f64, over: Over) -> Result<Self, SelectError> {
        Ok(Percentile { theta: Share::new(theta)?, over })
    }

    fn population(&self, pool: Pool<'_>) -> Result<Vec<Confidence>, SelectError> {
        match self.over {
            Over::Unlabelled => Ok(confidences(pool)),
            Over::Labelled if pool.labelled.is_empty() => {
                let reason = "over = \"labelled\" needs the labelled samples' confidence, and there is none; \
                              pass it, or take over = \"unlabelled\"";
                Err(SelectError::Unfit { part: Self::NAME, reason: reason.to_owned() })
            }
            Over::Labelled => Ok(pool.labelled.to_vec()),
        }
    }
}

impl Selector for Percentile {
    fn id(&self) -> String {
        let over = match self.over {
            Over::Unlabelled => "unlabelled",
            Over::Labelled => "labelled",
        };
        format!("{}(theta={}, over={over})", Self::NAME, self.theta)
    }

    fn wants_labelled(&self) -> bool {
        self.over == Over::Labelled
    }

    fn select(&self, pool: Pool<'_>) -> Result<Selection, SelectError> {
        let threshold = self.theta.threshold(self.population(pool)?);
        let name = format!("the {}", self.theta);
        let decisions = pool.unlabelled.iter().map(|label| match eligible(label) {
            // Without a threshold there is no eligible pseudo-label to compare with it.
            Ok(confidence) => against(confidence, threshold.unwrap_or(confidence), &name),
            Err(rejected) => rejected,
        });
        Ok(decisions.collect::<Vec<_>>().into())
    }
}
