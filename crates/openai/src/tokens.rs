//! Prompts as the server's own token ids: so that what is scored is what is generated from.

use crate::client::Client;
use crate::dialect::Dialect;
use crate::error::ServerError;
use crate::wire::{self, Rendered, Tokenized};
use semievol_core::{Message, Prompt, Role};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Texts of answers repeat; so many are remembered.
const REMEMBERED: usize = 4096;

/// Renders and tokenises by the server.
pub(crate) struct Tokens {
    client: Arc<Client>,
    dialect: Dialect,
    model: String,
    known: Mutex<HashMap<String, Arc<[u32]>>>,
    /// Ends the assistant's turn.
    pub end: u32,
}

impl Tokens {
    pub async fn new(client: Arc<Client>, dialect: Dialect, model: String) -> Result<Self, ServerError> {
        let mut tokens = Tokens { client, dialect, model, known: Mutex::default(), end: 0 };
        tokens.end = tokens.end_of_turn().await?;
        Ok(tokens)
    }

    /// The chat up to where the assistant speaks.
    pub async fn chat(&self, messages: &[Message]) -> Result<Vec<u32>, ServerError> {
        let messages = chat(messages);
        match self.dialect {
            Dialect::LlamaCpp => {
                let rendered = self.render(&messages).await?;
                self.tokenize(json!({"content": rendered, "add_special": true, "parse_special": true})).await
            }
            _ => {
                let body = json!({"model": self.model, "messages": messages, "add_generation_prompt": true});
                self.tokenize(body).await
            }
        }
    }

    /// A text by itself, in which nothing is special.
    pub async fn text(&self, text: &str) -> Result<Arc<[u32]>, ServerError> {
        if text.is_empty() {
            return Ok(Arc::new([]));
        }
        if let Some(known) = self.known().get(text) {
            return Ok(known.clone());
        }
        let tokens: Arc<[u32]> = self.tokenize(self.text_body(text, false)).await?.into();
        let mut known = self.known();
        if known.len() < REMEMBERED {
            known.insert(text.to_owned(), tokens.clone());
        }
        Ok(tokens)
    }

    /// The chat with the beginning of the response.
    pub async fn prompt(&self, prompt: &Prompt) -> Result<Vec<u32>, ServerError> {
        let mut tokens = self.chat(&prompt.messages).await?;
        tokens.extend_from_slice(&self.text(&prompt.response_prefix).await?);
        Ok(tokens)
    }

    /// Prefix and continuation tokenised as one text, then the end of the turn; and how many of the tokens the prefix has
    /// alone.
    pub async fn response(&self, prefix: &str, continuation: &str) -> Result<(Vec<u32>, usize), ServerError> {
        let alone = self.text(prefix).await?;
        let mut whole = self.text(&format!("{prefix}{continuation}")).await?.to_vec();
        let shared = alone.iter().zip(&whole).take_while(|(one, other)| one == other).count();
        whole.push(self.end);
        Ok((whole, shared))
    }

    async fn render(&self, messages: &[Value]) -> Result<String, ServerError> {
        let read = |body: &Value| Ok(wire::read::<Rendered>(body)?.prompt);
        self.client.post("../apply-template", &json!({"messages": messages}), read).await
    }

    async fn tokenize(&self, body: Value) -> Result<Vec<u32>, ServerError> {
        self.client.post("../tokenize", &body, |body| Ok(wire::read::<Tokenized>(body)?.tokens)).await
    }

    fn text_body(&self, text: &str, markup: bool) -> Value {
        match self.dialect {
            Dialect::LlamaCpp => json!({"content": text, "add_special": false, "parse_special": markup}),
            _ => json!({"model": self.model, "prompt": text, "add_special_tokens": false}),
        }
    }

    /// The token right after an assistant's message that another message follows.
    async fn end_of_turn(&self) -> Result<u32, ServerError> {
        const SAID: &str = "Quite so";
        let message = |role, content: &str| Message { role, content: content.to_owned() };
        let messages =
            [message(Role::User, "Well?"), message(Role::Assistant, SAID), message(Role::User, "And?")];
        let unknown = |reason: &str| ServerError::Settings {
            server: self.client.server(),
            reason: format!("the token that ends a turn cannot be found: {reason}"),
        };
        let tokens = match self.dialect {
            Dialect::LlamaCpp => {
                let rendered = self.render(&chat(&messages)).await?;
                let (_, after) =
                    rendered.split_once(SAID).ok_or_else(|| unknown("the template loses messages"))?;
                return self
                    .tokenize(self.text_body(after, true))
                    .await?
                    .first()
                    .copied()
                    .ok_or_else(|| unknown("nothing follows a message"));
            }
            _ => self.chat(&messages).await?,
        };
        let said = self.text(SAID).await?;
        if said.is_empty() {
            return Err(unknown("a text has no tokens"));
        }
        let at = tokens.windows(said.len()).position(|window| *window == *said);
        let after = at.and_then(|at| tokens.get(at + said.len()));
        after.copied().ok_or_else(|| unknown("the template changes messages"))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<[u32]>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Messages as the protocol writes them.
pub(crate) fn chat(messages: &[Message]) -> Vec<Value> {
    messages
        .iter()
        .map(|message| json!({"role": message.role.as_str(), "content": message.content}))
        .collect()
}
