use crate::RetrievalError;
use crate::cosine::cosine;
use crate::file::{self, Matrix};
use std::path::Path;

const TENSOR: &str = "vectors";
/// How far a stored row's norm may be from 1: more than rounding, less than any vector that was not normalised.
const NORM_ROUNDING: f64 = 1e-4;

/// `[len, dim]` vectors, row-major, each of unit norm or all zeros.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct UnitRows {
    dim: usize,
    values: Vec<f32>,
}

impl UnitRows {
    /// Normalised copies of the rows in `values`, `[n, dim]`.
    pub(crate) fn new(dim: usize, values: &[f32]) -> Result<Self, RetrievalError> {
        if dim == 0 {
            return Err(RetrievalError::Setting {
                setting: "dim",
                value: "0".into(),
                expected: "at least 1",
            });
        }
        let mut rows = UnitRows { dim, values: Vec::with_capacity(values.len()) };
        for (index, row) in values.chunks(dim).enumerate() {
            let row = rows.unit(row, || format!("vector {index}"))?;
            rows.values.extend(row);
        }
        Ok(rows)
    }

    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    pub(crate) fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.dim..(index + 1) * self.dim]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.dim)
    }

    /// `vector` over its norm, or zeros if it is zeros.
    ///
    /// # Errors
    /// If it has another width than the rows or a value that is not finite; `what` names it.
    pub(crate) fn unit(&self, vector: &[f32], what: impl Fn() -> String) -> Result<Vec<f32>, RetrievalError> {
        if vector.len() != self.dim {
            return Err(RetrievalError::Dimension { what: what(), found: vector.len(), expected: self.dim });
        }
        if let Some(position) = vector.iter().position(|value| !value.is_finite()) {
            return Err(RetrievalError::NotFinite { what: what(), position, value: vector[position] });
        }
        // In f64 the square of no finite f32 overflows, or underflows to 0.
        let norm = norm(vector);
        let over = if norm > 0.0 { norm } else { 1.0 };
        Ok(vector.iter().map(|value| (f64::from(*value) / over) as f32).collect())
    }

    /// Cosine of a row and a vector from [`unit`](Self::unit).
    #[inline(always)]
    pub(crate) fn score(&self, index: usize, unit: &[f32]) -> f32 {
        cosine(self.row(index), unit)
    }

    /// One safetensors file: `vectors`, `[len, dim]` f32, and `about` in its metadata.
    pub(crate) fn save(&self, path: &Path, about: &impl serde::Serialize) -> Result<(), RetrievalError> {
        let vectors = Matrix::f32(TENSOR, self.dim, &self.values);
        file::save_matrices(path, &[vectors], about)
    }

    /// What [`save`](Self::save) wrote, bit for bit: normalising twice could move a last bit.
    pub(crate) fn load<A: serde::de::DeserializeOwned>(path: &Path) -> Result<(Self, A), RetrievalError> {
        let (matrices, about) = file::load_matrices(path)?;
        let (dim, values) = matrices.f32(TENSOR)?;
        let rows = UnitRows { dim, values };
        let spoilt = rows.iter().map(norm).position(|norm| norm != 0.0 && (norm - 1.0).abs() > NORM_ROUNDING);
        match spoilt {
            None => Ok((rows, about)),
            Some(index) => {
                let norm = norm(rows.row(index));
                Err(RetrievalError::file(
                    path,
                    format!("vector {index} has norm {norm}, not 1: build it again"),
                ))
            }
        }
    }
}

fn norm(vector: &[f32]) -> f64 {
    vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}
