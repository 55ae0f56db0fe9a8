use crate::RetrievalError;
use crate::file::{self, Matrix};
use semievol_model::{Embedder, Embeddings, ModelError, ModelId, TextRole};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const VECTORS: &str = "vectors";
const TEXTS: &str = "texts";

/// SHA-256 of a role and a text.
type Key = [u8; 32];

/// Remembers the vectors of texts, and may ask another embedder for those that it does not know: a run embeds
/// each text once, and a resumed run none.
///
/// Texts are kept as hashes. A text is known per role: as a query it may have another vector than as a document.
pub struct KnownEmbeddings {
    embedder_id: String,
    dim: usize,
    known: Mutex<BTreeMap<Key, Vec<f32>>>,
    inner: Option<Arc<dyn Embedder>>,
}

impl KnownEmbeddings {
    /// Knows nothing yet. `embedder_id` names the model whose vectors these are, and whatever else changes them.
    ///
    /// # Errors
    /// If `dim` is 0.
    pub fn new(embedder_id: impl Into<String>, dim: usize) -> Result<Self, RetrievalError> {
        if dim == 0 {
            return Err(RetrievalError::Setting {
                setting: "dim",
                value: "0".into(),
                expected: "at least 1",
            });
        }
        Ok(KnownEmbeddings { embedder_id: embedder_id.into(), dim, known: Mutex::default(), inner: None })
    }

    /// Asks `inner` for what is not known, and remembers it.
    ///
    /// # Errors
    /// If its vectors have another width.
    pub fn asking(mut self, inner: Arc<dyn Embedder>) -> Result<Self, RetrievalError> {
        self.check_width(|| "a vector of the embedder".into(), inner.dim())?;
        self.inner = Some(inner);
        Ok(self)
    }

    /// Remembers one vector a text, in place of older ones.
    ///
    /// # Errors
    /// If the vectors have another width, or are not as many as the texts.
    pub fn remember(
        &self,
        role: TextRole,
        texts: &[&str],
        vectors: &Embeddings,
    ) -> Result<(), RetrievalError> {
        self.check_width(|| "a vector to remember".into(), vectors.dim())?;
        if vectors.len() != texts.len() {
            return Err(self
                .failed(format!("{} texts came with {} vectors", texts.len(), vectors.len()))
                .into());
        }
        let rows = texts.iter().enumerate().map(|(row, text)| (key(role, text), vectors.row(row).to_vec()));
        self.known().extend(rows);
        Ok(())
    }

    /// Whether a text's vector is known.
    pub fn knows(&self, role: TextRole, text: &str) -> bool {
        self.known().contains_key(&key(role, text))
    }

    /// Remembers all that `other` does.
    ///
    /// # Errors
    /// If its vectors have another width.
    pub fn remember_all(&self, other: KnownEmbeddings) -> Result<(), RetrievalError> {
        self.check_width(|| "a vector to remember".into(), other.dim)?;
        self.known().extend(other.known.into_inner().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }

    /// Forgets these texts.
    pub fn forget(&self, role: TextRole, texts: &[&str]) {
        let mut known = self.known();
        texts.iter().for_each(|text| drop(known.remove(&key(role, text))));
    }

    /// How many vectors are known.
    pub fn len(&self) -> usize {
        self.known().len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.known().is_empty()
    }

    /// Writes one safetensors file: `vectors`, `[n, dim]` f32, and `texts`, `[n, 32]` u8, the SHA-256 of each role
    /// (one byte: 0 for documents, 1 for queries) and text; the same bytes for the same vectors.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), RetrievalError> {
        let known = self.known();
        let values: Vec<f32> = known.values().flatten().copied().collect();
        let keys = known.keys().flatten().copied().collect();
        let about = About::KnownEmbeddings { embedder: self.embedder_id.clone() };
        let matrices = [Matrix::f32(VECTORS, self.dim, &values), Matrix::u8(TEXTS, 32, keys)];
        file::save_matrices(path.as_ref(), &matrices, &about)
    }

    /// Reads what [`save`](Self::save) wrote for the same `embedder_id`; nobody is asked for unknown texts until
    /// [`asking`](Self::asking).
    ///
    /// # Errors
    /// If the file is absent, damaged, or holds something else, such as another embedder's vectors.
    pub fn load(path: impl AsRef<Path>, embedder_id: &str) -> Result<Self, RetrievalError> {
        let path = path.as_ref();
        let (matrices, About::KnownEmbeddings { embedder }) = file::load_matrices(path)?;
        if embedder != embedder_id {
            let reason = format!("holds vectors of {embedder}, not of {embedder_id}: use another file");
            return Err(RetrievalError::file(path, reason));
        }
        let (dim, values) = matrices.f32(VECTORS)?;
        let (width, keys) = matrices.u8(TEXTS)?;
        let (keys, rest) = keys.as_chunks::<32>();
        let (n_texts, n_vectors) = (keys.len(), values.len() / dim);
        if width != 32 || !rest.is_empty() || n_texts != n_vectors {
            let reason = format!("holds {n_vectors} vectors, but hashes of {n_texts} texts: build it again");
            return Err(RetrievalError::file(path, reason));
        }
        let known = keys.iter().copied().zip(values.chunks_exact(dim).map(<[f32]>::to_vec)).collect();
        Ok(KnownEmbeddings { embedder_id: embedder, dim, known: Mutex::new(known), inner: None })
    }

    /// Asks the inner embedder for the texts that are not known, each once.
    fn learn(&self, role: TextRole, texts: &[&str]) -> Result<(), ModelError> {
        let unknown: BTreeMap<Key, usize> = {
            let known = self.known();
            let keys = texts.iter().enumerate().rev().map(|(index, text)| (key(role, text), index));
            keys.filter(|(key, _)| !known.contains_key(key)).collect()
        };
        // In the order in which they came, whatever their hashes.
        let mut unknown: Vec<usize> = unknown.into_values().collect();
        unknown.sort_unstable();
        let Some(&index) = unknown.first() else { return Ok(()) };
        let Some(inner) = &self.inner else {
            let (many, id) = (unknown.len(), &self.embedder_id);
            let reason =
                format!("{many} texts, this one first, were not embedded before, and {id} is not at hand");
            return Err(ModelError::InvalidRequest { index, reason });
        };
        let unknown: Vec<&str> = unknown.into_iter().map(|index| texts[index]).collect();
        let vectors = inner.embed(role, &unknown)?;
        self.remember(role, &unknown, &vectors).map_err(|error| match error {
            RetrievalError::Model(error) => error,
            other => self.failed(other.to_string()),
        })
    }

    fn check_width(&self, what: impl Fn() -> String, found: usize) -> Result<(), RetrievalError> {
        if found == self.dim {
            return Ok(());
        }
        Err(RetrievalError::Dimension { what: what(), found, expected: self.dim })
    }

    fn failed(&self, reason: String) -> ModelError {
        ModelError::Backend { model: ModelId::new(self.embedder_id.clone()), reason, source: None }
    }

    /// A panic elsewhere leaves whole vectors behind.
    fn known(&self) -> MutexGuard<'_, BTreeMap<Key, Vec<f32>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Embedder for KnownEmbeddings {
    fn dim(&self) -> usize {
        self.dim
    }

    fn embed(&self, role: TextRole, texts: &[&str]) -> Result<Embeddings, ModelError> {
        self.learn(role, texts)?;
        let known = self.known();
        let vectors = texts.iter().filter_map(|text| known.get(&key(role, text)));
        let values = vectors.flatten().copied().collect();
        Embeddings::new(self.dim, values)
            .ok_or_else(|| self.failed("remembers a vector that is not finite".into()))
    }
}

impl fmt::Debug for KnownEmbeddings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let KnownEmbeddings { embedder_id, dim, .. } = self;
        write!(f, "KnownEmbeddings of {embedder_id}: {} vectors of width {dim}", self.len())
    }
}

fn key(role: TextRole, text: &str) -> Key {
    let role = match role {
        TextRole::Document => 0,
        TextRole::Query => 1,
    };
    Sha256::new().chain_update([role]).chain_update(text).finalize().into()
}

/// What the file says it is.
#[derive(Serialize, Deserialize)]
#[serde(tag = "format", deny_unknown_fields)]
enum About {
    #[serde(rename = "known embeddings 1")]
    KnownEmbeddings { embedder: String },
}
