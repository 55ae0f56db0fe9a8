use super::{Rule, ensure, hold_to, rule};
use semievol_core::hex;
use semievol_core::{Prompt, Seed};
use semievol_model::ModelId;
use semievol_train::{Adapter, Example, Recipe, Step, TrainError, TrainJob, Trainer};
use sha2::{Digest, Sha256};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

const CONFIG: &str = Adapter::CONFIG_FILE;
const WEIGHTS: &str = Adapter::WEIGHTS_FILE;

/// Tries a trainer on five short examples; about 170 optimiser steps of rank 2 in all. Folders are made below
/// `scratch`, which should be empty and outlive the call.
///
/// # Panics
/// If a rule is broken; the message lists all that are.
pub fn trainer(trainer: &dyn Trainer, scratch: &Path) {
    hold_to("the trainer", &rules(trainer, scratch));
}

fn rules<'a>(trainer: &'a dyn Trainer, scratch: &'a Path) -> Vec<Rule<'a>> {
    let job = move |name: &str| Job {
        trainer,
        examples: examples(),
        recipe: recipe(),
        seed: Seed(3),
        out: scratch.join(name),
        from: None,
    };
    vec![
        rule("the adapter is a folder in PEFT's layout, named with its digest", move || {
            let adapter = job("layout").run()?;
            let out = scratch.join("layout");
            ensure(adapter.folder.starts_with(&out), || {
                format!("it was to be written to {}, but is {}", out.display(), adapter.folder.display())
            })?;
            let config = read(&adapter, CONFIG)?;
            let config: Result<serde_json::Value, _> = serde_json::from_slice(&config);
            ensure(config.as_ref().is_ok_and(|config| config["r"] == recipe().rank), || {
                format!("{CONFIG} does not say that `r` is {}", recipe().rank)
            })?;
            let digest = hex(&Sha256::digest(read(&adapter, WEIGHTS)?));
            ensure(adapter.digest == digest, || {
                format!("the weights have sha256 {digest}, the adapter says {}", adapter.digest)
            })
        }),
        rule("every step is reported once, in order", move || {
            let mut steps = Vec::new();
            job("steps").train(&mut |step| steps.push(*step)).map_err(failed)?;
            let total = recipe().total_steps(examples().len());
            let numbers: Vec<usize> = steps.iter().map(|step| step.step).collect();
            ensure(numbers == (0..total).collect::<Vec<_>>(), || {
                format!("{total} steps were reported as {numbers:?}")
            })?;
            let sane = |step: &&Step| {
                // Of a step elsewhere nothing but the loss may be known.
                let known = step.grad_norm.is_finite() && step.tokens > 0;
                let unknown = step.grad_norm.is_nan() && step.tokens == 0;
                step.loss.is_finite() && step.lr > 0.0 && step.total == total && (known || unknown)
            };
            steps
                .iter()
                .find(|step| !sane(step))
                .map_or(Ok(()), |step| Err(format!("{step:?} makes no sense")))
        }),
        rule("the same job gives the same bytes", move || {
            same_bytes(&job("once").run()?, &job("again").run()?, "the second time")
        }),
        rule("a job that was stopped and continued gives the same bytes", move || {
            let stopped = job("stopped");
            match stopped.train_until(3, &mut |_| ()) {
                Err(TrainError::Stopped { steps: 3 }) => {}
                other => return Err(format!("stopped at its third step, it returned {other:?}")),
            }
            let mut first = None;
            let continued = stopped.train(&mut |step| first = first.or(Some(step.step))).map_err(failed)?;
            ensure(first.is_some_and(|first| (1..=3).contains(&first)), || {
                format!("with a checkpoint after each of 3 steps, it continued at step {first:?}")
            })?;
            same_bytes(&job("unbroken").run()?, &continued, "when continued")
        }),
        rule("the checkpoint of another job is not continued", move || {
            let before = job("before").run()?;
            let changes: [Change<'_>; 6] = [
                ("fewer examples", &|job| job.examples.truncate(4)),
                ("another weight", &|job| job.examples[2].weight = 0.4),
                ("a further response", &|job| job.examples[1].others = vec![(" good".into(), 0.3)]),
                ("another learning rate", &|job| job.recipe.lr *= 2.0),
                ("another seed", &|job| job.seed = Seed(4)),
                ("another beginning", &|job| job.from = Some(before.clone())),
            ];
            changes.into_iter().try_for_each(|(what, change)| {
                let mut other = job(&format!("stopped, then {what}"));
                let _ = other.train_until(3, &mut |_| ());
                change(&mut other);
                let mut fresh = job(&format!("fresh, {what}"));
                change(&mut fresh);
                let when = format!("with {what}, where another job had been stopped");
                same_bytes(&fresh.run()?, &other.run()?, &when)
            })
        }),
        rule("no example is `NoExamples`", move || {
            let mut empty = job("empty");
            empty.examples.clear();
            refused(empty.train(&mut |_| ()), |error| matches!(error, TrainError::NoExamples))
        }),
        rule("a weight that is negative or not finite is `Weight`", move || {
            [-0.5, f32::NAN, f32::INFINITY].into_iter().try_for_each(|weight| {
                let mut wrong = job("weight");
                wrong.examples[2].weight = weight;
                refused(wrong.train(&mut |_| ()), |error| {
                    matches!(error, TrainError::Weight { index: 2, .. })
                })
                .map_err(|found| format!("{weight}: {found}"))
            })
        }),
        rule("further responses of an example are learnt, with their weights", move || {
            let with = |name: &str, others: Vec<(String, f32)>| {
                let mut soft = job(name);
                soft.examples[1].others = others;
                soft.run()
            };
            let digest = |adapter: &Adapter| adapter.digest.clone();
            let plain = digest(&with("hard", Vec::new())?);
            let soft = digest(&with("soft", vec![(" good".into(), 0.3)])?);
            let other = digest(&with("softer", vec![(" good".into(), 0.6)])?);
            ensure(plain != soft && soft != other, || "they changed nothing".into())?;
            let mut wrong = job("soft weight");
            wrong.examples[1].others = vec![(" good".into(), f32::NAN)];
            refused(wrong.train(&mut |_| ()), |error| matches!(error, TrainError::Weight { index: 1, .. }))
        }),
        rule("a job may go on from an adapter of its base, rank and scale, and from no other", move || {
            let first = job("first").run()?;
            let go_on = |name: &str, from: Adapter| Job { from: Some(from), ..job(name) };
            let second = go_on("second", first.clone()).run()?;
            ensure(second.digest != first.digest, || "it made the same adapter as from nothing".into())?;
            same_bytes(&second, &go_on("second again", first.clone()).run()?, "the second time")?;
            let foreign = Adapter { base: ModelId::new("another"), ..first.clone() };
            let is_from = |error: &TrainError| matches!(error, TrainError::From { .. });
            refused(go_on("foreign", foreign).train(&mut |_| ()), is_from)?;
            let mut wider = go_on("wider", first);
            wider.recipe.rank += 1;
            refused(wider.train(&mut |_| ()), is_from)
        }),
        rule("a recipe that cannot be followed is `Recipe`", move || {
            let mut wrong = job("recipe");
            wrong.recipe.lr = f64::NAN;
            refused(wrong.train(&mut |_| ()), |error| matches!(error, TrainError::Recipe(_)))
        }),
    ]
}

/// What makes another job of one, in words and in deed.
type Change<'c> = (&'static str, &'c dyn Fn(&mut Job<'_>));

struct Job<'a> {
    trainer: &'a dyn Trainer,
    examples: Vec<Example>,
    recipe: Recipe,
    seed: Seed,
    out: PathBuf,
    from: Option<Adapter>,
}

impl Job<'_> {
    fn run(&self) -> Result<Adapter, String> {
        self.train(&mut |_| ()).map_err(failed)
    }

    fn train(&self, on_step: &mut dyn FnMut(&Step)) -> Result<Adapter, TrainError> {
        self.train_until(usize::MAX, on_step)
    }

    /// Breaks when `steps` steps are done.
    fn train_until(&self, steps: usize, on_step: &mut dyn FnMut(&Step)) -> Result<Adapter, TrainError> {
        let job = TrainJob {
            examples: &self.examples,
            recipe: &self.recipe,
            seed: self.seed,
            out: &self.out,
            from: self.from.as_ref(),
        };
        self.trainer.train(&job, &mut |step| {
            on_step(step);
            if step.step + 1 >= steps { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }
}

fn examples() -> Vec<Example> {
    let example = |(index, (asked, response)): (usize, (&str, &str))| Example {
        prompt: Prompt::user(asked).with_response_prefix(if index == 0 { "Answer:" } else { "" }),
        response: response.into(),
        weight: 1.0 - 0.1 * index as f32,
        others: Vec::new(),
    };
    let asked = [
        ("Is it good? A fine film.", " good"),
        ("Is it good? The plot never begins.", "bad"),
        ("Name a colour.", "blue"),
        ("2 + 2 =", "4"),
        ("Is it good? I would see it again and again.", "good, and more than that"),
    ];
    asked.into_iter().enumerate().map(example).collect()
}

fn recipe() -> Recipe {
    Recipe { rank: 2, alpha: 4.0, epochs: 2, batch_size: 2, checkpoint_every: 1, ..Recipe::default() }
}

fn failed(error: TrainError) -> String {
    format!("it failed: {error}")
}

fn read(adapter: &Adapter, file: &str) -> Result<Vec<u8>, String> {
    let path = adapter.folder.join(file);
    fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
}

fn same_bytes(one: &Adapter, other: &Adapter, when: &str) -> Result<(), String> {
    [CONFIG, WEIGHTS].into_iter().try_for_each(|file| {
        let (one, other) = (read(one, file)?, read(other, file)?);
        let differ = one.iter().zip(&other).filter(|(a, b)| a != b).count();
        ensure(one == other, || {
            format!(
                "{differ} bytes of {file} differ {when}, which had {} bytes and then {}",
                one.len(),
                other.len()
            )
        })
    })
}

fn refused(
    result: Result<Adapter, TrainError>,
    expected: impl Fn(&TrainError) -> bool,
) -> Result<(), String> {
    match result {
        Ok(_) => Err("an adapter was trained".into()),
        Err(error) => ensure(expected(&error), || format!("it failed otherwise: {error:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HashingTrainer;
    use crate::contracts::broken;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn double() -> HashingTrainer {
        HashingTrainer::new(ModelId::new("double"))
    }

    #[test]
    fn the_double_keeps_its_promises() {
        let scratch = tempfile::tempdir().unwrap();
        trainer(&double(), scratch.path());
    }

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Fault {
        WrongDigest,
        SkipsAReport,
        NeverTheSame,
        StartsOver,
        MindsTheBreak,
        ContinuesAnything,
        ServesAnything,
        LearnsOneResponse,
        StartsFromNothing,
    }

    struct Broken(Fault, AtomicU64);

    impl Trainer for Broken {
        fn id(&self) -> String {
            "broken".into()
        }

        fn train(
            &self,
            job: &TrainJob<'_>,
            on_step: &mut dyn FnMut(&Step) -> ControlFlow<()>,
        ) -> Result<Adapter, TrainError> {
            let Broken(fault, calls) = self;
            let calls = calls.fetch_add(1, Ordering::Relaxed);
            let (mut recipe, mut job, mut examples) = (job.recipe.clone(), *job, job.examples.to_vec());
            let mut skip = false;
            match fault {
                Fault::NeverTheSame => job.seed = Seed(calls),
                Fault::StartsOver => recipe.checkpoint_every = 0,
                Fault::MindsTheBreak if job.out.join("checkpoint.json").exists() => recipe.alpha += 1.0,
                Fault::ContinuesAnything if job.out.join("checkpoint.json").exists() => {
                    job.seed = Seed(calls)
                }
                Fault::ServesAnything => {
                    recipe = super::recipe();
                    examples.iter_mut().for_each(|example| example.weight = 1.0);
                    if examples.is_empty() {
                        examples = super::examples();
                    }
                }
                Fault::StartsFromNothing => job.from = None,
                Fault::LearnsOneResponse => examples.iter_mut().for_each(|example| example.others.clear()),
                Fault::SkipsAReport => skip = true,
                _ => {}
            }
            let job = TrainJob { recipe: &recipe, examples: &examples, ..job };
            let mut report = |step: &Step| {
                if skip && step.step == 1 { ControlFlow::Continue(()) } else { on_step(step) }
            };
            let mut adapter = double().train(&job, &mut report)?;
            if *fault == Fault::WrongDigest {
                adapter.digest = "0".repeat(64);
            }
            Ok(adapter)
        }
    }

    #[test]
    fn every_rule_can_be_broken() {
        let scratch = tempfile::tempdir().unwrap();
        let double = double();
        let mut untried: Vec<&str> = rules(&double, scratch.path()).iter().map(|rule| rule.promise).collect();
        for fault in [
            Fault::WrongDigest,
            Fault::SkipsAReport,
            Fault::NeverTheSame,
            Fault::StartsOver,
            Fault::MindsTheBreak,
            Fault::ContinuesAnything,
            Fault::ServesAnything,
            Fault::LearnsOneResponse,
            Fault::StartsFromNothing,
        ] {
            let scratch = tempfile::tempdir().unwrap();
            let faulty = Broken(fault, AtomicU64::new(0));
            let found = broken(&rules(&faulty, scratch.path()));
            assert!(!found.is_empty(), "{fault:?} goes unnoticed");
            untried.retain(|promise| !found.iter().any(|(found, _)| found == promise));
        }
        assert_eq!(untried, Vec::<&str>::new(), "rules that no fault breaks");
    }
}
