//! Finding an option by its text.

use crate::text::words;

/// The option that a response consists of: as written, else but for case and wrapping punctuation. `None`
/// where two options fit.
pub(super) fn exact(response: &str, options: &[String]) -> Option<usize> {
    let response = response.trim();
    only((0..options.len()).filter(|index| options[*index].trim() == response)).or_else(|| {
        let said = words(response);
        only((0..options.len()).filter(|index| !said.is_empty() && words(&options[*index]) == said))
    })
}

/// The one option whose words stand in a response. An option inside a longer one that stands there too
/// (`positive` in `very positive`) does not count, nor does one that is denied (`not positive`).
pub(super) fn embedded(response: &str, options: &[String]) -> Option<usize> {
    let said = words(response);
    let mut spans: Vec<(usize, usize, usize)> = Vec::new();
    for (index, option) in options.iter().enumerate() {
        let option = words(option);
        if option.is_empty() {
            continue;
        }
        let starts = said.windows(option.len()).enumerate().filter(|(_, window)| *window == option);
        spans.extend(starts.map(|(start, _)| (start, start + option.len(), index)));
    }
    let inside = |span: &(usize, usize, usize)| {
        spans
            .iter()
            .any(|other| other.0 <= span.0 && span.1 <= other.1 && other.1 - other.0 > span.1 - span.0)
    };
    let mut found = spans.iter().filter(|span| !inside(span));
    let first = found.next()?;
    if found.any(|other| other.2 != first.2) {
        return None;
    }
    let denied = |span: &&(usize, usize, usize)| span.0 > 0 && is_denial(&said[span.0 - 1]);
    (!spans.iter().filter(|span| span.2 == first.2).any(|span| denied(&span))).then_some(first.2)
}

/// Whether a word turns what follows into its opposite.
pub(super) fn is_denial(word: &str) -> bool {
    matches!(
        word,
        "not"
            | "no"
            | "never"
            | "nor"
            | "neither"
            | "isn't"
            | "wasn't"
            | "isn’t"
            | "wasn’t"
            | "cannot"
            | "non"
    )
}

/// The only item, if there is exactly one.
fn only(mut items: impl Iterator<Item = usize>) -> Option<usize> {
    items.next().filter(|_| items.next().is_none())
}
