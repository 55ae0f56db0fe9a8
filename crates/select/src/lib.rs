//! Collaborative selection (SemiEvol, arXiv 2410.14745, Eq. 5, 7, 8): [`Adjudicator`] decides where collaborators
//! disagree, [`Selector`] keeps the pseudo-labels to train on.

mod contract;
mod error;

pub use contract::{Adjudicator, Decision, Dispute, Pool, PseudoLabel, Selection, Selector};
pub use error::SelectError;
