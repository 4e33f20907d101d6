//! What stands in a mirror's directory. Symbolic links are never followed.

use std::collections::BTreeMap;
use std::fs::{self, File, FileType};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

/// Beside the files: what is the history's, what is on its way, what a file system puts there.
const BESIDE: [&str; 3] = [".git", ".tmp", "lost+found"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file, and how long it is.
    File(u64),
    /// What else, in words.
    Other(&'static str),
}

/// The files below a directory.
#[derive(Debug, Default)]
pub(super) struct Found(BTreeMap<String, Kind>);

impl Found {
    pub(super) fn below(dir: &Path) -> io::Result<Self> {
        if !fs::symlink_metadata(dir)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let mut found = BTreeMap::new();
        let mut dirs = vec![String::new()];
        while let Some(below) = dirs.pop() {
            for entry in fs::read_dir(dir.join(&below))? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if below.is_empty() && BESIDE.contains(&name.as_str()) {
                    continue;
                }
                let path = if below.is_empty() {
                    name
                } else {
                    format!("{below}/{name}")
                };
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    dirs.push(path);
                } else if kind.is_file() {
                    found.insert(path, Kind::File(entry.metadata()?.len()));
                } else {
                    found.insert(path, Kind::Other(in_words(kind)));
                }
            }
        }
        Ok(Self(found))
    }

    /// What has a path; it is not of the rest any more, unless it is no file.
    pub(super) fn take(&mut self, path: &str) -> Option<Kind> {
        self.0.remove(path)
    }

    /// Whether there is anything below a directory; `dir` ends with a slash.
    pub(super) fn has_below(&self, dir: &str) -> bool {
        let first = self.0.range(dir.to_owned()..).next();
        first.is_some_and(|(path, _)| path.starts_with(dir))
    }

    /// Takes everything below a directory; `dir` ends with a slash.
    pub(super) fn take_below(&mut self, dir: &str) {
        self.0.retain(|path, _| !path.starts_with(dir));
    }

    /// Whether something that is no directory has a path.
    pub(super) fn is_other(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// The regular files, and how long they are.
    pub(super) fn files(&self) -> Vec<(String, u64)> {
        let files = self.0.iter().filter_map(|(path, kind)| match kind {
            Kind::File(len) => Some((path.clone(), *len)),
            Kind::Other(_) => None,
        });
        files.collect()
    }

    /// What was not taken.
    pub(super) fn into_rest(self) -> impl Iterator<Item = (String, Kind)> {
        self.0.into_iter()
    }
}

fn in_words(kind: FileType) -> &'static str {
    if kind.is_symlink() {
        "it is a symbolic link"
    } else if kind.is_fifo() {
        "it is a pipe"
    } else if kind.is_socket() {
        "it is a socket"
    } else {
        "it is a device"
    }
}

fn open(path: &Path) -> Option<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = File::options();
    let file = options
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .ok()?;
    file.metadata().is_ok_and(|found| found.is_file()).then_some(file)
}

/// The bytes of a file, unless there are more than `max`.
pub(super) fn read(path: &Path, max: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(max + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= max).then_some(bytes)
}

/// SHA-256 of a file.
pub(super) fn hash(path: &Path) -> Option<[u8; 32]> {
    let mut file = open(path)?;
    let mut hash = Sha256::new();
    let mut block = vec![0; 256 * 1024];
    loop {
        match file.read(&mut block).ok()? {
            0 => return Some(hash.finalize().into()),
            count => hash.update(block.get(..count)?),
        }
    }
}
