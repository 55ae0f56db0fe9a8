use crate::RetrievalError;
use semievol_model::Embedder;
use std::sync::Arc;

/// A row that was found.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Hit {
    /// Position among the rows that the index was built from.
    pub row: usize,
    /// How alike; larger is nearer. Cosine for vectors, BM25's sum for texts.
    pub score: f32,
}

/// A vector whose neighbours are looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VectorQuery<'a> {
    /// The vector; only its direction matters.
    pub vector: &'a [f32],
    /// A row that must not be found.
    pub exclude: Option<usize>,
}

/// Finds the vectors nearest to a query.
pub trait VectorIndex: Send + Sync {
    /// Width of a vector.
    fn dim(&self) -> usize;

    /// Number of vectors.
    fn len(&self) -> usize;

    /// Whether there is no vector.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `k` rows with the largest cosine similarity to `query`, but for `exclude`: scores descending, equal
    /// scores by row ascending, no row twice. Fewer than `k` rows give all of them; an approximate index may
    /// miss rows, but never returns fewer than it could. A vector of zeros has no direction: its cosine with
    /// everything, itself included, is 0.
    ///
    /// # Errors
    /// If `query` has another width, or a value that is not finite; whatever `k` is.
    fn nearest(&self, query: &[f32], k: usize, exclude: Option<usize>) -> Result<Vec<Hit>, RetrievalError>;

    /// For each query, in their order, what [`nearest`](Self::nearest) gives for it. An index that reads its rows
    /// once for many queries, or searches in parallel, overrides this.
    ///
    /// # Errors
    /// If `nearest` refuses one of them.
    fn nearest_each(&self, queries: &[VectorQuery<'_>], k: usize) -> Result<Vec<Vec<Hit>>, RetrievalError> {
        queries.iter().map(|query| self.nearest(query.vector, k, query.exclude)).collect()
    }
}

/// Looks for the neighbours of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    /// The text.
    pub text: &'a str,
    /// A row that must not be found: a labelled prompt is never its own neighbour.
    pub exclude: Option<usize>,
}

/// Finds the rows that texts resemble.
pub trait Retriever: Send + Sync {
    /// Names the retriever with every setting and model that changes what it finds.
    fn id(&self) -> String;

    /// Number of rows.
    fn len(&self) -> usize;

    /// Whether there is no row.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For each query, in their order, the `k` best rows: as [`VectorIndex::nearest`] orders them. A query
    /// without anything in common with any row may get fewer.
    ///
    /// # Errors
    /// If a text cannot be embedded.
    fn retrieve(&self, queries: &[Query<'_>], k: usize) -> Result<Vec<Vec<Hit>>, RetrievalError>;
}

/// Makes a [`Retriever`] over texts: what labelled rows are differs by round and by fold, so a run makes one for each.
/// [`RetrievalConfig`](crate::RetrievalConfig) makes this crate's own; implement it to look neighbours up elsewhere.
pub trait RetrieverFactory: Send + Sync {
    /// Names what it makes, with every setting that changes what is found.
    fn id(&self) -> String;

    /// Whether [`build`](Self::build) must be given an embedder.
    fn needs_embedder(&self) -> bool {
        false
    }

    /// A retriever over the texts. The embedder comes with an id that names the model and whatever else changes its vectors;
    /// it is there where [`needs_embedder`](Self::needs_embedder) says so, and may be else.
    ///
    /// # Errors
    /// If a setting is out of its range, an embedder is needed and absent, or a text cannot be embedded or stored.
    fn build(
        &self,
        texts: &[&str],
        embedder: Option<(Arc<dyn Embedder>, &str)>,
    ) -> Result<Box<dyn Retriever>, RetrievalError>;
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: RetrieverFactory + ?Sized> RetrieverFactory for $pointer {
            fn id(&self) -> String {
                (**self).id()
            }
            fn needs_embedder(&self) -> bool {
                (**self).needs_embedder()
            }
            fn build(
                &self,
                texts: &[&str],
                embedder: Option<(Arc<dyn Embedder>, &str)>,
            ) -> Result<Box<dyn Retriever>, RetrievalError> {
                (**self).build(texts, embedder)
            }
        }

        impl<T: VectorIndex + ?Sized> VectorIndex for $pointer {
            fn dim(&self) -> usize {
                (**self).dim()
            }
            fn len(&self) -> usize {
                (**self).len()
            }
            fn nearest(&self, query: &[f32], k: usize, exclude: Option<usize>) -> Result<Vec<Hit>, RetrievalError> {
                (**self).nearest(query, k, exclude)
            }
            fn nearest_each(&self, queries: &[VectorQuery<'_>], k: usize) -> Result<Vec<Vec<Hit>>, RetrievalError> {
                (**self).nearest_each(queries, k)
            }
        }

        impl<T: Retriever + ?Sized> Retriever for $pointer {
            fn id(&self) -> String {
                (**self).id()
            }
            fn len(&self) -> usize {
                (**self).len()
            }
            fn retrieve(&self, queries: &[Query<'_>], k: usize) -> Result<Vec<Vec<Hit>>, RetrievalError> {
                (**self).retrieve(queries, k)
            }
        }
    )*};
}

forward!(&T, Box<T>, Arc<T>);
