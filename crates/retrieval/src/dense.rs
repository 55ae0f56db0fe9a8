use crate::{ExactIndex, Hit, Query, RetrievalError, Retriever, VectorIndex, VectorQuery};
#[cfg(feature = "hnsw")]
use crate::{HnswConfig, HnswIndex};
use semievol_model::{Embedder, Embeddings, ModelError, ModelId, TextRole};

/// Compares what an [`Embedder`] makes of texts: an embedder and an index are a retriever.
///
/// Texts to be found are embedded as [`TextRole::Document`], queries as [`TextRole::Query`].
#[derive(Debug, Clone)]
pub struct Dense<I, E> {
    id: String,
    index: I,
    embedder: E,
}

impl<I: VectorIndex, E: Embedder> Dense<I, E> {
    /// An index that was built from the embedder's vectors, by whatever means. `id` names the index's settings and
    /// the model: see [`Retriever::id`].
    ///
    /// # Errors
    /// If the embedder's vectors have another width than the index's.
    pub fn new(id: impl Into<String>, index: I, embedder: E) -> Result<Self, RetrievalError> {
        if embedder.dim() != index.dim() {
            let (found, expected) = (embedder.dim(), index.dim());
            return Err(RetrievalError::Dimension {
                what: "a vector of the embedder".into(),
                found,
                expected,
            });
        }
        Ok(Dense { id: id.into(), index, embedder })
    }

    /// The index.
    pub fn index(&self) -> &I {
        &self.index
    }
}

impl<E: Embedder> Dense<ExactIndex, E> {
    /// Embeds the texts and compares queries with all of them. `embedder_id` names the model and whatever else
    /// changes its vectors.
    ///
    /// # Errors
    /// If a text cannot be embedded.
    pub fn exact(texts: &[&str], embedder: E, embedder_id: &str) -> Result<Self, RetrievalError> {
        let documents = embed(&embedder, embedder_id, TextRole::Document, texts)?;
        let index = ExactIndex::new(documents.dim(), documents.as_slice())?;
        Self::new(format!("{} of {embedder_id}", index.settings()), index, embedder)
    }
}

#[cfg(feature = "hnsw")]
impl<E: Embedder> Dense<HnswIndex, E> {
    /// Embeds the texts and builds a graph of them. `embedder_id` names the model and whatever else changes its
    /// vectors.
    ///
    /// # Errors
    /// If a setting is out of its range, or a text cannot be embedded.
    pub fn hnsw(
        texts: &[&str],
        config: HnswConfig,
        embedder: E,
        embedder_id: &str,
    ) -> Result<Self, RetrievalError> {
        config.check()?;
        let documents = embed(&embedder, embedder_id, TextRole::Document, texts)?;
        let index = HnswIndex::new(documents.dim(), documents.as_slice(), config)?;
        Self::new(format!("{} of {embedder_id}", index.settings()), index, embedder)
    }
}

impl<I: VectorIndex, E: Embedder> Retriever for Dense<I, E> {
    fn id(&self) -> String {
        self.id.clone()
    }

    fn len(&self) -> usize {
        self.index.len()
    }

    fn retrieve(&self, queries: &[Query<'_>], k: usize) -> Result<Vec<Vec<Hit>>, RetrievalError> {
        let texts: Vec<&str> = queries.iter().map(|query| query.text).collect();
        let vectors = embed(&self.embedder, &self.id, TextRole::Query, &texts)?;
        let queries = queries.iter().enumerate();
        let queries =
            queries.map(|(row, query)| VectorQuery { vector: vectors.row(row), exclude: query.exclude });
        self.index.nearest_each(&queries.collect::<Vec<_>>(), k)
    }
}

/// One row a text, even from an embedder that breaks its promise: a row too few would move all after it.
fn embed(
    embedder: &impl Embedder,
    id: &str,
    role: TextRole,
    texts: &[&str],
) -> Result<Embeddings, ModelError> {
    let rows = embedder.embed(role, texts)?;
    if rows.len() != texts.len() {
        let reason = format!("embedded {} texts as {} vectors", texts.len(), rows.len());
        return Err(ModelError::Backend { model: ModelId::new(id), reason, source: None });
    }
    Ok(rows)
}
