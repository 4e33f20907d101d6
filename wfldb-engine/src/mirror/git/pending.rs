//! What was told of a mirror and is in no commit yet.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Cursor, Read as _, Seek as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};
use wfldb_core::mirror::Manifest;

use super::import::Sink;
use super::{Content, GitChange, GitError};
use crate::mirror::history::{FileChange, MirrorBatch};
use crate::mirror::log_tree::is_of_log;

/// Larger files are in the mirror and in no history: of objects, what stands beside them says which bytes they were.
pub(crate) const FILE_BYTES_MAX: u64 = 16 << 20;
/// Bytes that are kept in mind; others are read from the mirror.
const BYTES_MAX: usize = 64 << 20;
/// Files that are kept in mind. Beyond that the next commit is a whole one.
const FILES_MAX: usize = 200_000;

/// Whether a file of a mirror is in its history. Manifests are not: trees say the same, in a seventh of the room. Nor is
/// the copy of the audit log: each commit names the checkpoint, and partial tiles would be in it once for each commit.
pub(crate) fn is_recorded(path: &str, len: u64) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name != Manifest::FILE && !is_of_log(path) && len <= FILE_BYTES_MAX
}

/// The changes that the next commit is made of.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// First and last change; `first` is 0 when files were written that no change was about.
    first: u64,
    last: u64,
    told: bool,
    whole: bool,
    authors: BTreeSet<String>,
    removed: BTreeSet<String>,
    files: BTreeMap<String, FileChange>,
    held: usize,
}

impl Pending {
    /// Whether nothing was told.
    pub(super) fn is_empty(&self) -> bool {
        !self.told
    }

    /// Whether everything has to be recorded once more.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    pub(super) fn authors(&self) -> &BTreeSet<String> {
        &self.authors
    }

    /// Adds what was told later.
    pub(super) fn add(&mut self, batch: &MirrorBatch) {
        self.append(Self {
            first: batch.first.get(),
            last: batch.last.get(),
            told: true,
            whole: batch.whole,
            authors: batch.authors.clone(),
            removed: batch.removed.clone(),
            files: batch.files.clone(),
            held: 0,
        });
    }

    /// Adds what came later.
    pub(super) fn append(&mut self, newer: Self) {
        if newer.is_empty() {
            return;
        }
        if self.first == 0 {
            self.first = newer.first;
        }
        self.last = newer.last;
        self.told = true;
        self.whole |= newer.whole;
        self.authors.extend(newer.authors);
        for dir in newer.removed {
            let below = format!("{dir}/");
            self.files.retain(|path, _| !path.starts_with(&below));
            self.removed.insert(dir);
        }
        self.files.extend(newer.files);
        if self.whole || self.files.len() > FILES_MAX {
            self.whole = true;
            self.files.clear();
            self.removed.clear();
        }
        self.held = 0;
        for change in self.files.values_mut() {
            if let FileChange::Written {
                bytes: kept @ Some(_),
                len,
                ..
            } = change
            {
                self.held += usize::try_from(*len).unwrap_or(usize::MAX);
                if self.held > BYTES_MAX {
                    *kept = None;
                }
            }
        }
    }

    /// Whether nothing is between the last recorded change and this.
    pub(super) fn follows(&self, recorded: Option<u64>) -> bool {
        let Some(recorded) = recorded else { return false };
        let first = if self.first == 0 {
            self.last + 1
        } else {
            self.first
        };
        self.whole || first <= recorded + 1
    }

    /// Whether a commit of it would say nothing that the one up to `recorded` does not say.
    pub(super) fn is_recorded(&self, recorded: Option<u64>) -> bool {
        let has_files = self.whole || !self.files.is_empty() || !self.removed.is_empty();
        !has_files && recorded == Some(self.last)
    }

    /// Nothing changed since the last recorded change.
    pub(super) fn stay_at(&mut self, recorded: u64) {
        (self.first, self.last) = (recorded, recorded);
    }

    /// Something is missing: everything is recorded.
    pub(super) fn make_whole(&mut self, recorded: Option<u64>) {
        self.whole = true;
        self.first = recorded.map_or(1, |recorded| recorded + 1).min(self.last);
    }

    /// The changes that the commit has, first and last.
    pub(super) fn sequences(&self, recorded: Option<u64>) -> (u64, u64) {
        let first = if self.first == 0 {
            recorded.map_or(1, |recorded| recorded + 1)
        } else {
            self.first
        };
        (first.min(self.last), self.last)
    }

    /// Hands over the files, those that are not in mind from the mirror in `dir`. `exact`: one that is not there as it was
    /// told is an error; otherwise it is left as it was in the commit before, and told once more.
    pub(super) fn files(&self, dir: &Path, exact: bool, sink: &mut Sink<'_>) -> Result<(), GitError> {
        let gone = |path: &String| GitChange {
            path: path.clone(),
            content: None,
        };
        for path in &self.removed {
            sink(gone(path))?;
        }
        for (path, change) in &self.files {
            let change = match change {
                FileChange::Written { len, .. } if !is_recorded(path, *len) => gone(path),
                FileChange::Written {
                    bytes: Some(bytes), ..
                } => GitChange {
                    path: path.clone(),
                    content: Some(Content::new(bytes.len() as u64, Cursor::new(bytes.clone()))),
                },
                FileChange::Written {
                    sha256,
                    len,
                    bytes: None,
                } => match checked(&dir.join(path), sha256, *len) {
                    Some(content) => GitChange {
                        path: path.clone(),
                        content: Some(content),
                    },
                    None if exact => {
                        let reason = format!("{path} was written once more, or somebody changed it");
                        return Err(GitError::Source(io::Error::other(reason)));
                    }
                    // It was written once more, which is told next; or somebody changed it.
                    None => continue,
                },
                FileChange::Removed => gone(path),
            };
            sink(change)?;
        }
        Ok(())
    }
}

/// The bytes of a file, if they are the ones that were written. At most [`FILE_BYTES_MAX`], so they are read at once.
///
/// SECURITY: what is handed over is what was hashed, whatever becomes of the file meanwhile.
fn checked(path: &Path, sha256: &[u8; 32], len: u64) -> Option<Content> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = File::options();
    options.read(true).custom_flags(flags.bits().cast_signed());
    let mut file = options.open(path).ok()?;
    file.rewind().ok()?;
    let mut bytes = Vec::new();
    file.take(len + 1).read_to_end(&mut bytes).ok()?;
    (Sha256::digest(&bytes).as_slice() == sha256).then(|| bytes.into())
}
