//! Models and embedders behind any server that speaks the OpenAI protocol: llama.cpp, vLLM, SGLang, hosted ones.
//!
//! Depend on this crate to put a served model where [`LanguageModel`](semievol_model::LanguageModel) or
//! [`Embedder`](semievol_model::Embedder) is asked for. [`ServerConfig`] says where it is;
//! [`ServedModel::connect`] finds out what it can. [`BatchFiles`] is for servers that take files of requests.
//!
//! The decision that shaped it: whoever talks to a server must not lose, repeat or overpay anything. Every answer is passed on
//! when it arrives, so that the caller can keep it; failures that pass are tried again, after the wait that the server asks
//! for; as many requests are under way as the server bears; a budget ends a run before it costs too much. A key comes from
//! the environment, goes to the configured host alone and stands in no message. The contract outside is synchronous; inside
//! one thread of an asynchronous runtime holds all requests.
//!
//! ```no_run
//! use semievol_core::{Prompt, Seed};
//! use semievol_model::{GenerateRequest, LanguageModel};
//! use semievol_openai::{ServedModel, ServerConfig};
//!
//! let model = ServedModel::connect(&ServerConfig::new("http://127.0.0.1:8080/v1"))?;
//! let answers = model.generate(&[GenerateRequest::new(Prompt::user("Name a colour."), Seed(1))])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batch;
mod client;
mod config;
mod dialect;
mod embed;
mod error;
mod generate;
mod key;
mod limit;
mod model;
mod retry;
mod score;
mod tokens;
mod wire;

pub use batch::{BatchConfig, BatchFiles};
pub use config::{Budget, LoraScale, Price, Scoring, ServerConfig};
pub use embed::ServedEmbedder;
pub use error::ServerError;
pub use model::ServedModel;

// Their types stand in signatures.
pub use {semievol_core, semievol_model};
