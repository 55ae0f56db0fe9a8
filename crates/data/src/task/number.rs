//! Numbers as people write them, kept as digits.

/// A number as its digits: `mantissa x 10^-scale`, without zeros that say nothing, so equality is exact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    digits: String,
    scale: usize,
}

impl Decimal {
    /// Reads canonical digits, `-12.50`.
    fn new(canonical: &str) -> Decimal {
        let (negative, unsigned) =
            canonical.strip_prefix('-').map_or((false, canonical), |rest| (true, rest));
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let fraction = fraction.trim_end_matches('0');
        let digits = format!("{whole}{fraction}").trim_start_matches('0').to_owned();
        Decimal { negative: negative && !digits.is_empty(), scale: fraction.len(), digits }
    }
}

/// One number in a text.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Its digits as written, with a minus where it is negative and nothing else: `-1200.50`.
    pub(super) canonical: String,
    /// Where it begins and ends, its sign, currency and parentheses included.
    pub(super) span: (usize, usize),
    /// A magnitude stands against it, as in `$1.2M`: its digits are not its value.
    pub(super) scaled: bool,
}

impl Found {
    pub(super) fn decimal(&self) -> Decimal {
        Decimal::new(&self.canonical)
    }
}

/// The number a text consists of, however it is wrapped.
pub(super) fn whole(text: &str) -> Option<Found> {
    let mut found = numbers(text);
    let first = found.next()?;
    let bare = |part: &str| !part.chars().any(char::is_alphanumeric);
    let alone =
        !first.scaled && found.next().is_none() && bare(&text[..first.span.0]) && bare(&text[first.span.1..]);
    alone.then_some(first)
}

/// The numbers in a text, in order. Digits inside a word (`B12`), in a date or a version (`1.2.3`), and
/// commas that group no thousands (`1,20`) make none.
pub(super) fn numbers(text: &str) -> impl Iterator<Item = Found> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(offset) = text[at..].find(|c: char| c.is_ascii_digit()) {
            let first = at + offset;
            let end = first
                + text[first..]
                    .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',')))
                    .unwrap_or(text.len() - first);
            at = end;
            if let Some(found) = read(text, first, end) {
                at = found.span.1.max(end);
                return Some(found);
            }
        }
        None
    })
}

/// Reads the run of digits, dots and commas in `first..end` with what stands around it.
fn read(text: &str, first: usize, end: usize) -> Option<Found> {
    let run = text[first..end].trim_end_matches(['.', ',']);
    let mut last = first + run.len();
    // `.5` and `-.5`: the point may stand before the first digit.
    let mut start = first;
    let leading_point =
        text[..start].ends_with('.') && !text[..start - 1].ends_with(|c: char| c.is_alphanumeric());
    if leading_point {
        start -= 1;
    }
    let digits = ungrouped(run)?;
    let digits = match leading_point {
        true if digits.contains('.') => return None,
        true => format!("0.{digits}"),
        false => digits,
    };
    let unit: String = text[last..].chars().take_while(|c| c.is_alphanumeric()).collect();
    if !is_unit(&unit) {
        return None;
    }
    let scaled = is_magnitude(&unit);
    let mut before = &text[..start];
    let mut negative = false;
    for _ in 0..2 {
        before = before.trim_end_matches(['$', '€', '£', '¥']);
        if let Some((rest, sign)) = sign(before) {
            (before, negative) = (rest, sign);
        }
    }
    // `_3_` is a number in italics, `x_3` is a name.
    if before.trim_end_matches('_').ends_with(char::is_alphanumeric) {
        return None;
    }
    if text[last..].starts_with('%') {
        last += 1;
    }
    // Accounts write a loss as (3.2).
    if before.ends_with('(') && text[last..].starts_with(')') && !negative {
        (before, last, negative) = (&before[..before.len() - 1], last + 1, true);
    }
    let minus = if negative { "-" } else { "" };
    Some(Found { canonical: format!("{minus}{digits}"), span: (before.len(), last), scaled })
}

/// A sign before a number, unless it joins two things (`7-2`, `2020-21`).
fn sign(before: &str) -> Option<(&str, bool)> {
    let mut chars = before.chars();
    let negative = match chars.next_back()? {
        '-' | '−' => true,
        '+' => false,
        _ => return None,
    };
    let rest = chars.as_str();
    (!rest.ends_with(|c: char| c.is_alphanumeric() || c == ')')).then_some((rest, negative))
}

/// Digits without the commas that group thousands; `None` for other commas, or for two points.
fn ungrouped(run: &str) -> Option<String> {
    let (whole, fraction) = run.split_once('.').map_or((run, None), |(whole, rest)| (whole, Some(rest)));
    if fraction.is_some_and(|fraction| fraction.contains(['.', ','])) {
        return None;
    }
    let mut groups = whole.split(',');
    let lead = groups.next()?;
    let rest: Vec<&str> = groups.collect();
    if !rest.is_empty() && (lead.len() > 3 || rest.iter().any(|group| group.len() != 3)) {
        return None;
    }
    let whole = format!("{lead}{}", rest.concat());
    Some(fraction.map_or_else(|| whole.clone(), |fraction| format!("{whole}.{fraction}")))
}

/// Nothing, or a short unit written against the number, as in `5kg`; not a digit or an exponent.
fn is_unit(word: &str) -> bool {
    word.chars().count() <= 3 && word.chars().all(char::is_alphabetic)
}

/// Thousands, millions and so on. `5m` may be metres and `5t` tonnes: what cannot be told apart is not read.
fn is_magnitude(word: &str) -> bool {
    const MAGNITUDES: [&str; 12] = ["k", "m", "mn", "mln", "mio", "b", "bn", "bln", "mrd", "t", "tn", "trn"];
    word == "MM" || MAGNITUDES.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let read = numbers(text).filter(|found| !found.scaled);
        let found: Vec<String> = read.map(|found| found.canonical).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn numbers_in_text() {
        check("$1,200", &["1200"]);
        check("-$1,200.50", &["-1200.50"]);
        check("$-3", &["-3"]);
        check("12.5", &["12.5"]);
        check("12.5%.", &["12.5"]);
        check("(3.2)", &["-3.2"]);
        check("(3.2%)", &["-3.2"]);
        check("($4)", &["-4"]);
        check(".5 and -.25", &["0.5", "-0.25"]);
        check("1,20 or 1.2.3", &[]);
        check("1,200,3", &[]);
        check("B12 x2 3rd 4th_", &["3", "4"]);
        check("2020-21", &["2020", "21"]);
        check("−7", &["-7"]);
        check("from 3 to 4.", &["3", "4"]);
        check("5kg", &["5"]);
        check("_0_ and x_3", &["0"]);
        check("1e5", &[]);
        check("", &[]);
    }

    #[test]
    fn magnitudes_are_not_lost() {
        for text in [
            "$1.2M", "1.2m", "5k", "5K", "$3bn", "3B", "3Bn", "-2t", "(7mn)", "7tn", "$4MM", "**5k**.", "5k_",
        ] {
            let scaled: Vec<bool> = numbers(text).map(|found| found.scaled).collect();
            assert_eq!(scaled, [true], "{text}");
            assert!(whole(text).is_none(), "{text}");
        }
        check("5kg 6km 7mm 8 m 3rd", &["5", "6", "7", "8", "3"]);
    }

    #[test]
    fn decimals_are_compared_exactly() {
        let decimal = Decimal::new;
        assert_eq!(decimal("1.50"), decimal("01.5"));
        assert_eq!(decimal("-0"), decimal("0.00"));
        assert_ne!(decimal("12.5"), decimal("125"));
        assert_ne!(decimal("-1"), decimal("1"));
        assert_ne!(decimal("9007199254740993"), decimal("9007199254740992"));
    }
}
