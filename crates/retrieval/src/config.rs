use crate::{Bm25, Bm25Config, Dense, HnswConfig, RetrievalError, Retriever, RetrieverFactory};
use semievol_model::Embedder;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which retriever, as a configuration file says it; `kind = "exact"` unless another is asked for.
///
/// ```
/// # #[derive(serde::Deserialize)] struct File { retrieval: semievol_retrieval::RetrievalConfig }
/// use semievol_retrieval::{Bm25Config, RetrievalConfig};
///
/// let file: File = toml::from_str("[retrieval]\nkind = \"bm25\"\nb = 0.5")?;
/// assert_eq!(file.retrieval, RetrievalConfig::Bm25(Bm25Config { b: 0.5, ..Bm25Config::default() }));
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum RetrievalConfig {
    /// [`Dense`] on an [`ExactIndex`](crate::ExactIndex).
    Exact {},
    /// [`Dense`] on an `HnswIndex`; refused without the feature `hnsw`.
    Hnsw(HnswConfig),
    /// [`Bm25`].
    Bm25(Bm25Config),
}

impl Default for RetrievalConfig {
    fn default() -> Self {
        RetrievalConfig::Exact {}
    }
}

impl RetrievalConfig {
    /// Whether [`build`](Self::build) must be given an embedder: ask before loading a model.
    pub fn needs_embedder(&self) -> bool {
        !matches!(self, RetrievalConfig::Bm25(_))
    }

    /// Refuses settings out of their ranges; costs nothing, so a run asks before its first stage.
    ///
    /// # Errors
    /// Names the setting, its value and the range.
    pub fn check(&self) -> Result<(), RetrievalError> {
        match self {
            RetrievalConfig::Exact {} => Ok(()),
            RetrievalConfig::Hnsw(_) if !cfg!(feature = "hnsw") => Err(without_hnsw()),
            RetrievalConfig::Hnsw(config) => config.check(),
            RetrievalConfig::Bm25(config) => config.check(),
        }
    }

    /// A retriever over the texts. The embedder comes with an id that names the model and whatever else changes
    /// its vectors; BM25 ignores it.
    ///
    /// # Errors
    /// If a setting is out of its range, an embedder is needed and absent, or a text cannot be embedded.
    pub fn build(
        &self,
        texts: &[&str],
        embedder: Option<(Arc<dyn Embedder>, &str)>,
    ) -> Result<Box<dyn Retriever>, RetrievalError> {
        self.check()?;
        let needed = |kind| embedder.ok_or(RetrievalError::EmbedderNeeded { kind });
        match *self {
            RetrievalConfig::Exact {} => {
                let (embedder, id) = needed("exact")?;
                Ok(Box::new(Dense::exact(texts, embedder, id)?))
            }
            #[cfg(not(feature = "hnsw"))]
            RetrievalConfig::Hnsw(_) => Err(without_hnsw()),
            #[cfg(feature = "hnsw")]
            RetrievalConfig::Hnsw(config) => {
                let (embedder, id) = needed("hnsw")?;
                Ok(Box::new(Dense::hnsw(texts, config, embedder, id)?))
            }
            RetrievalConfig::Bm25(config) => Ok(Box::new(Bm25::new(texts, config)?)),
        }
    }
}

impl RetrieverFactory for RetrievalConfig {
    fn id(&self) -> String {
        format!("{self:?}")
    }

    fn needs_embedder(&self) -> bool {
        RetrievalConfig::needs_embedder(self)
    }

    fn build(
        &self,
        texts: &[&str],
        embedder: Option<(Arc<dyn Embedder>, &str)>,
    ) -> Result<Box<dyn Retriever>, RetrievalError> {
        RetrievalConfig::build(self, texts, embedder)
    }
}

fn without_hnsw() -> RetrievalError {
    RetrievalError::Setting {
        setting: "kind",
        value: "\"hnsw\"".to_owned(),
        expected: "\"exact\" or \"bm25\", for semievol-retrieval was built without its feature `hnsw`",
    }
}

#[cfg(all(test, not(feature = "hnsw")))]
mod tests {
    use super::*;

    #[test]
    fn a_graph_is_refused_where_it_was_not_built_in() {
        let config = RetrievalConfig::Hnsw(HnswConfig::default());
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains("built without its feature `hnsw`"), "{error}");
        assert!(config.build(&["one"], None).is_err());
    }
}
