//! Every index and retriever keeps the promises of its contract.

#![cfg(feature = "hnsw")]
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use semievol_model::{Embedder, Embeddings};
use semievol_retrieval::{
    Bm25, Bm25Config, Dense, ExactIndex, HnswConfig, HnswIndex, KnownEmbeddings, RetrievalConfig, VectorIndex,
};
use semievol_testkit::{HashingEmbedder, contracts};
use std::sync::Arc;

/// So small that the suites' rows are searched in the graph.
const NARROW: HnswConfig = HnswConfig { max_connections: 4, ef_construction: 16, ef_search: 6 };
const EMBEDDER: &str = "hashing 512";

fn embedder() -> Arc<dyn Embedder> {
    Arc::new(HashingEmbedder::new(512))
}

fn hnsw(rows: &Embeddings, config: HnswConfig) -> HnswIndex {
    HnswIndex::new(rows.dim(), rows.as_slice(), config).unwrap()
}

#[test]
fn indexes() {
    let exact = |rows: &Embeddings| ExactIndex::new(rows.dim(), rows.as_slice()).unwrap();
    contracts::vector_index(exact);
    contracts::vector_index(|rows| Arc::new(exact(rows)) as Arc<dyn VectorIndex>);
    contracts::vector_index(|rows| hnsw(rows, HnswConfig::default()));
    contracts::vector_index(|rows| hnsw(rows, NARROW));
}

#[test]
fn loaded_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    contracts::vector_index(|rows| {
        ExactIndex::new(rows.dim(), rows.as_slice()).unwrap().save(&path).unwrap();
        ExactIndex::load(&path).unwrap()
    });
    contracts::vector_index(|rows| {
        hnsw(rows, NARROW).save(&path).unwrap();
        HnswIndex::load(&path).unwrap()
    });
    contracts::retriever(|texts| {
        Bm25::new(texts, Bm25Config::default()).unwrap().save(&path).unwrap();
        Bm25::load(&path).unwrap()
    });
}

#[test]
fn retrievers() {
    contracts::retriever(|texts| Dense::exact(texts, embedder(), EMBEDDER).unwrap());
    contracts::retriever(|texts| Dense::hnsw(texts, NARROW, embedder(), EMBEDDER).unwrap());
    for (k1, b) in [(1.2, 0.75), (0.0, 0.0), (0.9, 1.0)] {
        contracts::retriever(|texts| Bm25::new(texts, Bm25Config { k1, b }).unwrap());
    }
}

#[test]
fn configured_retrievers() {
    let kinds = [
        RetrievalConfig::default(),
        RetrievalConfig::Hnsw(HnswConfig::default()),
        RetrievalConfig::Bm25(Bm25Config::default()),
    ];
    for kind in kinds {
        contracts::retriever(|texts| kind.build(texts, Some((embedder(), EMBEDDER))).unwrap());
    }
}

#[test]
fn known_embeddings() {
    contracts::embedder(&KnownEmbeddings::new(EMBEDDER, 512).unwrap().asking(embedder()).unwrap());
}
