//! Finds labelled neighbours of a prompt (SemiEvol, arXiv 2410.14745, Eq. 2): [`VectorIndex`], [`Retriever`].

mod contract;
mod error;

pub use contract::{Hit, Query, Retriever, VectorIndex};
pub use error::RetrievalError;
