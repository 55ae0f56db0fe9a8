//! Half a response is no label, and no judge's word.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

use semievol_core::{Answer, Labeled, Sample, Seed};
use semievol_data::FreeText;
use semievol_model::{Adapter, LanguageModel, ModelError, ModelId, ModelLoader};
use semievol_pipeline::{MethodConfig, Parts, SeedRun, Selected, Shelf, Verdict};
use semievol_testkit::{HashingTrainer, ScriptedModel};
use semievol_train::Recipe;
use std::sync::Arc;

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

struct Two(Arc<ScriptedModel>, Arc<ScriptedModel>);

impl ModelLoader for Two {
    fn load(&self, adapter: Option<&Adapter>) -> Result<Arc<dyn LanguageModel>, ModelError> {
        Ok(if adapter.is_some() { self.1.clone() } else { self.0.clone() })
    }
}

/// What became of three prompts, with so many tokens for an answer and for the judge's. The base model says one word, the
/// warm one, which is the judge as well, many.
fn selected(max_answer_tokens: usize, of_judge: usize) -> Vec<Selected> {
    let out = tempfile::tempdir().unwrap();
    let base = ScriptedModel::new("base", |_| "blue".to_owned());
    let warm = ScriptedModel::new("warm", |_| "red as a rose is in June".to_owned());
    let (loader, trainer) = (Two(Arc::new(base), Arc::new(warm)), HashingTrainer::new(ModelId::new("base")));
    let run = SeedRun {
        parts: Parts::new(&loader, &trainer),
        task: &FreeText::default(),
        task_id: "free",
        paraphrases: &[],
        base: loader.load(None).unwrap(),
        recipe: &Recipe { max_steps: 2, ..Recipe::default() },
        max_answer_tokens,
        seed: Seed(1),
        folder: out.path().to_owned(),
        shelf: &Shelf::default(),
        part: 100,
    };
    let label = |n: usize| Labeled {
        sample: Sample::new(format!("l{n}"), format!("Which colour has {n}?")),
        answer: Answer::Text("red".into()),
    };
    let labelled: Vec<Labeled> = (0..4).map(label).collect();
    let unlabelled: Vec<Sample> =
        (0..3).map(|n| Sample::new(format!("u{n}"), format!("What colour is {n}?"))).collect();
    let method = METHOD.replace("TOKENS", &of_judge.to_string());
    let method = toml::from_str::<MethodConfig>(&method).unwrap().build().unwrap();
    let selected = run.evolve(&method, &labelled, &unlabelled, &[], &mut |_| ()).unwrap().selected;
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
