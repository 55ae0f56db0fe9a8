//! Who decides disputes, who judges and who trains are part of a stage's key: what another one made is no stage of theirs.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{Doubles, seed_run};
use semievol_core::{Answer, Labeled, Sample};
use semievol_model::{Adapter, ModelId};
use semievol_pipeline::{MethodConfig, Parts, SeedRun, Shelf, StageEvent};
use semievol_testkit::{HashingEmbedder, HashingTrainer};
use semievol_train::{Step, TrainError, TrainJob, Trainer};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;

const METHOD: &str = r#"
neighbours = 1
retrieval = { kind = "exact" }
warm = { shots = 1 }
collaborators = [
    { kind = "language_model", name = "warm" },
    { kind = "language_model", name = "base", model = "base", shots = 1 },
]
justify = { kind = "JUSTIFY" }
confidence = { kind = "CONFIDENCE" }
select = { kind = "percentile", over = "labelled" }
evolve = {}
"#;

/// Names of stages.
type Stages = BTreeSet<String>;

/// A trainer that says that it is another.
struct Called {
    id: &'static str,
    inner: HashingTrainer,
}

impl Trainer for Called {
    fn id(&self) -> String {
        self.id.to_owned()
    }

    fn train(
        &self,
        job: &TrainJob<'_>,
        on_step: &mut dyn FnMut(&Step) -> ControlFlow<()>,
    ) -> Result<Adapter, TrainError> {
        self.inner.train(job, on_step)
    }
}

fn sample(id: usize) -> Sample {
    let words = ["dull", "witty", "long", "tender", "loud"];
    Sample::new(id.to_string(), format!("A {} film, {id}", words[id % 5]))
        .with_options(["bad", "fair", "good"])
}

/// The stages that a run below `out` begins, and those that it takes over from other runs there.
fn run(out: &Path, name: &str, [justify, confidence, trainer]: [&'static str; 3]) -> (Stages, Stages) {
    let method = METHOD.replace("JUSTIFY", justify).replace("CONFIDENCE", confidence);
    let method = toml::from_str::<MethodConfig>(&method).unwrap().build().unwrap();
    let labelled: Vec<Labeled> =
        (0..12).map(|id| Labeled { sample: sample(id), answer: Answer::Choice(id % 3) }).collect();
    let unlabelled: Vec<Sample> = (12..40).map(sample).collect();
    let doubles = Doubles::new();
    let trainer = Called { id: trainer, inner: HashingTrainer::new(ModelId::new("base")) };
    let (id, embedder) = (ModelId::new("hashing"), HashingEmbedder::new(64));
    let parts = Parts::new(&doubles, &trainer).with_embedder(&id, &embedder);
    let (mut begun, mut kept) = (Stages::new(), Stages::new());
    let mut on_event = |event: &StageEvent| match event {
        StageEvent::Begin(stage) => drop(begun.insert(stage.name.clone())),
        StageEvent::Kept(stage) => drop(kept.insert(stage.name.clone())),
        _ => (),
    };
    let shelf = Shelf::of(out);
    seed_run(parts, &out.join(name).join("seed-1"), |run| {
        let run = SeedRun { shelf: &shelf, ..run };
        run.evolve(&method, &labelled, &unlabelled, &[], &mut on_event).unwrap();
    });
    (begun, kept)
}

#[test]
fn another_adjudicator_estimator_or_trainer_reuses_nothing_stale() {
    let out = tempfile::tempdir().unwrap();
    let (all, _) = run(out.path(), "first", ["self_justify", "mean_nll", "hashing"]);
    let answered = ["embeddings", "candidates", "justified", "confidence", "confidence-labelled"];
    assert!(answered.iter().chain(&["warm", "evolved"]).all(|stage| all.contains(*stage)), "{all:?}");
    let held_to = |what: &str, parts: [&'static str; 3], anew: &[&str], common: &[&str]| {
        let (begun, kept) = run(out.path(), what, parts);
        for stage in anew {
            assert!(begun.contains(*stage), "{what}: a stale `{stage}` was used; begun: {begun:?}");
        }
        for stage in common {
            assert!(kept.contains(*stage), "{what}: `{stage}` was computed again; kept: {kept:?}");
        }
    };
    held_to(
        "adjudicator",
        ["mixture", "mean_nll", "hashing"],
        &["justified", "confidence"],
        &["embeddings", "warm", "candidates", "confidence-labelled"],
    );
    held_to(
        "estimator",
        ["self_justify", "margin", "hashing"],
        &["confidence", "confidence-labelled"],
        &["embeddings", "warm", "candidates", "justified"],
    );
    // The doubles' answers are the same, whoever has trained them.
    held_to("trainer", ["self_justify", "mean_nll", "another"], &["warm", "evolved"], &answered);
}
