//! Numbers as people read them. What is not finite becomes a dash.

use crate::{Interval, Share};

/// Stands for a number that is absent.
pub(crate) const ABSENT: &str = "–";

/// A share in percent, one digit.
pub(crate) fn percent(share: f64) -> String {
    finite(share).map_or(ABSENT.into(), |share| minus(format!("{:.1}", 100.0 * share)))
}

/// A difference of shares in points, with its sign.
pub(crate) fn points(difference: f64) -> String {
    let Some(difference) = finite(difference) else { return ABSENT.into() };
    let text = format!("{:+.1}", 100.0 * difference);
    if text == "+0.0" || text == "-0.0" { "0.0".into() } else { minus(text) }
}

/// Mean and standard deviation in percent.
pub(crate) fn spread(mean: f64, sd: Option<f64>) -> String {
    let sd = sd.and_then(finite).map(|sd| format!(" ± {}", percent(sd)));
    percent(mean) + &sd.unwrap_or_default()
}

/// Three digits, or that it is below them.
pub(crate) fn p_value(p: f64) -> String {
    match finite(p) {
        None => ABSENT.into(),
        Some(p) if p < 0.001 => "<0.001".into(),
        Some(p) => format!("{p:.3}"),
    }
}

/// About three digits that matter.
pub(crate) fn number(value: f64) -> String {
    let Some(value) = finite(value) else { return ABSENT.into() };
    let size = value.abs();
    let text = match size {
        0.0 => "0".into(),
        _ if !(1e-4..1e6).contains(&size) => format!("{value:.1e}"),
        _ if size >= 100.0 => format!("{value:.0}"),
        _ => {
            let digits = (2 - size.log10().floor() as i32).max(0) as usize;
            format!("{value:.digits$}")
        }
    };
    minus(text)
}

/// `1,234`.
pub(crate) fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `12/40 (30.0%)`, or no more than the count where there is nothing to divide by.
pub(crate) fn share(share: Share) -> String {
    match rate(share) {
        Some(rate) => format!("{}/{} ({}%)", count(share.part), count(share.whole), percent(rate)),
        None => format!("{}/{}", count(share.part), count(share.whole)),
    }
}

/// The quotient, if there is one.
pub(crate) fn rate(share: Share) -> Option<f64> {
    (share.whole > 0).then(|| share.part as f64 / share.whole as f64)
}

/// The number if it is one.
pub(crate) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// The interval if both ends are numbers, in order.
pub(crate) fn proper(interval: Option<Interval>) -> Option<Interval> {
    interval.filter(|ends| ends.low.is_finite() && ends.high.is_finite() && ends.low <= ends.high)
}

/// A minus sign as wide as a plus.
fn minus(text: String) -> String {
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            (percent(0.8412), percent(1.0), percent(f64::NAN)),
            ("84.1".into(), "100.0".into(), ABSENT.into())
        );
        assert_eq!(
            (points(0.011), points(-0.02), points(-1e-9)),
            ("+1.1".into(), "−2.0".into(), "0.0".into())
        );
        assert_eq!((p_value(0.5234), p_value(1e-9)), ("0.523".into(), "<0.001".into()));
        assert_eq!([0, 999, 1000, 1234567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0.0, 0.5, -0.01234, 12.345, 1234.5, 2e-7, f64::INFINITY].map(number),
            ["0", "0.500", "−0.0123", "12.3", "1234", "2.0e−7", ABSENT]
        );
        assert_eq!(share(Share { part: 0, whole: 0 }), "0/0");
    }
}
