use crate::text::folded;
use semievol_core::Sample;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// A row in one of the sets that were compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Occurrence {
    /// The set's name.
    pub set: String,
    /// The sample's id.
    pub id: String,
}

/// Two rows with the same question and options.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Overlap {
    /// The row that came first.
    pub first: Occurrence,
    /// The row that repeats it.
    pub second: Occurrence,
}

/// Rows that stand in two sets or twice in one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OverlapReport {
    /// A pair for each row that repeats an earlier one, in the order of the second row: with the first row of
    /// its own set if that set has one already, and with the first row of every other set that has one.
    pub pairs: Vec<Overlap>,
}

/// Finds rows whose question and options are the same but for case, white space and the punctuation around words.
///
/// Linear in the number of rows. A row of one set that stands twice in another is one pair per repetition.
///
/// ```
/// use semievol_core::Sample;
///
/// let train = [Sample::new("a", "How  far is it?")];
/// let test = [Sample::new("b", "how far is it"), Sample::new("c", "How long?")];
/// let report = semievol_data::overlap(&[("train", &train), ("test", &test)]);
/// assert_eq!(report.count("train", "test"), 1);
/// assert_eq!(report.pairs[0].second.id, "b");
/// ```
pub fn overlap(sets: &[(&str, &[Sample])]) -> OverlapReport {
    let mut pairs = Vec::new();
    let mut seen: HashMap<String, Vec<Occurrence>> = HashMap::new();
    for (set, samples) in sets {
        for sample in *samples {
            let here = Occurrence { set: (*set).to_owned(), id: sample.id.clone() };
            let firsts = seen.entry(question_key(sample)).or_default();
            let repeats = |first: &Occurrence| Overlap { first: first.clone(), second: here.clone() };
            pairs.extend(firsts.iter().map(repeats));
            if !firsts.iter().any(|first| first.set == here.set) {
                firsts.push(here);
            }
        }
    }
    OverlapReport { pairs }
}

/// What two rows have in common that ask the same (see [`folded`]): their question and options but for case, white space and the punctuation
/// around words. Options count: two questions worded alike with other options are two questions.
pub fn question_key(sample: &Sample) -> String {
    let parts = std::iter::once(&sample.question).chain(sample.options.iter());
    parts.map(|part| folded(part)).collect::<Vec<_>>().join("\u{1f}")
}

impl OverlapReport {
    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Rows that stand in both sets, or twice in one if the names are the same; the order does not matter.
    pub fn count(&self, one: &str, other: &str) -> usize {
        let between = |pair: &&Overlap| {
            let sets = (pair.first.set.as_str(), pair.second.set.as_str());
            sets == (one, other) || sets == (other, one)
        };
        self.pairs.iter().filter(between).count()
    }
}

/// One line per pair of sets, with the ids of the first few rows.
impl fmt::Display for OverlapReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        if self.is_empty() {
            return write!(f, "no row stands twice");
        }
        let mut between: BTreeMap<(&str, &str), Vec<&Overlap>> = BTreeMap::new();
        for pair in &self.pairs {
            between.entry((&pair.first.set, &pair.second.set)).or_default().push(pair);
        }
        for (line, ((first, second), pairs)) in between.iter().enumerate() {
            let rows = if pairs.len() == 1 { "row" } else { "rows" };
            let place = if first == second {
                format!("twice in {first}")
            } else {
                format!("in {first} and {second}")
            };
            let shown =
                pairs.iter().take(SHOWN).map(|pair| format!("{} = {}", pair.first.id, pair.second.id));
            let more = if pairs.len() > SHOWN { ", …" } else { "" };
            let start = if line == 0 { "" } else { "\n" };
            write!(
                f,
                "{start}{} {rows} {place}: {}{more}",
                pairs.len(),
                shown.collect::<Vec<_>>().join(", ")
            )?;
        }
        Ok(())
    }
}
