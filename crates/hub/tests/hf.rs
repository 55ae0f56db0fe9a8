//! `hf:` sources against a server on the loopback that says what the hub says.

#![allow(clippy::unwrap_used)]

use semievol_hub::{Fetched, Hub, HubConfig, HubError, Source, sha256_file};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const WEIGHTS: &str = "weights";
/// SHA-256 of [`WEIGHTS`].
const WEIGHTS_SHA256: &str = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c";

/// Extra header lines and body, or a redirect.
#[derive(Clone)]
struct Answer {
    status: u16,
    headers: String,
    body: String,
}

fn ok(headers: &str, body: &str) -> Answer {
    Answer { status: 200, headers: headers.into(), body: body.into() }
}

struct Server {
    address: String,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    /// Path and authorization of every request.
    seen: Arc<Mutex<Vec<(String, String)>>>,
    home: TempDir,
}

impl Server {
    /// A repository `o/n` with these files, served directly.
    fn with(files: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server {
            address: format!("http://{}", listener.local_addr().unwrap()),
            answers: Arc::default(),
            seen: Arc::default(),
            home: tempfile::tempdir().unwrap(),
        };
        let siblings: Vec<_> =
            files.iter().map(|(name, _)| serde_json::json!({ "rfilename": name })).collect();
        let info = serde_json::json!({ "sha": COMMIT, "siblings": siblings, "private": false }).to_string();
        server.answer("/api/models/o/n/revision/main", ok("", &info));
        for (name, text) in files {
            let tag = format!("ETag: \"{:x}\"\r\n", name.len() * 1000 + text.len());
            server.answer(&format!("/o/n/resolve/{COMMIT}/{name}"), ok(&tag, text));
        }
        let (answers, seen) = (Arc::clone(&server.answers), Arc::clone(&server.seen));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &answers.lock().unwrap(), &mut seen.lock().unwrap());
            }
        });
        server
    }

    fn answer(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.into(), answer);
    }

    fn config(&self) -> HubConfig {
        HubConfig {
            hf_home: Some(self.home.path().join("hf")),
            hf_endpoint: Some(self.address.clone()),
            ..HubConfig::new(self.home.path().join("cache"))
        }
    }

    fn fetch(&self, source: &str) -> Result<Fetched, HubError> {
        fetch(self.config(), source)
    }

    fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    fn blobs(&self) -> Vec<PathBuf> {
        let folder = self.home.path().join("hf/hub/models--o--n/blobs");
        fs::read_dir(folder).map_or(vec![], |items| items.map(|item| item.unwrap().path()).collect())
    }
}

fn fetch(config: HubConfig, source: &str) -> Result<Fetched, HubError> {
    let source: Source = source.parse().unwrap();
    Hub::new(config).fetch(&source, &mut |_| ())
}

fn serve(mut stream: TcpStream, answers: &BTreeMap<String, Answer>, seen: &mut Vec<(String, String)>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let path = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_string();
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let authorization =
        headers.iter().find_map(|line| line.to_lowercase().strip_prefix("authorization: ").map(String::from));
    let missing = Answer { status: 404, headers: String::new(), body: "no".into() };
    let Answer { status, headers, body } = answers.get(&path).unwrap_or(&missing);
    seen.push((path, authorization.unwrap_or_default()));
    let length = if headers.contains("Content-Length") {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    let _ = write!(stream, "HTTP/1.1 {status} X\r\nConnection: close\r\n{length}{headers}\r\n{body}");
}

fn model() -> Vec<(&'static str, &'static str)> {
    vec![
        ("README.md", "read me"),
        ("config.json", "{}"),
        ("tokenizer.json", "tokenizer"),
        ("tokenizer_config.json", "t"),
        ("pytorch_model.bin", "pickle"),
        ("onnx/model.onnx", "onnx"),
        ("model.safetensors", WEIGHTS),
    ]
}

#[test]
fn a_model_folder_holds_what_runs_the_model() {
    let server = Server::with(&model());
    let fetched = server.fetch("hf:o/n").unwrap();
    let mut names: Vec<_> = fs::read_dir(&fetched.path)
        .unwrap()
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]);
    assert_eq!(fs::read_to_string(fetched.path.join("model.safetensors")).unwrap(), WEIGHTS);
    assert!(fetched.path.ends_with(format!("models--o--n/snapshots/{COMMIT}")));

    // The second time nothing is asked, and offline it is there.
    let asked = server.requests();
    assert_eq!(server.fetch("hf:o/n").unwrap(), fetched);
    assert_eq!(fetch(HubConfig { offline: true, ..server.config() }, "hf:o/n").unwrap(), fetched);
    assert_eq!(server.requests(), asked);
    // hf-hub itself finds what lies there.
    let cache = hf_hub::Cache::new(server.home.path().join("hf/hub"));
    assert!(cache.model("o/n".into()).get("config.json").is_some());
}

#[test]
fn one_file_at_a_revision_through_redirects() {
    let server = Server::with(&[("a b.gguf", WEIGHTS)]);
    let info = server.answers.lock().unwrap()["/api/models/o/n/revision/main"].clone();
    server.answer("/api/models/o/n/revision/v1.0", info);
    let other = Server::with(&[]);
    other.answer("/storage", ok("", WEIGHTS));
    let hop = |location: &str, more: &str| Answer {
        status: 302,
        headers: format!("Location: {location}\r\n{more}"),
        body: String::new(),
    };
    let renamed = format!("/o/n2/resolve/{COMMIT}/a%20b.gguf");
    server.answer(&format!("/o/n/resolve/{COMMIT}/a%20b.gguf"), hop(&renamed, ""));
    let linked = format!("X-Linked-ETag: \"{WEIGHTS_SHA256}\"\r\n");
    server.answer(&renamed, hop(&format!("{}/storage", other.address), &linked));

    let config = HubConfig { hf_token: Some(semievol_hub::Token("secret".into())), ..server.config() };
    let fetched = fetch(config.clone(), "hf:o/n@v1.0/a b.gguf").unwrap();
    assert_eq!(fs::read_to_string(&fetched.path).unwrap(), WEIGHTS);
    assert_eq!(fetched.digest.as_deref(), Some(WEIGHTS_SHA256));
    let again = fetch(HubConfig { offline: true, ..config }, "hf:o/n@v1.0/a b.gguf").unwrap();
    assert_eq!(again.path, fetched.path);
    // Without symbolic links the file's name does not say it.
    assert_eq!(again.digest.as_deref(), cfg!(unix).then_some(WEIGHTS_SHA256));

    // The token goes to the hub and not beyond.
    assert!(server.seen.lock().unwrap().iter().all(|(_, authorization)| authorization == "bearer secret"));
    assert_eq!(other.seen.lock().unwrap().as_slice(), [("/storage".to_string(), String::new())]);
}

#[test]
fn a_data_sets_file() {
    let server = Server::with(&[]);
    let info = format!(r#"{{"sha":"{COMMIT}","siblings":[{{"rfilename":"data/train.csv"}}]}}"#);
    server.answer("/api/datasets/o/d/revision/main", ok("", &info));
    server.answer(&format!("/datasets/o/d/resolve/{COMMIT}/data/train.csv"), ok("ETag: \"ab\"\r\n", "a,b"));
    let fetched = server.fetch("hf:datasets/o/d/data/train.csv").unwrap();
    assert_eq!(fs::read_to_string(&fetched.path).unwrap(), "a,b");
    assert_eq!(fetched.digest, Some(sha256_file(&fetched.path).unwrap()));
}

#[test]
fn bytes_that_are_not_those_announced_are_thrown_away() {
    let server = Server::with(&[("m.gguf", "other")]);
    let linked = format!("X-Linked-ETag: \"{WEIGHTS_SHA256}\"\r\n");
    server.answer(&format!("/o/n/resolve/{COMMIT}/m.gguf"), ok(&linked, "forged!"));
    let error = server.fetch("hf:o/n/m.gguf").unwrap_err();
    assert!(matches!(&error, HubError::Digest { expected, .. } if expected == WEIGHTS_SHA256), "{error}");
    assert_eq!(server.blobs(), Vec::<PathBuf>::new());
}

#[test]
fn a_connection_that_breaks_leaves_nothing_and_can_be_repeated() {
    let server = Server::with(&model());
    let path = format!("/o/n/resolve/{COMMIT}/model.safetensors");
    server.answer(&path, ok("ETag: \"a\"\r\nContent-Length: 7\r\n", "wei"));
    let error = server.fetch("hf:o/n").unwrap_err().to_string();
    assert!(error.contains("hf:o/n: http://127.0.0.1") && error.contains("model.safetensors"), "{error}");
    assert!(server.blobs().iter().all(|blob| !blob.to_string_lossy().contains("incomplete")));
    let offline = fetch(HubConfig { offline: true, ..server.config() }, "hf:o/n");
    assert!(matches!(offline, Err(HubError::Offline { .. })), "{offline:?}");
    server.answer(&path, ok("ETag: \"a\"\r\n", WEIGHTS));
    assert_eq!(
        fs::read_to_string(server.fetch("hf:o/n").unwrap().path.join("model.safetensors")).unwrap(),
        WEIGHTS
    );
}

#[test]
fn a_missing_shard_makes_no_model() {
    let index = r#"{"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}}"#;
    let server = Server::with(&[
        ("config.json", "{}"),
        ("model.safetensors.index.json", index),
        ("model-1.safetensors", "1"),
    ]);
    assert!(matches!(server.fetch("hf:o/n"), Err(HubError::Archive { .. })));
    assert!(matches!(server.fetch("hf:o/n"), Err(HubError::Archive { .. })));
}

#[test]
fn a_folder_without_its_tokenizer_is_fetched_on() {
    let server = Server::with(&model());
    let tokenizer = server.fetch("hf:o/n").unwrap().path.join("tokenizer.json");
    let offline = || HubConfig { offline: true, ..server.config() };
    fs::remove_file(&tokenizer).unwrap();
    assert!(matches!(fetch(offline(), "hf:o/n"), Err(HubError::Offline { .. })));
    server.fetch("hf:o/n").unwrap();
    assert_eq!(fs::read_to_string(&tokenizer).unwrap(), "tokenizer");
    // A link to a blob that is gone is no file either.
    fs::remove_file(fs::canonicalize(&tokenizer).unwrap()).unwrap();
    assert!(matches!(fetch(offline(), "hf:o/n"), Err(HubError::Offline { .. })));
}

#[test]
fn without_a_tokenizer_where_the_repository_has_none_or_is_an_adapter() {
    let weights = ("model.safetensors", WEIGHTS);
    for (what, marked) in [("config.json", true), ("adapter_config.json", false)] {
        let server = Server::with(&[(what, "{}"), weights]);
        let fetched = server.fetch("hf:o/n").unwrap();
        let offline = || HubConfig { offline: true, ..server.config() };
        assert_eq!(fetch(offline(), "hf:o/n").unwrap(), fetched);
        // What says so is the hub's list, kept where the Python package keeps it.
        let notes = server.home.path().join("hf/hub/models--o--n/.no_exist");
        assert!(notes.join(COMMIT).join("tokenizer.json").is_file());
        fs::remove_dir_all(notes).unwrap();
        assert_eq!(fetch(offline(), "hf:o/n").is_err(), marked, "{what}");
    }
}

#[test]
fn a_broken_index_makes_no_model() {
    let index = r#"{"weight_map":{"a":"model-1.safetensors"}}"#;
    let files = |index| {
        [
            ("config.json", "{}"),
            ("tokenizer.json", "t"),
            ("model.safetensors.index.json", index),
            ("model-1.safetensors", "1"),
        ]
    };
    let server = Server::with(&files(index));
    let held = server.fetch("hf:o/n").unwrap().path.join("model.safetensors.index.json");
    for broken in ["", "{\"weight_map\":", "{}"] {
        fs::write(&held, broken).unwrap();
        let offline = fetch(HubConfig { offline: true, ..server.config() }, "hf:o/n");
        assert!(matches!(offline, Err(HubError::Offline { .. })), "{broken}: {offline:?}");
        server.fetch("hf:o/n").unwrap();
        assert_eq!(fs::read_to_string(&held).unwrap(), index);
    }
    let server = Server::with(&files("{"));
    for _ in 0..2 {
        assert!(matches!(server.fetch("hf:o/n"), Err(HubError::Archive { .. })));
    }
}

#[test]
fn errors_name_server_and_remedy() {
    let server = Server::with(&model());
    let error = server.fetch("hf:o/unknown").unwrap_err().to_string();
    assert!(error.contains("/api/models/o/unknown/revision/main") && error.contains("404"), "{error}");
    assert!(error.contains("HF_ENDPOINT") && error.contains("local copy"), "{error}");

    let error = server.fetch("hf:o/n/model.safetensor").unwrap_err().to_string();
    assert!(error.contains("no `model.safetensor`") && error.contains("\"model.safetensors\""), "{error}");

    let gguf = Server::with(&[("README.md", ""), ("tiny.Q4.gguf", "")]);
    let error = gguf.fetch("hf:o/n").unwrap_err().to_string();
    assert!(error.contains("hf:o/n/FILE") && error.contains("tiny.Q4.gguf"), "{error}");

    let evil =
        Server::with(&[("config.json", "{}"), ("tokenizer\\..\\..\\x.json", ""), ("m.safetensors", "")]);
    let error = evil.fetch("hf:o/n").unwrap_err().to_string();
    assert!(error.contains("member `tokenizer\\..\\..\\x.json` steps out"), "{error}");

    let nobody = HubConfig { hf_endpoint: Some("http://127.0.0.1:9".into()), ..server.config() };
    assert!(matches!(fetch(nobody, "hf:a/b"), Err(HubError::Http { .. })));
    let offline = HubConfig { offline: true, ..server.config() };
    assert!(fetch(offline, "hf:o/n").unwrap_err().to_string().contains("downloads are off"));
}

#[test]
fn local_paths_are_taken_as_they_are() {
    let server = Server::with(&[]);
    let file = server.home.path().join("model.gguf");
    fs::write(&file, WEIGHTS).unwrap();
    assert_eq!(server.fetch(file.to_str().unwrap()).unwrap(), Fetched { path: file, digest: None });
    assert!(
        server.fetch("no/such/model").unwrap_err().to_string().starts_with("no/such/model: no such file")
    );
}
