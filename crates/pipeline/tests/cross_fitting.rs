//! A model that is asked about a label to learn what its answers are worth has not learnt that label.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{asked, ids_in, labelled, seed_run, text, unlabelled};
use semievol_core::{Answer, Labeled, Prompt, Sample};
use semievol_data::FreeText;
use semievol_model::{
    Adapter, Capabilities, GenerateRequest, Generation, LanguageModel, ModelError, ModelId, ModelLoader,
    OnDone, ScoreRequest, Scores,
};
use semievol_pipeline::{Method, MethodConfig, Parts, SeedRun, TuneConfig};
use semievol_select::SelectorConfig;
use semievol_testkit::{HashingTrainer, ScriptedModel};
use semievol_train::{Step, TrainError, TrainJob, Trainer};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

/// Remembers what its training showed it and what it was asked, by the samples' ids.
struct Pupil {
    inner: ScriptedModel,
    taught: BTreeSet<String>,
    asked: Mutex<BTreeSet<String>>,
}

impl Pupil {
    fn new(id: &str, taught: BTreeSet<String>) -> Self {
        Pupil { inner: ScriptedModel::babbler(id), taught, asked: Mutex::default() }
    }

    fn hear<'p>(&self, prompts: impl Iterator<Item = &'p Prompt>) {
        self.asked.lock().unwrap().extend(prompts.map(asked));
    }
}

impl LanguageModel for Pupil {
    fn id(&self) -> &ModelId {
        self.inner.id()
    }
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    fn generate_each(
        &self,
        requests: &[GenerateRequest],
        on_done: OnDone<'_, Generation>,
    ) -> Result<(), ModelError> {
        self.hear(requests.iter().map(|request| &request.prompt));
        self.inner.generate_each(requests, on_done)
    }
    fn score_each(&self, requests: &[ScoreRequest], on_done: OnDone<'_, Scores>) -> Result<(), ModelError> {
        self.hear(requests.iter().map(|request| &request.prompt));
        self.inner.score_each(requests, on_done)
    }
}

/// Makes of every training job a pupil of its own.
struct School {
    trainer: HashingTrainer,
    base: Arc<Pupil>,
    /// By the digests of their adapters.
    pupils: Mutex<BTreeMap<String, Arc<Pupil>>>,
}

impl Trainer for School {
    fn id(&self) -> String {
        self.trainer.id()
    }
    fn train(
        &self,
        job: &TrainJob<'_>,
        on_step: &mut dyn FnMut(&Step) -> ControlFlow<()>,
    ) -> Result<Adapter, TrainError> {
        let adapter = self.trainer.train(job, on_step)?;
        let taught = job.examples.iter().flat_map(|example| ids_in(&text(example))).collect();
        let pupil = Arc::new(Pupil::new(&adapter.digest, taught));
        self.pupils.lock().unwrap().insert(adapter.digest.clone(), pupil);
        Ok(adapter)
    }
}

impl ModelLoader for School {
    fn load(&self, adapter: Option<&Adapter>) -> Result<Arc<dyn LanguageModel>, ModelError> {
        let trained = adapter.map(|adapter| self.pupils.lock().unwrap()[&adapter.digest].clone());
        Ok(trained.unwrap_or_else(|| self.base.clone()))
    }
}

/// What is done with a seed asks `models` models that were trained about each label, none of which has learnt it.
fn assert_held_out(models: usize, work: impl FnOnce(&SeedRun<'_>)) {
    let base = Arc::new(Pupil::new("base", BTreeSet::new()));
    let school =
        School { trainer: HashingTrainer::new(ModelId::new("base")), base, pupils: Mutex::default() };
    let out = tempfile::tempdir().unwrap();
    seed_run(Parts::new(&school, &school), out.path(), |run| work(&run));
    let pupils = school.pupils.into_inner().unwrap();
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for pupil in pupils.values() {
        let asked = pupil.asked.lock().unwrap();
        assert!(asked.is_disjoint(&pupil.taught), "taught {:?}, asked {asked:?}", pupil.taught);
        asked.iter().for_each(|id| *times.entry(id.clone()).or_default() += 1);
    }
    for label in labelled() {
        assert_eq!(times.get(&label.sample.id), Some(&models), "{}", label.sample.id);
    }
}

fn method(more: &str) -> Method {
    let text = format!(
        r#"
        neighbours = 2
        retrieval = {{ kind = "bm25" }}
        warm = {{ shots = 1 }}
        justify = {{ kind = "self_justify" }}
        confidence = {{ kind = "mean_nll" }}
        confidence_shots = 1
        select = {{ kind = "error_controlled", alpha = 0.4 }}
        evolve = {{}}
        {more}
        "#
    );
    toml::from_str::<MethodConfig>(&text).unwrap().build().unwrap()
}

#[test]
fn what_collaborators_are_worth_is_asked_of_models_that_have_not_learnt_it() {
    let collaborators = r#"
        folds = 3
        ensemble = 2
        collaborators = [
            { kind = "language_model", name = "warm", shots = 1 },
            { kind = "language_model", name = "crowd", model = "folds" },
            { kind = "language_model", name = "choir", model = "ensemble", shots = 2 },
        ]
    "#;
    for way in ["", "probe = true", "do_no_harm = true", "combine = { kind = \"log_pool\", align = 0.5 }"] {
        let method = method(&format!("{collaborators}\n{way}"));
        assert_held_out(1, |run| {
            run.evolve(&method, &labelled(), &unlabelled(), &[], &mut |_| ()).unwrap();
        });
    }
}

#[test]
fn so_are_open_answers() {
    let open = |sample: Sample| Sample::new(sample.id, sample.question);
    let label =
        |one: Labeled| Labeled { sample: open(one.sample), answer: Answer::Text("a fine one".into()) };
    let labelled: Vec<Labeled> = labelled().into_iter().map(label).collect();
    let unlabelled: Vec<Sample> = unlabelled().into_iter().map(open).collect();
    let method = method(
        r#"
        folds = 3
        collaborators = [
            { kind = "language_model", name = "warm", shots = 1 },
            { kind = "language_model", name = "base", model = "base" },
        ]
        "#,
    );
    assert_held_out(1, |run| {
        let run = SeedRun { task: &FreeText::default(), task_id: "free", ..run.clone() };
        run.evolve(&method, &labelled, &unlabelled, &[], &mut |_| ()).unwrap();
    });
}

#[test]
fn recipes_are_judged_by_labels_that_their_models_have_not_learnt() {
    let tried = TuneConfig { folds: 3, lr: vec![1e-4, 5e-4], ..TuneConfig::default() };
    // One model of each recipe.
    assert_held_out(2, |run| {
        run.tune(&tried, &labelled(), &mut |_| ()).unwrap();
    });
}

#[test]
fn selectors_are_judged_by_labels_that_their_models_have_not_learnt() {
    let method = method(r#"collaborators = [{ kind = "language_model", name = "warm" }]"#);
    let methods =
        [SelectorConfig::default(), SelectorConfig::All {}].map(|select| method.selecting(select).unwrap());
    // The evolved model of each, and the warm one that they share.
    assert_held_out(3, |run| {
        run.choose(&methods, 3, &labelled(), &unlabelled(), &mut |_| ()).unwrap();
    });
}
