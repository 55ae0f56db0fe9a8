//! Events on standard error: bars on a terminal, one line per stage elsewhere.

use crate::timing::Timing;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use semievol::hub::Progress;
use semievol::{Event, Stage, StageEvent};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// After so long a line says how far a stage is.
const SILENCE: Duration = Duration::from_secs(300);

/// Draws events and measures what they begin and end.
#[derive(Debug)]
pub struct Screen {
    /// What was measured.
    pub timing: Timing,
    bar: ProgressBar,
    quiet: Quiet,
}

impl Default for Screen {
    fn default() -> Self {
        Screen::new()
    }
}

impl Screen {
    /// Bars where standard error is a terminal.
    pub fn new() -> Self {
        Screen { timing: Timing::start(), bar: ProgressBar::hidden(), quiet: Quiet::new() }
    }

    /// Takes note of an event.
    pub fn on(&mut self, event: &Event) {
        match event {
            Event::Fetching { what, progress } => self.fetching(what, progress),
            Event::Loading { path } => self.spinner(format!("loading {}", file_name(path))),
            Event::Folder { path } => self.timing.keep_in(path),
            Event::Loaded { model } => self.line(&format!("model {model}")),
            Event::Overlap { seed, report } if !report.is_empty() => {
                self.line(&format!("seed {seed}: {report}"));
            }
            Event::Stage { seed, event } => self.stage(*seed, event),
            Event::Note(note) => self.line(note),
            _ => {}
        }
    }

    /// Removes the bar, as at the end or before an error.
    pub fn clear(&mut self) {
        self.bar.finish_and_clear();
    }

    fn fetching(&mut self, what: &str, progress: &Progress) {
        match progress {
            Progress::Waiting { lock } => {
                self.line(&format!("waiting for another process that fetches the same ({})", lock.display()));
            }
            Progress::Started { what } => {
                self.line(&format!("fetching {what}"));
                let style = style("{spinner} {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left");
                self.replace(ProgressBar::no_length().with_style(style));
            }
            Progress::Bytes { done, total } => {
                if let Some(total) = total {
                    self.bar.set_length((*total).max(*done));
                }
                self.bar.set_position(*done);
            }
            Progress::Unpacking { what } => self.spinner(format!("unpacking {what}")),
            Progress::Done { cached: false, .. } => self.line(&format!("fetched {what}")),
            _ => {}
        }
    }

    fn stage(&mut self, seed: u64, event: &StageEvent) {
        match event {
            StageEvent::Begin(stage) => {
                self.timing.begin();
                self.bar(seed, stage);
            }
            StageEvent::Resumed { done } => {
                self.timing.resume(*done);
                self.bar.set_position(*done as u64);
                // What was done before says nothing about the rate now.
                self.bar.reset_eta();
            }
            StageEvent::Progress { done } => self.advance(*done),
            StageEvent::Step(step) => {
                self.timing.add_tokens(step.tokens);
                let rate = self.timing.tokens_per_second();
                self.bar.set_message(format!("loss {:.3}, {rate:.0} tokens/s", step.loss));
                self.advance(step.step + 1);
            }
            StageEvent::Done(stage) => {
                let line = self.timing.end(seed, stage).line();
                self.line(&line);
                // What cannot be written now is an error at the end.
                let _ = self.timing.keep();
            }
            StageEvent::Kept(stage) => {
                self.line(&format!("seed {seed}, {}: finished before", stage.name));
            }
            // The stage goes on, and so does its bar.
            StageEvent::Note(note) => self.bar.suspend(|| say(&format!("seed {seed}: {note}"))),
            _ => {}
        }
    }

    fn bar(&mut self, seed: u64, stage: &Stage) {
        let bar = ProgressBar::new(stage.total as u64);
        let rate = "{per_sec}  {eta} left  {msg}";
        let text = format!("{{prefix}} [{{bar:30}}] {{pos}}/{{len}} {}  {rate}", stage.unit);
        self.replace(bar.with_style(style(&text)).with_prefix(format!("seed {seed}, {}", stage.name)));
        self.quiet = Quiet::new();
    }

    fn advance(&mut self, done: usize) {
        self.bar.set_position(done as u64);
        self.quiet.tell(&self.bar, &format!("{}: ", self.bar.prefix()), "");
    }

    fn spinner(&mut self, text: String) {
        self.replace(ProgressBar::new_spinner().with_message(text));
        self.bar.enable_steady_tick(Duration::from_millis(200));
    }

    fn replace(&mut self, bar: ProgressBar) {
        self.bar.finish_and_clear();
        self.bar = seen(bar);
    }

    fn line(&mut self, text: &str) {
        self.bar.finish_and_clear();
        say(text);
    }
}

/// A bar that is drawn on a terminal alone.
pub(crate) fn seen(bar: ProgressBar) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}

/// Where no bar is seen, a line says now and then how far it is.
#[derive(Debug)]
pub(crate) struct Quiet {
    said: Instant,
}

impl Quiet {
    pub(crate) fn new() -> Self {
        Quiet { said: Instant::now() }
    }

    pub(crate) fn tell(&mut self, bar: &ProgressBar, what: &str, unit: &str) {
        if self.said.elapsed() < SILENCE || std::io::stderr().is_terminal() {
            return;
        }
        self.said = Instant::now();
        let (done, of, left) = (bar.position(), bar.length().unwrap_or_default(), HumanDuration(bar.eta()));
        say(&format!("{what}{done} of {of}{unit}, {left} left"));
    }
}

/// Where nobody reads any more what a run says, it still goes on.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A style; the plain one if the template were wrong.
pub(crate) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
