//! Metrics and tests against numbers from scikit-learn and scipy, and against naive references.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use proptest::prelude::*;
use semievol_core::{Answer, Groups, Sample, Seed};
use semievol_eval::{
    AnswerKey, EvalError, Graded, Metric, OverSeeds, Prediction, bootstrap, compare, compare_over_seeds,
    holm, mcnemar, over_seeds, wilson,
};

const N_OPTIONS: usize = 4;

const WILSON: [(f64, f64); 4] = [
    (0.4901624715366418, 0.9433178485456248),
    (0.0, 0.16112515805281935),
    (0.8388748419471808, 1.0),
    (0.7950577381976043, 0.8638141618637682),
];
const MCNEMAR: [(usize, usize, f64); 6] = [
    (6, 1, 0.125),
    (10, 10, 1.0),
    (3, 15, 0.007537841796875),
    (40, 60, 0.05688793364098089),
    (0, 5, 0.0625),
    (1, 0, 1.0),
];
const T_LOW: f64 = 1.0367568385224428;

fn samples(n: usize) -> Vec<Sample> {
    let options = ["a", "b", "c", "d"];
    let sample = |row: usize| Sample {
        category: Some(format!("kind {}", row % 2)),
        ..Sample::new(row.to_string(), "q").with_options(options)
    };
    (0..n).map(sample).collect()
}

fn key(gold: &[usize]) -> AnswerKey {
    let answers: Vec<_> = gold.iter().map(|class| Some(Answer::Choice(*class))).collect();
    AnswerKey::new(&samples(gold.len()), &answers).unwrap()
}

fn same(predicted: &Answer, gold: &Answer) -> bool {
    predicted == gold
}

/// Grades; `None` is a response that could not be read.
fn grade(gold: &[usize], predicted: &[Option<usize>]) -> Graded {
    let predictions = predicted.iter().enumerate();
    let predictions: Vec<_> =
        predictions.map(|(row, class)| Prediction::new(row.to_string(), class.map(Answer::Choice))).collect();
    key(gold).grade(&predictions, &same).unwrap()
}

/// The same with ids that begin so: other samples.
fn grade_as(prefix: &str, gold: &[usize], predicted: &[Option<usize>]) -> Graded {
    let named = |row: usize| format!("{prefix}{row}");
    let samples: Vec<Sample> =
        samples(gold.len()).into_iter().enumerate().map(|(row, s)| Sample { id: named(row), ..s }).collect();
    let answers: Vec<_> = gold.iter().map(|class| Some(Answer::Choice(*class))).collect();
    let predictions = predicted.iter().enumerate();
    let predictions: Vec<_> =
        predictions.map(|(row, class)| Prediction::new(named(row), class.map(Answer::Choice))).collect();
    AnswerKey::new(&samples, &answers).unwrap().grade(&predictions, &same).unwrap()
}

fn near(one: f64, other: f64) {
    assert!((one - other).abs() < 1e-9, "{one} is not {other}");
}

fn check(gold: &[usize], predicted: &[usize], accuracy: f64, macro_f1: f64) {
    let graded = grade(gold, &predicted.iter().copied().map(Some).collect::<Vec<_>>());
    near(graded.accuracy(), accuracy);
    near(graded.macro_f1().unwrap(), macro_f1);
}

/// `sklearn.metrics.accuracy_score` and `f1_score(average="macro", zero_division=0)`.
#[test]
fn macro_f1_is_that_of_scikit_learn() {
    check(&[0, 1, 2, 0, 1, 2], &[0, 2, 1, 0, 0, 1], 1.0 / 3.0, 0.266_666_666_666_666_66);
    check(&[0, 0, 1, 1, 2, 2, 2], &[0, 0, 1, 2, 2, 2, 0], 0.714_285_714_285_714_3, 0.711_111_111_111_111_2);
    // A class that only the predictions have counts, one that neither has does not.
    check(&[0, 0, 0, 1], &[0, 0, 3, 1], 0.75, 0.6);
    check(&[2, 2], &[2, 2], 1.0, 1.0);
}

#[test]
fn an_unreadable_response_is_a_miss_and_no_class() {
    let graded = grade(&[0, 0, 1, 1], &[Some(0), None, Some(1), Some(1)]);
    assert_eq!((graded.n_correct(), graded.n_unparsed()), (3, 1));
    near(graded.macro_f1().unwrap(), (2.0 / 3.0 + 1.0) / 2.0);
    let confusion = graded.confusion();
    assert_eq!(confusion.classes, ["a", "b"]);
    assert_eq!(confusion.counts, [[1, 0, 1], [0, 2, 0]]);
    let classes = graded.per_class();
    assert_eq!((classes[0].precision, classes[0].recall, classes[0].n_predicted), (1.0, 0.5, 1));
    let categories: Vec<_> = graded.by_category().into_values().collect();
    assert_eq!(categories, [(2, 2), (1, 2)]);
}

#[test]
fn the_key_keeps_its_answers() {
    let key = key(&[0, 1]);
    assert_eq!(format!("{key:?}"), "AnswerKey { len: 2, .. }");
    assert_eq!(format!("{:?}", grade(&[0, 1], &[Some(0), None])), "Graded { len: 2, n_correct: 1, .. }");
    let oracle = key.oracle(&samples(2)).unwrap();
    assert_eq!(oracle[1].answer, Answer::Choice(1));
    assert!(matches!(key.oracle(&samples(3)), Err(EvalError::NoAnswer { id }) if id == "2"));
    let twice = [Prediction::new("0", None), Prediction::new("0", None)];
    assert!(matches!(key.grade(&twice, &same), Err(EvalError::Duplicate { .. })));
    let odd = [Prediction::new("0", Some(Answer::Choice(usize::MAX)))];
    assert!(matches!(key.grade(&odd, &same), Err(EvalError::Choice { .. })));
    assert!(matches!(AnswerKey::new(&samples(2), &[]), Err(EvalError::Lengths { .. })));
    let open = AnswerKey::new(&[Sample::new("0", "q")], &[Some(Answer::Text("x".into()))]).unwrap();
    let graded = open.grade(&[Prediction::new("0", None)], &same).unwrap();
    assert!(matches!(graded.macro_f1(), Err(EvalError::NoClasses)));
    let options = [["yes", "no"], ["left", "right"]].into_iter().enumerate();
    let own: Vec<Sample> =
        options.map(|(row, options)| Sample::new(row.to_string(), "q").with_options(options)).collect();
    let own = AnswerKey::new(&own, &[Some(Answer::Choice(0)), Some(Answer::Choice(1))]).unwrap();
    let graded = own.grade(&[Prediction::new("0", Some(Answer::Choice(0)))], &same).unwrap();
    assert!(matches!(graded.macro_f1(), Err(EvalError::NoClasses)), "places among options of their own");
    assert!(matches!(key.grade(&[], &same).unwrap().metric(Metric::Accuracy), Err(EvalError::Empty { .. })));
}

/// `scipy.stats.binomtest(k, n).proportion_ci(method="wilson")`.
#[test]
fn wilson_is_that_of_scipy() {
    let cases = [(8, 10, WILSON[0]), (0, 20, WILSON[1]), (20, 20, WILSON[2]), (377, 453, WILSON[3])];
    for (correct, n, (low, high)) in cases {
        let interval = wilson(correct, n, 0.95).unwrap();
        near(interval.low, low);
        near(interval.high, high);
    }
    assert!(wilson(0, 0, 0.95).is_err() && wilson(2, 1, 0.95).is_err() && wilson(1, 2, 95.0).is_err());
}

/// `scipy.stats.binomtest(b, b + c).pvalue`.
#[test]
fn mcnemar_is_that_of_scipy() {
    for (b, c, p) in MCNEMAR {
        near(mcnemar(b, c).p, p);
    }
    near(mcnemar(0, 0).p, 1.0);
}

#[test]
fn holm_never_falls() {
    assert_eq!(holm(&[]), [0.0; 0]);
    assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    let negative = f64::from_bits(f64::NAN.to_bits() | 1 << 63);
    assert_eq!(holm(&[0.001, negative, 0.02])[0], holm(&[0.001, f64::NAN, 0.02])[0]);
    let adjusted = holm(&[0.001, f64::NAN, 0.02]);
    assert!(adjusted[1].is_nan());
    near(adjusted[0], 0.003);
    near(adjusted[2], 0.04);
}

#[test]
fn seeds_are_summed_up_by_t() {
    // scipy.stats.t.interval(0.95, 4, loc=mean, scale=sem) of 1, 2, 3, 4, 5.
    let summary = over_seeds(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.95).unwrap();
    near(summary.sd.unwrap(), 2.5f64.sqrt());
    assert!((summary.interval.unwrap().low - T_LOW).abs() < 1e-6, "{summary:?}");
    let one = over_seeds(&[0.5], 0.95).unwrap();
    assert_eq!((one.mean, one.sd, one.interval), (0.5, None, None));
    assert!(over_seeds(&[], 0.95).is_err() && over_seeds(&[f64::NAN], 0.95).is_err());
}

#[test]
fn comparisons_need_the_same_samples() {
    let (two, three) = (grade(&[0, 1], &[Some(0); 2]), grade(&[0, 1, 2], &[Some(0); 3]));
    let message = compare(&two, &three, Seed(0)).unwrap_err().to_string();
    assert!(message.contains("sample 2 is `` in one and `2` in the other"), "{message}");
    assert!(compare_over_seeds(Metric::Accuracy, &[], &[], Seed(0)).is_err());
    assert!(compare_over_seeds(Metric::Accuracy, &[two], &[], Seed(0)).is_err());
}

#[test]
fn a_clear_difference_is_found_and_none_is_not() {
    let gold: Vec<usize> = (0..200).map(|row| row % 3).collect();
    let good: Vec<_> =
        gold.iter().enumerate().map(|(row, class)| Some(if row % 10 == 0 { 3 } else { *class })).collect();
    let poor: Vec<_> =
        gold.iter().enumerate().map(|(row, class)| Some(if row % 3 == 0 { 3 } else { *class })).collect();
    let (good, poor) = (grade(&gold, &good), grade(&gold, &poor));
    let comparison = compare(&good, &poor, Seed(1)).unwrap();
    assert!(comparison.interval.low > 0.1 && comparison.mcnemar.p < 1e-6, "{comparison:?}");
    for metric in [Metric::Accuracy, Metric::MacroF1] {
        let runs = [good.clone(), good.clone(), good.clone()];
        let clear =
            compare_over_seeds(metric, &runs, &[poor.clone(), poor.clone(), poor.clone()], Seed(1)).unwrap();
        assert!(
            clear.interval.low > 0.0 && clear.interval.holds(clear.difference) && clear.p < 1e-5,
            "{clear:?}"
        );
        let none = compare_over_seeds(metric, &runs, &runs, Seed(1)).unwrap();
        assert_eq!((none.difference, none.p), (0.0, 1.0));
        // That no row differed is no certainty that none does.
        let ends = none.interval.low..=none.interval.high;
        assert!(metric != Metric::Accuracy || (ends.contains(&-0.01) && ends.contains(&0.01)), "{none:?}");
    }
}

/// Seeds that test other rows each, and not as many. Of two classes that are as frequent and as often mistaken for each other,
/// macro-F1 is accuracy, and so is its interval, which is drawn where the other's is computed.
#[test]
fn macro_f1_over_seeds_with_rows_of_their_own() {
    let run = |seed: usize, n: usize, wrong: usize| {
        let gold: Vec<usize> = (0..n).map(|row| row % 2).collect();
        // Pairs of rows, one of each class, that are wrong now and then.
        let said = |row: usize| if row / 2 % wrong == seed % wrong { 1 - row % 2 } else { row % 2 };
        let said: Vec<_> = (0..n).map(|row| Some(said(row))).collect();
        grade_as(&format!("{seed}-"), &gold, &said)
    };
    let runs = |wrong| [run(1, 120, wrong), run(2, 280, wrong)];
    let (ours, theirs) = (runs(7), runs(4));
    let [accuracy, f1] = [Metric::Accuracy, Metric::MacroF1]
        .map(|metric| compare_over_seeds(metric, &ours, &theirs, Seed(1)).unwrap());
    assert!((accuracy.difference - f1.difference).abs() < 1e-3, "{accuracy:?} {f1:?}");
    let mean: f64 = ours.iter().zip(&theirs).map(|(one, other)| one.accuracy() - other.accuracy()).sum();
    assert!((accuracy.difference - mean / 2.0).abs() < 1e-12, "{accuracy:?}");
    let width = |one: &OverSeeds| one.interval.high - one.interval.low;
    let ratio = width(&f1) / width(&accuracy);
    assert!((0.85..1.15).contains(&ratio), "{ratio}: {accuracy:?} {f1:?}");
}

/// Two results of `n` samples, of which so many are right in one alone.
fn split(n: usize, first_only: usize, second_only: usize) -> (Graded, Graded) {
    let right = |from: usize, to: usize| {
        let said: Vec<_> = (0..n).map(|row| Some(usize::from(!(from..to).contains(&row)))).collect();
        grade(&vec![1; n], &said)
    };
    (right(first_only, first_only + second_only), right(0, first_only))
}

#[test]
fn an_interval_holds_nothing_where_the_test_finds_nothing() {
    for n in [40, 400] {
        for (first_only, second_only) in (0..14).flat_map(|b| (0..=b).map(move |c| (b, c))) {
            let (one, other) = split(n, first_only, second_only);
            let found = compare(&one, &other, Seed(1)).unwrap();
            assert_eq!((found.mcnemar.first_only, found.mcnemar.second_only), (first_only, second_only));
            assert!(found.interval.holds(found.difference), "{found:?}");
            assert!(found.interval.holds(0.0) || found.mcnemar.p < 0.05, "{found:?}");
            // Nor does it hold 0 where the test is sure.
            assert!(!found.interval.holds(0.0) || found.mcnemar.p > 0.04, "{found:?}");
        }
    }
    // 9 against 2: Clopper and Pearson have 48.2 to 97.7% for the share of the first among 11.
    let (one, other) = split(453, 9, 2);
    let ends = compare(&one, &other, Seed(1)).unwrap().interval;
    assert!((ends.low - 11.0 / 453.0 * (2.0 * 0.48224 - 1.0)).abs() < 1e-6, "{ends}");
    let (one, other) = split(50, 0, 0);
    assert_eq!(compare(&one, &other, Seed(1)).unwrap().interval.to_string(), "[-0.071, 0.071]");
}

/// As in the exact test of one pair, it takes six rows of one sign, however often seeds repeat them.
#[test]
fn few_rows_are_no_difference_over_seeds_either() {
    for n in [40, 400] {
        for rows in 1..8 {
            let (one, other) = split(n, rows, 0);
            for seeds in 1..4 {
                let [first, second] = [&one, &other].map(|run| vec![run.clone(); seeds]);
                let found = compare_over_seeds(Metric::Accuracy, &first, &second, Seed(1)).unwrap();
                assert_eq!(
                    found.interval.holds(0.0),
                    rows < 6,
                    "{rows} of {n} rows, {seeds} seeds: {found:?}"
                );
            }
        }
    }
    // Nothing is certain of two rows.
    let (one, other) = (grade(&[0, 1], &[Some(0), Some(1)]), grade(&[0, 1], &[Some(1), Some(0)]));
    let found = compare_over_seeds(Metric::MacroF1, &[one], &[other], Seed(1)).unwrap();
    assert!(found.interval.holds(0.0) && found.p > 0.05, "{found:?}");
}

#[test]
fn samples_that_seeds_share_are_one_draw_in_all_of_them() {
    // Every seed has 50 of the samples; how good the one method is hangs on the sample alone.
    let run = |ids: &[usize], ours: bool| {
        let ids: Vec<String> = ids.iter().map(|id| format!("row-{id}")).collect();
        let right = |id: &String| !id.ends_with(if ours { '3' } else { '7' });
        let right: Vec<bool> = ids.iter().map(right).collect();
        Graded::of_rows(&ids, &Groups::single(ids.len()), &right).unwrap()
    };
    let width = |first: &dyn Fn(usize) -> usize| {
        let of = |ours: bool| {
            let seed = |seed: usize| {
                // In an order of its own, so that no two have the same list.
                let ids: Vec<usize> = (0..50).map(|row| 1000 + first(seed) + (row + seed) % 50).collect();
                run(&ids, ours)
            };
            (0..5).map(seed).collect::<Vec<_>>()
        };
        let over = compare_over_seeds(Metric::Accuracy, &of(true), &of(false), Seed(1)).unwrap();
        over.interval.high - over.interval.low
    };
    let (same, apart) = (width(&|_| 0), width(&|seed| 50 * seed));
    assert!((same / apart - 5f64.sqrt()).abs() < 0.1, "{same} where they share samples, {apart} where not");
    let half = width(&|seed| 25 * seed);
    assert!(apart < half && half < same, "{apart} {half} {same}");
}

/// Two methods that are equally good, and a few seeds of which each moves a method by less or by more than test rows do:
/// intervals that resample so few seeds, or share out degrees of freedom between seeds and rows, leave 0 out too often.
#[test]
fn intervals_over_few_seeds_hold_the_truth_as_often_as_they_say() {
    const TRIALS: u64 = 300;
    for (shared, seeds, moved) in [true, false]
        .into_iter()
        .flat_map(|shared| [(shared, 2, 0.16), (shared, 2, 0.5), (shared, 3, 0.16), (shared, 3, 0.5)])
    {
        let held = (0..TRIALS).filter(|trial| {
            let root = Seed(*trial).child("trial", u64::from(shared));
            let run = |method: &str, seed: u64| {
                let rows = root.child("rows", if shared { 0 } else { seed });
                let ability = moved * (root.child(method, seed).uniform() - 0.5);
                let right = (0..80).map(|row| {
                    let hard = 0.2 + 0.6 * rows.child("hard", row).uniform();
                    let luck = root.child(method, seed).child("luck", row).uniform();
                    Some(usize::from(luck < hard + ability))
                });
                grade_as(&format!("{}-", if shared { 0 } else { seed }), &[1; 80], &right.collect::<Vec<_>>())
            };
            let [ours, theirs] =
                ["ours", "theirs"].map(|method| (1..=seeds).map(|s| run(method, s)).collect::<Vec<_>>());
            let over = compare_over_seeds(Metric::Accuracy, &ours, &theirs, root).unwrap();
            assert_eq!(over.interval.holds(0.0), over.p >= 0.05, "{over:?}");
            over.interval.holds(0.0)
        });
        let share = held.count() as f64 / TRIALS as f64;
        let what = format!("shared rows: {shared}, {seeds} seeds, moved by {moved}");
        assert!((0.93..=1.0).contains(&share), "{what}: {share} of the intervals hold 0");
    }
}

#[test]
fn the_interval_over_seeds_with_rows_of_their_own_is_students_by_hand() {
    let run = |seed: usize, right: usize| {
        let answers: Vec<_> = (0..200).map(|row| Some(usize::from(row < right))).collect();
        grade_as(&format!("{seed}-"), &[1; 200], &answers)
    };
    let ours: Vec<Graded> = [100, 110, 120].into_iter().enumerate().map(|(s, right)| run(s, right)).collect();
    let theirs: Vec<Graded> = (0..3).map(|seed| run(seed, 100)).collect();
    let found = compare_over_seeds(Metric::Accuracy, &ours, &theirs, Seed(1)).unwrap();
    // Differences of 0, 5 and 10 points; 4.302653 is Student's t of 2 degrees, whose tails have a closed form.
    let error = 0.05 / 3.0_f64.sqrt();
    let (half, t) = (4.302_653 * error, 0.05 / error);
    assert!((found.interval.low - (0.05 - half)).abs() < 1e-6, "{found:?}, by hand {half}");
    assert!((found.interval.high - (0.05 + half)).abs() < 1e-6, "{found:?}, by hand {half}");
    assert!((found.p - (1.0 - t / (2.0 + t * t).sqrt())).abs() < 1e-5, "{found:?}");
}

#[test]
fn which_rows_are_right_is_enough_to_compare_accuracy() {
    let (good, poor) =
        (grade(&[0, 1, 2, 3], &[Some(0), Some(1), None, Some(3)]), grade(&[0; 4], &[Some(0); 4]));
    let kept = |graded: &Graded| {
        let ids: Vec<String> = graded.ids().map(str::to_owned).collect();
        Graded::of_rows(&ids, &Groups::single(ids.len()), &graded.correct()).unwrap()
    };
    let compared = |one: &Graded, other: &Graded| {
        let seeds = |graded: &Graded| [graded.clone(), graded.clone()];
        let over = compare_over_seeds(Metric::Accuracy, &seeds(one), &seeds(other), Seed(3)).unwrap();
        (compare(one, other, Seed(3)).unwrap(), over)
    };
    assert_eq!(compared(&kept(&good), &kept(&poor)), compared(&good, &poor));
    assert!(matches!(kept(&good).macro_f1(), Err(EvalError::NoClasses)));
    let one = ["a".to_owned()];
    let error = Graded::of_rows(&one, &Groups::single(1), &[true, false]).unwrap_err().to_string();
    assert_eq!(error, "1 samples stand against 2 truth values; pass one for each");
    let error = Graded::of_rows(&one, &Groups::single(3), &[true]).unwrap_err().to_string();
    assert_eq!(error, "1 rows stand against 3 rows with groups; pass one for each");
}

/// Differences that happen to be equal are no reason for a narrow interval.
#[test]
fn equal_differences_leave_the_chance_of_the_rows() {
    let right = |n: usize| (0..60).map(|row| Some(usize::from(row < n))).collect::<Vec<_>>();
    let run = |seed: usize, n: usize| grade_as(&format!("{seed}-"), &[1; 60], &right(n));
    let (ours, theirs) = ([run(1, 41), run(2, 41)], [run(1, 40), run(2, 40)]);
    let over = compare_over_seeds(Metric::Accuracy, &ours, &theirs, Seed(1)).unwrap();
    assert!((over.difference - 1.0 / 60.0).abs() < 1e-12 && over.interval.holds(0.0), "{over:?}");
}

#[test]
fn the_bootstrap_agrees_with_the_normal_interval() {
    let right: Vec<bool> = (0..400).map(|row| row % 4 != 0).collect();
    let share = |rows: &[usize]| rows.iter().filter(|row| right[**row]).count() as f64 / rows.len() as f64;
    let interval = bootstrap(400, 0.95, Seed(5), share).unwrap();
    let half = 1.96 * (0.75f64 * 0.25 / 400.0).sqrt();
    assert!(
        (interval.low - (0.75 - half)).abs() < 0.01 && (interval.high - (0.75 + half)).abs() < 0.01,
        "{interval}"
    );
    assert_eq!(interval, bootstrap(400, 0.95, Seed(5), share).unwrap());
    let mean = |rows: &[usize]| rows.iter().sum::<usize>() as f64 / rows.len() as f64;
    let other_seed = bootstrap(400, 0.95, Seed(6), mean).unwrap();
    assert_ne!(bootstrap(400, 0.95, Seed(5), mean).unwrap(), other_seed);
    assert!(bootstrap(3, 0.95, Seed(5), |_| f64::NAN).is_err());
}

type Pair = (usize, Option<usize>);

/// F1 by its definition, one class at a time.
fn naive_macro_f1(pairs: &[Pair]) -> f64 {
    let count = |test: &dyn Fn(&Pair) -> bool| pairs.iter().filter(|pair| test(pair)).count() as f64;
    let mut f1 = Vec::new();
    for class in 0..N_OPTIONS {
        let both = count(&|pair| pair.0 == class && pair.1 == Some(class));
        let missed = count(&|pair| pair.0 == class && pair.1 != Some(class));
        let wrong = count(&|pair| pair.0 != class && pair.1 == Some(class));
        if both + missed + wrong > 0.0 {
            f1.push(2.0 * both / (2.0 * both + missed + wrong));
        }
    }
    f1.iter().sum::<f64>() / f1.len() as f64
}

proptest! {
    #[test]
    fn macro_f1_is_the_naive_one(pairs in prop::collection::vec((0..N_OPTIONS, prop::option::of(0..N_OPTIONS)), 1..60)) {
        let (gold, predicted): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
        let graded = grade(&gold, &predicted);
        prop_assert!((graded.macro_f1().unwrap() - naive_macro_f1(&pairs)).abs() < 1e-12);
        let diagonal: usize = graded.confusion().counts.iter().enumerate().map(|(class, row)| row[class]).sum();
        prop_assert_eq!(diagonal, graded.n_correct());
    }

    #[test]
    fn wilson_holds_the_share(n in 1usize..3000, share in 0.0..=1.0, level in 0.01..0.999) {
        let correct = (n as f64 * share) as usize;
        let interval = wilson(correct, n, level).unwrap();
        prop_assert!(interval.holds(correct as f64 / n as f64));
        prop_assert!(0.0 <= interval.low && interval.high <= 1.0);
        let mirrored = wilson(n - correct, n, level).unwrap();
        prop_assert!((interval.low - (1.0 - mirrored.high)).abs() < 1e-9);
    }

    #[test]
    fn mcnemar_is_symmetric_and_a_probability(b in 0usize..400, c in 0usize..400) {
        let p = mcnemar(b, c).p;
        prop_assert_eq!(p, mcnemar(c, b).p);
        prop_assert!(p > 0.0 && p <= 1.0);
    }
}
