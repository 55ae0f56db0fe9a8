use crate::error::DataError;
use serde::{Deserialize, Serialize};

/// A range of a number and the option it stands for: `{ label = "negative", below = -0.5 }`.
///
/// At most one lower and one upper end; an end that is not given is open. A number in no bin leaves its row
/// out, which is how an unclear middle is dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bin {
    /// The answer of rows in this bin, one of the options.
    pub label: String,
    /// At least this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// More than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    /// At most this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Less than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
}

impl Bin {
    /// Whether the number lies in the bin.
    pub fn holds(&self, value: f64) -> bool {
        self.min.is_none_or(|min| value >= min)
            && self.above.is_none_or(|above| value > above)
            && self.max.is_none_or(|max| value <= max)
            && self.below.is_none_or(|below| value < below)
    }

    fn ends(&self) -> impl Iterator<Item = f64> {
        [self.min, self.above, self.max, self.below].into_iter().flatten()
    }
}

/// Refuses bins that overlap, are empty or have doubled or non-finite ends.
pub(super) fn check(bins: &[Bin]) -> Result<(), DataError> {
    let refuse = |reason| Err(DataError::Config { reason });
    if bins.is_empty() {
        return refuse("data.columns.answer.bins is empty; leave it out or give a bin".to_owned());
    }
    for bin in bins {
        let label = &bin.label;
        if bin.ends().any(|end| !end.is_finite()) {
            return refuse(format!("bin `{label}` has an end that is not finite; leave an open end out"));
        }
        if bin.min.is_some() && bin.above.is_some() || bin.max.is_some() && bin.below.is_some() {
            return refuse(format!("bin `{label}` has two lower or two upper ends; keep one of each"));
        }
    }
    // Whether two bins share a number is decided at their ends and between them.
    let mut ends: Vec<f64> = bins.iter().flat_map(Bin::ends).collect();
    ends.sort_by(f64::total_cmp);
    let inner = ends.windows(2).map(|pair| pair[0] + (pair[1] - pair[0]) / 2.0);
    let outer = ends.first().map(|end| end - 1.0).into_iter().chain(ends.last().map(|end| end + 1.0));
    let probes: Vec<f64> = ends.iter().copied().chain(inner).chain(outer).chain([0.0]).collect();
    for (index, bin) in bins.iter().enumerate() {
        if !probes.iter().any(|probe| bin.holds(*probe)) {
            return refuse(format!("bin `{}` holds no number; swap its ends", bin.label));
        }
        for other in &bins[..index] {
            if let Some(probe) = probes.iter().find(|probe| bin.holds(**probe) && other.holds(**probe)) {
                return refuse(format!("bins `{}` and `{}` both hold {probe}", other.label, bin.label));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_bins(text: &str, expected: Result<(), &str>) {
        #[derive(Deserialize)]
        struct Holder {
            bins: Vec<Bin>,
        }
        let holder: Holder = toml::from_str(text).unwrap();
        match (check(&holder.bins), expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (got, _) => panic!("{text}: {got:?}"),
        }
    }

    #[test]
    fn bins_are_checked() {
        check_bins(r#"bins = [{ label = "n", below = -0.5 }, { label = "p", above = 0.5 }]"#, Ok(()));
        check_bins(
            r#"bins = [{ label = "n", below = -0.5 }, { label = "u", min = -0.5, max = 0.5 }, { label = "p", above = 0.5 }]"#,
            Ok(()),
        );
        check_bins(
            r#"bins = [{ label = "n", max = 0.5 }, { label = "p", min = 0.5 }]"#,
            Err("both hold 0.5"),
        );
        check_bins(
            r#"bins = [{ label = "n", below = 1 }, { label = "p", above = 0 }]"#,
            Err("both hold 0.5"),
        );
        check_bins(r#"bins = [{ label = "n" }, { label = "p", above = 0 }]"#, Err("both hold 1"));
        check_bins(r#"bins = [{ label = "n", min = 2, max = 1 }]"#, Err("holds no number"));
        check_bins(r#"bins = [{ label = "n", min = 2, above = 1 }]"#, Err("two lower"));
        check_bins(r#"bins = [{ label = "n", min = nan }]"#, Err("not finite"));
        check_bins("bins = []", Err("is empty"));
    }
}
