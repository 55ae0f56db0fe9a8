//! Test rows that come in groups: whole groups are what chance has drawn.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use proptest::prelude::*;
use semievol_core::{Answer, Groups, Sample, Seed};
use semievol_eval::{AnswerKey, Graded, Metric, Prediction, compare, compare_over_seeds, mcnemar, wilson};

fn graded(groups: &Groups, right: &[bool]) -> Graded {
    let ids: Vec<String> = (0..right.len()).map(|row| row.to_string()).collect();
    Graded::of_rows(&ids, groups, right).unwrap()
}

/// So many groups of so many rows.
fn even(groups: usize, size: usize) -> Groups {
    Groups::keyed((0..groups * size).map(|row| Some(row / size)))
}

/// The two-sided chance that random signs of the groups' gains sum to as much, by trying all of them.
fn naive_p(gains: &[i64]) -> f64 {
    let observed = gains.iter().sum::<i64>().abs();
    let signed = |signs: u32| -> i64 {
        gains.iter().enumerate().map(|(at, gain)| if signs >> at & 1 == 1 { *gain } else { -gain }).sum()
    };
    let all = 1u32 << gains.len();
    (0..all).filter(|signs| signed(*signs).abs() >= observed).count() as f64 / f64::from(all)
}

#[test]
fn the_key_knows_the_groups() {
    let of = |row: usize| Sample {
        group: Some((row / 2).to_string()),
        ..Sample::new(row.to_string(), "?").with_options(["no", "yes"])
    };
    let samples: Vec<Sample> = (0..8).map(of).collect();
    let key = AnswerKey::new(&samples, &vec![Some(Answer::Choice(1)); 8]).unwrap();
    let answers = (0..8).map(|row| Prediction::new(row.to_string(), Some(Answer::Choice(row / 4))));
    let by_key = key.grade(&answers.collect::<Vec<_>>(), &|one, other| one == other).unwrap();
    let by_hand = graded(&even(4, 2), &(0..8).map(|row| row >= 4).collect::<Vec<_>>());
    assert_eq!(by_key.accuracy_interval(0.95).unwrap(), by_hand.accuracy_interval(0.95).unwrap());
    let vanilla = graded(&even(4, 2), &[false; 8]);
    let compared = |ours: &Graded| compare(ours, &vanilla, Seed(1)).unwrap();
    assert_eq!(compared(&by_key), compared(&by_hand));
    // Two groups of two won, none lost.
    assert_eq!((compared(&by_key).mcnemar.first_only, compared(&by_key).mcnemar.p), (4, 0.5));
}

#[test]
fn rows_that_are_all_alike_are_worth_one() {
    // Twenty groups of ten rows, each all right or all wrong, are as good as twenty rows: less here by Student's t.
    let right: Vec<bool> = (0..200).map(|row| row / 10 % 4 != 0).collect();
    let interval = graded(&even(20, 10), &right).accuracy_interval(0.95).unwrap();
    let rows = wilson(15, 20, 0.95).unwrap();
    assert!(interval.low < rows.low && interval.high > rows.high, "{interval} {rows}");
    assert!(interval.low > rows.low - 0.03 && interval.high < rows.high + 0.02, "{interval} {rows}");
    // Nothing tells how groups differ that are all right.
    let all = graded(&even(5, 40), &[true; 200]).accuracy_interval(0.95).unwrap();
    assert!(all.low < 0.5 && all.high == 1.0, "{all}");
    // Groups that are more alike than rows would be are not worth more than their rows.
    let mixed: Vec<bool> = (0..200).map(|row| row % 4 != 0).collect();
    let even_mix = graded(&even(50, 4), &mixed).accuracy_interval(0.95).unwrap();
    assert!(even_mix.low < wilson(150, 200, 0.95).unwrap().low, "{even_mix}");
}

#[test]
fn single_rows_and_a_single_group_are_as_before() {
    let right: Vec<bool> = (0..60).map(|row| row % 3 != 0).collect();
    let other: Vec<bool> = (0..60).map(|row| row % 5 != 0).collect();
    let [single, one_group] = [Groups::single(60), even(1, 60)].map(|groups| {
        let (ours, theirs) = (graded(&groups, &right), graded(&groups, &other));
        let alone = (ours.accuracy_interval(0.95).unwrap(), compare(&ours, &theirs, Seed(1)).unwrap());
        (alone.0, alone.1, compare_over_seeds(Metric::Accuracy, &[ours], &[theirs], Seed(1)).unwrap())
    });
    assert_eq!(single, one_group);
    assert_eq!(single.0, wilson(40, 60, 0.95).unwrap());
}

/// Groups of these sizes.
fn sized(sizes: &[usize]) -> Groups {
    Groups::keyed(sizes.iter().enumerate().flat_map(|(group, size)| vec![Some(group); *size]))
}

/// Groups that differ in how hard they are, as well as rows of a group.
fn answers(groups: &Groups, seed: Seed) -> Vec<bool> {
    let row = |(row, group): (usize, &usize)| {
        let ability = seed.child("group", *group as u64).uniform();
        seed.child("row", row as u64).uniform() < 0.3 + 0.6 * ability
    };
    groups.numbers().iter().enumerate().map(row).collect()
}

/// By rows, far too many intervals would miss the truth and far too many tests find a difference.
#[test]
fn equal_methods_are_told_apart_as_seldom_as_promised() {
    const TRIALS: u64 = 600;
    let even = |groups, size| vec![size; groups];
    let one_large = |large, groups, size| [vec![large], vec![size; groups]].concat();
    for sizes in
        [even(6, 20), even(30, 8), one_large(200, 40, 5), one_large(100, 10, 10), one_large(300, 10, 1)]
    {
        let groups = sized(&sizes);
        let (mut covered, mut held, mut held_over, mut found, mut found_by_rows) = (0, 0, 0, 0, 0);
        for trial in 0..TRIALS {
            let root = Seed(trial).child("trial", sizes.len() as u64);
            let (ours, theirs) =
                (answers(&groups, root.child("ours", 0)), answers(&groups, root.child("theirs", 0)));
            let of = |groups: &Groups| (graded(groups, &ours), graded(groups, &theirs));
            let (one, other) = of(&groups);
            covered += u64::from(one.accuracy_interval(0.95).unwrap().holds(0.6));
            let comparison = compare(&one, &other, root).unwrap();
            held += u64::from(comparison.interval.holds(0.0));
            found += u64::from(comparison.mcnemar.p <= 0.05);
            let over = compare_over_seeds(Metric::Accuracy, &[one], &[other], root).unwrap();
            held_over += u64::from(over.interval.holds(0.0));
            let (one, other) = of(&Groups::single(ours.len()));
            found_by_rows += u64::from(compare(&one, &other, root).unwrap().mcnemar.p <= 0.05);
        }
        let share = |n: u64| n as f64 / TRIALS as f64;
        let what = format!(
            "{:?}: of {TRIALS}, {covered} {held} {held_over} held, {found} {found_by_rows} found",
            &sizes[..2]
        );
        assert!(share(covered.min(held).min(held_over)) > 0.92, "{what}");
        assert!(share(found) < 0.08 && share(found_by_rows) > 0.1, "{what}");
    }
}

#[test]
fn the_lower_end_does_not_jump_with_the_first_errors() {
    for (groups, size) in [(41, 10), (5, 80), (2, 200)] {
        let lower = |errors: usize| {
            let mut right = vec![true; groups * size];
            (0..errors).for_each(|error| right[error % groups * size + error / groups] = false);
            graded(&even(groups, size), &right).accuracy_interval(0.95).unwrap().low
        };
        let ends: Vec<f64> = (0..5).map(lower).collect();
        assert!(ends.windows(2).all(|pair| pair[1] <= pair[0] + 0.1), "{groups}: {ends:?}");
    }
}

proptest! {
    #[test]
    fn the_test_of_groups_is_the_naive_one(gains in prop::collection::vec(-3i64..4, 2..10)) {
        // Four rows of each group: so many of them right in one method alone.
        let only = |sign: i64| -> Vec<bool> {
            gains.iter().flat_map(|gain| (0..4).map(move |row| row < gain * sign)).collect()
        };
        let groups = even(gains.len(), 4);
        let comparison = compare(&graded(&groups, &only(1)), &graded(&groups, &only(-1)), Seed(1)).unwrap();
        prop_assert!((comparison.mcnemar.p - naive_p(&gains)).abs() < 1e-12);
    }

    #[test]
    fn groups_of_one_row_are_the_plain_test(first in 0usize..12, second in 0usize..12) {
        // One pair of rows that are alike makes it the test of groups, and decides nothing.
        let n = first + second + 2;
        let groups = Groups::keyed((0..n).map(|row| Some(row.min(n - 2))));
        let right = |from: usize, to: usize| (0..n).map(|row| (from..to).contains(&row)).collect::<Vec<_>>();
        let (one, other) = (right(0, first), right(first, first + second));
        let comparison = compare(&graded(&groups, &one), &graded(&groups, &other), Seed(1)).unwrap();
        prop_assert!((comparison.mcnemar.p - mcnemar(first, second).p).abs() < 1e-12);
    }
}

#[test]
fn the_interval_of_a_difference_is_that_of_whole_groups_by_hand() {
    let gains = [5, 3, 1, -2, -3, 2, 4, -1, 5, -4, 1, 0, -5, 2, 3, -1];
    let right = |sign: i32| -> Vec<bool> {
        gains.iter().flat_map(|gain| (0..5).map(move |row| row < sign * gain)).collect()
    };
    let groups = even(gains.len(), 5);
    let found = compare(&graded(&groups, &right(1)), &graded(&groups, &right(-1)), Seed(1)).unwrap();
    // The groups' sums differ from 0.625 with a sum of squares of 143.75; 2.131450 is Student's t of 15 degrees.
    let half = 2.131_450 * (143.75_f64 / 15.0 / 16.0).sqrt() / 5.0;
    assert!((found.difference - 0.125).abs() < 1e-12, "{found:?}");
    assert!((found.interval.low - (0.125 - half)).abs() < 1e-6, "{found:?}, by hand {half}");
    assert!((found.interval.high - (0.125 + half)).abs() < 1e-6, "{found:?}, by hand {half}");
}
