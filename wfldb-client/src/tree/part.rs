//! A file on its way: written under a temporary name beside its place, renamed when it is whole.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RawMode, Timespec, Timestamps, fchmod, flock,
    fstat, futimens, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::meta::FileMeta;
use crate::Error;

/// How a temporary file's name ends; it begins with a dot.
pub const PART_SUFFIX: &str = ".wfldb-part";
/// From this size on, what an interrupted download left is gone on with. Below, starting over costs less.
pub const RESUME_BYTES_MIN: u64 = 8 * 1024 * 1024;
const FILE_NAME_BYTES_MAX: usize = 255;

/// A file that is being written under its temporary name. Dropped before [`PartFile::finish`], it is removed, unless
/// it is so large that the next attempt should go on with it.
#[derive(Debug)]
pub struct PartFile {
    parent: OwnedFd,
    name: OsString,
    part: OsString,
    shown: PathBuf,
    file: File,
    bytes: u64,
    finished: bool,
}

impl PartFile {
    /// Begins to write the file at a path that the user named: its directory may be reached through links. Blocks.
    ///
    /// # Errors
    /// `Local` when the place is taken by something else than a regular file.
    pub fn at(path: &Path) -> Result<Self, Error> {
        let name = path
            .file_name()
            .ok_or_else(|| Error::Local(format!("{}: does not name a file", path.display())))?;
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let parent = openat(CWD, parent, flags, Mode::empty())
            .map_err(|error| Error::io("cannot open directory", parent, &error.into()))?;
        Self::begin(parent, name, path.to_owned())
    }

    pub(super) fn begin(parent: OwnedFd, name: &OsStr, shown: PathBuf) -> Result<Self, Error> {
        check_place(&parent, name, &shown)?;
        let part = part_name(name);
        // SECURITY: private until finished, whatever mode the file will have.
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let failed = |error: Errno| Error::io("cannot write", &shown, &error.into());
        for _ in 0..16 {
            let file =
                openat(&parent, part.as_os_str(), flags, Mode::from_raw_mode(0o600)).map_err(failed)?;
            // Two copies into one directory must not write one temporary file; the lock ends with its process.
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    let why = format!("{}: another wfldb is writing this file", shown.display());
                    return Err(Error::Local(why));
                }
                Err(error) => return Err(failed(error)),
            }
            // Between open and lock, the one who held it may have renamed it into place: then this is a finished
            // file, and the temporary name is free again.
            let ours = fstat(&file).map_err(failed)?;
            let named = statat(&parent, part.as_os_str(), AtFlags::SYMLINK_NOFOLLOW);
            if named.is_ok_and(|named| (named.st_dev, named.st_ino) == (ours.st_dev, ours.st_ino)) {
                if !is_regular(ours.st_mode) {
                    return Err(Error::Local(format!(
                        "{}: its temporary name is taken",
                        shown.display()
                    )));
                }
                let mut part = Self {
                    parent,
                    name: name.to_owned(),
                    part,
                    shown,
                    file: File::from(file),
                    bytes: 0,
                    finished: false,
                };
                part.bytes = u64::try_from(ours.st_size).unwrap_or(0);
                if part.bytes < RESUME_BYTES_MIN {
                    part.restart()?;
                }
                return Ok(part);
            }
        }
        Err(Error::Local(format!(
            "{}: its temporary file does not stay in place",
            shown.display()
        )))
    }

    /// How many bytes an earlier attempt left, when they are worth keeping; what is written is appended to them.
    pub fn kept(&self) -> u64 {
        self.bytes
    }

    /// Feeds what is kept into a hasher. Blocks.
    ///
    /// # Errors
    /// `Local` when the disk refuses.
    pub fn hash_kept(&mut self, hasher: &mut blake3::Hasher) -> Result<(), Error> {
        let failed = |error: io::Error| Error::io("cannot read", &self.shown, &error);
        self.file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut kept = (&self.file).take(self.bytes);
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = kept.read(&mut buffer).map_err(failed)?;
            match buffer.get(..read) {
                None | Some([]) => break,
                Some(piece) => hasher.update(piece),
            };
        }
        // Another process that writes to it despite the lock is found by the hash at the end.
        self.file
            .seek(SeekFrom::Start(self.bytes))
            .map(|_| ())
            .map_err(failed)
    }

    /// Throws away what is kept. Blocks.
    ///
    /// # Errors
    /// `Local` when the disk refuses.
    pub fn restart(&mut self) -> Result<(), Error> {
        let failed = |error: io::Error| Error::io("cannot write", &self.shown, &error);
        self.file.set_len(0).map_err(failed)?;
        self.file.seek(SeekFrom::Start(0)).map_err(failed)?;
        self.bytes = 0;
        Ok(())
    }

    /// Appends bytes. Blocks.
    ///
    /// # Errors
    /// `Local` when the disk refuses.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file
            .write_all(bytes)
            .map_err(|error| Error::io("cannot write", &self.shown, &error))?;
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Gives the file its time and mode and renames it into place. Blocks.
    ///
    /// # Errors
    /// `Local` when the place has been taken meanwhile by something else than a regular file, or the disk refuses.
    pub fn finish(mut self, meta: FileMeta) -> Result<(), Error> {
        check_place(&self.parent, &self.name, &self.shown)?;
        let meta = FileMeta {
            mode: Some(meta.mode.unwrap_or(0o666 & !umask())),
            ..meta
        };
        set_meta(&self.file, meta)
            .map_err(|error| Error::io("cannot set time and mode of", &self.shown, &error))?;
        renameat(
            &self.parent,
            self.part.as_os_str(),
            &self.parent,
            self.name.as_os_str(),
        )
        .map_err(|error| Error::io("cannot write", &self.shown, &error.into()))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.finished && self.bytes < RESUME_BYTES_MIN {
            // Nothing depends on it: a part file that stays is gone on with, or started over.
            let _ = unlinkat(&self.parent, self.part.as_os_str(), AtFlags::empty());
        }
    }
}

/// A new file may take the place of nothing or of a regular file. Not of `/dev/null`, not of a link.
fn check_place(parent: &OwnedFd, name: &OsStr, shown: &Path) -> Result<(), Error> {
    let what = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(Error::io("cannot write", shown, &error.into())),
        Ok(there) if is_regular(there.st_mode) => return Ok(()),
        Ok(there) => match FileType::from_raw_mode(there.st_mode) {
            FileType::Directory => "a directory",
            FileType::Symlink => "a symbolic link",
            _ => "a special file",
        },
    };
    Err(Error::Local(format!(
        "{}: {what} is in its place, not overwritten",
        shown.display()
    )))
}

/// Whether a name is that of an unfinished download.
pub(crate) fn is_part_name(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b".") && name.as_bytes().ends_with(PART_SUFFIX.as_bytes())
}

fn is_regular(mode: RawMode) -> bool {
    FileType::from_raw_mode(mode) == FileType::RegularFile
}

fn part_name(name: &OsStr) -> OsString {
    let mut part = vec![b'.'];
    if name.len() + 1 + PART_SUFFIX.len() <= FILE_NAME_BYTES_MAX {
        part.extend_from_slice(name.as_bytes());
    } else {
        let digest = blake3::hash(name.as_bytes()).to_hex();
        part.extend(digest.as_bytes().iter().take(32));
    }
    part.extend_from_slice(PART_SUFFIX.as_bytes());
    OsString::from_vec(part)
}

pub(super) fn set_meta(file: &impl std::os::fd::AsFd, meta: FileMeta) -> io::Result<()> {
    if let Some(mode) = meta.mode {
        fchmod(file, Mode::from_raw_mode(mode & 0o777))?;
    }
    if let Some(mtime) = meta.mtime {
        let last_modification = Timespec {
            tv_sec: mtime.seconds,
            tv_nsec: mtime.nanos.into(),
        };
        let last_access = Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_OMIT,
        };
        futimens(
            file,
            &Timestamps {
                last_access,
                last_modification,
            },
        )?;
    }
    Ok(())
}

/// The process's file mode mask. Reading it means setting it; the strictest value stands for that instant.
fn umask() -> u32 {
    static MASK: OnceLock<u32> = OnceLock::new();
    *MASK.get_or_init(|| {
        let mask = rustix::process::umask(Mode::from_raw_mode(0o077));
        rustix::process::umask(mask);
        mask.as_raw_mode()
    })
}
