//! Half a response is no label, and no judge's word.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::{Doubles, Recorder, seed_run};
use semievol_core::{Answer, Labeled, Sample};
use semievol_data::FreeText;
use semievol_pipeline::{MethodConfig, Parts, SeedRun, Selected, Verdict};
use semievol_testkit::ScriptedModel;

const METHOD: &str = r#"
neighbours = 0
retrieval = { kind = "bm25" }
warm = {}
collaborators = [
    { kind = "language_model", name = "warm" },
    { kind = "language_model", name = "base", model = "base" },
]
justify = { kind = "self_justify", max_tokens = TOKENS }
confidence = { kind = "mean_nll" }
select = { kind = "all" }
evolve = {}
"#;

/// What became of three prompts, with so many tokens for an answer and for the judge's. The base model says one word, the
/// warm one, which is the judge as well, many.
fn selected(max_answer_tokens: usize, of_judge: usize) -> Vec<Selected> {
    let out = tempfile::tempdir().unwrap();
    let base = ScriptedModel::new("base", |_| "blue".to_owned());
    let warm = ScriptedModel::new("warm", |_| "red as a rose is in June".to_owned());
    let (loader, trainer) = (Doubles::of(base, warm), Recorder::new(usize::MAX));
    let label = |n: usize| Labeled {
        sample: Sample::new(format!("l{n}"), format!("Which colour has {n}?")),
        answer: Answer::Text("red".into()),
    };
    let labelled: Vec<Labeled> = (0..4).map(label).collect();
    let unlabelled: Vec<Sample> =
        (0..3).map(|n| Sample::new(format!("u{n}"), format!("What colour is {n}?"))).collect();
    let method = METHOD.replace("TOKENS", &of_judge.to_string());
    let method = toml::from_str::<MethodConfig>(&method).unwrap().build().unwrap();
    let selected = seed_run(Parts::new(&loader, &trainer), out.path(), |run| {
        let run = SeedRun { task: &FreeText::default(), task_id: "free", max_answer_tokens, ..run };
        run.evolve(&method, &labelled, &unlabelled, &[], &mut |_| ()).unwrap().selected
    });
    assert_eq!(selected.len(), 3);
    selected
}

#[test]
fn what_was_cut_off_is_no_pseudo_label() {
    let whole = Answer::Text("red as a rose is in June".into());
    for one in selected(64, 64) {
        assert_eq!((one.answer, one.by, one.accepted), (Some(whole.clone()), Verdict::Adjudicated, true));
    }
    // Read as far as it goes, the judge's word would be an answer, too.
    for one in selected(64, 2) {
        assert_eq!((one.answer, one.by, one.accepted), (None, Verdict::Undecided, false));
    }
    // And so would the warm model's own, which nobody contradicts here.
    for one in selected(2, 2) {
        assert_eq!((one.answer, one.by, one.accepted), (None, Verdict::Undecided, false));
    }
}
