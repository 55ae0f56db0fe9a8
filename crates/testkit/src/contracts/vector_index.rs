use super::{Rule, ensure, hold_to, rule};
use semievol_model::Embeddings;
use semievol_retrieval::{Hit, RetrievalError, VectorIndex, VectorQuery};

const DIM: usize = 16;
/// Of a cosine in f32.
const ROUNDING: f32 = 1e-5;
/// What an approximate index must find of rows that lie in well-parted groups.
const LEAST_RECALL: f64 = 0.9;

/// Tries an index that `build` makes of rows: width and length, how many rows are found, exact scores, order and
/// ties, exclusion, zeros, refusals, many queries at once, and that most of the nearest rows are found.
///
/// # Panics
/// If a rule is broken; the message lists all that are.
pub fn vector_index<I: VectorIndex>(build: impl Fn(&Embeddings) -> I) {
    hold_to("the index", &rules(&|rows| Box::new(build(rows))));
}

type Build<'a> = &'a (dyn Fn(&Embeddings) -> Box<dyn VectorIndex + 'a> + 'a);

fn rules(build: Build<'_>) -> Vec<Rule<'_>> {
    vec![
        rule("`dim` and `len` are those of the rows", move || {
            [0, 1, 48].into_iter().try_for_each(|n| {
                let index = build(&groups(n));
                let found = (index.dim(), index.len(), index.is_empty());
                ensure(found == (DIM, n, n == 0), || format!("{n} rows of {DIM} give {found:?}"))
            })
        }),
        rule("`k` rows are found, or all that there are", move || {
            every_search(build, |search, hits| {
                let there = search.rows.len()
                    - usize::from(search.exclude.is_some_and(|row| row < search.rows.len()));
                ensure(hits.len() == search.k.min(there), || format!("{} hits", hits.len()))
            })
        }),
        rule("no row is found twice, and none that is not there", move || {
            every_search(build, |search, hits| {
                let mut rows: Vec<usize> = hits.iter().map(|hit| hit.row).collect();
                rows.sort_unstable();
                let kept = rows.windows(2).all(|pair| pair[0] < pair[1]);
                ensure(kept && rows.iter().all(|row| *row < search.rows.len()), || format!("rows {rows:?}"))
            })
        }),
        rule("the excluded row is not found", move || {
            every_search(build, |search, hits| {
                let found = hits.iter().find(|hit| Some(hit.row) == search.exclude);
                ensure(found.is_none(), || format!("{found:?} was"))
            })
        }),
        rule("a score is the cosine", move || {
            every_search(build, |search, hits| {
                hits.iter().filter(|hit| hit.row < search.rows.len()).try_for_each(|hit| {
                    let cosine = cosine(search.query, search.rows.row(hit.row));
                    ensure((hit.score - cosine).abs() <= ROUNDING, || {
                        format!("{hit:?}, but the cosine is {cosine}")
                    })
                })
            })
        }),
        rule("scores descend, equal scores by row ascending", move || {
            every_search(build, |_, hits| {
                let wrong = hits.windows(2).find(|pair| {
                    pair[0].score < pair[1].score
                        || pair[0].score == pair[1].score && pair[0].row > pair[1].row
                });
                ensure(wrong.is_none(), || format!("{wrong:?}"))
            })
        }),
        rule("equal rows have equal scores", move || {
            every_search(build, |search, hits| {
                let equal = |a: &Hit, b: &Hit| search.rows.row(a.row) == search.rows.row(b.row);
                let within: Vec<&Hit> = hits.iter().filter(|hit| hit.row < search.rows.len()).collect();
                let wrong =
                    within.windows(2).find(|pair| equal(pair[0], pair[1]) && pair[0].score != pair[1].score);
                ensure(wrong.is_none(), || format!("{wrong:?}"))
            })
        }),
        rule("the nearest rows are found", move || recall(build)),
        rule("a query of another width is refused", move || {
            [0, 48].into_iter().flat_map(|n| [(n, 0), (n, DIM - 1), (n, DIM + 1)]).try_for_each(
                |(n, width)| match build(&groups(n)).nearest(&vec![1.0; width], 1, None) {
                    Err(RetrievalError::Dimension { found, .. }) if found == width => Ok(()),
                    other => Err(format!("{width} values asked of {n} rows of {DIM} gave {other:?}")),
                },
            )
        }),
        rule("a query that is not finite is refused", move || {
            let tries = [0, 48]
                .into_iter()
                .flat_map(|n| [f32::NAN, f32::INFINITY, f32::NEG_INFINITY].map(|v| (n, v)));
            tries.into_iter().flat_map(|(n, value)| [0, 1].map(|k| (n, value, k))).try_for_each(
                |(n, value, k)| {
                    let mut query = [1.0; DIM];
                    query[3] = value;
                    match build(&groups(n)).nearest(&query, k, None) {
                        Err(RetrievalError::NotFinite { position: 3, .. }) => Ok(()),
                        other => Err(format!("{value} at position 3, k = {k}, of {n} rows, gave {other:?}")),
                    }
                },
            )
        }),
        rule("many queries at once find what each finds alone", move || each_as_alone(build)),
        rule("the same search finds the same", move || {
            let rows = groups(48);
            let (index, again) = (build(&rows), build(&rows));
            (0..rows.len()).try_for_each(|row| {
                let search = |index: &dyn VectorIndex| nearest(index, rows.row(row), 5, None);
                let (first, second, rebuilt) = (search(&index)?, search(&index)?, search(&again)?);
                ensure(first == second, || format!("row {row}: {first:?}, then {second:?}"))?;
                ensure(first == rebuilt, || format!("row {row}: {first:?}; built again, {rebuilt:?}"))
            })
        }),
    ]
}

/// `n` rows in groups of eight: around one axis each, every fourth row a copy of the one before.
fn groups(n: usize) -> Embeddings {
    let mut values = Vec::with_capacity(n * DIM);
    for row in 0..n {
        let member = if row % 4 == 3 { row - 1 } else { row };
        let mut vector = [0.0f32; DIM];
        for (position, value) in vector.iter_mut().enumerate() {
            // A multiplicative hash spreads the values; any would do.
            let hash = ((member * DIM + position + 1) as u32).wrapping_mul(2_654_435_761);
            *value = 0.1 * (hash as f32 / u32::MAX as f32 - 0.5);
        }
        vector[row / 8 % DIM] += 1.0;
        values.extend(unit(&vector));
    }
    of(values)
}

/// Vectors without a direction, copies, opposites.
fn odd() -> Embeddings {
    let (zero, along, against) = ([0.0; DIM], axis(0, 1.0), axis(0, -1.0));
    of([along, zero, against, along, zero, axis(1, 1.0), along].concat())
}

fn axis(position: usize, value: f32) -> [f32; DIM] {
    let mut vector = [0.0; DIM];
    vector[position] = value;
    vector
}

fn of(values: Vec<f32>) -> Embeddings {
    Embeddings::new(DIM, values).expect("whole rows of finite values")
}

struct Search<'a> {
    rows: &'a Embeddings,
    query: &'a [f32],
    k: usize,
    exclude: Option<usize>,
}

/// Rows of each kind, asked with themselves, with a longer vector and with zeros, for each `k`, with and without
/// exclusion.
fn every_search(
    build: Build<'_>,
    test: impl Fn(&Search<'_>, &[Hit]) -> Result<(), String>,
) -> Result<(), String> {
    for rows in [groups(0), groups(1), groups(2), groups(48), odd()] {
        let index = build(&rows);
        let mut queries: Vec<Vec<f32>> = (0..rows.len().min(20)).map(|row| rows.row(row).to_vec()).collect();
        queries.extend([vec![0.0; DIM], vec![1e20; DIM], vec![1e-30; DIM]]);
        for (at, query) in queries.iter().enumerate() {
            for k in [0, 1, 3, rows.len(), rows.len() + 5] {
                for exclude in [None, Some(at), Some(rows.len()), Some(usize::MAX)] {
                    let search = Search { rows: &rows, query, k, exclude };
                    let hits = nearest(&*index, query, k, exclude)?;
                    test(&search, &hits).map_err(|found| {
                        format!("{} rows, query {at}, k = {k}, exclude = {exclude:?}: {found}", rows.len())
                    })?;
                }
            }
        }
    }
    Ok(())
}

fn recall(build: Build<'_>) -> Result<(), String> {
    let (rows, k) = (groups(96), 5);
    let index = build(&rows);
    let mut found = 0;
    for row in 0..rows.len() {
        let mut others: Vec<usize> = (0..rows.len()).filter(|other| *other != row).collect();
        let cosine = |other: &usize| cosine(rows.row(row), rows.row(*other));
        others.sort_by(|a, b| cosine(b).total_cmp(&cosine(a)));
        let hits = nearest(&*index, rows.row(row), k, Some(row))?;
        // Anything as near as the last of the nearest counts, since rounding may swap equals.
        let enough = cosine(&others[k - 1]) - ROUNDING;
        let near = |hit: &&Hit| hit.row < rows.len() && cosine(&hit.row) >= enough;
        found += hits.iter().filter(near).count().min(k);
    }
    let recall = found as f64 / (k * rows.len()) as f64;
    ensure(recall >= LEAST_RECALL, || {
        format!("{recall:.2} of the {k} nearest were, less than {LEAST_RECALL}")
    })
}

fn each_as_alone(build: Build<'_>) -> Result<(), String> {
    let rows = groups(48);
    let index = build(&rows);
    let excludes = (0..rows.len()).map(|row| (row % 2 == 0).then_some(row));
    let queries = excludes.enumerate().map(|(row, exclude)| VectorQuery { vector: rows.row(row), exclude });
    let queries: Vec<VectorQuery<'_>> = queries.collect();
    let together = index.nearest_each(&queries, 4).map_err(|error| format!("failed: {error}"))?;
    ensure(together.len() == queries.len(), || {
        format!("{} queries, {} answers", queries.len(), together.len())
    })?;
    for (at, (query, hits)) in queries.iter().zip(&together).enumerate() {
        let alone = nearest(&*index, query.vector, 4, query.exclude)?;
        ensure(*hits == alone, || format!("query {at}: {hits:?}, alone {alone:?}"))?;
    }
    let none = index.nearest_each(&[], 4).map_err(|error| format!("no query failed: {error}"))?;
    ensure(none.is_empty(), || format!("no query gave {none:?}"))?;
    let refused = index.nearest_each(&[queries[0], VectorQuery { vector: &[1.0], exclude: None }], 4);
    ensure(refused.is_err(), || "a query of width 1 among others was not refused".into())
}

fn nearest(
    index: &dyn VectorIndex,
    query: &[f32],
    k: usize,
    exclude: Option<usize>,
) -> Result<Vec<Hit>, String> {
    index
        .nearest(query, k, exclude)
        .map_err(|error| format!("k = {k}, exclude = {exclude:?} failed: {error}"))
}

/// In f64, where nothing overflows; 0 for a vector of zeros.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms == 0.0 { 0.0 } else { (dot(a, b) / norms) as f32 }
}

fn unit(vector: &[f32]) -> Vec<f32> {
    let norm = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
    vector.iter().map(|v| v / norm).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::broken;
    use semievol_retrieval::ExactIndex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn exact(rows: &Embeddings) -> ExactIndex {
        ExactIndex::new(rows.dim(), rows.as_slice()).expect("finite rows")
    }

    #[test]
    fn the_exact_index_keeps_its_promises() {
        vector_index(exact);
        vector_index(|rows| Box::new(exact(rows)) as Box<dyn VectorIndex>);
    }

    struct Asked<'a> {
        index: &'a ExactIndex,
        query: &'a [f32],
        k: usize,
        exclude: Option<usize>,
        calls: usize,
    }

    type Found = Result<Vec<Hit>, RetrievalError>;

    /// Answers as `spoil` makes of the question; `each` spoils many answers at once.
    struct Broken<S, E> {
        index: ExactIndex,
        spoil: S,
        each: E,
        calls: AtomicUsize,
        len: usize,
    }

    impl<S, E> VectorIndex for Broken<S, E>
    where
        S: Fn(Asked<'_>) -> Found + Send + Sync,
        E: Fn(&mut Vec<Vec<Hit>>) + Send + Sync,
    {
        fn dim(&self) -> usize {
            DIM
        }

        fn len(&self) -> usize {
            self.len
        }

        fn nearest(&self, query: &[f32], k: usize, exclude: Option<usize>) -> Found {
            let calls = self.calls.fetch_add(1, Ordering::Relaxed);
            (self.spoil)(Asked { index: &self.index, query, k, exclude, calls })
        }

        fn nearest_each(
            &self,
            queries: &[VectorQuery<'_>],
            k: usize,
        ) -> Result<Vec<Vec<Hit>>, RetrievalError> {
            let mut hits = self.index.nearest_each(queries, k)?;
            (self.each)(&mut hits);
            Ok(hits)
        }
    }

    fn broken_by(
        promise: &str,
        n_missing: usize,
        spoil: impl Fn(Asked<'_>) -> Found + Send + Sync + Copy,
        each: impl Fn(&mut Vec<Vec<Hit>>) + Send + Sync + Copy,
    ) {
        let build = |rows: &Embeddings| {
            let len = rows.len().saturating_sub(n_missing);
            Box::new(Broken { index: exact(rows), spoil, each, calls: AtomicUsize::new(0), len })
                as Box<dyn VectorIndex>
        };
        let broken = broken(&rules(&build));
        assert!(broken.iter().any(|(found, _)| *found == promise), "{promise}: {broken:?}");
    }

    fn check(promise: &str, spoil: impl Fn(Asked<'_>) -> Found + Send + Sync + Copy) {
        broken_by(promise, 0, spoil, |_| {});
    }

    fn plain(asked: Asked<'_>) -> Found {
        asked.index.nearest(asked.query, asked.k, asked.exclude)
    }

    /// What the index finds, changed.
    fn changed(promise: &str, change: impl Fn(&mut Vec<Hit>) + Send + Sync + Copy) {
        check(promise, |asked| {
            let mut hits = plain(asked)?;
            change(&mut hits);
            Ok(hits)
        });
    }

    #[test]
    fn every_rule_can_be_broken() {
        broken_by("`dim` and `len` are those of the rows", 1, plain, |_| {});
        let promise = "`k` rows are found, or all that there are";
        changed(promise, |hits| hits.truncate(3));
        // Takes the excluded row out of `k` instead of asking for one more.
        check(promise, |asked| {
            let mut hits = asked.index.nearest(asked.query, asked.k, None)?;
            hits.retain(|hit| Some(hit.row) != asked.exclude);
            Ok(hits)
        });
        let promise = "no row is found twice, and none that is not there";
        changed(promise, |hits| hits.extend(hits.last().copied()));
        changed(promise, |hits| hits.iter_mut().for_each(|hit| hit.row += 48));
        check("the excluded row is not found", |asked| asked.index.nearest(asked.query, asked.k, None));
        changed("a score is the cosine", |hits| hits.iter_mut().for_each(|hit| hit.score = 1.0 - hit.score));
        let promise = "scores descend, equal scores by row ascending";
        changed(promise, |hits| hits.reverse());
        changed(promise, |hits| {
            hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.row.cmp(&a.row)));
        });
        changed("equal rows have equal scores", |hits| {
            hits.iter_mut().enumerate().for_each(|(rank, hit)| hit.score -= 1e-7 * rank as f32);
        });
        // Correct scores of whatever rows come first.
        check("the nearest rows are found", |asked| {
            let mut hits = asked.index.nearest(asked.query, usize::MAX, asked.exclude)?;
            hits.sort_by_key(|hit| hit.row);
            hits.truncate(asked.k);
            Ok(hits)
        });
        check("a query of another width is refused", |asked| {
            let mut query = asked.query.to_vec();
            query.resize(DIM, 0.0);
            asked.index.nearest(&query, asked.k, asked.exclude)
        });
        check("a query that is not finite is refused", |asked| {
            let finite: Vec<f32> = asked.query.iter().map(|v| if v.is_finite() { *v } else { 0.0 }).collect();
            asked.index.nearest(&finite, asked.k, asked.exclude)
        });
        let promise = "many queries at once find what each finds alone";
        broken_by(promise, 0, plain, |hits| hits.reverse());
        broken_by(promise, 0, plain, |hits| hits.push(Vec::new()));
        check("the same search finds the same", |asked| {
            let skip = asked.calls % 2;
            let hits = asked.index.nearest(asked.query, asked.k + skip, asked.exclude)?;
            Ok(hits.into_iter().skip(skip).collect())
        });
    }
}
