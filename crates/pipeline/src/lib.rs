//! The stages of semi-supervised fine-tuning (SemiEvol, arXiv 2410.14745) in their order, for one seed, in a run
//! folder that resumes.
//!
//! Depend on this crate to run the method with engines, tasks and parts of your own: it knows contracts alone.
//! [`SeedRun::evolve`] is the method; [`SeedRun::train`] and [`SeedRun::answer`] are the two stages that every
//! baseline needs as well.
//!
//! The decision that shaped it: a stage is known by its content. Its key is the digest of everything that its
//! result depends on, so a killed run goes on, a changed one computes what changed, and runs with something in
//! common share it ([`Shelf`]). The cost: every part has to say, in its id, all that changes what it does.
//!
//! ```
//! use semievol_core::{Answer, Labeled, Sample, Seed};
//! use semievol_data::ClosedSet;
//! use semievol_model::{Adapter, LanguageModel, ModelError, ModelId, ModelLoader};
//! use semievol_pipeline::{MethodConfig, Parts, SeedRun, Shelf};
//! use semievol_testkit::{HashingTrainer, ScriptedModel};
//! use semievol_train::Recipe;
//! use std::sync::Arc;
//!
//! /// Gives the same double with and without an adapter.
//! struct Doubles(Arc<ScriptedModel>);
//! impl ModelLoader for Doubles {
//!     fn load(&self, _: Option<&Adapter>) -> Result<Arc<dyn LanguageModel>, ModelError> {
//!         Ok(self.0.clone())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let method: MethodConfig = toml::from_str(r#"
//!     neighbours = 2
//!     retrieval = { kind = "bm25" }
//!     warm = { shots = 0 }
//!     collaborators = [
//!         { kind = "language_model", name = "warm", shots = 0 },
//!         { kind = "language_model", name = "base", model = "base", shots = 2 },
//!     ]
//!     justify = { kind = "self_justify" }
//!     confidence = { kind = "mean_nll" }
//!     select = { kind = "percentile", theta = 50 }
//!     evolve = { label_share = 0.25 }
//! "#)?;
//! let sample = |id: usize| Sample::new(id.to_string(), format!("Film {id}?")).with_options(["bad", "good"]);
//! let labelled: Vec<Labeled> =
//!     (0..4).map(|id| Labeled { sample: sample(id), answer: Answer::Choice(id % 2) }).collect();
//! let unlabelled: Vec<Sample> = (4..20).map(sample).collect();
//!
//! # let folder = tempfile::tempdir()?;
//! # let out = folder.path();
//! let doubles = Doubles(Arc::new(ScriptedModel::babbler("double")));
//! let trainer = HashingTrainer::new(ModelId::new("double"));
//! let run = SeedRun {
//!     parts: Parts::new(&doubles, &trainer),
//!     task: &ClosedSet::default(),
//!     task_id: "letters",
//!     paraphrases: &[],
//!     base: doubles.load(None)?,
//!     recipe: &Recipe::default(),
//!     max_answer_tokens: 16,
//!     seed: Seed(1),
//!     folder: out.join("run/seed-1"),
//!     shelf: &Shelf::of(out),
//!     part: SeedRun::PART,
//! };
//! let evolved = run.evolve(&method.build()?, &labelled, &unlabelled, &[], &mut |_| ())?;
//! assert_eq!(evolved.selected.iter().filter(|label| label.accepted).count(), 8);
//! assert!(run.folder.join("selection.jsonl").is_file());
//! # Ok(()) }
//! ```

mod answered;
mod answers;
mod ask;
mod classify;
mod collaborate;
mod combine;
mod curves;
mod embed;
mod error;
mod estimate;
mod event;
mod evolve;
pub mod files;
mod folder;
mod folds;
mod justify;
mod labels;
mod library;
mod method;
mod parts;
mod plan;
mod pretrain;
mod probe;
mod round;
mod seed_run;
mod train;
mod tune;
mod work;

pub use answered::Answered;
pub use answers::KeptAnswers;
pub use collaborate::Answers;
pub use combine::CombineConfig;
pub use curves::Curves;
pub use error::PipelineError;
pub use estimate::{Estimate, judged_again};
pub use event::{OnEvent, Stage, StageEvent, Unit};
pub use evolve::{Evolved, RoundResult, Selected};
pub use folder::{Inputs, Shelf};
pub use justify::{Justified, Verdict};
pub use library::{Library, NeighbourRecord, PromptRecord};
pub use method::{
    CollaboratorConfig, EvolveConfig, EvolveOn, Method, MethodConfig, OWN_MODELS, RoundsConfig, Targets,
    WarmConfig,
};
pub use parts::{NamedEmbedder, Parts};
pub use plan::check_classifier;
pub use pretrain::PretrainConfig;
pub use seed_run::SeedRun;
pub use semievol_select::options::OptionScore;
pub use train::{Lesson, Start, Trained};
pub use tune::{HeldOut, Tried, TriedSelector, TriedSelectors, TuneConfig};
pub use work::MethodWork;

// Their types stand in signatures.
pub use {
    semievol_confidence, semievol_core, semievol_data, semievol_model, semievol_retrieval, semievol_select,
    semievol_train,
};
