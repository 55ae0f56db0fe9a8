//! The rows of an experiment: read once, drawn for each seed.

use crate::config::{Draw, Origin, PreparedFiles, TestRows};
use crate::engine::fetch;
use crate::hold_out::hold_out;
use crate::{Event, ExperimentConfig, RunError};
use semievol_core::{Answer, Groups, Labeled, Sample, Seed};
use semievol_data::{Dataset, DatasetConfig, OverlapReport, SplitConfig, Task, overlap, split};
use semievol_eval::AnswerKey;
use semievol_hub::{Hub, Source, sha256_file};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::ops::Deref;
use std::sync::Arc;

/// The key of the rows that are read without minding their answers.
const UNLABELLED: &str = "data.unlabelled";

/// The rows that seeds draw from.
pub(crate) struct Pool {
    rows: Rows,
    /// SHA-256 of each file.
    pub digests: Vec<String>,
}

enum Rows {
    Split { dataset: Dataset, sizes: SplitConfig },
    Files(Box<Files>),
}

struct Files {
    labelled: Dataset,
    unlabelled: Unlabelled,
    /// What the unlabelled file says of its rows' answers, by id: for grading, and out of the draw's sight.
    unlabelled_answers: HashMap<String, Answer>,
    test: Test,
    draw: Draw,
}

/// Rows without their answers. Seeds that draw all of them share them.
#[derive(Debug, Clone, Default)]
pub struct Unlabelled(Arc<Dataset>);

impl Deref for Unlabelled {
    type Target = [Sample];
    fn deref(&self) -> &[Sample] {
        &self.0.samples
    }
}

impl Unlabelled {
    /// The answers stand apart: not even the draw may depend on them.
    fn new(mut rows: Dataset) -> (Self, Vec<Option<Answer>>) {
        let none = vec![None; rows.len()];
        let answers = std::mem::replace(&mut rows.answers, none);
        (Unlabelled(Arc::new(rows)), answers)
    }
}

enum Test {
    Rows(Dataset),
    /// A share of the labelled rows.
    HeldOut(f64),
}

/// The rows of one seed. What the test and unlabelled rows' answers are is not for whoever learns.
#[derive(Debug)]
pub struct Sets {
    /// Which draw of the labels it is.
    pub seed: u64,
    /// Rows that train with their answers.
    pub labelled: Vec<Labeled>,
    /// Rows that train without.
    pub unlabelled: Unlabelled,
    /// Rows that test.
    pub test: Vec<Sample>,
    /// How many there are, by set and class.
    pub sizes: SetSizes,
    pub(crate) key: AnswerKey,
    /// Answers of the unlabelled rows, where the data has them.
    pub(crate) unlabelled_key: AnswerKey,
}

/// Rows of each set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSizes {
    /// Rows that train with their answers.
    pub labelled: usize,
    /// Rows that train without.
    pub unlabelled: usize,
    /// Rows that test.
    pub test: usize,
    /// Groups that the labelled rows come from; absent where rows have no groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labelled_groups: Option<usize>,
    /// Groups that the test rows come from; absent where rows have no groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_groups: Option<usize>,
    /// Labelled rows of each class, in the options' order; empty for open answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labelled_classes: Vec<ClassCount>,
    /// Test rows of each class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub test_classes: Vec<ClassCount>,
}

impl SetSizes {
    /// The class of all labelled rows, if they are of one alone: nothing can be learnt from them.
    pub fn only_class(&self) -> Option<&ClassCount> {
        let mut classes = self.labelled_classes.iter().filter(|class| class.rows > 0);
        classes.next().filter(|_| classes.next().is_none())
    }
}

/// Rows of a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    /// The option's text where all samples of the set share their options, else its number.
    pub class: String,
    /// How many.
    pub rows: usize,
}

impl Pool {
    pub fn read(
        config: &ExperimentConfig,
        origin: &Origin,
        hub: &Hub,
        events: &mut dyn FnMut(&Event),
    ) -> Result<Pool, RunError> {
        let columns = config.data.dataset();
        let mut digests = Vec::new();
        let mut read = |key, source: &Source| read(key, source, &columns, hub, &mut digests, events);
        let rows = match origin {
            Origin::Split { source, sizes } => {
                Rows::Split { dataset: read("data.source", source)?, sizes: sizes.clone() }
            }
            Origin::Files(files) => {
                let PreparedFiles { labelled, unlabelled, test, draw } = files.as_ref();
                let labelled = read("data.labelled", labelled)?;
                let unlabelled = unlabelled.as_ref().map(|source| read(UNLABELLED, source)).transpose()?;
                // Benchmarks carry these rows' answers, too.
                let (unlabelled, answers) = Unlabelled::new(unlabelled.unwrap_or_default());
                let ids = unlabelled.iter().map(|sample| &sample.id);
                let answers = ids.zip(answers).filter_map(|(id, answer)| Some((id.clone(), answer?)));
                let unlabelled_answers = answers.collect();
                Rows::Files(Box::new(Files {
                    labelled,
                    unlabelled,
                    unlabelled_answers,
                    test: match test {
                        TestRows::File(source) => Test::Rows(read("data.test", source)?),
                        TestRows::HeldOut(share) => Test::HeldOut(*share),
                    },
                    draw: *draw,
                }))
            }
        };
        Ok(Pool { rows, digests })
    }

    /// The rows of a seed; the same seed gives the same rows.
    pub fn draw(&self, seed: u64) -> Result<Sets, RunError> {
        match &self.rows {
            Rows::Split { dataset, sizes } => {
                let drawn = split(dataset, sizes, Seed(seed));
                let drawn =
                    drawn.map_err(|source| RunError::Split { seed, key: "data", source: source.into() })?;
                let subset = |rows: &[usize]| dataset.subset(rows);
                let unlabelled = Unlabelled::new(subset(&drawn.unlabelled));
                Sets::new(seed, subset(&drawn.labelled), unlabelled, subset(&drawn.test))
            }
            Rows::Files(files) => files.draw(seed),
        }
    }
}

impl Files {
    fn draw(&self, seed: u64) -> Result<Sets, RunError> {
        let Files { labelled, unlabelled, unlabelled_answers, test, draw } = self;
        let take = |key, rows: &Dataset, size| {
            // The key names the stream: the draws of the three files do not depend on each other.
            let drawn = some_of(rows, size, draw, Seed(seed).child(key, 0));
            drawn.map_err(|source| RunError::Split { seed, key, source: source.into() })
        };
        let held_out;
        let (labelled, test) = match test {
            Test::Rows(test) => (labelled, test),
            Test::HeldOut(share) => {
                held_out = hold_out(labelled, *share, seed)?;
                (&held_out.0, &held_out.1)
            }
        };
        let labelled = take("data.draw.labelled", labelled, draw.labelled)?;
        let test = take("data.draw.test", test, draw.test)?;
        let unlabelled = match draw.of(unlabelled.len(), draw.unlabelled).filter(|_| !unlabelled.is_empty()) {
            None => unlabelled.clone(),
            Some(_) => Unlabelled::new(take("data.draw.unlabelled", &unlabelled.0, draw.unlabelled)?).0,
        };
        let answers = unlabelled.iter().map(|sample| unlabelled_answers.get(&sample.id).cloned()).collect();
        let unlabelled = (unlabelled, answers);
        Sets::new(seed, labelled, unlabelled, test)
    }
}

fn read(
    key: &'static str,
    source: &Source,
    columns: &DatasetConfig,
    hub: &Hub,
    digests: &mut Vec<String>,
    events: &mut dyn FnMut(&Event),
) -> Result<Dataset, RunError> {
    let hint = match source {
        Source::Local(path) if path.is_relative() => {
            "; data.root names the folder that relative paths start in (--set data.root=DIR)"
        }
        _ => "",
    };
    let path = fetch(key, source, hint, hub, events)?;
    let dataset = match key {
        UNLABELLED => Dataset::read_unlabelled([&path], columns),
        _ => Dataset::read([&path], columns),
    };
    let dataset = dataset.map_err(|source| RunError::Data { key, source: source.into() })?;
    digests.push(sha256_file(&path).map_err(|source| RunError::Fetch {
        key,
        source: source.into(),
        hint: "",
    })?);
    if dataset.disregarded > 0 {
        let (rows, of) = (dataset.disregarded, dataset.len());
        let first = dataset.first_disregarded.as_deref().unwrap_or_default();
        let note = format!(
            "{key}: {rows} of {of} rows have an answer that cannot be read, and count as having none; the first: {first}"
        );
        events(&Event::Note(note));
    }
    let left_out = dataset.skip_counts().into_iter().map(|(reason, rows)| {
        let reason = serde_json::to_value(reason).ok();
        let reason = reason.as_ref().and_then(|reason| reason.as_str()).unwrap_or("other");
        format!(", {rows} left out ({})", reason.replace('_', " "))
    });
    let left_out: String = left_out.collect();
    if !left_out.is_empty() {
        events(&Event::Note(format!("{key}: {} rows{left_out}", dataset.len())));
    }
    Ok(dataset)
}

/// `size` rows with every class among them, or all in their order.
fn some_of(
    rows: &Dataset,
    size: Option<usize>,
    draw: &Draw,
    seed: Seed,
) -> Result<Dataset, semievol_data::SplitError> {
    let Some(size) = draw.of(rows.len(), size) else {
        return Ok(rows.clone());
    };
    // The labelled part of a split is the one that brings every class in; rows without an answer can only be
    // drawn as unlabelled ones.
    let answered = rows.answers.iter().any(Option::is_some);
    let sizes = SplitConfig {
        labelled: if answered { size } else { 0 },
        unlabelled: Some(if answered { 0 } else { size }),
        stratified: draw.stratified,
        ..SplitConfig::default()
    };
    let drawn = split(rows, &sizes, seed)?;
    Ok(rows.subset(if answered { &drawn.labelled } else { &drawn.unlabelled }))
}

impl Sets {
    /// Which rows train with their answers.
    pub(crate) fn label_ids(&self) -> BTreeSet<&str> {
        self.labelled.iter().map(|one| one.sample.id.as_str()).collect()
    }

    fn new(
        seed: u64,
        labelled: Dataset,
        (unlabelled, answers): (Unlabelled, Vec<Option<Answer>>),
        test: Dataset,
    ) -> Result<Sets, RunError> {
        let data = |key| move |source| RunError::Data { key, source: Box::new(source) };
        let sizes = SetSizes {
            labelled: labelled.len(),
            unlabelled: unlabelled.len(),
            test: test.len(),
            labelled_groups: groups(&labelled),
            test_groups: groups(&test),
            labelled_classes: classes(&labelled),
            test_classes: classes(&test),
        };
        for (key, set) in [("data.labelled", &labelled), ("data.test", &test)] {
            if set.is_empty() {
                let reason = format!(
                    "seed {seed}: {key}: there is no row; give more rows, or look at what was left out"
                );
                return Err(RunError::Assembly(reason));
            }
        }
        // A test row without an answer is found here rather than after the hour.
        test.labeled().map_err(data("data.test"))?;
        let key = AnswerKey::new(&test.samples, &test.answers)
            .map_err(|source| RunError::Eval { seed, source: source.into() })?;
        let unlabelled_key = AnswerKey::new(&unlabelled, &answers)
            .map_err(|source| RunError::Eval { seed, source: source.into() })?;
        let labelled = labelled.labeled().map_err(data("data.labelled"))?;
        Ok(Sets { seed, labelled, unlabelled, test: test.samples, sizes, key, unlabelled_key })
    }

    /// A test row whose gold answer the task cannot read, or for the oracle an unlabelled one, if there is one.
    pub(crate) fn unreadable(&self, task: &dyn Task, oracle: bool) -> Option<(&str, &Answer)> {
        let is_correct = |predicted: &Answer, gold: &Answer| task.is_correct(predicted, gold);
        let taught = || self.unlabelled_key.unreadable(&self.unlabelled, &is_correct);
        let tested = self.key.unreadable(&self.test, &is_correct);
        tested.or_else(|| oracle.then(taught).flatten())
    }

    /// An unlabelled row whose gold answer the data does not have, if there is one.
    pub(crate) fn unanswered(&self) -> Option<&str> {
        let mut ids = self.unlabelled.iter().map(|sample| sample.id.as_str());
        ids.find(|id| !self.unlabelled_key.knows(id))
    }

    /// Rows that stand twice.
    pub fn overlap(&self) -> OverlapReport {
        let labelled: Vec<Sample> = self.labelled.iter().map(|labeled| labeled.sample.clone()).collect();
        overlap(&[("labelled", &labelled), ("unlabelled", &self.unlabelled), ("test", &self.test)])
    }

    pub(crate) fn ids(&self) -> SplitIds<'_> {
        SplitIds {
            seed: self.seed,
            labelled: self.labelled.iter().map(|labeled| labeled.sample.id.as_str()).collect(),
            unlabelled: self.unlabelled.iter().map(|sample| sample.id.as_str()).collect(),
            test: self.test.iter().map(|sample| sample.id.as_str()).collect(),
        }
    }
}

/// What `split.json` holds.
#[derive(Serialize)]
pub(crate) struct SplitIds<'a> {
    seed: u64,
    labelled: Vec<&'a str>,
    unlabelled: Vec<&'a str>,
    test: Vec<&'a str>,
}

fn groups(rows: &Dataset) -> Option<usize> {
    let any = rows.samples.iter().any(|sample| sample.group.is_some());
    any.then(|| Groups::of(&rows.samples).n_groups())
}

fn classes(rows: &Dataset) -> Vec<ClassCount> {
    let mut counts: Vec<usize> = Vec::new();
    for answer in &rows.answers {
        if let Some(Answer::Choice(index)) = answer {
            counts.resize(counts.len().max(index + 1), 0);
            counts[*index] += 1;
        }
    }
    let first = rows.samples.first().map(|sample| &sample.options);
    let shared = first.filter(|first| rows.samples.iter().all(|sample| sample.options == **first));
    let n_classes = counts.len().max(shared.map_or(0, |options| options.len()));
    counts.resize(n_classes, 0);
    let name = |index: usize| {
        shared
            .and_then(|options| options.get(index).cloned())
            .unwrap_or_else(|| format!("option {}", index + 1))
    };
    counts.into_iter().enumerate().map(|(index, rows)| ClassCount { class: name(index), rows }).collect()
}
