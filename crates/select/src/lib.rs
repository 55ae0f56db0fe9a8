//! Collaborative selection (SemiEvol, arXiv 2410.14745, Eq. 5, 7, 8): [`Adjudicator`] decides where collaborators
//! disagree, [`Selector`] keeps the pseudo-labels to train on.
//!
//! - Who decides: [`SelfJustify`] asks the warm model again, [`Majority`] counts, [`Mixture`] averages
//!   probabilities. [`agreed`] says whether there is anything to decide.
//! - What is kept: [`Percentile`] the surest, [`PerClass`] the surest of each class, [`Balanced`] the same in the
//!   classes' shares among the labels, [`ErrorControlled`] as many as a promise on their errors allows, [`NoiseAware`] as
//!   many as are worth their errors, [`All`], [`Weighted`] by how sure they are, or as the control as many at [`Random`].
//! - [`classify`] has collaborators that are no language models, such as a regression over embeddings, and their trait,
//!   [`Classifier`](classify::Classifier).
//!
//! The decision that shaped it: a selector sees the whole pool at once and returns a [`Decision`] for everything
//! in it, with a reason in words. A percentile is a fact about the population, so a rule that looks at one
//! pseudo-label at a time could not be the paper's; and a run can be read afterwards. The cost: no selection before
//! the last collaborator has answered.
//!
//! A selector of one's own is one method:
//!
//! ```
//! use semievol_core::{Answer, Confidence, Seed};
//! use semievol_select::{Decision, Pool, PseudoLabel, SelectError, Selection, Selector};
//!
//! /// Keeps what all collaborators agree on.
//! struct Unanimous;
//!
//! impl Selector for Unanimous {
//!     fn id(&self) -> String { "unanimous".into() }
//!     fn select(&self, pool: Pool<'_>) -> Result<Selection, SelectError> {
//!         let decide = |label: &PseudoLabel| match (&label.answer, label.agreed && label.confidence.is_some()) {
//!             (Some(_), true) => Decision::accept("all collaborators agree"),
//!             _ => Decision::reject("at least one collaborator differs"),
//!         };
//!         Ok(pool.unlabelled.iter().map(decide).collect::<Vec<_>>().into())
//!     }
//! }
//!
//! let label = |id: &str, agreed| PseudoLabel {
//!     id: id.into(),
//!     answer: Some(Answer::Choice(1)),
//!     confidence: Confidence::new(-0.2),
//!     agreed,
//! };
//! let labels = [label("a", true), label("b", false)];
//! let selection = Unanimous.select(Pool::new(&labels, Seed(1)))?;
//! assert!(selection.decisions[0].accepted && !selection.decisions[1].accepted);
//! // Hold your own to what the pipeline relies on.
//! semievol_testkit::contracts::selector(&Unanimous);
//! # Ok::<(), SelectError>(())
//! ```

mod adjudicate;
mod agreement;
pub mod classify;
mod contract;
mod error;
pub mod options;
mod selector;

pub use adjudicate::{AdjudicatorConfig, Majority, Mixture, ProposalOrder, SelfJustify, mean_distribution};
pub use agreement::{agreed, agrees};
pub use contract::{Adjudicator, Calibrated, Decision, Dispute, Pool, PseudoLabel, Selection, Selector};
pub use error::SelectError;
pub use selector::{
    All, Balanced, ErrorControlled, NoiseAware, Over, PerClass, Percentile, Random, Rule, SelectorConfig,
    Weighted,
};

// Their types stand in signatures.
pub use {semievol_core, semievol_data, semievol_model};
