//! Indexes of vectors, beside a plain loop over all rows.

#![cfg(feature = "hnsw")]
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use proptest::prelude::*;
use semievol_core::Seed;
use semievol_retrieval::{ExactIndex, Hit, HnswConfig, HnswIndex, RetrievalError, VectorIndex, VectorQuery};

const ROUNDING: f64 = 1e-5;

/// Small whole numbers: with many ties, copies and vectors of zeros.
fn matrix(most_rows: usize) -> impl Strategy<Value = (usize, Vec<f32>)> {
    (1usize..70).prop_flat_map(move |dim| {
        let row = prop::collection::vec((-2i8..3).prop_map(f32::from), dim);
        prop::collection::vec(row, 0..most_rows).prop_map(move |rows| (dim, rows.concat()))
    })
}

/// The definition, in f64.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms == 0.0 { 0.0 } else { dot(a, b) / norms }
}

/// That no row which was left out is nearer than one that was found, and that the order is that of the contract.
fn check_nearest(dim: usize, values: &[f32], query: &[f32], exclude: Option<usize>, k: usize, hits: &[Hit]) {
    let rows: Vec<f64> = values.chunks(dim).map(|row| cosine(row, query)).collect();
    let there = (0..rows.len()).filter(|row| Some(*row) != exclude);
    assert_eq!(hits.len(), k.min(there.clone().count()));
    for hit in hits {
        assert!((f64::from(hit.score) - rows[hit.row]).abs() <= ROUNDING, "{hit:?} is not {}", rows[hit.row]);
    }
    for pair in hits.windows(2) {
        let ordered =
            pair[0].score > pair[1].score || pair[0].score == pair[1].score && pair[0].row < pair[1].row;
        assert!(ordered, "{pair:?}");
    }
    let worst = hits.last().map_or(f64::INFINITY, |hit| rows[hit.row]);
    for row in there.filter(|row| k > 0 && hits.iter().all(|hit| hit.row != *row)) {
        assert!(rows[row] <= worst + ROUNDING, "row {row} of {} was left out for {worst}", rows[row]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exact_search_is_the_plain_loop((dim, values) in matrix(40), k in 0usize..50, seed in any::<u64>()) {
        let index = ExactIndex::new(dim, &values).unwrap();
        let query: Vec<f32> = (0..dim).map(|i| Seed(seed).child("q", i as u64).uniform() as f32 - 0.5).collect();
        let rows = values.chunks(dim).chain([query.as_slice()]).enumerate();
        let queries: Vec<_> =
            rows.map(|(row, vector)| VectorQuery { vector, exclude: (row % 3 > 0).then_some(row) }).collect();
        let together = index.nearest_each(&queries, k).unwrap();
        for (query, hits) in queries.iter().zip(&together) {
            check_nearest(dim, &values, query.vector, query.exclude, k, hits);
            prop_assert_eq!(hits, &index.nearest(query.vector, k, query.exclude).unwrap());
        }
    }

    #[test]
    fn a_wide_graph_search_is_exact((dim, values) in matrix(60), k in 0usize..70, ef_search in 1usize..60) {
        let config = HnswConfig { max_connections: 8, ef_construction: 32, ef_search };
        let (index, exact) = (HnswIndex::new(dim, &values, config).unwrap(), ExactIndex::new(dim, &values).unwrap());
        for (row, vector) in values.chunks(dim).enumerate() {
            for exclude in [None, Some(row)] {
                let found = index.nearest(vector, k, exclude).unwrap();
                let best = exact.nearest(vector, k, exclude).unwrap();
                prop_assert_eq!(found.len(), best.len());
                if ef_search >= index.len() {
                    prop_assert_eq!(found, best);
                }
            }
        }
    }
}

#[test]
fn equal_rows_are_found_in_their_order() {
    let rows = [[1.0f32, 2.0, 2.0], [0.0, 0.0, 1.0]].repeat(150).concat();
    let narrow = HnswConfig { max_connections: 4, ef_construction: 8, ef_search: 4 };
    let indexes: [Box<dyn VectorIndex>; 2] =
        [Box::new(ExactIndex::new(3, &rows).unwrap()), Box::new(HnswIndex::new(3, &rows, narrow).unwrap())];
    let even: Vec<usize> = (0..150).map(|i| 2 * i).filter(|row| *row != 6).collect();
    let all = indexes.map(|index| index.nearest(&[3.0, 6.0, 6.0], 149, Some(6)).unwrap());
    for hits in all {
        assert_eq!(hits.iter().map(|hit| hit.row).collect::<Vec<_>>(), even);
        assert!(hits.iter().all(|hit| hit.score == hits[0].score));
    }
}

/// Copies of one vector crowd the graph: whoever asks for more than it gives still gets them all.
#[test]
fn a_graph_never_gives_fewer_than_there_are() {
    let mut rows = [[1.0f32, 0.0]; 500].concat();
    rows.extend([[0.0, 1.0], [-1.0, 0.0]].concat());
    let config = HnswConfig { max_connections: 2, ef_construction: 1, ef_search: 1 };
    let index = HnswIndex::new(2, &rows, config).unwrap();
    for k in [1, 2, 100, 499, 500, 501, 502, 503, usize::MAX] {
        for exclude in [None, Some(0), Some(501), Some(502)] {
            let there = 502 - usize::from(exclude.is_some_and(|row| row < 502));
            let hits = index.nearest(&[0.0, 1.0], k, exclude).unwrap();
            assert_eq!(hits.len(), k.min(there), "k = {k}, exclude = {exclude:?}");
        }
    }
}

#[test]
fn scores_of_the_graph_are_those_of_exact_search() {
    let values: Vec<f32> = (0..800 * 24).map(|i| Seed(i).uniform() as f32 - 0.5).collect();
    let config = HnswConfig { max_connections: 8, ef_construction: 40, ef_search: 40 };
    let (index, again) =
        (HnswIndex::new(24, &values, config).unwrap(), HnswIndex::new(24, &values, config).unwrap());
    let exact = ExactIndex::new(24, &values).unwrap();
    for query in values.chunks(24).step_by(7) {
        let found = index.nearest(query, 10, None).unwrap();
        assert_eq!(found, again.nearest(query, 10, None).unwrap(), "built twice");
        let all = exact.nearest(query, 800, None).unwrap();
        for hit in &found {
            assert!(all.contains(hit), "{hit:?}");
        }
    }
}

#[test]
fn lengths_do_not_matter_even_where_f32_overflows() {
    let rows =
        [1e30f32, 1e30, 1e-30, 0.0, f32::MIN_POSITIVE / 8.0, -f32::MIN_POSITIVE / 8.0, f32::MAX, f32::MAX];
    let index = ExactIndex::new(2, &rows).unwrap();
    let hits = index.nearest(&[f32::MAX, f32::MAX], 4, None).unwrap();
    assert_eq!(hits.iter().map(|hit| hit.row).collect::<Vec<_>>(), [0, 3, 1, 2]);
    assert!((hits[0].score - 1.0).abs() < 1e-6 && (hits[2].score - 0.5f32.sqrt()).abs() < 1e-6);
}

fn refused<T>(result: Result<T, RetrievalError>) -> String {
    result.err().expect("a refusal").to_string()
}

#[test]
fn refusals_name_the_row_and_the_position() {
    let mut rows = vec![1.0; 12];
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        rows[9] = value;
        let expected =
            format!("vector 2 holds {value} at position 1: vectors are finite; check the embedding model");
        assert_eq!(refused(ExactIndex::new(4, &rows)), expected);
        assert_eq!(refused(HnswIndex::new(4, &rows, HnswConfig::default())), expected);
    }
    assert_eq!(
        refused(ExactIndex::new(4, &[0.0; 6])),
        "vector 1 has 2 values, but the index holds vectors of 4: embed both with one model"
    );
    assert_eq!(refused(ExactIndex::new(0, &[])), "dim is 0, but must be at least 1");
    let index = ExactIndex::new(2, &[1.0, 0.0]).unwrap();
    let queries = [[1.0, 0.0], [1.0, f32::NAN]].map(|vector| vector.to_vec());
    let queries = queries.each_ref().map(|vector| VectorQuery { vector, exclude: None });
    assert_eq!(
        refused(index.nearest_each(&queries, 1)),
        "query 1 holds NaN at position 1: vectors are finite; check the embedding model"
    );
}

#[test]
fn settings_are_refused_before_hnsw_rs_sees_them() {
    let check = |change: fn(&mut HnswConfig), expected: &str| {
        let mut config = HnswConfig::default();
        change(&mut config);
        assert_eq!(refused(HnswIndex::new(2, &[1.0, 0.0], config)), expected);
    };
    check(|config| config.max_connections = 1, "max_connections is 1, but must be 2 to 255");
    check(|config| config.max_connections = 257, "max_connections is 257, but must be 2 to 255");
    check(|config| config.ef_construction = 0, "ef_construction is 0, but must be at least 1");
    check(|config| config.ef_search = 0, "ef_search is 0, but must be at least 1");
    // Sizes that could not be reserved are no more than the number of rows.
    let values: Vec<f32> = (0..300).map(|i| Seed(i).uniform() as f32 - 0.5).collect();
    let config = HnswConfig { max_connections: 255, ef_construction: usize::MAX, ef_search: 1 };
    let index = HnswIndex::new(3, &values, config).unwrap();
    assert_eq!(index.nearest(&values[..3], usize::MAX, None).unwrap().len(), 100);
    let config = HnswConfig { ef_search: usize::MAX, ..config };
    assert_eq!(
        HnswIndex::new(3, &values, config).unwrap().nearest(&values[..3], 7, Some(0)).unwrap().len(),
        7
    );
}
