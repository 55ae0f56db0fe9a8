//! The layout prompts share: instruction, question, examples in front as a system message.

use semievol_core::{Message, Prompt, Role};

/// What every response begins with unless the configuration says otherwise.
pub(super) const RESPONSE_PREFIX: &str = "Answer:";

/// `body` is the question as shown, `shots` are bodies with their targets.
pub(super) fn prompt(instruction: &str, body: &str, prefix: &str, shots: &[(String, String)]) -> Prompt {
    let mut messages = Vec::new();
    if !shots.is_empty() {
        let shown = shots.iter().map(|(body, target)| format!("{body}\n{}", response(prefix, target)));
        let content =
            format!("Here are examples with their answers.\n\n{}", shown.collect::<Vec<_>>().join("\n\n"));
        messages.push(Message { role: Role::System, content });
    }
    let content = if instruction.is_empty() { body.to_owned() } else { format!("{instruction}\n\n{body}") };
    messages.push(Message { role: Role::User, content });
    Prompt { messages, response_prefix: prefix.to_owned() }
}

/// The continuation after the prefix. Without a forced prefix the model says `Answer:` itself.
pub(super) fn target(prefix: &str, answer: &str) -> String {
    match (answer.is_empty(), prefix.is_empty()) {
        (true, _) => String::new(),
        (false, true) => format!("{RESPONSE_PREFIX} {answer}"),
        (false, false) => format!(" {answer}"),
    }
}

fn response(prefix: &str, target: &str) -> String {
    format!("{prefix}{target}")
}

/// A response without the prefix it may repeat.
pub(super) fn without_prefix<'r>(prefix: &str, response: &'r str) -> &'r str {
    let response = response.trim();
    [prefix, RESPONSE_PREFIX]
        .iter()
        .filter(|prefix| !prefix.is_empty())
        .find_map(|prefix| {
            let start = response.get(..prefix.len())?;
            start.eq_ignore_ascii_case(prefix).then(|| response[prefix.len()..].trim_start())
        })
        .unwrap_or(response)
}
