//! Who wins a dispute, what the judge is shown, and what happens when it fails.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use semievol_core::{Answer, Candidate, Prompt, Sample};
use semievol_data::{AnswerForm, ClosedSet, FreeText, Numeric, Task};
use semievol_select::{
    Adjudicator, AdjudicatorConfig, Dispute, Majority, Mixture, ProposalOrder, SelectError, SelfJustify,
    agreed, agrees,
};
use semievol_testkit::ScriptedModel;

fn film() -> Sample {
    Sample::new("r1", "What does this say of the film? It never ends.").with_options(["bad", "fair", "good"])
}

fn choice(option: usize) -> Candidate {
    Candidate::new("c", Some(Answer::Choice(option)))
}

fn unread() -> Candidate {
    Candidate::new("c", None)
}

fn text(text: &str) -> Candidate {
    Candidate::new("c", Some(Answer::Text(text.to_owned())))
}

fn self_justify() -> Box<dyn Adjudicator> {
    AdjudicatorConfig::default().build().unwrap()
}

fn shown(task: &dyn Task, sample: &Sample, candidates: &[Candidate]) -> Prompt {
    SelfJustify::new(8).unwrap().prompt(task, &Dispute { sample, candidates })
}

#[test]
fn the_judge_sees_question_letters_and_answers() {
    let candidates = [choice(0), choice(2), unread(), choice(2)];
    let prompt = shown(&ClosedSet::new(AnswerForm::Text), &film(), &candidates);
    assert_eq!(prompt.messages.len(), 1);
    let expected = "\
Answer the question with one of the options. Your response should be in the format 'Answer: OPTION'.

What does this say of the film? It never ends.

- bad
- fair
- good

The options and their letters:
A. bad
B. fair
C. good

Answers that were proposed:
- C. good (proposed by 2)
- A. bad (proposed by 1)

Proposed answers can be wrong. Decide which answer to the question is right, and give it in the format that was asked for.";
    assert_eq!(prompt.messages[0].content, expected);
    assert_eq!(prompt.response_prefix, "Answer:");
}

#[test]
fn the_most_frequent_answer_may_stand_last() {
    let of = |text| toml::from_str::<AdjudicatorConfig>(text).unwrap();
    let (first, last) = (of("kind = 'self_justify'"), of("kind = 'self_justify'\norder = 'frequent_last'"));
    assert_ne!(first.build().unwrap().id(), last.build().unwrap().id());
    assert!(!toml::to_string(&first).unwrap().contains("order"));
    let (sample, candidates) = (film(), [choice(0), choice(2), unread(), choice(2)]);
    let judge = SelfJustify::new(8).unwrap().in_order(ProposalOrder::FrequentLast);
    let prompt = judge.prompt(&ClosedSet::default(), &Dispute { sample: &sample, candidates: &candidates });
    let proposed = "- A. bad (proposed by 1)\n- C. good (proposed by 2)\n\nProposed answers can be wrong.";
    assert!(prompt.messages[0].content.contains(proposed), "{}", prompt.messages[0].content);
}

#[test]
fn options_that_already_have_letters_are_not_repeated() {
    let prompt = shown(&ClosedSet::default(), &film(), &[choice(0), choice(1)]);
    assert_eq!(prompt.messages[0].content.matches("B. fair").count(), 2, "{}", prompt.messages[0].content);
    assert!(!prompt.messages[0].content.contains("their letters"));
}

#[test]
fn open_answers_are_shown_on_one_line_each() {
    let sample = Sample::new("r1", "Who wrote it?");
    let prompt =
        shown(&FreeText::default(), &sample, &[text("Jane\n Austen"), text("jane austen."), text("Eliot")]);
    let content = &prompt.messages[0].content;
    assert!(content.contains("\n- Jane Austen (proposed by 2)\n- Eliot (proposed by 1)\n"), "{content}");
    assert!(!content.contains("letters"), "{content}");
}

#[test]
fn the_most_probable_option_wins_and_the_distribution_is_kept() {
    let judge = ScriptedModel::babbler("judge").scoring(|prompt, option| {
        assert_eq!(prompt.response_prefix, "Answer:");
        if option == " fair" { 0.5_f64.ln() } else { 0.1_f64.ln() }
    });
    let sample = film();
    let candidates = [choice(0), choice(2)];
    let disputes = [Dispute { sample: &sample, candidates: &candidates }];
    let task = ClosedSet::new(AnswerForm::Text);
    let decided = self_justify().adjudicate(&judge, &task, &disputes).unwrap();
    assert_eq!(decided[0].answer, Some(Answer::Choice(1)), "the judge may take an answer nobody proposed");
    assert_eq!(decided[0].collaborator, "self_justify");
    let expected = [0.1 / 0.7, 0.5 / 0.7, 0.1 / 0.7];
    assert!(decided[0].distribution.iter().zip(expected).all(|(p, q)| (p - q).abs() < 1e-6));
}

#[test]
fn the_first_of_equals_wins() {
    let judge = ScriptedModel::babbler("judge").scoring(|_, _| -1.0);
    let sample = film();
    let candidates = [choice(2), choice(1)];
    let disputes = [Dispute { sample: &sample, candidates: &candidates }];
    let decided = self_justify().adjudicate(&judge, &ClosedSet::default(), &disputes).unwrap();
    assert_eq!(decided[0].answer, Some(Answer::Choice(0)));
}

#[test]
fn open_answers_are_generated_and_read() {
    let judge = ScriptedModel::new("judge", |request| {
        assert_eq!((request.temperature, request.max_tokens), (0.0, 64));
        if request.prompt.messages[0].content.contains("wide") {
            " about 12.5 m".into()
        } else {
            " hm".into()
        }
    });
    let samples = [Sample::new("a", "How wide?"), Sample::new("b", "How long?")];
    let candidates = [Candidate::new("c", Some(Answer::Number("12".into()))), unread()];
    let disputes = samples.each_ref().map(|sample| Dispute { sample, candidates: &candidates });
    let decided = self_justify().adjudicate(&judge, &Numeric::default(), &disputes).unwrap();
    assert_eq!(decided[0].answer, Some(Answer::Number("12.5".into())));
    assert_eq!((decided[1].answer.as_ref(), decided[1].response.as_str()), (None, " hm"));
    assert_eq!(decided[1].error, None, "a response that cannot be read is no failure");
}

#[test]
fn a_prompt_that_does_not_fit_fails_alone() {
    let judge = ScriptedModel::babbler("judge").with_max_context(80);
    let long = Sample { question: "very ".repeat(90), ..film() };
    let short = Sample { id: "r2".into(), ..film() };
    let candidates = [choice(0), choice(1)];
    let disputes = [&short, &long, &short].map(|sample| Dispute { sample, candidates: &candidates });
    let decided = self_justify().adjudicate(&judge, &ClosedSet::default(), &disputes).unwrap();
    assert!(decided[0].answer.is_some() && decided[0] == decided[2]);
    assert_eq!(decided[1].answer, None);
    let error = decided[1].error.clone().unwrap();
    assert!(
        error.starts_with("the prompt needs ") && error.ends_with("tokens but judge holds 80"),
        "{error}"
    );
    let alone = self_justify().adjudicate(&judge, &ClosedSet::default(), &disputes[1..2]).unwrap();
    assert_eq!(alone[0], decided[1], "its place in the batch must not show");
}

#[test]
fn a_judge_that_cannot_score_ends_the_run() {
    let judge = ScriptedModel::babbler("judge").without_scores();
    let sample = film();
    let candidates = [choice(0), choice(1)];
    let disputes = [Dispute { sample: &sample, candidates: &candidates }];
    let error = self_justify().adjudicate(&judge, &ClosedSet::default(), &disputes).unwrap_err();
    assert!(matches!(error, SelectError::Model(_)), "{error}");
}

fn majority(task: &dyn Task, candidates: &[Candidate]) -> Candidate {
    let judge = ScriptedModel::babbler("judge");
    let sample = film();
    Majority.adjudicate(&judge, task, &[Dispute { sample: &sample, candidates }]).unwrap().remove(0)
}

#[test]
fn most_votes_win_and_a_tie_decides_nothing() {
    let task = ClosedSet::default();
    let won = majority(&task, &[choice(1), unread(), unread(), unread(), choice(0), choice(1)]);
    assert_eq!((won.answer, won.error), (Some(Answer::Choice(1)), None));
    let tied = majority(&task, &[choice(1), choice(0), choice(0), choice(1), choice(2)]);
    assert_eq!(tied.answer, None);
    assert_eq!(tied.error.unwrap(), "2 answers have the most votes, 2 each");
    let same = majority(&FreeText::default(), &[text("no"), text("Yes."), text("yes")]);
    assert_eq!(same.answer, Some(Answer::Text("Yes.".into())), "the words of the first that gave it");
}

fn mixture(candidates: &[Candidate]) -> Result<Candidate, SelectError> {
    let judge = ScriptedModel::babbler("judge");
    let sample = film();
    let disputes = [Dispute { sample: &sample, candidates }];
    Mixture.adjudicate(&judge, &ClosedSet::default(), &disputes).map(|mut decided| decided.remove(0))
}

#[test]
fn a_mixture_takes_the_best_of_the_mean() {
    let sure = choice(0).with_distribution(vec![0.5, 0.5, 0.0]);
    let other = choice(2).with_distribution(vec![0.0, 0.5, 0.5]);
    let decided = mixture(&[sure, unread(), other]).unwrap();
    assert_eq!(decided.answer, Some(Answer::Choice(1)));
    assert_eq!(decided.distribution, [0.25, 0.5, 0.25]);
}

#[test]
fn a_mixture_of_nothing_is_refused_by_name() {
    let check = |candidates: &[Candidate], expected: &str| {
        let error = mixture(candidates).unwrap_err().to_string();
        assert!(error.starts_with("mixture: sample `r1`: ") && error.contains(expected), "{error}");
    };
    check(&[choice(0), choice(1)], "no collaborator has a distribution over options");
    check(&[choice(0).with_distribution(vec![1.0])], "`c` has 1 probabilities for 3 options");
    check(&[choice(0).with_distribution(vec![0.5, 0.1, 0.1])], "[0.5, 0.1, 0.1] of `c` add up to 0.7");
    check(&[choice(0).with_distribution(vec![f64::NAN, 1.0, 0.0])], "NaN");
}

#[test]
fn four_unparseable_answers_are_no_agreement() {
    let task = ClosedSet::default();
    let nobody = [unread(), unread(), unread(), unread()];
    assert_eq!(agreed(&task, &nobody), None);
    assert_eq!(agrees(&task, &nobody, &Answer::Choice(0)), [false; 4]);
    assert_eq!(majority(&task, &nobody).answer, None);
    assert_eq!(agreed(&task, &[choice(1), choice(1), unread()]), None);
    assert_eq!(agreed(&task, &[]), None);
    assert_eq!(agreed(&task, &[choice(1), choice(1)]), Some(&Answer::Choice(1)));
    assert_eq!(agrees(&task, &[choice(1), unread(), choice(0)], &Answer::Choice(1)), [true, false, false]);
}

#[test]
fn the_task_says_which_answers_are_the_same() {
    let number = |digits: &str| Candidate::new("c", Some(Answer::Number(digits.to_owned())));
    let exact = Numeric::default();
    assert!(agreed(&exact, &[number("1,200"), number("1200.0")]).is_some());
    // 10 and 12 are both within 1 of 11, but not of each other.
    let tolerant: semievol_data::TaskConfig =
        toml::from_str("kind = 'numeric'\nabsolute_tolerance = 1.0").unwrap();
    let tolerant = tolerant.build().unwrap();
    assert!(agreed(&tolerant, &[number("11"), number("10")]).is_some());
    assert_eq!(agreed(&tolerant, &[number("11"), number("10"), number("12")]), None);
}

#[test]
fn settings_are_checked_and_show_in_the_id() {
    let config: AdjudicatorConfig = toml::from_str("kind = 'self_justify'\nmax_tokens = 0").unwrap();
    assert_eq!(config.build().err().unwrap().to_string(), "max_tokens is 0, but must be at least 1");
    assert_ne!(SelfJustify::new(1).unwrap().id(), SelfJustify::new(2).unwrap().id());
    assert!(toml::from_str::<AdjudicatorConfig>("kind = 'majority'\nmax_tokens = 3").is_err());
}
