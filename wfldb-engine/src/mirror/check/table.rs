//! What stands in a mirror's directory, and what of it was looked at: a line for each file, about 200 bytes in memory.
//! Symbolic links are never followed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use rustix::fs::{AtFlags, FileType, Stat, statat};
use rustix::io::Errno;
use wfldb_core::time::UnixMillis;

use crate::mirror::log_tree::LOG;
use crate::mirror::tree::{Tree, entries};

/// Beside the files: what is the history's, what is on its way, what a file system puts there; and the audit log's copy,
/// which is looked at by itself.
const BESIDE: [&str; 4] = [".git", ".tmp", "lost+found", LOG];
/// Directories of a mirror are inside of one another at most so often: a bucket's, a shard's, two of deleted objects.
const DEPTH_MAX: usize = 4;
/// A file that was changed less than this before it was looked at may be changed again with the same time.
const RACY_MS: u64 = 1000;

/// What tells a file from the one that was there before: it cannot be written in without another time of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    /// How long it is.
    pub(super) len: u64,
    modified_ns: i64,
    changed_ns: i64,
}

impl Stamp {
    #[expect(
        clippy::useless_conversion,
        clippy::cast_possible_wrap,
        reason = "the types are those of the machine"
    )]
    fn of(stat: &Stat) -> Self {
        let ns = |seconds: i64, ns: u64| seconds.wrapping_mul(1_000_000_000).wrapping_add(ns as i64);
        Self {
            inode: stat.st_ino,
            len: u64::try_from(stat.st_size).unwrap_or_default(),
            modified_ns: ns(stat.st_mtime.into(), stat.st_mtime_nsec.into()),
            changed_ns: ns(stat.st_ctime.into(), stat.st_ctime_nsec.into()),
        }
    }

    /// Whether it was changed so short a time before `now` that its times may not tell the next change.
    pub(super) fn is_racy(&self, now: UnixMillis) -> bool {
        let changed = u64::try_from(self.changed_ns / 1_000_000).unwrap_or(u64::MAX);
        changed.saturating_add(RACY_MS) >= now.get()
    }
}

/// What has a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing, or a directory.
    Absent,
    /// A file.
    File(Stamp),
    /// What else, in words.
    Other(&'static str),
}

/// A path of the mirror.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// SHA-256 of what the store has for it; `None`: it has nothing, or a manifest, which is in no manifest.
    pub(super) expected: Option<[u8; 32]>,
    /// It is what it should be, and as long as its stamp is the same it stays so.
    pub(super) settled: bool,
    /// The walk that saw it last.
    walk: u32,
}

/// The paths of a mirror.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: BTreeMap<String, Entry>,
    walk: u32,
}

/// What has a path below an open directory.
pub(super) fn kind_of(tree: &Tree, path: &str) -> io::Result<Kind> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let Some(parent) = tree.dir(parent)? else {
        return Ok(Kind::Absent);
    };
    match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(kind(&stat)),
        // A name that no file system takes is no file's.
        Err(Errno::NOENT | Errno::NAMETOOLONG | Errno::INVAL) => Ok(Kind::Absent),
        Err(error) => Err(error.into()),
    }
}

fn kind(stat: &Stat) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File(Stamp::of(stat)),
        FileType::Directory => Kind::Absent,
        FileType::Symlink => Kind::Other("it is a symbolic link"),
        FileType::Fifo => Kind::Other("it is a pipe"),
        FileType::Socket => Kind::Other("it is a socket"),
        _ => Kind::Other("it is a device"),
    }
}

impl Table {
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(super) fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Notes what was found out of a path.
    pub(super) fn set(&mut self, path: &str, kind: Kind, expected: Option<[u8; 32]>, settled: bool) {
        if kind == Kind::Absent && expected.is_none() {
            self.entries.remove(path);
            return;
        }
        let entry = Entry {
            kind,
            expected,
            settled,
            walk: self.walk,
        };
        match self.entries.get_mut(path) {
            Some(known) => *known = entry,
            None => _ = self.entries.insert(path.to_owned(), entry),
        }
    }

    /// The paths below a directory, in order.
    pub(super) fn below(&self, dir: &str) -> impl Iterator<Item = (&str, &Entry)> {
        let prefix = if dir.is_empty() {
            String::new()
        } else {
            format!("{dir}/")
        };
        let from = self.entries.range(prefix.clone()..);
        from.take_while(move |(path, _)| path.starts_with(&prefix))
            .map(|(path, entry)| (path.as_str(), entry))
    }

    /// Walks the whole directory. Answers the paths that have to be looked at: those that are new, changed, gone, or not
    /// settled.
    pub(super) fn walk(&mut self, tree: &Tree) -> io::Result<BTreeSet<String>> {
        self.walk = self.walk.wrapping_add(1);
        let mut found = BTreeSet::new();
        let mut dirs = vec![String::new()];
        while let Some(dir) = dirs.pop() {
            self.list(tree, &dir, &mut found, Some(&mut dirs))?;
        }
        self.unseen("", |_| true, &mut found);
        Ok(found)
    }

    /// Walks some directories, and not what is below them. Answers the same of the files in them.
    pub(super) fn walk_some(&mut self, tree: &Tree, dirs: &[String]) -> io::Result<BTreeSet<String>> {
        self.walk = self.walk.wrapping_add(1);
        let mut found = BTreeSet::new();
        for dir in dirs {
            self.list(tree, dir, &mut found, None)?;
        }
        for dir in dirs {
            let is_in = |path: &str| path.rsplit_once('/').is_some_and(|(parent, _)| parent == dir);
            self.unseen(dir, is_in, &mut found);
        }
        Ok(found)
    }

    /// Adds the paths that the last walk did not see.
    fn unseen(&self, below: &str, of: impl Fn(&str) -> bool, found: &mut BTreeSet<String>) {
        let gone = self
            .below(below)
            .filter(|(path, entry)| entry.walk != self.walk && of(path));
        found.extend(gone.map(|(path, _)| path.to_owned()));
    }

    fn list(
        &mut self,
        tree: &Tree,
        dir: &str,
        found: &mut BTreeSet<String>,
        mut dirs: Option<&mut Vec<String>>,
    ) -> io::Result<()> {
        let Some(open) = tree.dir(dir)? else { return Ok(()) };
        for entry in entries(&open)? {
            let entry = entry?;
            let name = entry.name.to_string_lossy();
            if dir.is_empty() && BESIDE.contains(&&*name) {
                continue;
            }
            let path = if dir.is_empty() {
                name.into_owned()
            } else {
                format!("{dir}/{name}")
            };
            let kind = if entry.is_dir && path.split('/').count() > DEPTH_MAX {
                Kind::Other("it is a directory where a mirror has none")
            } else if entry.is_dir {
                if let Some(dirs) = &mut dirs {
                    dirs.push(path);
                }
                continue;
            } else {
                match statat(&open, &*entry.name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => kind(&stat),
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(error.into()),
                }
            };
            match self.entries.get_mut(&path) {
                Some(known) => {
                    known.walk = self.walk;
                    if !(known.settled && known.kind == kind) {
                        found.insert(path);
                    }
                }
                None => _ = found.insert(path),
            }
        }
        Ok(())
    }
}
