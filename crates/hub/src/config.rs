use crate::HubError;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// How a [`Hub`](crate::Hub) finds and keeps things. [`HubConfig::new`] has the defaults.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Folder for downloads; created.
    pub cache_dir: PathBuf,
    /// Never download; what the caches hold is served. Off by default.
    pub offline: bool,
    /// The command that runs pip, such as `["python3", "-m", "pip"]`. Empty, the default, tries the usual ones.
    pub pip: Vec<String>,
    /// The Hugging Face hub's own folder, which holds `hub/` and `token`; `None` for the one in the home
    /// folder.
    pub hf_home: Option<PathBuf>,
    /// The hub's server, such as a mirror; `None` for the public one.
    pub hf_endpoint: Option<String>,
    /// Opens private repositories; `None` for the token file in `hf_home`, if there is one.
    pub hf_token: Option<Token>,
}

/// A secret that does not show in logs.
#[derive(Clone)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl HubConfig {
    /// Downloads to `cache_dir`, everything else by default; the environment is not read.
    pub fn new(cache_dir: impl Into<PathBuf>) -> Self {
        HubConfig {
            cache_dir: cache_dir.into(),
            offline: false,
            pip: Vec::new(),
            hf_home: None,
            hf_endpoint: None,
            hf_token: None,
        }
    }

    /// Reads `SEMIEVOL_CACHE` (else `XDG_CACHE_HOME/semievol`, else `~/.cache/semievol`), `SEMIEVOL_OFFLINE`
    /// (on unless empty, `0` or `false`), `HF_HOME`, `HF_ENDPOINT` and `HF_TOKEN`.
    ///
    /// # Errors
    /// If none of the three folders is known.
    pub fn from_env() -> Result<Self, HubError> {
        Self::from_variables(&|name| env::var_os(name), env::home_dir())
    }

    fn from_variables(
        variable: &dyn Fn(&str) -> Option<OsString>,
        home: Option<PathBuf>,
    ) -> Result<Self, HubError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        let in_xdg = || {
            // The specification says to ignore a relative path.
            let folder = set("XDG_CACHE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
            Some(folder.or_else(|| Some(home?.join(".cache")))?.join("semievol"))
        };
        let cache_dir = set("SEMIEVOL_CACHE").map(PathBuf::from).or_else(in_xdg);
        let offline = set("SEMIEVOL_OFFLINE").is_some_and(|value| value != "0" && value != "false");
        Ok(HubConfig {
            offline,
            hf_home: set("HF_HOME").map(PathBuf::from),
            hf_endpoint: text("HF_ENDPOINT"),
            hf_token: text("HF_TOKEN").map(Token),
            ..HubConfig::new(cache_dir.ok_or(HubError::NoCacheFolder)?)
        })
    }

    /// The folder of the hub's repositories. Without a home folder it lies in our own cache.
    pub(crate) fn hf_cache(&self) -> PathBuf {
        let in_home = || env::home_dir().map(|home| home.join(".cache").join("huggingface"));
        let home =
            self.hf_home.clone().or_else(in_home).unwrap_or_else(|| self.cache_dir.join("huggingface"));
        home.join("hub")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)], home: Option<&str>) -> Result<HubConfig, HubError> {
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).into());
        HubConfig::from_variables(&find, home.map(PathBuf::from))
    }

    #[cfg(unix)]
    #[test]
    fn the_cache_lies_where_the_most_specific_variable_says() {
        let (own, xdg) = (("SEMIEVOL_CACHE", "mine"), ("XDG_CACHE_HOME", "/xdg"));
        for (variables, home, folder) in [
            (vec![own, xdg], Some("/home/me"), "mine"),
            (vec![xdg], Some("/home/me"), "/xdg/semievol"),
            (vec![("XDG_CACHE_HOME", "relative")], Some("/home/me"), "/home/me/.cache/semievol"),
            (vec![], Some("/home/me"), "/home/me/.cache/semievol"),
        ] {
            assert_eq!(read(&variables, home).unwrap().cache_dir, PathBuf::from(folder));
        }
        assert!(matches!(read(&[], None), Err(HubError::NoCacheFolder)));
    }

    #[test]
    fn offline_unless_denied() {
        for (value, offline) in [("1", true), ("true", true), ("0", false), ("false", false), ("", false)] {
            assert_eq!(
                read(&[("SEMIEVOL_OFFLINE", value)], Some("/h")).unwrap().offline,
                offline,
                "{value:?}"
            );
        }
    }

    #[test]
    fn a_token_does_not_show() {
        let config = read(&[("HF_TOKEN", "hf_secret")], Some("/h")).unwrap();
        assert!(!format!("{config:?}").contains("hf_secret"));
    }
}
