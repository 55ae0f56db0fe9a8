//! `data.hold_out`: labelled rows that test instead of training.

use crate::RunError;
use semievol_core::{Groups, Seed};
use semievol_data::{Dataset, SplitConfig, question_key, split};

const KEY: &str = "data.hold_out";

/// How many of the labelled rows `data.hold_out` holds out: its share of them, but some, and not all.
pub fn n_held_out(rows: usize, share: f64) -> usize {
    ((rows as f64 * share).round() as usize).clamp(1, rows.max(2) - 1)
}

/// The rows that train, and this share that tests, or somewhat fewer: rows of one group stay together, and so do those that
/// ask the same, for a model that has learnt the one knows the other.
pub(crate) fn hold_out(rows: &Dataset, share: f64, seed: u64) -> Result<(Dataset, Dataset), RunError> {
    let wanted = n_held_out(rows.len(), share);
    let by_group = rows.samples.iter().any(|sample| sample.group.is_some());
    let twins = Groups::keyed(rows.samples.iter().map(|sample| Some(question_key(sample))));
    let together = Groups::of(&rows.samples).joined(&twins);
    let sizes = SplitConfig {
        test: wanted,
        by_group: !together.are_single(),
        stratified: !by_group,
        ..SplitConfig::default()
    };
    let mut units = rows.clone();
    for (sample, group) in units.samples.iter_mut().zip(together.numbers()) {
        sample.group = Some(group.to_string());
    }
    let drawn = split(&units, &sizes, Seed(seed).child(KEY, 0));
    let drawn = drawn.map_err(|source| RunError::Split { seed, key: KEY, source: source.into() })?;
    // To the draw, rows that nobody asked for are unlabelled ones.
    let order = [drawn.test.as_slice(), &drawn.cut, &drawn.unlabelled];
    let (train, test) = match together.are_single() {
        true => (drawn.unlabelled, drawn.test),
        false => whole(rows, &together, order.concat(), wanted),
    };
    let (train, test) = (rows.subset(&train), rows.subset(&test));
    if train.is_empty() || test.is_empty() {
        let groups = match (by_group, together.are_single()) {
            (true, _) => ", whose groups stay together,",
            (false, false) => ", of which those that ask the same stay together,",
            (false, true) => "",
        };
        return Err(RunError::Assembly(format!(
            "seed {seed}: {KEY} = {share}: of {} labelled rows{groups} none would be left to train on; give data.test, or more rows",
            rows.len()
        )));
    }
    Ok((train, test))
}

/// The rows that train and those that test: whole units in this order, as long as they fit, and where none does the
/// smallest. Rows without an answer do not test.
fn whole(rows: &Dataset, together: &Groups, order: Vec<usize>, wanted: usize) -> (Vec<usize>, Vec<usize>) {
    let mut units = together.members();
    let (mut train, mut test): (Vec<Vec<usize>>, Vec<usize>) = (Vec::new(), Vec::new());
    let answered = |unit: &[usize]| -> Vec<usize> {
        unit.iter().copied().filter(|row| rows.answers[*row].is_some()).collect()
    };
    for row in order {
        // Its rows are all met with the first of them.
        let unit = std::mem::take(&mut units[together.numbers()[row]]);
        match answered(&unit) {
            of_it if !of_it.is_empty() && test.len() + of_it.len() <= wanted => test.extend(of_it),
            _ => train.push(unit),
        }
    }
    train.retain(|unit| !unit.is_empty());
    if test.is_empty() {
        let sizes = train.iter().map(|unit| answered(unit).len()).enumerate();
        let smallest = sizes.filter(|(_, rows)| *rows > 0).min_by_key(|(_, rows)| *rows);
        if let Some((at, _)) = smallest.filter(|_| train.len() > 1) {
            test = answered(&train.remove(at));
        }
    }
    (train.concat(), test)
}
