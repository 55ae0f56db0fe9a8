//! A classifier over embeddings: cheap, and wrong in other places than the language model.

mod cross_validation;
mod logistic;
mod pool;
mod solver;

pub use cross_validation::{CrossValidated, L2_GRID, fit_by_cross_validation, stratified_folds};
pub use logistic::LogisticRegression;
pub use pool::{Alignment, LogPool};

use crate::SelectError;

fn unfit(reason: String) -> SelectError {
    SelectError::Unfit { part: "logistic regression", reason }
}
