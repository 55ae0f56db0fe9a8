//! Ranking and calibration against numbers worked out by hand and naive references.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use proptest::prelude::*;
use semievol_eval::{EvalError, aurc, auroc, reliability, risk_coverage};

/// Every pair of a right and a wrong answer.
fn naive_auroc(confidence: &[f64], correct: &[bool]) -> Option<f64> {
    let of = |right: bool| {
        confidence.iter().zip(correct).filter(move |(_, own)| **own == right).map(|(value, _)| *value)
    };
    let mut scores = Vec::new();
    for right in of(true) {
        scores.extend(of(false).map(|wrong| match right.partial_cmp(&wrong).unwrap() {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        }));
    }
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

/// The mean risk over items, each item's computed from scratch.
fn naive_aurc(confidence: &[f64], correct: &[bool]) -> f64 {
    let risk = |threshold: f64| {
        let kept: Vec<_> = confidence.iter().zip(correct).filter(|(value, _)| **value >= threshold).collect();
        kept.iter().filter(|(_, right)| !**right).count() as f64 / kept.len() as f64
    };
    confidence.iter().map(|value| risk(*value)).sum::<f64>() / confidence.len() as f64
}

#[test]
fn one_class_alone_has_no_area() {
    assert_eq!(auroc(&[0.1, 0.2], &[true, true]).unwrap(), None);
    assert_eq!(auroc(&[0.1, 0.2], &[false, false]).unwrap(), None);
    assert_eq!(auroc(&[], &[]).unwrap(), None);
}

#[test]
fn areas_worked_out_by_hand() {
    let check = |confidence: &[f64], correct: &[bool], expected: f64| {
        assert_eq!(auroc(confidence, correct).unwrap(), Some(expected), "{confidence:?}");
    };
    check(&[3.0, 2.0, 1.0], &[true, true, false], 1.0);
    check(&[1.0, 2.0, 3.0], &[true, true, false], 0.0);
    check(&[1.0, 1.0, 1.0], &[true, true, false], 0.5);
    check(&[0.0, -0.0], &[true, false], 0.5);
    // Right at 4, 2 and 2; wrong at 3 and 2: won 2 + 0.5 + 0.5 of 6.
    check(&[4.0, 3.0, 2.0, 2.0, 2.0], &[true, false, true, true, false], 0.5);
}

#[test]
fn ties_are_one_point_of_the_curve() {
    let curve = risk_coverage(&[0.5, 0.9, 0.5, 0.1], &[false, true, true, false]).unwrap();
    let points: Vec<_> = curve.iter().map(|point| (point.coverage, point.risk, point.threshold)).collect();
    assert_eq!(points, [(0.25, 0.0, 0.9), (0.75, 1.0 / 3.0, 0.5), (1.0, 0.5, 0.1)]);
    assert!((aurc(&curve) - (0.5 / 3.0 + 0.125)).abs() < 1e-12);
    let flat = risk_coverage(&[0.5; 4], &[false, true, true, true]).unwrap();
    assert_eq!((flat.len(), aurc(&flat)), (1, 0.25));
    assert!(aurc(&[]).is_nan());
}

#[test]
fn a_diagram_worked_out_by_hand() {
    let found = reliability(&[0.05, 0.25, 0.3, 0.95, 1.0], &[false, true, false, true, true], 4).unwrap();
    let bins: Vec<_> = found.bins.iter().map(|bin| (bin.low, bin.high, bin.n, bin.accuracy())).collect();
    assert_eq!(
        bins,
        [
            (0.0, 0.25, 1, Some(0.0)),
            (0.25, 0.5, 2, Some(0.5)),
            (0.5, 0.75, 0, None),
            (0.75, 1.0, 2, Some(1.0))
        ]
    );
    assert_eq!(found.bins[1].mean_probability, Some(0.275));
    assert_eq!(found.bins[2].mean_probability, None);
    // (1 * 0.05 + 2 * 0.225 + 2 * 0.025) / 5
    assert!((found.ece - 0.11).abs() < 1e-12, "{}", found.ece);
}

#[test]
fn edges_belong_to_the_bin_above() {
    for bins in [1, 2, 3, 7, 10, 49, 100] {
        for at in 0..=bins {
            let p = at as f64 / bins as f64;
            let found = reliability(&[p], &[true], bins).unwrap();
            let held = found.bins.iter().position(|bin| bin.n == 1).unwrap();
            assert_eq!(held, at.min(bins - 1), "{p} of {bins} bins");
        }
    }
}

#[test]
fn what_cannot_be_measured_is_named() {
    let check = |error: EvalError, expected: &str| assert!(error.to_string().contains(expected), "{error}");
    check(auroc(&[0.1], &[]).unwrap_err(), "1 confidences stand against 0 marks of correctness");
    check(auroc(&[f64::NAN], &[true]).unwrap_err(), "a confidence = NaN; expected a finite number");
    check(risk_coverage(&[f64::INFINITY], &[true]).unwrap_err(), "a confidence = inf");
    check(risk_coverage(&[], &[]).unwrap_err(), "a risk-coverage curve: there is nothing");
    check(reliability(&[], &[], 3).unwrap_err(), "a reliability diagram: there is nothing");
    check(reliability(&[0.5], &[true], 0).unwrap_err(), "bins = 0; expected at least 1");
    check(reliability(&[-0.5], &[true], 3).unwrap_err(), "a probability = -0.5; expected between 0 and 1");
    check(reliability(&[1.5], &[true], 3).unwrap_err(), "a probability = 1.5");
}

/// Few different values, so that ties are common.
fn items() -> impl Strategy<Value = (Vec<f64>, Vec<bool>)> {
    prop::collection::vec((0..8_u8, any::<bool>()), 1..40)
        .prop_map(|items| items.into_iter().map(|(value, right)| (f64::from(value) / 8.0, right)).unzip())
}

proptest! {
    #[test]
    fn the_areas_are_those_of_the_naive_references((confidence, correct) in items()) {
        let (fast, naive) = (auroc(&confidence, &correct).unwrap(), naive_auroc(&confidence, &correct));
        prop_assert_eq!(fast.is_some(), naive.is_some());
        if let (Some(fast), Some(naive)) = (fast, naive) {
            prop_assert!((fast - naive).abs() < 1e-12, "{} against {}", fast, naive);
        }
        let curve = risk_coverage(&confidence, &correct).unwrap();
        prop_assert!((aurc(&curve) - naive_aurc(&confidence, &correct)).abs() < 1e-12);
        prop_assert_eq!(curve.last().map(|point| point.coverage), Some(1.0));
    }

    #[test]
    fn bins_hold_every_item_between_their_edges((probability, correct) in items(), bins in 1..20_usize) {
        let found = reliability(&probability, &correct, bins).unwrap();
        prop_assert_eq!(found.bins.iter().map(|bin| bin.n).sum::<usize>(), probability.len());
        let mut ece = 0.0;
        for bin in &found.bins {
            let last = bin.high == 1.0;
            let inside = |p: f64| bin.low <= p && (p < bin.high || last);
            prop_assert_eq!(bin.n, probability.iter().filter(|p| inside(**p)).count());
            if let (Some(accuracy), Some(mean)) = (bin.accuracy(), bin.mean_probability) {
                ece += bin.n as f64 * (accuracy - mean).abs() / probability.len() as f64;
            }
        }
        prop_assert!((found.ece - ece).abs() < 1e-12);
    }
}
