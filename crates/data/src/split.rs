use crate::dataset::Dataset;
use semievol_core::{Answer, Groups, Seed};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use thiserror::Error;

/// How many rows to draw, and what to keep together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SplitConfig {
    /// Labelled rows.
    pub labelled: usize,
    /// Unlabelled rows; all that are left when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlabelled: Option<usize>,
    /// Test rows.
    pub test: usize,
    /// Takes fewer unlabelled rows where fewer are left.
    #[serde(skip_serializing_if = "is_false")]
    pub at_most: bool,
    /// Keeps rows of one group on one side. The sizes stay exact: the group that would overshoot is cut, and
    /// the rest of it is left out.
    pub by_group: bool,
    /// Gives labelled and test rows the class shares of the whole, as far as whole numbers allow. A class is a
    /// position among the options; a whole group counts by its first row. Unlabelled rows are taken from what
    /// is left in an order that knows no classes.
    pub stratified: bool,
}

fn is_false(at_most: &bool) -> bool {
    !at_most
}

/// Positions of rows in the data set, each in at most one list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Split {
    /// Rows that train with their answers.
    pub labelled: Vec<usize>,
    /// Rows that train without.
    pub unlabelled: Vec<usize>,
    /// Rows that test.
    pub test: Vec<usize>,
    /// Rows of groups that were cut. Rows that nobody asked for are in no list.
    pub cut: Vec<usize>,
}

/// Why a split cannot be drawn.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SplitError {
    /// Fewer rows than asked for.
    #[error(
        "{wanted} {part} rows are asked for and {found} are left of {total} ({answered} with an answer); ask for fewer, or give more rows"
    )]
    NotEnough {
        /// `test`, `labelled` or `unlabelled`.
        part: &'static str,
        /// Rows asked for.
        wanted: usize,
        /// Rows that could be had.
        found: usize,
        /// Rows of the data set.
        total: usize,
        /// Rows of the data set with an answer.
        answered: usize,
    },
    /// Every row is in one group, or none is in any.
    #[error("data.split.by_group is set, but no row has a group; set data.columns.group")]
    NoGroups,
}

/// Draws a split. The same data set, sizes and seed give the same split.
///
/// Test rows are drawn first, so they do not depend on how many labelled rows are asked for; labelled rows
/// next, so 32 of them are among the 64 drawn with the same seed, unless a class had to be brought in: if a
/// class is missing from the test or the labelled rows and there are places enough, the first row of each class
/// goes in front. The only row (or group) of a class is not brought into the test, so it is left for the
/// labelled rows unless the test drew it by chance. Rows without an answer can only be unlabelled.
///
/// # Errors
/// If fewer rows are left than are asked for, or rows are to stay with their group and none has one.
pub fn split(dataset: &Dataset, config: &SplitConfig, seed: Seed) -> Result<Split, SplitError> {
    if config.by_group && dataset.samples.iter().all(|sample| sample.group.is_none()) {
        return Err(SplitError::NoGroups);
    }
    let units = shuffled(units(dataset, config.by_group), seed);
    let places: HashMap<usize, usize> = units.iter().zip(0..).map(|(unit, place)| (unit[0], place)).collect();
    let units = if config.stratified { stratified(units, dataset) } else { units };
    let mut pool = Pool { dataset, units, cut: Vec::new() };
    pool.bring_missing_classes_forward(config.test, 2);
    let test = pool.take("test", config.test)?;
    pool.bring_missing_classes_forward(config.labelled, 1);
    let labelled = pool.take("labelled", config.labelled)?;
    // What is left goes back to the plain order, so that no answer decides which of it is unlabelled.
    pool.units.sort_by_key(|unit| places[&unit[0]]);
    let left = pool.units.iter().map(Vec::len).sum();
    let wanted = config.unlabelled.unwrap_or(left);
    let unlabelled = pool.take("unlabelled", if config.at_most { wanted.min(left) } else { wanted })?;
    pool.cut.sort_unstable();
    Ok(Split { labelled, unlabelled, test, cut: pool.cut })
}

/// Units that are not drawn yet, in the order they are drawn in.
struct Pool<'d> {
    dataset: &'d Dataset,
    units: Vec<Vec<usize>>,
    /// Rows that lost their group.
    cut: Vec<usize>,
}

impl Pool<'_> {
    /// Takes whole units until there are `wanted` rows; cuts the last.
    fn take(&mut self, part: &'static str, wanted: usize) -> Result<Vec<usize>, SplitError> {
        let fits = |row: &usize| part == "unlabelled" || self.dataset.answers[*row].is_some();
        let mut taken = Vec::with_capacity(wanted.min(self.dataset.len()));
        let cut = &mut self.cut;
        self.units.retain(|unit| {
            if taken.len() == wanted || !unit.iter().any(fits) {
                return true;
            }
            for row in unit {
                let list = if fits(row) && taken.len() < wanted { &mut taken } else { &mut *cut };
                list.push(*row);
            }
            false
        });
        if taken.len() == wanted {
            return Ok(taken);
        }
        let (found, total) = (taken.len(), self.dataset.len());
        let answered = self.dataset.answers.iter().flatten().count();
        Err(SplitError::NotEnough { part, wanted, found, total, answered })
    }

    /// If the first `wanted` answered rows lack a class of which `at_least` units are left, puts the first
    /// unit of each such class in front.
    fn bring_missing_classes_forward(&mut self, wanted: usize, at_least: usize) {
        let classes =
            |unit: &Vec<usize>| unit.iter().filter_map(|row| class(self.dataset, *row)).collect::<Vec<_>>();
        let drawn: HashSet<usize> = self.units.iter().flat_map(classes).take(wanted).collect();
        let mut left: HashMap<usize, usize> = HashMap::new();
        for unit in &self.units {
            for class in classes(unit).into_iter().collect::<HashSet<_>>() {
                *left.entry(class).or_default() += 1;
            }
        }
        left.retain(|_, n_units| *n_units >= at_least);
        if left.keys().all(|class| drawn.contains(class)) || left.len() > wanted {
            return;
        }
        let mut met = HashSet::new();
        let brings_a_class = |unit: &Vec<usize>| {
            let before = met.len();
            met.extend(classes(unit).into_iter().filter(|class| left.contains_key(class)));
            met.len() > before
        };
        let (mut front, back): (Vec<_>, Vec<_>) = self.units.iter().cloned().partition(brings_a_class);
        front.extend(back);
        self.units = front;
    }
}

/// What is drawn as a whole: a group, in the order of its first rows, or a row.
fn units(dataset: &Dataset, by_group: bool) -> Vec<Vec<usize>> {
    let groups = if by_group { Groups::of(&dataset.samples) } else { Groups::single(dataset.len()) };
    groups.members()
}

/// The units in an order that depends on nothing but the seed and their number.
fn shuffled(units: Vec<Vec<usize>>, seed: Seed) -> Vec<Vec<usize>> {
    let order = seed.child("split", 0).permutation(units.len());
    let mut units: Vec<Option<Vec<usize>>> = units.into_iter().map(Some).collect();
    order.iter().filter_map(|unit| units[*unit].take()).collect()
}

/// Shuffled units in an order of which every stretch has about the class shares of the whole: the j-th unit
/// of a class of n stands at (j + 1/2) / n.
fn stratified(drawn: Vec<Vec<usize>>, dataset: &Dataset) -> Vec<Vec<usize>> {
    let class_of = |unit: &Vec<usize>| class(dataset, unit[0]);
    let mut sizes: HashMap<Option<usize>, usize> = HashMap::new();
    for unit in &drawn {
        *sizes.entry(class_of(unit)).or_default() += 1;
    }
    let mut ranks: HashMap<Option<usize>, usize> = HashMap::new();
    let mut keyed: Vec<(f64, Vec<usize>)> = Vec::with_capacity(drawn.len());
    for unit in drawn {
        let class = class_of(&unit);
        let rank = ranks.entry(class).or_default();
        keyed.push(((*rank as f64 + 0.5) / sizes[&class] as f64, unit));
        *rank += 1;
    }
    keyed.sort_by(|one, other| one.0.total_cmp(&other.0));
    keyed.into_iter().map(|(_, unit)| unit).collect()
}

/// The class of a row: the position of its answer among the options.
fn class(dataset: &Dataset, row: usize) -> Option<usize> {
    match dataset.answers[row] {
        Some(Answer::Choice(index)) => Some(index),
        _ => None,
    }
}
