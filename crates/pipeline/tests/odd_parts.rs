//! Parts of a program's own that do not do what their trait says are named, and nothing is made of what they said.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::evolve;
use semievol_confidence::{ConfidenceError, ConfidenceEstimator, Evidence};
use semievol_core::{Candidate, Confidence};
use semievol_data::Task;
use semievol_model::{Embedder, LanguageModel};
use semievol_pipeline::{CollaboratorConfig, Method, MethodConfig};
use semievol_retrieval::{Hit, Query, RetrievalError, Retriever, RetrieverFactory};
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

/// Answers with what it holds, whatever is asked.
struct Stale(Vec<Vec<Hit>>);

impl Retriever for Stale {
    fn id(&self) -> String {
        "stale".into()
    }
    fn len(&self) -> usize {
        12
    }
    fn retrieve(&self, queries: &[Query<'_>], _: usize) -> Result<Vec<Vec<Hit>>, RetrievalError> {
        let n = if self.0.is_empty() { 1 } else { queries.len() };
        Ok((0..n).map(|at| self.0.get(at % self.0.len().max(1)).cloned().unwrap_or_default()).collect())
    }
}

impl RetrieverFactory for Stale {
    fn id(&self) -> String {
        "stale".into()
    }
    fn build(
        &self,
        _: &[&str],
        _: Option<(Arc<dyn Embedder>, &str)>,
    ) -> Result<Box<dyn Retriever>, RetrievalError> {
        Ok(Box::new(Stale(self.0.clone())))
    }
}

#[test]
fn neighbours_that_are_none_are_named() {
    let said =
        |hits: Vec<Vec<Hit>>| said(|method| *method = method.clone().with_retrieval(Arc::new(Stale(hits))));
    let hit = |row| Hit { row, score: 1.0 };
    let few = said(Vec::new());
    assert!(few.contains("stale: 37 texts got 1 lists of neighbours"), "{few}");
    let other = said(vec![vec![hit(3), hit(12)]]);
    assert!(other.contains("stale: a neighbour that is none of the 12 labelled rows"), "{other}");
    let many = said(vec![vec![hit(0), hit(1), hit(2)]]);
    assert!(many.contains("stale: 3 neighbours of a text where 2 were asked for"), "{many}");
}

#[test]
fn settings_that_are_changed_into_nonsense_are_refused() {
    let twice = said(|method| method.config.collaborators.push(CollaboratorConfig::own("warm")));
    assert!(twice.contains("two are called `warm`"), "{twice}");
}
