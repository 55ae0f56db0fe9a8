use crate::RetrievalError;
use serde::{Deserialize, Serialize};

/// Settings of an `HnswIndex`, named as in Malkov and Yashunin (arXiv 1603.09320).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HnswConfig {
    /// Edges of a vector in a layer, the paper's `M`; the lowest layer has twice as many. 2 to 255. More find more
    /// and cost memory (8 bytes each) and time.
    pub max_connections: usize,
    /// Candidates that are kept while a vector is inserted. At least 1. More make a better graph, slower.
    pub ef_construction: usize,
    /// Candidates that are kept while searching. At least 1. More find more, slower. An index of no more vectors
    /// than this is searched exactly.
    pub ef_search: usize,
}

impl Default for HnswConfig {
    fn default() -> Self {
        HnswConfig { max_connections: 32, ef_construction: 200, ef_search: 400 }
    }
}

impl HnswConfig {
    /// Refuses values outside the ranges above.
    ///
    /// # Errors
    /// Names the setting, its value and the range.
    pub fn check(&self) -> Result<(), RetrievalError> {
        let refuse = |setting, value: usize, expected| {
            Err(RetrievalError::Setting { setting, value: value.to_string(), expected })
        };
        // hnsw_rs ends the process above 256, keeps the number in a byte, and divides by its logarithm.
        match self {
            HnswConfig { max_connections: m, .. } if !(2..=255).contains(m) => {
                refuse("max_connections", *m, "2 to 255")
            }
            HnswConfig { ef_construction: 0, .. } => refuse("ef_construction", 0, "at least 1"),
            HnswConfig { ef_search: 0, .. } => refuse("ef_search", 0, "at least 1"),
            _ => Ok(()),
        }
    }
}
