//! Parts of a program's own that do not do what their trait says are named, and nothing is made of what they said.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::evolve;
use semievol_confidence::{ConfidenceError, ConfidenceEstimator, Evidence};
use semievol_core::{Candidate, Confidence};
use semievol_data::Task;
use semievol_model::LanguageModel;
use semievol_pipeline::{CollaboratorConfig, Method, MethodConfig};
use semievol_select::{Adjudicator, Decision, Dispute, Pool, SelectError, Selection, Selector};
use std::sync::Arc;

fn method() -> Method {
    let text = r#"
        neighbours = 2
        retrieval = { kind = "bm25" }
        warm = {}
        collaborators = [
            { kind = "language_model", name = "warm" },
            { kind = "language_model", name = "shown two", shots = 2, temperature = 1.0 },
        ]
        justify = { kind = "majority" }
        confidence = { kind = "option_entropy" }
        select = { kind = "per_class", theta = 50 }
        evolve = {}
    "#;
    toml::from_str::<MethodConfig>(text).unwrap().build().unwrap()
}

/// What the run ends with.
fn said(change: impl FnOnce(&mut Method)) -> String {
    let mut method = method();
    change(&mut method);
    let out = tempfile::tempdir().unwrap();
    evolve(&method, 1000, out.path()).err().map(|error| error.to_string()).unwrap_or_default()
}

struct Forgetful;

impl Selector for Forgetful {
    fn id(&self) -> String {
        "forgetful".into()
    }
    fn select(&self, pool: Pool<'_>) -> Result<Selection, SelectError> {
        let decisions = pool.unlabelled.iter().skip(1).map(|_| Decision::reject("never"));
        Ok(decisions.collect::<Vec<_>>().into())
    }
}

impl Adjudicator for Forgetful {
    fn id(&self) -> String {
        "forgetful".into()
    }
    fn adjudicate(
        &self,
        _: &dyn LanguageModel,
        _: &dyn Task,
        disputes: &[Dispute<'_>],
    ) -> Result<Vec<Candidate>, SelectError> {
        assert!(!disputes.is_empty());
        Ok(Vec::new())
    }
}

impl ConfidenceEstimator for Forgetful {
    fn id(&self) -> String {
        "forgetful".into()
    }
    fn estimate(&self, batch: &[Evidence<'_>]) -> Result<Vec<Confidence>, ConfidenceError> {
        assert!(!batch.is_empty());
        Ok(Vec::new())
    }
}

/// Decides every dispute by saying nothing.
struct Silent;

impl Adjudicator for Silent {
    fn id(&self) -> String {
        "silent".into()
    }
    fn adjudicate(
        &self,
        _: &dyn LanguageModel,
        _: &dyn Task,
        disputes: &[Dispute<'_>],
    ) -> Result<Vec<Candidate>, SelectError> {
        Ok(disputes.iter().map(|_| Candidate::new("silent", None)).collect())
    }
}

struct Greedy;

impl Selector for Greedy {
    fn id(&self) -> String {
        "greedy".into()
    }
    fn select(&self, pool: Pool<'_>) -> Result<Selection, SelectError> {
        assert!(pool.unlabelled.iter().any(|label| label.answer.is_none()));
        Ok(pool.unlabelled.iter().map(|_| Decision::accept("why not")).collect::<Vec<_>>().into())
    }
}

#[test]
fn one_that_says_too_little_is_named() {
    let selector = said(|method| method.selector = Arc::new(Forgetful));
    assert!(selector.contains("forgetful: 36 decisions on 37 pseudo-labels"), "{selector}");
    let adjudicator = said(|method| method.adjudicator = Arc::new(Forgetful));
    assert!(
        adjudicator.contains("forgetful: ") && adjudicator.contains(" disputes got 0 decisions"),
        "{adjudicator}"
    );
    let estimator = said(|method| method.estimator = Arc::new(Forgetful));
    assert!(
        estimator.contains("forgetful: ") && estimator.contains(" answers got 0 confidences"),
        "{estimator}"
    );
}

#[test]
fn nothing_is_taught_where_there_is_no_answer() {
    let error = said(|method| {
        method.adjudicator = Arc::new(Silent);
        method.selector = Arc::new(Greedy);
    });
    assert!(error.contains("greedy: accepted sample `") && error.contains("which has no answer"), "{error}");
}

#[test]
fn settings_that_are_changed_into_nonsense_are_refused() {
    let twice = said(|method| method.config.collaborators.push(CollaboratorConfig::own("warm")));
    assert!(twice.contains("two are called `warm`"), "{twice}");
}
