//! What does not fit the model is taught as far as it fits, and all of it is found at once.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{Doubles, Recorder, length, seed_run};
use semievol_core::{Answer, Labeled, Sample};
use semievol_pipeline::{Lesson, Parts, PretrainConfig, SeedRun};
use semievol_train::Example;

/// What the trainer was asked, call by call, and what came of it.
fn asked<T>(limit: usize, teach: impl FnOnce(&SeedRun<'_>) -> T) -> (Vec<Vec<Example>>, T) {
    let (folder, loader, trainer) = (tempfile::tempdir().unwrap(), Doubles::new(), Recorder::new(limit));
    let said = seed_run(Parts::new(&loader, &trainer), folder.path(), |run| teach(&run));
    (trainer.into_jobs().into_iter().map(|job| job.examples).collect(), said)
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
