mod graph;

use crate::hnsw_config::HnswConfig;
use crate::top::Top;
use crate::unit_rows::UnitRows;
use crate::{ExactIndex, Hit, RetrievalError, VectorIndex, VectorQuery};
use graph::Graph;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Walks a graph of neighbours (HNSW, Malkov and Yashunin, arXiv 1603.09320) instead of reading every row.
///
/// It finds most neighbours, not all; those that it finds have exact scores in exact order. Where the graph gives
/// fewer rows than there are, and where an index is no larger than the search would be wide
/// ([`HnswConfig::ef_search`]), every row is compared.
///
/// The graph depends on the vectors, their order and the settings alone: vectors are inserted one by one, and
/// hnsw_rs draws levels from a generator with a fixed seed. Vectors are held twice, by the graph and for exact
/// scores.
///
/// Measured with the defaults on 10,000 rows of width 64 to 768, two busy cores: of the ten nearest rows at least
/// 99.9% were found around centres, in 7 to 55 seconds of building, and 99.6% among random directions, the worst
/// case, in 34 to 150. A query took as long as comparing every row, or several times longer: at this size exact
/// search is the better choice. Larger indexes were not measured.
pub struct HnswIndex {
    config: HnswConfig,
    exact: ExactIndex,
    /// `None` if every search is exact.
    graph: Option<Graph>,
}

impl std::fmt::Debug for HnswIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HnswIndex")
            .field("rows", &self.exact.len())
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl HnswIndex {
    /// An index of the rows in `values`, `[n, dim]`, row-major. Building takes the time of about
    /// `n * ef_construction` comparisons, on one core.
    ///
    /// # Errors
    /// If a value is not finite, if `values` is not a whole number of rows, if `dim` is 0, or if a setting is out
    /// of its range.
    pub fn new(dim: usize, values: &[f32], config: HnswConfig) -> Result<Self, RetrievalError> {
        config.check()?;
        Ok(Self::from_rows(UnitRows::new(dim, values)?, config))
    }

    fn from_rows(rows: UnitRows, config: HnswConfig) -> Self {
        let graph = (rows.len() > config.ef_search).then(|| Graph::build(&rows, config));
        HnswIndex { config, exact: ExactIndex::from_rows(rows), graph }
    }

    /// Names the settings, which change what is found.
    pub fn settings(&self) -> String {
        let HnswConfig { max_connections, ef_construction, ef_search } = self.config;
        format!(
            "hnsw(max_connections={max_connections}, ef_construction={ef_construction}, ef_search={ef_search})"
        )
    }

    /// Writes one safetensors file: `vectors`, `[n, dim]` f32 of unit norm, and the settings.
    ///
    /// The graph is not in it: hnsw_rs panics on a damaged dump of its own. [`load`](Self::load) builds the same
    /// graph again, and takes as long as [`new`](Self::new).
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), RetrievalError> {
        self.exact.rows().save(path.as_ref(), &About::HnswIndex { config: self.config })
    }

    /// Reads what [`save`](Self::save) wrote and builds the graph; the answers are those of the saved index.
    ///
    /// # Errors
    /// If the file is absent, damaged, or holds something else.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, RetrievalError> {
        let path = path.as_ref();
        let (rows, About::HnswIndex { config }) = UnitRows::load(path)?;
        config.check().map_err(|error| RetrievalError::file_source(path, error.to_string(), error))?;
        Ok(Self::from_rows(rows, config))
    }

    fn nearest_to_unit(&self, unit: Vec<f32>, k: usize, exclude: Option<usize>) -> Vec<Hit> {
        let rows = self.exact.rows();
        let excluded = exclude.filter(|row| *row < rows.len());
        let n_wanted = k.min(rows.len() - usize::from(excluded.is_some()));
        // One more, in case that the excluded row is found.
        let width = self.config.ef_search.max(n_wanted + 1);
        let mut best = Top::new(k);
        if let Some(graph) = self.graph.as_ref().filter(|_| n_wanted > 0 && width < rows.len()) {
            let found = graph.search(&unit, width).filter(|row| Some(*row) != excluded);
            found.for_each(|row| best.push(Hit { row, score: rows.score(row, &unit) }));
        }
        if best.len() < n_wanted {
            return self.exact.nearest_to_units(&[(unit, exclude)], k).remove(0);
        }
        best.into_hits()
    }
}

impl VectorIndex for HnswIndex {
    fn dim(&self) -> usize {
        self.exact.dim()
    }

    fn len(&self) -> usize {
        self.exact.len()
    }

    fn nearest(&self, query: &[f32], k: usize, exclude: Option<usize>) -> Result<Vec<Hit>, RetrievalError> {
        let unit = self.exact.rows().unit(query, || "query".into())?;
        Ok(self.nearest_to_unit(unit, k, exclude))
    }

    fn nearest_each(&self, queries: &[VectorQuery<'_>], k: usize) -> Result<Vec<Vec<Hit>>, RetrievalError> {
        let each = queries.par_iter().enumerate().map(|(index, query)| {
            let unit = self.exact.rows().unit(query.vector, || format!("query {index}"))?;
            Ok(self.nearest_to_unit(unit, k, query.exclude))
        });
        each.collect()
    }
}

/// What the file says it is.
#[derive(Serialize, Deserialize)]
#[serde(tag = "format", deny_unknown_fields)]
enum About {
    #[serde(rename = "hnsw index 1")]
    HnswIndex { config: HnswConfig },
}
