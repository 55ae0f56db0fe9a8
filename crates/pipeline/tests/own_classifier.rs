//! A classifier that a program brings is a collaborator like any other.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::evolve;
use semievol_core::{Answer, Seed};
use semievol_pipeline::{Method, MethodConfig};
use semievol_select::SelectError;
use semievol_select::classify::{Classifier, Rows, Taught};
use std::sync::Arc;

/// Calls dull films bad, tender ones good, and says nothing of others.
struct Words {
    id: &'static str,
    /// What it gives to the class that it means; the rest is nobody's.
    says: f64,
    embeds: bool,
}

const WORDS: Words = Words { id: "words 1", says: 1.0, embeds: false };

impl Classifier for Words {
    fn id(&self) -> String {
        self.id.to_owned()
    }
    fn needs_embeddings(&self) -> bool {
        self.embeds
    }
    fn classify(&self, taught: &Taught<'_>, asked: &Rows<'_>, _: Seed) -> Result<Vec<Vec<f64>>, SelectError> {
        assert_eq!(asked.embeddings.is_some(), self.embeds);
        let means =
            |class: usize| (0..taught.n_classes).map(move |at| if at == class { self.says } else { 0.0 });
        let say = |text: &str| match (text.contains("dull"), text.contains("tender")) {
            (true, false) => means(0).collect(),
            (false, true) => means(2).collect(),
            _ => Vec::new(),
        };
        Ok(asked.samples.iter().map(|sample| say(&sample.question)).collect())
    }
}

/// Two rounds with the warm model and whoever is given besides.
fn method(others: &str) -> Method {
    let text = format!(
        r#"
        neighbours = 0
        retrieval = {{ kind = "bm25" }}
        warm = {{}}
        collaborators = [{{ kind = "language_model", name = "warm" }}, {others}]
        justify = {{ kind = "mixture" }}
        confidence = {{ kind = "mixture" }}
        select = {{ kind = "per_class", theta = 50 }}
        evolve = {{}}
        rounds = {{ n = 2 }}
        "#
    );
    toml::from_str::<MethodConfig>(&text).unwrap().build().unwrap()
}

fn refusal(method: Result<Method, impl std::fmt::Display>) -> String {
    let out = tempfile::tempdir().unwrap();
    match method {
        Ok(method) => evolve(&method, 1000, out.path()).err().unwrap().to_string(),
        Err(refused) => refused.to_string(),
    }
}

#[test]
fn its_answers_stand_beside_the_others() {
    let out = tempfile::tempdir().unwrap();
    let made = evolve(&method("").with_classifier("words", Arc::new(WORDS)).unwrap(), 1000, out.path());
    let (mut said, mut silent) = (0, 0);
    for answers in made.unwrap().answers {
        let [_, words] = &answers.candidates[..] else { panic!("{answers:?}") };
        assert_eq!(words.collaborator, "words");
        match &words.answer {
            Some(answer) => {
                said += 1;
                let Answer::Choice(class) = *answer else { panic!("{answer:?}") };
                assert!(class != 1 && words.distribution[class] == 1.0, "{words:?}");
            }
            None => {
                silent += 1;
                assert!(words.distribution.is_empty(), "{words:?}");
            }
        }
    }
    assert!(said > 5 && silent > 5, "{said} answers, {silent} times nothing");
}

#[test]
fn its_id_says_whether_its_answers_are_known() {
    let out = tempfile::tempdir().unwrap();
    let computed = |id| {
        let method = method("").with_classifier("words", Arc::new(Words { id, ..WORDS })).unwrap();
        evolve(&method, 1000, out.path()).unwrap().computed
    };
    assert!(computed("words 1").contains(&"candidates".to_owned()));
    assert_eq!(computed("words 1"), [""; 0]);
    let again = computed("words 2");
    assert!(again.contains(&"candidates".to_owned()) && !again.contains(&"warm".to_owned()), "{again:?}");
}

#[test]
fn another_method_finds_it_by_its_name() {
    let own = r#"{ kind = "own", name = "words" }"#;
    let brought = method(own).with_classifier("words", Arc::new(WORDS)).unwrap();
    let out = tempfile::tempdir().unwrap();
    let found = method(own).with_classifiers_of(&brought).unwrap();
    let alike = [&brought, &found].map(|method| evolve(method, 1000, out.path()).unwrap().answers);
    assert_eq!(alike[0], alike[1]);
    assert_eq!(method("").with_classifiers_of(&brought).unwrap().own_classifiers().count(), 0);
}

#[test]
fn it_learns_from_earlier_rounds_where_it_is_told_to() {
    struct Counts;
    impl Classifier for Counts {
        fn id(&self) -> String {
            "counts".to_owned()
        }
        fn classify(
            &self,
            taught: &Taught<'_>,
            asked: &Rows<'_>,
            _: Seed,
        ) -> Result<Vec<Vec<f64>>, SelectError> {
            let n = taught.classes.len();
            assert_eq!(n, taught.rows.samples.len());
            // Sure of the first class as soon as it has seen more than the twelve labels.
            let sure = if n > 12 { 1.0 } else { 0.5 };
            Ok(vec![vec![sure, 1.0 - sure, 0.0]; asked.samples.len()])
        }
    }
    let out = tempfile::tempdir().unwrap();
    let sure = |co_trained: bool| {
        let own = format!("{{ kind = \"own\", name = \"counts\", co_trained = {co_trained} }}");
        let method = method(&own).with_classifier("counts", Arc::new(Counts)).unwrap();
        let made = evolve(&method, 1000, &out.path().join(co_trained.to_string())).unwrap();
        // What the first round kept is not asked again.
        made.answers.iter().any(|answers| answers.candidates[1].distribution[0] == 1.0)
    };
    assert!(sure(true) && !sure(false));
}

#[test]
fn what_does_not_fit_is_refused() {
    let own = r#"{ kind = "own", name = "words" }"#;
    let given = |others, words| refusal(method(others).with_classifier("words", Arc::new(words)));
    let refused = [
        (refusal(Ok::<_, String>(method(own))), "`words` is of kind own, a classifier that a program brings"),
        (given(r#"{ kind = "neighbours", name = "words" }"#, WORDS), "there is a `words` already"),
        (given(own, Words { says: 0.5, ..WORDS }), "which is no distribution over 3 classes"),
    ];
    for (found, expected) in refused {
        assert!(found.contains(expected), "{found}");
    }
    // Who asks for embeddings gets them, whatever the configuration says.
    let out = tempfile::tempdir().unwrap();
    let embeds = method(own).with_classifier("words", Arc::new(Words { embeds: true, ..WORDS })).unwrap();
    let made = evolve(&embeds, 1000, out.path()).unwrap();
    assert!(made.evolved.selected.iter().any(|one| one.accepted));
}
