//! How long each part took: the only place with a clock, and the only file with times.

use semievol::Stage;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Measures parts as they end.
pub struct Timing {
    started: Instant,
    stage: Instant,
    tokens: usize,
    /// Units of the stage that an earlier run had done.
    kept: usize,
    /// Seconds until the model was there, fetched and loaded.
    pub load: Duration,
    parts: Vec<Part>,
}

/// A stage that has ended.
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
        Timing { started: now, stage: now, tokens: 0, kept: 0, load: Duration::ZERO, parts: Vec::new() }
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

    /// What `timing.json` holds.
    pub fn to_json(&self, threads: usize) -> Value {
        json!({
            "threads": threads,
            "load_seconds": seconds(self.load),
            "stages": self.parts.iter().map(Part::to_json).collect::<Vec<_>>(),
            "total_seconds": seconds(self.total()),
        })
    }

    /// One line per part.
    pub fn lines(&self) -> Vec<String> {
        let load = format!("model fetched and loaded: {}", short(self.load));
        let total = format!("in all: {}", short(self.total()));
        [load].into_iter().chain(self.parts.iter().map(Part::line)).chain([total]).collect()
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

fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

fn short(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds < 60.0 => format!("{seconds:.1} s"),
        seconds => format!("{} min {:02} s", seconds as u64 / 60, seconds as u64 % 60),
    }
}
