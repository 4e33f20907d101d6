//! The directory of a mirror. Whoever can write in it is not trusted: each path is opened below the directory's
//! descriptor, one component after the other, never through a symbolic link. What stands in the way of a file or a
//! directory is moved aside or removed, and files appear whole, by a rename.

use std::cell::Cell;
use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{Advice, AtFlags, Mode, OFlags, fadvise, mkdirat, openat, renameat, syncfs, unlinkat};
use rustix::io::Errno;

use wfldb_core::encoding::hex;

use super::point::{Point, Points};
pub(crate) use super::tree::Entry;
use super::tree::{Tree, entries, is_other, open_dir};
use crate::engine::random;

/// Where files are written before they are renamed, and where is moved what goes.
pub(crate) const TEMP: &str = ".tmp";
/// Entries that one step removes.
const REMOVED_AT_ONCE: usize = 4096;

const DIR_MODE: Mode = Mode::RWXU;
const FILE_MODE: Mode = Mode::from_raw_mode(0o600);

/// An open mirror directory.
#[derive(Debug)]
pub(crate) struct MirrorDir {
    tree: Tree,
    temp: OwnedFd,
    /// Tells this process's names in `.tmp` from those of others.
    prefix: String,
    number: Cell<u64>,
    /// There may be something in `.tmp`.
    litter: Cell<bool>,
    points: Points,
}

/// `None` for what is not there.
fn found<T>(result: Result<T, Errno>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl MirrorDir {
    /// Opens the directory at `path`, making it where it is missing.
    pub(crate) fn open(path: &Path, points: Points) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path)?;
        let tree = Tree::open(path)?;
        let root = tree.root();
        let temp = match open_dir(root, TEMP) {
            Ok(temp) => temp,
            Err(error) => {
                if is_other(error) {
                    unlinkat(root, TEMP, AtFlags::empty())?;
                } else if error != Errno::NOENT {
                    return Err(error.into());
                }
                mkdirat(root, TEMP, DIR_MODE)?;
                open_dir(root, TEMP)?
            }
        };
        Ok(Self {
            tree,
            temp,
            prefix: hex::encode(&random::<8>().map_err(io::Error::other)?),
            number: Cell::new(0),
            litter: Cell::new(true),
            points,
        })
    }

    /// What tells this directory from any other.
    pub(crate) fn identity(&self) -> io::Result<String> {
        let stat = File::from(self.tree.root().try_clone()?).metadata()?;
        Ok(format!("{}:{}", stat.dev(), stat.ino()))
    }

    /// A name in `.tmp` that nothing has.
    fn temp_name(&self) -> String {
        self.number.set(self.number.get() + 1);
        format!("{}-{}", self.prefix, self.number.get())
    }

    /// The directory at `path`, made where it is missing.
    fn made_dir(&self, path: &str) -> io::Result<OwnedFd> {
        let mut dir = self.tree.root().try_clone()?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            dir = match open_dir(&dir, name) {
                Ok(inner) => inner,
                Err(error) => {
                    if is_other(error) {
                        self.set_aside(&dir, name)?;
                    } else if error != Errno::NOENT {
                        return Err(error.into());
                    }
                    mkdirat(&dir, name, DIR_MODE)?;
                    open_dir(&dir, name)?
                }
            };
        }
        Ok(dir)
    }

    /// Removes what has this name, a link and not what it leads to; a directory goes to `.tmp`. `false`: there is nothing.
    fn set_aside(&self, parent: &OwnedFd, name: &str) -> io::Result<bool> {
        match found(unlinkat(parent, name, AtFlags::empty())) {
            Ok(removed) => Ok(removed.is_some()),
            // Linux says the first of a directory, others the second.
            Err(error) if is_directory(&error) => {
                self.litter.set(true);
                Ok(found(renameat(parent, name, &self.temp, self.temp_name()))?.is_some())
            }
            Err(error) => Err(error),
        }
    }

    /// Has `write` fill a file, which then stands at `path`, whole.
    pub(crate) fn write<E: From<io::Error>>(
        &self,
        path: &str,
        write: impl FnOnce(&mut File) -> Result<(), E>,
    ) -> Result<(), E> {
        let temp = self.temp_name();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.temp, &temp, flags, FILE_MODE).map_err(io::Error::from)?;
        let mut file = File::from(file);
        let written = write(&mut file).and_then(|()| {
            // It is on its way to the disk at once, in small parts, and a rest point finds little left to wait for.
            let _ = fadvise(&file, 0, None, Advice::DontNeed);
            self.points.pass(Point::Rename)?;
            Ok(self.rename(&temp, path)?)
        });
        if written.is_err() {
            // What is left of it goes at the next start.
            let _ = unlinkat(&self.temp, &temp, AtFlags::empty());
        }
        written
    }

    /// Like [`MirrorDir::write`], on stable storage when it answers.
    pub(crate) fn write_synced(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.write(path, |file| {
            file.write_all(bytes)?;
            if self.points.syncs() {
                file.sync_all()?;
            }
            Ok::<(), io::Error>(())
        })?;
        let (parent, _) = path.rsplit_once('/').unwrap_or(("", path));
        match self.tree.dir(parent)? {
            Some(parent) if self.points.syncs() => File::from(parent).sync_all(),
            _ => Ok(()),
        }
    }

    /// Gives a file its name, in the place of what had it before.
    fn rename(&self, temp: &str, path: &str) -> io::Result<()> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.made_dir(parent)?;
        match renameat(&self.temp, temp, &parent, name) {
            Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                self.set_aside(&parent, name)?;
                Ok(renameat(&self.temp, temp, &parent, name)?)
            }
            renamed => Ok(renamed?),
        }
    }

    /// Removes what stands at `path`. `false`: there was nothing.
    pub(crate) fn remove(&self, path: &str) -> io::Result<bool> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        match self.tree.dir(parent)? {
            Some(parent) => self.set_aside(&parent, name),
            None => Ok(false),
        }
    }

    /// Removes an entry of the directory at `path`, whatever it is called.
    pub(crate) fn remove_entry(&self, path: &str, entry: &Entry) -> io::Result<()> {
        if let Some(dir) = self.tree.dir(path)? {
            if entry.is_dir {
                self.litter.set(true);
                found(renameat(&dir, &entry.name, &self.temp, self.temp_name()))?;
            } else {
                found(unlinkat(&dir, &entry.name, AtFlags::empty()))?;
            }
        }
        Ok(())
    }

    /// See [`Tree::file`].
    pub(crate) fn file(&self, path: &str) -> io::Result<Option<File>> {
        self.tree.file(path)
    }

    /// See [`Tree::read`].
    pub(crate) fn read(&self, path: &str, max: u64) -> io::Result<Option<Vec<u8>>> {
        self.tree.read(path, max)
    }

    /// See [`Tree::list`].
    pub(crate) fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        self.tree.list(path)
    }

    /// Removes some of what is in `.tmp`, if there may be something; `true`: there is more.
    pub(crate) fn clear_temp(&self) -> bool {
        // What cannot be removed is in nobody's way.
        let more = self.litter.get() && self.clear_some().unwrap_or(false);
        self.litter.set(more);
        more
    }

    /// It may be nested as deep as it likes: what is inside of
    /// a directory is moved up before it goes.
    fn clear_some(&self) -> io::Result<bool> {
        let mut left = REMOVED_AT_ONCE;
        for entry in entries(&self.temp)? {
            let entry = entry?;
            if left == 0 {
                return Ok(true);
            }
            left -= 1;
            if !entry.is_dir {
                found(unlinkat(&self.temp, &entry.name, AtFlags::empty()))?;
                continue;
            }
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
            let dir = openat(&self.temp, &entry.name, flags, Mode::empty())?;
            for inner in entries(&dir)? {
                let inner = inner?;
                if left == 0 {
                    return Ok(true);
                }
                left -= 1;
                if inner.is_dir {
                    self.lift(&dir, &inner)?;
                } else {
                    found(unlinkat(&dir, &inner.name, AtFlags::empty()))?;
                }
            }
            match unlinkat(&self.temp, &entry.name, AtFlags::REMOVEDIR) {
                // Something came meanwhile.
                Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(left < REMOVED_AT_ONCE)
    }

    /// Moves a directory up into `.tmp`, to a name that is free there.
    fn lift(&self, dir: &OwnedFd, inner: &Entry) -> io::Result<()> {
        loop {
            match renameat(dir, &inner.name, &self.temp, self.temp_name()) {
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                moved => return Ok(moved?),
            }
        }
    }

    /// Puts everything that was written on stable storage.
    pub(crate) fn sync(&self) -> io::Result<()> {
        if self.points.syncs() {
            syncfs(self.tree.root())?;
        }
        Ok(())
    }
}

fn is_directory(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::ISDIR | Errno::PERM))
}
