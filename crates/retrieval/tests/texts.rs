//! Retrievers of texts: BM25 beside its formula, roles of embeddings, remembered vectors, configuration.

#![cfg(feature = "hnsw")]
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use proptest::prelude::*;
use semievol_model::{Embedder, Embeddings, ModelError, TextRole};
use semievol_retrieval::{
    Bm25, Bm25Config, Dense, ExactIndex, HnswConfig, KnownEmbeddings, Query, RetrievalConfig, RetrievalError,
    Retriever,
};
use semievol_testkit::HashingEmbedder;
use std::sync::{Arc, Mutex};

fn query(text: &str) -> Query<'_> {
    Query { text, exclude: None }
}

fn refused<T>(result: Result<T, RetrievalError>) -> String {
    result.err().expect("a refusal").to_string()
}

/// The formula, word by word over all texts.
fn bm25(texts: &[Vec<&str>], query: &[&str], row: usize, config: Bm25Config) -> f64 {
    let (k1, b) = (f64::from(config.k1), f64::from(config.b));
    let average = texts.iter().map(Vec::len).sum::<usize>() as f64 / texts.len() as f64;
    let worth = |word: &&str| {
        let count = texts[row].iter().filter(|other| *other == word).count() as f64;
        let n_with = texts.iter().filter(|text| text.contains(word)).count() as f64;
        let idf = (1.0 + (texts.len() as f64 - n_with + 0.5) / (n_with + 0.5)).ln();
        let length = texts[row].len() as f64 / average;
        if count == 0.0 { 0.0 } else { idf * count / (count + k1 * (1.0 - b + b * length)) }
    };
    query.iter().map(worth).sum()
}

fn words(most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(vec!["a", "fine", "film", "plot", "élan", "7"]), 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bm25_is_its_formula(
        texts in prop::collection::vec(words(12), 0..20),
        asked in words(6),
        k in 0usize..25,
        exclude in prop::option::of(0usize..20),
        k1 in 0f32..3.0,
        b in 0f32..=1.0,
    ) {
        let config = Bm25Config { k1, b };
        let joined: Vec<String> = texts.iter().map(|text| text.join(" - ").to_uppercase()).collect();
        let index = Bm25::new(&joined.iter().map(String::as_str).collect::<Vec<_>>(), config).unwrap();
        let text = asked.join(", ");
        let hits = index.retrieve(&[Query { text: &text, exclude }], k).unwrap().remove(0);

        let mut expected: Vec<(usize, f64)> = (0..texts.len())
            .filter(|row| Some(*row) != exclude)
            .map(|row| (row, bm25(&texts, &asked, row, config)))
            .filter(|(_, score)| *score > 0.0)
            .collect();
        expected.sort_by(|a, b| (b.1 as f32).total_cmp(&(a.1 as f32)).then(a.0.cmp(&b.0)));
        prop_assert_eq!(hits.len(), k.min(expected.len()));
        for (rank, hit) in hits.iter().enumerate() {
            let score = expected.iter().find(|(row, _)| *row == hit.row).map(|(_, score)| *score);
            prop_assert!(score.is_some_and(|score| (score - f64::from(hit.score)).abs() < 1e-5), "{hit:?}: {score:?}");
            // Rounding may swap rows that are almost as good.
            prop_assert!((expected[rank].1 - f64::from(hit.score)).abs() < 1e-5, "rank {rank}: {hit:?}");
        }
    }
}

#[test]
fn bm25_by_hand() {
    let index = Bm25::new(&["a fine film", "a film", "plot"], Bm25Config::default()).unwrap();
    let hits = index.retrieve(&[query("FINE film?")], 3).unwrap().remove(0);
    // Two of three texts hold "film", one "fine"; lengths are 3, 2, 1, so 2 on average.
    let (film, fine) = ((1.0 + 1.5 / 2.5f64).ln(), (1.0 + 2.5 / 1.5f64).ln());
    let expected = [(0, (film + fine) / (1.0 + 1.2 * (0.25 + 0.75 * 1.5))), (1, film / (1.0 + 1.2))];
    assert_eq!(hits.len(), 2);
    for (hit, (row, score)) in hits.iter().zip(expected) {
        assert!(hit.row == row && (f64::from(hit.score) - score).abs() < 1e-6, "{hit:?} is not {score}");
    }
    assert_eq!(index.id(), "bm25(k1=1.2, b=0.75)");
}

#[test]
fn a_labelled_text_is_never_its_own_neighbour() {
    let texts = ["a fine film", "a dull film", "a fine film", "fine weather"];
    let embedder: Arc<dyn Embedder> = Arc::new(HashingEmbedder::new(256));
    for config in [RetrievalConfig::default(), RetrievalConfig::Bm25(Bm25Config::default())] {
        let retriever = config.build(&texts, Some((embedder.clone(), "hashing"))).unwrap();
        let queries: Vec<_> =
            texts.iter().enumerate().map(|(row, text)| Query { text, exclude: Some(row) }).collect();
        let found = retriever.retrieve(&queries, 4).unwrap();
        for (row, hits) in found.iter().enumerate() {
            assert!(hits.iter().all(|hit| hit.row != row), "{config:?}, row {row}: {hits:?}");
        }
        assert_eq!((found[0][0].row, found[2][0].row), (2, 0), "{config:?}");
    }
}

/// Notes what it was asked; queries point another way than documents.
#[derive(Default)]
struct Noting {
    asked: Mutex<Vec<(TextRole, Vec<String>)>>,
}

impl Embedder for Noting {
    fn dim(&self) -> usize {
        2
    }

    fn embed(&self, role: TextRole, texts: &[&str]) -> Result<Embeddings, ModelError> {
        let words = texts.iter().map(|text| text.to_string()).collect();
        self.asked.lock().unwrap().push((role, words));
        let vector = if role == TextRole::Query { [0.6, 0.8] } else { [1.0, 0.0] };
        Ok(Embeddings::new(2, vector.repeat(texts.len())).unwrap())
    }
}

#[test]
fn documents_and_queries_have_their_roles() {
    let embedder = Noting::default();
    let dense = Dense::exact(&["one", "two"], &embedder, "noting").unwrap();
    let found = dense.retrieve(&[query("three"), query("four")], 1).unwrap();
    assert!(found.iter().all(|hits| hits.len() == 1 && (hits[0].score - 0.6).abs() < 1e-6), "{found:?}");
    let expected = [(TextRole::Document, ["one", "two"]), (TextRole::Query, ["three", "four"])];
    let expected = expected.map(|(role, texts)| (role, texts.map(String::from).to_vec()));
    assert_eq!(*embedder.asked.lock().unwrap(), expected);
}

#[test]
fn a_dense_retriever_is_named_after_its_index_and_its_model() {
    let embedder = HashingEmbedder::new(8);
    let exact = Dense::exact(&["one"], &embedder, "hashing 8").unwrap();
    assert_eq!(exact.id(), "exact of hashing 8");
    let hnsw = Dense::hnsw(&["one"], HnswConfig::default(), &embedder, "hashing 8").unwrap();
    assert_eq!(hnsw.id(), "hnsw(max_connections=32, ef_construction=200, ef_search=400) of hashing 8");
    let other = Dense::new("mine", ExactIndex::new(9, &[1.0; 9]).unwrap(), &embedder);
    assert_eq!(
        refused(other),
        "a vector of the embedder has 8 values, but the index holds vectors of 9: embed both with one model"
    );
}

/// Gives a row too few.
struct Short;

impl Embedder for Short {
    fn dim(&self) -> usize {
        1
    }

    fn embed(&self, _: TextRole, texts: &[&str]) -> Result<Embeddings, ModelError> {
        Ok(Embeddings::new(1, vec![1.0; texts.len().saturating_sub(1)]).unwrap())
    }
}

#[test]
fn a_missing_row_does_not_shift_the_others() {
    let expected = "short: embedded 2 texts as 1 vectors";
    assert_eq!(refused(Dense::exact(&["one", "two"], Short, "short")), expected);
    let known = KnownEmbeddings::new("short", 1).unwrap().asking(Arc::new(Short)).unwrap();
    assert_eq!(
        known.embed(TextRole::Query, &["one", "two"]).unwrap_err().to_string(),
        "short: 2 texts came with 1 vectors"
    );
}

#[test]
fn each_text_is_embedded_once_per_role() {
    let inner = Arc::new(Noting::default());
    let known = KnownEmbeddings::new("noting", 2).unwrap().asking(inner.clone()).unwrap();
    known.embed(TextRole::Document, &["b", "a", "b", "c"]).unwrap();
    known.embed(TextRole::Document, &["c", "d"]).unwrap();
    known.embed(TextRole::Query, &["a"]).unwrap();
    assert_eq!(known.embed(TextRole::Document, &["a"]).unwrap().as_slice(), [1.0, 0.0]);
    let expected: [(TextRole, &[&str]); 3] =
        [(TextRole::Document, &["b", "a", "c"]), (TextRole::Document, &["d"]), (TextRole::Query, &["a"])];
    let expected = expected.map(|(role, texts)| (role, texts.iter().map(|text| text.to_string()).collect()));
    assert_eq!(*inner.asked.lock().unwrap(), expected);
    assert_eq!(known.len(), 5);
}

#[test]
fn what_is_remembered_needs_no_model() {
    let known = KnownEmbeddings::new("noting", 2).unwrap();
    let vectors = Embeddings::new(2, vec![1.0, 0.0, 0.0, 1.0]).unwrap();
    known.remember(TextRole::Query, &["a", "b"], &vectors).unwrap();
    assert_eq!(known.embed(TextRole::Query, &["b", "a", "b"]).unwrap().as_slice(), [0., 1., 1., 0., 0., 1.]);
    assert_eq!(
        known.embed(TextRole::Query, &["a", "c", "d"]).unwrap_err().to_string(),
        "request 1: 2 texts, this one first, were not embedded before, and noting is not at hand"
    );
    assert_eq!(
        refused(known.remember(TextRole::Query, &["a"], &vectors)),
        "noting: 1 texts came with 2 vectors"
    );
    let narrow = Embeddings::new(1, vec![1.0]).unwrap();
    assert_eq!(
        refused(known.remember(TextRole::Query, &["a"], &narrow)),
        "a vector to remember has 1 values, but the index holds vectors of 2: embed both with one model"
    );
    assert_eq!(
        refused(known.asking(Arc::new(Short))).split(',').next(),
        Some("a vector of the embedder has 1 values")
    );
}

#[test]
fn a_configuration_says_its_kind_and_nothing_unknown() {
    let read = |text: &str| toml::from_str::<RetrievalConfig>(text);
    let check = |text: &str, expected: RetrievalConfig| {
        assert_eq!(read(text).unwrap(), expected, "{text}");
        assert_eq!(read(&toml::to_string(&expected).unwrap()).unwrap(), expected, "{text}");
    };
    check("kind = \"exact\"", RetrievalConfig::default());
    check("kind = \"hnsw\"", RetrievalConfig::Hnsw(HnswConfig::default()));
    check(
        "kind = \"hnsw\"\nef_search = 50",
        RetrievalConfig::Hnsw(HnswConfig { ef_search: 50, ..HnswConfig::default() }),
    );
    check(
        "kind = \"bm25\"\nk1 = 0.9",
        RetrievalConfig::Bm25(Bm25Config { k1: 0.9, ..Bm25Config::default() }),
    );
    for wrong in [
        "",
        "kind = \"flat\"",
        "kind = \"exact\"\nef_search = 50",
        "kind = \"hnsw\"\nef = 50",
        "kind = \"bm25\"\nef_search = 50",
        "kind = \"hnsw\"\nef_search = -1",
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_configuration_is_checked_before_anything_is_embedded() {
    let noting = Arc::new(Noting::default());
    let check = |config: RetrievalConfig, expected: &str| {
        assert_eq!(refused(config.build(&["one"], Some((noting.clone(), "noting")))), expected);
    };
    check(
        RetrievalConfig::Hnsw(HnswConfig { ef_search: 0, ..HnswConfig::default() }),
        "ef_search is 0, but must be at least 1",
    );
    for k1 in [-1.0, f32::NAN, f32::INFINITY] {
        check(
            RetrievalConfig::Bm25(Bm25Config { k1, b: 0.5 }),
            &format!("k1 is {k1}, but must be a number of at least 0"),
        );
    }
    for b in [-0.1, 1.1, f32::NAN] {
        check(RetrievalConfig::Bm25(Bm25Config { k1: 1.0, b }), &format!("b is {b}, but must be 0 to 1"));
    }
    assert!(noting.asked.lock().unwrap().is_empty());

    let hnsw = RetrievalConfig::Hnsw(HnswConfig::default());
    let bm25 = RetrievalConfig::Bm25(Bm25Config::default());
    assert_eq!(
        refused(hnsw.build(&["one"], None)),
        "kind = \"hnsw\" compares embeddings, but no embedder was given: name one, or set kind = \"bm25\""
    );
    assert!(refused(RetrievalConfig::default().build(&["one"], None)).starts_with("kind = \"exact\""));
    assert!(bm25.build(&["one"], None).is_ok());
    assert!(hnsw.needs_embedder() && RetrievalConfig::default().needs_embedder() && !bm25.needs_embedder());
}
