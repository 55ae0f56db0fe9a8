use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where each word occurs, and how long each text is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Postings {
    /// Words of each text.
    lengths: Vec<usize>,
    /// For each word the rows that hold it, ascending, and how often; ordered, so that equal indexes are equal files.
    occurrences: BTreeMap<String, Vec<(usize, usize)>>,
}

impl Postings {
    pub(super) fn new(texts: &[&str]) -> Self {
        let mut postings = Postings { lengths: vec![0; texts.len()], occurrences: BTreeMap::new() };
        for (row, text) in texts.iter().enumerate() {
            for word in words(text) {
                postings.lengths[row] += 1;
                let rows = postings.occurrences.entry(word).or_default();
                match rows.last_mut() {
                    Some((last, count)) if *last == row => *count += 1,
                    _ => rows.push((row, 1)),
                }
            }
        }
        postings
    }

    /// Number of texts.
    pub(super) fn len(&self) -> usize {
        self.lengths.len()
    }

    /// The rows that hold a word, ascending, and how often.
    pub(super) fn of(&self, word: &str) -> &[(usize, usize)] {
        self.occurrences.get(word).map_or(&[], Vec::as_slice)
    }

    /// Number of words of a text.
    pub(super) fn length(&self, row: usize) -> f64 {
        self.lengths[row] as f64
    }

    /// NaN without texts.
    pub(super) fn average_length(&self) -> f64 {
        self.lengths.iter().map(|length| *length as f64).sum::<f64>() / self.len() as f64
    }

    /// Refuses what [`new`](Self::new) cannot have made.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut lengths = vec![0usize; self.len()];
        for (word, rows) in &self.occurrences {
            let ascending = rows.windows(2).all(|pair| pair[0].0 < pair[1].0);
            if rows.is_empty() || !ascending {
                return Err(format!("the rows of {word:?} are not ascending"));
            }
            for &(row, count) in rows {
                let length = lengths
                    .get_mut(row)
                    .ok_or_else(|| format!("{word:?} occurs in row {row}, which is none"))?;
                *length = length
                    .checked_add(count)
                    .filter(|_| count > 0)
                    .ok_or_else(|| format!("{word:?} occurs {count} times in row {row}"))?;
            }
        }
        match lengths.iter().zip(&self.lengths).position(|(counted, stored)| counted != stored) {
            Some(row) => Err(format!("row {row} has {} words, not {}", lengths[row], self.lengths[row])),
            None => Ok(()),
        }
    }
}

/// Runs of letters and digits, in lower case.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        let check =
            |text: &str, expected: &[&str]| assert_eq!(words(text).collect::<Vec<_>>(), expected, "{text:?}");
        check("", &[]);
        check(" -- !?\n", &[]);
        check("It's THE end,the END", &["it", "s", "the", "end", "the", "end"]);
        check("Größer als ΣΊΣΥΦΟΣ", &["größer", "als", "σίσυφος"]);
        check("3.5 stars\u{a0}of 5", &["3", "5", "stars", "of", "5"]);
        check("東京タワー と 大阪", &["東京タワー", "と", "大阪"]);
    }
}
