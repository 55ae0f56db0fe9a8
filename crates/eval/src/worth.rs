use crate::draws::Draws;
use crate::error::EvalError;
use crate::interval::{Interval, bootstrap_of};
use semievol_core::{Groups, Seed};

/// What share of the errors more rows would take away, by the power law `error = a * rows^-b` through errors measured at
/// several numbers of rows (Hestness et al., arXiv 1712.00409); below 0 where more rows did harm.
///
/// `errors` has for each test row its error at each of `rows`; the interval is a bootstrap over the groups of test rows. An error
/// of 0 counts as half an error of one test row, of which the logarithm can be taken, and no curve is followed beyond all
/// rows wrong.
///
/// ```
/// use semievol_core::{Groups, Seed};
///
/// // Twice the rows, half the errors.
/// let errors: Vec<Vec<f64>> = (0..80).map(|row| [40, 20, 10].map(|n| f64::from(u8::from(row < n))).to_vec()).collect();
/// let single = Groups::single(80);
/// let (share, interval) =
///     semievol_eval::worth_of_more(&[10, 20, 40], &errors, &single, 40, 0.95, Seed(1)).unwrap();
/// assert!((share - 0.5).abs() < 1e-9 && interval.holds(share));
/// ```
///
/// # Errors
/// Without rows to test on or a group for each, with fewer than two numbers of rows, or with a level outside of 0 and 1.
pub fn worth_of_more(
    rows: &[usize],
    errors: &[Vec<f64>],
    groups: &Groups,
    more: usize,
    level: f64,
    seed: Seed,
) -> Result<(f64, Interval), EvalError> {
    if rows.iter().min() == rows.iter().max() || errors.iter().any(|row| row.len() != rows.len()) {
        return Err(EvalError::Empty { what: "a learning curve of fewer than two points" });
    }
    let draws = Draws::of(groups).check(errors.len())?;
    let logs: Vec<f64> = rows.iter().map(|n| (*n as f64).ln()).collect();
    let mean_log = logs.iter().sum::<f64>() / logs.len() as f64;
    let spread: f64 = logs.iter().map(|log| (log - mean_log).powi(2)).sum();
    let last = rows[rows.len() - 1] as f64;
    let growth = ((last + more as f64) / last).ln();
    let share = |drawn: &[usize]| {
        let least = 0.5 / drawn.len() as f64;
        let error = |at: usize| drawn.iter().map(|row| errors[*row][at]).sum::<f64>() / drawn.len() as f64;
        let slope: f64 =
            logs.iter().enumerate().map(|(at, log)| (log - mean_log) * error(at).max(least).ln()).sum();
        1.0 - (slope / spread * growth).exp().min(1.0 / error(rows.len() - 1).max(least))
    };
    let all: Vec<usize> = (0..errors.len()).collect();
    let interval = bootstrap_of(&draws, level, seed, share)?;
    Ok((share(&all), interval))
}

#[cfg(test)]
mod tests {
    use super::worth_of_more;
    use semievol_core::{Groups, Seed};

    #[test]
    fn a_flat_curve_promises_nothing() {
        let errors = vec![vec![0.3; 3]; 20];
        let (share, interval) =
            worth_of_more(&[5, 10, 20], &errors, &Groups::single(20), 100, 0.95, Seed(1)).unwrap();
        assert!(share.abs() < 1e-12 && interval.holds(share));
    }

    #[test]
    fn no_errors_are_no_infinity() {
        let errors = vec![vec![0.0, 0.0]; 20];
        let (share, _) = worth_of_more(&[5, 10], &errors, &Groups::single(20), 100, 0.95, Seed(1)).unwrap();
        assert!(share.abs() < 1e-12, "{share}");
    }

    #[test]
    fn no_more_than_all_can_be_wrong() {
        // From a tenth to two fifths, and a hundred times the rows.
        let errors: Vec<Vec<f64>> =
            (0..20).map(|row| [2, 4, 8].map(|n| f64::from(u8::from(row < n))).to_vec()).collect();
        let (share, interval) =
            worth_of_more(&[5, 10, 20], &errors, &Groups::single(20), 2000, 0.95, Seed(1)).unwrap();
        assert!((share + 1.5).abs() < 1e-12 && interval.low.is_finite(), "{share} {interval}");
    }

    #[test]
    fn one_point_is_no_curve() {
        assert!(worth_of_more(&[5], &[vec![0.1]], &Groups::single(1), 100, 0.95, Seed(1)).is_err());
        assert!(worth_of_more(&[5, 10], &[], &Groups::single(0), 100, 0.95, Seed(1)).is_err());
    }

    #[test]
    fn rows_of_a_group_say_little_more_than_one_of_them() {
        // Ten rows of each group, alike.
        let errors: Vec<Vec<f64>> =
            (0..80).map(|row| [5, 4, 2].map(|n| f64::from(u8::from(row / 10 < n))).to_vec()).collect();
        let groups = Groups::keyed((0..80).map(|row| Some(row / 10)));
        let width = |groups: &Groups| {
            let (_, interval) = worth_of_more(&[10, 20, 40], &errors, groups, 40, 0.95, Seed(1)).unwrap();
            interval.high - interval.low
        };
        assert!(width(&groups) > 2.0 * width(&Groups::single(80)));
        assert!(worth_of_more(&[10, 20, 40], &errors, &Groups::single(3), 40, 0.95, Seed(1)).is_err());
    }
}
