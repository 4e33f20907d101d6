//! A directory tree that others can write in, looked into: each path is opened below the directory's descriptor, one
//! component after the other, never through a symbolic link.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: CString,
    pub(crate) is_dir: bool,
}

impl Entry {
    /// Its name, unless it is none of ours.
    pub(crate) fn as_str(&self) -> Option<&str> {
        self.name.to_str().ok()
    }
}

/// An open directory.
#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
}

/// Opens a directory inside of another one.
pub(super) fn open_dir(parent: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

/// Whether an open of a directory failed since something else has its name.
pub(super) fn is_other(error: Errno) -> bool {
    matches!(error, Errno::NOTDIR | Errno::LOOP | Errno::MLINK)
}

/// What is in a directory.
pub(super) fn entries(dir: &OwnedFd) -> io::Result<impl Iterator<Item = io::Result<Entry>>> {
    Ok(Dir::read_from(dir)?.filter_map(move |entry| {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return Some(Err(error.into())),
        };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            return None;
        }
        let kind = match entry.file_type() {
            // Some file systems do not say.
            FileType::Unknown => statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode)),
            kind => kind,
        };
        Some(Ok(Entry {
            is_dir: kind == FileType::Directory,
            name: name.to_owned(),
        }))
    }))
}

impl Tree {
    /// Opens the directory at `path`, which whoever asks has chosen: links in it are followed.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let root = openat(CWD, path, flags, Mode::empty())?;
        Ok(Self { root })
    }

    /// The directory itself.
    pub(super) fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// The directory at `path`; `None` when there is none.
    pub(super) fn dir(&self, path: &str) -> io::Result<Option<OwnedFd>> {
        let mut dir = self.root.try_clone()?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            dir = match open_dir(&dir, name) {
                Ok(inner) => inner,
                Err(error) if error == Errno::NOENT || is_other(error) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
        }
        Ok(Some(dir))
    }

    /// The plain file at `path`, for reading; `None` when there is none.
    pub(crate) fn file(&self, path: &str) -> io::Result<Option<File>> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(parent) = self.dir(parent)? else {
            return Ok(None);
        };
        // A pipe must not hold the opener up.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&parent, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT | Errno::LOOP | Errno::MLINK | Errno::NXIO) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(file.metadata()?.is_file().then_some(file))
    }

    /// The bytes of the file at `path`; `None` when there is none, or one of more than `max` bytes.
    pub(crate) fn read(&self, path: &str, max: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.file(path)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok((bytes.len() as u64 <= max).then_some(bytes))
    }

    /// What is in the directory at `path`; nothing when there is none.
    pub(crate) fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        match self.dir(path)? {
            Some(dir) => entries(&dir)?.collect(),
            None => Ok(Vec::new()),
        }
    }
}
