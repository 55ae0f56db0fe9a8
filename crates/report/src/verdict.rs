use crate::format::{count, finite, p_value, percent, points, proper};
use crate::{ArmOverSeeds, ArmRole, ArmRow, Difference, Interval, Report};

/// What the experiment showed, in a sentence made from its numbers, and what it cost, in a second.
///
/// It speaks of the first semi-supervised arm, or without one of all that are held against each other, or of fine-tuning
/// on labels against the base model.
/// With one seed it says better or worse only if p < 0.05 and the interval leaves out 0; with several, only if the interval of the mean
/// difference over seeds leaves out 0.
pub fn verdict(report: &Report) -> String {
    let n_seeds = report.seeds.len();
    let arms = arms(report);
    if arms.is_empty() {
        return match n_seeds {
            0 | 1 => "There are no results yet.".into(),
            _ => format!("There are {n_seeds} seeds but no mean over them, so nothing is concluded."),
        };
    }
    let variants: Vec<&Arm<'_>> = arms.iter().filter(|arm| arm.role == ArmRole::Variant).collect();
    let own = arms.iter().find(|arm| arm.role == ArmRole::SemiSupervised);
    let one = own.or(if let [one] = variants[..] { Some(one) } else { None });
    if let Some(arm) = one {
        let cost = cost(report, arm).map(|cost| format!(" {cost}.")).unwrap_or_default();
        return format!("{}.{cost}", about_semi_supervised(arm, &arms, n_seeds));
    }
    match variants.as_slice() {
        [] => format!("{}.", about_labels(&arms, n_seeds)),
        variants => format!("{}.", about_variants(variants, &arms, n_seeds)),
    }
}

/// What the arm took, and what the control that it is compared with did; of the first seed, for seeds hardly differ.
fn cost(report: &Report, arm: &Arm<'_>) -> Option<String> {
    let rows = &report.seeds.first()?.arms;
    let of = |name: &str| rows.iter().find(|row| row.arm == name)?.cost;
    let own = of(arm.name)?;
    let other = arm.difference.and_then(|difference| of(&difference.against));
    let against = other.map(|other| format!(", against {} steps", count(other.steps))).unwrap_or_default();
    let each = if report.seeds.len() > 1 { " a seed" } else { "" };
    Some(format!(
        "It took {} optimiser steps and {} answered prompts{each}{against}",
        count(own.steps),
        count(own.prompts)
    ))
}

/// An arm of the one seed, or over all of them.
struct Arm<'a> {
    name: &'a str,
    role: ArmRole,
    accuracy: f64,
    difference: Option<&'a Difference>,
}

fn arms(report: &Report) -> Vec<Arm<'_>> {
    match report.seeds.as_slice() {
        [seed] => seed.arms.iter().map(Arm::of_seed).collect(),
        _ => report.summary.iter().map(Arm::of_mean).collect(),
    }
}

impl<'a> Arm<'a> {
    fn of_seed(row: &'a ArmRow) -> Self {
        let difference = row.difference.as_ref();
        Arm { name: &row.arm, role: row.role, accuracy: row.accuracy, difference }
    }

    fn of_mean(row: &'a ArmOverSeeds) -> Self {
        let difference = row.difference.as_ref();
        Arm { name: &row.arm, role: row.role, accuracy: row.accuracy, difference }
    }
}

fn about_semi_supervised(arm: &Arm<'_>, arms: &[Arm<'_>], n_seeds: usize) -> String {
    let own = format!("{} {}", arm.name, percent(arm.accuracy));
    let n_controls = arms.iter().filter(|arm| arm.role == ArmRole::LabelsOnly).count();
    let Some(difference) = arm.difference.filter(|difference| difference.mean.is_finite()) else {
        let why = match n_controls {
            0 => "there is no fine-tuning on labels alone to compare it with",
            _ => "it was not compared with fine-tuning on labels alone",
        };
        return format!("{own} ({}); {why}", seeds(n_seeds));
    };
    let other = arms.iter().find(|other| other.name == difference.against);
    let other_accuracy = other.map_or(arm.accuracy - difference.mean, |other| other.accuracy);
    format!(
        "{own} against {} for {} ({}): {}",
        percent(other_accuracy),
        known_as(other, n_controls),
        difference.against,
        judged(difference, n_seeds)
    )
}

/// How many of them are better and worse than labels alone, each tested by itself.
fn about_variants(variants: &[&Arm<'_>], arms: &[Arm<'_>], n_seeds: usize) -> String {
    let named = |arm: &&&Arm<'_>| format!("{} {}", arm.name, percent(arm.accuracy));
    let against = variants.iter().find_map(|arm| Some(&arm.difference?.against));
    let Some(other) = against.and_then(|against| arms.iter().find(|arm| arm.name == *against)) else {
        let each: Vec<String> = variants.iter().map(|arm| named(&arm)).collect();
        return format!(
            "{} ({}); there is no fine-tuning on labels alone to compare them with",
            each.join(", "),
            seeds(n_seeds)
        );
    };
    let n_controls = arms.iter().filter(|arm| arm.role == ArmRole::LabelsOnly).count();
    let told = |wanted: &str| {
        let found = |arm: &&&Arm<'_>| {
            arm.difference.map_or("not tested", |one| word(one, certain(one, n_seeds))) == wanted
        };
        let are = variants.iter().filter(found);
        let are: Vec<String> = are.map(|arm| named(&arm)).collect();
        match are.len() {
            0 => format!("none {wanted}"),
            n => format!("{} {wanted} ({})", count(n), are.join(", ")),
        }
    };
    let words = ["better", "worse", "not distinguishable", "not tested"].map(told);
    // That none is better, or none worse, is worth a word.
    let telling = |(at, word): &(usize, &String)| *at < 2 || !word.starts_with("none");
    let words: Vec<&str> = words.iter().enumerate().filter(telling).map(|(_, word)| word.as_str()).collect();
    format!(
        "Of {} methods against {} for {} ({}), {} ({}, each tested by itself)",
        count(variants.len()),
        percent(other.accuracy),
        known_as(Some(other), n_controls),
        other.name,
        words.join(", "),
        seeds(n_seeds)
    )
}

/// What a method was held against.
fn known_as(other: Option<&Arm<'_>>, n_controls: usize) -> &'static str {
    match other {
        Some(other) if other.role == ArmRole::Base => "the model as it is",
        _ if n_controls > 1 => "the better fine-tuning on labels alone",
        _ => "fine-tuning on labels alone",
    }
}

fn about_labels(arms: &[Arm<'_>], n_seeds: usize) -> String {
    let base = arms.iter().find(|arm| arm.role == ArmRole::Base);
    let compared = base.and_then(|base| {
        let difference = base.difference.filter(|difference| difference.mean.is_finite())?;
        let labels = arms.iter().find(|arm| arm.name == difference.against)?;
        Some(format!(
            "{} {} against {} for the model as it is ({}): {}; no semi-supervised arm was run",
            labels.name,
            percent(labels.accuracy),
            percent(base.accuracy),
            base.name,
            judged(&reversed(difference), n_seeds)
        ))
    });
    let alone = || {
        let each: Vec<String> =
            arms.iter().map(|arm| format!("{} {}", arm.name, percent(arm.accuracy))).collect();
        format!("{} ({}); no semi-supervised arm was run", each.join(", "), seeds(n_seeds))
    };
    compared.unwrap_or_else(alone)
}

fn reversed(difference: &Difference) -> Difference {
    let turn = |ends: Interval| Interval { low: -ends.high, high: -ends.low };
    Difference { mean: -difference.mean, interval: difference.interval.map(turn), ..difference.clone() }
}

/// Whether the two are told apart; absent where nothing says so.
fn certain(difference: &Difference, n_seeds: usize) -> Option<bool> {
    match (n_seeds, difference.p.and_then(finite), proper(difference.interval)) {
        // Where rows come in groups the two may differ: then neither is sure.
        (0 | 1, Some(p), ends) => Some(p < 0.05 && ends.is_none_or(|ends| ends.low > 0.0 || ends.high < 0.0)),
        (2.., _, Some(ends)) => Some(ends.low > 0.0 || ends.high < 0.0),
        _ => None,
    }
}

fn word(difference: &Difference, certain: Option<bool>) -> &'static str {
    match certain {
        Some(true) if difference.mean > 0.0 => "better",
        Some(true) if difference.mean < 0.0 => "worse",
        Some(_) => "not distinguishable",
        None => "not tested",
    }
}

/// The judgement and what it rests on.
fn judged(difference: &Difference, n_seeds: usize) -> String {
    let p = difference.p.and_then(finite);
    let interval = proper(difference.interval);
    let mean = if n_seeds > 1 { " in the mean" } else { "" };
    let mut ground = format!("{} points{mean}", points(difference.mean));
    if let Some(ends) = interval {
        ground += &format!(", 95% interval {} to {}", points(ends.low), points(ends.high));
    }
    if let Some(shown) = p.map(p_value) {
        ground += &if shown.starts_with('<') { format!(", p {shown}") } else { format!(", p = {shown}") };
    }
    let word = word(difference, certain(difference, n_seeds));
    format!("{word} ({ground}, {})", seeds(n_seeds))
}

fn seeds(n: usize) -> String {
    if n == 1 { "one seed only".into() } else { format!("{} seeds", count(n)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeedReport;

    fn row(arm: &str, role: ArmRole, accuracy: f64, difference: Option<Difference>) -> ArmRow {
        ArmRow { arm: arm.into(), role, accuracy, difference, ..Default::default() }
    }

    fn difference(against: &str, mean: f64, p: Option<f64>) -> Option<Difference> {
        let interval = Some(Interval { low: mean - 0.02, high: mean + 0.02 });
        Some(Difference { against: against.into(), mean, interval, p })
    }

    fn one_seed(arms: Vec<ArmRow>) -> Report {
        Report { seeds: vec![SeedReport { arms, ..Default::default() }], ..Default::default() }
    }

    fn check(report: &Report, expected: &str) {
        assert_eq!(verdict(report), expected);
    }

    #[test]
    fn one_seed_rests_on_p() {
        let arms = |mean: f64, p: f64| {
            vec![
                row("sft", ArmRole::LabelsOnly, 0.82, difference("sft-matched", -0.01, Some(0.9))),
                row("sft-matched", ArmRole::LabelsOnly, 0.83, None),
                row(
                    "SemiEvol",
                    ArmRole::SemiSupervised,
                    0.83 + mean,
                    difference("sft-matched", mean, Some(p)),
                ),
            ]
        };
        let start = "against 83.0 for the better fine-tuning on labels alone (sft-matched):";
        check(
            &one_seed(arms(0.011, 0.52)),
            &format!(
                "SemiEvol 84.1 {start} not distinguishable (+1.1 points, 95% interval −0.9 to +3.1, p = 0.520, one seed only)."
            ),
        );
        check(
            &one_seed(arms(0.05, 1e-5)),
            &format!(
                "SemiEvol 88.0 {start} better (+5.0 points, 95% interval +3.0 to +7.0, p <0.001, one seed only)."
            ),
        );
        check(
            &one_seed(arms(-0.05, 0.02)),
            &format!(
                "SemiEvol 78.0 {start} worse (−5.0 points, 95% interval −7.0 to −3.0, p = 0.020, one seed only)."
            ),
        );
    }

    #[test]
    fn one_seed_is_sure_where_test_and_interval_are() {
        let arms = |p: f64, low: f64| {
            let interval = Some(Interval { low, high: 0.5 });
            let difference = Difference { against: "sft".into(), mean: 0.05, interval, p: Some(p) };
            vec![
                row("sft", ArmRole::LabelsOnly, 0.8, None),
                row("SemiEvol", ArmRole::SemiSupervised, 0.85, Some(difference)),
            ]
        };
        for (p, low, word) in
            [(0.01, 0.02, "better"), (0.01, -0.2, "not distinguishable"), (0.2, 0.01, "not distinguishable")]
        {
            let said = verdict(&one_seed(arms(p, low)));
            assert!(said.contains(&format!(": {word} (")), "{said}");
        }
    }

    #[test]
    fn the_base_model_is_no_fine_tuning() {
        let arms = vec![
            row("vanilla", ArmRole::Base, 0.71, None),
            row("SemiEvol", ArmRole::SemiSupervised, 0.84, difference("vanilla", 0.13, Some(1e-9))),
        ];
        let said = verdict(&one_seed(arms));
        assert!(
            said.starts_with("SemiEvol 84.0 against 71.0 for the model as it is (vanilla): better"),
            "{said}"
        );
    }

    #[test]
    fn methods_held_against_each_other_are_judged_together() {
        let variant = |arm: &str, accuracy: f64, p: f64| {
            row(arm, ArmRole::Variant, accuracy, difference("sft", accuracy - 0.8, Some(p)))
        };
        let sft = || row("sft", ArmRole::LabelsOnly, 0.8, None);
        check(
            &one_seed(vec![
                sft(),
                variant("n-1", 0.81, 0.4),
                variant("n-2", 0.7, 0.01),
                variant("n-3", 0.79, 0.4),
            ]),
            "Of 3 methods against 80.0 for fine-tuning on labels alone (sft), none better, 1 worse (n-2 70.0), 2 not distinguishable (n-1 81.0, n-3 79.0) (one seed only, each tested by itself).",
        );
        check(
            &one_seed(vec![sft(), variant("n-1", 0.81, 0.4), row("n-2", ArmRole::Variant, 0.7, None)]),
            "Of 2 methods against 80.0 for fine-tuning on labels alone (sft), none better, none worse, 1 not distinguishable (n-1 81.0), 1 not tested (n-2 70.0) (one seed only, each tested by itself).",
        );
        check(
            &one_seed(vec![row("n-1", ArmRole::Variant, 0.8, None), row("n-2", ArmRole::Variant, 0.7, None)]),
            "n-1 80.0, n-2 70.0 (one seed only); there is no fine-tuning on labels alone to compare them with.",
        );
        // One alone is the method.
        check(
            &one_seed(vec![sft(), variant("n-1", 0.81, 0.4)]),
            "n-1 81.0 against 80.0 for fine-tuning on labels alone (sft): not distinguishable (+1.0 points, 95% interval −1.0 to +3.0, p = 0.400, one seed only).",
        );
    }

    #[test]
    fn the_cost_is_said_where_it_was_counted() {
        let cost = |steps, prompts| Some(crate::Cost { steps, prompts });
        let mut arms = vec![
            row("sft", ArmRole::LabelsOnly, 0.82, None),
            row("SemiEvol", ArmRole::SemiSupervised, 0.84, difference("sft", 0.02, Some(0.2))),
        ];
        (arms[0].cost, arms[1].cost) = (cost(96, 0), cost(1300, 2400));
        let said = verdict(&one_seed(arms));
        let end = "It took 1,300 optimiser steps and 2,400 answered prompts, against 96 steps.";
        assert!(said.ends_with(end), "{said}");
    }

    #[test]
    fn several_seeds_rest_on_the_interval_over_them() {
        let report = |mean: f64| {
            let arm = |arm: &str, role, accuracy, difference| ArmOverSeeds {
                arm: arm.into(),
                role,
                accuracy,
                difference,
                ..Default::default()
            };
            Report {
                seeds: vec![SeedReport::default(); 3],
                summary: vec![
                    arm("sft", ArmRole::LabelsOnly, 0.8, None),
                    arm("SemiEvol", ArmRole::SemiSupervised, 0.8 + mean, difference("sft", mean, Some(0.04))),
                ],
                ..Default::default()
            }
        };
        check(
            &report(0.01),
            "SemiEvol 81.0 against 80.0 for fine-tuning on labels alone (sft): not distinguishable (+1.0 points in the mean, 95% interval −1.0 to +3.0, p = 0.040, 3 seeds).",
        );
        check(
            &report(0.03),
            "SemiEvol 83.0 against 80.0 for fine-tuning on labels alone (sft): better (+3.0 points in the mean, 95% interval +1.0 to +5.0, p = 0.040, 3 seeds).",
        );
    }

    #[test]
    fn without_the_arms_it_says_so() {
        let semi = || row("SemiEvol", ArmRole::SemiSupervised, 0.84, None);
        check(
            &one_seed(vec![semi()]),
            "SemiEvol 84.0 (one seed only); there is no fine-tuning on labels alone to compare it with.",
        );
        check(
            &one_seed(vec![
                row("vanilla", ArmRole::Base, 0.71, difference("sft", -0.12, Some(0.0001))),
                row("sft", ArmRole::LabelsOnly, 0.83, None),
            ]),
            "sft 83.0 against 71.0 for the model as it is (vanilla): better (+12.0 points, 95% interval +10.0 to +14.0, p <0.001, one seed only); no semi-supervised arm was run.",
        );
        check(
            &one_seed(vec![row("vanilla", ArmRole::Base, f64::NAN, None)]),
            "vanilla – (one seed only); no semi-supervised arm was run.",
        );
        check(&Report::default(), "There are no results yet.");
        let seeds = vec![SeedReport::default(); 2];
        check(
            &Report { seeds, ..Default::default() },
            "There are 2 seeds but no mean over them, so nothing is concluded.",
        );
    }

    #[test]
    fn an_untested_difference_is_not_called_better() {
        let arms = vec![
            row("sft", ArmRole::LabelsOnly, 0.8, None),
            row("SemiEvol", ArmRole::SemiSupervised, 0.9, difference("sft", 0.1, None)),
        ];
        check(
            &one_seed(arms),
            "SemiEvol 90.0 against 80.0 for fine-tuning on labels alone (sft): not tested (+10.0 points, 95% interval +8.0 to +12.0, one seed only).",
        );
    }
}
