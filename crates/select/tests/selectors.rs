//! The selectors on pools small enough to check by hand, and their laws.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use proptest::prelude::*;
use semievol_core::{Answer, Confidence, Scale, Seed};
use semievol_select::{Pool, PseudoLabel, Rule, SelectError, Selection, Selector, SelectorConfig};
use std::collections::{BTreeMap, BTreeSet};

fn label(id: &str, choice: Option<usize>, confidence: Option<f64>) -> PseudoLabel {
    PseudoLabel {
        id: id.to_owned(),
        answer: choice.map(Answer::Choice),
        confidence: confidence.and_then(Confidence::new),
        agreed: false,
    }
}

fn selector(config: &str) -> Box<dyn Selector> {
    toml::from_str::<SelectorConfig>(config).unwrap().build().unwrap()
}

fn select(config: &str, labels: &[PseudoLabel]) -> Selection {
    selector(config).select(Pool::new(labels, Seed(7))).unwrap()
}

fn accepted(selection: &Selection) -> Vec<bool> {
    selection.decisions.iter().map(|decision| decision.accepted).collect()
}

/// One a line.
fn reasons(selection: &Selection) -> String {
    selection.decisions.iter().map(|decision| format!("{}\n", decision.reason)).collect()
}

fn pool(confidences: &[f64]) -> Vec<PseudoLabel> {
    let labels = confidences.iter().enumerate();
    labels.map(|(at, value)| label(&at.to_string(), Some(0), Some(*value))).collect()
}

#[test]
fn half_of_four_is_the_surer_two() {
    let labels = pool(&[-0.402, -0.213, -0.9, -0.613]);
    let selection = select("kind = 'percentile'\ntheta = 50", &labels);
    let expected = "\
confidence -0.402 is at least the 50% threshold -0.402
confidence -0.213 is at least the 50% threshold -0.402
confidence -0.900 is below the 50% threshold -0.402
confidence -0.613 is below the 50% threshold -0.402
";
    assert_eq!(reasons(&selection), expected);
    assert_eq!(selection.decisions.iter().map(|d| d.weight).collect::<Vec<_>>(), [1.0, 1.0, 0.0, 0.0]);
}

#[test]
fn a_limit_shows_three_digits_in_every_reason() {
    let selection =
        select("kind = 'percentile'\ntheta = 50", &pool(&[-0.000_256, -0.000_391, -0.5, -0.0012]));
    let expected = "\
confidence -0.000256 is at least the 50% threshold -0.000391
confidence -0.000391 is at least the 50% threshold -0.000391
confidence -0.500000 is below the 50% threshold -0.000391
confidence -0.001200 is below the 50% threshold -0.000391
";
    assert_eq!(reasons(&selection), expected);
}

#[test]
fn classes_are_kept_in_their_shares_among_the_labels() {
    // Eight are called 0 and two 1, though the labels say half and half.
    let labels: Vec<PseudoLabel> = (0..10)
        .map(|at| label(&at.to_string(), Some(usize::from(at >= 8)), Some(f64::from(at) / 10.0)))
        .collect();
    let balanced = selector("kind = 'balanced'\ntheta = 60");
    let kept =
        |prior: &[f64]| accepted(&balanced.select(Pool { prior, ..Pool::new(&labels, Seed(1)) }).unwrap());
    let positions = |kept: Vec<bool>| (0..10).filter(|at| kept[*at]).collect::<Vec<_>>();
    assert_eq!(positions(kept(&[0.5, 0.5])), [5, 6, 7, 8, 9]);
    assert_eq!(positions(kept(&[0.8, 0.2])), [3, 4, 5, 6, 7, 9]);
    assert_eq!(positions(kept(&[1.0, 0.0])), [2, 3, 4, 5, 6, 7]);
}

#[test]
fn weights_are_probabilities() {
    let weights = |values: &[f64], scale: Scale| {
        let labels = pool(values);
        let selection = selector("kind = 'weighted'").select(Pool { scale, ..Pool::new(&labels, Seed(7)) });
        selection.map(|found| found.decisions.iter().map(|one| one.weight).collect::<Vec<_>>())
    };
    // Nobody agreed: such an answer teaches nothing.
    assert_eq!(weights(&[0.25, 1.0, 0.0], Scale::Probability).unwrap(), [0.25, 1.0, 0.0]);
    assert_eq!(weights(&[-0.5, 0.0], Scale::LogProbability).unwrap(), [(-0.5_f64).exp() as f32, 1.0]);
    let refused = weights(&[-0.05, 0.05], Scale::Order).unwrap_err().to_string();
    assert!(refused.starts_with("weighted: the confidence orders answers"), "{refused}");
}

#[test]
fn what_equals_the_threshold_is_kept_wherever_it_stands() {
    let labels = pool(&[-0.2, -0.1, -0.2, -0.2, -0.3]);
    let selection = select("kind = 'percentile'\ntheta = 40", &labels);
    assert_eq!(accepted(&selection), [true, true, true, true, false]);
}

/// Whoever trains on all that collaborators agree on trains on their common errors.
#[test]
fn what_all_agree_on_is_filtered_like_the_rest() {
    let disputed = pool(&[-0.2, -0.1, -0.4, -0.3]);
    let agreed: Vec<PseudoLabel> =
        disputed.iter().map(|label| PseudoLabel { agreed: true, ..label.clone() }).collect();
    for kind in ["percentile", "per_class", "balanced"] {
        let config = format!("kind = '{kind}'\ntheta = 50");
        assert_eq!(select(&config, &agreed).decisions, select(&config, &disputed).decisions, "{kind}");
        assert_eq!(accepted(&select(&config, &agreed)), [true, true, false, false], "{kind}");
    }
}

#[test]
fn a_reason_shows_as_many_digits_as_tell_the_numbers_apart() {
    let selection = select("kind = 'percentile'\ntheta = 50", &pool(&[-0.20001, -0.20002]));
    assert_eq!(selection.decisions[1].reason, "confidence -0.20002 is below the 50% threshold -0.20001");
}

#[test]
fn a_response_that_nobody_could_read_is_never_kept() {
    let labels = [label("a", None, Some(-0.1)), label("b", Some(0), None), label("c", Some(0), Some(-2.0))];
    for kind in ["percentile", "per_class", "all", "random"] {
        let selection = select(&format!("kind = '{kind}'"), &labels);
        assert_eq!(accepted(&selection), [false, false, true], "{kind}");
        assert_eq!(selection.decisions[0].reason, "no answer could be read");
        assert_eq!(selection.decisions[1].reason, "its answer has no confidence");
    }
}

#[test]
fn the_percentile_of_labelled_samples_is_the_threshold() {
    let selector = selector("kind = 'percentile'\ntheta = 75\nover = 'labelled'");
    assert!(selector.wants_labelled());
    let labelled = [-0.1, -0.2, -0.3, -5.0].map(|value| Confidence::new(value).unwrap());
    let labels = pool(&[-0.3, -0.31, -0.05]);
    let selection = selector.select(Pool { labelled: &labelled, ..Pool::new(&labels, Seed(7)) }).unwrap();
    assert_eq!(accepted(&selection), [true, false, true]);
    let error = selector.select(Pool::new(&labels, Seed(7))).unwrap_err();
    assert!(matches!(error, SelectError::Unfit { part: "percentile", .. }), "{error}");
}

#[test]
fn a_rare_class_is_not_crowded_out() {
    let labels =
        [label("a", Some(0), Some(-0.1)), label("b", Some(0), Some(-0.2)), label("c", Some(2), Some(-3.0))];
    assert_eq!(accepted(&select("kind = 'percentile'", &labels)), [true, true, false]);
    let selection = select("kind = 'per_class'", &labels);
    assert_eq!(accepted(&selection), [true, false, true]);
    let reason = &selection.decisions[2].reason;
    assert_eq!(reason, "confidence -3.000 is at least option 3's 50% threshold -3.000");
}

#[test]
fn a_draw_follows_its_seed_and_not_the_confidence() {
    let labels = pool(&[0.0; 20]);
    let draw = |seed: u64, labels: &[PseudoLabel]| {
        let pool = Pool::new(labels, Seed(seed));
        accepted(&selector("kind = 'random'").select(pool).unwrap())
    };
    assert_eq!(draw(1, &labels), draw(1, &labels));
    assert_ne!(draw(1, &labels), draw(2, &labels));
    let surer = pool(&(0..20).map(f64::from).collect::<Vec<_>>());
    assert_eq!(draw(1, &surer), draw(1, &labels));
}

#[test]
fn settings_outside_their_range_are_named() {
    for theta in ["0", "-1", "100.5", "nan", "inf"] {
        for kind in ["percentile", "per_class", "random"] {
            let config: SelectorConfig =
                toml::from_str(&format!("kind = '{kind}'\ntheta = {theta}")).unwrap();
            let error = config.build().err().unwrap().to_string();
            assert!(error.contains("but must be above 0 and at most 100"), "{error}");
        }
    }
    assert!(toml::from_str::<SelectorConfig>("kind = 'all'\ntheta = 50").is_err());
    assert!(toml::from_str::<SelectorConfig>("kind = 'percentile'\nthreshold = 50").is_err());
}

fn error_controlled(alpha: f64, rule: Rule, otherwise: Option<f64>) -> SelectorConfig {
    SelectorConfig::ErrorControlled { alpha, rule, otherwise }
}

#[test]
fn every_setting_shows_in_the_id() {
    let configs = [
        SelectorConfig::default(),
        SelectorConfig::Percentile { theta: 49.5, over: Default::default() },
        SelectorConfig::Percentile { theta: 50.0, over: semievol_select::Over::Labelled },
        SelectorConfig::PerClass { theta: 50.0 },
        SelectorConfig::PerClass { theta: 10.0 },
        SelectorConfig::All {},
        SelectorConfig::Random { theta: 50.0 },
        SelectorConfig::Random { theta: 10.0 },
        SelectorConfig::Balanced { theta: 50.0 },
        SelectorConfig::Balanced { theta: 10.0 },
        SelectorConfig::Weighted {},
        SelectorConfig::NoiseAware {},
        error_controlled(0.1, Rule::Conformal, None),
        error_controlled(0.2, Rule::Conformal, None),
        error_controlled(0.1, Rule::Lec, None),
        error_controlled(0.1, Rule::Conformal, Some(50.0)),
        error_controlled(0.1, Rule::Conformal, Some(40.0)),
    ];
    let ids: BTreeSet<String> = configs.iter().map(|config| config.build().unwrap().id()).collect();
    assert_eq!(ids.len(), configs.len(), "{ids:?}");
    for config in configs {
        let written = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<SelectorConfig>(&written).unwrap(), config, "{written}");
    }
}

/// Few different confidences, so that ties are common.
fn labels() -> impl Strategy<Value = Vec<PseudoLabel>> {
    let one = (prop::option::weighted(0.8, 0..4_usize), prop::option::weighted(0.9, -6..1_i32));
    prop::collection::vec(one, 0..40).prop_map(|labels| {
        let numbered = labels.into_iter().enumerate();
        let build = |(at, (choice, confidence)): (usize, (_, Option<i32>))| {
            label(&format!("row {at}"), choice, confidence.map(|value| f64::from(value) / 4.0))
        };
        numbered.map(build).collect()
    })
}

fn with_answer(labels: &[PseudoLabel]) -> usize {
    labels.iter().filter(|label| label.answer.is_some() && label.confidence.is_some()).count()
}

fn by_id(labels: &[PseudoLabel], selection: &Selection) -> BTreeMap<String, String> {
    let ids = labels.iter().map(|label| label.id.clone());
    ids.zip(selection.decisions.iter().map(|decision| decision.reason.clone())).collect()
}

proptest! {
    #[test]
    fn order_decides_nothing(labels in labels(), theta in 1..=100_u32, seed in any::<u64>()) {
        let order = Seed(seed).permutation(labels.len());
        let moved: Vec<PseudoLabel> = order.iter().map(|at| labels[*at].clone()).collect();
        for kind in ["percentile", "per_class", "random"] {
            let config = format!("kind = '{kind}'\ntheta = {theta}");
            let (one, other) = (select(&config, &labels), select(&config, &moved));
            prop_assert_eq!(by_id(&labels, &one), by_id(&moved, &other));
        }
    }

    #[test]
    fn the_share_kept_is_what_was_asked_for(labels in labels(), theta in 1..=100_usize) {
        let n = with_answer(&labels);
        let count = |kind: &str| {
            let selection = select(&format!("kind = '{kind}'\ntheta = {theta}"), &labels);
            accepted(&selection).into_iter().filter(|accepted| *accepted).count()
        };
        prop_assert_eq!(count("random"), (n * theta).div_ceil(100));
        let ties = labels.iter().map(|label| label.confidence.map(|c| (c.value() * 4.0) as i32));
        let mut sizes: BTreeMap<_, usize> = BTreeMap::new();
        ties.for_each(|value| *sizes.entry(value).or_default() += 1);
        let largest_tie = sizes.values().copied().max().unwrap_or(0);
        let kept = count("percentile");
        prop_assert!(kept >= (n * theta).div_ceil(100));
        prop_assert!(kept < (n * theta).div_ceil(100) + largest_tie.max(1));
        prop_assert!(count("per_class") <= n);
    }

    #[test]
    fn everything_surer_than_what_is_kept_is_kept(labels in labels(), theta in 1..=100_u32) {
        let selection = select(&format!("kind = 'percentile'\ntheta = {theta}"), &labels);
        let side = |accepted: bool| {
            labels.iter().zip(&selection.decisions)
                .filter(move |(label, decision)| label.answer.is_some() && decision.accepted == accepted)
                .filter_map(|(label, _)| label.confidence)
        };
        if let (Some(kept), Some(left)) = (side(true).min(), side(false).max()) {
            prop_assert!(kept > left);
        }
    }

    #[test]
    fn a_hundred_percent_keeps_every_answer(labels in labels()) {
        let all = accepted(&select("kind = 'all'", &labels));
        prop_assert_eq!(all.iter().filter(|accepted| **accepted).count(), with_answer(&labels));
        for kind in ["percentile", "per_class", "random"] {
            prop_assert_eq!(&accepted(&select(&format!("kind = '{kind}'\ntheta = 100"), &labels)), &all);
        }
    }

    #[test]
    fn every_predicted_class_is_kept(labels in labels(), theta in 1..=100_u32) {
        let selection = select(&format!("kind = 'per_class'\ntheta = {theta}"), &labels);
        let classes = |labels: &mut dyn Iterator<Item = &PseudoLabel>| -> BTreeSet<String> {
            labels.filter(|label| label.confidence.is_some())
                .filter_map(|label| label.answer.as_ref().map(|answer| format!("{answer:?}")))
                .collect()
        };
        let kept = labels.iter().zip(&selection.decisions).filter(|(_, d)| d.accepted).map(|(label, _)| label);
        prop_assert_eq!(classes(&mut labels.iter()), classes(&mut { kept }));
    }
}
