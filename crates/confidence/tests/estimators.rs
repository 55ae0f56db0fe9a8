//! The estimators on values computed by hand, their laws, and what they refuse.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use proptest::prelude::*;
use semievol_confidence::{
    Agreement, ConfidenceConfig, ConfidenceError, ConfidenceEstimator, Evidence, Margin, MeanNll, Mixture,
    OptionEntropy,
};
use semievol_core::{Answer, Candidate, TokenLogprob};

/// Evidence that owns what it shows.
#[derive(Debug, Clone, Default)]
struct Known {
    logprobs: Vec<f32>,
    distribution: Vec<f64>,
    choice: Option<usize>,
    collaborators: Vec<Vec<f64>>,
    agrees: Vec<bool>,
}

fn estimate(estimator: &dyn ConfidenceEstimator, known: &Known) -> Result<f64, ConfidenceError> {
    let logprobs: Vec<_> =
        known.logprobs.iter().map(|logprob| TokenLogprob { token: 1, logprob: *logprob }).collect();
    let candidates: Vec<_> = known
        .collaborators
        .iter()
        .map(|p| Candidate::new("c", Some(Answer::Choice(0))).with_distribution(p.clone()))
        .collect();
    let evidence = Evidence {
        id: "r1",
        logprobs: &logprobs,
        distribution: &known.distribution,
        choice: known.choice,
        candidates: &candidates,
        agrees: &known.agrees,
    };
    estimator.estimate(&[evidence]).map(|confidences| confidences[0].value())
}

fn check(kind: &str, known: &Known, expected: f64) {
    let config: ConfidenceConfig = toml::from_str(&format!("kind = '{kind}'")).unwrap();
    let found = estimate(&config.build(), known).unwrap();
    assert!((found - expected).abs() < 1e-7, "{kind} of {known:?} is {found}, not {expected}");
}

fn check_error(estimator: &dyn ConfidenceEstimator, known: &Known, expected: &str) {
    let error = estimate(estimator, known).unwrap_err().to_string();
    assert!(error.contains(expected), "{error:?} does not say {expected:?}");
}

fn options(distribution: &[f64], choice: usize) -> Known {
    Known { distribution: distribution.to_vec(), choice: Some(choice), ..Known::default() }
}

#[test]
fn values_computed_by_hand() {
    check("mean_nll", &Known { logprobs: vec![-0.5, -0.25, 0.0], ..Known::default() }, -0.25);
    check("option_entropy", &options(&[0.5, 0.5], 0), -std::f64::consts::LN_2);
    check("option_entropy", &options(&[1.0, 0.0], 1), 0.0);
    check("margin", &options(&[0.7, 0.2, 0.1], 0), 0.5);
    check("margin", &options(&[0.7, 0.2, 0.1], 2), -0.6);
    check("margin", &options(&[1.0], 0), 1.0);
    let agrees =
        Known { collaborators: vec![vec![]; 4], agrees: vec![true, false, true, true], ..Known::default() };
    check("agreement", &agrees, 0.75);
    let sure = Known { logprobs: vec![-1.0, -0.5], ..agrees.clone() };
    check("agreement_likelihood", &sure, 0.75 * (-0.75_f64).exp());
    let mixed = Known {
        collaborators: vec![vec![0.9, 0.1], vec![], vec![0.2, 0.8]],
        choice: Some(1),
        ..Known::default()
    };
    check("mixture", &mixed, 0.45);
}

#[test]
fn the_default_is_that_of_the_paper() {
    assert_eq!(ConfidenceConfig::default().build().id(), "mean_nll");
    let written = toml::to_string(&ConfidenceConfig::default()).unwrap();
    assert_eq!(written, "kind = \"mean_nll\"\n");
}

#[test]
fn missing_evidence_is_named_with_a_remedy() {
    let nothing = Known::default();
    check_error(&MeanNll, &nothing, "mean_nll: sample `r1` has no log-probabilities; score the final");
    check_error(&OptionEntropy, &nothing, "has no distribution over options; it needs a closed set");
    check_error(&Margin, &Known { choice: None, ..options(&[1.0], 0) }, "has no final answer among options");
    check_error(&Agreement, &nothing, "agreement: sample `r1` has no collaborators");
    check_error(&Mixture, &Known { choice: Some(0), ..nothing }, "has no collaborator with a distribution");
}

#[test]
fn broken_numbers_are_named() {
    for logprob in [0.5, f32::NAN, f32::NEG_INFINITY] {
        let known = Known { logprobs: vec![-1.0, logprob], ..Known::default() };
        check_error(&MeanNll, &known, &format!("sample `r1`: token 1 has log-probability {logprob}"));
    }
    check_error(&OptionEntropy, &options(&[0.5, 0.4], 0), "[0.5, 0.4] of the warm model add up to 0.9");
    check_error(&Margin, &options(&[1.5, -0.5], 0), "[1.5, -0.5]");
    check_error(&Margin, &options(&[0.5, f64::NAN], 0), "NaN");
    check_error(&Margin, &options(&[0.5, 0.5], 2), "option 2 (from 0), but 2 have a probability");
    let uneven = Known { collaborators: vec![vec![]; 2], agrees: vec![true], ..Known::default() };
    check_error(&Agreement, &uneven, "2 candidates stand against 1 marks of agreement");
}

fn distribution() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(0.001_f64..1.0, 1..7).prop_map(|weights| {
        let total: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / total).collect()
    })
}

proptest! {
    #[test]
    fn mean_nll_rises_with_every_token(
        logprobs in prop::collection::vec(-9.0_f32..0.0, 1..9),
        at in any::<prop::sample::Index>(),
    ) {
        let before = Known { logprobs, ..Known::default() };
        let mut after = before.clone();
        let at = at.index(after.logprobs.len());
        after.logprobs[at] /= 2.0;
        let (before, after) = (estimate(&MeanNll, &before).unwrap(), estimate(&MeanNll, &after).unwrap());
        prop_assert!(before <= after && after <= 0.0);
    }

    #[test]
    fn entropy_lies_between_ignorance_and_certainty(distribution in distribution()) {
        let entropy = estimate(&OptionEntropy, &options(&distribution, 0)).unwrap();
        let ignorance = -(distribution.len() as f64).ln();
        prop_assert!((ignorance - 1e-9..=0.0).contains(&entropy));
    }

    #[test]
    fn a_margin_is_positive_for_the_most_probable_option_alone(distribution in distribution()) {
        let highest = distribution.iter().copied().fold(0.0, f64::max);
        for (choice, p) in distribution.iter().enumerate() {
            let margin = estimate(&Margin, &options(&distribution, choice)).unwrap();
            prop_assert!((-1.0..=1.0 + 1e-9).contains(&margin));
            prop_assert_eq!(margin >= 0.0, *p == highest);
        }
    }

    #[test]
    fn agreement_rises_with_every_voice(
        agrees in prop::collection::vec(any::<bool>(), 1..9),
        at in any::<prop::sample::Index>(),
    ) {
        let collaborators = vec![vec![]; agrees.len()];
        let before = Known { collaborators, agrees, ..Known::default() };
        let mut after = before.clone();
        let at = at.index(after.agrees.len());
        after.agrees[at] = true;
        prop_assert!(estimate(&Agreement, &before).unwrap() <= estimate(&Agreement, &after).unwrap());
    }

    #[test]
    fn a_mixture_lies_between_its_parts(
        parts in prop::collection::vec((0.0_f64..1.0).prop_map(|p| vec![p, 1.0 - p]), 1..6),
    ) {
        let own = parts.iter().map(|p| p[0]);
        let (low, high) = own.fold((1.0_f64, 0.0_f64), |(low, high), p| (low.min(p), high.max(p)));
        let known = Known { collaborators: parts, choice: Some(0), ..Known::default() };
        let mixture = estimate(&Mixture, &known).unwrap();
        prop_assert!((low - 1e-12..=high + 1e-12).contains(&mixture));
    }
}
