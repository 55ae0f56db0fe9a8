mod config;
mod postings;

pub use config::Bm25Config;

use crate::top::Top;
use crate::{Hit, Query, RetrievalError, Retriever, file};
use postings::Postings;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Finds texts that share words with the query, rare words first; needs no model.
///
/// Words are runs of letters and digits in lower case. The score of a text is the sum over the words `w` of the
/// query, each as often as it occurs there, of
///
/// ```text
/// ln(1 + (N - n(w) + 0.5) / (n(w) + 0.5)) * f / (f + k1 * (1 - b + b * length / average length))
/// ```
///
/// where `f` is how often `w` occurs in the text, `n(w)` in how many of the `N` texts it occurs, and lengths count
/// words: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with Lucene's
/// logarithm, which stays positive for words of more than half of the texts. Older presentations multiply by
/// `k1 + 1`, which changes no order. The statistics include an excluded row: only its hit is left out.
///
/// Texts that share no word with the query are not found, so a query may get fewer than `k` hits. Scripts
/// without spaces between words make words of whole phrases: use embeddings for them.
#[derive(Debug, Clone, PartialEq)]
pub struct Bm25 {
    config: Bm25Config,
    postings: Postings,
}

impl Bm25 {
    /// An index of the texts, in their order.
    ///
    /// # Errors
    /// If a setting is out of its range.
    pub fn new(texts: &[&str], config: Bm25Config) -> Result<Self, RetrievalError> {
        config.check()?;
        Ok(Bm25 { config, postings: Postings::new(texts) })
    }

    /// Writes one JSON file: the settings, the lengths, and where each word occurs. The texts are not in it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), RetrievalError> {
        let path = path.as_ref();
        let stored = Stored::Bm25 { config: self.config, postings: self.postings.clone() };
        let bytes = serde_json::to_vec(&stored).map_err(|error| {
            RetrievalError::file_source(path, format!("cannot be written: {error}"), error)
        })?;
        file::write(path, &bytes)
    }

    /// Reads what [`save`](Self::save) wrote; the answers are those of the saved index, bit for bit.
    ///
    /// # Errors
    /// If the file is absent, damaged, or holds something else.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, RetrievalError> {
        let path = path.as_ref();
        let stored = serde_json::from_slice(&file::read(path)?).map_err(|error| {
            RetrievalError::file_source(path, format!("is no BM25 index ({error}): build it again"), error)
        })?;
        let Stored::Bm25 { config, postings } = stored;
        config.check().map_err(|error| RetrievalError::file_source(path, error.to_string(), error))?;
        postings.check().map_err(|reason| RetrievalError::file(path, reason + ": build it again"))?;
        Ok(Bm25 { config, postings })
    }

    fn nearest(&self, query: &Query<'_>, k: usize) -> Vec<Hit> {
        let scores = self.scores(query.text);
        let mut best = Top::new(k);
        let hits = scores.into_iter().enumerate().map(|(row, score)| Hit { row, score: score as f32 });
        let hits = hits.filter(|hit| hit.score > 0.0 && Some(hit.row) != query.exclude);
        hits.for_each(|hit| best.push(hit));
        best.into_hits()
    }

    /// Of each text; 0 without a word in common.
    fn scores(&self, query: &str) -> Vec<f64> {
        let (k1, b) = (f64::from(self.config.k1), f64::from(self.config.b));
        let (n_texts, average) = (self.postings.len() as f64, self.postings.average_length());
        let mut scores = vec![0.0; self.postings.len()];
        for word in postings::words(query) {
            let occurrences = self.postings.of(&word);
            let n_with = occurrences.len() as f64;
            let idf = ((n_texts - n_with + 0.5) / (n_with + 0.5)).ln_1p();
            for &(row, count) in occurrences {
                let (count, length) = (count as f64, self.postings.length(row) / average);
                scores[row] += idf * count / (count + k1 * (1.0 - b + b * length));
            }
        }
        scores
    }
}

impl Retriever for Bm25 {
    fn id(&self) -> String {
        format!("bm25(k1={}, b={})", self.config.k1, self.config.b)
    }

    fn len(&self) -> usize {
        self.postings.len()
    }

    fn retrieve(&self, queries: &[Query<'_>], k: usize) -> Result<Vec<Vec<Hit>>, RetrievalError> {
        Ok(queries.par_iter().map(|query| self.nearest(query, k)).collect())
    }
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(tag = "format", deny_unknown_fields)]
enum Stored {
    #[serde(rename = "bm25 index 1")]
    Bm25 { config: Bm25Config, postings: Postings },
}
