//! Prompts to browse.

use crate::format::{count, finite, number, percent};
use crate::{Agreement, PromptSample};
use serde::Serialize;

/// Characters of a text that is shown in full.
const LONG: usize = 700;

/// Characters shown of a longer one, or of a neighbour's question.
const EXCERPT: usize = 240;
/// Those of a long text's end: what is asked often stands there.
const END: usize = 80;

/// A text of any length.
#[derive(Serialize)]
pub(super) struct Text {
    /// Its beginning and its end; absent if the text is short.
    excerpt: Option<String>,
    full: String,
    size: String,
}

impl Text {
    pub(super) fn new(text: &str) -> Self {
        let size = text.chars().count();
        let excerpt = (size > LONG).then(|| {
            let end: String = text.chars().skip(size - END).collect();
            let word = end.find(char::is_whitespace).filter(|start| *start * 5 < end.len() * 2);
            format!("{} {}", excerpt(text, EXCERPT - END), end[word.unwrap_or(0)..].trim())
        });
        Text { excerpt, full: text.into(), size: count(size) }
    }
}

/// The beginning of a text, up to the end of a word where one is near.
pub(super) fn excerpt(text: &str, n: usize) -> String {
    if text.chars().count() <= n {
        return text.into();
    }
    let cut: String = text.chars().take(n).collect();
    let word = cut.rfind(char::is_whitespace).filter(|end| *end * 5 > cut.len() * 4);
    let joiner = |c: char| matches!(c, '\u{200d}' | '\u{fe0f}') || c.is_whitespace();
    format!("{} …", cut[..word.unwrap_or(cut.len())].trim_end_matches(joiner))
}

/// A prompt as text.
#[derive(Serialize)]
pub(super) struct CardView {
    /// What filters look for.
    classes: String,
    id: String,
    question: Text,
    options: Vec<Text>,
    neighbours: Vec<NeighbourView>,
    answers: Vec<AnswerView>,
    answer: Option<Text>,
    decided_by: Option<String>,
    gold: Option<Text>,
    correct: Option<bool>,
    kept: bool,
    agreement: &'static str,
    confidence: Option<String>,
    reason: Text,
}

#[derive(Serialize)]
struct NeighbourView {
    question: String,
    label: String,
    similarity: Option<String>,
}

#[derive(Serialize)]
struct AnswerView {
    name: String,
    answer: Option<Text>,
    probability: Option<String>,
    agrees: bool,
}

impl CardView {
    pub(super) fn new(prompt: &PromptSample, combined: bool) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(Text::new);
        let neighbours = prompt.neighbours.iter().map(|neighbour| NeighbourView {
            question: excerpt(&neighbour.question, EXCERPT),
            label: excerpt(&neighbour.label, EXCERPT),
            similarity: neighbour.similarity.and_then(finite).map(number),
        });
        let answers = prompt.answers.iter().map(|given| AnswerView {
            name: given.name.clone(),
            answer: text(&given.answer),
            probability: given.probability.and_then(finite).map(|share| percent(share) + "%"),
            agrees: given.answer.is_some() && given.answer == prompt.final_answer,
        });
        CardView {
            classes: classes(prompt),
            id: prompt.id.clone(),
            question: Text::new(&prompt.question),
            options: prompt.options.iter().map(|option| Text::new(option)).collect(),
            neighbours: neighbours.collect(),
            answers: answers.collect(),
            answer: text(&prompt.final_answer),
            decided_by: prompt.decided_by.clone(),
            gold: text(&prompt.gold),
            correct: prompt.correct,
            kept: prompt.kept,
            agreement: match prompt.agreement {
                Agreement::Agreed => "agreed",
                Agreement::Disputed if combined => "changed by combining",
                Agreement::Disputed => "disputed",
                Agreement::Unanswered => "no final answer",
            },
            confidence: prompt.confidence.and_then(finite).map(number),
            reason: Text::new(&prompt.reason),
        }
    }

    /// Whether a filter shows it.
    pub(super) fn is(&self, filter: &str) -> bool {
        self.classes.split(' ').any(|class| class == filter)
    }
}

fn classes(prompt: &PromptSample) -> String {
    let mut classes = vec![if prompt.kept { "kept" } else { "dropped" }];
    if prompt.agreement == Agreement::Disputed {
        classes.push("disputed");
    }
    if prompt.correct == Some(false) {
        classes.push("wrong");
    }
    classes.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_end_at_words() {
        assert_eq!(excerpt("short", 10), "short");
        assert_eq!(excerpt("one two three four", 14), "one two three …");
        assert_eq!(excerpt("aaaaaaaaaaaaaaaaaaaa", 5), "aaaaa …");
        assert_eq!(excerpt("👩\u{200d}👩\u{200d}👧\u{200d}👦", 2), "👩 …");
        let long = format!("It begins {} and ends. What is asked?", "so ".repeat(300));
        let shown = Text::new(&long).excerpt.unwrap();
        assert!(shown.starts_with("It begins so so") && shown.contains("so … so"), "{shown}");
        assert!(shown.ends_with("and ends. What is asked?"), "{shown}");
        assert!(Text::new(&"é".repeat(701)).excerpt.is_some());
        assert!(Text::new(&"x".repeat(700)).excerpt.is_none());
    }
}
