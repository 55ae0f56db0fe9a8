//! The in-process engine: Llama-family models that answer, score and train LoRA adapters on the CPU, and a
//! BERT embedder.
//!
//! Depend on this crate alone to fine-tune or run a small model from Rust, without Python and without a
//! server. [`CandleModel`] implements `semievol_model::LanguageModel`, [`CandleTrainer`] implements
//! `semievol_train::Trainer`, [`bert::BertEmbedder`] implements `semievol_model::Embedder`.
//!
//! The decision that shaped it: the Llama core is written out, forward and backward, over packed `f32` rows
//! ([`Forest`]): no padding, whatever prompts share is computed once, and no gradient is made for a frozen
//! weight. candle reads the files, runs the embedder, and serves as the oracle ([`plain`]) that tests hold the
//! core against. The cost: a new kind of layer needs its backward pass written by hand.
//!
//! ```no_run
//! use semievol_candle::{BaseModel, CandleTrainer, load_model};
//! use semievol_core::{Prompt, Seed};
//! use semievol_model::{GenerateRequest, LanguageModel, ModelLoader};
//! use semievol_train::{Example, Recipe, TrainJob, Trainer};
//! use std::ops::ControlFlow;
//!
//! let base = BaseModel::new(load_model("SmolLM2-135M-Instruct.gguf".as_ref())?)?;
//! let examples = [Example { prompt: Prompt::user("Capital of France?"), response: "Paris".into(), weight: 1.0 }];
//! let recipe = Recipe::default();
//! let job = TrainJob { examples: &examples, recipe: &recipe, seed: Seed(1), out: "adapter".as_ref() };
//! let adapter = CandleTrainer::new(base.clone()).train(&job, &mut |step| {
//!     println!("{} of {}: loss {:.3}", step.step + 1, step.total, step.loss);
//!     ControlFlow::Continue(())
//! })?;
//! let tuned = base.load(Some(&adapter))?;
//! let answers = tuned.generate(&[GenerateRequest::new(Prompt::user("Capital of France?"), Seed(2))])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod adapter;
mod backward;
pub mod bert;
mod cache;
mod config;
mod error;
pub mod export;
mod forest;
mod generate;
#[doc(hidden)] // for the benchmarks; no stable interface
pub mod kernels;
mod llama;
pub mod load;
mod lora;
mod model;
pub mod optim;
pub mod plain;
mod sampler;
mod template;
mod tensor_file;
mod tokenizer;
mod trainer;
mod weights;

pub use backward::{Pass, Sequence};
pub use config::LlamaConfig;
pub use error::EngineError;
pub use forest::Forest;
pub use llama::Llama;
pub use load::{LoadedModel, load_model};
pub use lora::{Lora, LoraLayout, LoraTensor, MODULES, Module};
pub use model::{BaseModel, CandleModel, Limits};
pub use tokenizer::{ChatTokenizer, EncodedResponse};
pub use trainer::{CandleTrainer, STEPS_FILE};
pub use weights::{BlockWeights, LlamaWeights};
