//! Doubles of the contracts, and one suite per contract that every implementation runs.
//!
//! Depend on this crate in tests: [`ScriptedModel`], [`HashingEmbedder`] and [`HashingTrainer`] stand in for
//! engines in milliseconds and without files of weights; [`contracts`] holds a real engine to what the traits
//! promise.
//!
//! The decision that shaped it: a suite sees nothing but the trait. So the same lines judge an engine in this
//! process, a server and a double, and the doubles pass their own suites, which keeps them honest. The cost:
//! a suite can only try what every implementation can do in seconds. It says nothing about whether the
//! probabilities are those of the model; that takes golden files beside each engine.
//!
//! ```
//! use semievol_core::{Prompt, Seed};
//! use semievol_model::{GenerateRequest, LanguageModel, ScoreRequest};
//! use semievol_testkit::{ScriptedModel, contracts};
//!
//! let model = ScriptedModel::with_replies("critic", [("A fine film.", "good")])
//!     .scoring(|_, option| if option == "good" { -0.1 } else { -2.4 });
//! let answer = model.generate(&[GenerateRequest::new(Prompt::user("A fine film."), Seed(1))])?;
//! assert_eq!(answer[0].as_ref().unwrap().text, "good");
//!
//! let asked = ScoreRequest { prompt: Prompt::user("?"), continuations: vec!["good".into(), "bad".into()] };
//! let scores = model.score(&[asked])?.remove(0)?;
//! let total = |option: usize| scores[option].iter().map(|token| token.logprob).sum::<f32>();
//! assert!(total(0) > total(1));
//!
//! contracts::language_model(&ScriptedModel::babbler("any engine in your tests"));
//! # Ok::<(), semievol_model::ModelError>(())
//! ```

pub mod contracts;
mod hashing_embedder;
mod hashing_trainer;
mod scripted_model;

pub use hashing_embedder::HashingEmbedder;
pub use hashing_trainer::HashingTrainer;
pub use scripted_model::ScriptedModel;

// Their types stand in signatures.
pub use {
    semievol_confidence, semievol_core, semievol_data, semievol_model, semievol_retrieval, semievol_select,
    semievol_train,
};

pub mod served;

use sha2::{Digest, Sha256};

/// The first eight bytes of the SHA-256 of the parts, each with its length.
fn hash(parts: &[&str]) -> u64 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let digest = hasher.finalize();
    digest[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
