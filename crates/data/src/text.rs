//! Two ways to fold text: one that keeps what tells answers apart, one for finding duplicates.

/// Characters that wrap an answer without being part of it. Signs, `%` and `$` are not among them.
pub(crate) fn is_wrapping(c: char) -> bool {
    matches!(
        c,
        '*' | '_'
            | '`'
            | '"'
            | '\''
            | '('
            | ')'
            | '['
            | ']'
            | '{'
            | '}'
            | '.'
            | ','
            | ':'
            | ';'
            | '!'
            | '?'
            | '#'
    ) || matches!(c, '“' | '”' | '‘' | '’' | '«' | '»')
}

/// Lower-case words without the punctuation around them: `**Very positive.**` gives `very`, `positive`.
/// Punctuation inside a word stays, so that `-0.5`, `0.5` and `0,5` remain three answers.
pub(crate) fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let stripped = lower.split_whitespace().map(|word| word.trim_matches(is_wrapping));
    stripped.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Lower-case words without the punctuation around them, one space between each. Signs that say something stay: `+1` and
/// `-1`, `10 + 2` and `10 - 2`, `C` and `C#`, two emoji. A text of punctuation alone stays as it is, or all such texts would
/// be alike.
pub fn folded(text: &str) -> String {
    let lower = text.to_lowercase().replace('’', "'");
    let words = lower.split_whitespace().filter_map(|word| {
        let bare = word.trim_matches(|c| is_wrapping(c) && c != '#').trim_start_matches('#');
        // `:-*`, whatever its nose and mouth.
        let face = word.starts_with([':', ';']) && bare.bytes().all(|byte| byte.is_ascii_punctuation());
        // One alone may be a minus.
        let dash = bare != "-" && bare.chars().all(|c| matches!(c, '-' | '–' | '—'));
        (!face && !dash).then_some(bare)
    });
    let folded = words.collect::<Vec<_>>().join(" ");
    if folded.is_empty() { lower.trim().to_owned() } else { folded }
}

#[cfg(test)]
mod tests {
    use super::folded;

    #[test]
    fn signs_that_say_something_tell_texts_apart() {
        for (one, other) in [
            ("What is 10 + 2?", "What is 10 - 2?"),
            ("10 * 2", "10 / 2"),
            ("+1", "-1"),
            ("Login page \u{1f44d}", "Login page \u{1f44e}!"),
            ("C++", "C"),
            ("In C#.", "In C."),
            ("What does `&&` do?", "What does `||` do?"),
            ("Rh (+)", "Rh (-)"),
            ("a <= b", "a >= b"),
            ("?", "!"),
        ] {
            assert_ne!(folded(one), folded(other), "{one} {other}");
        }
        for (one, other) in [
            ("Is it so?", " is  it so"),
            ("\u{201c}Yes,\u{201d} he said ...", "yes he said"),
            ("Fine! :-*", "fine :)"),
            ("Don’t (#never)", "don't never"),
            ("Is it -- so ?", "is it so"),
            ("Login page \u{1f44d}", "login page \u{1f44d}!"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
    }
}
