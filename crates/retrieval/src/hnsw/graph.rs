//! The only file that knows hnsw_rs, and what it must not be asked.

use super::HnswConfig;
use crate::cosine::{cosine, vectorized};
use crate::unit_rows::UnitRows;
use hnsw_rs::prelude::{Distance, Hnsw};
use pulp::Arch;
use semievol_core::Seed;

/// More layers than vectors that fit a machine need; hnsw_rs holds no more.
const MAX_LAYERS: usize = 16;
/// Of the insertion order; any would do.
const ORDER: Seed = Seed(0);

pub(super) struct Graph(Hnsw<'static, f32, CosineDistance>);

impl Graph {
    /// Inserts the rows one by one: hnsw_rs's parallel insertion gives another graph each time.
    ///
    /// The order is shuffled, always alike. hnsw_rs drops a vector's longest edges first, so rows that come
    /// cluster by cluster, such as a data set sorted by label, leave clusters that no edge leads to: of 10 clusters
    /// of 1,000 rows in their order, 20% of the neighbours were never found. For the same reason pruned candidates
    /// are not kept: filling up with the nearest of them cuts clusters off even when shuffled.
    pub(super) fn build(rows: &UnitRows, config: HnswConfig) -> Self {
        let distance = CosineDistance(Arch::new());
        // hnsw_rs reserves room for all candidates at once.
        let (m, ef) = (config.max_connections, config.ef_construction.min(rows.len()));
        let graph = Hnsw::new(m, rows.len(), MAX_LAYERS, ef, distance);
        for row in ORDER.permutation(rows.len()) {
            graph.insert_slice((rows.row(row), row));
        }
        Graph(graph)
    }

    /// About the `width` rows nearest to a unit vector. The graph must hold a row.
    pub(super) fn search(&self, unit: &[f32], width: usize) -> impl Iterator<Item = usize> {
        self.0.search(unit, width, width).into_iter().map(|found| found.d_id)
    }
}

/// 1 - cosine, in `[0, 2]`. hnsw_rs's own asserts that a unit vector's distance to itself, which rounding makes
/// negative, is not.
struct CosineDistance(Arch);

impl Distance<f32> for CosineDistance {
    fn eval(&self, a: &[f32], b: &[f32]) -> f32 {
        1.0 - vectorized(self.0, || cosine(a, b))
    }
}
