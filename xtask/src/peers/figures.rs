//! The lines a job prints, and what several runs of it gave.

use std::collections::BTreeMap;

/// What one run of a job printed, by name.
pub type Figures = BTreeMap<String, f64>;

/// Reads every `METRIC:name:value:unit` of an output; other lines, and values that are no finite number, are skipped.
pub fn parse(output: &str) -> Figures {
    output.lines().filter_map(figure).collect()
}

fn figure(line: &str) -> Option<(String, f64)> {
    let mut parts = line.strip_prefix("METRIC:")?.splitn(3, ':');
    let (name, value, _unit) = (parts.next()?, parts.next()?, parts.next()?);
    let value: f64 = value.trim().parse().ok()?;
    value.is_finite().then(|| (name.to_owned(), value))
}

/// Prints a line that [`parse`] reads.
pub fn print(name: &str, value: f64, unit: &str) {
    println!("METRIC:{name}:{value}:{unit}");
}

/// One figure of several runs, ascending; at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// None without a value.
    pub fn new(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then_some(Samples(values))
    }

    pub fn least(&self) -> f64 {
        self.0[0]
    }

    pub fn most(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    /// The mean of the two in the middle where there are two.
    pub fn median(&self) -> f64 {
        let half = self.0.len() / 2;
        if self.0.len() % 2 == 1 { self.0[half] } else { 0.5 * (self.0[half - 1] + self.0[half]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_lines_are_read_among_others() {
        let output = "loading\nMETRIC:samples_per_s:2.5:samples/s\nMETRIC:note:1e3:a: b\nMETRIC:bad:nan:x\nMETRIC:cut:1\n METRIC:no:1:x";
        let expected = [("note".to_owned(), 1000.0), ("samples_per_s".to_owned(), 2.5)];
        assert_eq!(parse(output).into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn medians_of_odd_and_even_numbers_of_runs() {
        assert_eq!(Samples::new([]), None);
        let median = |values: &[f64]| Samples::new(values.iter().copied()).map(|samples| samples.median());
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        let samples = Samples::new([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((samples.least(), samples.most()), (1.0, 3.0));
    }
}
