//! Retrieval that a program brings shows its neighbours to whoever is shown some.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking")]

mod common;

use common::evolve;
use semievol_model::Embedder;
use semievol_pipeline::{Method, MethodConfig};
use semievol_retrieval::{Hit, Query, RetrievalError, Retriever, RetrieverFactory};
use std::sync::Arc;

/// The last rows that it may show, whatever is asked.
struct Last {
    rows: usize,
}

impl Retriever for Last {
    fn id(&self) -> String {
        "last".into()
    }
    fn len(&self) -> usize {
        self.rows
    }
    fn retrieve(&self, queries: &[Query<'_>], k: usize) -> Result<Vec<Vec<Hit>>, RetrievalError> {
        let last = |query: &Query<'_>| {
            let rows = (0..self.rows).rev().filter(|row| Some(*row) != query.exclude);
            rows.take(k).map(|row| Hit { row, score: row as f32 }).collect()
        };
        Ok(queries.iter().map(last).collect())
    }
}

struct LastOf {
    embeds: bool,
}

impl RetrieverFactory for LastOf {
    fn id(&self) -> String {
        "last".into()
    }
    fn needs_embedder(&self) -> bool {
        self.embeds
    }
    fn build(
        &self,
        texts: &[&str],
        embedder: Option<(Arc<dyn Embedder>, &str)>,
    ) -> Result<Box<dyn Retriever>, RetrievalError> {
        assert_eq!(embedder.is_some(), self.embeds);
        Ok(Box::new(Last { rows: texts.len() }))
    }
}

fn method(retrieval: &str) -> Method {
    let text = format!(
        r#"
        neighbours = 2
        retrieval = {{ kind = "{retrieval}" }}
        warm = {{}}
        collaborators = [
            {{ kind = "language_model", name = "shown two", shots = 2 }},
            {{ kind = "language_model", name = "shown none" }},
        ]
        justify = {{ kind = "mixture" }}
        confidence = {{ kind = "mixture" }}
        select = {{ kind = "per_class", theta = 50 }}
        evolve = {{}}
        "#
    );
    toml::from_str::<MethodConfig>(&text).unwrap().build().unwrap()
}

#[test]
fn its_neighbours_are_shown() {
    for embeds in [false, true] {
        let out = tempfile::tempdir().unwrap();
        let own = method("bm25").with_retrieval(Arc::new(LastOf { embeds }));
        let evolved = evolve(&own, 1000, out.path()).unwrap().evolved;
        assert_eq!(evolved.neighbours.len(), 37);
        for hits in &evolved.neighbours {
            assert_eq!(hits.iter().map(|hit| hit.row).collect::<Vec<_>>(), [11, 10]);
        }
    }
}

#[test]
fn a_method_that_is_configured_alike_takes_it_over() {
    let own = method("bm25").with_retrieval(Arc::new(LastOf { embeds: true }));
    let (alike, other) = (method("bm25").with_retrieval_of(&own), method("exact").with_retrieval_of(&own));
    assert_eq!(alike.own_retrieval().map(RetrieverFactory::id), Some("last".to_owned()));
    assert!(other.own_retrieval().is_none());
    assert!(own.needs_embedder() && !method("bm25").needs_embedder());
}
