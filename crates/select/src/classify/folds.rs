//! Labelled rows dealt into folds, and into an order of which every beginning is like the whole.

use semievol_core::Seed;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The fold of each row, from 0 to below `folds`, in an order drawn from `seed`.
///
/// Each class goes on dealing where the one before stopped, so that folds differ by one row at most, of each class and of
/// all. With the group of each row, rows of one group share a fold: the largest groups are dealt first, each to the fold
/// that has least of its classes, of equals to the smallest, so that no fold stays empty while there are groups enough.
///
/// # Panics
/// If `folds` is 0, or there is not one group for each row.
pub fn stratified_folds(classes: &[usize], groups: Option<&[usize]>, folds: usize, seed: Seed) -> Vec<usize> {
    assert!(folds > 0, "rows are dealt into no fold");
    let mut fold_of = vec![0; classes.len()];
    let Some(groups) = groups else {
        let dealt = shuffled(classes, seed, "stratified folds").into_values().flatten();
        dealt.enumerate().for_each(|(dealt, row)| fold_of[row] = dealt % folds);
        return fold_of;
    };
    assert_eq!(groups.len(), classes.len(), "a group for each row");
    let total = counts(classes, 0..classes.len());
    let mut dealt = vec![BTreeMap::<usize, f64>::new(); folds];
    for rows in drawn(groups, seed) {
        let own = counts(classes, rows.iter().copied());
        // By how much the folds become less alike: what the group adds to the sum of squared shares of its classes.
        let cost = |fold: &BTreeMap<usize, f64>| -> f64 {
            own.iter().map(|(class, n)| fold.get(class).unwrap_or(&0.0) * n / total[class].powi(2)).sum()
        };
        let size = |fold: &BTreeMap<usize, f64>| -> f64 { fold.values().sum() };
        let better = |one: &usize, other: &usize| {
            let (one, other) = (&dealt[*one], &dealt[*other]);
            cost(one).total_cmp(&cost(other)).then(size(one).total_cmp(&size(other)))
        };
        let fold = (0..folds).min_by(better).unwrap_or(0);
        own.into_iter().for_each(|(class, n)| *dealt[fold].entry(class).or_default() += n);
        rows.into_iter().for_each(|row| fold_of[row] = fold);
    }
    fold_of
}

/// All rows, each class's in an order of its own, the classes dealt out evenly: every beginning of it is as stratified as
/// its length allows.
pub fn stratified_order(classes: &[usize], seed: Seed) -> Vec<usize> {
    let mut rows: Vec<(f64, usize)> = Vec::with_capacity(classes.len());
    for own in shuffled(classes, seed, "stratified order").into_values() {
        let place = |rank: usize| (rank as f64 + 0.5) / own.len() as f64;
        rows.extend(own.iter().enumerate().map(|(rank, row)| (place(rank), *row)));
    }
    rows.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
    rows.into_iter().map(|(_, row)| row).collect()
}

/// The rows of each class that occurs, in an order drawn from the seed's children of this name.
fn shuffled(classes: &[usize], seed: Seed, name: &str) -> BTreeMap<usize, Vec<usize>> {
    let mut rows: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    classes.iter().enumerate().for_each(|(row, class)| rows.entry(*class).or_default().push(row));
    for (class, rows) in &mut rows {
        let order = seed.child(name, *class as u64).permutation(rows.len());
        *rows = order.into_iter().map(|at| rows[at]).collect();
    }
    rows
}

/// The rows of each group, the largest groups first, equal ones in an order drawn from the seed.
fn drawn(groups: &[usize], seed: Seed) -> Vec<Vec<usize>> {
    let mut rows: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    groups.iter().enumerate().for_each(|(row, group)| rows.entry(*group).or_default().push(row));
    let rows: Vec<Vec<usize>> = rows.into_values().collect();
    let mut order = seed.child("grouped folds", 0).permutation(rows.len());
    order.sort_by_key(|group| Reverse(rows[*group].len()));
    order.into_iter().map(|group| rows[group].clone()).collect()
}

fn counts(classes: &[usize], rows: impl Iterator<Item = usize>) -> BTreeMap<usize, f64> {
    let mut counts = BTreeMap::new();
    rows.for_each(|row| *counts.entry(classes[row]).or_default() += 1.0);
    counts
}

#[cfg(test)]
mod tests {
    use super::stratified_folds;
    use proptest::prelude::*;
    use semievol_core::Seed;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn folds_are_even_in_size_and_in_classes() {
        let classes: Vec<usize> = (0..23).map(|row| [0, 0, 3, 0, 7][row % 5]).collect();
        for folds in 2..=8 {
            let fold_of = stratified_folds(&classes, None, folds, Seed(3));
            for class in [None, Some(0), Some(3), Some(7)] {
                let mut sizes = vec![0; folds];
                let rows = (0..classes.len()).filter(|row| class.is_none_or(|class| classes[*row] == class));
                rows.for_each(|row| sizes[fold_of[row]] += 1);
                let (least, most) = (sizes.iter().min(), sizes.iter().max());
                assert!(
                    most.zip(least).is_some_and(|(most, least)| most - least <= 1),
                    "{class:?}: {sizes:?}"
                );
            }
        }
        let drawn = |seed| stratified_folds(&classes, None, 4, Seed(seed));
        assert_ne!(drawn(1), drawn(2));
    }

    #[test]
    fn groups_of_one_row_are_dealt_as_evenly_as_rows() {
        let classes: Vec<usize> = (0..20).map(|row| row % 2).collect();
        let groups: Vec<usize> = (0..20).collect();
        let fold_of = stratified_folds(&classes, Some(&groups), 5, Seed(3));
        for fold in 0..5 {
            let of_class =
                |class| (0..20).filter(|row| fold_of[*row] == fold && classes[*row] == class).count();
            assert_eq!((of_class(0), of_class(1)), (2, 2), "{fold_of:?}");
        }
        assert_ne!(fold_of, stratified_folds(&classes, Some(&groups), 5, Seed(4)));
    }

    proptest! {
        #[test]
        fn a_group_stays_in_one_fold_and_no_fold_is_empty(
            rows in prop::collection::vec((0_usize..3, 0_usize..9), 1..60), folds in 2_usize..7, seed in any::<u64>(),
        ) {
            let (classes, groups): (Vec<usize>, Vec<usize>) = rows.into_iter().unzip();
            let fold_of = stratified_folds(&classes, Some(&groups), folds, Seed(seed));
            prop_assert_eq!(&fold_of, &stratified_folds(&classes, Some(&groups), folds, Seed(seed)));
            let mut met = BTreeMap::new();
            for (group, fold) in groups.iter().zip(&fold_of) {
                prop_assert_eq!(met.entry(group).or_insert(fold), &fold);
            }
            let used: BTreeSet<usize> = fold_of.iter().copied().collect();
            prop_assert_eq!(used.len(), folds.min(met.len()));
            prop_assert!(used.iter().all(|fold| *fold < folds));
        }
    }
}
