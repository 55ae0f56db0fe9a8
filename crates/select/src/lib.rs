//! Collaborative selection (SemiEvol, arXiv 2410.14745, Eq. 5, 7, 8): [`Adjudicator`] decides where collaborators
//! disagree, [`Selector`] keeps the pseudo-labels to train on.

mod adjudicate;
mod agreement;
pub mod classify;
mod contract;
mod error;
mod selector;

pub use adjudicate::{AdjudicatorConfig, Majority, Mixture, SelfJustify};
pub use agreement::{agreed, agrees};
pub use contract::{Adjudicator, Decision, Dispute, Pool, PseudoLabel, Selection, Selector};
pub use error::SelectError;
pub use selector::{All, Over, PerClass, Percentile, Random, SelectorConfig};
