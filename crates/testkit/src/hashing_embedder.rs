use crate::hash;
use semievol_model::{Embedder, Embeddings, ModelError, ModelId, TextRole};

/// Counts hashed words: texts that share words are alike, nothing else is.
///
/// Words are runs of letters and digits, in lower case. Each adds 1 or -1 to one component (the sign keeps
/// collisions from adding up); a text whose components are all 0 becomes the first unit vector. Both roles
/// are embedded alike.
#[derive(Debug, Clone)]
pub struct HashingEmbedder {
    dim: usize,
}

impl HashingEmbedder {
    /// Vectors of width `dim`, at least 1.
    pub fn new(dim: usize) -> Self {
        HashingEmbedder { dim: dim.max(1) }
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0; self.dim];
        let text = text.to_lowercase();
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            let hash = hash(&[word]);
            let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
            vector[(hash % self.dim as u64) as usize] += sign;
        }
        let norm = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
        if norm == 0.0 {
            vector[0] = 1.0;
        } else {
            vector.iter_mut().for_each(|v| *v /= norm);
        }
        vector
    }
}

impl Embedder for HashingEmbedder {
    fn dim(&self) -> usize {
        self.dim
    }

    fn embed(&self, _role: TextRole, texts: &[&str]) -> Result<Embeddings, ModelError> {
        let values = texts.iter().flat_map(|text| self.vector(text)).collect();
        Embeddings::new(self.dim, values).ok_or_else(|| ModelError::Backend {
            model: ModelId::new("hashing embedder"),
            reason: "a vector is not finite".into(),
            source: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_words_make_texts_alike() {
        let texts = ["a fine film", "A FINE film!", "a fine plot", "stock prices rose"];
        let vectors = HashingEmbedder::new(512).embed(TextRole::Query, &texts).unwrap();
        let alike = |i: usize| vectors.row(0).iter().zip(vectors.row(i)).map(|(a, b)| a * b).sum::<f32>();
        assert!(
            alike(1) > 0.999 && alike(2) > 0.5 && alike(3) < 0.3,
            "{} {} {}",
            alike(1),
            alike(2),
            alike(3)
        );
    }
}
