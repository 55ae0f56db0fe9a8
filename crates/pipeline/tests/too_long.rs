//! What does not fit the model is taught as far as it fits, and all of it is found at once.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use semievol_core::{Answer, Labeled, Sample, Seed};
use semievol_data::ClosedSet;
use semievol_model::{Adapter, LanguageModel, ModelError, ModelId, ModelLoader};
use semievol_pipeline::{Lesson, Parts, PretrainConfig, SeedRun, Shelf};
use semievol_testkit::{HashingTrainer, ScriptedModel};
use semievol_train::{Example, Recipe, Step, TrainError, TrainJob, Trainer};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

struct Base(Arc<ScriptedModel>);

impl ModelLoader for Base {
    fn load(&self, _: Option<&Adapter>) -> Result<Arc<dyn LanguageModel>, ModelError> {
        Ok(self.0.clone())
    }
}

/// Holds so many characters, and remembers what it was asked to learn.
struct Small {
    inner: HashingTrainer,
    limit: usize,
    asked: Mutex<Vec<Vec<Example>>>,
}

fn length(example: &Example) -> usize {
    let messages = example.prompt.messages.iter().map(|message| message.content.len());
    messages.sum::<usize>() + example.response.len()
}

impl Trainer for Small {
    fn id(&self) -> String {
        self.inner.id()
    }

    fn train(
        &self,
        job: &TrainJob<'_>,
        on_step: &mut dyn FnMut(&Step) -> ControlFlow<()>,
    ) -> Result<Adapter, TrainError> {
        self.asked.lock().unwrap().push(job.examples.to_vec());
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

/// What the trainer was asked, call by call, and what came of it.
fn asked<T>(limit: usize, teach: impl FnOnce(&SeedRun<'_>) -> T) -> (Vec<Vec<Example>>, T) {
    let folder = tempfile::tempdir().unwrap();
    let loader = Base(Arc::new(ScriptedModel::babbler("base")));
    let inner = HashingTrainer::new(ModelId::new("base"));
    let trainer = Small { inner, limit, asked: Mutex::new(Vec::new()) };
    let said = teach(&SeedRun {
        parts: Parts::new(&loader, &trainer),
        task: &ClosedSet::default(),
        task_id: "letters",
        paraphrases: &[],
        base: loader.load(None).unwrap(),
        recipe: &Recipe { max_steps: 2, ..Recipe::default() },
        max_answer_tokens: 16,
        seed: Seed(1),
        folder: folder.path().join("seed-1"),
        shelf: &Shelf::default(),
        part: 100,
    });
    (trainer.asked.into_inner().unwrap(), said)
}

fn sample(id: &str, words: usize) -> Sample {
    Sample::new(id, "word ".repeat(words)).with_options(["bad", "good"])
}

#[test]
fn pretraining_learns_the_beginning_of_what_is_too_long() {
    let samples = [sample("long", 100), sample("short", 4), sample("longer", 300)];
    let (calls, trained) =
        asked(130, |run| run.pretrain(&PretrainConfig::default(), &[], &samples, &mut |_| ()).map(|_| ()));
    trained.unwrap();
    // 1500 characters are halved four times, and the others beside them.
    assert_eq!(calls.len(), 5);
    let learnt: Vec<usize> = calls[4].iter().map(|example| example.response.len()).collect();
    assert_eq!(learnt, [125, 20, 93]);
    assert!(samples[0].question.starts_with(&calls[4][0].response));
}

#[test]
fn lessons_lose_neighbours_all_at_once_and_never_the_question() {
    let label = Labeled { sample: sample("label", 20), answer: Answer::Choice(1) };
    let samples: Vec<Sample> = (0..40).map(|row| sample(&row.to_string(), 20)).collect();
    let answer = Answer::Choice(0);
    let lesson = |sample| Lesson { shots: vec![&label], ..Lesson::new(sample, &answer) };
    let lessons: Vec<Lesson<'_>> = samples.iter().map(lesson).collect();
    let plain = asked(usize::MAX, |run| {
        let plain: Vec<Lesson<'_>> = samples.iter().map(|sample| Lesson::new(sample, &answer)).collect();
        run.train("plain", &plain, run.recipe, &mut |_| ()).map(|_| ()).unwrap();
    });
    let limit = plain.0[0].iter().map(length).max().unwrap();
    let teach = |run: &SeedRun<'_>| run.train("x", &lessons, run.recipe, &mut |_| ()).map(|_| ());
    let (calls, trained) = asked(limit, teach);
    trained.unwrap();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[1], plain.0[0]);
    // Without its neighbours a question has nothing left to lose.
    let (_, refused) = asked(limit - 1, teach);
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("(sample `0`)"), "{refused}");
}
