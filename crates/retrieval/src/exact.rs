use crate::cosine::vectorized;
use crate::top::Top;
use crate::unit_rows::UnitRows;
use crate::{Hit, RetrievalError, VectorIndex, VectorQuery};
use pulp::Arch;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Queries that share one pass over the rows: together they fit the first-level cache.
const QUERIES_PER_PASS: usize = 16;

/// Compares a query with every row; the default.
///
/// A search reads `n * dim` numbers: one to three milliseconds of a core at 10,000 rows of 384. Many queries
/// at once ([`nearest_each`](VectorIndex::nearest_each)) share a pass over the rows and run in parallel; they
/// find the same bits as one at a time. See `HnswIndex` for larger indexes.
#[derive(Debug, Clone, PartialEq)]
pub struct ExactIndex {
    rows: UnitRows,
}

impl ExactIndex {
    /// An index of the rows in `values`, `[n, dim]`, row-major; it keeps normalised copies. No row gives an empty
    /// index.
    ///
    /// # Errors
    /// If a value is not finite, if `values` is not a whole number of rows, or if `dim` is 0.
    pub fn new(dim: usize, values: &[f32]) -> Result<Self, RetrievalError> {
        Ok(ExactIndex { rows: UnitRows::new(dim, values)? })
    }

    /// `exact`: names what changes its answers, which is nothing.
    pub fn settings(&self) -> String {
        "exact".into()
    }

    /// Writes one safetensors file: `vectors`, `[n, dim]` f32 of unit norm.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), RetrievalError> {
        self.rows.save(path.as_ref(), &About::ExactIndex {})
    }

    /// Reads what [`save`](Self::save) wrote; the answers are those of the saved index, bit for bit.
    ///
    /// # Errors
    /// If the file is absent, damaged, or holds something else.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, RetrievalError> {
        let (rows, About::ExactIndex {}) = UnitRows::load(path.as_ref())?;
        Ok(ExactIndex { rows })
    }

    #[cfg(feature = "hnsw")]
    pub(crate) fn from_rows(rows: UnitRows) -> Self {
        ExactIndex { rows }
    }

    #[cfg(feature = "hnsw")]
    pub(crate) fn rows(&self) -> &UnitRows {
        &self.rows
    }

    /// What [`nearest`](VectorIndex::nearest) gives for vectors from [`UnitRows::unit`].
    pub(crate) fn nearest_to_units(&self, queries: &[(Vec<f32>, Option<usize>)], k: usize) -> Vec<Vec<Hit>> {
        let mut best: Vec<Top> = queries.iter().map(|_| Top::new(k)).collect();
        if k > 0 {
            vectorized(Arch::new(), || self.one_pass(queries, &mut best));
        }
        best.into_iter().map(Top::into_hits).collect()
    }

    #[inline(always)]
    fn one_pass(&self, queries: &[(Vec<f32>, Option<usize>)], best: &mut [Top]) {
        for row in 0..self.rows.len() {
            for ((query, exclude), best) in queries.iter().zip(&mut *best) {
                if *exclude != Some(row) {
                    best.push(Hit { row, score: self.rows.score(row, query) });
                }
            }
        }
    }
}

impl VectorIndex for ExactIndex {
    fn dim(&self) -> usize {
        self.rows.dim()
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn nearest(&self, query: &[f32], k: usize, exclude: Option<usize>) -> Result<Vec<Hit>, RetrievalError> {
        let unit = self.rows.unit(query, || "query".into())?;
        Ok(self.nearest_to_units(&[(unit, exclude)], k).remove(0))
    }

    fn nearest_each(&self, queries: &[VectorQuery<'_>], k: usize) -> Result<Vec<Vec<Hit>>, RetrievalError> {
        let units = queries.iter().enumerate().map(|(index, query)| {
            Ok((self.rows.unit(query.vector, || format!("query {index}"))?, query.exclude))
        });
        let units = units.collect::<Result<Vec<_>, RetrievalError>>()?;
        Ok(units.par_chunks(QUERIES_PER_PASS).flat_map_iter(|pass| self.nearest_to_units(pass, k)).collect())
    }
}

/// What the file says it is.
#[derive(Serialize, Deserialize)]
#[serde(tag = "format", deny_unknown_fields)]
enum About {
    #[serde(rename = "exact index 1")]
    ExactIndex {},
}
