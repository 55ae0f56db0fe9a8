//! Who decides where collaborators disagree (Eq. 5).

mod majority;
mod mixture;
mod self_justify;

pub use majority::Majority;
pub use mixture::{Mixture, mean_distribution};
pub use self_justify::{ProposalOrder, SelfJustify};

use crate::{Adjudicator, SelectError};
use serde::{Deserialize, Serialize};

/// Which adjudicator, as a configuration says it.
///
/// ```
/// use semievol_select::AdjudicatorConfig;
///
/// let config: AdjudicatorConfig = toml::from_str("kind = 'self_justify'\nmax_tokens = 16")?;
/// assert!(config.build()?.id().contains("max_tokens=16"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum AdjudicatorConfig {
    /// [`SelfJustify`], the paper's and the default.
    SelfJustify {
        /// Most tokens of an open answer, at least 1.
        #[serde(default = "default_max_tokens")]
        max_tokens: usize,
        /// Whether the most frequent of the proposed answers is shown first, or last (`frequent_last`).
        #[serde(default, skip_serializing_if = "ProposalOrder::is_default")]
        order: ProposalOrder,
    },
    /// [`Majority`].
    Majority {},
    /// [`Mixture`].
    Mixture {},
}

impl Default for AdjudicatorConfig {
    fn default() -> Self {
        AdjudicatorConfig::SelfJustify { max_tokens: default_max_tokens(), order: ProposalOrder::default() }
    }
}

fn default_max_tokens() -> usize {
    64
}

impl AdjudicatorConfig {
    /// The adjudicator.
    ///
    /// # Errors
    /// If a setting makes no sense.
    pub fn build(&self) -> Result<Box<dyn Adjudicator>, SelectError> {
        Ok(match self {
            AdjudicatorConfig::SelfJustify { max_tokens, order } => {
                Box::new(SelfJustify::new(*max_tokens)?.in_order(*order))
            }
            AdjudicatorConfig::Majority {} => Box::new(Majority),
            AdjudicatorConfig::Mixture {} => Box::new(Mixture),
        })
    }
}
