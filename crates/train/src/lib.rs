//! The contract of fine-tuning: a [`Recipe`], [`Example`]s, a [`Trainer`] that makes an [`Adapter`] of them.
//!
//! Depend on this crate to write a trainer (in this process, a command on another machine), or to use one; what stands in
//! its signatures is re-exported.
//!
//! The decision that shaped it: a trainer hands back files in PEFT's layout, never an object of its engine.
//! The cost is a write and a read of a few megabytes; what it buys is that every trainer is interchangeable
//! and every adapter usable elsewhere.
//!
//! ```
//! use semievol_train::{Recipe, Schedule};
//!
//! let recipe = Recipe { epochs: 4, batch_size: 8, ..Recipe::default() };
//! let steps = recipe.total_steps(100);
//! assert_eq!(steps, 52); // 13 batches of up to 8, 4 times
//! let schedule = Schedule::new(&recipe, steps);
//! assert!(schedule.lr(0) < recipe.lr && schedule.lr(steps - 1) < 0.01 * recipe.lr);
//! ```
//!
//! A trainer of one's own refuses what [`TrainJob::check`] refuses, reports its steps and leaves PEFT's two files;
//! `semievol_testkit::HashingTrainer` is a short one that is whole, and `semievol_testkit::contracts::trainer` holds any to
//! what the trait promises.

mod recipe;
mod schedule;
mod trainer;

pub use recipe::{MOST_EPOCHS, Recipe, RecipeError};
pub use schedule::Schedule;
pub use semievol_core::{Prompt, Seed};
pub use semievol_model::{Adapter, ModelError, ModelId};
pub use trainer::{Example, Step, TrainError, TrainJob, Trainer};

// Their types stand in signatures.
pub use {semievol_core, semievol_model};
