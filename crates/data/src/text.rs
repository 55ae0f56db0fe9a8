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

/// Letters and digits of every script in lower case, runs of anything else folded to one space. A text of
/// neither keeps its symbols, or all such texts would be alike.
pub(crate) fn folded(text: &str) -> String {
    let lower = text.to_lowercase();
    let runs = lower.split(|c: char| !c.is_alphanumeric()).filter(|run| !run.is_empty());
    let folded = runs.collect::<Vec<_>>().join(" ");
    if folded.is_empty() { lower.trim().to_owned() } else { folded }
}
