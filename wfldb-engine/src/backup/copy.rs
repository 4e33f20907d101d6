//! How a file gets into a backup: written from memory, copied from an open file, or linked; and from a backup into a
//! store.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::manifest::{ListedFile, Manifest};
use super::place::make_dir;
use super::{BackupError, Tally};
use crate::store::sync_dir;

const BLOCK_BYTES: usize = 1 << 20;
/// A copy is synced each time so many bytes were written: one sync of hundreds of MiB at its end would hold up the
/// syncs of commits.
const SYNC_BYTES: u64 = 8 << 20;
/// Directories whose names are still to be synced; more of them are synced in between.
const DIRS_MAX: usize = 4096;

/// Asked between pieces of work: an error ends the backup.
pub(super) type Stop<'a> = &'a dyn Fn() -> Result<(), BackupError>;

/// The backup before, for what need not be written again.
pub(super) struct Previous {
    pub(super) dir: PathBuf,
    files: HashMap<String, ListedFile>,
}

impl Previous {
    pub(super) fn read(dir: PathBuf) -> Result<Self, BackupError> {
        let manifest = Manifest::read(&dir)?;
        let files = manifest
            .files
            .into_iter()
            .map(|file| (file.path.clone(), file))
            .collect();
        Ok(Self { dir, files })
    }
}

/// What is made of a file, below one directory.
pub(super) struct Copier<'a> {
    pub(super) root: PathBuf,
    pub(super) previous: Option<Previous>,
    pub(super) stop: Stop<'a>,
    pub(super) files: Vec<ListedFile>,
    pub(super) copied: Tally,
    pub(super) linked: Tally,
    unsynced: Vec<PathBuf>,
}

/// Whether a link failed only because links cannot be made there.
fn is_no_place_for_links(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP | Errno::NOSYS)
    )
}

/// Links `from` to `to`; `false` where links cannot be made.
pub(super) fn try_link(from: &Path, to: &Path) -> io::Result<bool> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(true),
        Err(error) if is_no_place_for_links(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A new file that only its owner can read.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Copies the first `len` bytes of `from` into a new file at `to`, on stable storage; answers their hash.
pub(super) fn copy_prefix(
    from: &File,
    len: u64,
    to: &Path,
    stop: Stop<'_>,
) -> Result<blake3::Hash, BackupError> {
    let failed = || BackupError::io(to.display());
    let mut target = create(to).map_err(failed())?;
    let mut hasher = blake3::Hasher::new();
    let mut block = vec![0; BLOCK_BYTES];
    let mut at = 0;
    while at < len {
        stop()?;
        let want = usize::try_from(len - at).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
        let piece = block.get_mut(..want).unwrap_or_default();
        from.read_exact_at(piece, at).map_err(failed())?;
        target.write_all(piece).map_err(failed())?;
        hasher.update(piece);
        at += want as u64;
        if at.is_multiple_of(SYNC_BYTES) {
            target.sync_data().map_err(failed())?;
        }
    }
    target.sync_all().map_err(failed())?;
    Ok(hasher.finalize())
}

/// The hash of a whole file, and its length.
pub(super) fn hash_file(path: &Path, stop: Stop<'_>) -> Result<(blake3::Hash, u64), BackupError> {
    let failed = || BackupError::io(path.display());
    let mut file = File::open(path).map_err(failed())?;
    let mut hasher = blake3::Hasher::new();
    let mut block = vec![0; BLOCK_BYTES];
    let mut len = 0;
    loop {
        stop()?;
        let read = file.read(&mut block).map_err(failed())?;
        if read == 0 {
            return Ok((hasher.finalize(), len));
        }
        hasher.update(block.get(..read).unwrap_or_default());
        len += read as u64;
    }
}

impl<'a> Copier<'a> {
    /// Begins in the directory `root`, which is there and empty.
    pub(super) fn begin(root: PathBuf, previous: Option<Previous>, stop: Stop<'a>) -> Self {
        Self {
            unsynced: vec![root.clone()],
            root,
            previous,
            stop,
            files: Vec::new(),
            copied: Tally::default(),
            linked: Tally::default(),
        }
    }

    /// Makes the directories down to `dir`, which lies in the root.
    pub(super) fn make_dirs(&mut self, dir: &Path) -> Result<(), BackupError> {
        if dir.is_dir() {
            return Ok(());
        }
        if let Some(parent) = dir.parent().filter(|parent| parent.starts_with(&self.root)) {
            self.make_dirs(parent)?;
            // It may have been synced already, without the name that it gets now.
            self.unsynced.push(parent.to_path_buf());
        }
        make_dir(dir).map_err(BackupError::io(dir.display()))?;
        self.unsynced.push(dir.to_path_buf());
        Ok(())
    }

    fn target(&mut self, path: &str) -> Result<PathBuf, BackupError> {
        let target = self.root.join(path);
        if let Some(parent) = target.parent() {
            self.make_dirs(parent)?;
        }
        Ok(target)
    }

    pub(super) fn list(&mut self, path: &str, bytes: u64, hash: blake3::Hash) {
        self.files.push(ListedFile {
            path: path.to_owned(),
            bytes,
            blake3: hash.to_hex().to_string(),
        });
    }

    /// A file of these bytes.
    pub(super) fn write(&mut self, path: &str, content: &[u8]) -> Result<(), BackupError> {
        let target = self.target(path)?;
        let mut file = create(&target).map_err(BackupError::io(target.display()))?;
        file.write_all(content)
            .and_then(|()| file.sync_all())
            .map_err(BackupError::io(target.display()))?;
        self.copied.add(content.len() as u64);
        self.list(path, content.len() as u64, blake3::hash(content));
        Ok(())
    }

    /// A copy of the first `len` bytes of an open file.
    pub(super) fn copy(&mut self, path: &str, from: &File, len: u64) -> Result<(), BackupError> {
        let target = self.target(path)?;
        let hash = copy_prefix(from, len, &target, self.stop)?;
        self.copied.add(len);
        self.list(path, len, hash);
        Ok(())
    }

    /// A file that nobody writes any more: a link to it where that can be, else a link to the same bytes in the backup
    /// before, else a copy.
    pub(super) fn link(&mut self, path: &str, from: &Path) -> Result<(), BackupError> {
        (self.stop)()?;
        let target = self.target(path)?;
        let before = self.previous.as_ref().and_then(|previous| {
            let listed = previous.files.get(path)?;
            Some((previous.dir.join(path), listed.clone()))
        });
        if try_link(from, &target).map_err(BackupError::io(from.display()))? {
            // Read again only if it is not the very file that was read for the backup before.
            let known = before.filter(|(old, listed)| is_same_file(old, &target, listed.bytes));
            let (hash, bytes) = if let Some((_, listed)) = known {
                (listed.blake3, listed.bytes)
            } else {
                let (hash, bytes) = hash_file(&target, self.stop)?;
                (hash.to_hex().to_string(), bytes)
            };
            self.linked.add(bytes);
            self.files.push(ListedFile {
                path: path.to_owned(),
                bytes,
                blake3: hash,
            });
            return Ok(());
        }
        if let Some((old, listed)) = before {
            // The name alone is no proof: a restored store gives the same names to other tables.
            let (hash, bytes) = hash_file(from, self.stop)?;
            if hash.to_hex().as_str() == listed.blake3
                && bytes == listed.bytes
                && try_link(&old, &target).unwrap_or(false)
            {
                self.linked.add(bytes);
                self.list(path, bytes, hash);
                return Ok(());
            }
        }
        let source = File::open(from).map_err(BackupError::io(from.display()))?;
        let len = source.metadata().map_err(BackupError::io(from.display()))?.len();
        self.copy(path, &source, len)
    }

    /// Syncs the directories that were written to, when there are many.
    pub(super) fn sync_some(&mut self) -> Result<(), BackupError> {
        if self.unsynced.len() > DIRS_MAX {
            self.sync_dirs()?;
        }
        Ok(())
    }

    /// The last file: it is not among those that are listed. Everything else is on the disk before it.
    pub(super) fn finish(&mut self, name: &str, content: &[u8]) -> Result<(), BackupError> {
        self.sync_dirs()?;
        let path = self.root.join(name);
        let failed = || BackupError::io(path.display());
        let mut file = create(&path).map_err(failed())?;
        file.write_all(content)
            .and_then(|()| file.sync_all())
            .and_then(|()| sync_dir(&self.root))
            .map_err(failed())
    }

    /// Syncs every directory that was written to since the last call. The files themselves are synced by then.
    fn sync_dirs(&mut self) -> Result<(), BackupError> {
        self.unsynced.sort();
        self.unsynced.dedup();
        for dir in self.unsynced.drain(..).rev() {
            sync_dir(&dir).map_err(BackupError::io(dir.display()))?;
        }
        Ok(())
    }
}

fn is_same_file(left: &Path, right: &Path, len: u64) -> bool {
    let found = fs::symlink_metadata(left).and_then(|left| Ok((left, fs::symlink_metadata(right)?)));
    found.is_ok_and(|(left, right)| {
        left.ino() == right.ino() && left.dev() == right.dev() && right.len() == len
    })
}
