//! A command that trains, and what it must have left.

use crate::ElsewhereConfig;
use crate::files::{contents, file_error, put, unfit};
use safetensors::SafeTensors;
use semievol_core::{hex, write_whole};
use semievol_model::{Adapter, ModelId};
use semievol_train::{Schedule, Step, TrainError, TrainJob, Trainer};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The command's output, both streams.
const LOG: &str = "train.log";
/// LLaMA-Factory's progress.
const PROGRESS: &str = "adapter/trainer_log.jsonl";
/// Left by us when the command has ended well.
const ENDED: &str = "ended";
const POLL: Duration = Duration::from_millis(200);
/// Of a log, so many last lines are shown.
const SHOWN: usize = 12;

/// A [`Trainer`] by another program. Its adapters repeat themselves as far as that program does: what was trained once is
/// kept under the job's key and not trained again.
#[derive(Debug, Clone)]
pub struct CommandTrainer {
    config: ElsewhereConfig,
    base: ModelId,
}

/// A line of LLaMA-Factory's progress.
#[derive(Deserialize)]
struct Progress {
    current_steps: usize,
    total_steps: usize,
    #[serde(default)]
    loss: Option<f64>,
    #[serde(default)]
    lr: Option<f64>,
}

impl CommandTrainer {
    /// Trains adapters of `base`, the model of this process that the adapters come back to.
    pub fn new(config: ElsewhereConfig, base: ModelId) -> Self {
        CommandTrainer { config, base }
    }

    /// Runs the command to its end, passing on what progress it writes.
    fn run(
        &self,
        (program, arguments): (&str, &[String]),
        job: &TrainJob<'_>,
        folder: &Path,
        on_step: &mut dyn FnMut(&Step) -> ControlFlow<()>,
    ) -> Result<(), TrainError> {
        let log = folder.join(LOG);
        let out = File::create(&log).map_err(|error| file_error(&log, &error))?;
        let both = out.try_clone().map_err(|error| file_error(&log, &error))?;
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(both)
            .spawn()
            .map_err(|error| unfit(format!("elsewhere.command: {program:?} cannot be run ({error})")))?;
        let mut news = Tail::of(folder.join(PROGRESS));
        loop {
            let ended = child.try_wait().map_err(|error| unfit(format!("{program:?}: {error}")))?;
            for progress in news.lines(ended.is_some()) {
                let step = self.step(job, &progress);
                if on_step(&step).is_break() {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(TrainError::Stopped { steps: progress.current_steps });
                }
            }
            match ended {
                None => std::thread::sleep(POLL),
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    return Err(unfit(format!(
                        "the command ended with {status}; its log is {}, and ends with:\n{}",
                        log.display(),
                        last_lines(&log)
                    )));
                }
            }
        }
    }

    /// The adapter that somebody brought, or an error that says where to put it. Nothing of it is ever removed, whole or not.
    fn by_hand(
        &self,
        job: &TrainJob<'_>,
        folder: &Path,
        aside: Option<PathBuf>,
    ) -> Result<Adapter, TrainError> {
        let left = folder.join("adapter");
        if left.exists() {
            return self.take(job, folder);
        }
        let aside =
            aside.map(|aside| format!(" (the one of another job that was there is {} now)", aside.display()));
        let aside = aside.unwrap_or_default();
        Err(unfit(format!(
            "the job stands in {}: train it there (llamafactory.yaml, axolotl.yaml), put the adapter into {} and run again; or set elsewhere.command{aside}",
            folder.display(),
            left.display()
        )))
    }

    fn step(&self, job: &TrainJob<'_>, progress: &Progress) -> Step {
        let total = progress.total_steps.max(1);
        let step = progress.current_steps.saturating_sub(1).min(total - 1);
        let lr = progress.lr.unwrap_or_else(|| Schedule::new(job.recipe, total).lr(step));
        Step { step, total, loss: progress.loss.unwrap_or(f64::NAN), grad_norm: f64::NAN, lr, tokens: 0 }
    }

    /// The adapter that was left, once it is found to be one of this job.
    fn take(&self, job: &TrainJob<'_>, folder: &Path) -> Result<Adapter, TrainError> {
        let left = folder.join("adapter");
        let log = folder.join(LOG);
        if log.is_file() && has_nan_loss(&folder.join(PROGRESS)) {
            return Err(unfit(format!("the loss is not a number any more; see {}", log.display())));
        }
        let missing = |file: PathBuf, error: std::io::Error| TrainError::File {
            path: file.display().to_string(),
            reason: format!(
                "{error}: there is no whole adapter in PEFT's layout; one that is brought by hand has to be there whole before the run goes on"
            ),
            source: None,
        };
        let read = |name: &str| {
            let file = left.join(name);
            fs::read(&file).map_err(|error| missing(file, error))
        };
        let (weights, config) = (read(Adapter::WEIGHTS_FILE)?, read(Adapter::CONFIG_FILE)?);
        let said = serde_json::from_slice::<serde_json::Value>(&config).unwrap_or_default();
        let rank = said["r"].as_u64();
        if rank != Some(job.recipe.rank as u64) {
            return Err(unfit(format!(
                "the adapter in {} has rank {rank:?}, and the job asks for {}: was it trained by another configuration?",
                left.display(),
                job.recipe.rank
            )));
        }
        // Answers would be computed, and kept, with another scale than that of the training.
        if let Some(alpha) = said["lora_alpha"].as_f64().filter(|alpha| *alpha != job.recipe.alpha) {
            return Err(unfit(format!(
                "the adapter in {} has lora_alpha {alpha}, and the job asks for {}: was it trained by another configuration?",
                left.display(),
                job.recipe.alpha
            )));
        }
        // One that is still being copied would be kept for good.
        let file = left.join(Adapter::WEIGHTS_FILE);
        let found = SafeTensors::deserialize(&weights);
        if found.as_ref().is_ok_and(SafeTensors::is_empty) {
            return Err(TrainError::File {
                path: file.display().to_string(),
                reason: "holds no tensor: what saved it did not gather the weights (FSDP and DeepSpeed have settings for that)".into(),
                source: None,
            });
        }
        if let Err(error) = found {
            return Err(TrainError::File {
                path: file.display().to_string(),
                reason: format!(
                    "it is no whole safetensors file ({error}): put it there whole and run again"
                ),
                source: None,
            });
        }
        fs::create_dir_all(job.out).map_err(|error| file_error(job.out, &error))?;
        for (name, bytes) in [(Adapter::CONFIG_FILE, &config), (Adapter::WEIGHTS_FILE, &weights)] {
            let file = job.out.join(name);
            write_whole(&file, bytes).map_err(|error| file_error(&file, &error))?;
        }
        let digest = hex(&Sha256::digest(&weights));
        Ok(Adapter { base: self.base.clone(), folder: job.out.to_owned(), digest })
    }
}

impl Trainer for CommandTrainer {
    fn id(&self) -> String {
        let ElsewhereConfig { base, command, template, max_tokens } = &self.config;
        let template = template.as_deref().unwrap_or("its own template");
        format!("elsewhere: {base} by {}, {template}, {max_tokens} tokens", command.join(" "))
    }

    fn train(
        &self,
        job: &TrainJob<'_>,
        on_step: &mut dyn FnMut(&Step) -> ControlFlow<()>,
    ) -> Result<Adapter, TrainError> {
        let folder = job.out.join("handoff");
        let left = folder.join("adapter");
        let contents = contents(&self.config, job)?;
        let stands = |(name, text): &(&str, String)| {
            fs::read(folder.join(name)).is_ok_and(|stands| stands == text.as_bytes())
        };
        let mark = folder.join(ENDED);
        let mut aside = None;
        if !contents.iter().all(stands) {
            // Before anything says that what lies there is of this job.
            remove_file(&mark)?;
            aside = set_aside(&left)?;
            put(&contents, &folder)?;
        }
        let [program, arguments @ ..] = self.config.command.as_slice() else {
            return self.by_hand(job, &folder, aside);
        };
        // A command that ended before a kill: the adapter of this very job is there already.
        if !(mark.is_file() && left.join(Adapter::WEIGHTS_FILE).is_file()) {
            // What somebody brought before there was a command is not lost; half of one is of no use to anybody.
            if left.join(Adapter::WEIGHTS_FILE).is_file() {
                set_aside(&left)?;
            } else if left.exists() {
                fs::remove_dir_all(&left).map_err(|error| file_error(&left, &error))?;
            }
            remove_file(&mark)?;
            self.run((program, arguments), job, &folder, on_step)?;
            // Not before the adapter is found whole: a command that left half of one is to be run again.
            let adapter = self.take(job, &folder)?;
            fs::write(&mark, "").map_err(|error| file_error(&mark, &error))?;
            return Ok(adapter);
        }
        self.take(job, &folder)
    }
}

fn remove_file(file: &Path) -> Result<(), TrainError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(file_error(file, &error)),
        _ => Ok(()),
    }
}

/// Gives an adapter that is not to be taken the first free name; where it is now.
fn set_aside(adapter: &Path) -> Result<Option<PathBuf>, TrainError> {
    let free = (1..).map(|n| adapter.with_file_name(format!("adapter-{n}"))).find(|free| !free.exists());
    match free.filter(|_| adapter.exists()) {
        None => Ok(None),
        Some(free) => {
            fs::rename(adapter, &free).map_err(|error| file_error(adapter, &error))?;
            Ok(Some(free))
        }
    }
}

/// A file that grows.
struct Tail {
    file: PathBuf,
    /// Bytes that were read.
    read: u64,
}

impl Tail {
    fn of(file: PathBuf) -> Self {
        Tail { file, read: 0 }
    }

    /// What progress there is since the last time; half a line is none yet, unless it is the last that comes.
    fn lines(&mut self, is_last: bool) -> Vec<Progress> {
        let mut text = Vec::new();
        let opened = File::open(&self.file).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.read))?;
            file.read_to_end(&mut text)
        });
        if opened.is_err() {
            return Vec::new();
        }
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let whole = if is_last { text.len() } else { whole };
        self.read += whole as u64;
        let lines = text[..whole].split(|byte| *byte == b'\n');
        lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }
}

fn has_nan_loss(file: &Path) -> bool {
    // JSON has no NaN; Python writes it all the same.
    fs::read_to_string(file).is_ok_and(|text| text.contains("\"loss\": NaN"))
}

fn last_lines(file: &Path) -> String {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).replace('\r', "\n");
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn each_whole_line_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress.jsonl");
        let mut news = Tail::of(path.clone());
        assert!(news.lines(false).is_empty(), "there is no file yet");
        let mut file = File::create(&path).unwrap();
        let mut steps = |text: &str| -> Vec<usize> {
            file.write_all(text.as_bytes()).unwrap();
            news.lines(false).iter().map(|one| one.current_steps).collect()
        };
        let line =
            |step: usize| format!("{{\"current_steps\": {step}, \"total_steps\": 9, \"loss\": 0.5}}\n");
        assert_eq!(steps(&(line(1) + &line(2))), [1, 2]);
        let (begun, rest) = (line(3)[..9].to_owned(), line(3)[9..].to_owned());
        assert!(steps(&begun).is_empty());
        assert_eq!(steps(&rest), [3]);
        assert_eq!(steps(&format!("not json\n{}", line(4))), [4]);
        assert!(steps("").is_empty() && steps(line(5).trim_end()).is_empty());
        assert_eq!(news.lines(true).len(), 1, "nothing more comes");
    }
}
