//! The stages of semi-supervised fine-tuning (SemiEvol, arXiv 2410.14745) in their order, for one seed, in a run
//! folder that resumes.

mod ask;
mod collaborate;
mod error;
mod estimate;
mod event;
mod evolve;
pub mod files;
mod folder;
mod justify;
mod library;
mod method;
mod options;
mod seed_run;

pub use collaborate::Answers;
pub use error::PipelineError;
pub use estimate::Estimate;
pub use event::{OnEvent, Stage, StageEvent, Unit};
pub use evolve::{Evolved, Selected};
pub use folder::{Inputs, Shelf};
pub use justify::{Justified, Verdict};
pub use library::{Library, NeighbourRecord, PromptRecord};
pub use method::{CollaboratorConfig, EvolveConfig, EvolveOn, Method, MethodConfig, WarmConfig};
pub use options::OptionScore;
pub use seed_run::{Answered, Lesson, NamedEmbedder, Parts, SeedRun, Trained};
