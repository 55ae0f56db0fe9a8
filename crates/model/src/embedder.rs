use crate::ModelError;
use std::sync::Arc;

/// What a text is embedded for; some models put another instruction in front of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextRole {
    /// The text that looks for neighbours.
    Query,
    /// A text that can be found.
    Document,
}

/// `[len, dim]` vectors, row-major, each of unit Euclidean norm.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    dim: usize,
    values: Vec<f32>,
}

impl Embeddings {
    /// Rows of width `dim`; `None` if `values` is not a whole number of rows or holds a non-finite value.
    pub fn new(dim: usize, values: Vec<f32>) -> Option<Self> {
        let whole = dim > 0 && values.len().is_multiple_of(dim) && values.iter().all(|v| v.is_finite());
        whole.then_some(Embeddings { dim, values })
    }

    /// Width of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The `index`-th vector.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.dim..(index + 1) * self.dim]
    }

    /// All rows, one after another.
    pub fn as_slice(&self) -> &[f32] {
        &self.values
    }
}

/// Maps texts to vectors whose dot product measures how alike they are.
pub trait Embedder: Send + Sync {
    /// Width of a vector.
    fn dim(&self) -> usize;

    /// One unit vector per text, in the order of `texts`; no text gives no row. A text's vector does not
    /// depend on the other texts of the call beyond rounding (1e-5 per component).
    fn embed(&self, role: TextRole, texts: &[&str]) -> Result<Embeddings, ModelError>;
}

impl<T: Embedder + ?Sized> Embedder for Arc<T> {
    fn dim(&self) -> usize {
        (**self).dim()
    }
    fn embed(&self, role: TextRole, texts: &[&str]) -> Result<Embeddings, ModelError> {
        (**self).embed(role, texts)
    }
}

impl<T: Embedder + ?Sized> Embedder for &T {
    fn dim(&self) -> usize {
        (**self).dim()
    }
    fn embed(&self, role: TextRole, texts: &[&str]) -> Result<Embeddings, ModelError> {
        (**self).embed(role, texts)
    }
}
