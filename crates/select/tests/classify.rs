//! The classifier against answers worked out by hand, and its choice of penalty.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use proptest::prelude::*;
use semievol_core::Seed;
use semievol_model::Embeddings;
use semievol_select::classify::{
    Classifier, CrossValidatedRegression, L2_GRID, LogisticRegression, Rows, Taught, fit_by_cross_validation,
    stratified_folds,
};

fn rows(dim: usize, values: &[f32]) -> Embeddings {
    Embeddings::new(dim, values.to_vec()).unwrap()
}

fn dealt(classes: &[usize], folds: usize, seed: u64) -> Vec<usize> {
    stratified_folds(classes, None, folds, Seed(seed))
}

/// Unit vectors that point everywhere.
fn noise(seed: u64, n: usize, dim: usize) -> Vec<Vec<f64>> {
    let draw = |row: usize, column: usize| {
        let drawn = Seed(seed).child("row", row as u64).child("column", column as u64).0;
        (drawn >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
    };
    let unit = |row| {
        let vector: Vec<f64> = (0..dim).map(|column| draw(row, column)).collect();
        let norm = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
        vector.iter().map(|v| v / norm).collect()
    };
    (0..n).map(unit).collect()
}

fn embeddings(vectors: &[Vec<f64>]) -> Embeddings {
    rows(vectors[0].len(), &vectors.concat().iter().map(|v| *v as f32).collect::<Vec<_>>())
}

fn close(found: &[f64], expected: &[f64], tolerance: f64) -> bool {
    found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= tolerance)
}

#[test]
fn every_beginning_of_a_stratified_order_has_its_share_of_each_class() {
    let classes: Vec<usize> =
        (0..60).map(|row| usize::from(row % 5 == 0) + usize::from(row % 20 == 0)).collect();
    let order = semievol_select::classify::stratified_order(&classes, Seed(4));
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..60).collect::<Vec<_>>());
    for class in 0..3 {
        let of_class = classes.iter().filter(|one| **one == class).count() as f64;
        for n in 1..=60 {
            let found = order[..n].iter().filter(|row| classes[**row] == class).count() as f64;
            assert!(
                (found - of_class * n as f64 / 60.0).abs() <= 1.5,
                "class {class} of the first {n}: {found}"
            );
        }
    }
    assert_ne!(order, semievol_select::classify::stratified_order(&classes, Seed(5)));
}

#[test]
fn two_opposite_points_have_the_weight_of_the_equation() {
    // Class 0 at +1, class 1 at -1. By symmetry W = (w, -w) and b = 0: the objective is
    // ln(1 + exp(-2w)) + l2 w^2, least where l2 w = q with q = 1 / (1 + exp(2w)), the other class's probability.
    let l2 = 0.1;
    let mut w: f64 = 1.0;
    for _ in 0..200 {
        let q = 1.0 / (1.0 + (2.0 * w).exp());
        w -= (l2 * w - q) / (l2 + 2.0 * q * (1.0 - q));
    }
    let p = 1.0 / (1.0 + (-2.0 * w).exp());
    let model = LogisticRegression::fit(&rows(1, &[1.0, -1.0]), &[0, 1], 2, l2).unwrap();
    let found = model.probabilities(&rows(1, &[1.0, -1.0, 0.0])).unwrap();
    assert!(close(&found[0], &[p, 1.0 - p], 1e-5), "{found:?}, expected {p}");
    assert!(close(&found[1], &[1.0 - p, p], 1e-5));
    assert!(close(&found[2], &[0.5, 0.5], 1e-6));
}

#[test]
fn a_heavy_penalty_leaves_the_shares_of_the_classes() {
    let features = embeddings(&noise(1, 8, 3));
    let model = LogisticRegression::fit(&features, &[0, 0, 0, 0, 0, 2, 2, 2], 4, 1e6).unwrap();
    for row in model.probabilities(&features).unwrap() {
        assert!(close(&row, &[0.625, 0.0, 0.375, 0.0], 1e-5), "{row:?}");
    }
}

#[test]
fn a_single_class_is_certain_and_a_missing_one_impossible() {
    let features = embeddings(&noise(1, 3, 4));
    let model = LogisticRegression::fit(&features, &[1, 1, 1], 3, 0.1).unwrap();
    assert_eq!(model.probabilities(&features).unwrap(), vec![vec![0.0, 1.0, 0.0]; 3]);
}

#[test]
fn what_can_be_separated_is() {
    // The class is the largest of the first three components.
    let vectors = noise(5, 120, 6);
    let largest = |v: &Vec<f64>| (0..3).max_by(|a, b| v[*a].total_cmp(&v[*b])).unwrap();
    let classes: Vec<usize> = vectors.iter().map(largest).collect();
    for l2 in [1e-4, 1e-6] {
        let model = LogisticRegression::fit(&embeddings(&vectors), &classes, 3, l2).unwrap();
        let found = model.probabilities(&embeddings(&vectors)).unwrap();
        let right = found.iter().zip(&classes).filter(|(p, class)| p[**class] > 0.5).count();
        assert!(right >= 118, "{right} of 120 with l2 = {l2}");
    }
    let chosen = fit_by_cross_validation(&embeddings(&vectors), &classes, 3, &dealt(&classes, 5, 1)).unwrap();
    assert!(chosen.l2 <= 0.01, "{}", chosen.l2);
    let right = chosen.held_out.iter().zip(&classes).filter(|(p, class)| p[**class] > 0.5).count();
    assert!(right >= 100, "{right} of 120 held out");
}

#[test]
fn features_that_say_nothing_end_near_the_shares() {
    let features = embeddings(&noise(7, 90, 20));
    let classes: Vec<usize> = (0..90).map(|row| usize::from(row % 3 == 0)).collect();
    let chosen = fit_by_cross_validation(&features, &classes, 2, &dealt(&classes, 5, 2)).unwrap();
    assert!(chosen.l2 >= 0.3, "{}: {:?}", chosen.l2, chosen.losses);
    for row in chosen.model.probabilities(&features).unwrap() {
        assert!(close(&row, &[2.0 / 3.0, 1.0 / 3.0], 0.1), "{row:?}");
    }
}

#[test]
fn a_class_with_one_row_is_held_out_with_probability_0() {
    let features = embeddings(&noise(3, 9, 4));
    let classes = [0, 0, 0, 0, 2, 1, 1, 1, 1];
    let chosen = fit_by_cross_validation(&features, &classes, 3, &dealt(&classes, 3, 1)).unwrap();
    assert_eq!(chosen.held_out[4][2], 0.0);
    assert!(chosen.losses.iter().all(|(_, loss)| loss.is_finite()));
    assert_eq!(chosen.losses.iter().map(|(l2, _)| *l2).collect::<Vec<_>>(), L2_GRID);
    let again = fit_by_cross_validation(&features, &classes, 3, &dealt(&classes, 3, 1)).unwrap();
    assert_eq!(chosen, again);
}

#[test]
fn a_single_row_cannot_be_held_out_and_is_learnt_all_the_same() {
    let (known, asked) = (embeddings(&noise(3, 1, 4)), embeddings(&noise(4, 5, 4)));
    let of = |embeddings| Rows { samples: &[], embeddings: Some(embeddings) };
    let taught = Taught { rows: of(&known), classes: &[1], n_classes: 3 };
    let regression = CrossValidatedRegression { folds: 5 };
    for said in regression.classify(&taught, &of(&asked), Seed(1)).unwrap() {
        assert!((said.iter().sum::<f64>() - 1.0).abs() < 1e-9 && said[1] > said[0], "{said:?}");
    }
    let none = rows(4, &[]);
    let unfit = [
        Taught { classes: &[3], ..taught },
        Taught { rows: of(&none), ..taught },
        Taught { rows: of(&none), classes: &[], ..taught },
    ];
    for taught in unfit {
        assert!(regression.classify(&taught, &of(&asked), Seed(1)).is_err());
    }
}

#[test]
fn what_makes_no_fit_is_named() {
    let features = embeddings(&noise(3, 2, 4));
    let fit = |features: &Embeddings, classes: &[usize], n_classes, l2| {
        LogisticRegression::fit(features, classes, n_classes, l2).unwrap_err().to_string()
    };
    let check = |found: String, expected: &str| assert!(found.contains(expected), "{found}");
    check(fit(&features, &[0], 2, 1.0), "2 rows stand against 1 classes");
    check(fit(&features, &[0, 2], 2, 1.0), "row 1 has class 2, but there are 2 classes");
    check(fit(&rows(4, &[]), &[], 2, 1.0), "there is no labelled row to fit");
    check(fit(&features, &[0, 1], 2, 0.0), "l2 is 0, but must be a finite number above 0");
    check(fit(&features, &[0, 1], 2, f64::NAN), "l2 is NaN");
    let model = LogisticRegression::fit(&features, &[0, 1], 2, 1.0).unwrap();
    let error = model.probabilities(&rows(3, &[1.0; 3])).unwrap_err().to_string();
    check(error, "fitted on embeddings of width 4, asked about width 3");
    let folds =
        |folds: &[usize]| fit_by_cross_validation(&features, &[0, 1], 2, folds).unwrap_err().to_string();
    check(folds(&[3, 3]), "rows must stand in at least two folds");
    check(folds(&[0, 1, 2]), "2 rows stand in 3 folds");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_problem_is_solved_and_calibrated_in_the_large(
        seed in any::<u64>(),
        classes in prop::collection::vec(0..4_usize, 2..40),
        l2 in prop::sample::select(L2_GRID.to_vec()),
    ) {
        let features = embeddings(&noise(seed, classes.len(), 5));
        let found = LogisticRegression::fit(&features, &classes, 4, l2).unwrap().probabilities(&features).unwrap();
        for row in &found {
            prop_assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
        // The gradient of a free intercept is the mean probability less the class's share.
        for class in 0..4 {
            let mean = found.iter().map(|row| row[class]).sum::<f64>() / classes.len() as f64;
            let share = classes.iter().filter(|own| **own == class).count() as f64 / classes.len() as f64;
            prop_assert!((mean - share).abs() <= 2e-6, "class {}: {} against {}", class, mean, share);
        }
    }
}
