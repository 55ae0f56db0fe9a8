//! The BERT embedder, on the tiny random BERT, whose vectors by Transformers are recorded in the fixtures, and
//! on all-MiniLM-L6-v2 where it is at hand.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use common::{arrays, at_hand, fixture, json};
use semievol_candle::bert::BertEmbedder;
use semievol_model::{Embedder, Embeddings, TextRole};
use semievol_testkit::contracts;

fn tiny() -> BertEmbedder {
    BertEmbedder::load(&fixture("tiny-bert")).unwrap()
}

fn minilm() -> Option<BertEmbedder> {
    Some(BertEmbedder::load(&at_hand("SEMIEVOL_MINILM", "minilm")?).unwrap())
}

fn texts(count: usize) -> Vec<String> {
    let mut texts: Vec<String> =
        (0..count).map(|i| "The tide turned again. ".repeat(i % 13 + 1) + &i.to_string()).collect();
    texts.extend([String::new(), " ".to_owned(), "word ".repeat(2000)]);
    texts
}

fn embed(embedder: &BertEmbedder, texts: &[&str]) -> Embeddings {
    embedder.embed(TextRole::Document, texts).unwrap()
}

/// Largest difference of a component.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn vectors_agree_with_transformers() {
    let reference = json(&fixture("tiny-bert/reference.json"));
    let texts: Vec<&str> =
        reference["texts"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    let expected = &arrays(&fixture("tiny-bert/reference.safetensors"))["vectors"];
    let found = embed(&tiny(), &texts);
    assert_eq!((found.len(), found.dim(), expected.len()), (8, 32, 8 * 32));
    for (i, expected) in expected.chunks_exact(32).enumerate() {
        let worst = distance(found.row(i), expected);
        assert!(worst < 1e-5, "{:?}: {worst}", texts[i]);
    }
}

#[test]
fn the_contract_is_kept() {
    contracts::embedder(&tiny());
    if let Some(minilm) = minilm() {
        contracts::embedder(&minilm);
    }
}

fn check_batches(embedder: &BertEmbedder, texts: &[String], dim: usize) {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let together = embed(embedder, &texts);
    assert_eq!((together.len(), together.dim()), (texts.len(), dim));
    for (i, text) in texts.iter().enumerate() {
        let alone = embed(embedder, &[text]);
        let worst = distance(alone.row(0), together.row(i));
        assert!(worst < 1e-5, "text {i}: {worst}");
        let norm: f32 = alone.row(0).iter().map(|v| v * v).sum();
        assert!((norm - 1.0).abs() < 1e-5, "text {i}: {norm}");
    }
}

#[test]
fn vectors_do_not_depend_on_the_batch() {
    // Of at most 32 tokens each: enough texts for more than one batch.
    check_batches(&tiny(), &texts(300), 32);
    if let Some(minilm) = minilm() {
        check_batches(&minilm, &texts(60), 384);
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
    assert!(embed(&tiny(), &[]).is_empty());
    if let Some(minilm) = minilm() {
        assert!(embed(&minilm, &[]).is_empty());
    }
}

#[test]
fn a_folder_that_is_no_bert_is_told_so() {
    let folder = fixture("tiny-llama");
    let error = BertEmbedder::load(&folder).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("config.json"), "{error}");
}

/// A module that is not computed would change every vector, in silence.
#[test]
fn what_a_folder_asks_for_and_is_not_computed_is_refused() {
    let module = |kind: &str| format!(r#"[{{"idx": 0, "type": "sentence_transformers.models.{kind}"}}]"#);
    for (file, content, expected) in [
        ("modules.json", module("Normalize"), None),
        ("modules.json", module("Dense"), Some("lists sentence_transformers.models.Dense")),
        ("config_sentence_transformers.json", r#"{"default_prompt_name": null}"#.into(), None),
        (
            "config_sentence_transformers.json",
            r#"{"default_prompt_name": "query"}"#.into(),
            Some("the prompt `query`"),
        ),
        ("1_Pooling/config.json", r#"{"pooling_mode_mean_tokens": true}"#.into(), None),
        (
            "1_Pooling/config.json",
            r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#.into(),
            Some("sets pooling_mode_cls_token"),
        ),
        ("1_Pooling/config.json", r#"{"pooling_mode": "mean"}"#.into(), None),
        ("1_Pooling/config.json", r#"{"pooling_mode": ["mean"]}"#.into(), None),
        ("1_Pooling/config.json", r#"{"pooling_mode": "cls"}"#.into(), Some("pooling_mode is \"cls\"")),
        ("sentence_bert_config.json", r#"{"do_lower_case": true}"#.into(), Some("do_lower_case is true")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for name in ["config.json", "model.safetensors", "tokenizer.json", "sentence_bert_config.json"] {
            std::fs::copy(fixture("tiny-bert").join(name), folder.path().join(name)).unwrap();
        }
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        let error = BertEmbedder::load(folder.path()).err().map(|error| error.to_string());
        match (expected, &error) {
            (None, None) => {}
            (Some(expected), Some(error)) if error.contains(expected) => {}
            _ => panic!("{file}: {error:?}"),
        }
    }
}

/// sentence-transformers leaves it to the tokenizer from its sixth version on.
#[test]
fn texts_are_cut_where_the_tokenizer_says_if_nothing_else_does() {
    let load = |sentence: &str, tokenizer: &str| {
        let folder = tempfile::tempdir().unwrap();
        for name in ["config.json", "model.safetensors", "tokenizer.json"] {
            std::fs::copy(fixture("tiny-bert").join(name), folder.path().join(name)).unwrap();
        }
        for (name, text) in [("sentence_bert_config.json", sentence), ("tokenizer_config.json", tokenizer)] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        BertEmbedder::load(folder.path()).unwrap()
    };
    let long: String = (0..40).map(|row| format!("word {row} ")).collect();
    let of = |embedder: &BertEmbedder| embed(embedder, &[&long]).row(0).to_vec();
    let (short, whole) =
        (r#"{"model_max_length": 6}"#, r#"{"model_max_length": 1000000000000000019884624838656}"#);
    let by_tokenizer = load("{}", short);
    assert_eq!(of(&by_tokenizer), of(&load(r#"{"max_seq_length": 6}"#, whole)));
    assert_ne!(of(&by_tokenizer), of(&load("{}", whole)));
    assert_eq!(of(&load(r#"{"max_seq_length": 8}"#, short)), of(&load(r#"{"max_seq_length": 8}"#, whole)));
}
