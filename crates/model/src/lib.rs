//! Contracts of models, without an engine: [`LanguageModel`], [`Embedder`], [`ModelLoader`].
//!
//! Depend on this crate to write a backend (an engine in this process, a server, a recording), or code that
//! uses any backend. It knows no tensor library, no async runtime and no network.
//!
//! The decision that shaped it: results are *pushed* as they finish, in any order, each with the index of its
//! request, and the receiver may stop the run. So an answer is journalled when it arrives, and one over-long
//! prompt fails alone. The cost is a callback where a vector would read more easily; the provided methods
//! [`LanguageModel::generate`] and [`LanguageModel::score`] give that vector.
//!
//! ```
//! use std::ops::ControlFlow;
//! use semievol_core::{Prompt, Seed, TokenLogprob};
//! use semievol_model::*;
//!
//! /// Answers every prompt with the same word.
//! struct Parrot(ModelId);
//!
//! impl LanguageModel for Parrot {
//!     fn id(&self) -> &ModelId { &self.0 }
//!     fn capabilities(&self) -> Capabilities { Capabilities::default() }
//!     fn generate_each(&self, requests: &[GenerateRequest], on_done: OnDone<'_, Generation>) -> Result<(), ModelError> {
//!         for (index, request) in requests.iter().enumerate() {
//!             let said = request.check(index).map(|()| {
//!                 let text = &"hello"[..request.stop_in("hello").unwrap_or(5)];
//!                 Generation { text: text.into(), tokens: vec![], finish: Finish::Stop }
//!             });
//!             if on_done(index, said).is_break() { break }
//!         }
//!         Ok(())
//!     }
//!     fn score_each(&self, _: &[ScoreRequest], _: OnDone<'_, Vec<Vec<TokenLogprob>>>) -> Result<(), ModelError> {
//!         Err(ModelError::Unsupported { model: self.0.clone(), what: "scoring" })
//!     }
//! }
//!
//! let parrot = Parrot(ModelId::new("parrot"));
//! let answers = parrot.generate(&[GenerateRequest::new(Prompt::user("hi"), Seed(1))])?;
//! assert_eq!(answers[0].as_ref().unwrap().text, "hello");
//! // In a backend's tests: all that the trait promises.
//! semievol_testkit::contracts::language_model(&parrot);
//! # Ok::<(), ModelError>(())
//! ```

mod embedder;
mod error;
mod language_model;
mod loader;

pub use embedder::{Embedder, Embeddings, TextRole};
pub use error::ModelError;
pub use language_model::{
    Capabilities, Finish, GenerateRequest, Generation, LanguageModel, OnDone, ScoreRequest, Scores, Work,
};
pub use loader::{Adapter, ModelId, ModelLoader};

// Its types stand in signatures.
pub use semievol_core;
