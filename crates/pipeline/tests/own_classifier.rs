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

/// The warm model and whoever is given besides, decided and taught so.
fn decided(others: &str, way: &str, evolve: &str) -> Method {
    let text = format!(
        r#"
        neighbours = 0
        retrieval = {{ kind = "bm25" }}
        warm = {{}}
        collaborators = [{{ kind = "language_model", name = "warm" }}, {others}]
        select = {{ kind = "per_class", theta = 50 }}
        {way}
        {evolve}
        "#
    );
    toml::from_str::<MethodConfig>(&text).unwrap().build().unwrap()
}

/// The same in two rounds.
fn method(others: &str) -> Method {
    let mixture = "justify = { kind = \"mixture\" }\nconfidence = { kind = \"mixture\" }";
    decided(others, mixture, "evolve = {}\nrounds = { n = 2 }")
}

const OWN: &str = r#"{ kind = "own", name = "words" }"#;

fn own(embeddings: bool) -> String {
    format!("{{ kind = \"own\", name = \"words\", embeddings = {embeddings} }}")
}

#[test]
fn its_answers_stand_beside_the_others() {
    let out = tempfile::tempdir().unwrap();
    let made = evolve(&method(OWN).with_classifier("words", Arc::new(WORDS)), 1000, out.path()).unwrap();
    let (mut said, mut silent) = (0, 0);
    for answers in made.answers {
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
        let method = method(OWN).with_classifier("words", Arc::new(Words { id, ..WORDS }));
        evolve(&method, 1000, out.path()).unwrap().computed
    };
    assert!(computed("words 1").contains(&"candidates".to_owned()));
    assert_eq!(computed("words 1"), [""; 0]);
    let again = computed("words 2");
    assert!(again.contains(&"candidates".to_owned()) && !again.contains(&"warm".to_owned()), "{again:?}");
}

#[test]
fn another_method_finds_it_by_its_name() {
    let brought = method(OWN).with_classifier("words", Arc::new(WORDS));
    let out = tempfile::tempdir().unwrap();
    let found = method(OWN).with_classifiers_of(&brought);
    let alike = [&brought, &found].map(|method| evolve(method, 1000, out.path()).unwrap().answers);
    assert_eq!(alike[0], alike[1]);
    // One that asks nobody so goes on as it was, whatever its collaborators are called.
    let other = method(r#"{ kind = "neighbours", name = "words", k = 3 }"#);
    let with = other.clone().with_classifiers_of(&brought);
    let alike = [&other, &with].map(|method| evolve(method, 1000, out.path()).unwrap().answers);
    assert_eq!(alike[0], alike[1]);
}

#[test]
fn settings_that_are_changed_after_the_parts_were_made_count() {
    let out = tempfile::tempdir().unwrap();
    let voters = |k| format!("{{ kind = \"neighbours\", name = \"near\", k = {k} }}");
    let mut changed = method(&voters(1));
    changed.config.collaborators = method(&voters(5)).config.collaborators;
    let found = evolve(&changed, 1000, &out.path().join("changed")).unwrap().answers;
    let expected = evolve(&method(&voters(5)), 1000, &out.path().join("made")).unwrap().answers;
    assert_eq!(found, expected);
    assert_ne!(evolve(&method(&voters(1)), 1000, &out.path().join("one")).unwrap().answers, expected);
}

#[test]
fn silence_hurts_no_way_of_deciding() {
    let ways = [
        r#"justify = { kind = "self_justify" }
           confidence = { kind = "mean_nll" }"#,
        r#"justify = { kind = "majority" }
           confidence = { kind = "agreement" }"#,
        r#"justify = { kind = "mixture" }
           confidence = { kind = "mixture" }
           combine = { kind = "log_pool", align = 0.5 }"#,
        r#"justify = { kind = "mixture" }
           confidence = { kind = "mixture" }
           combine = { kind = "log_pool", align = 0.0 }
           folds = 3"#,
        r#"justify = { kind = "mixture" }
           confidence = { kind = "mixture" }
           folds = 3
           probe = true"#,
    ];
    for way in ways {
        let evolve_in = |part, embeds| {
            let method = decided(&own(embeds), way, r#"evolve = { targets = "soft" }"#);
            let method = method.with_classifier("words", Arc::new(Words { embeds, ..WORDS }));
            let out = tempfile::tempdir().unwrap();
            evolve(&method, part, out.path()).unwrap_or_else(|error| panic!("{way}: {error}"))
        };
        let [whole, parts, embeds] = [(1000, false), (5, false), (1000, true)].map(|(n, e)| evolve_in(n, e));
        for (answers, last) in whole.answers.iter().zip(&whole.evolved.selected) {
            assert!(answers.candidates[1].answer.is_some() || last.answer.is_some(), "{way}: {answers:?}");
        }
        for other in [parts, embeds] {
            assert_eq!(
                (&other.answers, &other.evolved.selected),
                (&whole.answers, &whole.evolved.selected),
                "{way}"
            );
        }
    }
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
        let method = method(&own).with_classifier("counts", Arc::new(Counts));
        let made = evolve(&method, 1000, &out.path().join(co_trained.to_string())).unwrap();
        // What the first round kept is not asked again.
        made.answers.iter().any(|answers| answers.candidates[1].distribution[0] == 1.0)
    };
    assert!(sure(true) && !sure(false));
}

#[test]
fn what_does_not_fit_is_refused() {
    let refusal = |method: Method| {
        let out = tempfile::tempdir().unwrap();
        evolve(&method, 1000, out.path()).err().unwrap().to_string()
    };
    let given = |words| refusal(method(OWN).with_classifier("words", Arc::new(words)));
    let refused = [
        (refusal(method(OWN)), "`words` is of kind own, a classifier that a program brings"),
        (given(Words { embeds: true, ..WORDS }), "give it embeddings = true"),
        (given(Words { says: 0.5, ..WORDS }), "which is no distribution over 3 classes"),
    ];
    for (found, expected) in refused {
        assert!(found.contains(expected), "{found}");
    }
    // Rounding is no offence.
    let out = tempfile::tempdir().unwrap();
    let rounded = method(OWN).with_classifier("words", Arc::new(Words { says: 1.0 + 1e-9, ..WORDS }));
    evolve(&rounded, 1000, out.path()).unwrap();
}
