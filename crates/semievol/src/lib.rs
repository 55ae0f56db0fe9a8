//! Semi-supervised fine-tuning of language models: an [`Experiment`] is a TOML file that says which model, which
//! rows, which task and which ways to answer are compared; [`Experiment::run`] compares them.
//!
//! Depend on this crate to run a comparison from Rust, or to reach all parts of semievol through one
//! dependency. At this stage two arms exist: the model as it is, and fine-tuned on the labelled rows.
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
//! | `seed-N/split.json` | ids of the rows drawn |
//! | `seed-N/predictions-ARM.jsonl` | [`Answered`], one a line |
//! | `seed-N/sft/` | the adapter in PEFT's layout, and `steps.jsonl` |
//! | `metrics.json` | [`Results`] |
//! | `table.md` | the same to read |

mod answer;
mod arm;
mod config;
pub mod engine;
mod error;
mod event;
mod files;
mod results;
mod run;
mod sets;

pub use answer::{Answered, OptionScore};
pub use arm::Arm;
pub use config::{ConfigError, DataConfig, Draw, ExperimentConfig, Override, Quick};
pub use error::RunError;
pub use event::{Event, Stage, Work};
pub use results::{ArmResults, ArmSummary, Gain, GainMethod, Results, SeedResults};
pub use run::{Experiment, Parts};
pub use sets::{ClassCount, SetSizes};

pub use semievol_candle as candle;
pub use semievol_core as core;
pub use semievol_data as data;
pub use semievol_eval as eval;
pub use semievol_hub as hub;
pub use semievol_model as model;
pub use semievol_train as train;
