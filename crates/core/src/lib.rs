//! Plain data of semi-supervised fine-tuning: [`Sample`], [`Prompt`], [`Answer`], [`Candidate`], [`Confidence`],
//! [`TokenLogprob`], [`Groups`], [`Seed`].
//!
//! Depend on this crate alone to exchange data with any part of semievol without pulling in an engine:
//! it holds no tensor, starts no thread, and touches no file but one that [`write_whole`] is asked to write.
//!
//! The decision that shaped it: a [`Sample`] has no field for its answer. What the labels know travels as a
//! [`Labeled`], so code that is handed unlabelled samples cannot read their gold answers even by mistake.
//! The cost: benchmarks that do know those answers keep them in a second structure (`semievol_eval::AnswerKey`).
//!
//! ```
//! use semievol_core::{Answer, Labeled, Sample, Seed};
//!
//! let sample = Sample::new("r1", "Is it good? A fine film.").with_options(["bad", "good"]);
//! let labeled = Labeled { sample, answer: Answer::Choice(1) };
//! assert_eq!(labeled.sample.options[1], "good");
//! // The same root, label and index give the same child, on every machine.
//! assert_eq!(Seed(7).child("shuffle", 0), Seed(7).child("shuffle", 0));
//! assert_ne!(Seed(7).child("shuffle", 0), Seed(7).child("shuffle", 1));
//! ```

mod bytes;
mod candidate;
mod groups;
mod prompt;
mod sample;
mod seed;

pub use bytes::{hex, write_whole, write_whole_with};
pub use candidate::{Candidate, Confidence, Scale};
pub use groups::Groups;
pub use prompt::{Message, Prompt, Role, TokenLogprob};
pub use sample::{Answer, Labeled, Sample};
pub use seed::Seed;
