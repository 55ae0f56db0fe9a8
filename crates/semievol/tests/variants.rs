//! Several methods in one experiment, and the arms around them.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{engine, hub, minitask, rows, without_answers};
use semievol::core::Seed;
use semievol::model::Embedder;
use semievol::pipeline::{PretrainConfig, PromptRecord, Stage, Unit};
use semievol::retrieval::{Hit, Query, RetrievalError, Retriever, RetrieverFactory};
use semievol::select::SelectError;
use semievol::select::classify::{Classifier, Rows, Taught};
use semievol::{Arm, Event, Experiment, ExperimentConfig, Parts, StageEvent};
use std::path::Path;
use std::sync::Arc;

fn experiment(arms: &str, methods: &str) -> Result<Experiment, semievol::ConfigError> {
    let text = minitask("arms = ['vanilla']").config().to_toml();
    let text = text.replace(r#"arms = ["vanilla"]"#, &format!("arms = [{arms}]")) + methods;
    let file = Path::new("variants.toml");
    ExperimentConfig::parse(&text, file).unwrap().check(file)
}

#[test]
fn methods_share_the_stages_that_they_have_in_common() {
    let methods = "[methods.paper]\npreset = 'paper'\n[methods.few]\npreset = 'paper'\nunlabelled_per_label = 1.1\nselect = { kind = 'all' }\n[methods.adapted]\npreset = 'paper'\npretrain = { epochs = 1 }\n";
    let arms = "'sft', 'paper', 'few', 'sft_pretrained', 'adapted', 'sft_matched', 'oracle', 'classifier', 'in_context_bm25'";
    let experiment = experiment(arms, methods).unwrap();
    let out = tempfile::tempdir().unwrap();
    let mut begun: Vec<String> = Vec::new();
    let results = experiment.run(
        &hub(),
        engine().parts(),
        &mut |event| {
            if let Event::Stage { event: StageEvent::Begin(stage), .. } = event {
                begun.push(stage.name.clone());
            }
        },
        out.path(),
    );
    let results = results.unwrap();
    // The paper's warm model learns what the arm `sft` learns, and both methods embed the same rows.
    assert!(begun.contains(&"sft".to_owned()) && !begun.contains(&"paper/warm".to_owned()), "{begun:?}");
    assert_eq!(begun.iter().filter(|name| name.ends_with("embeddings")).count(), 1, "{begun:?}");
    assert!(begun.contains(&"paper/evolved".to_owned()) && begun.contains(&"few/evolved".to_owned()));

    let seed = &results.seeds[0];
    let names: Vec<&str> = seed.arms.iter().map(|arm| arm.arm.as_str()).collect();
    assert_eq!(
        names.join(" "),
        "sft paper few sft_pretrained adapted sft_matched oracle classifier in_context_bm25"
    );
    // Both go on from adapters that learnt to write the prompts, in passes of different number.
    for name in ["pretrain-", "adapted/pretrain-"] {
        assert!(begun.iter().any(|one| one.starts_with(name)), "{name}: {begun:?}");
    }
    assert!(begun.contains(&"adapted/warm".to_owned()));
    assert!(seed.arms.iter().all(|arm| arm.n == seed.sizes.test));
    let [paper, few, _] = &seed.pseudo[..] else { panic!("{}", seed.pseudo.len()) };
    assert_eq!((paper.n, few.n), (seed.sizes.unlabelled, 10));
    assert_eq!(few.n_kept, 10 - few.n_unanswered);
    for file in
        ["paper/selection.jsonl", "few/evolved/adapter_model.safetensors", "predictions-classifier.jsonl"]
    {
        assert!(results.folder.join("seed-1").join(file).is_file(), "{file}");
    }
    let headings: Vec<String> = results.pseudo_tables().into_iter().map(|(heading, _)| heading).collect();
    assert_eq!(
        headings[..4],
        ["pseudo-labels of paper", "confidence of paper", "pseudo-labels of few", "confidence of few"]
    );
    // The control takes the steps of the longest.
    let steps = |name: &str| {
        let file = results.folder.join("seed-1").join(name).join("steps.jsonl");
        std::fs::read_to_string(file).unwrap().lines().count()
    };
    assert_eq!(steps("sft_matched"), steps("paper/evolved").max(steps("few/evolved")));
    // What an arm costs is what it trains and asks, its test rows not among it.
    let cost = |name: &str| seed.arms.iter().find(|arm| arm.arm.as_str() == name).unwrap().cost;
    assert_eq!((cost("sft").steps, cost("sft").prompts), (steps("sft"), 0));
    assert_eq!(cost("paper").steps, steps("sft") + steps("paper/evolved"));
    assert!(cost("paper").prompts > 4 * paper.n && cost("in_context_bm25").prompts == 0);

    // The first method is what the others are held against, and nothing else is.
    let accuracy = |name: &str| seed.arms.iter().find(|arm| arm.arm.as_str() == name).unwrap().accuracy;
    for arm in &results.summary {
        let name = arm.arm.as_str();
        let Some(gain) = &arm.over_method else {
            assert!(!["few", "adapted"].contains(&name));
            continue;
        };
        assert!(["few", "adapted"].contains(&name) && gain.against == Arm::Variant("paper".into()), "{name}");
        assert!((gain.mean - (accuracy(name) - accuracy("paper"))).abs() < 1e-12);
        assert!(gain.interval.holds(gain.mean));
    }
    let table = results.methods_table().unwrap().to_markdown();
    assert!(table.contains("over paper") && table.contains("adapted") && !table.contains("sft"), "{table}");
}

#[test]
fn arms_and_methods_have_to_fit_each_other() {
    let refused = |arms: &str, methods: &str| experiment(arms, methods).unwrap_err().to_string();
    let unknown = refused("'sft', 'semi_evol'", "");
    assert!(unknown.contains("\"semi_evol\"") && unknown.contains("semievol, oracle"), "{unknown}");
    let taken = refused("'sft'", "[methods.sft]\npreset = 'paper'\n");
    assert!(taken.contains("\"sft\"") && taken.contains("nothing else"), "{taken}");
    let folder = refused("'sft'", "[methods.'a/b']\npreset = 'paper'\n");
    assert!(folder.contains("folder"), "{folder}");
    let prefixed = refused("'sft'", "[methods.tune-1]\npreset = 'paper'\n");
    assert!(prefixed.contains("\"tune-1\""), "{prefixed}");
    let lonely = refused("'sft', 'sft_matched'", "");
    assert!(lonely.contains("sft_matched"), "{lonely}");
    let wrong = refused("'sft', 'mine'", "[methods.mine]\nneighbours = 0\n");
    assert!(wrong.contains("neighbours is 0"), "{wrong}");
}

#[test]
fn without_arms_every_method_is_one() {
    let experiment = experiment("", "[methods.paper]\npreset = 'paper'\n").unwrap();
    assert_eq!(experiment.config().arms.last(), Some(&Arm::Variant("paper".into())));
}

#[test]
fn answers_without_the_warm_models_scores_are_not_taken_for_answers_with_them() {
    let warm = "collaborators = [{ kind = 'language_model', name = 'warm', temperature = 0.0 }]";
    let methods = format!(
        "[methods.pooled]\npreset = 'paper'\ncombine = {{ kind = 'log_pool' }}\n{warm}\n[methods.alone]\npreset = 'paper'\n{warm}\n"
    );
    let experiment = experiment("'pooled', 'alone'", &methods).unwrap();
    let out = tempfile::tempdir().unwrap();
    let results = experiment.run(&hub(), engine().parts(), &mut |_| (), out.path()).unwrap();
    let kept: Vec<usize> = results.seeds[0].pseudo.iter().map(|pseudo| pseudo.n_kept).collect();
    assert!(kept.iter().all(|kept| *kept > 0), "{kept:?}");
}

#[test]
fn neighbours_are_shown_where_the_method_shows_none() {
    let mut config = experiment("'vanilla', 'in_context'", "").unwrap().config().clone();
    config.method = semievol::preset("best").unwrap();
    let experiment = config.check(Path::new("best.toml")).unwrap();
    assert!(experiment.embedder().is_some());
    let out = tempfile::tempdir().unwrap();
    let results = experiment.run(&hub(), engine().parts(), &mut |_| (), out.path()).unwrap();
    // The tiny model's context holds none of them, but they were looked up and asked with.
    let stage = |arm: &str| {
        let file = results.folder.join(format!("seed-1/stages/predictions-{arm}.json"));
        let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        manifest["inputs"]["questions"].clone()
    };
    assert_ne!(stage("in_context"), stage("vanilla"));
}

#[test]
fn trained_arms_are_asked_in_other_words_too() {
    let mut config = experiment("'vanilla', 'sft'", "").unwrap().config().clone();
    config.paraphrases = vec!["Pick one.".into(), "Which is it?".into()];
    let experiment = config.clone().check(Path::new("words.toml")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let results = experiment.run(&hub(), engine().parts(), &mut |_| (), out.path()).unwrap();
    let [vanilla, sft] = &results.seeds[0].arms[..] else { panic!("two arms") };
    assert!(vanilla.paraphrased.is_empty() && sft.paraphrased.len() == 2);
    let read = |file: &str| std::fs::read_to_string(results.folder.join("seed-1").join(file)).unwrap();
    let answers =
        ["sft", "sft-paraphrase-1", "sft-paraphrase-2"].map(|arm| read(&format!("predictions-{arm}.jsonl")));
    assert!(answers[0] != answers[1] && answers[1] != answers[2]);
    assert!(read("../table.md").contains("## in other words"));
    let mut consistent = config.clone();
    (consistent.arms, consistent.method.evolve.paraphrase) = (vec![Arm::Semievol], true);
    consistent.taught_paraphrases = vec!["Say which.".into(), "Decide.".into()];
    consistent.method.select = semievol::select::SelectorConfig::All {};
    let file = Path::new("words.toml");
    let out = tempfile::tempdir().unwrap();
    let results =
        consistent.clone().check(file).unwrap().run(&hub(), engine().parts(), &mut |_| (), out.path());
    assert_eq!(results.unwrap().seeds[0].arms[0].paraphrased.len(), 2);
    let refused = |taught: Vec<String>| {
        let config = ExperimentConfig { taught_paraphrases: taught, ..consistent.clone() };
        config.check(file).unwrap_err().to_string()
    };
    let (none, measured) = (refused(Vec::new()), refused(vec!["Pick one.".into()]));
    assert!(none.contains("`taught_paraphrases` is []"), "{none}");
    assert!(measured.contains("other instructions than those"), "{measured}");
    config.paraphrases = vec!["Pick one.".into(); 2];
    let error = config.check(Path::new("words.toml")).unwrap_err().to_string();
    assert!(error.contains("\"Pick one.\" occurs twice"), "{error}");
}

#[test]
fn a_recipe_is_chosen_on_the_labels_alone() {
    let methods = "[methods.crowd]\npreset = 'best'\nfolds = 3\n";
    let mut config = experiment("'sft', 'crowd'", methods).unwrap().config().clone();
    let tune = semievol::pipeline::TuneConfig { folds: 3, epochs: vec![1, 2], ..Default::default() };
    config.tune = Some(tune);
    let error = config.clone().check(Path::new("tune.toml")).unwrap_err().to_string();
    assert!(error.contains("tune.epochs changes nothing, for train.max_steps = 3"), "{error}");
    (config.train.max_steps, config.train.batch_size) = (0, 4);
    let experiment = config.check(Path::new("tune.toml")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let mut begun: Vec<String> = Vec::new();
    let run = |begun: &mut Vec<String>| {
        let mut on = |event: &Event| {
            if let Event::Stage { event: StageEvent::Begin(stage), .. } = event {
                begun.push(stage.name.clone());
            }
        };
        experiment.run(&hub(), engine().parts(), &mut on, out.path()).unwrap()
    };
    let results = run(&mut begun);
    let tuned = &results.seeds[0].tuned;
    assert_eq!(tuned.iter().map(|one| (one.epochs, one.held_out.of)).collect::<Vec<_>>(), [(1, 9), (2, 9)]);
    assert_eq!(tuned.iter().filter(|one| one.chosen).count(), 1);
    let chosen = tuned.iter().find(|one| one.chosen).unwrap();
    assert!(tuned.iter().all(|one| one.held_out.right <= chosen.held_out.right));
    // The method's folds are those that the choice was made with.
    assert!(begun.iter().any(|name| name == "tune-epochs-2-lr-0.0005/fold-0"), "{begun:?}");
    assert!(!begun.iter().any(|name| name == "crowd/fold-0"), "{begun:?}");
    let steps =
        std::fs::read_to_string(results.folder.join("seed-1/sft/steps.jsonl")).unwrap().lines().count();
    assert_eq!(steps, 3 * chosen.epochs);
    assert!(results.to_markdown().contains("held-out labels right"));
    begun.clear();
    run(&mut begun);
    assert!(begun.is_empty(), "{begun:?}");
}

#[test]
fn a_selector_is_chosen_on_the_labels_alone() {
    use semievol::select::{Over, SelectorConfig};
    let mut config = experiment("'sft', 'semievol'", "").unwrap().config().clone();
    config.method = semievol::preset("paper").unwrap();
    let few = SelectorConfig::Percentile { theta: 20.0, over: Over::Unlabelled };
    let select = vec![few, SelectorConfig::All {}];
    let tune = semievol::pipeline::TuneConfig { folds: 3, select, ..Default::default() };
    config.tune = Some(tune.clone());
    let refused =
        |config: &ExperimentConfig| config.clone().check(Path::new("tune.toml")).unwrap_err().to_string();
    let mut wrong = config.clone();
    wrong.arms = vec![Arm::Sft];
    assert!(refused(&wrong).contains("`tune.select` is set"), "{}", refused(&wrong));
    wrong = config.clone();
    wrong.method.evolve.on = semievol::pipeline::EvolveOn::Selected;
    assert!(refused(&wrong).contains("`tune.select` is set"), "{}", refused(&wrong));
    let out = tempfile::tempdir().unwrap();
    // What the run refuses the plan refuses too, and before anything is computed.
    let stopped = |config: &ExperimentConfig| {
        let unfit = config.clone().check(Path::new("tune.toml")).unwrap();
        let drawn = unfit.draw(1, &hub(), &mut |_| ()).unwrap();
        let planned = unfit.check_rows(&drawn, engine().parts()).unwrap_err().to_string();
        let mut begun = 0;
        let mut on = |event: &Event| begun += usize::from(matches!(event, Event::Stage { .. }));
        let run = unfit.run(&hub(), engine().parts(), &mut on, out.path()).unwrap_err().to_string();
        assert_eq!((planned, begun), (run.clone(), 0));
        run
    };
    wrong = config.clone();
    wrong.tune.as_mut().unwrap().select[1] = SelectorConfig::NoiseAware {};
    let folds = stopped(&wrong);
    assert!(folds.contains("noise_aware") && folds.contains("method.folds is 0"), "{folds}");
    wrong = config.clone();
    wrong.method.folds = 7;
    let few = stopped(&wrong);
    assert!(
        few.contains("tune.folds = 3, for 6 of the labels alone") && few.contains("method.folds is 7"),
        "{few}"
    );
    // Shares are for those that go by them.
    let mut shares = config.clone();
    shares.method.shares = [("negative", 0.4), ("neutral", 0.2), ("positive", 0.4)]
        .map(|(name, share)| (name.to_owned(), share))
        .into();
    shares.method.select = SelectorConfig::Balanced { theta: 50.0 };
    shares.tune.as_mut().unwrap().select.push(SelectorConfig::Balanced { theta: 50.0 });
    shares.check(Path::new("tune.toml")).unwrap();
    let quick = config.clone().quick();
    assert_eq!(quick.tune.as_ref(), config.tune.as_ref());

    let experiment = config.check(Path::new("tune.toml")).unwrap();
    let mut begun: Vec<Stage> = Vec::new();
    let run = |begun: &mut Vec<Stage>| {
        let mut on = |event: &Event| {
            if let Event::Stage { event: StageEvent::Begin(stage), .. } = event {
                begun.push(stage.clone());
            }
        };
        experiment.run(&hub(), engine().parts(), &mut on, out.path()).unwrap()
    };
    let results = run(&mut begun);
    let seed = &results.seeds[0];
    let tried = seed.selectors.as_ref().unwrap();
    let ids: Vec<&str> = tried.tried.iter().map(|one| one.selector.as_str()).collect();
    assert_eq!(ids, ["percentile(theta=20%, over=unlabelled)", "all"]);
    assert!(tried.tried.iter().all(|one| one.held_out.of == 9) && tried.labels_alone.of == 9);
    let chosen: Vec<_> = tried.tried.iter().filter(|one| one.chosen).collect();
    let [chosen] = chosen[..] else { panic!("{tried:?}") };
    assert!(tried.tried.iter().all(|one| one.held_out.right <= chosen.held_out.right));
    // The arm keeps what the chosen one keeps.
    let [pseudo] = &seed.pseudo[..] else { panic!("{}", seed.pseudo.len()) };
    let all = pseudo.n - pseudo.n_unanswered;
    assert!(if chosen.selector == "all" { pseudo.n_kept == all } else { pseudo.n_kept < all });
    // What the labels' models say is the same for both.
    let begins = |name: &str| begun.iter().any(|begun| begun.name == name);
    assert!(begins("tune-select-1-fold-2/warm") && begins("tune-select-2-fold-2/evolved"), "{begun:?}");
    assert!(!begins("tune-select-2-fold-2/warm"), "{begun:?}");
    let table = results.to_markdown();
    assert!(table.contains("tried the labels alone") && table.contains("; chosen"), "{table}");
    // The plan is an upper limit, and no loose one.
    let total = |unit: Unit| {
        let of_tuning = begun.iter().filter(|stage| stage.unit == unit && stage.name.starts_with("tune-"));
        of_tuning.map(|stage| stage.total).sum::<usize>()
    };
    let (steps, prompts) = experiment.tuning(&seed.sizes);
    let (taken, asked) = (total(Unit::Steps), total(Unit::Prompts));
    assert!(taken <= steps && steps <= 2 * taken, "{taken} of {steps} steps");
    assert!(asked <= prompts && prompts <= 2 * asked, "{asked} of {prompts} prompts");
    begun.clear();
    run(&mut begun);
    assert!(begun.is_empty(), "{begun:?}");
}

#[test]
fn an_oracle_needs_gold_answers() {
    let experiment = experiment("'sft', 'oracle'", "").unwrap();
    let folder = without_answers();
    let blind =
        experiment.config().clone().with_data_root(folder.path()).check(Path::new("blind.toml")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let error = blind.run(&hub(), engine().parts(), &mut |_| (), out.path()).unwrap_err().to_string();
    assert!(error.contains("arm `oracle`"), "{error}");
}

/// Says the first option of whatever is of even length, and else nothing.
struct Even(&'static str);

impl Classifier for Even {
    fn id(&self) -> String {
        self.0.to_owned()
    }
    fn classify(&self, taught: &Taught<'_>, asked: &Rows<'_>, _: Seed) -> Result<Vec<Vec<f64>>, SelectError> {
        let first: Vec<f64> = (0..taught.n_classes).map(|class| f64::from(class == 0)).collect();
        let say = |text: &str| if text.len().is_multiple_of(2) { first.clone() } else { Vec::new() };
        Ok(asked.samples.iter().map(|sample| say(&sample.question)).collect())
    }
}

#[test]
fn an_own_classifier_is_asked_by_name_and_named_by_the_run() {
    let methods = "[methods.even]\npreset = 'paper'\ncollaborators = [{ kind = 'language_model', name = 'warm' }, { kind = 'own', name = 'even' }]\n";
    let experiment = experiment("'sft', 'even'", methods).unwrap();
    let (engine, out) = (engine(), tempfile::tempdir().unwrap());
    let drawn = experiment.draw(1, &hub(), &mut |_| ()).unwrap();
    let refused = experiment.check_rows(&drawn, engine.parts()).unwrap_err().to_string();
    assert!(refused.contains("`even` is of kind own"), "{refused}");

    let run = |id| {
        let method = experiment.method().unwrap().with_classifier("even", Arc::new(Even(id)));
        experiment.check_rows_with(&method, &drawn, engine.parts()).unwrap();
        experiment.run_with(&method, &hub(), engine.parts(), &mut |_| (), out.path()).unwrap()
    };
    let results = run("even 1");
    assert!(results.parts.contains(&"even=even 1".to_owned()), "{:?}", results.parts);
    let manifest = std::fs::read_to_string(results.folder.join("manifest.json")).unwrap();
    assert!(manifest.contains("even=even 1"));
    let [_, even] = &results.seeds[0].pseudo[0].collaborators[..] else { panic!("two collaborators") };
    let answered = drawn.unlabelled.iter().filter(|sample| sample.question.len().is_multiple_of(2)).count();
    assert_eq!((even.name.as_str(), even.n_answered), ("even", answered));
    let graded = even.right.as_ref().map_or(0, |right| right.of);
    assert_eq!(graded, answered);
    // Another classifier of that name makes other results.
    let other = run("even 2");
    assert!(other.folder != results.folder && other.settings != results.settings);
}

/// The last labelled rows, whatever is asked.
struct Last(usize);

impl Retriever for Last {
    fn id(&self) -> String {
        "last".into()
    }
    fn len(&self) -> usize {
        self.0
    }
    fn retrieve(&self, queries: &[Query<'_>], k: usize) -> Result<Vec<Vec<Hit>>, RetrievalError> {
        let last = |query: &Query<'_>| {
            let rows = (0..self.0).rev().filter(|row| Some(*row) != query.exclude);
            rows.take(k).map(|row| Hit { row, score: row as f32 }).collect()
        };
        Ok(queries.iter().map(last).collect())
    }
}

struct LastOf {
    embeds: bool,
}

impl RetrieverFactory for LastOf {
    fn id(&self) -> String {
        "last".into()
    }
    fn needs_embedder(&self) -> bool {
        self.embeds
    }
    fn build(
        &self,
        texts: &[&str],
        _: Option<(Arc<dyn Embedder>, &str)>,
    ) -> Result<Box<dyn Retriever>, RetrievalError> {
        Ok(Box::new(Last(texts.len())))
    }
}

#[test]
fn own_retrieval_serves_arms_that_are_configured_alike_and_is_named_by_the_run() {
    let methods = "[methods.alike]\npreset = 'paper'\n[methods.other]\npreset = 'paper'\nretrieval = { kind = 'bm25' }\n";
    let experiment = experiment("'alike', 'other', 'in_context'", methods).unwrap();
    let (engine, out) = (engine(), tempfile::tempdir().unwrap());
    let drawn = experiment.draw(1, &hub(), &mut |_| ()).unwrap();
    let own = |embeds| experiment.method().unwrap().with_retrieval(Arc::new(LastOf { embeds }));
    let bare = Parts { embedder: None, ..engine.parts() };
    let refused = experiment.check_rows_with(&own(true), &drawn, bare).unwrap_err().to_string();
    assert!(refused.contains("no embedder was loaded"), "{refused}");

    let run = |method| experiment.run_with(&method, &hub(), engine.parts(), &mut |_| (), out.path()).unwrap();
    let results = run(own(false));
    assert!(results.parts.contains(&"retrieval=last".to_owned()), "{:?}", results.parts);
    let manifest = std::fs::read_to_string(results.folder.join("manifest.json")).unwrap();
    assert!(manifest.contains("retrieval=last"));
    let last: Vec<&str> = drawn.labelled.iter().rev().take(3).map(|one| one.sample.id.as_str()).collect();
    let shows_last = |arm: &str| {
        let prompts: Vec<PromptRecord> = rows(&results, &format!("{arm}/prompts.jsonl"));
        prompts
            .iter()
            .all(|prompt| prompt.neighbours.iter().map(|one| one.id.as_str()).eq(last.iter().copied()))
    };
    assert!(shows_last("alike") && !shows_last("other"));
    let plain = run(experiment.method().unwrap());
    assert!(plain.folder != results.folder && plain.settings != results.settings);
    // Nor are settings that a program has changed those of the file.
    let mut changed = experiment.method().unwrap();
    changed.config.neighbours += 1;
    assert!(run(changed).settings != plain.settings);
}

/// Labels that are held out and prompts that are left out make other stages than those of arms that know them all; under one
/// name each would undo the other's.
#[test]
fn arms_that_know_other_rows_leave_each_others_stages_alone() {
    let mut config = minitask("arms = ['semievol', 'oracle', 'classifier']").config().clone();
    config.method.pretrain = Some(PretrainConfig { epochs: 1, ..PretrainConfig::default() });
    config.method.unlabelled_per_label = Some(1.5);
    config.method.rounds.validation = 0.3;
    let experiment = config.check(Path::new("parts.toml")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let begun = || {
        let mut begun: Vec<String> = Vec::new();
        let mut on_event = |event: &Event| {
            if let Event::Stage { event: StageEvent::Begin(stage), .. } = event {
                begun.push(stage.name.clone());
            }
        };
        experiment.run(&hub(), engine().parts(), &mut on_event, out.path()).unwrap();
        begun
    };
    let first = begun();
    for stage in ["pretrain-", "embeddings"] {
        assert_eq!(first.iter().filter(|name| name.starts_with(stage)).count(), 2, "{stage}: {first:?}");
    }
    assert_eq!(begun(), Vec::<String>::new());
}
