use super::logistic::check;
use super::unfit;
use crate::SelectError;
use semievol_model::Embeddings;

/// The classes of each query's `k` nearest rows, each with its cosine (at least 0) for a voice, and one voice shared by
/// all classes, so that nobody is ever certain: a vote of nearest neighbours (Cover and Hart, 1967).
///
/// Embeddings have unit norm, so cosines are products. Rows at equal distance are taken in their order.
///
/// # Errors
/// If there is no row, rows and classes are not as many, a class is `n_classes` or more, `k` is 0, or queries are of
/// another width.
pub fn vote_of_neighbours(
    rows: &Embeddings,
    classes: &[usize],
    n_classes: usize,
    k: usize,
    queries: &Embeddings,
) -> Result<Vec<Vec<f64>>, SelectError> {
    check(rows, classes, n_classes)?;
    if k == 0 || queries.dim() != rows.dim() {
        let (k, width, asked) = (k, rows.dim(), queries.dim());
        return Err(unfit(format!("k is {k}, embeddings have width {width}, queries {asked}")));
    }
    let vote = |query: &[f32]| {
        let cosine = |row: &[f32]| -> f64 { row.iter().zip(query).map(|(a, b)| f64::from(a * b)).sum() };
        let mut near: Vec<(f64, usize)> =
            (0..rows.len()).map(|row| (cosine(rows.row(row)), classes[row])).collect();
        near.sort_by(|one, other| other.0.total_cmp(&one.0));
        let mut voices = vec![1.0 / n_classes as f64; n_classes];
        near.iter().take(k).for_each(|(cosine, class)| voices[*class] += cosine.max(0.0));
        let total: f64 = voices.iter().sum();
        voices.into_iter().map(|voice| voice / total).collect()
    };
    Ok((0..queries.len()).map(|query| vote(queries.row(query))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embeddings(dim: usize, values: &[f32]) -> Embeddings {
        Embeddings::new(dim, values.to_vec()).unwrap_or_else(|| panic!("whole rows"))
    }

    #[test]
    fn the_nearest_decide() {
        let rows = embeddings(2, &[1.0, 0.0, 0.8, 0.6, 0.0, 1.0]);
        let queries = embeddings(2, &[1.0, 0.0, 0.0, 1.0]);
        let votes = vote_of_neighbours(&rows, &[0, 0, 1], 2, 2, &queries).unwrap_or_else(|e| panic!("{e}"));
        // 1 + 0.8 voices for the first class and half a voice for each; then 0.6 against 1.
        let expected = [[2.3 / 2.8, 0.5 / 2.8], [1.1 / 2.6, 1.5 / 2.6]];
        for (vote, expected) in votes.iter().zip(expected) {
            assert!(vote.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{votes:?}");
        }
        for (classes, n_classes, k) in [(&[0, 1][..], 2, 1), (&[0, 0, 2], 2, 1), (&[0, 0, 1], 2, 0)] {
            assert!(vote_of_neighbours(&rows, classes, n_classes, k, &queries).is_err());
        }
    }
}
