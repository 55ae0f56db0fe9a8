//! Stored indexes: the same answers after loading, an error and never a panic for anything else.

#![cfg(feature = "hnsw")]
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use semievol_core::Seed;
use semievol_model::{Embedder, TextRole};
use semievol_retrieval::{
    Bm25, Bm25Config, ExactIndex, HnswConfig, HnswIndex, KnownEmbeddings, Query, RetrievalError, Retriever,
    VectorIndex,
};
use semievol_testkit::HashingEmbedder;
use std::fs;
use std::path::Path;
use std::sync::Arc;

const DIM: usize = 5;
const NARROW: HnswConfig = HnswConfig { max_connections: 4, ef_construction: 16, ef_search: 8 };
const TEXTS: [&str; 4] = ["a fine film", "a dull film", "", "Größe, größe"];

type Load = fn(&Path) -> Result<(), RetrievalError>;

fn values(n_rows: usize) -> Vec<f32> {
    (0..n_rows * DIM).map(|i| Seed(i as u64).uniform() as f32 - 0.5).collect()
}

fn known() -> KnownEmbeddings {
    let known =
        KnownEmbeddings::new("hashing", DIM).unwrap().asking(Arc::new(HashingEmbedder::new(DIM))).unwrap();
    known.embed(TextRole::Document, &TEXTS).unwrap();
    known.embed(TextRole::Query, &TEXTS[1..3]).unwrap();
    known
}

/// A file of each kind, and what reads it.
fn files(folder: &Path) -> Vec<(&'static str, Load)> {
    let path = |name: &str| folder.join(name);
    ExactIndex::new(DIM, &values(6)).unwrap().save(path("exact")).unwrap();
    HnswIndex::new(DIM, &values(10), NARROW).unwrap().save(path("hnsw")).unwrap();
    Bm25::new(&TEXTS, Bm25Config::default()).unwrap().save(path("bm25")).unwrap();
    known().save(path("known")).unwrap();
    vec![
        ("exact", |path| ExactIndex::load(path).map(drop)),
        ("hnsw", |path| HnswIndex::load(path).map(drop)),
        ("bm25", |path| Bm25::load(path).map(drop)),
        ("known", |path| KnownEmbeddings::load(path, "hashing").map(drop)),
    ]
}

fn is_file_error(result: &Result<(), RetrievalError>) -> bool {
    matches!(result, Err(RetrievalError::File { .. }))
}

#[test]
fn a_loaded_index_answers_as_the_saved_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let values = values(300);
    let same = |saved: &dyn VectorIndex, loaded: &dyn VectorIndex| {
        assert_eq!((saved.dim(), saved.len()), (loaded.dim(), loaded.len()));
        for query in values.chunks(DIM) {
            assert_eq!(saved.nearest(query, 5, Some(3)).unwrap(), loaded.nearest(query, 5, Some(3)).unwrap());
        }
    };
    for n_values in [0, DIM, values.len()] {
        let saved = ExactIndex::new(DIM, &values[..n_values]).unwrap();
        saved.save(&path).unwrap();
        same(&saved, &ExactIndex::load(&path).unwrap());
        let saved = HnswIndex::new(DIM, &values[..n_values], NARROW).unwrap();
        saved.save(&path).unwrap();
        let loaded = HnswIndex::load(&path).unwrap();
        assert_eq!(saved.settings(), loaded.settings());
        same(&saved, &loaded);
    }
    for texts in [&[][..], &TEXTS] {
        let saved = Bm25::new(texts, Bm25Config { k1: 0.9, b: 0.4 }).unwrap();
        saved.save(&path).unwrap();
        let loaded = Bm25::load(&path).unwrap();
        assert_eq!((saved.id(), saved.len()), (loaded.id(), loaded.len()));
        let queries = TEXTS.map(|text| Query { text, exclude: None });
        assert_eq!(saved.retrieve(&queries, 3).unwrap(), loaded.retrieve(&queries, 3).unwrap());
    }
}

#[test]
fn loaded_embeddings_are_those_that_were_saved() {
    let folder = tempfile::tempdir().unwrap();
    let (path, again) = (folder.path().join("known"), folder.path().join("again"));
    let saved = known();
    saved.save(&path).unwrap();
    let loaded = KnownEmbeddings::load(&path, "hashing").unwrap();
    assert_eq!((loaded.len(), loaded.dim()), (6, DIM));
    let of = |known: &KnownEmbeddings| known.embed(TextRole::Document, &TEXTS).unwrap();
    assert_eq!(of(&loaded), of(&saved));
    assert!(loaded.embed(TextRole::Query, &TEXTS[..1]).is_err(), "known as a document only");
    loaded.save(&again).unwrap();
    assert_eq!(fs::read(&path).unwrap(), fs::read(&again).unwrap());
    let error = KnownEmbeddings::load(&path, "another").unwrap_err().to_string();
    assert!(error.ends_with("known: holds vectors of hashing, not of another: use another file"), "{error}");
}

#[test]
fn every_truncation_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, load) in files(folder.path()) {
        let path = folder.path().join(name);
        let whole = fs::read(&path).unwrap();
        assert!(load(&path).is_ok(), "{name}");
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            let result = load(&path);
            assert!(is_file_error(&result), "{name}, {len} of {} bytes: {result:?}", whole.len());
        }
        fs::remove_file(&path).unwrap();
        assert!(is_file_error(&load(&path)), "{name} is gone");
    }
}

#[test]
fn no_changed_byte_makes_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    for (name, load) in files(folder.path()) {
        let path = folder.path().join(name);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            // One of these a byte: all of them take ten seconds.
            let byte = [whole[at] ^ 1, b'9', 0xff, whole[at] ^ 0x80, 0][at % 5];
            let mut changed = whole.clone();
            changed[at] = byte;
            fs::write(&path, &changed).unwrap();
            let result = load(&path);
            assert!(result.is_ok() || is_file_error(&result), "{name}, {byte} at {at}: {result:?}");
        }
    }
}

#[test]
fn a_file_of_another_kind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    for (name, load) in &files {
        for (other, _) in &files {
            let result = load(&folder.path().join(other));
            assert_eq!(is_file_error(&result), name != other, "{name} of {other}: {result:?}");
        }
    }
}

#[test]
fn what_no_index_would_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bm25");
    let check = |lengths: &str, occurrences: &str, expected: &str| {
        let config = r#"{"k1":1.2,"b":0.75}"#;
        let postings = format!(r#"{{"lengths":{lengths},"occurrences":{occurrences}}}"#);
        fs::write(&path, format!(r#"{{"format":"bm25 index 1","config":{config},"postings":{postings}}}"#))
            .unwrap();
        let error = Bm25::load(&path).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.ends_with(&format!("{expected}: build it again")), "{error:?}");
    };
    check("[1]", r#"{"a":[[1,1]]}"#, r#""a" occurs in row 1, which is none"#);
    check("[1,1]", r#"{"a":[[1,1],[0,1]]}"#, r#"the rows of "a" are not ascending"#);
    check("[1]", r#"{"a":[]}"#, r#"the rows of "a" are not ascending"#);
    check("[2]", r#"{"a":[[0,1]]}"#, "row 0 has 1 words, not 2");
    check("[0]", r#"{"a":[[0,0]]}"#, r#""a" occurs 0 times in row 0"#);
    let huge = usize::MAX;
    check("[0]", &format!(r#"{{"a":[[0,{huge}]],"b":[[0,1]]}}"#), r#""b" occurs 1 times in row 0"#);
}

#[test]
fn a_failed_write_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent").join("index");
    let error = ExactIndex::new(1, &[1.0]).unwrap().save(&path).unwrap_err();
    assert!(error.to_string().contains(&format!("{}: cannot be written", path.display())), "{error}");
}
