//! What an experiment would do: its rows, and how much work they are.

use crate::sets::Pool;
use crate::{Arm, Event, Experiment, RunError, SetSizes};
use semievol_core::{Labeled, Sample};
use semievol_data::OverlapReport;
use semievol_hub::Hub;

/// The rows of a seed. What the test and unlabelled rows' answers are is not among it.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// Rows that train with their answers.
    pub labelled: Vec<Labeled>,
    /// Rows that train without.
    pub unlabelled: Vec<Sample>,
    /// Rows that test.
    pub test: Vec<Sample>,
    /// How many there are, by set and class.
    pub sizes: SetSizes,
    /// Rows that stand twice.
    pub overlap: OverlapReport,
}

/// What an arm computes at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArmWork {
    /// The arm.
    pub arm: Arm,
    /// Optimiser steps.
    pub steps: usize,
    /// Prompts that are answered or scored, the test rows included.
    pub prompts: usize,
}

impl Experiment {
    /// The rows that a seed draws: those of the run.
    ///
    /// # Errors
    /// If a file cannot be fetched or understood, or has too few rows.
    pub fn draw(&self, seed: u64, hub: &Hub, events: &mut dyn FnMut(&Event)) -> Result<Drawn, RunError> {
        let pool = Pool::read(self.config(), self.origin(), hub, events)?;
        let sets = pool.draw(seed)?;
        let overlap = sets.overlap();
        let (labelled, unlabelled, test, sizes) = (sets.labelled, sets.unlabelled, sets.test, sets.sizes);
        Ok(Drawn { labelled, unlabelled, test, sizes, overlap })
    }

    /// The work of one seed, arm by arm: an upper limit. What two arms share, such as the model trained on the labels, is
    /// counted with the first.
    pub fn work(&self, sizes: &SetSizes) -> Vec<ArmWork> {
        let (config, sets) = (self.config(), sizes);
        let sft = config.train.total_steps(sets.labelled);
        let method = |arm: &Arm| match arm {
            Arm::Variant(name) => config.methods.get(name).unwrap_or(&config.method),
            _ => &config.method,
        };
        let evolved = |arm: &Arm| {
            let all = method(arm).work(&config.train, sets.labelled, sets.unlabelled);
            let without = method(arm).work(&config.train, sets.labelled, 0);
            all.steps - without.steps.min(all.steps) + sft
        };
        let semi = config.arms.iter().filter(|arm| arm.is_semi_supervised());
        let longest = semi.map(evolved).max().unwrap_or(sft);
        let mut warm_counted = false;
        let arms = config.arms.iter().map(|arm| {
            let (steps, prompts) = match arm {
                Arm::Vanilla | Arm::InContext | Arm::InContextBm25 => (0, sets.test),
                Arm::Classifier => (0, 0),
                Arm::Sft => {
                    warm_counted = true;
                    (sft, sets.test)
                }
                Arm::SftPretrained => {
                    let pretrain = config.method.pretrain.clone().unwrap_or_default();
                    let rows = sets.labelled + sets.unlabelled;
                    (sft + rows.div_ceil(config.train.batch_size) * pretrain.epochs, sets.test)
                }
                Arm::SftMatched | Arm::Oracle => (longest, sets.test),
                Arm::Semievol | Arm::Variant(_) => {
                    let work = method(arm).work(&config.train, sets.labelled, sets.unlabelled);
                    let known = method(arm).warm.shots == 0 && warm_counted;
                    (work.steps - if known { sft } else { 0 }, work.prompts + sets.test)
                }
            };
            let words = if steps > 0 { 1 + config.paraphrases.len() } else { 1 };
            ArmWork { arm: arm.clone(), steps, prompts: prompts + (words - 1) * sets.test }
        });
        arms.collect()
    }
}
