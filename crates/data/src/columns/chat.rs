use crate::error::{DataError, Place};
use crate::row::text_of;
use serde_json::Value;

/// Cuts a chat into the question (all turns before the last answer) and that answer, if the chat has one.
///
/// A system turn and one user turn are joined by a blank line; a longer chat keeps the names of its speakers.
pub(super) fn cut(turns: &Value, at: &Place) -> Result<(String, Option<String>), DataError> {
    let bad = |reason: &str| DataError::Chat { at: at.clone(), reason: reason.to_owned() };
    let parsed;
    let turns = match turns {
        Value::String(text) => {
            parsed = serde_json::from_str::<Value>(text).map_err(|_| bad("the turns are not JSON"))?;
            &parsed
        }
        nested => nested,
    };
    let turns = turns.as_array().ok_or_else(|| bad("the turns are not a list"))?;
    let mut turns = turns
        .iter()
        .map(turn)
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| bad("a turn has no speaker or text"))?;
    let answer = turns.pop_if(|(speaker, _)| *speaker == Speaker::Assistant).map(|(_, text)| text);
    match turns.last() {
        Some((Speaker::User, _)) => {}
        _ => return Err(bad("the last turn before the answer is not the user's")),
    }
    let long = turns.iter().any(|(speaker, _)| *speaker == Speaker::Assistant);
    let named = |(speaker, text): &(Speaker, String)| match speaker {
        Speaker::User if long => format!("User: {text}"),
        Speaker::Assistant if long => format!("Assistant: {text}"),
        _ => text.clone(),
    };
    Ok((turns.iter().map(named).collect::<Vec<_>>().join("\n\n"), answer))
}

#[derive(PartialEq)]
enum Speaker {
    System,
    User,
    Assistant,
}

fn turn(turn: &Value) -> Option<(Speaker, String)> {
    let speaker = turn.get("role").or_else(|| turn.get("from"))?.as_str()?;
    let content = turn.get("content").or_else(|| turn.get("value"))?;
    let text = match content {
        Value::Array(parts) => parts.iter().map(part).collect::<Option<Vec<_>>>()?.join("\n"),
        Value::Object(_) => return None,
        plain => text_of(plain).into_owned(),
    };
    let text = text.trim().to_owned();
    let speaker = match speaker {
        "system" => Speaker::System,
        "user" | "human" => Speaker::User,
        "assistant" | "gpt" | "model" => Speaker::Assistant,
        _ => return None,
    };
    Some((speaker, text))
}

/// The text of a part of a turn; pictures and sounds are none.
fn part(part: &Value) -> Option<&str> {
    match part.get("type")?.as_str()? {
        "text" => part.get("text")?.as_str(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::path::Path;
    use std::sync::Arc;

    fn check(turns: Value, question: &str, answer: Option<&str>) {
        let at = Place { file: Arc::from(Path::new("f.jsonl")), line: 2 };
        let got = cut(&turns, &at).unwrap();
        assert_eq!((got.0.as_str(), got.1.as_deref()), (question, answer));
    }

    #[test]
    fn chats() {
        check(
            json!([{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]),
            "S\n\nQ",
            Some("A"),
        );
        check(json!([{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]), "Q", Some("A"));
        check(json!([{"role": "user", "content": "Q"}]), "Q", None);
        check(
            json!([{"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}, {"role": "user", "content": "3"}]),
            "User: 1\n\nAssistant: 2\n\nUser: 3",
            None,
        );
    }

    #[test]
    fn turns_in_parts() {
        let parts = json!([{"type": "text", "text": "Q"}, {"type": "text", "text": "more"}]);
        check(json!([{"role": "user", "content": parts}]), "Q\nmore", None);
    }

    #[test]
    fn a_chat_without_a_question_says_where() {
        let at = Place { file: Arc::from(Path::new("f.jsonl")), line: 2 };
        for turns in [
            json!([]),
            json!([{"role": "assistant", "content": "A"}]),
            json!("x"),
            json!([{"role": "user"}]),
            json!([{"role": "user", "content": {"text": "Q"}}]),
            json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]),
        ] {
            assert!(cut(&turns, &at).unwrap_err().to_string().starts_with("f.jsonl:2: "));
        }
    }
}
