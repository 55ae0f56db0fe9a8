use super::{Rule, ensure, hold_to, rule};
use semievol_model::{Embedder, Embeddings, TextRole};

const TEXTS: [&str; 6] = [
    "A fine film.",
    "The plot never begins, and when it ends you will wish that it had not, for the sequel is announced.",
    "stock prices rose",
    "Ein Satz mit Umlauten: größer, schöner, älter.",
    "1 + 1 = 2",
    "",
];
/// What the trait allows per component between calls.
const ROUNDING: f32 = 1e-5;
const NORM_ROUNDING: f32 = 1e-4;

/// Tries an embedder: width and unit norm, one row per text in order, the empty call, and independence of
/// the other texts of a call.
///
/// # Panics
/// If a rule is broken; the message lists all that are.
pub fn embedder(embedder: &dyn Embedder) {
    hold_to("the embedder", &rules(embedder));
}

fn rules(embedder: &dyn Embedder) -> Vec<Rule<'_>> {
    vec![
        rule("every text has a row of width `dim`", move || {
            let rows = embed(embedder, &TEXTS)?;
            ensure(rows.dim() == embedder.dim() && rows.len() == TEXTS.len(), || {
                let (dim, len) = (rows.dim(), rows.len());
                format!(
                    "{} texts gave {len} rows of width {dim}, but `dim` is {}",
                    TEXTS.len(),
                    embedder.dim()
                )
            })
        }),
        rule("rows have unit norm", move || {
            let rows = embed(embedder, &TEXTS)?;
            (0..rows.len()).try_for_each(|index| {
                let norm = rows.row(index).iter().map(|v| v * v).sum::<f32>().sqrt();
                ensure((norm - 1.0).abs() <= NORM_ROUNDING, || format!("row {index} has norm {norm}"))
            })
        }),
        rule("rows are in the order of the texts", move || in_order(embedder)),
        rule("no text gives no row", move || {
            let rows = embed(embedder, &[])?;
            ensure(rows.is_empty(), || format!("{} rows came", rows.len()))
        }),
        rule("a row does not depend on the other texts", move || {
            let rows = embed(embedder, &TEXTS)?;
            (0..TEXTS.len()).try_for_each(|index| {
                let alone = embed(embedder, &TEXTS[index..=index])?;
                let moved = distance(row(&rows, index)?, row(&alone, 0)?);
                ensure(moved <= ROUNDING, || {
                    format!(
                        "{:?} alone and among others differs by {moved}, more than {ROUNDING}",
                        TEXTS[index]
                    )
                })
            })
        }),
        rule("the same text has the same row", move || {
            let rows = embed(embedder, &[TEXTS[0], TEXTS[1], TEXTS[0]])?;
            let moved = distance(row(&rows, 0)?, row(&rows, 2)?);
            let again = embed(embedder, &[TEXTS[0], TEXTS[1], TEXTS[0]])?;
            ensure(moved <= ROUNDING, || format!("twice in one call, {:?} differs by {moved}", TEXTS[0]))?;
            ensure(rows == again, || "the same call twice gave other numbers".into())
        }),
    ]
}

fn in_order(embedder: &dyn Embedder) -> Result<(), String> {
    let rows = embed(embedder, &TEXTS)?;
    let alone = TEXTS.iter().map(|text| embed(embedder, &[text])).collect::<Result<Vec<_>, _>>()?;
    for index in 0..TEXTS.len() {
        let distances = alone.iter().map(|one| Ok(distance(row(&rows, index)?, row(one, 0)?)));
        let distances = distances.collect::<Result<Vec<f32>, String>>()?;
        let nearest =
            (0..TEXTS.len()).min_by(|a, b| distances[*a].total_cmp(&distances[*b])).unwrap_or(index);
        ensure(distances[index] <= distances[nearest], || format!("row {index} is that of text {nearest}"))?;
    }
    Ok(())
}

/// Both roles are tried; the rows are those of documents.
fn embed(embedder: &dyn Embedder, texts: &[&str]) -> Result<Embeddings, String> {
    let of = |role| embedder.embed(role, texts).map_err(|error| format!("{role:?} failed: {error}"));
    let (queries, documents) = (of(TextRole::Query)?, of(TextRole::Document)?);
    ensure(queries.len() == documents.len(), || {
        format!("{} rows as queries, {} as documents", queries.len(), documents.len())
    })?;
    Ok(documents)
}

fn row(rows: &Embeddings, index: usize) -> Result<&[f32], String> {
    ensure(index < rows.len(), || format!("row {index} is missing: there are {}", rows.len()))?;
    Ok(rows.row(index))
}

/// Largest difference of a component.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HashingEmbedder;
    use crate::contracts::broken;
    use semievol_model::ModelError;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn the_double_keeps_its_promises() {
        for dim in [64, 384] {
            embedder(&HashingEmbedder::new(dim));
        }
    }

    struct Broken<F>(F, AtomicUsize);

    impl<F: Fn(usize, &mut Vec<f32>) + Send + Sync> Embedder for Broken<F> {
        fn dim(&self) -> usize {
            64
        }

        fn embed(&self, role: TextRole, texts: &[&str]) -> Result<Embeddings, ModelError> {
            let rows = HashingEmbedder::new(64).embed(role, texts)?;
            let mut values = rows.as_slice().to_vec();
            (self.0)(self.1.fetch_add(1, Ordering::Relaxed), &mut values);
            Ok(Embeddings::new(64, values).expect("whole rows"))
        }
    }

    fn check(promise: &str, spoil: impl Fn(usize, &mut Vec<f32>) + Send + Sync) {
        let spoilt = Broken(spoil, AtomicUsize::new(0));
        let broken = broken(&rules(&spoilt));
        assert!(broken.iter().any(|(found, _)| *found == promise), "{promise}: {broken:?}");
    }

    #[test]
    fn every_rule_can_be_broken() {
        check("every text has a row of width `dim`", |_, values| {
            values.truncate(values.len().saturating_sub(64))
        });
        check("rows have unit norm", |_, values| values.iter_mut().for_each(|v| *v *= 2.0));
        check("rows are in the order of the texts", |_, values| {
            let one = values.len().min(64);
            values.rotate_left(one);
        });
        check("no text gives no row", |_, values| values.resize(values.len().max(64), 0.0));
        check("a row does not depend on the other texts", |_, values| {
            if values.len() > 64 {
                values[0] += 1e-3;
            }
        });
        check("the same text has the same row", |calls, values| {
            if let Some(first) = values.first_mut() {
                *first += 1e-3 * calls as f32;
            }
        });
    }
}
