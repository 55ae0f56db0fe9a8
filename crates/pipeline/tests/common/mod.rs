//! A small seed run on doubles, all the way from the pool to the evolved model.

use semievol_core::{Answer, Labeled, Sample, Seed};
use semievol_data::ClosedSet;
use semievol_model::{Adapter, LanguageModel, ModelError, ModelId, ModelLoader};
use semievol_pipeline::{Answers, Evolved, Method, Parts, PipelineError, SeedRun, Shelf, StageEvent};
use semievol_testkit::{HashingEmbedder, HashingTrainer, ScriptedModel};
use semievol_train::Recipe;
use std::path::Path;
use std::sync::Arc;

const OPTIONS: [&str; 3] = ["bad", "fair", "good"];

/// One double for the base model and another for every adapter.
struct Doubles {
    base: Arc<ScriptedModel>,
    trained: Arc<ScriptedModel>,
}

impl Doubles {
    fn new() -> Self {
        let double = |name| Arc::new(ScriptedModel::babbler(name));
        Doubles { base: double("base"), trained: double("trained") }
    }
}

impl ModelLoader for Doubles {
    fn load(&self, adapter: Option<&Adapter>) -> Result<Arc<dyn LanguageModel>, ModelError> {
        Ok(if adapter.is_some() { self.trained.clone() } else { self.base.clone() })
    }
}

/// What a run made, and the names of the stages that it computed.
pub struct Made {
    pub evolved: Evolved,
    pub answers: Vec<Answers>,
    pub computed: Vec<String>,
}

/// Twelve labels of three classes and 37 unlabelled rows, in parts of at most `part`.
pub fn evolve(method: &Method, part: usize, out: &Path) -> Result<Made, PipelineError> {
    // Texts repeat: within a part, across parts, and those of labels and test rows.
    let words = ["dull", "witty", "long", "tender", "loud"];
    let sample = |id: usize| {
        let text = format!("A {} and {} film, {}", words[id % 5], words[id % 3], id % 2);
        Sample::new(id.to_string(), text).with_options(OPTIONS)
    };
    let labelled: Vec<Labeled> =
        (0..12).map(|id| Labeled { sample: sample(id), answer: Answer::Choice(id % 3) }).collect();
    let unlabelled: Vec<Sample> = (12..49).map(sample).collect();
    let test: Vec<Sample> = (49..55).map(sample).collect();
    let doubles = Doubles::new();
    let trainer = HashingTrainer::new(ModelId::new("base"));
    let (id, embedder) = (ModelId::new("hashing"), HashingEmbedder::new(64));
    let run = SeedRun {
        parts: Parts::new(&doubles, &trainer).with_embedder(&id, &embedder),
        task: &ClosedSet::default(),
        task_id: "letters",
        paraphrases: &[],
        base: doubles.load(None).unwrap(),
        recipe: &Recipe::default(),
        max_answer_tokens: 16,
        seed: Seed(1),
        folder: out.join("run/seed-1"),
        shelf: &Shelf::default(),
        part,
    };
    let mut computed = Vec::new();
    let mut on = |event: &StageEvent| {
        if let StageEvent::Done(stage) = event {
            computed.push(stage.name.clone());
        }
    };
    let evolved = run.evolve(method, &labelled, &unlabelled, &[&test], &mut on)?;
    let answers = evolved.answers.iter().collect::<Result<Vec<_>, PipelineError>>()?;
    Ok(Made { evolved, answers, computed })
}
