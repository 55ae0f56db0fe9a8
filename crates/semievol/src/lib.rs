//! Semi-supervised fine-tuning of language models: an [`Experiment`] is a TOML file that says which model, which
//! rows, which task and which ways to answer are compared; [`Experiment::run`] compares them.
//!
//! Depend on this crate to run a comparison from Rust, or to reach all parts of semievol through one
//! dependency.
//!
//! The decision that shaped it: the run sees traits ([`Parts`]) and reports events ([`Event`]); it prints
//! nothing and reads no clock. So the same run serves a terminal, a test with doubles and a notebook, and what
//! it writes depends on the configuration alone. The cost: who wants times has to measure between events.
//!
//! ```
//! use semievol::engine::Engine;
//! use semievol::hub::{Hub, HubConfig};
//! use semievol::ExperimentConfig;
//!
//! # let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures");
//! # let folder = tempfile::tempdir()?;
//! let text = r#"
//!     name = "remarks"
//!     model = "tiny-llama"
//!
//!     arms = ["vanilla", "sft"]
//!
//!     [data]
//!     labelled = "labeled.csv"
//!     test = "test.csv"
//!
//!     [train]
//!     max_steps = 2
//! "#;
//! # let text = text.replace("tiny-llama", &format!("{fixtures}/tiny-llama")); let text = text.as_str();
//! let file = "remarks.toml".as_ref();
//! let experiment = ExperimentConfig::parse(text, file)?.with_data_root(format!("{fixtures}/minitask")).check(file)?;
//! let hub = Hub::new(HubConfig::new(folder.path().join("cache")));
//! let engine = Engine::open(&experiment, &hub, &mut |_| ())?;
//! let mut on_event = |event: &_| println!("{event:?}");
//! let results = experiment.run(&hub, engine.parts(), &mut on_event, &folder.path().join("runs"))?;
//! println!("{}", results.table());
//! assert!(results.folder.join("metrics.json").is_file());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The folder of an experiment holds
//!
//! | file | content |
//! |---|---|
//! | `config.toml` | the configuration with everything said; runs again as it is |
//! | `manifest.json` | configuration, digests of models and data, parts, seeds, version |
//! | `seed-N/split.json` | ids of the rows drawn |
//! | `seed-N/prompts.jsonl` | each unlabelled row's neighbours and prompt |
//! | `seed-N/candidates.jsonl` | each collaborator's answer |
//! | `seed-N/justified.jsonl` | the final answers, and who decided |
//! | `seed-N/confidence.jsonl` | how sure |
//! | `seed-N/selection.jsonl` | kept or dropped, and why |
//! | `seed-N/warm/`, `evolved/`, `sft/`, `sft_matched/` | adapters in PEFT's layout, each with `steps.jsonl` |
//! | `seed-N/adapters.json` | which arm's model is which adapter: what [`FinishedRun`] reads |
//! | `seed-N/to-label.csv` | the unlabelled rows (1,000 at most) that a label would tell most about |
//! | `seed-N/METHOD/` | the same files of a method of its own (`methods.METHOD`) |
//! | `seed-N/predictions-ARM.jsonl` | [`Answered`], one a line |
//! | `seed-N/stages/` | manifests of finished stages, journals of unfinished ones |
//! | `seed-N/*-part-K.*` | the same for a part of the unlabelled rows, where there are more than [`pipeline::SeedRun::PART`] |
//! | `metrics.json` | [`Results`] |
//! | `table.md`, `report.html` | the same to read |

mod arm;
mod arms;
mod asked;
mod assembly;
mod certified;
mod check;
mod config;
pub mod engine;
mod error;
mod event;
mod experiment;
mod finished;
mod heard;
mod hold_out;
mod identity;
mod lock;
mod page;
mod predictor;
mod preview;
mod pseudo;
mod results;
mod run;
mod seed;
mod sets;
mod to_label;
mod worth;

pub use arm::Arm;
pub use arms::Cost;
pub use certified::CertifiedResults;
pub use config::{ConfigError, DataConfig, Draw, EngineConfig, ExperimentConfig, Override, Quick, preset};
pub use error::RunError;
pub use event::Event;
pub use experiment::Experiment;
pub use finished::FinishedRun;
pub use heard::{CollaboratorResults, ConfidenceResults};
pub use hold_out::n_held_out;
pub use page::written;
pub use predictor::{Predicted, Predictor};
pub use preview::ArmWork;
pub use pseudo::{PseudoResults, RightOf};
pub use results::{Against, ArmResults, ArmSummary, Gain, GainMethod, Results, SeedResults};
pub use semievol_pipeline::{Answered, Method, OptionScore, Parts, Stage, StageEvent, Unit};
pub use sets::{ClassCount, SetSizes, Sets, Unlabelled};
pub use worth::{WorthOfMore, WorthResults};

pub use semievol_candle as candle;
pub use semievol_confidence as confidence;
pub use semievol_core as core;
pub use semievol_data as data;
pub use semievol_eval as eval;
pub use semievol_handoff as handoff;
pub use semievol_hub as hub;
pub use semievol_model as model;
pub use semievol_openai as openai;
pub use semievol_pipeline as pipeline;
pub use semievol_report as report;
pub use semievol_retrieval as retrieval;
pub use semievol_select as select;
pub use semievol_train as train;
// What overrides are read from.
pub use toml;
