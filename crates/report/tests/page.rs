//! The page as a whole: well-formed, self-contained, safe with any text, sensible with anything missing.

mod xml;

use semievol_report::*;
use xml::check_well_formed;

/// Parses as XML but for its first line, and holds nothing that a page of ours must not.
fn check(report: &Report) -> String {
    let page = render(report).expect("a page");
    let body = page.strip_prefix("<!DOCTYPE html>").expect("a document");
    if let Err(error) = check_well_formed(body) {
        panic!("{error}\n{page}");
    }
    for forbidden in ["http:", "https:", "NaN", "inf\"", "<script", "<link", "<img", "@import", "url("] {
        assert!(!page.contains(forbidden), "{forbidden} in the page");
    }
    assert_eq!(page, render(report).expect("a page"), "the same report gives the same bytes");
    page
}

fn check_holds(report: &Report, expected: &[&str]) {
    let page = check(report);
    for text in expected {
        assert!(page.contains(text), "{text} is not in the page");
    }
}

fn one_seed(seed: SeedReport) -> Report {
    Report { name: "one".into(), seeds: vec![seed], ..Default::default() }
}

fn label(confidence: f64, correct: Option<bool>, kept: bool) -> PseudoLabel {
    PseudoLabel {
        class: Some("yes".into()),
        confidence: Some(confidence),
        probability: Some(confidence),
        correct,
        kept,
        ..Default::default()
    }
}

fn with_labels(labels: Vec<PseudoLabel>, threshold: Option<f64>) -> Report {
    let pseudo = PseudoReport { labels, threshold, ..Default::default() };
    one_seed(SeedReport { pseudo: vec![pseudo], ..Default::default() })
}

fn arm(arm: &str, accuracy: f64) -> ArmRow {
    ArmRow { arm: arm.into(), accuracy, ..Default::default() }
}

#[test]
fn empty_reports_say_what_is_missing() {
    check_holds(
        &Report::default(),
        &["<title>Results</title>", "There are no results yet.", "No arm has results."],
    );
    check_holds(
        &one_seed(SeedReport::default()),
        &["No pseudo-labels: the experiment has no semi-supervised arm."],
    );
    check_holds(&with_labels(Vec::new(), None), &["<p class=\"none\">None.</p>", "are not known"]);
    let alone = SeedReport { arms: vec![arm("vanilla", 0.5)], ..Default::default() };
    check_holds(&one_seed(alone), &["vanilla 50.0 (one seed only)"]);
}

#[test]
fn a_single_point_is_a_chart() {
    for threshold in [None, Some(0.7), Some(-4.0), Some(f64::NAN)] {
        let page = check(&with_labels(vec![label(0.7, Some(true), true)], threshold));
        assert!(page.contains("AUROC not defined") && page.contains("ECE 0.300 over 1 answers"));
    }
    let points = vec![LossPoint { step: 0, loss: 1.5 }];
    let losses = vec![LossCurve { name: "sft".into(), points }];
    check_holds(&one_seed(SeedReport { losses, ..Default::default() }), &["sft goes from 1.500 to 1.500"]);
}

#[test]
fn without_gold_answers_the_charts_that_need_them_are_left_out() {
    let labels = (0..50).map(|i| label(f64::from(i) / 50.0, None, i >= 25)).collect();
    let page = check(&with_labels(labels, Some(0.5)));
    assert!(page.contains("25 kept, 25 dropped"));
    assert!(!page.contains("AUROC 0") && !page.contains("ECE 0") && !page.contains("right ↑"));
}

#[test]
fn numbers_that_are_none_are_left_out() {
    let bad = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    let labels = bad.map(|value| label(value, Some(true), true)).into();
    let mut report = with_labels(labels, Some(f64::NAN));
    let seed = &mut report.seeds[0];
    let points = bad.iter().enumerate().map(|(step, loss)| LossPoint { step, loss: *loss }).collect();
    seed.losses = vec![LossCurve { name: "diverged".into(), points }];
    seed.arms = bad
        .map(|value| ArmRow {
            macro_f1: Some(value),
            interval: Some(Interval { low: value, high: value }),
            difference: Some(Difference { against: "a".into(), mean: value, interval: None, p: Some(value) }),
            ..arm("a", value)
        })
        .into();
    let answers = vec![CollaboratorAnswer { probability: Some(f64::NAN), ..Default::default() }];
    let prompt = PromptSample { confidence: Some(f64::NAN), answers, ..Default::default() };
    seed.pseudo[0].sample = vec![prompt];
    check_holds(&report, &["No steps were recorded.", "No answer has a confidence."]);
}

#[test]
fn test_rows_are_shown_in_parts_and_by_how_sure_the_answers_are() {
    let part = |name: &str, right: [(usize, usize); 2]| Part {
        name: name.into(),
        right: right.map(|(part, whole)| Share { part, whole }).into(),
    };
    let breakdown = Breakdown {
        by: "category".into(),
        arms: vec!["vanilla".into(), "<sft>".into()],
        parts: vec![part("law & order", [(1, 4), (3, 4)]), part("empty", [(0, 0), (0, 0)])],
    };
    let answers = [(0.9, true), (0.8, true), (0.4, false), (f64::NAN, true)];
    let answers = answers.map(|(probability, correct)| Sure { probability, correct }).into();
    let tested = vec![Tested { arm: "<sft>".into(), answers }, Tested::default()];
    let seed = SeedReport { tested, ..Default::default() };
    let report = Report { breakdowns: vec![breakdown], ..one_seed(seed) };
    check_holds(
        &report,
        &[
            "By <bdi>category</bdi>",
            "law &amp; order",
            "<td class=\"number\">25.0</td><td class=\"number\">75.0</td>",
            "<td class=\"number\">0</td><td class=\"number\">–</td>",
            "<h4><bdi>&lt;sft&gt;</bdi></h4>",
            "Right: 2. Wrong: 1.",
            "AUROC 1.000; AURC 0.111; 3 answers.",
        ],
    );
}

#[test]
fn extreme_numbers_make_charts() {
    let sets: [&[f64]; 6] = [
        &[0.0, 0.0, 0.0],
        &[-1e-300, -1e300],
        &[1e9, 1e9 + 1.0, 1e9 + 2.0],
        &[-5.0, -1e-9, 0.0, -1e-8],
        &[1.0, 0.999_999_9, 0.1, 1.0],
        &[f64::MIN, f64::MAX],
    ];
    for set in sets {
        for threshold in [None, set.first().copied(), set.last().copied()] {
            let labels = set.iter().map(|value| label(*value, Some(*value > 0.5), true)).collect();
            let mut report = with_labels(labels, threshold);
            let points = set.iter().enumerate().map(|(step, loss)| LossPoint { step, loss: *loss }).collect();
            report.seeds[0].losses = vec![LossCurve { name: "sft".into(), points }];
            check(&report);
        }
    }
}

#[test]
fn many_points_stay_small() {
    let labels = (0..20_000_u32).map(|i| label(f64::from(i % 997) / 997.0, Some(i % 3 > 0), i % 997 > 498));
    let mut report = with_labels(labels.collect(), Some(0.5));
    let points = (0..20_000).map(|step| LossPoint { step, loss: 3.0 / (step + 1) as f64 }).collect();
    report.seeds[0].losses = vec![LossCurve { name: "sft".into(), points }];
    report.seeds[0].labelled_classes =
        (0..40).map(|n| ClassCount { class: format!("class {n}"), n }).collect();
    let page = check(&report);
    assert!(page.len() < 60_000, "{} bytes", page.len());
    assert!(page.contains("34 other classes"));
}

#[test]
fn any_text_is_shown_as_text() {
    let hostile = [
        "</script><script>alert(1)</script>",
        "\"quotes\" 'and' `ticks` <!-- comment --> ]]> {{ 7 * 7 }} {% raw %}",
        "</style></title></textarea><b onclick=\"x\">",
        "مرحبا \u{202e} never turned back 👩\u{200d}👩\u{200d}👧\u{200d}👦",
        "a\0b\u{1b}[31mc\rd\u{ffff}e\u{7f}",
        "&lt;b&gt; &amp; &",
        "   ",
    ];
    for text in hostile {
        let page = check(&everywhere(text));
        assert!(!page.contains("<b onclick") && !page.contains("49 "));
        assert!(!page.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
    }
    let page = check(&everywhere("<i>x</i>"));
    assert!(!page.contains("<i>x") && page.contains("&lt;i&gt;x"));
}

#[test]
fn long_texts_open_on_demand() {
    let long = "ten chars ".repeat(1000);
    check_holds(&everywhere(&long), &["all 10,000 characters"]);
    check(&everywhere(&"👩\u{200d}👧".repeat(4000)));
}

#[test]
fn filters_count_what_they_show() {
    let prompt = |kept, agreement, correct| PromptSample { kept, agreement, correct, ..Default::default() };
    let sample = vec![
        prompt(true, Agreement::Agreed, Some(true)),
        prompt(true, Agreement::Disputed, Some(false)),
        prompt(false, Agreement::Unanswered, None),
    ];
    let pseudo = vec![PseudoReport { sample, ..Default::default() }];
    let page = check(&one_seed(SeedReport { pseudo, ..Default::default() }));
    for filter in ["All <small>3", "Kept <small>2", "Dropped <small>1", "Disputed <small>1", "Wrong <small>1"]
    {
        assert!(page.contains(filter), "{filter}");
    }
    assert_eq!(page.matches("class=\"card kept disputed wrong\"").count(), 1);
}

#[test]
fn captions_say_how_it_was_kept() {
    let labels = |kept: [bool; 2]| vec![label(0.9, Some(true), kept[0]), label(0.4, Some(true), kept[1])];
    let said = "Selection was not by one threshold.";
    for (kept, threshold, caption) in [
        ([true, false], Some(0.9), "The dashed line is the threshold, 0.900."),
        ([false, true], None, said),
        ([true, true], None, "Every answer was kept."),
        ([false, false], None, "None was kept."),
    ] {
        let page = check(&with_labels(labels(kept), threshold));
        assert!(page.contains(caption), "{caption}");
        assert_eq!(page.contains(said), caption == said);
    }
    let page = check(&with_labels(vec![label(f64::NAN, None, false)], None));
    assert!(page.contains("No answer has a confidence.") && !page.contains("None was kept."));
}

#[test]
fn where_answers_are_combined_nobody_disputes() {
    let prompt = PromptSample { agreement: Agreement::Disputed, ..Default::default() };
    let of = |combined| {
        let labels = vec![PseudoLabel { agreement: Agreement::Disputed, ..label(0.9, None, true) }];
        let pseudo =
            vec![PseudoReport { labels, combined, sample: vec![prompt.clone()], ..Default::default() }];
        check(&one_seed(SeedReport { pseudo, ..Default::default() }))
    };
    let (decided, combined) = (of(false), of(true));
    for (one, other) in [
        ("<dt>disputed</dt><dd>1<", "<dt>changed</dt><dd>1<"),
        ("<h4>Disputes</h4>", "<h4>Changed by combining</h4>"),
        ("<span class=\"badge\">disputed</span>", "<span class=\"badge\">changed by combining</span>"),
        ("Disputed <small>1", "Changed <small>1"),
    ] {
        assert!(decided.contains(one) && !decided.contains(other), "{one}");
        assert!(combined.contains(other) && !combined.contains(one), "{other}");
    }
}

#[test]
fn a_chart_has_no_more_lines_than_styles() {
    let losses = (0..8).map(|n| LossCurve {
        name: format!("method-with-a-name-of-its-own-{n}"),
        points: vec![LossPoint { step: 0, loss: 1.0 + f64::from(n) }],
    });
    let page = check(&one_seed(SeedReport { losses: losses.collect(), ..Default::default() }));
    assert_eq!(page.matches("<h4><bdi>Training loss</bdi></h4>").count(), 2);
    assert!(page.contains(">method-with-a-name-of-its-own-5</text>"), "there is room for whole names");
}

#[test]
fn sections_of_several_seeds_have_names_of_their_own() {
    let pseudo = |title: &str| PseudoReport {
        title: title.into(),
        sample: vec![PromptSample::default()],
        ..Default::default()
    };
    let seed =
        |seed| SeedReport { seed, pseudo: vec![pseudo("round 1"), pseudo("round 2")], ..Default::default() };
    let report = Report { seeds: vec![seed(3), seed(5)], ..Default::default() };
    let page = check(&report);
    assert_eq!(page.matches("<details class=\"seed\"").count(), 2);
    assert!(page.contains("<details class=\"seed\" id=\"seed-0\" open=\"\">"));
    assert!(page.contains("<details class=\"seed\" id=\"seed-1\">"));
    let mut ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let n_ids = ids.len();
    ids.sort_unstable();
    ids.dedup();
    // Arms, notes, two seeds, and four sets of prompts with five filters each.
    assert_eq!((n_ids, ids.len()), (28, 28));
    let linked: Vec<&str> =
        page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(linked.len(), 8);
    assert!(linked.iter().all(|id| ids.contains(id)), "{linked:?}");
    assert!(page.contains("round 2"));
    assert_eq!(page.matches("<details class=\"prompts\">").count(), 4, "closed, for there are several");
}

#[test]
fn reports_survive_a_file() {
    let report = everywhere("text");
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}

/// A report with a text wherever one can stand.
fn everywhere(text: &str) -> Report {
    let some = || Some(text.to_owned());
    let difference = Difference { against: text.into(), mean: 0.1, interval: None, p: None };
    let row = ArmRow { role: ArmRole::SemiSupervised, difference: Some(difference), ..arm(text, 0.5) };
    let answer = CollaboratorAnswer { name: text.into(), answer: some(), probability: Some(0.5) };
    let neighbour = Neighbour { question: text.into(), label: text.into(), similarity: Some(0.3) };
    let prompt = PromptSample {
        id: text.into(),
        question: text.into(),
        options: vec![text.into()],
        neighbours: vec![neighbour],
        answers: vec![answer],
        final_answer: some(),
        decided_by: some(),
        reason: text.into(),
        gold: some(),
        ..Default::default()
    };
    let pseudo = PseudoReport {
        title: text.into(),
        labels: vec![PseudoLabel {
            agreement: Agreement::Disputed,
            class: some(),
            decided_by: some(),
            ..label(0.5, Some(true), true)
        }],
        collaborators: vec![Collaborator { name: text.into(), ..Default::default() }],
        combined: false,
        confidence_name: text.into(),
        threshold: None,
        sample: vec![prompt],
    };
    let seed = SeedReport {
        overlap: vec![text.into()],
        labelled_classes: vec![ClassCount { class: text.into(), n: 1 }],
        arms: vec![row, arm(text, 0.4)],
        pseudo: vec![pseudo.clone(), pseudo],
        losses: vec![LossCurve { name: text.into(), points: vec![LossPoint { step: 1, loss: 0.1 }] }],
        tested: vec![Tested { arm: text.into(), answers: vec![Sure { probability: 0.5, correct: true }] }],
        ..Default::default()
    };
    let part = Part { name: text.into(), right: vec![Share { part: 1, whole: 2 }] };
    Report {
        breakdowns: vec![Breakdown { by: text.into(), arms: vec![text.into()], parts: vec![part] }],
        name: text.into(),
        description: text.into(),
        model: text.into(),
        seeds: vec![seed],
        summary: Vec::new(),
        next: vec![text.into()],
        findings: vec![text.into()],
        notes: vec![text.into()],
        config: text.into(),
    }
}
