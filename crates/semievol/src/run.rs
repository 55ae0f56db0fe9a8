//! An experiment from its files to its results.

use crate::assembly::Assembly;
use crate::identity::{names, own_parts, task_id};
use crate::lock::Lock;
use crate::results::Results;
use crate::seed::Run;
use crate::sets::{Pool, Sets};
use crate::{Event, Experiment, RunError, page};
use semievol_hub::Hub;
use semievol_model::LanguageModel;
use semievol_pipeline::{Method, Parts, Shelf, files};
use std::path::Path;

impl Experiment {
    /// Runs every arm for every seed and writes a folder `NAME-DIGEST` into `out`.
    ///
    /// The digest is that of the configuration, the models and the data files, so results of different
    /// experiments never mix. Run twice, the same build writes the same bytes. Finished stages are read, of
    /// this run or of another below `out` that had the same inputs; a partial one goes on where it stopped.
    ///
    /// # Errors
    /// What failed, for which seed and stage. Files that were written stay.
    pub fn run(
        &self,
        hub: &Hub,
        parts: Parts<'_>,
        events: &mut dyn FnMut(&Event),
        out: &Path,
    ) -> Result<Results, RunError> {
        self.run_with(&self.method()?, hub, parts, events, out)
    }

    /// As [`Experiment::run`], with a method of which some parts are the caller's own.
    ///
    /// # Errors
    /// As [`Experiment::run`].
    pub fn run_with(
        &self,
        method: &Method,
        hub: &Hub,
        parts: Parts<'_>,
        events: &mut dyn FnMut(&Event),
        out: &Path,
    ) -> Result<Results, RunError> {
        let assembly = Assembly::new(self, method, parts)?;
        let paraphrase = |words: &String| {
            let config = self.config().task.clone().with_instruction(words);
            let task = config.build().map_err(|error| RunError::Assembly(error.to_string()))?;
            Ok((task, task_id(&config)))
        };
        let all = |words: &[String]| words.iter().map(paraphrase).collect::<Result<Vec<_>, RunError>>();
        let paraphrases = all(&self.config().paraphrases)?;
        let taught = all(&self.config().taught_paraphrases)?.into_iter().map(|(task, _)| task).collect();
        let pool = Pool::read(self.config(), self.origin(), hub, events)?;
        let model = assembly.base.id().clone();
        events(&Event::Loaded { model: model.clone() });
        let identity = self.identity(method, &model, parts, &pool.digests);
        let folder = out.join(format!("{}-{}", self.config().name, &identity[..8]));
        events(&Event::Folder { path: folder.clone() });
        // First of all: another process may be at work there, by a configuration that differs where results do not.
        let _lock = Lock::take(&folder)?;
        files::write(&folder.join("config.toml"), self.config().to_toml().as_bytes())?;
        let run = Run {
            assembly,
            task_id: task_id(&self.config().task),
            paraphrases,
            taught,
            folder,
            shelf: Shelf::of(out),
        };
        let mut drawn = Vec::new();
        for seed in &self.config().seeds {
            let sets = pool.draw(*seed)?;
            events(&Event::Drawn { seed: *seed, sizes: sets.sizes.clone() });
            run.assembly.check(&sets)?;
            drawn.push(sets);
        }
        let mut labels = drawn.iter().map(Sets::label_ids);
        let first = labels.next().filter(|_| drawn.len() > 1);
        if first.is_some_and(|first| labels.all(|others| others == first)) {
            events(&Event::Note(format!(
                "all {} seeds learn the same labels, so what differs between them is how training went: intervals over seeds know nothing of other labels (data.draw.labelled or data.hold_out draws some for each)",
                drawn.len()
            )));
        }
        // Before anything is asked.
        for estimate in run.assembly.asked_elsewhere(drawn.iter()) {
            events(&Event::Note(estimate));
        }
        let seeds = drawn.iter().map(|sets| run.seed(sets, events)).collect::<Result<_, _>>()?;
        let results = Results {
            name: self.config().name.clone(),
            model,
            parts: names(parts).into_iter().chain(own_parts(method)).collect(),
            settings: self.settings_with(method),
            data: pool.digests.clone(),
            folder: run.folder.clone(),
            seeds,
            summary: Vec::new(),
        };
        let results = results.summed_up().map_err(RunError::eval(self.config().seeds[0]))?;
        files::write_json(&run.folder.join("metrics.json"), &results)?;
        files::write(&run.folder.join("table.md"), results.to_markdown().as_bytes())?;
        let page = semievol_report::render(&page::page(self.config(), &results))?;
        files::write(&run.folder.join("report.html"), page.as_bytes())?;
        files::write_json(&run.folder.join("manifest.json"), &self.manifest(method, &run, &identity, &pool))?;
        Ok(results)
    }
}
