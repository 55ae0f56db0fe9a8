use crate::RetrievalError;
use serde::{Deserialize, Serialize};

/// Settings of [`Bm25`](super::Bm25); the defaults are Lucene's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bm25Config {
    /// How slowly a word's repetitions in a text stop counting; at 0 they never count. Finite, at least 0.
    pub k1: f32,
    /// How much a text's length counts against it: 0 not at all, 1 in full.
    pub b: f32,
}

impl Default for Bm25Config {
    fn default() -> Self {
        Bm25Config { k1: 1.2, b: 0.75 }
    }
}

impl Bm25Config {
    /// Refuses values outside the ranges above.
    ///
    /// # Errors
    /// Names the setting, its value and the range.
    pub fn check(&self) -> Result<(), RetrievalError> {
        let refuse = |setting, value: f32, expected| {
            Err(RetrievalError::Setting { setting, value: value.to_string(), expected })
        };
        if !(self.k1.is_finite() && self.k1 >= 0.0) {
            return refuse("k1", self.k1, "a number of at least 0");
        }
        if !(0.0..=1.0).contains(&self.b) {
            return refuse("b", self.b, "0 to 1");
        }
        Ok(())
    }
}
