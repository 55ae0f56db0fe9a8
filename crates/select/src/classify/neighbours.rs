use super::logistic::check;
use super::{Classifier, Rows, Taught};
use crate::SelectError;
use semievol_core::Seed;

const NEIGHBOURS: &str = "a vote of neighbours";

/// The classes of the `k` nearest labelled rows, each with its cosine (at least 0) for a voice, and one voice shared by
/// all classes, so that nobody is ever certain: a vote of nearest neighbours (Cover and Hart, 1967).
///
/// Rows at equal distance are taken in their order; a row of zeros has no direction and a cosine of 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NearestNeighbours {
    /// How many vote.
    pub k: usize,
}

impl Classifier for NearestNeighbours {
    fn id(&self) -> String {
        format!("{} nearest neighbours", self.k)
    }

    fn needs_embeddings(&self) -> bool {
        true
    }

    fn classify(&self, taught: &Taught<'_>, asked: &Rows<'_>, _: Seed) -> Result<Vec<Vec<f64>>, SelectError> {
        let Taught { classes, n_classes, .. } = *taught;
        let (rows, queries) = (taught.rows.embedded(NEIGHBOURS)?, asked.embedded(NEIGHBOURS)?);
        check(NEIGHBOURS, rows, classes, n_classes)?;
        if self.k == 0 || queries.dim() != rows.dim() {
            let (k, width, asked) = (self.k, rows.dim(), queries.dim());
            let reason = format!("k is {k}, embeddings have width {width}, queries {asked}");
            return Err(SelectError::Unfit { part: NEIGHBOURS, reason });
        }
        let dot = |one: &[f32], other: &[f32]| -> f64 {
            one.iter().zip(other).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let squares: Vec<f64> = (0..rows.len()).map(|row| dot(rows.row(row), rows.row(row))).collect();
        let vote = |query: &[f32]| {
            let of_query = dot(query, query);
            let cosine = |row: usize| {
                let norms = (of_query * squares[row]).sqrt();
                if norms > 0.0 { dot(rows.row(row), query) / norms } else { 0.0 }
            };
            let mut near: Vec<(f64, usize)> =
                (0..rows.len()).map(|row| (cosine(row), classes[row])).collect();
            near.sort_by(|one, other| other.0.total_cmp(&one.0));
            let mut voices = vec![1.0 / n_classes as f64; n_classes];
            near.iter().take(self.k).for_each(|(cosine, class)| voices[*class] += cosine.max(0.0));
            let total: f64 = voices.iter().sum();
            voices.into_iter().map(|voice| voice / total).collect()
        };
        Ok((0..queries.len()).map(|query| vote(queries.row(query))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use semievol_model::Embeddings;

    fn embeddings(dim: usize, values: &[f32]) -> Embeddings {
        Embeddings::new(dim, values.to_vec()).unwrap_or_else(|| panic!("whole rows"))
    }

    #[test]
    fn the_nearest_decide() {
        let rows = embeddings(2, &[1.0, 0.0, 0.8, 0.6, 0.0, 1.0]);
        let queries = embeddings(2, &[1.0, 0.0, 0.0, 1.0]);
        let vote = |classes: &[usize], n_classes, k| {
            let rows = Rows { samples: &[], embeddings: Some(&rows) };
            let asked = Rows { samples: &[], embeddings: Some(&queries) };
            NearestNeighbours { k }.classify(&Taught { rows, classes, n_classes }, &asked, Seed(1))
        };
        let votes = vote(&[0, 0, 1], 2, 2).unwrap_or_else(|e| panic!("{e}"));
        // 1 + 0.8 voices for the first class and half a voice for each; then 0.6 against 1.
        let expected = [[2.3 / 2.8, 0.5 / 2.8], [1.1 / 2.6, 1.5 / 2.6]];
        for (vote, expected) in votes.iter().zip(expected) {
            assert!(vote.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{votes:?}");
        }
        for (classes, n_classes, k) in [(&[0, 1][..], 2, 1), (&[0, 0, 2], 2, 1), (&[0, 0, 1], 2, 0)] {
            assert!(vote(classes, n_classes, k).is_err());
        }
        // Lengths say nothing: the second row is the longer one and points elsewhere.
        let (rows, asked) = (embeddings(2, &[0.0, 1.0, 10.0, 1.0]), embeddings(2, &[0.1, 1.0]));
        let taught =
            Taught { rows: Rows { samples: &[], embeddings: Some(&rows) }, classes: &[0, 1], n_classes: 2 };
        let asked = Rows { samples: &[], embeddings: Some(&asked) };
        let vote =
            NearestNeighbours { k: 1 }.classify(&taught, &asked, Seed(1)).unwrap_or_else(|e| panic!("{e}"));
        assert!(vote[0][0] > vote[0][1], "{vote:?}");
    }
}
