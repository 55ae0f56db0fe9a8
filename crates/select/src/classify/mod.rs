//! A classifier over embeddings: cheap, and wrong in other places than the language model.

mod cross_validation;
mod folds;
mod learning_curve;
mod logistic;
mod neighbours;
mod pool;
mod solver;

pub use cross_validation::{CrossValidated, L2_GRID, fit_by_cross_validation};
pub use folds::{stratified_folds, stratified_order};
pub use learning_curve::LearningCurve;
pub use logistic::LogisticRegression;
pub use neighbours::vote_of_neighbours;
pub use pool::{Alignment, LogPool};

use crate::SelectError;

fn unfit(reason: String) -> SelectError {
    SelectError::Unfit { part: "logistic regression", reason }
}
