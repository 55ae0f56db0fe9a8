//! Figures side by side as a Markdown table, which is aligned to be read as it is.

use super::figures::Samples;

/// What our figure over the other's should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// At least so many times.
    AtLeast(f64),
    /// Less than this part.
    Below(f64),
    /// At least this share.
    Share(f64),
}

impl Target {
    fn met(self, ratio: f64) -> bool {
        match self {
            Target::AtLeast(least) | Target::Share(least) => ratio >= least,
            Target::Below(most) => ratio < most,
        }
    }

    fn show(self, ratio: f64) -> String {
        match self {
            Target::AtLeast(_) | Target::Below(_) => format!("{ratio:.2}x"),
            Target::Share(_) => format!("{:.0}%", 100.0 * ratio),
        }
    }

    fn text(self) -> String {
        match self {
            Target::AtLeast(least) => format!("{least}x"),
            Target::Below(most) => format!("< {most:.2}x"),
            Target::Share(least) => format!("{:.0}%", 100.0 * least),
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub what: String,
    pub unit: &'static str,
    pub ours: Samples,
    /// The other's figure, or why there is none.
    pub other: Result<Samples, String>,
    pub target: Target,
}

impl Row {
    /// Of the medians; none where the other was not measured.
    pub fn ratio(&self) -> Option<f64> {
        let other = self.other.as_ref().ok()?.median();
        (other > 0.0).then(|| self.ours.median() / other)
    }

    fn cells(&self) -> [String; 6] {
        let other = match &self.other {
            Ok(samples) => figure(samples, self.unit),
            Err(reason) => reason.clone(),
        };
        let (ratio, met) = match self.ratio() {
            Some(ratio) => (self.target.show(ratio), if self.target.met(ratio) { "yes" } else { "no" }),
            None => ("-".to_owned(), "-"),
        };
        let ours = figure(&self.ours, self.unit);
        [self.what.clone(), ours, other, ratio, self.target.text(), met.to_owned()]
    }
}

/// The median, and the least and the most where runs differ.
fn figure(samples: &Samples, unit: &str) -> String {
    let (least, most) = (samples.least(), samples.most());
    let digits = if samples.median() >= 100.0 { 0 } else { 2 };
    let number = |value: f64| format!("{value:.digits$}");
    if number(least) == number(most) {
        return format!("{} {unit}", number(most));
    }
    format!("{} ({}..{}) {unit}", number(samples.median()), number(least), number(most))
}

/// All rows under a heading.
pub fn render(rows: &[Row]) -> String {
    let heading = ["what, and the other", "ours", "other", "ratio", "target", "met"].map(str::to_owned);
    let mut cells = vec![heading];
    cells.extend(rows.iter().map(Row::cells));
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3);
    let widths: [usize; 6] = std::array::from_fn(width);
    let rule = widths.map(|width| "-".repeat(width));
    cells.insert(1, rule);
    let line = |row: &[String; 6]| {
        let padded: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("| {} |\n", padded.join(" | "))
    };
    cells.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ours: &[f64], other: Result<&[f64], &str>, target: Target) -> Row {
        let samples = |values: &[f64]| Samples::new(values.iter().copied()).unwrap();
        let other = other.map(samples).map_err(str::to_owned);
        Row { what: "step".into(), unit: "samples/s", ours: samples(ours), other, target }
    }

    #[test]
    fn ratios_are_those_of_medians_and_held_against_the_target() {
        let rows = [
            row(&[6.0, 7.0, 80.0], Ok(&[2.0]), Target::AtLeast(3.5)),
            row(&[400.0], Ok(&[1000.0]), Target::Below(1.0 / 3.0)),
            row(&[61.4], Ok(&[100.0]), Target::Share(0.6)),
        ];
        assert_eq!(
            render(&rows),
            "| what, and the other | ours                         | other          | ratio | target  | met |\n\
             | ------------------- | ---------------------------- | -------------- | ----- | ------- | --- |\n\
             | step                | 7.00 (6.00..80.00) samples/s | 2.00 samples/s | 3.50x | 3.5x    | yes |\n\
             | step                | 400 samples/s                | 1000 samples/s | 0.40x | < 0.33x | no  |\n\
             | step                | 61.40 samples/s              | 100 samples/s  | 61%   | 60%     | yes |\n"
        );
    }

    #[test]
    fn without_a_peer_there_is_no_ratio() {
        let row = row(&[6.0], Err("not installed"), Target::AtLeast(3.5));
        assert_eq!(row.ratio(), None);
        let text = render(&[row]);
        assert!(text.ends_with("| 6.00 samples/s | not installed | -     | 3.5x   | -   |\n"), "{text}");
    }
}
