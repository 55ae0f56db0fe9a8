//! How many of the nearest rows the graph finds.

#![cfg(feature = "hnsw")]
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use semievol_core::Seed;
use semievol_retrieval::{ExactIndex, HnswConfig, HnswIndex, VectorIndex, VectorQuery};
use std::time::Instant;

const N_QUERIES: usize = 200;
const K: usize = 10;

/// Where vectors lie.
#[derive(Debug, Clone, Copy)]
enum Spread {
    /// All directions alike: the hard case, which no embedding model is as bad as.
    Random,
    /// Around centres, in any order. A component's deviation from its centre, whose components deviate by 1.
    Clusters { n: usize, deviation: f32 },
    /// All rows of a centre after one another, as in a data set that is sorted by label.
    Sorted { n: usize, deviation: f32 },
}

/// Standard normal numbers.
fn normal(seed: Seed) -> f32 {
    let (radius, angle) = (1.0 - seed.child("radius", 0).uniform(), seed.child("angle", 0).uniform());
    ((-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()) as f32
}

fn vectors(spread: Spread, label: &str, len: usize, dim: usize) -> Vec<f32> {
    let number = |label: &str, i: usize| normal(Seed(1).child(label, i as u64));
    let around = |centre: usize, i: usize, deviation: f32| {
        number("centre", centre * dim + i % dim) + deviation * number(label, i)
    };
    (0..len * dim)
        .map(|i| match spread {
            Spread::Random => number(label, i),
            Spread::Clusters { n, deviation } => around(i / dim * 7919 % n, i, deviation),
            Spread::Sorted { n, deviation } => around(i / dim * n / len, i, deviation),
        })
        .collect()
}

/// Of the `K` nearest rows to new vectors of the same spread, how many the graph finds. Prints times.
fn recall(spread: Spread, len: usize, dim: usize, config: HnswConfig) -> f64 {
    let (rows, queries) = (vectors(spread, "row", len, dim), vectors(spread, "query", N_QUERIES, dim));
    let exact = ExactIndex::new(dim, &rows).unwrap();
    let start = Instant::now();
    let graph = HnswIndex::new(dim, &rows, config).unwrap();
    let build = start.elapsed();
    let queries: Vec<_> = queries.chunks(dim).map(|vector| VectorQuery { vector, exclude: None }).collect();
    let timed = |index: &dyn VectorIndex| {
        let start = Instant::now();
        (index.nearest_each(&queries, K).unwrap(), start.elapsed() / N_QUERIES as u32)
    };
    let ((best, exact_time), (found, graph_time)) = (timed(&exact), timed(&graph));
    let among = |row: usize, at: usize| found[at].iter().any(|hit| hit.row == row);
    let n_found =
        best.iter().enumerate().map(|(at, best)| best.iter().filter(|hit| among(hit.row, at)).count());
    let recall = n_found.sum::<usize>() as f64 / (K * N_QUERIES) as f64;
    println!(
        "{len} x {dim}, {spread:?}: recall {recall:.4}, built in {build:.1?}, a query {graph_time:.2?}, exact {exact_time:.2?}"
    );
    recall
}

const SMALL: HnswConfig = HnswConfig { max_connections: 16, ef_construction: 100, ef_search: 100 };

#[test]
fn small_graphs_find_most_neighbours() {
    let clusters = Spread::Clusters { n: 40, deviation: 0.5 };
    for (spread, dim) in [(Spread::Random, 24), (clusters, 24), (clusters, 96)] {
        let recall = recall(spread, 2000, dim, SMALL);
        assert!(recall >= 0.95, "{spread:?}, width {dim}: {recall}");
    }
}

/// Inserted in their order, these give 0.86.
#[test]
fn rows_sorted_by_cluster_are_found() {
    let spread = Spread::Sorted { n: 10, deviation: 0.1 };
    let sparse = HnswConfig { max_connections: 12, ef_construction: 50, ef_search: 50 };
    let recall = recall(spread, 3000, 16, sparse);
    assert!(recall >= 0.95, "{recall}");
}

/// The target of the defaults. Takes minutes: `cargo test -p semievol-retrieval --test recall -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes"]
fn ten_thousand_rows_with_the_defaults() {
    let spreads = [
        Spread::Random,
        Spread::Clusters { n: 100, deviation: 0.5 },
        Spread::Sorted { n: 10, deviation: 0.1 },
        Spread::Sorted { n: 100, deviation: 0.1 },
    ];
    let tries = spreads.into_iter().flat_map(|spread| [64, 384, 768].map(|dim| (spread, dim)));
    let recalls: Vec<_> = tries
        .map(|(spread, dim)| (spread, dim, recall(spread, 10_000, dim, HnswConfig::default())))
        .collect();
    assert!(recalls.iter().all(|(.., recall)| *recall >= 0.95), "{recalls:?}");
}
