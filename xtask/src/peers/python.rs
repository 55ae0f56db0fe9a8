//! The peers' side: which of them are installed, and their programs in benches/peers.

use super::plan::Engine;
use anyhow::{Context, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Python and what can be imported there.
#[derive(Debug)]
pub struct Python {
    program: PathBuf,
    versions: Value,
}

impl Python {
    /// Asks it for its packages; one that does not start has none.
    pub fn new(program: PathBuf) -> Self {
        let mut python = Python { program, versions: Value::Null };
        let output = python.command(&["versions.py".to_owned()]).output();
        if let Some(output) = output.ok().filter(|output| output.status.success()) {
            python.versions = serde_json::from_slice(&output.stdout).unwrap_or_default();
        }
        python
    }

    /// A program of benches/peers with its arguments.
    pub fn command(&self, args: &[String]) -> Command {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/peers");
        let mut command = Command::new(&self.program);
        command.arg(folder.join(&args[0])).args(&args[1..]);
        // Everything is at hand; nothing is to be asked of a server or left in the source tree.
        command.env("HF_HUB_OFFLINE", "1").env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    pub fn version(&self, package: &str) -> Option<&str> {
        self.versions[package].as_str()
    }

    pub fn has(&self, engine: Engine) -> bool {
        engine.packages().iter().all(|package| self.version(package).is_some())
    }

    /// Name and version of everything asked for.
    pub fn describe(&self) -> Vec<String> {
        let Value::Object(versions) = &self.versions else {
            return vec![format!("{}: does not start", self.program.display())];
        };
        let version = |(name, version): (&String, &Value)| {
            format!("{name}: {}", version.as_str().unwrap_or("not installed"))
        };
        versions.iter().map(version).collect()
    }

    /// The GGUF files to try: the model as it is, and what the `gguf` package makes of it.
    pub fn gguf_files(&self, model: &Path, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let mut files = vec![model.to_owned()];
        if self.version("gguf").is_some() {
            let args = ["gguf_files.py".into(), model.display().to_string(), folder.display().to_string()];
            let output = self.command(&args).output().context("gguf_files.py does not start")?;
            if !output.status.success() {
                bail!("gguf_files.py failed: {}", String::from_utf8_lossy(&output.stderr).trim());
            }
            files.extend(["Q8_0.gguf", "F32.gguf"].map(|name| folder.join(name)));
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_that_does_not_start_has_no_peers() {
        let python = Python::new("/nonexistent/python".into());
        assert!(!python.has(Engine::Peft) && !python.has(Engine::LlamaCpp) && python.has(Engine::Ours));
        assert_eq!(python.describe(), ["/nonexistent/python: does not start"]);
    }
}
