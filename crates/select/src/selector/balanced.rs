use super::by_class::{self, ByClass};
use super::share::Share;
use crate::{Pool, SelectError, Selection, Selector};
use semievol_core::Confidence;

/// Keeps the surest of each predicted class, as many as make `theta` percent in all with the classes' shares among the
/// labels ([`Pool::prior`]): a model that overrates a class cannot teach that it is frequent. A class of which fewer were
/// predicted is kept whole; without a prior all classes have equal shares.
///
/// A class is a position among the options; all open answers together are one class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Balanced {
    theta: Share,
}

impl Balanced {
    /// Keeps `theta` percent in all.
    ///
    /// # Errors
    /// Unless `theta` is above 0 and at most 100.
    pub fn new(theta: f64) -> Result<Self, SelectError> {
        Ok(Balanced { theta: Share::new(theta)? })
    }
}

impl Selector for Balanced {
    fn id(&self) -> String {
        format!("balanced(theta={})", self.theta)
    }

    fn select(&self, pool: Pool<'_>) -> Result<Selection, SelectError> {
        let classes = by_class::confidences(pool);
        let wanted = self.theta.of(classes.values().map(Vec::len).sum()) as f64;
        let equal = 1.0 / classes.len().max(1) as f64;
        let share = |class: Option<usize>| match class {
            Some(class) if !pool.prior.is_empty() => pool.prior.get(class).copied().unwrap_or(0.0),
            _ => equal,
        };
        let quotas = whole_quotas(classes.keys().map(|class| wanted * share(*class)).collect());
        let threshold = |((class, mut confidences), quota): ((Option<usize>, Vec<Confidence>), usize)| {
            confidences.sort_unstable_by(|one, other| other.cmp(one));
            let last = quota.min(confidences.len()).checked_sub(1)?;
            Some((class, confidences[last]))
        };
        let thresholds: ByClass<_> = classes.into_iter().zip(quotas).filter_map(threshold).collect();
        Ok(by_class::decide(pool, &thresholds, ""))
    }
}

/// Whole numbers in the place of these, which make what they make together: the largest remainders are rounded up
/// (Hamilton's method), the first of equals.
fn whole_quotas(exact: Vec<f64>) -> Vec<usize> {
    let all = exact.iter().sum::<f64>().round() as usize;
    let mut whole: Vec<usize> = exact.iter().map(|quota| quota.floor() as usize).collect();
    let mut order: Vec<usize> = (0..exact.len()).collect();
    order.sort_by(|one, other| exact[*other].fract().total_cmp(&exact[*one].fract()));
    let left = all.saturating_sub(whole.iter().sum());
    order.into_iter().take(left).for_each(|at| whole[at] += 1);
    whole
}

#[cfg(test)]
mod tests {
    use super::whole_quotas;

    #[test]
    fn quotas_make_what_was_wanted() {
        assert_eq!(whole_quotas(vec![1.4; 10]).iter().sum::<usize>(), 14);
        assert_eq!(whole_quotas(vec![1.6; 10]).iter().sum::<usize>(), 16);
        assert_eq!(whole_quotas(vec![30.0 / 77.0; 77]).iter().sum::<usize>(), 30);
        assert_eq!(whole_quotas(vec![2.5, 0.2, 1.3]), [3, 0, 1]);
        assert_eq!(whole_quotas(vec![3.0, 2.0]), [3, 2]);
        assert_eq!(whole_quotas(Vec::new()), [0; 0]);
    }
}
