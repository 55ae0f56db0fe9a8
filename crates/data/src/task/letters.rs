//! Finding an option by its letter, in prose that is full of letters.
//!
//! A letter counts only where something says that it is meant: it stands alone, at the head before `.` or
//! `)`, after "answer is" or "option", or between brackets or bold marks. `I` and `a` in prose do not count.
//! Where the places disagree there is no answer.

use super::choice;
use crate::label::index_of_label;
use crate::text::{is_wrapping, words};

/// The option a response names; by letter first, by text else.
pub(super) fn parse(response: &str, options: &[String]) -> Option<usize> {
    let response = response.trim();
    let alone = response.trim_matches(|c: char| is_wrapping(c) || c == '$' || c.is_whitespace());
    if let Some(index) = letter(alone, options.len()) {
        return Some(index);
    }
    if let Some(index) = choice::exact(response, options) {
        return Some(index);
    }
    let claims = claims(response, options)?;
    let strong = claims.iter().any(|claim| claim.strong);
    let mut counted = claims.iter().filter(|claim| claim.strong == strong).map(|claim| claim.index);
    match counted.next() {
        Some(index) => counted.all(|other| other == index).then_some(index),
        None => choice::embedded(after_marker(response), options),
    }
}

struct Claim {
    index: usize,
    /// At the head or after a marker, rather than only between brackets.
    strong: bool,
}

/// Every place where a letter is meant; `None` where one place offers two letters.
fn claims(response: &str, options: &[String]) -> Option<Vec<Claim>> {
    let mut claims = Vec::new();
    for (start, end) in runs(response) {
        let (before, run, after) = (&response[..start], &response[start..end], &response[end..]);
        let Some(index) = letter(run, options.len()) else { continue };
        let lone_upper = run.bytes().all(|byte| byte.is_ascii_uppercase());
        let strong = (is_head(before) || is_marked(before)) && is_closed(after, index, options);
        let weak = lone_upper && is_enclosed(before, after);
        if !strong && !weak || is_denied(before, after) {
            continue;
        }
        if !is_option_text(after, index, options)
            && (offers_another(after, options.len()) || is_other_option(after, index, options))
        {
            return None;
        }
        claims.push(Claim { index, strong });
    }
    Some(claims)
}

/// The option of a letter in either case; of two letters only in upper case, since `is` and `as` are words.
fn letter(run: &str, n_options: usize) -> Option<usize> {
    match run.len() {
        1 => index_of_label(&run.to_ascii_uppercase(), n_options),
        _ => index_of_label(run, n_options),
    }
}

/// Byte ranges of words of ASCII letters that stand free: `I'm`, `T-cell`, `B2` and `x_A` hold none.
fn runs(text: &str) -> Vec<(usize, usize)> {
    let inner =
        |c: char| c.is_alphanumeric() || matches!(c, '\'' | '’' | '-' | '+' | '\\' | '/' | '<' | '>' | '=');
    let mut runs = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (inner(c), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                // A quote or dash around a word is not part of it.
                let trim = |c: char| matches!(c, '\'' | '’' | '-');
                let run = &text[from..at];
                let from = from + (run.len() - run.trim_start_matches(trim).len());
                let run = run.trim_matches(trim);
                if run.len() <= 2 && !run.is_empty() && run.bytes().all(|byte| byte.is_ascii_alphabetic()) {
                    runs.push((from, from + run.len()));
                }
                start = None;
            }
            _ => {}
        }
    }
    runs
}

fn is_head(before: &str) -> bool {
    before.chars().all(|c| is_wrapping(c) || c.is_whitespace())
}

/// Whether what stands before announces an answer: `Answer:`, `the answer is`, `option`, `\boxed{`.
fn is_marked(before: &str) -> bool {
    let before = before
        .trim_end_matches(|c: char| is_wrapping(c) || c.is_whitespace() || matches!(c, '=' | '-' | '$'));
    // Enough for the last words, however long the response is.
    let tail = before.char_indices().rev().nth(60).map_or(before, |(at, _)| &before[at..]);
    let words = words(tail);
    let ends =
        |ending: &[&str]| words.len() >= ending.len() && words[words.len() - ending.len()..] == *ending;
    ends(&["answer"])
        || ends(&["answer", "is"])
        || ends(&["answer", "would", "be"])
        || ends(&["answer", "should", "be"])
        || ends(&["option"])
        || ends(&["choice"])
        || words.last().is_some_and(|word| word.ends_with("\\boxed") || word.ends_with("\\text"))
}

/// Whether the letter ends there, rather than beginning a sentence such as `A good film`.
fn is_closed(after: &str, index: usize, options: &[String]) -> bool {
    let mut chars = after.chars();
    match chars.next() {
        None | Some('\n' | '\r') => return true,
        Some(')' | ']' | '}' | '*' | '`' | '"' | '”' | ':' | '\'' | '’' | '_' | '$') => {
            return true;
        }
        Some('.') if !chars.next().is_some_and(char::is_alphanumeric) => return true,
        _ => {}
    }
    let rest = words(first_line(after));
    let starts = |start: &[&str]| rest.len() >= start.len() && rest[..start.len()] == *start;
    rest.is_empty()
        || is_option_text(after, index, options)
        || ["because", "since", "as"].iter().any(|word| starts(&[word]))
        || starts(&["is", "correct"])
        || starts(&["is", "right"])
        || starts(&["is", "the"])
}

fn is_enclosed(before: &str, after: &str) -> bool {
    let pairs = [("(", ")"), ("[", "]"), ("{", "}"), ("**", "**"), ("`", "`"), ("\"", "\"")];
    pairs.iter().any(|(open, close)| before.ends_with(open) && after.starts_with(close))
}

fn is_denied(before: &str, after: &str) -> bool {
    let tail = before.char_indices().rev().nth(20).map_or(before, |(at, _)| &before[at..]);
    let wrong =
        |word: &String| choice::is_denial(word) || matches!(word.as_str(), "wrong" | "incorrect" | "false");
    words(tail).last().is_some_and(|word| choice::is_denial(word))
        || words(first_line(after)).iter().take(2).any(wrong) && is_verb(after)
}

fn is_verb(after: &str) -> bool {
    words(first_line(after))
        .first()
        .is_some_and(|word| matches!(word.as_str(), "is" | "isn't" | "isn’t" | "was" | "can" | "cannot"))
}

/// `B. neutral`, where B is neutral.
fn is_option_text(after: &str, index: usize, options: &[String]) -> bool {
    let said = words(after_dash(first_line(after)));
    !said.is_empty() && words(&options[index]) == said
}

/// `B. positive`, where B is neutral.
fn is_other_option(after: &str, index: usize, options: &[String]) -> bool {
    choice::exact(after_dash(first_line(after)), options).is_some_and(|other| other != index)
}

/// `B or C`, `B/C`, `B, C`.
fn offers_another(after: &str, n_options: usize) -> bool {
    let line = first_line(after);
    let rest = line
        .trim_start_matches(|c: char| is_wrapping(c) || c.is_whitespace() || matches!(c, '/' | '&' | '|'));
    let joined = rest.len() < line.len();
    let rest = ["or ", "and "].iter().find_map(|word| rest.strip_prefix(word)).unwrap_or(rest);
    let rest = rest.trim_start_matches(|c: char| is_wrapping(c) || c.is_whitespace());
    let run: String = rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '\'' | '-')).collect();
    let upper = run.bytes().all(|byte| byte.is_ascii_uppercase());
    joined && upper && letter(&run, n_options).is_some() && run != "I"
}

fn after_dash(line: &str) -> &str {
    line.trim_start_matches(|c: char| is_wrapping(c) || c.is_whitespace() || matches!(c, '-' | '–' | '—'))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// What follows the last `answer:` or `answer is`, or everything.
fn after_marker(response: &str) -> &str {
    let lower = response.to_ascii_lowercase();
    let ends = ["answer:", "answer is"].iter().filter_map(|mark| lower.rfind(mark).map(|at| at + mark.len()));
    ends.max().map_or(response, |end| &response[end..])
}
