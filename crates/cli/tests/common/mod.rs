//! The command as a user's shell runs it, on files of a folder of its own.
#![allow(dead_code)] // every test file uses a part

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name).canonicalize().unwrap()
}

/// A folder with some files, and the command run in it.
pub struct Place {
    pub folder: tempfile::TempDir,
}

/// What the command said.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Place {
    pub fn new() -> Self {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    /// The remarks of the mini task under other column names, and an experiment on them with the tiny models.
    pub fn with_remarks() -> Self {
        let place = Place::new();
        for file in ["labeled.csv", "unlabeled.jsonl", "test.csv"] {
            std::fs::copy(fixture("minitask").join(file), place.path(file)).unwrap();
        }
        place.write("exp.toml", experiment("").as_bytes());
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn run(&self, args: &[&str]) -> Said {
        self.run_with(args, "")
    }

    /// With this on standard input.
    pub fn run_with(&self, args: &[&str], stdin: &str) -> Said {
        let mut child = self.command(args).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| self.plain(&String::from_utf8(bytes).unwrap());
        Said { code: status.code(), out: text(stdout), err: text(stderr) }
    }

    /// The command itself, not yet started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_semievol"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("SEMIEVOL_CACHE", self.path("cache"))
            .env("SEMIEVOL_OFFLINE", "1")
            .env("HF_HOME", self.path("hf"))
            .env_remove("HF_HUB_CACHE")
            .env_remove("RUST_BACKTRACE")
            .env_remove("http_proxy")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Without what differs from machine to machine.
    fn plain(&self, text: &str) -> String {
        let folder = self.folder.path().canonicalize().unwrap();
        text.replace(&folder.display().to_string(), "FOLDER")
            .replace(&self.folder.path().display().to_string(), "FOLDER")
            .replace(&fixture("").display().to_string(), "FIXTURES")
    }
}

/// An experiment on the remarks with the tiny models; `more` stands in its first table.
pub fn experiment(more: &str) -> String {
    let arms = if more.contains("arms =") { "" } else { "arms = ['vanilla', 'sft']\n" };
    format!(
        r#"name = "remarks"
model = {:?}
embedder = {:?}
{arms}{more}
[data]
labelled = "labeled.csv"
unlabelled = "unlabeled.jsonl"
test = "test.csv"
[train]
max_steps = 3
rank = 4
"#,
        fixture("tiny-llama").display().to_string(),
        fixture("tiny-bert").display().to_string()
    )
}
