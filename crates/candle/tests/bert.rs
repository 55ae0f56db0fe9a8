//! The BERT embedder, on all-MiniLM-L6-v2.
//!
//! Skipped where the model is not at hand.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::{at_hand, fixture};
use semievol_candle::bert::BertEmbedder;
use semievol_model::{Embedder, Embeddings, TextRole};

fn minilm() -> Option<BertEmbedder> {
    Some(BertEmbedder::load(&at_hand("SEMIEVOL_MINILM", "minilm")?).unwrap())
}

fn texts() -> Vec<String> {
    let mut texts: Vec<String> =
        (0..60).map(|i| "The tide turned again. ".repeat(i % 13 + 1) + &i.to_string()).collect();
    texts.extend([String::new(), " ".to_owned(), "word ".repeat(2000)]);
    texts
}

fn embed(embedder: &BertEmbedder, texts: &[&str]) -> Embeddings {
    embedder.embed(TextRole::Document, texts).unwrap()
}

#[test]
fn vectors_do_not_depend_on_the_batch() {
    let Some(embedder) = minilm() else { return };
    let texts = texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let together = embed(&embedder, &texts);
    assert_eq!((together.len(), together.dim()), (texts.len(), 384));
    for (i, text) in texts.iter().enumerate() {
        let alone = embed(&embedder, &[text]);
        let worst = alone.row(0).iter().zip(together.row(i)).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(worst < 1e-5, "text {i}: {worst}");
        let norm: f32 = alone.row(0).iter().map(|v| v * v).sum();
        assert!((norm - 1.0).abs() < 1e-5, "text {i}: {norm}");
    }
}

#[test]
fn like_texts_have_like_vectors() {
    let Some(embedder) = minilm() else { return };
    let vectors = embed(&embedder, &["A dog runs.", "The puppy is running.", "Interest rates fell."]);
    let cosine = |a, b| vectors.row(a).iter().zip(vectors.row(b)).map(|(x, y)| x * y).sum::<f32>();
    assert!(cosine(0, 1) > 0.5, "{}", cosine(0, 1));
    assert!(cosine(0, 2) < 0.2, "{}", cosine(0, 2));
}

#[test]
fn no_text_gives_no_row() {
    let Some(embedder) = minilm() else { return };
    assert!(embed(&embedder, &[]).is_empty());
}

#[test]
fn a_folder_that_is_no_bert_is_told_so() {
    let folder = fixture("tiny-llama");
    let error = BertEmbedder::load(&folder).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("config.json"), "{error}");
}
