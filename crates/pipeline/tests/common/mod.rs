//! Doubles for a seed run, and a small one on them, all the way from the pool to the evolved model.
#![allow(dead_code, reason = "every test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use semievol_core::{Answer, Labeled, Prompt, Sample, Seed};
use semievol_data::ClosedSet;
use semievol_model::{Adapter, LanguageModel, ModelError, ModelId, ModelLoader};
use semievol_pipeline::{Answers, Evolved, Method, Parts, PipelineError, SeedRun, Shelf, StageEvent};
use semievol_testkit::{HashingEmbedder, HashingTrainer, ScriptedModel};
use semievol_train::{Example, Recipe, Step, TrainError, TrainJob, Trainer};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};

const OPTIONS: [&str; 3] = ["bad", "fair", "good"];

/// Its question says which sample it is, so that prompts do.
pub fn sample(id: String) -> Sample {
    let words = ["dull", "witty", "long", "tender", "loud"];
    let word = words[Seed(7).child(&id, 0).0 as usize % words.len()];
    Sample::new(&id, format!("A {word} film [{id}]")).with_options(OPTIONS)
}

pub fn labelled() -> Vec<Labeled> {
    (0..12).map(|n| Labeled { sample: sample(format!("L{n}")), answer: Answer::Choice(n % 3) }).collect()
}

pub fn unlabelled() -> Vec<Sample> {
    (0..30).map(|n| sample(format!("U{n}"))).collect()
}

/// The samples that a text is about.
pub fn ids_in(text: &str) -> Vec<String> {
    text.split('[').skip(1).filter_map(|rest| rest.split_once(']')).map(|(id, _)| id.to_owned()).collect()
}

/// The sample that a prompt asks about, whatever it shows before.
pub fn asked(prompt: &Prompt) -> String {
    ids_in(&prompt.messages.last().unwrap().content).remove(0)
}

/// All that an example says.
pub fn text(example: &Example) -> String {
    let messages = example.prompt.messages.iter().map(|message| message.content.as_str());
    messages.chain([example.response.as_str()]).collect::<Vec<_>>().join("\n")
}

/// One double for the base model and another for every adapter.
pub struct Doubles {
    base: Arc<ScriptedModel>,
    trained: Arc<ScriptedModel>,
}

impl Doubles {
    pub fn new() -> Self {
        Self::of(ScriptedModel::babbler("base"), ScriptedModel::babbler("trained"))
    }

    pub fn of(base: ScriptedModel, trained: ScriptedModel) -> Self {
        Doubles { base: Arc::new(base), trained: Arc::new(trained) }
    }
}

impl ModelLoader for Doubles {
    fn load(&self, adapter: Option<&Adapter>) -> Result<Arc<dyn LanguageModel>, ModelError> {
        Ok(if adapter.is_some() { self.trained.clone() } else { self.base.clone() })
    }
}

/// What a trainer was asked for.
pub struct Job {
    /// Of its folder.
    pub name: String,
    pub examples: Vec<Example>,
    pub lr: f64,
    /// Digest of the adapter that it goes on from.
    pub from: Option<String>,
}

/// Holds so many characters of an example, and remembers its jobs.
pub struct Recorder {
    inner: HashingTrainer,
    limit: usize,
    jobs: Mutex<Vec<Job>>,
}

impl Recorder {
    pub fn new(limit: usize) -> Self {
        let inner = HashingTrainer::new(ModelId::new("base"));
        Recorder { inner, limit, jobs: Mutex::new(Vec::new()) }
    }

    pub fn into_jobs(self) -> Vec<Job> {
        self.jobs.into_inner().unwrap()
    }
}

/// Characters of an example.
pub fn length(example: &Example) -> usize {
    let messages = example.prompt.messages.iter().map(|message| message.content.len());
    messages.sum::<usize>() + example.response.len()
}

impl Trainer for Recorder {
    fn id(&self) -> String {
        self.inner.id()
    }

    fn train(
        &self,
        job: &TrainJob<'_>,
        on_step: &mut dyn FnMut(&Step) -> ControlFlow<()>,
    ) -> Result<Adapter, TrainError> {
        self.jobs.lock().unwrap().push(Job {
            name: job.out.file_name().unwrap().to_string_lossy().into_owned(),
            examples: job.examples.to_vec(),
            lr: job.recipe.lr,
            from: job.from.map(|adapter| adapter.digest.clone()),
        });
        let mut too_long = (0..job.examples.len()).filter(|index| length(&job.examples[*index]) > self.limit);
        match too_long.next() {
            None => self.inner.train(job, on_step),
            Some(index) => Err(TrainError::TooLong {
                index,
                tokens: length(&job.examples[index]),
                limit: self.limit,
                others: too_long.collect(),
            }),
        }
    }
}

/// What is done with a seed run of these parts in this folder: answers in letters, trainings of two steps.
pub fn seed_run<T>(parts: Parts<'_>, folder: &Path, work: impl FnOnce(SeedRun<'_>) -> T) -> T {
    work(SeedRun {
        parts,
        task: &ClosedSet::default(),
        task_id: "letters",
        paraphrases: &[],
        base: parts.loader.load(None).unwrap(),
        recipe: &Recipe { max_steps: 2, ..Recipe::default() },
        max_answer_tokens: 16,
        seed: Seed(1),
        folder: folder.to_owned(),
        shelf: &Shelf::default(),
        part: 100,
    })
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
    let parts = Parts::new(&doubles, &trainer).with_embedder(&id, &embedder);
    let mut computed = Vec::new();
    let mut on = |event: &StageEvent| {
        if let StageEvent::Done(stage) = event {
            computed.push(stage.name.clone());
        }
    };
    let evolved = seed_run(parts, &out.join("run/seed-1"), |run| {
        let run = SeedRun { recipe: &Recipe::default(), part, ..run };
        run.evolve(method, &labelled, &unlabelled, &[&test], &mut on)
    })?;
    let answers = evolved.answers.iter().collect::<Result<Vec<_>, PipelineError>>()?;
    Ok(Made { evolved, answers, computed })
}
