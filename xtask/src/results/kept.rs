//! Where results are kept: a file for each seed, so that runs on several machines go together.

use anyhow::{Context, bail};
use semievol::Results;
use semievol::pipeline::files;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder of the project that keeps results.
pub struct Kept {
    folder: PathBuf,
}

impl Kept {
    /// What is kept in a folder.
    pub fn in_folder(folder: &Path) -> Self {
        Kept { folder: folder.to_owned() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn of(&self, name: &str) -> PathBuf {
        self.folder.join("data").join(name)
    }

    fn seed(&self, name: &str, seed: u64) -> PathBuf {
        self.of(name).join(format!("seed-{seed}.json"))
    }

    /// Keeps each seed's results, in the place of those that there were; nothing where they do not go together with
    /// the other seeds.
    pub fn keep(&self, results: &Results) -> anyhow::Result<()> {
        let new = results.by_seed()?;
        let replaced: Vec<PathBuf> =
            new.iter().map(|one| self.seed(&results.name, one.seeds[0].seed)).collect();
        let others = self.files(&results.name)?.into_iter().filter(|file| !replaced.contains(file));
        let others = others.map(|file| read(&file)).collect::<anyhow::Result<Vec<_>>>()?;
        Results::together(others.into_iter().chain(new.clone()).collect()).with_context(|| {
            format!("{}: kept as it was; remove that folder to begin anew", self.of(&results.name).display())
        })?;
        for (file, one) in replaced.iter().zip(&new) {
            // In one line: these files are read by programs.
            files::write(file, (serde_json::to_string(one)? + "\n").as_bytes())?;
        }
        Ok(())
    }

    /// Whether a seed is kept.
    ///
    /// # Errors
    /// If seeds of other settings are, with which it could not be kept once it has been run.
    pub fn has(&self, name: &str, seed: u64, settings: &str) -> anyhow::Result<bool> {
        for file in self.files(name)? {
            if read(&file)?.settings != settings {
                bail!(
                    "{}: was made with other settings than are asked for now, so further seeds cannot stand beside it; remove {} to begin anew",
                    file.display(),
                    self.of(name).display()
                );
            }
        }
        Ok(self.seed(name, seed).is_file())
    }

    /// The files of one experiment.
    fn files(&self, name: &str) -> anyhow::Result<Vec<PathBuf>> {
        let mut files = entries(&self.of(name))?;
        // A write that was cut off leaves its temporary file.
        files.retain(|file| file.extension().is_some_and(|end| end == "json"));
        Ok(files)
    }

    /// All that is kept, by name, over the seeds of each.
    pub fn all(&self) -> anyhow::Result<BTreeMap<String, Results>> {
        let mut all = BTreeMap::new();
        for folder in entries(&self.folder.join("data"))?.into_iter().filter(|entry| entry.is_dir()) {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let seeds =
                self.files(&name)?.iter().map(|file| read(file)).collect::<anyhow::Result<Vec<_>>>()?;
            if !seeds.is_empty() {
                let together = Results::together(seeds).with_context(|| folder.display().to_string())?;
                all.insert(name, together);
            }
        }
        Ok(all)
    }
}

fn read(file: &Path) -> anyhow::Result<Results> {
    Results::read(file).context("remove that file to run its seed again")
}

/// What stands in a folder, sorted; nothing where there is none.
pub fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut entries = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use semievol::pipeline::files;
    use serde_json::{Value, json};

    /// One seed of a run with two arms and three test rows.
    fn results(name: &str, seed: u64, settings: &str, right: &str) -> Results {
        let arm = |arm: &str, right: &str| {
            let n_correct = right.matches('1').count();
            json!({
                "arm": arm, "cost": {"steps": 1, "prompts": 0}, "n": 3, "n_correct": n_correct, "n_unparsed": 0,
                "accuracy": n_correct as f64 / 3.0, "interval": {"low": 0.0, "high": 1.0, "level": 0.95},
                "right": right,
            })
        };
        let seed = json!({
            "seed": seed, "sizes": {"labelled": 2, "unlabelled": 4, "test": 3}, "overlap": {"pairs": []},
            "arms": [arm("sft", "100"), arm("semievol", right)], "test_ids": ["a", "b", "c"],
        });
        let whole: Value = json!({
            "name": name, "model": "tiny@0", "parts": ["trainer"], "settings": settings, "data": ["1"], "seeds": [seed], "summary": [],
        });
        serde_json::from_value::<Results>(whole).expect("results").by_seed().expect("one seed").remove(0)
    }

    #[test]
    fn seeds_go_together_and_what_differs_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = Kept::in_folder(folder.path());
        assert!(kept.all().expect("nothing yet").is_empty());
        kept.keep(&results("a", 2, "s", "110")).expect("the first");
        kept.keep(&results("a", 1, "s", "111")).expect("another seed");
        kept.keep(&results("b", 1, "t", "111")).expect("another experiment");
        let all = kept.all().expect("all");
        let seeds = |name: &str| all[name].seeds.iter().map(|seed| seed.seed).collect::<Vec<_>>();
        assert_eq!((seeds("a"), seeds("b")), (vec![1, 2], vec![1]));
        let gain = all["a"].summary[1].gain.as_ref().expect("a gain over two seeds");
        assert!((gain.mean - 0.5).abs() < 1e-12);
        assert!(kept.has("a", 2, "s").expect("readable") && !kept.has("a", 3, "s").expect("readable"));
        let early = kept.has("a", 3, "t").expect_err("other settings").to_string();
        assert!(
            early.contains("was made with other settings") && early.ends_with("to begin anew"),
            "{early}"
        );

        let error = format!("{:#}", kept.keep(&results("a", 3, "t", "111")).expect_err("other settings"));
        assert!(
            error.contains("remove that folder to begin anew") && error.contains("the settings"),
            "{error}"
        );
        assert_eq!(kept.all().expect("as before")["a"].seeds.len(), 2);
        // What a write leaves that was cut off is no result, and what cannot be read may be replaced.
        fs::write(folder.path().join("data/a/seed-9.json.123.tmp"), "{").expect("a leftover");
        fs::write(folder.path().join("data/.DS_Store"), "x").expect("another");
        assert_eq!(kept.all().expect("all")["a"].seeds.len(), 2);
        fs::write(kept.seed("a", 2), "{").expect("a broken file");
        let error = format!("{:#}", kept.all().expect_err("a broken file"));
        assert!(error.contains("remove that file") && error.contains("seed-2.json"), "{error}");
        // A seed that is run again takes the place of the one that was kept.
        kept.keep(&results("a", 2, "s", "000")).expect("again");
        assert_eq!(kept.all().expect("all")["a"].seeds[1].arms[1].n_correct, 0);
    }

    #[test]
    fn the_pages_are_what_the_kept_results_give() {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/results");
        let copy = tempfile::tempdir().expect("a folder");
        let pages = || entries(&project).expect("pages").into_iter().filter(|file| file.is_file());
        for file in pages() {
            fs::copy(&file, copy.path().join(file.file_name().expect("a name"))).expect("a copy");
        }
        for (name, results) in Kept::in_folder(&project).all().expect("kept results") {
            for part in results.by_seed().expect("seeds") {
                let text = serde_json::to_vec(&part).expect("json");
                let file = Kept::in_folder(copy.path()).seed(&name, part.seeds[0].seed);
                files::write(&file, &text).expect("a copy");
            }
        }
        super::super::write_pages(&Kept::in_folder(copy.path())).expect("pages");
        for file in pages() {
            let read = |file: &Path| fs::read_to_string(file).expect("a page");
            let written = read(&copy.path().join(file.file_name().expect("a name")));
            assert!(read(&file) == written, "{}: `cargo xtask results` writes it anew", file.display());
        }
    }
}
