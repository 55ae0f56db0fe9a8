//! The model that a command uses: of a run's folder, or an adapter beside an experiment file.

use crate::machine::Machine;
use crate::screen::{Screen, say};
use anyhow::{Context, anyhow, bail};
use semievol::core::Sample;
use semievol::data::question_key;
use semievol::engine::Engine;
use semievol::hub::Hub;
use semievol::model::{Adapter, LanguageModel, ModelId, ModelLoader};
use semievol::{Arm, Experiment, FinishedRun, candle};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which model.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// The folder of a run (runs/NAME-DIGEST), or an experiment file.
    #[arg(value_name = "RUN or FILE.toml")]
    of: PathBuf,
    /// The arm whose model it is: `semievol`, `sft`, `vanilla` (the base model) or another of the run's; by default
    /// `semievol`, or `sft` where that was not run.
    #[arg(long, conflicts_with = "adapter")]
    arm: Option<String>,
    /// The seed whose model it is; the run's first by default.
    #[arg(long, conflicts_with = "adapter")]
    seed: Option<u64>,
    /// An adapter's folder in PEFT's layout, for the base model of the experiment file.
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
}

/// An experiment with its base model and the adapter that was asked for.
pub struct Trained {
    pub experiment: Experiment,
    pub engine: Engine,
    pub adapter: Option<Adapter>,
    pub arm: Arm,
    seed: u64,
    hub: Hub,
    /// Where its settings stand.
    settings: PathBuf,
}

impl Which {
    /// Opens and loads.
    pub fn open(&self) -> anyhow::Result<Trained> {
        let hub = self.machine.hub()?;
        let is_folder = self.of.is_dir();
        let run = is_folder.then(|| FinishedRun::open(&self.of)).transpose()?;
        let runs = |arm: &Arm| run.as_ref().is_none_or(|run| run.experiment().config().arms.contains(arm));
        let arm = match &self.arm {
            Some(name) => Arm::from(name.clone()),
            None if runs(&Arm::Semievol) => Arm::Semievol,
            None => Arm::Sft,
        };
        // Before the model is loaded: an arm that is not there is found at once.
        let of_run = match (&run, &self.adapter) {
            (Some(run), None) => run.adapter(self.seed, &arm)?,
            _ => None,
        };
        let experiment = match run {
            Some(run) => run.experiment().clone(),
            None if self.adapter.is_none() && arm != Arm::Vanilla => bail!(
                "{}: is no run's folder, so it has no trained model; name the folder that `semievol run` ended with, or give --adapter DIR or --arm vanilla",
                self.of.display()
            ),
            None => Experiment::read(&self.of)?,
        };
        let mut screen = Screen::new();
        let engine = Engine::open_base(&experiment, &hub, &mut |event| screen.on(event));
        screen.clear();
        let engine = engine?;
        let adapter = match &self.adapter {
            None => of_run,
            Some(folder) => Some(adapter_of(folder, &engine.base().id)?),
        };
        let seed = self.seed.unwrap_or(experiment.config().seeds[0]);
        let settings = if is_folder { self.of.join("config.toml") } else { self.of.clone() };
        Ok(Trained { experiment, engine, adapter, arm, seed, hub, settings })
    }
}

/// An adapter that was named; what it says of its base is held against the model.
fn adapter_of(folder: &Path, base: &ModelId) -> anyhow::Result<Adapter> {
    let place = || format!("--adapter {}", folder.display());
    let trained_on = candle::adapter::base(folder).with_context(place)?;
    // A name without a digest says no more than the name.
    let named = |other: &str| other.rsplit('/').next() == base.as_str().split('@').next();
    if let Some(other) = trained_on.filter(|other| other != base.as_str() && !named(other)) {
        say(&format!(
            "{}: was trained on {other}, and the model here is {base}; unless these are the same weights, its answers say little",
            place()
        ));
    }
    let digest = candle::adapter::digest(folder).with_context(place)?;
    Ok(Adapter { base: base.clone(), folder: folder.to_owned(), digest })
}

impl Trained {
    /// Says how many of these rows the model may have learnt, if it may; where the run's own rows cannot be had, that.
    pub fn known(&self, rows: &[Sample]) -> Option<String> {
        self.adapter.as_ref()?;
        let drawn = match self.experiment.draw(self.seed, &self.hub, &mut |_| ()) {
            Ok(drawn) => drawn,
            Err(error) => return Some(format!("whether rows were trained on cannot be said: {error}")),
        };
        // The oracle learnt the answers of the unlabelled ones, too.
        let gold = (self.arm == Arm::Oracle).then_some(drawn.unlabelled.iter()).into_iter().flatten();
        let labelled = drawn.labelled.iter().map(|one| &one.sample);
        let learnt: HashSet<String> = labelled.chain(gold).map(question_key).collect();
        let known = rows.iter().filter(|row| learnt.contains(&question_key(row))).count();
        (known > 0).then(|| {
            format!("{known} of {} rows were trained on: what follows says too much of the model", rows.len())
        })
    }

    /// An error of rows, with the place of the settings that it names: there is no flag for them here.
    pub fn about_settings(&self, error: &anyhow::Error) -> anyhow::Error {
        let error = crate::whole(error);
        match ["data.columns", "data.file.", "data.on_"].iter().any(|key| error.contains(key)) {
            true => anyhow!("{error}; these settings stand in {}", self.settings.display()),
            false => anyhow!("{error}"),
        }
    }

    /// The model with its adapter.
    pub fn model(&self) -> anyhow::Result<Arc<dyn LanguageModel>> {
        Ok(self.engine.base().load(self.adapter.as_ref())?)
    }
}
