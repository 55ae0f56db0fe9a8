//! Reads zip (wheels), tar.gz (source archives) and tar files. Opening one lists and checks every member;
//! a single member that would leave its folder condemns the whole archive.

use crate::error::IoContext;
use crate::{HubError, nearest};
use flate2::read::MultiGzDecoder;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use tar::EntryType;
use zip::ZipArchive;

/// A chain of links longer than this is taken for a circle.
const MOST_LINKS: usize = 16;
/// Bytes of a link's target.
const LONGEST_LINK: u64 = 4096;

pub(crate) struct Archive {
    path: PathBuf,
    name: String,
    format: Format,
    /// Every member by its path without `.` and trailing slash.
    members: BTreeMap<String, Kind>,
}

#[derive(Debug, Clone, Copy)]
enum Format {
    Zip,
    TarGz,
    Tar,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
    /// Path of the target, from the root of the archive.
    Link(String),
}

impl Archive {
    pub(crate) fn open(path: &Path) -> Result<Self, HubError> {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let format = detect(path)?.ok_or_else(|| HubError::Archive {
            archive: name.clone(),
            reason: "it is neither a zip (wheel), a tar.gz nor a tar file, so `!` cannot step into it".into(),
        })?;
        let mut archive = Archive { path: path.to_path_buf(), name, format, members: BTreeMap::new() };
        archive.members = archive.list()?;
        Ok(archive)
    }

    /// Writes one member, file or folder, or everything, as `to`.
    pub(crate) fn extract(&self, member: Option<&str>, to: &Path) -> Result<(), HubError> {
        let root = match member {
            None => String::new(),
            Some(member) => {
                let found = self.find(member)?;
                if let Some(file) = self.file_behind(&found) {
                    return self.write(&HashMap::from([(file, to.to_path_buf())]));
                }
                if let Some(Kind::Link(target)) = self.members.get(&found) {
                    let reason = format!("is a link to {target}, which is no file: write that after the `!`");
                    return Err(self.unsafe_member(&found, reason));
                }
                found
            }
        };
        let mut files = HashMap::new();
        let mut copies = Vec::new();
        for (path, kind) in &self.members {
            let Some(inside) = path_below(path, &root) else { continue };
            match kind {
                Kind::File => drop(files.insert(path.clone(), to.join(inside))),
                Kind::Folder => fs::create_dir_all(to.join(inside)).at("create", to.join(inside))?,
                Kind::Link(_) => copies.push((path, to.join(inside))),
            }
        }
        // Links become copies: a link on disk could later be written through.
        let copies = copies
            .into_iter()
            .map(|(path, copy)| {
                let original = self.file_behind(path).and_then(|file| files.get(&file)).cloned();
                original.map(|original| (original, copy)).ok_or_else(|| {
                    self.unsafe_member(path, "is a link, and not to a file among those asked for".into())
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        fs::create_dir_all(to).at("create", to)?;
        self.write(&files)?;
        for (original, copy) in copies {
            create_parent(&copy)?;
            fs::copy(&original, &copy).at("copy to", &copy)?;
        }
        Ok(())
    }

    /// The member called so, or the only one whose path ends so.
    fn find(&self, member: &str) -> Result<String, HubError> {
        let mut paths: BTreeSet<&str> = self.members.keys().map(String::as_str).collect();
        for path in self.members.keys() {
            paths.extend(path.match_indices('/').map(|(slash, _)| &path[..slash]));
        }
        if paths.contains(member) {
            return Ok(member.to_string());
        }
        let tail = format!("/{member}");
        let found: Vec<&str> = paths.iter().copied().filter(|path| path.ends_with(&tail)).collect();
        let (what, hint) = match found.as_slice() {
            [only] => return Ok(only.to_string()),
            [] => ("no", format!("near names are {}", quote(&nearest(member, paths)))),
            several => ("more than one", format!("write one of {}", quote(several))),
        };
        Err(HubError::Member { archive: self.name.clone(), what, member: member.to_string(), hint })
    }

    /// The regular file that a path names, directly or through links.
    fn file_behind(&self, path: &str) -> Option<String> {
        let mut path = path;
        for _ in 0..MOST_LINKS {
            match self.members.get(path)? {
                Kind::File => return Some(path.to_string()),
                Kind::Folder => return None,
                Kind::Link(target) => path = target,
            }
        }
        None
    }

    fn list(&self) -> Result<BTreeMap<String, Kind>, HubError> {
        match self.format {
            Format::Zip => self.list_zip(),
            Format::TarGz | Format::Tar => self.list_tar(),
        }
    }

    fn list_zip(&self) -> Result<BTreeMap<String, Kind>, HubError> {
        let mut zip = self.zip()?;
        let mut members = BTreeMap::new();
        for index in 0..zip.len() {
            let file = zip.by_index(index).map_err(|error| self.broken(error))?;
            let name = file.name().map_err(|error| self.broken(error))?.into_owned();
            let path = self.checked(&name)?;
            let kind = if file.is_symlink() {
                let mut target = String::new();
                file.take(LONGEST_LINK).read_to_string(&mut target).map_err(|error| self.broken(error))?;
                self.link(&path, folder_of(&path), &target)?
            } else if file.is_dir() {
                Kind::Folder
            } else {
                Kind::File
            };
            members.insert(path, kind);
        }
        Ok(members)
    }

    fn list_tar(&self) -> Result<BTreeMap<String, Kind>, HubError> {
        let mut members = BTreeMap::new();
        let mut tar = self.tar()?;
        for entry in tar.entries().map_err(|error| self.broken(error))? {
            let entry = entry.map_err(|error| self.broken(error))?;
            let name = self.tar_name(&entry)?;
            let kind = match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
                EntryType::Directory => Kind::Folder,
                EntryType::XGlobalHeader => continue,
                link @ (EntryType::Symlink | EntryType::Link) => {
                    let path = self.checked(&name)?;
                    let target = entry.link_name_bytes().unwrap_or_default();
                    let target = String::from_utf8_lossy(&target);
                    // A hard link's target counts from the archive's root, a symbolic one's from its folder.
                    let start = if link == EntryType::Symlink { folder_of(&path) } else { "" };
                    self.link(&path, start, &target)?
                }
                other => {
                    let reason = format!(
                        "is of type {:?}, neither file, folder nor link",
                        char::from(other.as_byte())
                    );
                    return Err(self.unsafe_member(&name, reason));
                }
            };
            let path = self.checked(&name)?;
            if !path.is_empty() {
                members.insert(path, kind);
            }
        }
        Ok(members)
    }

    /// Streams the wanted members to their files.
    fn write(&self, wanted: &HashMap<String, PathBuf>) -> Result<(), HubError> {
        match self.format {
            Format::Zip => {
                let mut zip = self.zip()?;
                for index in 0..zip.len() {
                    let file = zip.by_index(index).map_err(|error| self.broken(error))?;
                    let name = file.name().map_err(|error| self.broken(error))?.into_owned();
                    if let Some(to) = wanted.get(&self.checked(&name)?) {
                        self.write_file(file, to)?;
                    }
                }
            }
            Format::TarGz | Format::Tar => {
                let mut tar = self.tar()?;
                for entry in tar.entries().map_err(|error| self.broken(error))? {
                    let entry = entry.map_err(|error| self.broken(error))?;
                    if let Some(to) = wanted.get(&self.checked(&self.tar_name(&entry)?)?) {
                        self.write_file(entry, to)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn write_file(&self, mut from: impl Read, to: &Path) -> Result<(), HubError> {
        create_parent(to)?;
        let mut file = File::create(to).at("create", to)?;
        // A damaged archive and a full disk both end here; the message of the system tells them apart.
        io::copy(&mut from, &mut file).at("unpack to", to)?;
        // Some disks say only now that they are full.
        file.sync_all().at("unpack to", to)
    }

    fn zip(&self) -> Result<ZipArchive<BufReader<File>>, HubError> {
        ZipArchive::new(self.reader()?).map_err(|error| self.broken(error))
    }

    fn tar(&self) -> Result<tar::Archive<Box<dyn Read>>, HubError> {
        let reader = self.reader()?;
        Ok(tar::Archive::new(match self.format {
            Format::TarGz => Box::new(MultiGzDecoder::new(reader)),
            _ => Box::new(reader),
        }))
    }

    fn reader(&self) -> Result<BufReader<File>, HubError> {
        Ok(BufReader::new(File::open(&self.path).at("open", &self.path)?))
    }

    fn tar_name<R: Read>(&self, entry: &tar::Entry<'_, R>) -> Result<String, HubError> {
        String::from_utf8(entry.path_bytes().into_owned()).map_err(|error| self.broken(error))
    }

    /// A member's path without `.` and trailing slash, if it stays inside.
    fn checked(&self, name: &str) -> Result<String, HubError> {
        within("", name).map_err(|reason| self.unsafe_member(name, reason))
    }

    fn link(&self, path: &str, start: &str, target: &str) -> Result<Kind, HubError> {
        resolve(start, target)
            .map(Kind::Link)
            .map_err(|reason| self.unsafe_member(path, format!("is a link to `{target}`, which {reason}")))
    }

    fn unsafe_member(&self, member: &str, reason: String) -> HubError {
        HubError::UnsafeMember { archive: self.name.clone(), member: member.to_string(), reason }
    }

    fn broken(&self, error: impl std::fmt::Display) -> HubError {
        HubError::Archive { archive: self.name.clone(), reason: error.to_string() }
    }
}

fn detect(path: &Path) -> Result<Option<Format>, HubError> {
    let mut start = Vec::new();
    File::open(path).at("open", path)?.take(512).read_to_end(&mut start).at("read", path)?;
    Ok(if start.starts_with(b"PK") {
        Some(Format::Zip)
    } else if start.starts_with(&[0x1f, 0x8b]) {
        Some(Format::TarGz)
    } else if start.get(257..262) == Some(b"ustar") {
        Some(Format::Tar)
    } else {
        None
    })
}

/// A relative path without `.`, refusing what could leave the folder it is joined to.
pub(crate) fn within(start: &str, path: &str) -> Result<String, String> {
    if path.split(['/', '\\']).any(|part| part == "..") {
        return Err("steps out of its folder with `..`".into());
    }
    resolve(start, path)
}

/// Follows `path`, which may hold `..`, from the folder `start`.
fn resolve(start: &str, path: &str) -> Result<String, String> {
    // Anywhere in a path a colon is a drive to Windows, or a second stream of a file.
    let drive = path.as_bytes().get(1) == Some(&b':') || cfg!(windows) && path.contains(':');
    if path.starts_with('/') || path.contains(['\\', '\0']) || drive {
        return Err("is an absolute path, or holds a backslash or a zero byte".into());
    }
    let mut parts: Vec<&str> = start.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop().ok_or("leads outside the archive")?),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn path_below<'a>(path: &'a str, root: &str) -> Option<&'a str> {
    if root.is_empty() { Some(path) } else { path.strip_prefix(root)?.strip_prefix('/') }
}

fn create_parent(path: &Path) -> Result<(), HubError> {
    path.parent().map_or(Ok(()), |parent| fs::create_dir_all(parent).at("create", parent))
}

fn quote(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
