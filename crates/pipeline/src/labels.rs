//! The labels as a set: their classes and groups, and how they are cut.

use crate::PipelineError;
use semievol_core::{Answer, Groups, Labeled, Sample, Seed};
use semievol_data::question_key;
use semievol_select::classify::{stratified_folds, stratified_order};
use std::collections::{HashMap, HashSet};

/// Groups of which the variance between them can be told.
const FEW_GROUPS: f64 = 6.0;

/// The position of a label's answer among the options; 0 for an open one.
pub(crate) fn class(labeled: &Labeled) -> usize {
    match labeled.answer {
        Answer::Choice(class) => class,
        _ => 0,
    }
}

/// The classes' shares among the labels, with one more of each: few labels say little. Empty
/// for open answers.
pub(crate) fn shares(labels: &[Labeled]) -> Vec<f64> {
    let n_classes = labels.iter().map(|labeled| labeled.sample.options.len()).max().unwrap_or(0);
    if n_classes == 0 {
        return Vec::new();
    }
    let mut counts = vec![1.0; n_classes];
    labels.iter().for_each(|labeled| counts[class(labeled)] += 1.0);
    let total: f64 = counts.iter().sum();
    counts.into_iter().map(|count| count / total).collect()
}

pub(crate) fn groups<'a>(labels: impl IntoIterator<Item = &'a Labeled>) -> Groups {
    Groups::of(labels.into_iter().map(|labeled| &labeled.sample))
}

/// Labels that are learnt or held out together: those of a group, and those that ask the same, for whoever has learnt the one
/// knows the other.
pub(crate) fn together<'a>(labels: impl IntoIterator<Item = &'a Labeled>) -> Groups {
    let samples: Vec<&Sample> = labels.into_iter().map(|labeled| &labeled.sample).collect();
    let twins = Groups::keyed(samples.iter().map(|sample| Some(question_key(sample))));
    Groups::of(samples).joined(&twins)
}

/// Labels of the largest group; 0 where no label has one.
pub(crate) fn largest_group(labels: &[Labeled]) -> usize {
    let mut sizes: HashMap<&str, usize> = HashMap::new();
    for group in labels.iter().filter_map(|labeled| labeled.sample.group.as_deref()) {
        *sizes.entry(group).or_default() += 1;
    }
    sizes.into_values().max().unwrap_or(0)
}

/// What the labels know of the classes' shares among the samples, of what as many labels drawn one by one would know. It
/// is the inverse of the design effect (Kish, Survey Sampling, 1965): the variance that the shares of `n` single rows would
/// have, over the one that those between the groups show; 1 without groups, or where samples are of the labels' groups,
/// so that groups were not drawn whole.
///
/// Of few groups, or labels of one class, nobody can say how much groups differ: they count as one row each.
pub(crate) fn worth_of_shares(labels: &[Labeled], samples: &[Sample]) -> f64 {
    let groups = groups(labels);
    if groups.are_single() {
        return 1.0;
    }
    let known: HashSet<&str> = labels.iter().filter_map(|labeled| labeled.sample.group.as_deref()).collect();
    if samples.iter().any(|sample| sample.group.as_deref().is_some_and(|group| known.contains(group))) {
        return 1.0;
    }
    let n_classes = labels.iter().map(|labeled| class(labeled) + 1).max().unwrap_or(0);
    let (n, n_groups) = (labels.len() as f64, groups.n_groups() as f64);
    let least = (n_groups - 1.0) / (n - 1.0);
    if n_groups < FEW_GROUPS || labels.iter().all(|labeled| class(labeled) == class(&labels[0])) {
        return least;
    }
    let (mut alone, mut between) = (0.0, 0.0);
    for of_class in 0..n_classes {
        let is = |labeled: &Labeled| f64::from(u8::from(class(labeled) == of_class));
        let share = labels.iter().map(is).sum::<f64>() / n;
        let mut surplus = vec![0.0; groups.n_groups()];
        groups
            .numbers()
            .iter()
            .zip(labels)
            .for_each(|(group, labeled)| surplus[*group] += is(labeled) - share);
        alone += share * (1.0 - share) / (n - 1.0);
        between += surplus.iter().map(|one| one * one).sum::<f64>() / (n * n) * n_groups / (n_groups - 1.0);
    }
    if between > alone { (alone / between).max(least) } else { 1.0 }
}

/// Refuses more folds than labels, and labels that are all of one group. `rows` of the labels are dealt.
pub(crate) fn check_folds(
    key: &str,
    folds: usize,
    rows: usize,
    labels: &[Labeled],
) -> Result<(), PipelineError> {
    let refuse = |reason| Err(PipelineError::Assembly(reason));
    if folds > rows {
        return refuse(format!("{key} is {folds}, but there are {rows} labelled rows: take fewer folds"));
    }
    if folds > 1 && labels.len() > 1 && together(labels).n_groups() == 1 {
        return refuse(format!(
            "{key} is {folds}, but the {} labelled rows are all of one group (data.columns.group) or ask the same, and such rows stay in one fold: label others",
            labels.len()
        ));
    }
    Ok(())
}

/// The fold of each label, stratified. Rows of a group share one, and where there are fewer groups than folds, there
/// are as many folds; labels that are all of one group are dealt like rows without any.
pub(crate) fn deal(labels: &[&Labeled], folds: usize, seed: Seed) -> Vec<usize> {
    let classes: Vec<usize> = labels.iter().map(|labeled| class(labeled)).collect();
    let groups = together(labels.iter().copied());
    match groups.n_groups() {
        n if n > 1 && !groups.are_single() => {
            stratified_folds(&classes, Some(groups.numbers()), folds.min(n), seed)
        }
        _ => stratified_folds(&classes, None, folds, seed),
    }
}

/// The fold of each label in a seed's cross-validation, as [`deal`] has them, and how many folds there are.
pub(crate) fn folds_of(labels: &[Labeled], folds: usize, seed: Seed) -> (Vec<usize>, usize) {
    let fold_of = deal(&labels.iter().collect::<Vec<_>>(), folds, seed.child("folds", 0));
    let dealt = fold_of.iter().max().map_or(0, |last| last + 1);
    (fold_of, dealt)
}

/// How many labels are kept out of training; some are always learnt.
pub(crate) fn held_out(share: f64, labels: usize) -> usize {
    ((share * labels as f64).round() as usize).min(labels.saturating_sub(1))
}

/// Which labels are kept out of training: as many as [`held_out`] says, or somewhat fewer in whole groups of them, but the
/// smallest group where none is so small; and never the last of a class.
pub(crate) fn hold_out(share: f64, labels: &[Labeled], seed: Seed) -> HashSet<usize> {
    let n = held_out(share, labels.len());
    let classes: Vec<usize> = labels.iter().map(class).collect();
    let groups = together(labels);
    let mut units = groups.members();
    let mut left: HashMap<usize, usize> = HashMap::new();
    classes.iter().for_each(|class| *left.entry(*class).or_default() += 1);
    let mut held = HashSet::new();
    let mut too_large: Vec<Vec<usize>> = Vec::new();
    for row in stratified_order(&classes, seed) {
        let unit = std::mem::take(&mut units[groups.numbers()[row]]);
        let mut without = left.clone();
        unit.iter().for_each(|row| *without.entry(classes[*row]).or_default() -= 1);
        if unit.iter().any(|row| without[&classes[*row]] == 0) {
            continue;
        }
        if held.len() + unit.len() <= n {
            left = without;
            held.extend(unit);
        } else if !unit.is_empty() {
            too_large.push(unit);
        }
    }
    let smallest = too_large.into_iter().min_by_key(Vec::len).filter(|_| n > 0 && held.is_empty());
    held.extend(smallest.unwrap_or_default());
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A label for each pair of a class and a group.
    fn labels(rows: &[(usize, Option<&str>)]) -> Vec<Labeled> {
        let label = |(row, (class, group)): (usize, &(usize, Option<&str>))| Labeled {
            sample: Sample {
                group: group.map(str::to_owned),
                ..Sample::new(row.to_string(), format!("what is {row}"))
            },
            answer: Answer::Choice(*class),
        };
        rows.iter().enumerate().map(label).collect()
    }

    fn fold_of(rows: &[(usize, Option<&str>)], folds: usize) -> Vec<usize> {
        let labels = labels(rows);
        deal(&labels.iter().collect::<Vec<_>>(), folds, Seed(1))
    }

    #[test]
    fn a_fold_has_whole_groups() {
        let rows: Vec<_> = (0..12).map(|row| (row % 2, Some(["a", "b", "c"][row / 4]))).collect();
        let three = fold_of(&rows, 3);
        assert!(three.chunks(4).all(|group| group.iter().all(|fold| fold == &group[0])), "{three:?}");
        assert_eq!(three.iter().collect::<HashSet<_>>().len(), 3);
        assert_eq!(fold_of(&rows, 5).iter().max(), Some(&2));
        // Of one group there is nothing to keep together.
        assert_eq!(fold_of(&[(0, Some("a")); 4], 2).iter().sum::<usize>(), 2);
    }

    #[test]
    fn labels_without_a_group_stand_alone() {
        let mut rows = vec![(0, Some("a")), (0, Some("a")), (0, None), (0, None)];
        assert_eq!(fold_of(&rows, 3)[..2], [0, 0]);
        assert_eq!(fold_of(&rows, 3).iter().max(), Some(&2));
        for names in [[None; 4], [Some("a"), Some("b"), Some("c"), None]] {
            rows.iter_mut().zip(names).for_each(|((_, group), name)| *group = name);
            assert_eq!(fold_of(&rows, 3), stratified_folds(&[0; 4], None, 3, Seed(1)));
        }
    }

    #[test]
    fn labels_that_ask_the_same_share_a_fold() {
        let mut rows = labels(&[(0, None); 40]);
        for row in (0..40).step_by(4) {
            rows[row + 1].sample.question = format!("{}!", rows[row].sample.question.to_uppercase());
        }
        let (fold_of, n) = folds_of(&rows, 5, Seed(1));
        assert_eq!(n, 5);
        let held = hold_out(0.3, &rows, Seed(1));
        for row in (0..40).step_by(4) {
            assert_eq!(fold_of[row], fold_of[row + 1]);
            assert_eq!(held.contains(&row), held.contains(&(row + 1)));
        }
    }

    #[test]
    fn groups_of_one_class_know_little_of_the_shares() {
        let worth = |rows: &[(usize, Option<&str>)]| worth_of_shares(&labels(rows), &[]);
        assert_eq!(worth(&[(0, None), (0, None), (1, None)]), 1.0);
        let names: Vec<String> = (0..8).map(|group| group.to_string()).collect();
        let rows = |class: fn(usize) -> usize| -> Vec<(usize, Option<&str>)> {
            (0..64).map(|row| (class(row), Some(names[row / 8].as_str()))).collect()
        };
        // Eight groups, each of one class: as good as eight rows, less the one that the mean takes of either.
        assert!((worth(&rows(|row| row / 8 % 2)) - 7.0 / 63.0).abs() < 1e-12);
        assert_eq!(worth(&rows(|row| row % 2)), 1.0);
        assert_eq!(worth(&rows(|_| 0)), 7.0 / 63.0);
        assert_eq!(worth(&[(0, Some("a")), (1, Some("a"))]), 0.0);
        // Four groups that are like each other may be so by chance.
        assert_eq!(worth(&rows(|row| row % 2)[..32]), 3.0 / 31.0);
        // Groups that the samples have too were not drawn whole.
        let labels = labels(&rows(|row| row / 8 % 2));
        assert_eq!(worth_of_shares(&labels, std::slice::from_ref(&labels[9].sample)), 1.0);
    }

    /// Groups drawn at random: the shares vary as those of so many single rows.
    #[test]
    fn the_worth_of_shares_is_that_of_their_variance() {
        let (mut worths, mut squares) = (0.0, 0.0);
        for draw in 0..400 {
            let seed = Seed(draw);
            // Thirteen groups of five, each mostly of one class.
            let label = |row: usize| {
                let likely = if seed.child("group", row as u64 / 5).uniform() < 0.5 { 0.1 } else { 0.9 };
                usize::from(seed.child("row", row as u64).uniform() < likely)
            };
            let names: Vec<String> = (0..13).map(|group| group.to_string()).collect();
            let rows: Vec<_> = (0..65).map(|row| (label(row), Some(names[row / 5].as_str()))).collect();
            let share = rows.iter().map(|(class, _)| *class as f64).sum::<f64>() / 65.0;
            worths += worth_of_shares(&labels(&rows), &[]) / 400.0;
            squares += (share - 0.5).powi(2) / 400.0;
        }
        let expected = 0.25 / 65.0 / squares;
        assert!((worths / expected - 1.0).abs() < 0.2, "{worths} of {expected}");
    }

    #[test]
    fn labels_of_one_group_are_refused() {
        let mut rows = labels(&[(0, Some("a")), (1, Some("a")), (0, Some("b"))]);
        assert!(check_folds("method.folds", 3, 3, &rows).is_ok());
        rows.pop();
        let refused = check_folds("method.folds", 2, 2, &rows).unwrap_err().to_string();
        assert!(refused.contains("the 2 labelled rows are all of one group"), "{refused}");
    }

    #[test]
    fn what_is_held_out_is_whole_groups_too() {
        let rows: Vec<_> = (0..40).map(|row| (row % 2, Some(["a", "b", "c", "d", "e"][row / 8]))).collect();
        let held = hold_out(0.4, &labels(&rows), Seed(3));
        assert_eq!(held.len(), 16);
        for group in 0..5 {
            let of_group = (0..8).filter(|row| held.contains(&(8 * group + row))).count();
            assert!(of_group == 0 || of_group == 8, "{held:?}");
        }
        // The only row of a class is learnt, and so is what stands with it.
        let rows = labels(&[(0, Some("a")), (1, Some("a")), (0, Some("b")), (0, Some("b"))]);
        assert_eq!(hold_out(0.5, &rows, Seed(1)), HashSet::from([2, 3]));
        assert!(hold_out(0.0, &rows, Seed(1)).is_empty());
        // A group that is larger than what is asked for stays, unless there is no other.
        let rows: Vec<_> = (0..24).map(|row| (row % 2, Some(["a", "b"][usize::from(row < 4)]))).collect();
        assert_eq!(hold_out(0.2, &labels(&rows), Seed(1)), (0..4).collect());
        assert_eq!(hold_out(0.05, &labels(&rows), Seed(1)), (0..4).collect());
    }
}
