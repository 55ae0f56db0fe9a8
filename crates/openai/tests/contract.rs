//! The contracts of language models and embedders, against a toy model behind each dialect; and against a real server where
//! `SEMIEVOL_TEST_SERVER` and `SEMIEVOL_TEST_EMBEDDINGS` name one.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod fake;

use fake::toy::{Dialect, serve};
use semievol_model::LanguageModel;
use semievol_openai::{ServedEmbedder, ServedModel, ServerConfig};
use semievol_testkit::contracts;

#[test]
fn a_llama_cpp_server_keeps_the_contract() {
    let server = serve(Dialect::LlamaCpp);
    let model = ServedModel::connect(&ServerConfig::new(&server.url)).unwrap();
    assert_eq!(model.id().as_str(), "toy on llama.cpp, 258 parameters in 1000 bytes");
    assert!(model.capabilities().scores && model.capabilities().max_context == fake::toy::CONTEXT);
    contracts::language_model(&model);
    let (requests, tokens) = model.spent();
    assert!(requests > 100 && tokens > requests);
}

#[test]
fn a_vllm_server_keeps_the_contract() {
    let server = serve(Dialect::Vllm);
    let model = ServedModel::connect(&ServerConfig::new(&server.url)).unwrap();
    assert_eq!(model.id().as_str(), "toy on vLLM");
    contracts::language_model(&model);
}

#[test]
fn embeddings_keep_the_contract() {
    let server = serve(Dialect::LlamaCpp);
    contracts::embedder(&ServedEmbedder::connect(&ServerConfig::new(&server.url)).unwrap());
}

#[test]
fn a_real_server_keeps_the_contract() {
    if let Ok(url) = std::env::var("SEMIEVOL_TEST_SERVER") {
        contracts::language_model(&ServedModel::connect(&ServerConfig::new(url)).unwrap());
    }
    if let Ok(url) = std::env::var("SEMIEVOL_TEST_EMBEDDINGS") {
        contracts::embedder(&ServedEmbedder::connect(&ServerConfig::new(url)).unwrap());
    }
}
