//! The contracts of language models and embedders, against a toy model behind each dialect; and against a real server where
//! `SEMIEVOL_TEST_SERVER` and `SEMIEVOL_TEST_EMBEDDINGS` name one.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use semievol_core::{Prompt, Seed};
use semievol_model::{GenerateRequest, LanguageModel, ScoreRequest};
use semievol_openai::{LoraScale, ServedEmbedder, ServedModel, ServerConfig};
use semievol_testkit::contracts;
use semievol_testkit::served::toy::{self, Dialect, serve};
use semievol_testkit::served::{Reply, Server, said};
use serde_json::json;

#[test]
fn a_llama_cpp_server_keeps_the_contract() {
    let server = serve(Dialect::LlamaCpp);
    let model = ServedModel::connect(&ServerConfig::new(&server.url)).unwrap();
    assert_eq!(model.id().as_str(), "toy on llama.cpp, 258 parameters in 1000 bytes");
    assert!(model.capabilities().scores && model.capabilities().max_context == toy::CONTEXT);
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
fn an_adapter_is_named_in_every_request() {
    let server = Server::start(|request| {
        let answers = request.path == "/v1/completions";
        let lora = &request.body["lora"];
        assert!(!answers || *lora == json!([{"id": 1, "scale": 0.5}]), "{}", request.body);
        toy::answer(Dialect::LlamaCpp, request)
    });
    let config =
        ServerConfig { lora: vec![LoraScale { id: 1, scale: 0.5 }], ..ServerConfig::new(&server.url) };
    let model = ServedModel::connect(&config).unwrap();
    assert!(model.id().as_str().ends_with(", lora 1 x 0.5"), "{}", model.id());
    let prompt = Prompt::user("Is it good?");
    let score = ScoreRequest { prompt: prompt.clone(), continuations: vec![" a".into()] };
    assert!(model.score(&[score]).unwrap()[0].is_ok());
    assert!(model.generate(&[GenerateRequest::new(prompt, Seed(1))]).unwrap()[0].is_ok());
}

#[test]
fn small_seeds_differ() {
    let server = serve(Dialect::LlamaCpp);
    let model = ServedModel::connect(&ServerConfig::new(&server.url)).unwrap();
    let request = |seed| GenerateRequest::new(Prompt::user("Say something."), Seed(seed));
    let answers = model.generate(&[request(1), request(2)]).unwrap();
    let texts: Vec<&str> = answers.iter().map(|answer| answer.as_ref().unwrap().text.as_str()).collect();
    assert_ne!(texts[0], texts[1]);
}

#[test]
fn a_gateway_that_lets_nothing_but_the_protocol_through_gets_chats() {
    let server = Server::start(|request| match request.path.as_str() {
        "/v1/models" => toy::answer(Dialect::Vllm, request),
        "/v1/chat/completions" => Reply::Json(said("yes")),
        _ => Reply::Status(404, Vec::new(), "not here".into()),
    });
    let model = ServedModel::connect(&ServerConfig::new(&server.url)).unwrap();
    assert!(!model.capabilities().scores);
    let request = GenerateRequest::new(Prompt::user("Yes?"), Seed(1));
    assert_eq!(model.generate(&[request]).unwrap()[0].as_ref().unwrap().text, "yes");
}

#[test]
fn a_real_server_keeps_the_contract() {
    let named = |variable| {
        let url = std::env::var(variable).ok();
        url.or_else(|| {
            eprintln!("skipped: {variable} names no server");
            None
        })
    };
    if let Some(url) = named("SEMIEVOL_TEST_SERVER") {
        contracts::language_model(&ServedModel::connect(&ServerConfig::new(url)).unwrap());
    }
    if let Some(url) = named("SEMIEVOL_TEST_EMBEDDINGS") {
        contracts::embedder(&ServedEmbedder::connect(&ServerConfig::new(url)).unwrap());
    }
}
