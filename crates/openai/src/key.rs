//! Keys come from the environment and go to the server alone.

use std::fmt;

/// A key that does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key(String);

impl Key {
    /// From this variable.
    pub fn from_env(variable: &str) -> Result<Self, String> {
        match std::env::var(variable) {
            Ok(key) if !key.trim().is_empty() => Ok(Key(key.trim().to_owned())),
            _ => Err(format!(
                "key_env names the environment variable {variable}, but it is not set: export it, or leave key_env out"
            )),
        }
    }

    pub fn header(&self) -> Option<reqwest::header::HeaderValue> {
        let mut header = reqwest::header::HeaderValue::from_str(&format!("Bearer {}", self.0)).ok()?;
        header.set_sensitive(true);
        Some(header)
    }

    /// The text without the key: a server may say what it was sent.
    pub fn strike(&self, text: &str) -> String {
        text.replace(&self.0, "***")
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn a_key_does_not_show_itself() {
        let key = Key("sk-secret".into());
        assert_eq!(format!("{key:?}"), "Key(***)");
        assert_eq!(key.strike("bad key sk-secret!"), "bad key ***!");
        assert!(!format!("{:?}", key.header().unwrap()).contains("secret"));
    }

    #[test]
    fn a_missing_variable_is_named() {
        let error = Key::from_env("SEMIEVOL_TEST_NO_SUCH_KEY").unwrap_err();
        assert!(error.contains("SEMIEVOL_TEST_NO_SUCH_KEY"), "{error}");
    }
}
