use serde::{Deserialize, Serialize};

/// McNemar's exact test on paired right and wrong answers. Where samples come in groups, whole groups are what a coin
/// decides.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Right in the first, wrong in the second.
    pub first_only: usize,
    /// Wrong in the first, right in the second.
    pub second_only: usize,
    /// Two-sided: the chance of a split at least as uneven if both were equally good. Where samples come in groups, it does not
    /// follow from the two counts alone.
    pub p: f64,
}

/// Tests whether two methods differ by the samples that only one of them gets right: under the null
/// hypothesis each is a fair coin's throw. Without such samples p is 1.
///
/// ```
/// // 6 against 1: twice the chance of 0 or 1 heads in 7 throws, 2 x 8 / 128.
/// assert_eq!(semievol_eval::mcnemar(6, 1).p, 0.125);
/// ```
pub fn mcnemar(first_only: usize, second_only: usize) -> McNemar {
    let n = first_only + second_only;
    let fewer = first_only.min(second_only);
    // Twice a tail that reaches the middle counts the middle twice; hence the cap.
    let p = (2.0 * tail_of_fair_throws(n, fewer)).min(1.0);
    McNemar { first_only, second_only, p }
}

/// The same where samples come in groups: under the null hypothesis a fair coin says for each group which method is the
/// first. `gains` are the samples of each group that only the first method gets right, less those that only the second does.
/// With groups of one sample each it is the test above.
pub(crate) fn mcnemar_of_groups(first_only: usize, second_only: usize, gains: &[i64]) -> McNemar {
    let steps: Vec<usize> = gains.iter().map(|gain| gain.unsigned_abs() as usize).collect();
    let all: usize = steps.iter().sum();
    let observed = gains.iter().sum::<i64>().unsigned_abs() as usize;
    // Of the sum of the steps whose coin shows heads, the chance of each value; the sum of all signed steps is twice
    // that less `all`.
    let mut chances = vec![0.0; all + 1];
    chances[0] = 1.0;
    let mut most = 0;
    for step in steps.into_iter().filter(|step| *step > 0) {
        most += step;
        for sum in (0..=most).rev() {
            let heads = if sum < step { 0.0 } else { chances[sum - step] };
            chances[sum] = (chances[sum] + heads) / 2.0;
        }
    }
    let tail: f64 = chances[(all + observed) / 2..].iter().sum();
    McNemar { first_only, second_only, p: (2.0 * tail).min(1.0) }
}

/// The chance of at most `heads` heads in `n` throws of a fair coin, exact to the last digits: the incomplete
/// beta function, by which libraries compute it, gives 0.9999999999999991 for 1.
fn tail_of_fair_throws(n: usize, heads: usize) -> f64 {
    // C(n, heads) / 2^n; halved on the way, so that it neither overflows nor underflows early.
    let mut term: f64 = 1.0;
    let mut halvings = n;
    for i in 1..=heads {
        term = term * (n - heads + i) as f64 / i as f64;
        while term > 1e12 && halvings > 0 {
            term /= 2.0;
            halvings -= 1;
        }
    }
    let halved = |term: f64| (0..halvings).fold(term, |term, _| term / 2.0);
    let mut sum = 0.0;
    for k in (0..=heads).rev() {
        sum += term;
        term = term * k as f64 / (n - k + 1) as f64;
    }
    halved(sum)
}

/// Holm's correction for several tests at once: adjusted p-values in the order given. NaN stays NaN and
/// counts as a test.
///
/// ```
/// assert_eq!(semievol_eval::holm(&[0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
/// ```
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    // A NaN last, whatever its sign: that of 0 / 0 is negative on some machines.
    let key = |index: usize| (p_values[index].is_nan(), p_values[index]);
    order.sort_by(|one, other| {
        let ((one_nan, one), (other_nan, other)) = (key(*one), key(*other));
        one_nan.cmp(&other_nan).then(one.total_cmp(&other))
    });
    let mut adjusted = vec![f64::NAN; p_values.len()];
    let mut highest: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        let p = p_values[index];
        if !p.is_nan() {
            highest = highest.max((p * (p_values.len() - rank) as f64).min(1.0));
            adjusted[index] = highest;
        }
    }
    adjusted
}
