//! Prompts, answers out of responses, and grading.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use proptest::prelude::*;
use semievol_core::{Answer, Labeled, Role, Sample};
use semievol_data::{AnswerForm, ClosedSet, FreeText, Numeric, Task, TaskConfig, Wording};

const CLASSES: [&str; 3] = ["negative", "neutral", "positive"];

fn choose(task: &ClosedSet, options: &[&str], response: &str) -> Option<usize> {
    let sample = Sample::new("1", "q").with_options(options.iter().copied());
    match task.parse(&sample, response) {
        Some(Answer::Choice(index)) => Some(index),
        Some(other) => panic!("{other:?} is no choice"),
        None => None,
    }
}

fn check(form: AnswerForm, options: &[&str], cases: &[(&str, Option<usize>)]) {
    for (response, expected) in cases {
        assert_eq!(choose(&ClosedSet::new(form), options, response), *expected, "{form:?}: {response:?}");
    }
}

#[test]
fn letters() {
    check(
        AnswerForm::Letter,
        &CLASSES,
        &[
            (" B", Some(1)),
            ("A.", Some(0)),
            ("(B)", Some(1)),
            ("**B**", Some(1)),
            ("b", Some(1)),
            ("Answer: C", Some(2)),
            ("answer: c", Some(2)),
            ("**Answer:** B", Some(1)),
            ("The answer is (B)", Some(1)),
            ("The correct answer is: B.", Some(1)),
            ("The answer is **B**, since it only states a fact.", Some(1)),
            ("So the answer is $\\boxed{C}$.", Some(2)),
            ("B. neutral", Some(1)),
            ("B) neutral", Some(1)),
            ("B neutral", Some(1)),
            ("B - neutral", Some(1)),
            ("A negative", Some(0)),
            ("(a) negative", Some(0)),
            ("B because it states a fact", Some(1)),
            ("I think option B is right", Some(1)),
            ("I believe it is (C).", Some(2)),
            ("(A) is wrong and (B) is not right, so the answer is (C)", Some(2)),
            ("positive", Some(2)),
            ("Answer: Positive.", Some(2)),
            ("The sentiment is positive", Some(2)),
            ("B\n\nThe sentence states a fact.", Some(1)),
            // Nothing, or more than one thing.
            ("", None),
            ("D", None),
            ("The answer is D", None),
            ("I am not sure.", None),
            ("A good film", None),
            ("a matter of taste", None),
            ("The answer is a bit unclear", None),
            ("A or B", None),
            ("Answer: A or B", None),
            ("A/B", None),
            ("(A) or (B)", None),
            ("Answer: B\nAnswer: C", None),
            ("B. positive", None),
            ("The answer is not B", None),
            ("vitamin B and plan C", None),
            ("B12", None),
            ("not positive", None),
            ("positive or negative", None),
        ],
    );
}

#[test]
fn the_pronoun_is_no_letter() {
    let options = ["a", "b", "c", "d", "e", "f", "g", "h", "nine"];
    check(
        AnswerForm::Letter,
        &options,
        &[
            ("I", Some(8)),
            ("Answer: I", Some(8)),
            ("(I)", Some(8)),
            ("I think so", None),
            ("Answer: I think so", None),
            ("The answer is I'm afraid unclear", None),
        ],
    );
}

#[test]
fn option_texts_that_look_like_letters() {
    check(
        AnswerForm::Letter,
        &["A cat", "A dog"],
        &[("A cat", Some(0)), ("A dog", Some(1)), ("A", Some(0)), ("B", Some(1))],
    );
    check(
        AnswerForm::Letter,
        &["red cells", "B cells"],
        &[("B cells", Some(1)), ("B. B cells", Some(1)), ("A", Some(0))],
    );
}

#[test]
fn texts() {
    check(
        AnswerForm::Text,
        &CLASSES,
        &[
            (" positive", Some(2)),
            ("Positive.", Some(2)),
            ("**positive**", Some(2)),
            ("Answer: neutral", Some(1)),
            ("The sentiment is clearly negative!", Some(0)),
            ("It is not positive", None),
            ("neither negative nor positive", None),
            ("pos", None),
            ("B", None),
            ("", None),
        ],
    );
    check(
        AnswerForm::Text,
        &["positive", "very positive", "-0.5", "0.5"],
        &[
            ("I'd call it very positive.", Some(1)),
            ("I'd call it positive.", Some(0)),
            ("**-0.5**", Some(2)),
            ("0.5.", Some(3)),
            ("positive, even very positive", None),
        ],
    );
    check(AnswerForm::Text, &["same", "Same."], &[("same", Some(0)), ("Same.", Some(1)), ("SAME", None)]);
}

#[test]
fn prompts() {
    let sample = Sample::new("1", "Is it?").with_options(["no", "yes"]);
    let shot = Labeled {
        sample: Sample::new("2", "Was it?").with_options(["no", "yes"]),
        answer: Answer::Choice(1),
    };
    let prompt = ClosedSet::default().prompt(&sample, &[&shot]);
    assert_eq!(prompt.messages[0].role, Role::System);
    assert_eq!(
        prompt.messages[0].content,
        "Here are examples with their answers.\n\nWas it?\n\nA. no\nB. yes\nAnswer: B"
    );
    assert_eq!(
        prompt.messages[1].content,
        "Answer the multiple-choice question. Your response should be in the format 'Answer: LETTER'.\n\nIs it?\n\nA. no\nB. yes"
    );
    assert_eq!(prompt.response_prefix, "Answer:");

    let task = ClosedSet { instruction: Some(String::new()), ..ClosedSet::new(AnswerForm::Text) };
    assert_eq!(task.prompt(&sample, &[]).messages[0].content, "Is it?\n\n- no\n- yes");
    assert_eq!(task.candidates(&sample), [" no", " yes"]);

    let free = FreeText { instruction: "Say.".into(), response_prefix: String::new() };
    assert_eq!(free.prompt(&sample, &[]).messages[0].content, "Say.\n\nIs it?");
    assert_eq!(free.target(&sample, &Answer::Text("so".into())), "Answer: so");
}

#[test]
fn an_answer_of_another_sample_has_no_target() {
    let sample = Sample::new("1", "q").with_options(["no", "yes"]);
    for answer in [Answer::Choice(2), Answer::Text("yes".into()), Answer::Number("1".into())] {
        assert_eq!(ClosedSet::default().target(&sample, &answer), "");
    }
    assert_eq!(Numeric::default().target(&sample, &Answer::Text("many".into())), "");
    assert_eq!(FreeText::default().target(&sample, &Answer::Text(" ".into())), "");
}

#[test]
fn numbers() {
    let sample = Sample::new("1", "q");
    let cases = [
        ("$1,200", Some("1200")),
        (" 12.5%", Some("12.5")),
        ("12.5", Some("12.5")),
        ("(3.2)", Some("-3.2")),
        ("Answer: -7", Some("-7")),
        ("**42**.", Some("42")),
        ("42 apples\n\nBecause 40 + 2 = 42.", Some("42")),
        ("40 + 2 = 42, so the answer is 42.", Some("42")),
        ("There are 3 of them, yes, 3.", Some("3")),
        ("The answer is 3, that is 3.0.", Some("3")),
        ("Of 3 and 4, the answer is 4.", Some("4")),
        ("3 apples and 4 pears", None),
        ("The answer is 3 or 4", None),
        ("3 apples\nThe answer is 3 or 4", None),
        // A magnitude is not dropped, nor is another number taken in its place.
        ("$1.2M", None),
        ("Answer: 5k", None),
        ("There are 3 firms, so the answer is $3bn.", None),
        ("Revenue was $1.2M, up 3%", None),
        ("5kg", Some("5")),
        ("1,20", None),
        ("none", None),
        ("", None),
    ];
    for (response, expected) in cases {
        let expected = expected.map(|digits| Answer::Number(digits.into()));
        assert_eq!(Numeric::default().parse(&sample, response), expected, "{response:?}");
    }
}

#[test]
fn numbers_are_graded_exactly_unless_told_otherwise() {
    let number = |digits: &str| Answer::Number(digits.into());
    let exact = Numeric::default();
    for (one, other, equal) in [
        ("2022", "2023", false),
        ("12.5", "125", false),
        ("1200", "$1,200.00", true),
        ("12.5", "12.5%", true),
        ("-3.2", "(3.2)", true),
        ("9007199254740993", "9007199254740992", false),
    ] {
        assert_eq!(exact.is_correct(&number(one), &Answer::Text(other.into())), equal, "{one} {other}");
    }
    assert!(!exact.is_correct(&number("1"), &Answer::Text("one".into())));
    let relative = Numeric { relative_tolerance: Some(0.01), ..Numeric::default() };
    assert!(relative.is_correct(&number("101"), &number("100")));
    assert!(!relative.is_correct(&number("1.1"), &number("0")));
    let absolute = Numeric { absolute_tolerance: Some(0.5), ..Numeric::default() };
    assert!(absolute.is_correct(&number("3.5"), &number("3")));
    assert!(!absolute.is_correct(&number("3.51"), &number("3")));
}

#[test]
fn another_wording_leaves_the_rest_as_it_is() {
    let sample = Sample::new("1", "Is it?").with_options(["no", "yes"]);
    let said = |task: &dyn Task, form: Option<AnswerForm>, instruction: Option<&str>| {
        let wording = Wording { form, instruction: instruction.map(str::to_owned) };
        task.reworded(&wording).map(|task| task.prompt(&sample, &[]).messages[0].content.clone())
    };
    let own = ClosedSet { instruction: Some("Give the letter.".into()), ..ClosedSet::default() };
    let (letters, texts) = ("A. no", "- no");
    for (form, instruction, begins, shows) in [
        (None, None, "Give the letter.", letters),
        (None, Some("Say."), "Say.", letters),
        // Words about letters do not fit words.
        (Some(AnswerForm::Text), None, "Answer the question with one of the options.", texts),
        (Some(AnswerForm::Text), Some("Say."), "Say.", texts),
        (Some(AnswerForm::Letter), None, "Give the letter.", letters),
    ] {
        let said = said(&own, form, instruction).unwrap();
        assert!(said.starts_with(begins) && said.contains(shows), "{form:?} {instruction:?}: {said}");
    }
    for task in [&Numeric::default() as &dyn Task, &FreeText::default()] {
        assert!(said(task, None, Some("Say.")).unwrap().starts_with("Say."));
        assert!(
            said(task, Some(AnswerForm::Text), None).is_none(),
            "there are no options to write otherwise"
        );
    }
}

#[test]
fn free_text_is_graded_by_words() {
    let (task, sample) = (FreeText::default(), Sample::new("1", "q"));
    let parsed = task.parse(&sample, "Answer: The  Old Man.\n").unwrap();
    assert_eq!(parsed, Answer::Text("The  Old Man.".into()));
    assert!(task.is_correct(&parsed, &Answer::Text("the old man".into())));
    assert!(!task.is_correct(&parsed, &Answer::Text("old man".into())));
    assert_eq!(task.parse(&sample, " ** . "), None);
}

#[test]
fn tasks_from_configuration() {
    let build = |text: &str| toml::from_str::<TaskConfig>(text).map(|config| config.build());
    assert!(build("kind = 'closed_set'").unwrap().is_ok());
    assert!(build("kind = 'free_text'\ninstruction = 'Say.'").unwrap().is_ok());
    let message = build("kind = 'numeric'\nrelative_tolerance = -1").unwrap().err().unwrap().to_string();
    assert!(message.contains("task.relative_tolerance = -1"), "{message}");
    assert!(build("kind = 'closed_set'\nfrom = 'text'").is_err());
    assert!(build("kind = 'essay'").is_err());
}

/// Two to eight options that differ in more than case and punctuation.
fn options() -> impl Strategy<Value = Vec<String>> {
    let option =
        prop_oneof!["[a-z]{1,8}( [a-z]{1,8}){0,2}", "-?[0-9]{1,3}(\\.[0-9])?", "[A-Za-z0-9 .'()-]{0,9}[a-z]"];
    let folded = |option: &String| {
        let words = option
            .split_whitespace()
            .map(|word| word.trim_matches(|c: char| c.is_ascii_punctuation() && c != '-'));
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ").to_lowercase()
    };
    prop::collection::vec(option, 2..8).prop_filter("options differ", move |options| {
        let distinct: std::collections::HashSet<String> = options.iter().map(folded).collect();
        distinct.len() == options.len() && !distinct.contains("")
    })
}

fn wrapped(text: &str, wrapping: usize) -> String {
    let marks = [
        ("**", "**"),
        ("", "."),
        ("`", "`"),
        ("\"", "\""),
        (" ", "\n"),
        ("_", "_"),
        ("“", "”"),
        ("**", ".**"),
        ("", "!\n"),
    ];
    let (open, close) = marks[wrapping % marks.len()];
    format!("{open}{}{close}", text.trim())
}

proptest! {
    #[test]
    fn targets_are_read_back(options in options(), pick in 0usize..8, wrapping in 0usize..9, letter in any::<bool>(), bare in any::<bool>()) {
        let form = if letter { AnswerForm::Letter } else { AnswerForm::Text };
        let mut task = ClosedSet::new(form);
        if bare {
            task.response_prefix = String::new();
        }
        let answer = Answer::Choice(pick % options.len());
        let sample = Sample::new("1", "q").with_options(options);
        let target = task.target(&sample, &answer);
        prop_assert_eq!(task.parse(&sample, &target), Some(answer.clone()));
        prop_assert_eq!(task.parse(&sample, &format!("{}{target}", task.response_prefix)), Some(answer.clone()));
        if !bare {
            prop_assert_eq!(task.parse(&sample, &wrapped(&target, wrapping)), Some(answer));
        }
    }

    #[test]
    fn any_options_are_read_back_by_letter(options in prop::collection::vec(".{0,20}", 1..60), pick in 0usize..60) {
        let answer = Answer::Choice(pick % options.len());
        let sample = Sample::new("1", "q").with_options(options);
        let task = ClosedSet::default();
        prop_assert_eq!(task.parse(&sample, &task.target(&sample, &answer)), Some(answer));
    }

    #[test]
    fn numbers_are_read_back(digits in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,8})?", wrapping in 0usize..9) {
        let (task, sample) = (Numeric::default(), Sample::new("1", "q"));
        let answer = Answer::Number(digits);
        let target = task.target(&sample, &answer);
        prop_assert_eq!(task.parse(&sample, &target), Some(answer.clone()));
        prop_assert_eq!(task.parse(&sample, &wrapped(&target, wrapping)), Some(answer.clone()));
        prop_assert!(task.is_correct(&answer, &answer));
    }

    #[test]
    fn texts_are_read_back(text in "[a-z][ -~]{0,30}[a-z]") {
        prop_assume!(!text.starts_with("answer:"));
        let (task, sample) = (FreeText::default(), Sample::new("1", "q"));
        let answer = Answer::Text(text);
        prop_assert_eq!(task.parse(&sample, &task.target(&sample, &answer)), Some(answer));
    }

    #[test]
    fn nothing_makes_parsing_panic(response in ".{0,80}", options in prop::collection::vec(".{0,10}", 0..5)) {
        let sample = Sample::new("1", "q").with_options(options);
        let tasks: [&dyn Task; 4] = [&ClosedSet::default(), &ClosedSet::new(AnswerForm::Text), &FreeText::default(), &Numeric::default()];
        for task in tasks {
            for response in [response.clone(), format!("Answer: {response}"), format!("({response}) is the answer")] {
                if let Some(answer) = task.parse(&sample, &response) {
                    prop_assert!(task.is_correct(&answer, &answer));
                    prop_assert!(!task.target(&sample, &answer).is_empty() || matches!(&answer, Answer::Choice(index) if sample.options[*index].trim().is_empty()));
                }
            }
        }
    }

    #[test]
    fn prose_made_of_answer_parts_never_panics(parts in prop::collection::vec(prop::sample::select(vec!["A", "(B)", "**", "is", "not", "answer", ":", "or", "-", "$1,2", "(", "3.", "\n", "é", "’", "I"]), 0..12)) {
        let sample = Sample::new("1", "q").with_options(CLASSES);
        let tasks: [&dyn Task; 2] = [&ClosedSet::default(), &Numeric::default()];
        for (task, glue) in tasks.iter().flat_map(|task| [(task, " "), (task, "")]) {
            task.parse(&sample, &parts.join(glue));
        }
    }
}
