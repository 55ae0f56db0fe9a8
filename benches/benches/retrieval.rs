//! Looking up neighbours, on one thread: 100 queries among 10,000 vectors of 384 values, and among as many texts.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use semievol_retrieval::{
    Bm25, Bm25Config, ExactIndex, HnswConfig, HnswIndex, Query, Retriever, VectorIndex, VectorQuery,
};
use std::hint::black_box;

const ROWS: usize = 10_000;
const QUERIES: usize = 100;
const DIM: usize = 384;
const K: usize = 3;

/// Directions around 100 centres, as prompts of one task are.
fn vectors(n: usize, step: f32) -> Vec<f32> {
    let value = |row: usize, i: usize| {
        let (centre, own) = ((row % 100) as f32, row as f32 * step);
        (centre * 1.7 + i as f32 * 0.37).sin() + 0.5 * (own + i as f32 * 0.91).sin()
    };
    (0..n).flat_map(|row| (0..DIM).map(move |i| value(row, i))).collect()
}

fn texts(n: usize, step: usize) -> Vec<String> {
    let word = |row: usize, i: usize| format!("w{}", (row * step + i * i * 31) % 5_000);
    (0..n).map(|row| (0..20).map(|i| word(row, i)).collect::<Vec<_>>().join(" ")).collect()
}

fn lookups(c: &mut Criterion) {
    let mut group = c.benchmark_group("retrieval");
    group.sample_size(10).throughput(Throughput::Elements(QUERIES as u64));
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let (rows, queries) = (vectors(ROWS, 0.013), vectors(QUERIES, 0.029));
    let queries: Vec<VectorQuery<'_>> =
        queries.chunks(DIM).map(|vector| VectorQuery { vector, exclude: None }).collect();
    let exact = ExactIndex::new(DIM, &rows).expect("finite vectors");
    let hnsw = HnswIndex::new(DIM, &rows, HnswConfig::default()).expect("finite vectors");
    let indices: [(&str, &dyn VectorIndex); 2] = [("exact", &exact), ("hnsw", &hnsw)];
    for (name, index) in indices {
        group.bench_function(name, |b| {
            b.iter(|| one_thread.install(|| black_box(index.nearest_each(&queries, K))));
        });
    }
    let (rows, queries) = (texts(ROWS, 7), texts(QUERIES, 11));
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let bm25 = Bm25::new(&rows, Bm25Config::default()).expect("texts");
    let queries: Vec<Query<'_>> = queries.iter().map(|text| Query { text, exclude: None }).collect();
    group.bench_function("bm25", |b| {
        b.iter(|| one_thread.install(|| black_box(bm25.retrieve(&queries, K))));
    });
    group.finish();
}

criterion_group!(benches, lookups);
criterion_main!(benches);
