use serde::{Deserialize, Serialize};

/// Who speaks in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions.
    System,
    /// The user's turn.
    User,
    /// The model's turn.
    Assistant,
}

impl Role {
    /// The name chat templates use.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

/// One turn of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// A chat up to the point where the model answers.
///
/// The engine renders it with the model's own chat template and adds the marker that opens the assistant's
/// turn. `response_prefix` is text the response is forced to begin with (such as `Answer:`): it is part of
/// what training teaches, and no part of what confidence is measured on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Prompt {
    /// The turns so far, the last one the user's.
    pub messages: Vec<Message>,
    /// How every response begins; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub response_prefix: String,
}

impl Prompt {
    /// A prompt of one user message.
    pub fn user(content: impl Into<String>) -> Self {
        Prompt {
            messages: vec![Message { role: Role::User, content: content.into() }],
            response_prefix: String::new(),
        }
    }

    /// The same prompt with a forced beginning of the response.
    pub fn with_response_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.response_prefix = prefix.into();
        self
    }
}

/// A token and the natural-log probability the model gave it, before temperature and top-p.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// Id in the model's vocabulary.
    pub token: u32,
    /// `ln P(token | everything before it)`, at most 0.
    pub logprob: f32,
}
