//! The experiment files that come with the project.

use anyhow::{Context, bail};
use semievol::ExperimentConfig;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the named experiments.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments")
}

/// The file of an experiment: a path that ends in `.toml`, or one of the names.
pub fn find(name: &str) -> anyhow::Result<PathBuf> {
    if Path::new(name).extension().is_some_and(|extension| extension == "toml") {
        return Ok(PathBuf::from(name));
    }
    let file = folder().join(format!("{name}.toml"));
    if !file.is_file() {
        bail!(
            "there is no experiment `{name}`: take one of {}, or give the path of a .toml file",
            names()?.join(", ")
        );
    }
    Ok(file)
}

/// The names, sorted.
pub fn names() -> anyhow::Result<Vec<String>> {
    let folder = folder();
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let files = entries.flatten().map(|entry| entry.path());
    let tomls = files.filter(|file| file.extension().is_some_and(|extension| extension == "toml"));
    let mut names: Vec<String> =
        tomls.filter_map(|file| Some(file.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    Ok(names)
}

/// Name and description of each experiment, one a line.
pub fn list() -> anyhow::Result<String> {
    let names = names()?;
    let width = names.iter().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for name in names {
        let file = folder().join(format!("{name}.toml"));
        let config = ExperimentConfig::parse(&fs::read_to_string(&file)?, &file)?;
        text += &format!("{name:width$}  {}\n", config.description);
    }
    Ok(text)
}
