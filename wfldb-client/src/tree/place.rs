//! Where downloads of trees go.
//!
//! SECURITY: below a target directory every component is opened relative to the one before, without following
//! symbolic links. A link that someone put into the tree is reported, never written through, and never replaced.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, statat};
use rustix::io::Errno;
use wfldb_core::id::ContentHash;

use super::meta::FileMeta;
use super::part::{PartFile, is_part_name, set_meta};
use crate::Error;

/// An open target directory.
#[derive(Debug)]
pub struct TargetDir {
    root: OwnedFd,
    path: PathBuf,
}

impl TargetDir {
    /// Opens a directory, making it and its parents when they are missing. Blocks.
    ///
    /// # Errors
    /// `Local` when it is no directory or cannot be made.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |error: io::Error| Error::io("cannot open directory", path, &error);
        std::fs::create_dir_all(path).map_err(failed)?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let root = openat(CWD, path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        Ok(Self {
            root,
            path: path.to_owned(),
        })
    }

    /// Where a relative path lies, for messages.
    pub fn display(&self, relative: &Path) -> PathBuf {
        self.path.join(relative)
    }

    /// Begins to write the file at `relative`. Blocks.
    ///
    /// # Errors
    /// `Local` when the place is taken by something else than a regular file, or a component is a symbolic link.
    pub fn begin(&self, relative: &Path) -> Result<PartFile, Error> {
        let (parent, name) = self.parent(relative, true)?;
        if is_part_name(&name) {
            let shown = self.display(relative);
            return Err(Error::Local(format!(
                "{}: such names are for unfinished downloads",
                shown.display()
            )));
        }
        PartFile::begin(parent, &name, self.display(relative))
    }

    /// Hash of the regular file at `relative` if it is `len` bytes long. Blocks.
    ///
    /// # Errors
    /// `Local` when it cannot be read, or a component is a symbolic link.
    pub fn hash_of(&self, relative: &Path, len: u64) -> Result<Option<ContentHash>, Error> {
        let failed = |error: io::Error| Error::io("cannot read", &self.display(relative), &error);
        let Some((parent, name)) = self.parent_if_there(relative)? else {
            return Ok(None);
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&parent, name.as_os_str(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            // A link or a special file is not the file we look for; writing will say what it is.
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
            Err(error) => return Err(failed(error.into())),
        };
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() || metadata.len() != len {
            return Ok(None);
        }
        let mut hasher = blake3::Hasher::new();
        let mut bounded = file.take(len);
        let mut buffer = vec![0; usize::try_from(len).unwrap_or(usize::MAX).clamp(1, 1 << 20)];
        loop {
            let read = bounded.read(&mut buffer).map_err(failed)?;
            match buffer.get(..read) {
                None | Some([]) => break,
                Some(piece) => hasher.update(piece),
            };
        }
        Ok(Some(ContentHash::from_bytes(*hasher.finalize().as_bytes())))
    }

    /// Makes the directory at `relative` and its parents; false when it was there. Blocks.
    ///
    /// # Errors
    /// `Local` when something else is in the way.
    pub fn make_directory(&self, relative: &Path) -> Result<bool, Error> {
        let missing = matches!(
            statat(&self.root, relative, AtFlags::SYMLINK_NOFOLLOW),
            Err(Errno::NOENT)
        );
        self.walk(relative, true).map(|_| missing)
    }

    /// Gives the directory at `relative` its time and mode. Blocks.
    ///
    /// # Errors
    /// `Local` when it is not there or the system refuses.
    pub fn set_directory_meta(&self, relative: &Path, meta: FileMeta) -> Result<(), Error> {
        let directory = self.walk(relative, false)?;
        set_meta(&directory, meta)
            .map_err(|error| Error::io("cannot set time and mode of", &self.display(relative), &error))
    }

    fn parent(&self, relative: &Path, make: bool) -> Result<(OwnedFd, OsString), Error> {
        let name = relative.file_name().ok_or_else(|| outside(relative))?;
        let parent = self.walk(relative.parent().unwrap_or(Path::new("")), make)?;
        Ok((parent, name.to_owned()))
    }

    fn parent_if_there(&self, relative: &Path) -> Result<Option<(OwnedFd, OsString)>, Error> {
        let above = relative.parent().unwrap_or(Path::new(""));
        match statat(&self.root, above, AtFlags::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR) if !above.as_os_str().is_empty() => Ok(None),
            _ => self.parent(relative, false).map(Some),
        }
    }

    fn walk(&self, relative: &Path, make: bool) -> Result<OwnedFd, Error> {
        let failed = |error: Errno| match error {
            Errno::LOOP | Errno::NOTDIR => Error::Local(format!(
                "{}: a component of this path is a file or a symbolic link, not a directory",
                self.display(relative).display()
            )),
            error => Error::io("cannot open directory", &self.display(relative), &error.into()),
        };
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let mut here = openat(&self.root, ".", flags, Mode::empty()).map_err(failed)?;
        for component in relative.components() {
            let Component::Normal(name) = component else {
                return Err(outside(relative));
            };
            here = match openat(&here, name, flags, Mode::empty()) {
                Err(Errno::NOENT) if make => {
                    match mkdirat(&here, name, Mode::from_raw_mode(0o777)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(failed(error)),
                    }
                    openat(&here, name, flags, Mode::empty())
                }
                opened => opened,
            }
            .map_err(failed)?;
        }
        Ok(here)
    }
}

fn outside(relative: &Path) -> Error {
    Error::Local(format!(
        "{}: not a path below the target directory",
        relative.display()
    ))
}
