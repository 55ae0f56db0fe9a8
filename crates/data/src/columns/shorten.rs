use crate::error::DataError;
use serde::{Deserialize, Serialize};

/// Cuts questions that are too long for the model, or for the time there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shorten {
    /// Words that are kept: what stands between white space.
    pub words: usize,
    /// Which of them; the first by default.
    #[serde(default)]
    pub keep: Keep,
}

/// Which part of a long text is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Its first words.
    #[default]
    Start,
    /// Its last words: where the question stands behind the text that it is about.
    End,
}

impl Shorten {
    pub(super) fn check(&self) -> Result<(), DataError> {
        if self.words > 0 {
            return Ok(());
        }
        let reason = "data.columns.shorten.words is 0, which leaves nothing: take at least 1".into();
        Err(DataError::Config { reason })
    }

    /// The part that is kept, as it stands in the text.
    pub(super) fn cut<'t>(&self, text: &'t str) -> &'t str {
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.len() <= self.words {
            return text;
        }
        // Words are slices of the text.
        let at = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
        match self.keep {
            Keep::Start => {
                let last = words[self.words - 1];
                &text[..at(last) + last.len()]
            }
            Keep::End => &text[at(words[words.len() - self.words])..],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_are_kept_with_what_stands_between_them() {
        let cut = |words, keep, text| Shorten { words, keep }.cut(text);
        assert_eq!(cut(2, Keep::Start, " one\n two three"), " one\n two");
        assert_eq!(cut(2, Keep::End, "one\n two \u{a0}drei ü "), "drei ü ");
        assert_eq!(cut(3, Keep::End, " one two three "), " one two three ");
        assert_eq!(cut(1, Keep::Start, ""), "");
    }
}
