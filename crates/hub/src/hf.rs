//! Fetches from the hub into its own cache (`HF_HOME`), in the layout that hf-hub and the hub's Python
//! package share, so that a file fetched by either is found.
//!
//! Names, addresses and the cache's layout are hf-hub's. The transfer is not: hf-hub 0.5 offers either
//! OpenSSL or a compiled-in list of certificates, and here the system's store decides whom to trust.

use crate::archive::within;
use crate::digest::{copy_hashed, short_hash};
use crate::error::IoContext;
use crate::source::HfSource;
use crate::{Fetched, Hub, HubError, Progress, cache};
use hf_hub::api::sync::{ApiBuilder, ApiRepo};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::{HeaderMap, Response, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

const MOST_REDIRECTS: usize = 8;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer about a repository that is read into memory.
const MOST_INFO_BYTES: u64 = 64 << 20;
/// Files without which a folder is no model.
const WHAT_IT_IS: [&str; 2] = ["config.json", ADAPTER];
const ADAPTER: &str = "adapter_config.json";
const TOKENIZER: &str = "tokenizer.json";
const INDEX: &str = ".safetensors.index.json";

pub(crate) fn fetch(
    hub: &Hub,
    source: &HfSource,
    on: &mut dyn FnMut(&Progress),
) -> Result<Fetched, HubError> {
    let repository = Repository::of(hub, source);
    if let Some(fetched) = repository.cached() {
        return Ok(fetched);
    }
    if hub.config.offline {
        return Err(HubError::Offline { text: source.to_string(), place: hub.config.hf_cache() });
    }
    let lock =
        hub.config.cache_dir.join("hf").join(short_hash(&format!("{}{}", source.dataset, source.repo)));
    let _lock = cache::lock(&lock, on)?;
    if let Some(fetched) = repository.cached() {
        return Ok(fetched);
    }
    on(&Progress::Started { what: source.to_string() });
    Connection::open(hub, source)?.download(&repository, on)
}

struct Repository<'a> {
    source: &'a HfSource,
    revision: &'a str,
    cache: CacheRepo,
}

impl<'a> Repository<'a> {
    fn of(hub: &Hub, source: &'a HfSource) -> Self {
        let cache = Cache::new(hub.config.hf_cache()).repo(repo(source));
        Repository { source, revision: revision(source), cache }
    }

    /// A file or a complete model folder that the cache holds. Nothing is asked of the network, also where
    /// the revision is a branch that moved on.
    fn cached(&self) -> Option<Fetched> {
        let snapshot = self.snapshot()?;
        match &self.source.file {
            Some(file) => {
                let path = snapshot.join(file);
                // Large files lie under the digest that the server announced and `download` checked.
                let blob = fs::canonicalize(&path).ok().filter(|blob| blob.is_file())?;
                let digest = blob.file_name().map(|name| name.to_string_lossy().into_owned());
                Some(Fetched { path, digest: digest.filter(|name| is_sha256(name)) })
            }
            None => is_complete(&snapshot).then_some(Fetched { path: snapshot, digest: None }),
        }
    }

    fn snapshot(&self) -> Option<PathBuf> {
        // `pointer_path` is `snapshots/COMMIT` in the repository's folder; the reference lies beside it.
        let named = self.cache.pointer_path(self.revision);
        let references = named.parent()?.parent()?.join("refs");
        match fs::read_to_string(references.join(self.revision)) {
            Ok(commit) if is_plain(commit.trim()) => Some(self.cache.pointer_path(commit.trim())),
            _ => Some(named),
        }
        .filter(|snapshot| snapshot.is_dir())
    }
}

fn repo(source: &HfSource) -> Repo {
    let kind = if source.dataset { RepoType::Dataset } else { RepoType::Model };
    Repo::with_revision(source.repo.clone(), kind, revision(source).to_string())
}

fn revision(source: &HfSource) -> &str {
    source.revision.as_deref().unwrap_or("main")
}

/// Weights are fetched last, every shard that an index names must be there, and so must the tokenizer of what
/// is no adapter, unless the repository has none: what passes is whole.
fn is_complete(snapshot: &Path) -> bool {
    let Ok(items) = fs::read_dir(snapshot) else { return false };
    let names: BTreeSet<String> = items
        .flatten()
        .filter(|item| item.path().is_file())
        .map(|item| item.file_name().to_string_lossy().into_owned())
        .collect();
    let indices = names.iter().filter(|name| name.ends_with(INDEX));
    let Some(shards) = indices.map(|index| shards_of(&snapshot.join(index))).collect::<Option<Vec<_>>>()
    else {
        return false;
    };
    WHAT_IT_IS.iter().any(|file| names.contains(*file))
        && names.iter().any(|name| name.ends_with(".safetensors"))
        && shards.iter().flatten().all(|shard| names.contains(shard))
        && (names.contains(TOKENIZER)
            || names.contains(ADAPTER)
            || absence_of_a_tokenizer(snapshot).is_some_and(|mark| mark.exists()))
}

/// Where the hub's Python package notes that a revision has no such file: `.no_exist/COMMIT/FILE`, empty.
fn absence_of_a_tokenizer(snapshot: &Path) -> Option<PathBuf> {
    let repository = snapshot.parent()?.parent()?;
    Some(repository.join(".no_exist").join(snapshot.file_name()?).join(TOKENIZER))
}

fn note_absence_of_a_tokenizer(snapshot: &Path) -> Result<(), HubError> {
    let Some(mark) = absence_of_a_tokenizer(snapshot) else { return Ok(()) };
    let folder = mark.parent().unwrap_or(snapshot);
    fs::create_dir_all(folder).at("create", folder)?;
    fs::write(&mark, "").at("write", &mark)
}

/// The files that an index names; `None` if it cannot be read.
fn shards_of(index: &Path) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let text = fs::read(index).ok()?;
    let index: Index = serde_json::from_slice(&text).ok()?;
    Some(index.weight_map.into_values().collect())
}

/// Whether a file of a repository is needed to run or train the model, without its file formats of other
/// engines.
fn is_of_the_model(file: &str) -> bool {
    const NAMES: [&str; 10] = [
        "config.json",
        "generation_config.json",
        "special_tokens_map.json",
        "chat_template.jinja",
        "chat_template.json",
        "adapter_config.json",
        "modules.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
        "1_Pooling/config.json",
    ];
    let in_the_root = !file.contains('/');
    let tokenizer = file.starts_with("tokenizer") && file.ends_with(".json");
    // Mistral's folders hold the same weights twice.
    let twice = file.starts_with("consolidated");
    let weights = !twice && (file.ends_with(".safetensors") || file.ends_with(INDEX));
    NAMES.contains(&file) || in_the_root && (tokenizer || weights)
}

struct Connection<'a> {
    source: &'a HfSource,
    agent: Agent,
    api: ApiRepo,
    token: Option<String>,
}

/// What the hub says of a revision.
#[derive(Deserialize)]
struct Info {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl<'a> Connection<'a> {
    fn open(hub: &Hub, source: &'a HfSource) -> Result<Self, HubError> {
        let cache = Cache::new(hub.config.hf_cache());
        let token = hub.config.hf_token.as_ref().map(|token| token.0.clone()).or_else(|| cache.token());
        let mut builder = ApiBuilder::from_cache(cache).with_progress(false);
        if let Some(endpoint) = &hub.config.hf_endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_string());
        }
        let api = builder.build().map_err(|error| HubError::Http {
            text: source.to_string(),
            url: hub.config.hf_endpoint.clone().unwrap_or_else(|| "the hub".into()),
            reason: error.to_string(),
            source: Some(Box::new(error)),
        })?;
        let agent = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(READ_TIMEOUT))
            .timeout_per_read(Some(READ_TIMEOUT))
            .user_agent(concat!("semievol-hub/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Connection { source, agent, api: api.repo(repo(source)), token })
    }

    fn download(
        &self,
        repository: &Repository<'_>,
        on: &mut dyn FnMut(&Progress),
    ) -> Result<Fetched, HubError> {
        let info = self.info()?;
        let files = self.wanted(&info)?;
        let snapshot = repository.cache.pointer_path(&info.sha);
        let mut digest = None;
        for file in &files {
            let held = snapshot.join(file);
            let broken = || file.ends_with(INDEX) && shards_of(&held).is_none();
            if !held.is_file() || self.source.file.is_none() && broken() {
                digest = Some(self.file(repository, &info.sha, file, on)?);
            }
        }
        repository.cache.create_ref(&info.sha).at("write the reference in", snapshot.as_path())?;
        let whole = self.source.file.is_none();
        if whole && !files.iter().any(|file| file == TOKENIZER) {
            note_absence_of_a_tokenizer(&snapshot)?;
        }
        if whole && !is_complete(&snapshot) {
            let reason =
                "its safetensors index names files that the repository lacks, or cannot be read".into();
            return Err(HubError::Archive { archive: self.source.to_string(), reason });
        }
        let path = self.source.file.as_ref().map_or(snapshot.clone(), |file| snapshot.join(file));
        Ok(Fetched { path, digest: if whole { None } else { digest } })
    }

    fn info(&self) -> Result<Info, HubError> {
        let url = format!("{}/api/{}", self.endpoint(), repo(self.source).api_url());
        let (mut response, _) = self.get(&url)?;
        let mut text = Vec::new();
        response
            .body_mut()
            .as_reader()
            .take(MOST_INFO_BYTES)
            .read_to_end(&mut text)
            .map_err(|error| self.failed(&url, error))?;
        let info: Info = serde_json::from_slice(&text).map_err(|error| self.failed(&url, error))?;
        if is_plain(&info.sha) {
            Ok(info)
        } else {
            Err(self.refused(&url, format!("`{}` is no commit", info.sha)))
        }
    }

    /// The files to fetch, weights last.
    fn wanted(&self, info: &Info) -> Result<Vec<String>, HubError> {
        let repository = self.source.to_string();
        let names: Vec<&str> = info.siblings.iter().map(|sibling| sibling.rfilename.as_str()).collect();
        if let Some(file) = &self.source.file {
            if names.contains(&file.as_str()) {
                return Ok(vec![file.clone()]);
            }
            let hint = format!("near names are {:?}", crate::nearest(file, names));
            return Err(HubError::Member { archive: repository, what: "no", member: file.clone(), hint });
        }
        let mut files: Vec<String> =
            names.iter().filter(|name| is_of_the_model(name)).map(|name| name.to_string()).collect();
        for file in &files {
            within("", file).map_err(|reason| HubError::UnsafeMember {
                archive: repository.clone(),
                member: file.clone(),
                reason,
            })?;
        }
        files.sort_by_key(|file| (file.ends_with(".safetensors"), file.clone()));
        let is_model = files.iter().any(|file| WHAT_IT_IS.contains(&file.as_str()))
            && files.last().is_some_and(|file| file.ends_with(".safetensors"));
        if is_model {
            return Ok(files);
        }
        let hint = format!(
            "it has no config.json with safetensors weights; name one file with `{repository}/FILE`, such as {:?}",
            crate::nearest("model.gguf", names)
        );
        Err(HubError::Member { archive: repository, what: "no", member: "model".into(), hint })
    }

    /// Downloads one file into the cache and gives its SHA-256.
    fn file(
        &self,
        repository: &Repository<'_>,
        commit: &str,
        file: &str,
        on: &mut dyn FnMut(&Progress),
    ) -> Result<String, HubError> {
        let kind = repo(self.source).url();
        let url = format!("{}/{kind}/resolve/{commit}/{}", self.endpoint(), percent_encoded(file));
        let (response, tag) = self.get(&url)?;
        let tag = tag.unwrap_or_else(|| short_hash(&url));
        let total = response.headers().get("content-length").and_then(|len| len.to_str().ok()?.parse().ok());

        let blob = repository.cache.blob_path(&tag);
        let blobs = blob.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(blobs).at("create", blobs)?;
        let prefix = format!("{tag}.");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".incomplete");
        // Temporary files are their owner's alone; a cache may be shared.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
        let temporary = builder.tempfile_in(blobs).at("create a file in", blobs)?;
        let mut writer: &File = temporary.as_file();
        let body = response.into_body().into_reader();
        let mut report = |done| on(&Progress::Bytes { done, total });
        let found = copy_hashed(body, &mut writer, &mut report).map_err(|error| self.failed(&url, error))?;
        // Some disks say only now that they are full.
        temporary.as_file().sync_all().at("write to", temporary.path())?;
        let written = temporary.as_file().metadata().at("inspect", temporary.path())?.len();
        if let Some(total) = total.filter(|total| *total != written) {
            return Err(self.refused(&url, format!("{written} of {total} bytes came")));
        }
        if is_sha256(&tag) && tag != found {
            return Err(HubError::Digest { text: format!("{} ({file})", self.source), expected: tag, found });
        }
        temporary.persist(&blob).map_err(|error| error.error).at("move the download to", &blob)?;
        let pointer = repository.cache.pointer_path(commit).join(file);
        point(&blob, &pointer, file)?;
        Ok(found)
    }

    /// The answer after redirects, and the tag by which the hub names the file's content.
    fn get(&self, url: &str) -> Result<(Response<Body>, Option<String>), HubError> {
        let endpoint = self.endpoint();
        let (mut at, mut tag) = (url.to_string(), None);
        for _ in 0..MOST_REDIRECTS {
            let mut request = self.agent.get(&at);
            // The token is for the hub itself, not for the storage it points to.
            if let Some(token) = self.token.as_ref().filter(|_| origin(&at) == origin(&endpoint)) {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let response = request.call().map_err(|error| self.failed(&at, error))?;
            tag = tag.or_else(|| content_tag(response.headers()));
            let status = response.status();
            if status.is_success() {
                return Ok((response, tag));
            }
            let location = response.headers().get("location").and_then(|location| location.to_str().ok());
            match location.filter(|_| status.is_redirection()) {
                Some(path) if path.starts_with('/') => {
                    at = format!("{}{path}", origin(&at).unwrap_or_default())
                }
                Some(location) => at = location.to_string(),
                None => {
                    let gated = match status.as_u16() {
                        401 | 403 => {
                            " (a model with terms of its own wants them accepted on its page, and HF_TOKEN set to a token of who did)"
                        }
                        _ => "",
                    };
                    return Err(self.refused(&at, format!("the server answered {status}{gated}")));
                }
            }
        }
        Err(self.refused(url, format!("more than {MOST_REDIRECTS} redirects")))
    }

    /// The server, without a trailing slash; hf-hub knows the default.
    fn endpoint(&self) -> String {
        let url = self.api.url("");
        let repository = format!("/{}/resolve/", repo(self.source).url());
        url.rsplit_once(&repository).map_or(url.clone(), |(endpoint, _)| endpoint.to_string())
    }

    fn failed(&self, url: &str, error: impl std::error::Error + Send + Sync + 'static) -> HubError {
        let (url, reason) = (url.to_string(), error.to_string());
        HubError::Http { text: self.source.to_string(), url, reason, source: Some(Box::new(error)) }
    }

    fn refused(&self, url: &str, reason: String) -> HubError {
        HubError::Http { text: self.source.to_string(), url: url.to_string(), reason, source: None }
    }
}

fn origin(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
}

/// The content's SHA-256 for large files, git's name for small ones.
fn content_tag(headers: &HeaderMap) -> Option<String> {
    let tag = headers.get("x-linked-etag").or_else(|| headers.get("etag"))?.to_str().ok()?;
    let tag = tag.trim_start_matches("W/").trim_matches('"');
    is_plain(tag).then(|| tag.to_string())
}

fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_sha256(word: &str) -> bool {
    word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn percent_encoded(path: &str) -> String {
    path.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    })
}

/// Makes the snapshot's file out of the blob: a relative link where there are such, else a hard one or a copy.
fn point(blob: &Path, pointer: &Path, file: &str) -> Result<(), HubError> {
    if let Some(folder) = pointer.parent() {
        fs::create_dir_all(folder).at("create", folder)?;
    }
    let _ = fs::remove_file(pointer);
    #[cfg(unix)]
    {
        let up = "../".repeat(2 + file.matches('/').count());
        let target = format!("{up}blobs/{}", blob.file_name().unwrap_or_default().to_string_lossy());
        std::os::unix::fs::symlink(target, pointer).at("link to the download at", pointer)
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        if fs::hard_link(blob, pointer).is_ok() {
            return Ok(());
        }
        // A copy that is cut short must not look whole.
        let part = pointer.with_added_extension("part");
        fs::copy(blob, &part).at("copy the download to", &part)?;
        fs::rename(&part, pointer).at("copy the download to", pointer)
    }
}
