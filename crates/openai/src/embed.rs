//! Embeddings by the same protocol.

use crate::client::Client;
use crate::config::ServerConfig;
use crate::dialect::discover;
use crate::error::ServerError;
use crate::wire::{self, Embedded};
use futures_util::future::BoxFuture;
use semievol_model::{Embedder, Embeddings, ModelError, ModelId, TextRole};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Texts of one request.
const BATCH: usize = 32;

/// An [`Embedder`] behind a server that speaks the OpenAI protocol. Rows are brought to unit norm; an empty text, which
/// servers refuse, is sent as a space. Queries and documents are sent alike.
#[derive(Clone)]
pub struct ServedEmbedder {
    client: Arc<Client>,
    model: String,
    id: ModelId,
    dim: usize,
}

impl std::fmt::Debug for ServedEmbedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServedEmbedder").field("id", &self.id).field("dim", &self.dim).finish_non_exhaustive()
    }
}

impl ServedEmbedder {
    /// Finds out which model the server has, and how wide its vectors are.
    ///
    /// # Errors
    /// As [`ServedModel::connect`](crate::ServedModel::connect), and if the server makes no embeddings.
    pub fn connect(config: &ServerConfig) -> Result<Self, ServerError> {
        let client = Arc::new(Client::new(config)?);
        let (asking, config) = (client.clone(), config.clone());
        let (found, dim) = client.wait(async move {
            let found = discover(&asking, &config).await?;
            let rows = rows(&asking, &found.model, vec!["width".into()]).await?;
            Ok::<_, ServerError>((found, rows.into_iter().next().unwrap_or_default().len()))
        })?;
        if dim == 0 {
            let reason = "the server's vectors are empty".to_owned();
            return Err(ServerError::Settings { server: client.server(), reason });
        }
        let id = ModelId::new(found.name());
        Ok(ServedEmbedder { client, model: found.model, id, dim })
    }

    /// Names the model.
    pub fn id(&self) -> &ModelId {
        &self.id
    }

    fn broken(&self, reason: String) -> ModelError {
        ModelError::Backend { model: self.id.clone(), reason, source: None }
    }
}

impl Embedder for ServedEmbedder {
    fn dim(&self) -> usize {
        self.dim
    }

    fn embed(&self, _role: TextRole, texts: &[&str]) -> Result<Embeddings, ModelError> {
        let sent = |text: &&str| if text.is_empty() { " ".to_owned() } else { (*text).to_owned() };
        let batches: Vec<Vec<String>> =
            texts.chunks(BATCH).map(|batch| batch.iter().map(sent).collect()).collect();
        let n = batches.len();
        let (client, model) = (self.client.clone(), self.model.clone());
        let job = move |at: usize| -> BoxFuture<'static, Result<Vec<Vec<f32>>, ServerError>> {
            let (client, model, batch) = (client.clone(), model.clone(), batches[at].clone());
            Box::pin(async move { rows(&client, &model, batch).await })
        };
        let mut done: Vec<Vec<Vec<f32>>> = vec![Vec::new(); n];
        let mut put = |at: usize, rows: Vec<Vec<f32>>| {
            done[at] = rows;
            ControlFlow::Continue(())
        };
        self.client.each(n, job, &mut put).map_err(|error| error.of(&self.id))?;
        let mut values = Vec::with_capacity(texts.len() * self.dim);
        for row in done.into_iter().flatten() {
            let norm = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
            if row.len() != self.dim || !(norm.is_finite() && norm > 0.0) {
                return Err(self.broken(format!(
                    "a vector of width {} and norm {norm} where width {} is expected",
                    row.len(),
                    self.dim
                )));
            }
            values.extend(row.iter().map(|value| (f64::from(*value) / norm) as f32));
        }
        let rows = values.len() / self.dim;
        Embeddings::new(self.dim, values)
            .filter(|_| rows == texts.len())
            .ok_or_else(|| self.broken(format!("{rows} vectors for {} texts", texts.len())))
    }
}

async fn rows(client: &Client, model: &str, texts: Vec<String>) -> Result<Vec<Vec<f32>>, ServerError> {
    let body = json!({"model": model, "input": texts, "encoding_format": "float"});
    let n = texts.len();
    let read = |body: &Value| {
        let mut data = wire::read::<Embedded>(body)?.data;
        data.sort_by_key(|row| row.index);
        if data.len() != n || data.iter().enumerate().any(|(at, row)| row.index != at) {
            return Err(format!("{} vectors for {n} texts", data.len()));
        }
        Ok(data.into_iter().map(|row| row.embedding).collect())
    };
    client.post("embeddings", &body, read).await
}
