//! How long each part took: the only place with a clock, and the only file with times.

use semievol::Stage;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Measures parts as they end.
pub struct Timing {
    started: Instant,
    stage: Instant,
    tokens: usize,
    /// Seconds until the model was there, fetched and loaded.
    pub load: Duration,
    parts: Vec<Part>,
}

/// A stage that has ended.
pub struct Part {
    stage: Stage,
    took: Duration,
    /// Tokens trained on; none for other stages.
    tokens: Option<usize>,
}

impl Timing {
    /// The clock starts.
    pub fn start() -> Self {
        let now = Instant::now();
        Timing { started: now, stage: now, tokens: 0, load: Duration::ZERO, parts: Vec::new() }
    }

    /// Time since the start.
    pub fn total(&self) -> Duration {
        self.started.elapsed()
    }

    /// A stage begins.
    pub fn begin(&mut self) {
        self.stage = Instant::now();
        self.tokens = 0;
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
    pub fn end(&mut self, stage: Stage) -> &Part {
        let tokens = Some(self.tokens).filter(|tokens| *tokens > 0);
        let part = Part { stage, took: self.stage.elapsed(), tokens };
        self.parts.push(part);
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
        let Stage { seed, arm, work, total } = self.stage;
        let (rate, took) = (total as f64 / self.took.as_secs_f64(), short(self.took));
        let tokens = self.tokens.map(|tokens| tokens as f64 / self.took.as_secs_f64());
        let tokens = tokens.map(|rate| format!(", {rate:.0} tokens/s")).unwrap_or_default();
        format!(
            "seed {seed}, {arm}, {}: {total} {} in {took} ({rate:.2}/s{tokens})",
            work.as_str(),
            unit(self.stage)
        )
    }

    fn to_json(&self) -> Value {
        let Stage { seed, arm, work, total } = self.stage;
        let mut value = json!({
            "seed": seed, "arm": arm.as_str(), "work": work.as_str(), "unit": unit(self.stage), "n": total,
            "seconds": seconds(self.took), "per_second": total as f64 / self.took.as_secs_f64(),
        });
        if let Some(tokens) = self.tokens {
            value["tokens"] = tokens.into();
            value["tokens_per_second"] = (tokens as f64 / self.took.as_secs_f64()).into();
        }
        value
    }
}

/// What is counted.
pub fn unit(stage: Stage) -> &'static str {
    match stage.work {
        semievol::Work::Train => "steps",
        semievol::Work::Answer => "prompts",
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
