//! The experiments, studies and suites that come with the project.

use anyhow::{Context, bail};
use semievol::ExperimentConfig;
use serde::de::DeserializeOwned;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the named experiments, studies or suites.
fn folder(what: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(what)
}

const EXPERIMENTS: &str = "experiments";
const STUDIES: &str = "studies";
const SUITES: &str = "suites";

/// A study's table: the arms and methods that it puts into an experiment. Its description is taken out.
pub fn study(name: &str) -> anyhow::Result<toml::Table> {
    let mut study: toml::Table = read(&locate(STUDIES, "study", name)?)?;
    study.remove("description");
    Ok(study)
}

/// The file of a suite.
pub fn suite(name: &str) -> anyhow::Result<PathBuf> {
    locate(SUITES, "suite", name)
}

/// The names of all suites.
pub fn suites() -> anyhow::Result<Vec<String>> {
    names(SUITES)
}

/// Reads a file of the project's.
pub fn read<T: DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    toml::from_str(&text).with_context(|| file.display().to_string())
}

/// The file of an experiment: a path that ends in `.toml`, or one of the names.
pub fn find(name: &str) -> anyhow::Result<PathBuf> {
    locate(EXPERIMENTS, "experiment", name)
}

fn locate(what: &str, one: &str, name: &str) -> anyhow::Result<PathBuf> {
    if Path::new(name).extension().is_some_and(|extension| extension == "toml") {
        return Ok(PathBuf::from(name));
    }
    let file = folder(what).join(format!("{name}.toml"));
    if !file.is_file() {
        bail!(
            "there is no {one} `{name}`: take one of {}, or give the path of a .toml file",
            names(what)?.join(", ")
        );
    }
    Ok(file)
}

/// The names in a folder, sorted.
fn names(what: &str) -> anyhow::Result<Vec<String>> {
    let folder = folder(what);
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let files = entries.flatten().map(|entry| entry.path());
    let tomls = files.filter(|file| file.extension().is_some_and(|extension| extension == "toml"));
    let mut names: Vec<String> =
        tomls.filter_map(|file| Some(file.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    Ok(names)
}

/// Name and description of each experiment and each study, one a line.
pub fn list() -> anyhow::Result<String> {
    let (experiments, studies) = (names(EXPERIMENTS)?, names(STUDIES)?);
    let width = experiments.iter().chain(&studies).map(String::len).max().unwrap_or(0);
    let mut text = "Experiments: data, model and recipe\n".to_owned();
    for name in experiments {
        let file = folder(EXPERIMENTS).join(format!("{name}.toml"));
        let config = ExperimentConfig::parse(&fs::read_to_string(&file)?, &file)?;
        text += &format!("  {name:width$}  {}\n", config.description);
    }
    text += "Studies, for --study: what is compared, on any experiment\n";
    for name in studies {
        let study: toml::Table = read(&folder(STUDIES).join(format!("{name}.toml")))?;
        let description = study.get("description").and_then(|text| text.as_str()).unwrap_or_default();
        text += &format!("  {name:width$}  {description}\n");
    }
    Ok(text)
}
