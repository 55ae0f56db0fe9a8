//! All arms of one seed, from its rows to its results.

use crate::arms::Arms;
use crate::assembly::Assembly;
use crate::pseudo::PseudoResults;
use crate::results::{ArmResults, SeedResults};
use crate::sets::Sets;
use crate::{Arm, Event, RunError, finished, to_label};
use semievol_core::{Groups, Seed};
use semievol_data::Task;
use semievol_eval::{Graded, Prediction};
use semievol_pipeline::{Answered, SeedRun, Shelf, StageEvent, files};
use std::path::PathBuf;

/// What the seeds of one experiment share.
pub(crate) struct Run<'a> {
    pub assembly: Assembly<'a>,
    pub task_id: String,
    /// The task in other words that measure, with their ids.
    pub paraphrases: Vec<(Box<dyn Task>, String)>,
    /// The task in other words that are taught.
    pub taught: Vec<Box<dyn Task>>,
    pub folder: PathBuf,
    pub shelf: Shelf,
}

impl Run<'_> {
    pub fn seed(&self, sets: &Sets, events: &mut dyn FnMut(&Event)) -> Result<SeedResults, RunError> {
        let (assembly, seed) = (&self.assembly, sets.seed);
        let overlap = sets.overlap();
        events(&Event::Overlap { seed, report: overlap.clone() });
        if let Some(only) = sets.sizes.only_class() {
            events(&Event::Note(format!(
                "seed {seed}: all {} labelled rows are {}, so a model that learns them answers nothing else; label rows of other classes",
                only.rows, only.class
            )));
        }
        let mut run = SeedRun {
            parts: assembly.parts,
            task: assembly.task.as_ref(),
            task_id: &self.task_id,
            paraphrases: &self.taught,
            base: assembly.base.clone(),
            recipe: &assembly.config.train,
            max_answer_tokens: assembly.config.max_answer_tokens,
            seed: Seed(seed),
            folder: self.folder.join(format!("seed-{seed}")),
            shelf: &self.shelf,
            part: self.part(),
        };
        files::write_json(&run.folder.join("split.json"), &sets.ids())?;
        let mut on_stage = |event: &StageEvent| events(&Event::Stage { seed, event: event.clone() });
        let tune = assembly.config.tune.as_ref();
        let (recipe, tuned) = match tune.filter(|tune| tune.tries_recipes()) {
            None => (run.recipe.clone(), Vec::new()),
            Some(tune) => run.tune(tune, &sets.labelled, &mut on_stage).map_err(RunError::stage(seed))?,
        };
        run.recipe = &recipe;
        let (method, selectors) = match tune.filter(|_| !assembly.candidates.is_empty()) {
            None => (assembly.method, None),
            Some(tune) => {
                let Sets { labelled, unlabelled, .. } = sets;
                let tried = run.choose(&assembly.candidates, tune.folds, labelled, unlabelled, &mut on_stage);
                let (tried, chosen) = tried.map_err(RunError::stage(seed))?;
                (&assembly.candidates[chosen], Some(tried))
            }
        };
        let all = Arms { run: self, method, seed: &run, sets };
        let done = all.run_all(&mut on_stage).map_err(RunError::stage(seed))?;
        finished::write_adapters(&run.folder, &done.arms)?;
        let mut graded: Vec<(Arm, Graded)> = Vec::new();
        let mut paraphrased = Vec::new();
        for done in &done.arms {
            graded.push((done.arm.clone(), self.grade(&done.arm, sets, &done.answered, events)?));
            let accuracy =
                |answered: &Vec<Answered>| Ok(self.grade(&done.arm, sets, answered, events)?.accuracy());
            paraphrased.push(done.paraphrased.iter().map(accuracy).collect::<Result<Vec<f64>, RunError>>()?);
        }
        let mut arms = ArmResults::of_seed(seed, &graded).map_err(RunError::eval(seed))?;
        for ((arm, done), paraphrased) in arms.iter_mut().zip(&done.arms).zip(paraphrased) {
            (arm.cost, arm.paraphrased) = (done.cost, paraphrased);
            arm.adapter = done.adapter.as_ref().map(|adapter| adapter.folder.clone());
        }
        let pseudo = done.evolved.into_iter().map(|(arm, evolved)| {
            let method = all.method_of(&arm).unwrap_or(method);
            PseudoResults::new(arm, Seed(seed), method, assembly.task.as_ref(), sets, evolved)
        });
        let pseudo = pseudo.collect::<Result<Vec<_>, _>>()?;
        for one in &pseudo {
            to_label::write(&one.arm.folder(&run.folder), &sets.unlabelled, one)?;
        }
        let folder = run.folder.clone();
        let sizes = sets.sizes.clone();
        let test_ids = sets.test.iter().map(|sample| sample.id.clone()).collect();
        let groups = Groups::of(&sets.test);
        let test_groups = if groups.are_single() { Vec::new() } else { groups.numbers().to_vec() };
        Ok(SeedResults {
            seed,
            sizes,
            overlap,
            tuned,
            selectors,
            arms,
            pseudo,
            test_ids,
            test_groups,
            folder,
        })
    }

    /// Unlabelled rows that are asked about at once. Files of requests are answered overnight: they hold all of them.
    fn part(&self) -> usize {
        let mut asked = self
            .assembly
            .methods()
            .flat_map(|method| &method.config.collaborators)
            .filter_map(|one| one.model());
        if asked.any(|model| self.assembly.config.batches.contains_key(model)) {
            usize::MAX
        } else {
            SeedRun::PART
        }
    }

    fn grade(
        &self,
        arm: &Arm,
        sets: &Sets,
        answered: &[Answered],
        events: &mut dyn FnMut(&Event),
    ) -> Result<Graded, RunError> {
        if let Some(first) = answered.iter().find_map(|answered| answered.error.as_ref()) {
            let n_failed = answered.iter().filter(|answered| answered.error.is_some()).count();
            let of = answered.len();
            events(&Event::Note(format!(
                "seed {}, {arm}: {n_failed} of {of} prompts did not fit and count as wrong; the first: {first}",
                sets.seed
            )));
        }
        let predictions: Vec<Prediction> =
            answered.iter().map(|one| Prediction::new(&one.id, one.predicted.clone())).collect();
        let is_correct = |predicted: &_, gold: &_| self.assembly.task.is_correct(predicted, gold);
        sets.key.grade(&predictions, &is_correct).map_err(RunError::eval(sets.seed))
    }
}
