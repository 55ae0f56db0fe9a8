//! Letters for options: A to Z, then AA, AB and so on.

/// The letter of an option.
pub(crate) fn label(index: usize) -> String {
    let letter = char::from(b'A' + (index % 26) as u8);
    match index / 26 {
        0 => letter.to_string(),
        more => label(more - 1) + &letter.to_string(),
    }
}

/// The option an upper-case letter stands for, if there are so many options.
pub(crate) fn index_of_label(text: &str, n_options: usize) -> Option<usize> {
    if text.is_empty() || text.len() > 4 || !text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let number = text.bytes().fold(0, |number, byte| number * 26 + usize::from(byte - b'A') + 1);
    Some(number - 1).filter(|index| *index < n_options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_indices_are_inverse() {
        for index in 0..2000 {
            assert_eq!(index_of_label(&label(index), 2000), Some(index));
        }
        assert_eq!((label(25).as_str(), label(26).as_str()), ("Z", "AA"));
        for none in ["", "E", "a", "1", "ABCDE", "Ä"] {
            assert_eq!(index_of_label(none, 4), None, "{none}");
        }
    }
}
