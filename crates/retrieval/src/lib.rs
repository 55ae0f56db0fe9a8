//! Finds labelled neighbours of a prompt (SemiEvol, arXiv 2410.14745, Eq. 2): [`VectorIndex`] and [`Retriever`].
//!
//! [`ExactIndex`] compares all vectors, `HnswIndex` (the feature `hnsw`, on by default) walks a graph of them; [`Dense`]
//! makes either a retriever of texts, with an embedder, whose work [`KnownEmbeddings`] keeps for the next run. [`Bm25`]
//! counts shared words and needs no model. [`RetrievalConfig`] names one of them in a configuration file.
//!
//! The decision that shaped it: the same question has one answer. Cosines are summed in a fixed order on every
//! machine, equal scores are ordered by row, graphs are built one vector after another in a fixed order, and an
//! approximate index gives exact scores and as many rows as an exact one. So the same embeddings show a model the
//! same neighbours, whether a run is resumed or asks in other batches. The cost: a graph of 10,000 vectors takes a
//! core minutes at worst, and again whenever it is loaded, since a stored one would have to be trusted. Hence
//! comparing all vectors, at that size a few milliseconds a query, is the default.
//!
//! ```
//! use semievol_retrieval::{Dense, Query, Retriever};
//! use semievol_testkit::HashingEmbedder;
//!
//! let labelled = ["a fine film", "stock prices rose", "a dull film"];
//! let retriever = Dense::exact(&labelled, HashingEmbedder::new(256), "hashing 256")?;
//!
//! let found = retriever.retrieve(&[Query { text: "What a fine film!", exclude: None }], 2)?;
//! assert_eq!([found[0][0].row, found[0][1].row], [0, 2]);
//!
//! // The neighbours of a labelled text: all but itself.
//! let found = retriever.retrieve(&[Query { text: labelled[0], exclude: Some(0) }], 1)?;
//! assert_eq!(found[0][0].row, 2);
//! # Ok::<(), semievol_retrieval::RetrievalError>(())
//! ```
//!
//! A retriever of one's own, held to what the trait promises:
//!
//! ```
//! use semievol_retrieval::{Hit, Query, RetrievalError, Retriever};
//! use std::collections::HashSet;
//!
//! /// Rows by the share of words that they have in common with the query.
//! struct SharedWords(Vec<String>);
//!
//! impl Retriever for SharedWords {
//!     fn id(&self) -> String { "shared words".into() }
//!     fn len(&self) -> usize { self.0.len() }
//!     fn retrieve(&self, queries: &[Query<'_>], k: usize) -> Result<Vec<Vec<Hit>>, RetrievalError> {
//!         let words = |text: &str| text.split_whitespace().map(str::to_lowercase).collect::<HashSet<_>>();
//!         let best = |query: &Query<'_>| {
//!             let asked = words(query.text);
//!             let hit = |(row, text): (usize, &String)| {
//!                 let found = words(text);
//!                 let (both, all) = (asked.intersection(&found).count(), asked.union(&found).count());
//!                 Hit { row, score: both as f32 / all.max(1) as f32 }
//!             };
//!             let mut hits: Vec<Hit> = self.0.iter().enumerate().map(hit).collect();
//!             hits.retain(|hit| Some(hit.row) != query.exclude);
//!             hits.sort_by(|one, other| other.score.total_cmp(&one.score).then(one.row.cmp(&other.row)));
//!             hits.truncate(k);
//!             hits
//!         };
//!         Ok(queries.iter().map(best).collect())
//!     }
//! }
//!
//! semievol_testkit::contracts::retriever(|texts| SharedWords(texts.iter().map(ToString::to_string).collect()));
//! ```

mod bm25;
mod config;
mod contract;
mod cosine;
mod dense;
mod error;
mod exact;
mod file;
#[cfg(feature = "hnsw")]
mod hnsw;
mod hnsw_config;
mod known;
mod top;
mod unit_rows;

pub use bm25::{Bm25, Bm25Config};
pub use config::RetrievalConfig;
pub use contract::{Hit, Query, Retriever, RetrieverFactory, VectorIndex, VectorQuery};
pub use dense::Dense;
pub use error::RetrievalError;
pub use exact::ExactIndex;
#[cfg(feature = "hnsw")]
pub use hnsw::HnswIndex;
pub use hnsw_config::HnswConfig;
pub use known::KnownEmbeddings;
pub use semievol_model::{Embedder, Embeddings, ModelError, TextRole};

// Its types stand in signatures.
pub use semievol_model;
