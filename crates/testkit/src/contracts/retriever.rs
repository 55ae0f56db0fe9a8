use super::{Rule, ensure, hold_to, rule};
use semievol_retrieval::{Hit, Query, Retriever};

/// No two share all words; the last but one repeats the first.
const TEXTS: [&str; 8] = [
    "A fine film, finely acted and well told.",
    "The plot never begins, and when it ends a sequel is announced.",
    "Stock prices rose while bond yields fell.",
    "Ein Satz mit Umlauten: größer, schöner, älter.",
    "Rain is expected in the north, sunshine in the south.",
    "The striker scored twice before half time.",
    "A fine film, finely acted and well told.",
    "",
];
/// The text that is there twice, and where.
const TWICE: (usize, usize) = (0, 6);
const UNLIKE: &str = "zyx wvut 98765";

/// Tries a retriever that `build` makes of texts: an id, a list for each query in order, at most `k` rows, scores in
/// order, exclusion, and that a text finds itself first.
///
/// # Panics
/// If a rule is broken; the message lists all that are.
pub fn retriever<R: Retriever>(build: impl Fn(&[&str]) -> R) {
    hold_to("the retriever", &rules(&|texts| Box::new(build(texts))));
}

type Build<'a> = &'a (dyn Fn(&[&str]) -> Box<dyn Retriever + 'a> + 'a);

fn rules(build: Build<'_>) -> Vec<Rule<'_>> {
    vec![
        rule("the id is not empty, and stays", move || {
            let (first, again) = (build(&TEXTS), build(&TEXTS));
            ensure(!first.id().trim().is_empty(), || "it is empty".into())?;
            ensure(first.id() == first.id() && first.id() == again.id(), || {
                format!("{:?}, then {:?}; built again, {:?}", first.id(), first.id(), again.id())
            })
        }),
        rule("`len` is the number of texts", move || {
            [0, 1, TEXTS.len()].into_iter().try_for_each(|n| {
                let retriever = build(&TEXTS[..n]);
                let found = (retriever.len(), retriever.is_empty());
                ensure(found == (n, n == 0), || format!("{n} texts give {found:?}"))
            })
        }),
        rule("every query has a list, in order", move || {
            let retriever = build(&TEXTS);
            let queries: Vec<Query<'_>> = queries(None).collect();
            let together = retrieve(&*retriever, &queries, 3)?;
            for (at, (query, hits)) in queries.iter().zip(&together).enumerate() {
                let alone = retrieve(&*retriever, &[*query], 3)?.remove(0);
                let rows = |hits: &[Hit]| hits.iter().map(|hit| hit.row).collect::<Vec<_>>();
                ensure(near(hits, &alone), || {
                    format!("query {at} finds rows {:?}, alone {:?}", rows(hits), rows(&alone))
                })?;
            }
            let none = retrieve(&*retriever, &[], 3)?;
            ensure(none.is_empty(), || format!("no query gave {none:?}"))
        }),
        rule("at most `k` rows are found", move || {
            every_query(build, |_, k, _, hits| ensure(hits.len() <= k, || format!("{} hits", hits.len())))
        }),
        rule("no row is found twice, and none that is not there", move || {
            every_query(build, |_, _, len, hits| {
                let mut rows: Vec<usize> = hits.iter().map(|hit| hit.row).collect();
                rows.sort_unstable();
                let kept = rows.windows(2).all(|pair| pair[0] < pair[1]) && rows.iter().all(|row| *row < len);
                ensure(kept, || format!("rows {rows:?}"))
            })
        }),
        rule("scores are finite and descend, equal scores by row ascending", move || {
            every_query(build, |_, _, _, hits| {
                let wrong = hits.windows(2).find(|pair| {
                    pair[0].score < pair[1].score
                        || pair[0].score == pair[1].score && pair[0].row > pair[1].row
                });
                let finite = hits.iter().all(|hit| hit.score.is_finite());
                ensure(finite && wrong.is_none(), || format!("{hits:?}"))
            })
        }),
        rule("the excluded row is not found", move || {
            every_query(build, |query, _, _, hits| {
                let found = hits.iter().find(|hit| Some(hit.row) == query.exclude);
                ensure(found.is_none(), || format!("{found:?} was"))
            })
        }),
        rule("a text finds itself first", move || {
            let found = retrieve(&*build(&TEXTS), &queries(None).collect::<Vec<_>>(), 1)?;
            // The empty text, and one unlike any other, may find nothing.
            (0..TEXTS.len() - 1).try_for_each(|at| {
                let first = found[at].first().map(|hit| hit.row);
                let kept = first.is_some_and(|row| TEXTS.get(row) == Some(&TEXTS[at]));
                ensure(kept, || format!("{:?} finds {first:?}", TEXTS[at]))
            })
        }),
        rule("without itself, a text finds its copy", move || {
            let retriever = build(&TEXTS);
            [TWICE, (TWICE.1, TWICE.0)].into_iter().try_for_each(|(row, copy)| {
                let query = Query { text: TEXTS[row], exclude: Some(row) };
                let hits = retrieve(&*retriever, &[query], 1)?.remove(0);
                ensure(hits.first().is_some_and(|hit| hit.row == copy), || {
                    format!("row {row} finds {hits:?}")
                })
            })
        }),
        rule("the same queries find the same", move || {
            let retriever = build(&TEXTS);
            let queries: Vec<Query<'_>> = queries(Some(1)).collect();
            let (first, second) = (retrieve(&*retriever, &queries, 4)?, retrieve(&*retriever, &queries, 4)?);
            ensure(first == second, || format!("{first:?}, then {second:?}"))
        }),
    ]
}

/// The texts and one unlike all of them.
fn queries(exclude: Option<usize>) -> impl Iterator<Item = Query<'static>> {
    TEXTS.into_iter().chain([UNLIKE]).map(move |text| Query { text, exclude })
}

/// Every query of every number of texts, for each `k`, with and without exclusion: query, `k`, number of texts, hits.
fn every_query(
    build: Build<'_>,
    test: impl Fn(&Query<'_>, usize, usize, &[Hit]) -> Result<(), String>,
) -> Result<(), String> {
    for n_texts in [0, 1, TEXTS.len()] {
        let retriever = build(&TEXTS[..n_texts]);
        for k in [0, 1, 3, n_texts + 5] {
            for exclude in [None, Some(0), Some(n_texts), Some(usize::MAX)] {
                let queries: Vec<Query<'_>> = queries(exclude).collect();
                for (query, hits) in queries.iter().zip(retrieve(&*retriever, &queries, k)?) {
                    test(query, k, n_texts, &hits).map_err(|found| {
                        format!("{n_texts} texts, {:?}, k = {k}, exclude = {exclude:?}: {found}", query.text)
                    })?;
                }
            }
        }
    }
    Ok(())
}

/// A list for each query.
fn retrieve(retriever: &dyn Retriever, queries: &[Query<'_>], k: usize) -> Result<Vec<Vec<Hit>>, String> {
    let found = retriever.retrieve(queries, k).map_err(|error| format!("k = {k} failed: {error}"))?;
    ensure(found.len() == queries.len(), || format!("{} queries gave {} lists", queries.len(), found.len()))?;
    Ok(found)
}

/// Whether the scores agree rank by rank, but for what an embedder may round (1e-5 per component); rows of almost
/// equal score may change places.
fn near(a: &[Hit], b: &[Hit]) -> bool {
    const ROUNDING: f32 = 1e-3;
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| (a.score - b.score).abs() <= ROUNDING * a.score.abs().max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HashingEmbedder;
    use crate::contracts::broken;
    use semievol_retrieval::{Bm25, Bm25Config, Dense, RetrievalError};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn dense(texts: &[&str]) -> impl Retriever + use<> {
        Dense::exact(texts, HashingEmbedder::new(512), "hashing 512").expect("a hash for every text")
    }

    #[test]
    fn the_retrievers_keep_their_promises() {
        retriever(dense);
        retriever(|texts| Bm25::new(texts, Bm25Config::default()).expect("default settings"));
    }

    /// What a retriever was asked, and what it found.
    struct Asked<'a> {
        texts: &'a [String],
        queries: &'a [Query<'a>],
        k: usize,
        calls: usize,
        found: Vec<Vec<Hit>>,
    }

    struct Broken<S> {
        texts: Vec<String>,
        spoil: S,
        calls: AtomicUsize,
        id: fn(usize) -> String,
        len: usize,
    }

    impl<S: Fn(Asked<'_>) -> Vec<Vec<Hit>> + Send + Sync> Retriever for Broken<S> {
        fn id(&self) -> String {
            (self.id)(self.calls.fetch_add(1, Ordering::Relaxed))
        }

        fn len(&self) -> usize {
            self.len
        }

        fn retrieve(&self, queries: &[Query<'_>], k: usize) -> Result<Vec<Vec<Hit>>, RetrievalError> {
            let calls = self.calls.fetch_add(1, Ordering::Relaxed);
            let found = inner(&self.texts, queries, k)?;
            Ok((self.spoil)(Asked { texts: &self.texts, queries, k, calls, found }))
        }
    }

    fn inner(texts: &[String], queries: &[Query<'_>], k: usize) -> Result<Vec<Vec<Hit>>, RetrievalError> {
        dense(&texts.iter().map(String::as_str).collect::<Vec<_>>()).retrieve(queries, k)
    }

    fn broken_by(
        promise: &str,
        id: fn(usize) -> String,
        n_missing: usize,
        spoil: impl Fn(Asked<'_>) -> Vec<Vec<Hit>> + Send + Sync + Copy,
    ) {
        let build = |texts: &[&str]| {
            let len = texts.len().saturating_sub(n_missing);
            let texts = texts.iter().map(|text| text.to_string()).collect();
            Box::new(Broken { texts, spoil, calls: AtomicUsize::new(0), id, len }) as Box<dyn Retriever>
        };
        let broken = broken(&rules(&build));
        assert!(broken.iter().any(|(found, _)| *found == promise), "{promise}: {broken:?}");
    }

    fn check(promise: &str, spoil: impl Fn(Asked<'_>) -> Vec<Vec<Hit>> + Send + Sync + Copy) {
        broken_by(promise, |_| "spoilt".into(), 0, spoil);
    }

    /// Each list of hits, changed.
    fn changed(promise: &str, change: impl Fn(&mut Vec<Hit>) + Send + Sync + Copy) {
        check(promise, |mut asked| {
            asked.found.iter_mut().for_each(change);
            asked.found
        });
    }

    #[test]
    fn every_rule_can_be_broken() {
        let promise = "the id is not empty, and stays";
        broken_by(promise, |_| String::new(), 0, |asked| asked.found);
        broken_by(promise, |calls| format!("retriever {calls}"), 0, |asked| asked.found);
        broken_by("`len` is the number of texts", |_| "spoilt".into(), 1, |asked| asked.found);
        let promise = "every query has a list, in order";
        check(promise, |mut asked| {
            asked.found.reverse();
            asked.found
        });
        check(promise, |mut asked| {
            asked.found.pop();
            asked.found
        });
        check("at most `k` rows are found", |asked| inner(asked.texts, asked.queries, asked.k + 1).unwrap());
        let promise = "no row is found twice, and none that is not there";
        changed(promise, |hits| hits.extend(hits.last().copied()));
        changed(promise, |hits| hits.iter_mut().for_each(|hit| hit.row += 8));
        let promise = "scores are finite and descend, equal scores by row ascending";
        changed(promise, |hits| hits.reverse());
        changed(promise, |hits| hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.row.cmp(&a.row))));
        changed(promise, |hits| hits.iter_mut().for_each(|hit| hit.score = f32::NAN));
        check("the excluded row is not found", |asked| {
            let queries: Vec<_> =
                asked.queries.iter().map(|query| Query { exclude: None, ..*query }).collect();
            inner(asked.texts, &queries, asked.k).unwrap()
        });
        // The least alike first.
        check("a text finds itself first", |asked| {
            let mut found = inner(asked.texts, asked.queries, usize::MAX).unwrap();
            found.iter_mut().for_each(|hits| {
                hits.reverse();
                hits.truncate(asked.k);
            });
            found
        });
        // Takes every row with the text of the excluded one for that row.
        check("without itself, a text finds its copy", |mut asked| {
            for (query, hits) in asked.queries.iter().zip(&mut asked.found) {
                let excluded = query.exclude.and_then(|row| asked.texts.get(row));
                hits.retain(|hit| Some(&asked.texts[hit.row]) != excluded);
            }
            asked.found
        });
        check("the same queries find the same", |mut asked| {
            asked.found[0].truncate(asked.calls % 2);
            asked.found
        });
    }
}
