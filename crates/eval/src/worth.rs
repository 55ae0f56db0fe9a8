use crate::draws::Draws;
use crate::error::EvalError;
use crate::interval::{Interval, bootstrap_of};
use semievol_core::{Groups, Seed};

/// What share of the errors `more` rows than `now` would take away, by the power law `error = a * rows^-b` through errors measured at
/// several numbers of rows (Hestness et al., arXiv 1712.00409); below 0 where more rows did harm.
///
/// `errors` has for each test row its error at each of `rows`; the interval is a bootstrap over the groups of test rows. An error
/// of 0 counts as half an error of one test row, of which the logarithm can be taken, and no curve is followed beyond all
/// rows wrong. `None` where no draw of test rows says anything else than the next, which is no certainty: they are too few.
///
/// ```
/// use semievol_core::{Groups, Seed};
///
/// // Twice the rows, half the errors.
/// let errors: Vec<Vec<f64>> = (0..80).map(|row| [40, 20, 10].map(|n| f64::from(u8::from(row < n))).to_vec()).collect();
/// let single = Groups::single(80);
/// let (share, interval) =
///     semievol_eval::worth_of_more(&[10, 20, 40], &errors, &single, (40, 40), 0.95, Seed(1)).unwrap().ok_or("too few rows")?;
/// assert!((share - 0.5).abs() < 1e-9 && interval.holds(share));
/// # Ok::<(), &str>(())
/// ```
///
/// # Errors
/// Without rows to test on or a group for each, with fewer than two numbers of rows, or with a level outside of 0 and 1.
pub fn worth_of_more(
    rows: &[usize],
    errors: &[Vec<f64>],
    groups: &Groups,
    (now, more): (usize, usize),
    level: f64,
    seed: Seed,
) -> Result<Option<(f64, Interval)>, EvalError> {
    if rows.iter().min() == rows.iter().max() || errors.iter().any(|row| row.len() != rows.len()) {
        return Err(EvalError::Empty { what: "a learning curve of fewer than two points" });
    }
    let draws = Draws::of(groups).check(errors.len())?;
    let logs: Vec<f64> = rows.iter().map(|n| (*n as f64).ln()).collect();
    let mean_log = logs.iter().sum::<f64>() / logs.len() as f64;
    let spread: f64 = logs.iter().map(|log| (log - mean_log).powi(2)).sum();
    let growth = ((now + more) as f64 / now.max(1) as f64).ln();
    let share = |drawn: &[usize]| {
        let least = 0.5 / drawn.len() as f64;
        let error = |at: usize| drawn.iter().map(|row| errors[*row][at]).sum::<f64>() / drawn.len() as f64;
        let slope: f64 =
            logs.iter().enumerate().map(|(at, log)| (log - mean_log) * error(at).max(least).ln()).sum();
        1.0 - (slope / spread * growth).exp().min(1.0 / error(rows.len() - 1).max(least))
    };
    let all: Vec<usize> = (0..errors.len()).collect();
    let interval = bootstrap_of(&draws, level, seed, share)?;
    // Flat curves differ by rounding.
    Ok((interval.high - interval.low > 1e-9).then(|| (share(&all), interval)))
}

#[cfg(test)]
mod tests {
    use super::worth_of_more;
    use crate::Interval;
    use semievol_core::{Groups, Seed};

    fn worth(rows: &[usize], errors: &[Vec<f64>], more: usize) -> Option<(f64, Interval)> {
        let (single, now) = (Groups::single(errors.len()), rows[rows.len() - 1]);
        worth_of_more(rows, errors, &single, (now, more), 0.95, Seed(1)).unwrap()
    }

    #[test]
    fn a_curve_without_a_slope_in_any_draw_says_nothing() {
        // Each row is right or wrong whatever is learnt.
        for (sizes, n) in [([3, 6, 12], 16), ([6, 12, 25], 32), ([12, 25, 51], 64), ([5, 10, 20], 20)] {
            let errors: Vec<Vec<f64>> =
                (0..n).map(|row| vec![f64::from(u8::from(row % 3 == 0)); 3]).collect();
            assert_eq!(worth(&sizes, &errors, 100), None, "{sizes:?}");
        }
        assert_eq!(worth(&[5, 10], &vec![vec![0.0, 0.0]; 20], 100), None);
    }

    #[test]
    fn a_flat_curve_promises_nothing() {
        // As many rows are learnt as are unlearnt.
        let errors: Vec<Vec<f64>> =
            (0..20).map(|row| vec![f64::from(row % 2), f64::from(1 - row % 2)]).collect();
        let (share, interval) = worth(&[5, 10], &errors, 100).unwrap();
        assert!(share.abs() < 1e-12 && interval.holds(0.0), "{share} {interval}");
    }

    #[test]
    fn more_is_counted_from_what_there_is() {
        // Half the errors for twice the rows, measured with up to 40 of 80: 80 more are twice what there is.
        let errors: Vec<Vec<f64>> =
            (0..80).map(|row| [40, 20, 10].map(|n| f64::from(u8::from(row < n))).to_vec()).collect();
        let single = Groups::single(80);
        let (share, _) =
            worth_of_more(&[10, 20, 40], &errors, &single, (80, 80), 0.95, Seed(1)).unwrap().unwrap();
        assert!((share - 0.5).abs() < 1e-9, "{share}");
    }

    #[test]
    fn no_more_than_all_can_be_wrong() {
        // From a tenth to two fifths, and a hundred times the rows.
        let errors: Vec<Vec<f64>> =
            (0..20).map(|row| [2, 4, 8].map(|n| f64::from(u8::from(row < n))).to_vec()).collect();
        let (share, interval) = worth(&[5, 10, 20], &errors, 2000).unwrap();
        assert!((share + 1.5).abs() < 1e-12 && interval.low.is_finite(), "{share} {interval}");
    }

    #[test]
    fn one_point_is_no_curve() {
        let of = |errors: &[Vec<f64>], rows: &[usize]| {
            worth_of_more(rows, errors, &Groups::single(errors.len()), (10, 100), 0.95, Seed(1))
        };
        assert!(of(&[vec![0.1]], &[5]).is_err());
        assert!(of(&[], &[5, 10]).is_err());
    }

    #[test]
    fn rows_of_a_group_say_little_more_than_one_of_them() {
        // Ten rows of each group, alike.
        let errors: Vec<Vec<f64>> =
            (0..80).map(|row| [5, 4, 2].map(|n| f64::from(u8::from(row / 10 < n))).to_vec()).collect();
        let of = |groups: &Groups| worth_of_more(&[10, 20, 40], &errors, groups, (40, 40), 0.95, Seed(1));
        let width = |groups: &Groups| {
            let (_, interval) = of(groups).unwrap().unwrap();
            interval.high - interval.low
        };
        let groups = Groups::keyed((0..80).map(|row| Some(row / 10)));
        assert!(width(&groups) > 2.0 * width(&Groups::single(80)));
        assert!(of(&Groups::single(3)).is_err());
    }
}
