//! The in-process engine: Llama-family models that answer, score and train LoRA adapters on the CPU, and a
//! BERT embedder.
//!
//! Depend on this crate alone to fine-tune or run a small model from Rust, without Python and without a
//! server; the crates whose types stand in its signatures are re-exported. Build with `--release`, or give dependencies an
//! `opt-level` (`[profile.dev.package."*"]`): kernels that are not optimised are many times slower. [`CandleModel`]
//! implements `semievol_model::LanguageModel`, [`CandleTrainer`] `semievol_train::Trainer`, [`bert::BertEmbedder`]
//! `semievol_model::Embedder`.
//!
//! The decision that shaped it: the Llama core is written out, forward and backward, over packed `f32` rows
//! ([`Forest`]): no padding, whatever prompts share is computed once, and no gradient is made for a frozen
//! weight. candle reads the files, runs the embedder, serves as the oracle ([`plain`]) that tests hold the
//! core against, and runs the model on an [`Accelerator`]. The cost: a new kind of layer needs its backward pass written by hand.
//!
//! ```
//! use semievol_candle::semievol_core::{Prompt, Seed};
//! use semievol_candle::semievol_model::{GenerateRequest, LanguageModel, ModelLoader};
//! use semievol_candle::semievol_train::{Example, Recipe, TrainJob, Trainer};
//! use semievol_candle::{BaseModel, CandleTrainer, load_model};
//! use std::ops::ControlFlow;
//!
//! // A tiny random model; a GGUF file or any Llama folder in its place.
//! let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/tiny-llama");
//! let base = BaseModel::new(load_model(path.as_ref())?)?;
//! let question = Prompt::user("Capital of France?");
//! let examples = [Example::new(question.clone(), "Paris")];
//! let recipe = Recipe { rank: 4, lr: 0.02, max_steps: 40, ..Recipe::default() };
//! # let folder = tempfile::tempdir()?;
//! # let out = folder.path();
//! let job = TrainJob { examples: &examples, recipe: &recipe, seed: Seed(1), out, from: None };
//! let mut losses = Vec::new();
//! let adapter = CandleTrainer::new(base.clone()).train(&job, &mut |step| {
//!     losses.push(step.loss);
//!     ControlFlow::Continue(())
//! })?;
//! assert!(losses[39] < 0.1 * losses[0]);
//!
//! let tuned = base.load(Some(&adapter))?;
//! let greedy = GenerateRequest { temperature: 0.0, ..GenerateRequest::new(question, Seed(2)) };
//! assert_eq!(tuned.generate(&[greedy])?[0].as_ref().map(|said| said.text.as_str()).ok(), Some("Paris"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accelerator;
pub mod adapter;
mod backward;
pub mod bert;
mod cache;
mod config;
pub mod doctor;
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

pub use {candle_core, semievol_core, semievol_model, semievol_train};

pub use accelerator::Accelerator;
pub use backward::{Pass, Sequence};
pub use config::{Family, LlamaConfig, RopeScaling};
pub use error::EngineError;
pub use forest::Forest;
pub use kernels::panels::{Panels, Precision};
pub use llama::Llama;
pub use load::{LoadedModel, load_model, load_model_as};
pub use lora::{Lora, LoraLayout, LoraTensor, MODULES, Module};
pub use model::{BaseModel, CandleModel, Limits};
pub use tokenizer::{ChatTokenizer, EncodedResponse};
pub use trainer::{CandleTrainer, STEPS_FILE};
pub use weights::{BlockWeights, LlamaWeights};
