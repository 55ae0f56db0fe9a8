use semievol_train::Step;
use std::fmt;

/// What a run is doing, as it does it. Nothing in it is a time: who draws it has the clock.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum StageEvent {
    /// A stage begins that has something left to do.
    Begin(Stage),
    /// The stage goes on where an earlier run stopped: so much of it is there.
    Resumed {
        /// Units done before.
        done: usize,
    },
    /// So much of the stage is done, what was kept of an earlier run included.
    Progress {
        /// Units done.
        done: usize,
    },
    /// An optimiser step of the stage is done.
    Step(Step),
    /// The stage has ended.
    Done(Stage),
    /// The stage was finished before and is read.
    Kept(Stage),
    /// Something the user should know.
    Note(String),
}

/// A part of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its name, which its files have too.
    pub name: String,
    /// What is counted.
    pub unit: Unit,
    /// How many of them.
    pub total: usize,
}

impl StageEvent {
    /// The same of a stage called `PREFIX/NAME`.
    pub fn within(&self, prefix: &str) -> Self {
        let within = |stage: &Stage| Stage { name: format!("{prefix}/{}", stage.name), ..stage.clone() };
        match self {
            StageEvent::Begin(stage) => StageEvent::Begin(within(stage)),
            StageEvent::Done(stage) => StageEvent::Done(within(stage)),
            StageEvent::Kept(stage) => StageEvent::Kept(within(stage)),
            StageEvent::Note(note) => StageEvent::Note(format!("{prefix}: {note}")),
            other => other.clone(),
        }
    }
}

impl Stage {
    pub(crate) fn new(name: &str, unit: Unit, total: usize) -> Self {
        Stage { name: name.to_owned(), unit, total }
    }
}

/// What a [`Stage`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// Optimiser steps.
    Steps,
    /// Prompts answered or scored.
    Prompts,
    /// Texts embedded or looked up.
    Texts,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::Steps => "steps",
            Unit::Prompts => "prompts",
            Unit::Texts => "texts",
        })
    }
}

/// Receives the events of a run.
pub type OnEvent<'a> = &'a mut dyn FnMut(&StageEvent);
