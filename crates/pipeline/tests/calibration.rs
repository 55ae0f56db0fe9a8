//! How sure the answers to labels were, and whether they were right, as selectors and users are told.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{Doubles, Recorder, asked, sample, seed_run};
use semievol_core::{Answer, Labeled, Sample};
use semievol_pipeline::{Answers, Evolved, MethodConfig, Parts, files};
use semievol_select::classify::{Alignment, LogPool};
use semievol_select::options::most_probable;
use semievol_testkit::ScriptedModel;
use std::path::Path;

const METHOD: &str = r#"
neighbours = 0
retrieval = { kind = "bm25" }
warm = {}
folds = 3
collaborators = [
    { kind = "language_model", name = "warm", temperature = 0.0 },
    { kind = "language_model", name = "base", model = "base", temperature = 0.0 },
]
justify = { kind = "mixture" }
evolve = {}
"#;

fn number(id: &str) -> usize {
    id[1..].parse().unwrap()
}

/// Rows ask for the options in turn.
fn gold(id: &str) -> usize {
    number(id) % 3
}

/// What an option leaves, the next one has three fifths of.
fn peaked(option: usize, most: f64) -> [f64; 3] {
    let mut all = [0.0; 3];
    all[option] = most;
    all[(option + 1) % 3] = 0.6 * (1.0 - most);
    all[(option + 2) % 3] = 0.4 * (1.0 - most);
    all
}

/// Right of three rows in five, and then surer.
fn warm(id: &str) -> [f64; 3] {
    let (n, more) = (number(id), (number(id) % 30) as f64);
    match n / 3 % 5 {
        0 | 3 => peaked((n + 1) % 3, 0.5 + 0.001 * more),
        _ => peaked(n % 3, 0.7 + 0.005 * more),
    }
}

/// Right of one in three, however sure.
fn base(id: &str) -> [f64; 3] {
    let n = number(id);
    peaked((n + n / 4) % 3, 0.45 + 0.01 * (n % 30) as f64)
}

/// The most probable option under the mean of both: how probable it is, and whether it is right.
fn mixed(id: &str) -> (f64, bool) {
    let (warm, base) = (warm(id), base(id));
    let mean = [0, 1, 2].map(|option| (warm[option] + base[option]) / 2.0);
    let answer = most_probable(&mean).unwrap();
    (mean[answer], answer == gold(id))
}

/// A method on thirty labels and as many other rows, of which the first option would be right; and the labels of each fold, in
/// the order in which they are judged, with what was said of them.
fn judged(way: &str) -> (Evolved, Vec<Answers>, Vec<Vec<Answers>>) {
    let knows = |name: &str, says: fn(&str) -> [f64; 3]| {
        ScriptedModel::babbler(name).scoring(move |prompt, letter| {
            let option = usize::from(letter.trim().as_bytes()[0] - b'A');
            says(&asked(prompt))[option].ln()
        })
    };
    let loader = Doubles::of(knows("base", base), knows("warm", warm));
    let trainer = Recorder::new(usize::MAX);
    let label = |n: usize| Labeled { sample: sample(format!("L{n}")), answer: Answer::Choice(n % 3) };
    let labelled: Vec<Labeled> = (0..30).map(label).collect();
    let unlabelled: Vec<Sample> = (0..90).step_by(3).map(|n| sample(format!("U{n}"))).collect();
    let method = toml::from_str::<MethodConfig>(&format!("{METHOD}{way}")).unwrap().build().unwrap();
    let out = tempfile::tempdir().unwrap();
    let evolved = seed_run(Parts::new(&loader, &trainer), out.path(), |run| {
        run.evolve(&method, &labelled, &unlabelled, &[], &mut |_| ()).unwrap()
    });
    let folds = (0..3).map(|fold| read(out.path(), &format!("candidates-fold-{fold}.jsonl"))).collect();
    (evolved, read(out.path(), "candidates.jsonl"), folds)
}

fn read(folder: &Path, name: &str) -> Vec<Answers> {
    files::read_jsonl(&folder.join(name)).unwrap()
}

fn assert_calibrated(evolved: &Evolved, expected: &[(f64, bool)], within: f64) {
    assert_eq!((evolved.calibration.len(), expected.len()), (30, 30));
    for (row, (found, (sure, correct))) in evolved.calibration.iter().zip(expected).enumerate() {
        let same = (found.confidence.value() - sure).abs() < within && found.correct == *correct;
        assert!(same, "label {row}: {found:?}, and not {sure}, {correct}");
    }
    let right = expected.iter().filter(|(_, correct)| *correct).count();
    assert!((5..=25).contains(&right), "{right} are right, which tells little");
}

#[test]
fn each_label_says_how_sure_its_answer_was_and_whether_it_was_right() {
    let way = "confidence = { kind = \"mixture\" }\nselect = { kind = \"error_controlled\", alpha = 0.3 }";
    let (evolved, _, folds) = judged(way);
    let expected: Vec<(f64, bool)> = folds.iter().flatten().map(|label| mixed(&label.id)).collect();
    assert_calibrated(&evolved, &expected, 1e-5);
}

fn said(answers: &Answers) -> Vec<Vec<f64>> {
    answers.candidates.iter().map(|candidate| candidate.distribution.clone()).collect()
}

#[test]
fn a_label_has_no_say_in_how_those_are_weighed_who_answer_it() {
    let way = r#"
        confidence = { kind = "mixture" }
        combine = { kind = "log_pool", align = 0.5 }
        select = { kind = "error_controlled", alpha = 0.3 }
    "#;
    let (evolved, pool, folds) = judged(way);
    let fit = |without: Option<usize>| {
        let others = folds.iter().enumerate().filter(|(fold, _)| Some(*fold) != without);
        let rows = others.flat_map(|(_, labels)| labels);
        let (rows, right): (Vec<_>, Vec<_>) = rows.map(|label| (said(label), gold(&label.id))).unzip();
        LogPool::fit(&rows, &right).unwrap()
    };
    let all = fit(None);
    let pooled: Vec<Vec<f64>> = pool.iter().map(|answers| all.combine(&said(answers)).unwrap()).collect();
    // As many labels of each option.
    let aligned = Alignment::new(&pooled, &[1.0 / 3.0; 3], 0.5).unwrap();
    let unmoved = Alignment::new(&pooled, &[1.0 / 3.0; 3], 0.0).unwrap();
    let settled = |label: &Answers, weights: &LogPool, alignment: &Alignment| {
        let mut distribution = weights.combine(&said(label)).unwrap();
        alignment.apply(&mut distribution);
        let answer = most_probable(&distribution).unwrap();
        (distribution[answer], answer == gold(&label.id))
    };
    let (mut expected, mut own_say, mut moved) = (Vec::new(), 0.0_f64, 0.0_f64);
    for (fold, labels) in folds.iter().enumerate() {
        let others = fit(Some(fold));
        for label in labels {
            let (sure, correct) = settled(label, &others, &aligned);
            own_say = own_say.max((settled(label, &all, &aligned).0 - sure).abs());
            moved = moved.max((settled(label, &others, &unmoved).0 - sure).abs());
            expected.push((sure, correct));
        }
    }
    assert!(own_say > 1e-3 && moved > 1e-3, "{own_say} {moved}");
    assert_calibrated(&evolved, &expected, 1e-9);
}

#[test]
fn a_probe_that_has_learnt_makes_chances_of_all_confidences() {
    let way = "probe = true\nconfidence = { kind = \"mean_nll\" }\nselect = { kind = \"weighted\" }";
    let (evolved, _, folds) = judged(way);
    assert!(evolved.notes.is_empty(), "{:?}", evolved.notes);
    let correct: Vec<bool> = folds.iter().flatten().map(|label| mixed(&label.id).1).collect();
    assert_eq!(evolved.calibration.iter().map(|one| one.correct).collect::<Vec<_>>(), correct);
    let of_labels = evolved.calibration.iter().map(|one| (one.confidence.value(), one.correct));
    let of_others = evolved.selected.iter().map(|one| (one.confidence.unwrap().value(), mixed(&one.id).1));
    for chances in [of_labels.collect::<Vec<_>>(), of_others.collect()] {
        assert_eq!(chances.len(), 30);
        assert!(chances.iter().all(|(chance, _)| (0.0..=1.0).contains(chance)), "{chances:?}");
        let mean = |right: bool| {
            let own = chances.iter().filter(|(_, correct)| *correct == right);
            own.clone().map(|(chance, _)| chance).sum::<f64>() / own.count() as f64
        };
        assert!(mean(true) > mean(false) + 0.5, "{chances:?}");
    }
    // As log-probabilities they would all weigh 1.
    for one in &evolved.selected {
        assert_eq!(Some(one.weight), one.confidence.map(|chance| chance.value() as f32), "{one:?}");
    }
}
