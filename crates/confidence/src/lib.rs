//! How sure a pseudo-label is (SemiEvol, arXiv 2410.14745, Eq. 6): [`ConfidenceEstimator`].

mod contract;

pub use contract::{ConfidenceError, ConfidenceEstimator, Evidence};
