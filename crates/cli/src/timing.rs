//! How long each part took: the only place with a clock, and the only file with times.

use semievol::Stage;
use semievol::pipeline::{PipelineError, files};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Measures parts as they end.
#[derive(Debug)]
pub struct Timing {
    started: Instant,
    stage: Instant,
    tokens: usize,
    /// Units of the stage that an earlier run had done.
    kept: usize,
    /// Seconds until the model was there, fetched and loaded.
    pub load: Duration,
    parts: Vec<Part>,
    /// Where times are kept, and what earlier runs kept there.
    file: Option<(PathBuf, Value)>,
}

/// A stage that has ended.
#[derive(Debug)]
pub struct Part {
    seed: u64,
    stage: Stage,
    /// Units that an earlier run had done.
    kept: usize,
    took: Duration,
    /// Tokens trained on; none for other stages.
    tokens: Option<usize>,
}

impl Timing {
    /// The clock starts.
    pub fn start() -> Self {
        let now = Instant::now();
        let (load, parts, file) = (Duration::ZERO, Vec::new(), None);
        Timing { started: now, stage: now, tokens: 0, kept: 0, load, parts, file }
    }

    /// From now on [`Timing::keep`] writes to `timing.json` in this folder, beside the stages that it has of earlier runs.
    pub fn keep_in(&mut self, folder: &Path) {
        let file = folder.join("timing.json");
        let earlier = std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        self.file = Some((file, earlier.unwrap_or_default()));
    }

    /// Writes what there is so far, so that a run that is stopped leaves its times.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep(&self) -> Result<(), PipelineError> {
        let Some((file, earlier)) = &self.file else { return Ok(()) };
        files::write_json(file, &self.to_json(rayon::current_num_threads(), earlier))
    }

    /// Time since the start.
    pub fn total(&self) -> Duration {
        self.started.elapsed()
    }

    /// A stage begins.
    pub fn begin(&mut self) {
        self.stage = Instant::now();
        self.tokens = 0;
        self.kept = 0;
    }

    /// So many units of the stage were done before.
    pub fn resume(&mut self, done: usize) {
        self.kept = done;
    }

    /// A step of the stage has been through so many tokens.
    pub fn add_tokens(&mut self, tokens: usize) {
        self.tokens += tokens;
    }

    /// Tokens of the stage per second so far.
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.stage.elapsed().as_secs_f64()
    }

    /// The stage has ended.
    pub fn end(&mut self, seed: u64, stage: &Stage) -> &Part {
        let tokens = Some(self.tokens).filter(|tokens| *tokens > 0);
        let kept = self.kept;
        self.parts.push(Part { seed, stage: stage.clone(), kept, took: self.stage.elapsed(), tokens });
        &self.parts[self.parts.len() - 1]
    }

    /// What `timing.json` holds: the stages of this run, and those of earlier ones that it read.
    fn to_json(&self, threads: usize, earlier: &Value) -> Value {
        let mut stages: Vec<Value> = self.parts.iter().map(Part::to_json).collect();
        let name = |stage: &Value| (stage["seed"].clone(), stage["stage"].clone());
        let earlier = earlier["stages"].as_array().into_iter().flatten();
        let read: Vec<Value> =
            earlier.filter(|old| stages.iter().all(|new| name(new) != name(old))).cloned().collect();
        stages.splice(0..0, read);
        json!({
            "threads": threads,
            "load_seconds": seconds(self.load),
            "stages": stages,
            "total_seconds": seconds(self.total()),
            "peak_memory_mib": peak_memory().map(f64::round),
        })
    }

    /// How long it took and what it needed.
    pub fn line(&self) -> String {
        let (load, total) = (short(self.load), short(self.total()));
        let memory = peak_memory().map(|mib| format!("; at most {:.2} GB of memory", mib / 953.7));
        format!("{total} in all, {load} of them for fetching and loading{}", memory.unwrap_or_default())
    }
}

impl Part {
    /// What was done and how fast.
    pub fn line(&self) -> String {
        let Part { seed, stage, kept, took, tokens } = self;
        let seconds = took.as_secs_f64();
        let tokens = tokens.map(|tokens| format!(", {:.0} tokens/s", tokens as f64 / seconds));
        let before = if *kept > 0 { format!(", {kept} of them before") } else { String::new() };
        format!(
            "seed {seed}, {}: {} {}{before} in {} ({:.2}/s{})",
            stage.name,
            stage.total,
            stage.unit,
            short(*took),
            (stage.total - kept) as f64 / seconds,
            tokens.unwrap_or_default()
        )
    }

    fn to_json(&self) -> Value {
        let Part { seed, stage, kept, took, tokens } = self;
        let mut value = json!({
            "seed": seed, "stage": stage.name, "unit": stage.unit.to_string(), "n": stage.total, "n_before": kept,
            "seconds": seconds(*took), "per_second": (stage.total - kept) as f64 / took.as_secs_f64(),
        });
        if let Some(tokens) = *tokens {
            value["tokens"] = tokens.into();
            value["tokens_per_second"] = (tokens as f64 / took.as_secs_f64()).into();
        }
        value
    }
}

/// Most memory this process has held so far, in MiB; not known everywhere.
pub fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

fn short(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds < 60.0 => format!("{seconds:.1} s"),
        seconds => format!("{} min {:02} s", seconds as u64 / 60, seconds as u64 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use semievol::Unit;

    #[test]
    fn stages_of_earlier_runs_stay_and_those_done_again_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let run = |names: &[&str]| {
            let mut timing = Timing::start();
            timing.keep_in(folder.path());
            for name in names {
                timing.begin();
                timing.end(1, &Stage { name: (*name).to_owned(), unit: Unit::Texts, total: 4 });
                // A run that is stopped now has kept this.
                timing.keep().unwrap();
            }
        };
        run(&["warm", "candidates"]);
        run(&["candidates", "evolved"]);
        let kept = std::fs::read(folder.path().join("timing.json")).unwrap();
        let kept: Value = serde_json::from_slice(&kept).unwrap();
        let names: Vec<&Value> = kept["stages"].as_array().unwrap().iter().map(|one| &one["stage"]).collect();
        assert_eq!(names, ["warm", "candidates", "evolved"]);
    }
}
