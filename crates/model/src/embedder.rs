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

/// `[len, dim]` vectors of finite values, row-major. Those of an [`Embedder`] have unit Euclidean norm.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    dim: usize,
    values: Vec<f32>,
}

impl Embeddings {
    /// Rows of width `dim`; `None` if `dim` is 0, or `values` is not a whole number of rows or holds a non-finite value.
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

    /// The `index`-th vector, counted from 0.
    ///
    /// # Panics
    /// If there are not so many.
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
    ///
    /// # Errors
    /// Whatever keeps the model from embedding all of them.
    fn embed(&self, role: TextRole, texts: &[&str]) -> Result<Embeddings, ModelError>;
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: Embedder + ?Sized> Embedder for $pointer {
            fn dim(&self) -> usize {
                (**self).dim()
            }
            fn embed(&self, role: TextRole, texts: &[&str]) -> Result<Embeddings, ModelError> {
                (**self).embed(role, texts)
            }
        }
    )*};
}

forward!(&T, Box<T>, Arc<T>);
