//! Collaborators that are no language models: cheap, and wrong in other places. [`Classifier`] is what they have in common;
//! [`CrossValidatedRegression`] and [`NearestNeighbours`] go by embeddings.

mod contract;
mod cross_validation;
mod folds;
mod learning_curve;
mod logistic;
mod neighbours;
mod pool;
mod solver;

pub use contract::{Classifier, Rows, Taught, is_distribution};
pub use cross_validation::{CrossValidated, CrossValidatedRegression, L2_GRID, fit_by_cross_validation};
pub use folds::{stratified_folds, stratified_order};
pub use learning_curve::LearningCurve;
pub use logistic::LogisticRegression;
pub use neighbours::NearestNeighbours;
pub use pool::{Alignment, LogPool};

use crate::SelectError;

const REGRESSION: &str = "logistic regression";

fn unfit(reason: String) -> SelectError {
    SelectError::Unfit { part: REGRESSION, reason }
}
