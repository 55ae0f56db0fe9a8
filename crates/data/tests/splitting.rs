//! Splits and overlaps.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use proptest::prelude::*;
use semievol_core::{Answer, Sample, Seed};
use semievol_data::{Dataset, SplitConfig, SplitError, overlap, split};
use std::collections::HashSet;

/// One row per entry: its class (or none) and its group.
fn dataset(rows: &[(Option<usize>, usize)]) -> Dataset {
    let sample = |(row, (_, group)): (usize, &(Option<usize>, usize))| Sample {
        group: Some(group.to_string()),
        ..Sample::new(row.to_string(), format!("question {row}")).with_options(["x", "y", "z"])
    };
    Dataset {
        samples: rows.iter().enumerate().map(sample).collect(),
        answers: rows.iter().map(|(class, _)| class.map(Answer::Choice)).collect(),
        skipped: Vec::new(),
        ..Dataset::default()
    }
}

fn plain(n_rows: usize) -> Dataset {
    dataset(&(0..n_rows).map(|row| (Some(row % 3), row)).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn splits_keep_their_laws(
        rows in prop::collection::vec((prop::option::weighted(0.8, 0usize..3), 0usize..12), 1..80),
        labelled in 0usize..20, test in 0usize..20, unlabelled in prop::option::of(0usize..20),
        by_group in any::<bool>(), stratified in any::<bool>(), seed in any::<u64>(),
    ) {
        let dataset = dataset(&rows);
        let config = SplitConfig { labelled, unlabelled, test, by_group, stratified, at_most: false };
        let drawn = split(&dataset, &config, Seed(seed));
        let answered = rows.iter().filter(|(class, _)| class.is_some()).count();
        if !by_group && answered >= labelled + test && rows.len() >= labelled + test + unlabelled.unwrap_or(0) {
            prop_assert!(drawn.is_ok());
        }
        let Ok(drawn) = drawn else { return Ok(()) };
        prop_assert_eq!(&drawn, &split(&dataset, &config, Seed(seed)).unwrap());
        prop_assert_eq!((drawn.labelled.len(), drawn.test.len()), (labelled, test));
        match unlabelled {
            Some(unlabelled) => prop_assert_eq!(drawn.unlabelled.len(), unlabelled),
            None => prop_assert_eq!(labelled + test + drawn.unlabelled.len() + drawn.cut.len(), rows.len()),
        }
        let sides = [&drawn.labelled, &drawn.unlabelled, &drawn.test];
        let all: Vec<usize> = sides.iter().copied().chain([&drawn.cut]).flatten().copied().collect();
        prop_assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        prop_assert!(drawn.labelled.iter().chain(&drawn.test).all(|row| rows[*row].0.is_some()));
        if by_group {
            let groups = sides.map(|side| side.iter().map(|row| rows[*row].1).collect::<HashSet<_>>());
            prop_assert!(groups[0].is_disjoint(&groups[1]) && groups[0].is_disjoint(&groups[2]) && groups[1].is_disjoint(&groups[2]));
        }
        if !by_group {
            prop_assert!(drawn.cut.is_empty());
            let left: HashSet<usize> = (0..rows.len()).filter(|row| !drawn.test.contains(row)).filter_map(|row| rows[row].0).collect();
            let got: HashSet<usize> = drawn.labelled.iter().filter_map(|row| rows[*row].0).collect();
            prop_assert!(got == left || labelled < left.len(), "{:?} of {:?}", got, left);
            let often: HashSet<usize> = (0..3).filter(|class| rows.iter().filter(|row| row.0 == Some(*class)).count() > 1).collect();
            let tested: HashSet<usize> = drawn.test.iter().filter_map(|row| rows[*row].0).collect();
            prop_assert!(tested.is_superset(&often) || test < often.len(), "{:?} of {:?}", tested, often);
        }
    }
}

#[test]
fn a_rare_class_is_brought_in() {
    let rows: Vec<_> = (0..300)
        .map(|row| (Some(usize::from(row == 137) * 2 + usize::from(row % 2 == 0 && row != 137)), row))
        .collect();
    for seed in 0..20 {
        let config = SplitConfig { labelled: 6, ..SplitConfig::default() };
        let drawn = split(&dataset(&rows), &config, Seed(seed)).unwrap();
        let classes: HashSet<_> = drawn.labelled.iter().map(|row| rows[*row].0).collect();
        assert_eq!(classes.len(), 3);
    }
}

#[test]
fn a_rare_class_is_tested_and_still_labelled() {
    let class = |row: usize| if row % 150 == 137 { 2 } else { row % 2 };
    let rows: Vec<_> = (0..300).map(|row| (Some(class(row)), row)).collect();
    for (seed, stratified) in (0..20).flat_map(|seed| [(seed, false), (seed, true)]) {
        let draw = |labelled| {
            let config = SplitConfig { labelled, test: 6, stratified, ..SplitConfig::default() };
            split(&dataset(&rows), &config, Seed(seed)).unwrap()
        };
        let (few, more) = (draw(6), draw(12));
        for side in [&few.labelled, &few.test, &more.labelled] {
            assert_eq!(side.iter().map(|row| rows[*row].0).collect::<HashSet<_>>().len(), 3);
        }
        assert_eq!(few.test, more.test);
        assert_eq!(few.labelled, more.labelled[..6]);
    }
}

#[test]
fn the_only_row_of_a_class_is_not_brought_into_the_test() {
    let rows: Vec<_> = (0..300).map(|row| (Some(usize::from(row == 137)), row)).collect();
    let config = SplitConfig { labelled: 6, test: 6, ..SplitConfig::default() };
    let labelled = |seed| split(&dataset(&rows), &config, Seed(seed)).unwrap().labelled.contains(&137);
    let plain = |seed| {
        let all = split(&dataset(&rows), &SplitConfig::default(), Seed(seed)).unwrap().unlabelled;
        all[..6].contains(&137)
    };
    assert!((0..40).all(|seed| labelled(seed) != plain(seed)));
}

#[test]
fn classes_do_not_order_the_unlabelled_rows() {
    let rows: Vec<_> =
        (0..200).map(|row| ((row % 7 > 0).then_some(usize::from(row % 10 == 0)), row)).collect();
    let dataset = dataset(&rows);
    let order = split(&dataset, &SplitConfig::default(), Seed(5)).unwrap().unlabelled;
    for stratified in [false, true] {
        let config = SplitConfig {
            labelled: 20,
            unlabelled: Some(60),
            test: 20,
            stratified,
            ..SplitConfig::default()
        };
        let drawn = split(&dataset, &config, Seed(5)).unwrap();
        let left = order.iter().filter(|row| !drawn.test.contains(row) && !drawn.labelled.contains(row));
        assert_eq!(drawn.unlabelled, left.take(60).copied().collect::<Vec<_>>(), "{stratified}");
    }
}

#[test]
fn test_rows_do_not_depend_on_the_labelled_ones() {
    let draw = |labelled| {
        split(&plain(100), &SplitConfig { labelled, test: 20, ..SplitConfig::default() }, Seed(3)).unwrap()
    };
    let (few, more) = (draw(12), draw(40));
    assert_eq!(few.test, more.test);
    assert_eq!(few.labelled, more.labelled[..12]);
    let other =
        split(&plain(100), &SplitConfig { labelled: 12, test: 20, ..SplitConfig::default() }, Seed(4))
            .unwrap();
    assert_ne!(few.test, other.test);
}

#[test]
fn stratified_parts_have_the_shares_of_the_whole() {
    let rows: Vec<_> = (0..200).map(|row| (Some(usize::from(row % 10 == 0)), row)).collect();
    let config = SplitConfig { labelled: 40, test: 50, stratified: true, ..SplitConfig::default() };
    let drawn = split(&dataset(&rows), &config, Seed(1)).unwrap();
    let rare = |side: &[usize]| side.iter().filter(|row| rows[**row].0 == Some(1)).count();
    assert_eq!((rare(&drawn.labelled), rare(&drawn.test)), (4, 5));
}

#[test]
fn too_few_rows_are_counted() {
    let config = SplitConfig { labelled: 8, test: 5, ..SplitConfig::default() };
    let message = split(&plain(10), &config, Seed(0)).unwrap_err().to_string();
    assert_eq!(
        message,
        "8 labelled rows are asked for and 5 are left of 10 (10 with an answer); ask for fewer, or give more rows"
    );
    // Unless as many as there are will do.
    let most =
        SplitConfig { labelled: 3, test: 5, unlabelled: Some(9), at_most: true, ..SplitConfig::default() };
    assert_eq!(split(&plain(10), &most, Seed(0)).unwrap().unlabelled.len(), 2);
    assert!(split(&plain(10), &SplitConfig { at_most: false, ..most }, Seed(0)).is_err());
    // Nor does a number of rows that no memory would hold matter before they are counted.
    let config = SplitConfig { labelled: usize::MAX, ..config };
    assert!(matches!(split(&plain(10), &config, Seed(0)), Err(SplitError::NotEnough { .. })));
    let mut ungrouped = plain(10);
    ungrouped.samples.iter_mut().for_each(|sample| sample.group = None);
    let config = SplitConfig { by_group: true, ..config };
    assert!(matches!(split(&ungrouped, &config, Seed(0)), Err(SplitError::NoGroups)));
}

#[test]
fn overlaps_fold_case_space_and_punctuation() {
    let yes_no = |id: &str, question: &str| Sample::new(id, question).with_options(["Yes", "No"]);
    let train = [yes_no("1", "Is it so?"), yes_no("2", "is  it SO"), yes_no("3", "Is it?")];
    let test = [
        yes_no("4", "Is it -- so ?"),
        Sample::new("5", "Is it so?").with_options(["No", "Yes"]),
        Sample::new("6", "?!"),
        Sample::new("7", "!?"),
    ];
    let report = overlap(&[("train", &train), ("test", &test)]);
    assert_eq!(
        (report.count("train", "train"), report.count("test", "train"), report.count("test", "test")),
        (1, 1, 0)
    );
    assert_eq!(report.to_string(), "1 row in train and test: 1 = 4\n1 row twice in train: 1 = 2");
    assert_eq!(overlap(&[("test", &test)]).to_string(), "no row stands twice");
}
