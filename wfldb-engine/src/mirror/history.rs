//! What a keeper of history is told: the files that changed between two rest points.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use wfldb_core::id::LogPosition;

/// Bytes of files that one batch holds in memory.
const BYTES_MAX: usize = 32 << 20;
/// Files of a batch after which it should be handed over.
const FILES_ENOUGH: usize = 16_384;
/// Files that batches that were not taken may come to.
const FILES_MAX: usize = 200_000;

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileChange {
    /// It was written.
    Written {
        /// SHA-256 of its bytes.
        sha256: [u8; 32],
        /// How many they are.
        len: u64,
        /// They themselves; `None`: they are too many for memory, and are read from the directory and held against the hash.
        bytes: Option<Bytes>,
    },
    /// It was removed.
    Removed,
}

/// What changed between two rest points. It is on stable storage when it is handed over.
#[derive(Debug, Clone, Default)]
pub struct MirrorBatch {
    /// The first change that it follows from.
    pub first: LogPosition,
    /// The last one: the files show everything up to it.
    pub last: LogPosition,
    /// Who asked for the changes: key ids, and what acts inside of the store (`local:…`, `system:…`).
    pub authors: BTreeSet<String>,
    /// Directories that were removed with all that was in them, before anything of `files`.
    pub removed: BTreeSet<String>,
    /// Files by their paths below the mirror's directory.
    pub files: BTreeMap<String, FileChange>,
    /// More changed than is told here: what is recorded has to be held against the directory as a whole.
    pub whole: bool,
    held: usize,
}

/// A keeper of history. It is called by the mirror's thread, which waits for it.
pub trait MirrorHistory: Send {
    /// Records a batch. After an error the same is handed over once more, together with what came then. After a crash a
    /// batch that was not recorded is not handed over again: then `first` is beyond what was recorded last.
    ///
    /// # Errors
    /// When it was not recorded.
    fn record(&mut self, batch: &MirrorBatch) -> io::Result<()>;

    /// The last change that it may have seen by itself, in the store: until the batches are there too, they name what
    /// was removed also where it was not in the directory.
    fn seen(&self) -> LogPosition {
        LogPosition::default()
    }
}

impl MirrorBatch {
    /// A file was written; its bytes, where they are in memory.
    pub(crate) fn written(&mut self, path: String, sha256: [u8; 32], len: u64, bytes: Option<&Bytes>) {
        self.take_out(&path);
        let bytes = bytes
            .filter(|bytes| self.held + bytes.len() <= BYTES_MAX)
            .cloned();
        self.held += bytes.as_ref().map_or(0, Bytes::len);
        self.files
            .insert(path, FileChange::Written { sha256, len, bytes });
        self.bound();
    }

    /// A file was written, all of which is in memory.
    pub(crate) fn whole_file(&mut self, path: String, bytes: &Bytes) {
        self.written(
            path,
            Sha256::digest(bytes).into(),
            bytes.len() as u64,
            Some(bytes),
        );
    }

    pub(crate) fn removed(&mut self, path: String) {
        self.take_out(&path);
        self.files.insert(path, FileChange::Removed);
        self.bound();
    }

    /// A directory was removed with all that was in it.
    pub(crate) fn removed_dir(&mut self, path: String) {
        let below = format!("{path}/");
        let files: Vec<String> = self
            .files
            .range(below.clone()..)
            .map(|(path, _)| path.clone())
            .take_while(|path| path.starts_with(&below))
            .collect();
        for file in files {
            self.take_out(&file);
        }
        self.removed.insert(path);
    }

    fn take_out(&mut self, path: &str) {
        if let Some(FileChange::Written {
            bytes: Some(bytes), ..
        }) = self.files.remove(path)
        {
            self.held = self.held.saturating_sub(bytes.len());
        }
    }

    /// Whether no change and no file is in it.
    pub(crate) fn is_empty(&self) -> bool {
        let nothing = self.files.is_empty() && self.removed.is_empty() && !self.whole;
        nothing && self.first == LogPosition::default()
    }

    /// Whether it should be handed over soon.
    pub(crate) fn is_large(&self) -> bool {
        self.files.len() >= FILES_ENOUGH || self.held >= BYTES_MAX / 2
    }

    fn bound(&mut self) {
        if self.files.len() > FILES_MAX {
            self.files.clear();
            self.removed.clear();
            self.held = 0;
            self.whole = true;
        }
    }
}
