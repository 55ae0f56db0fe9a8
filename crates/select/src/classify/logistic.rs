use super::solver::{GRADIENT_TOLERANCE, MAX_STEPS, minimise};
use super::{REGRESSION, unfit};
use crate::SelectError;
use ndarray::{Array2, ArrayView2, Axis, s};
use semievol_model::Embeddings;

/// Multinomial logistic regression: `P(c | x) = softmax(W x + b)_c`.
///
/// It minimises `mean_i -ln P(y_i | x_i) + l2 / 2 * |W|^2` over the rows `i`; the intercepts `b` are free, so
/// that with a large `l2` the probabilities become the classes' shares. The objective is convex and is solved
/// until no component of its gradient exceeds 1e-6. A class that no row has gets probability 0.
///
/// ```
/// use semievol_model::Embeddings;
/// use semievol_select::classify::LogisticRegression;
///
/// let rows = Embeddings::new(2, vec![1.0, 0.0, 0.6, 0.8, 0.0, 1.0]).ok_or("whole rows")?;
/// let model = LogisticRegression::fit(&rows, &[0, 0, 1], 2, 0.01)?;
/// let probabilities = model.probabilities(&rows)?;
/// assert!(probabilities[0][0] > 0.9 && probabilities[2][1] > 0.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LogisticRegression {
    n_classes: usize,
    /// The classes that have rows, ascending: only they have parameters.
    present: Vec<usize>,
    /// `[present, dim + 1]`, the intercept last.
    parameters: Array2<f64>,
}

impl LogisticRegression {
    /// Fits one class for each row of the features; `classes` are positions below `n_classes`.
    ///
    /// # Errors
    /// If there is no row, rows and classes are not as many, a class is `n_classes` or more, `l2` is not above 0
    /// and finite, or the solver does not arrive.
    pub fn fit(
        features: &Embeddings,
        classes: &[usize],
        n_classes: usize,
        l2: f64,
    ) -> Result<Self, SelectError> {
        check(REGRESSION, features, classes, n_classes)?;
        if !(l2.is_finite() && l2 > 0.0) {
            let value = l2.to_string();
            return Err(SelectError::Setting { setting: "l2", value, expected: "a finite number above 0" });
        }
        Self::solve(matrix(features).view(), classes, n_classes, l2)
    }

    /// The probability of every class for each row, each summing to 1.
    ///
    /// # Errors
    /// If the rows are not as wide as those of the fit.
    pub fn probabilities(&self, features: &Embeddings) -> Result<Vec<Vec<f64>>, SelectError> {
        let dim = self.parameters.ncols() - 1;
        if features.dim() != dim {
            let width = features.dim();
            return Err(unfit(format!("fitted on embeddings of width {dim}, asked about width {width}")));
        }
        Ok(self.predict(matrix(features).view()))
    }

    pub(super) fn solve(
        features: ArrayView2<'_, f64>,
        classes: &[usize],
        n_classes: usize,
        l2: f64,
    ) -> Result<Self, SelectError> {
        let objective = Objective::new(features, classes, l2);
        let start = vec![0.0; objective.present.len() * (features.ncols() + 1)];
        let found = minimise(start, |parameters| objective.at(parameters));
        if found.steepest > GRADIENT_TOLERANCE {
            return Err(unfit(format!(
                "with l2 = {l2} the gradient is still {} after at most {MAX_STEPS} steps, above {GRADIENT_TOLERANCE}; take a larger l2",
                found.steepest
            )));
        }
        let parameters = objective.shaped(&found.at).to_owned();
        Ok(LogisticRegression { n_classes, present: objective.present, parameters })
    }

    pub(super) fn predict(&self, features: ArrayView2<'_, f64>) -> Vec<Vec<f64>> {
        let mut scores = scores(features, self.parameters.view());
        normalise(&mut scores);
        let spread = |row: ndarray::ArrayView1<'_, f64>| {
            let mut all = vec![0.0; self.n_classes];
            self.present.iter().zip(row).for_each(|(class, p)| all[*class] = *p);
            all
        };
        scores.rows().into_iter().map(spread).collect()
    }
}

/// An error unless there is one class below `n_classes` for each row, and a row.
pub(super) fn check(
    part: &'static str,
    features: &Embeddings,
    classes: &[usize],
    n_classes: usize,
) -> Result<(), SelectError> {
    let unfit = |reason| SelectError::Unfit { part, reason };
    if features.len() != classes.len() {
        let (rows, given) = (features.len(), classes.len());
        return Err(unfit(format!("{rows} rows stand against {given} classes; pass one for each")));
    }
    if classes.is_empty() {
        return Err(unfit("there is no labelled row to fit; pass at least one".to_owned()));
    }
    match classes.iter().position(|class| *class >= n_classes) {
        Some(row) => {
            let class = classes[row];
            Err(unfit(format!("row {row} has class {class}, but there are {n_classes} classes (from 0)")))
        }
        None => Ok(()),
    }
}

/// The rows in double precision.
pub(super) fn matrix(features: &Embeddings) -> Array2<f64> {
    Array2::from_shape_fn((features.len(), features.dim()), |(row, column)| {
        f64::from(features.row(row)[column])
    })
}

/// What is minimised, over the classes that occur.
struct Objective<'a> {
    features: ArrayView2<'a, f64>,
    present: Vec<usize>,
    /// Each row's class as a position in `present`.
    targets: Vec<usize>,
    l2: f64,
}

impl<'a> Objective<'a> {
    fn new(features: ArrayView2<'a, f64>, classes: &[usize], l2: f64) -> Self {
        let mut present = classes.to_vec();
        present.sort_unstable();
        present.dedup();
        let targets = classes.iter().map(|class| present.partition_point(|known| known < class)).collect();
        Objective { features, present, targets, l2 }
    }

    fn shaped<'p>(&self, parameters: &'p [f64]) -> ArrayView2<'p, f64> {
        let columns = self.features.ncols() + 1;
        ArrayView2::from_shape((parameters.len() / columns, columns), parameters)
            .unwrap_or_else(|_| unreachable!("as many parameters as at the start"))
    }

    /// The value and its gradient.
    fn at(&self, parameters: &[f64]) -> (f64, Vec<f64>) {
        let parameters = self.shaped(parameters);
        let n = self.features.nrows() as f64;
        let mut residuals = scores(self.features, parameters);
        let log_totals = normalise(&mut residuals);
        let mut loss = 0.0;
        for (row, (target, log_total)) in self.targets.iter().zip(log_totals).enumerate() {
            // Of the score, not of the probability: that may have become 0.
            let feature = self.features.row(row);
            let weights = parameters.row(*target);
            let score = feature.dot(&weights.slice(s![..-1])) + weights[feature.len()];
            loss += (log_total - score) / n;
            residuals[(row, *target)] -= 1.0;
        }
        let mut gradient = Array2::zeros(parameters.raw_dim());
        let weights = parameters.slice(s![.., ..-1]);
        gradient.slice_mut(s![.., ..-1]).assign(&(residuals.t().dot(&self.features) / n));
        gradient.slice_mut(s![.., ..-1]).scaled_add(self.l2, &weights);
        gradient.column_mut(self.features.ncols()).assign(&(residuals.sum_axis(Axis(0)) / n));
        let penalty = self.l2 / 2.0 * weights.iter().map(|weight| weight * weight).sum::<f64>();
        (loss + penalty, gradient.into_raw_vec_and_offset().0)
    }
}

/// `[rows, classes]`: features times weights, plus intercepts.
fn scores(features: ArrayView2<'_, f64>, parameters: ArrayView2<'_, f64>) -> Array2<f64> {
    features.dot(&parameters.slice(s![.., ..-1]).t()) + parameters.column(features.ncols())
}

/// Turns each row of scores into probabilities; the logarithm of the sum of exponentials of each.
fn normalise(scores: &mut Array2<f64>) -> Vec<f64> {
    let normalised = scores.rows_mut().into_iter().map(|mut row| {
        let highest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.mapv_inplace(|score| (score - highest).exp());
        let total = row.sum();
        row /= total;
        highest + total.ln()
    });
    normalised.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use semievol_core::Seed;

    fn noise(seed: u64, len: usize) -> Vec<f64> {
        let draw = |i| (Seed(seed).child("noise", i).0 >> 11) as f64 / (1_u64 << 53) as f64 - 0.5;
        (0..len as u64).map(draw).collect()
    }

    #[test]
    fn the_gradient_is_that_of_the_value() {
        let (rows, dim) = (7, 3);
        let features = Array2::from_shape_vec((rows, dim), noise(1, rows * dim)).expect("whole rows");
        let objective = Objective::new(features.view(), &[0, 4, 2, 2, 0, 4, 4], 0.3);
        let parameters = noise(2, 3 * (dim + 1));
        let (_, gradient) = objective.at(&parameters);
        for (index, slope) in gradient.iter().enumerate() {
            let value = |step: f64| {
                let mut moved = parameters.clone();
                moved[index] += step;
                objective.at(&moved).0
            };
            let measured = (value(1e-5) - value(-1e-5)) / 2e-5;
            assert!((measured - slope).abs() < 1e-9, "component {index}: {slope} against {measured}");
        }
    }

    #[test]
    fn a_certain_mistake_costs_its_score_and_not_infinity() {
        let features = Array2::from_elem((1, 1), 1.0);
        let objective =
            Objective { targets: vec![1], present: vec![0, 1], features: features.view(), l2: 1e-9 };
        let (value, _) = objective.at(&[2000.0, 0.0, 0.0, 0.0]);
        assert!((value - 2000.002).abs() < 1e-9, "{value}");
    }
}
