//! The one seam below the engine: a snapshot with point and range reads, and an atomic durable batch.
//!
//! Two implementations stand behind it, [`FjallStorage`] and the deterministic [`MemoryStorage`], under one
//! conformance suite ([`conformance`]). Chunk files are not here: they have a seam of their own in `chunk`.

mod capture;
mod fjall;
mod fjall_files;
mod fjall_memory;
mod memory;

#[cfg(test)]
pub(crate) mod conformance;

use std::sync::Arc;

use bytes::Bytes;

pub use self::capture::{Captured, CapturedFile, Content};
pub use self::fjall::FjallStorage;
pub use self::memory::{Fault, MemoryStorage};

/// A fixed keyspace. Buckets are key prefixes inside these, so deleting a bucket deletes no keyspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Space {
    /// The commit mark, buckets by name and by id.
    Meta,
    /// The newest live version of each key, without its body.
    Heads,
    /// Every version, tombstones included, newest first within a key.
    Versions,
    /// Inline bodies.
    Bodies,
    /// Change rows and their evidence, by log position.
    Log,
    /// Hot counters; never scanned.
    Counters,
    /// References of versions to chunks.
    Chunks,
    /// What leads to rows elsewhere: tags, times to live, unfinished uploads.
    Index,
}

impl Space {
    /// Every keyspace, in the order of their ids.
    pub const ALL: [Self; 8] = [
        Self::Meta,
        Self::Heads,
        Self::Versions,
        Self::Bodies,
        Self::Log,
        Self::Counters,
        Self::Chunks,
        Self::Index,
    ];

    /// The keyspace's name on disk.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Heads => "heads",
            Self::Versions => "versions",
            Self::Bodies => "bodies",
            Self::Log => "log",
            Self::Counters => "counters",
            Self::Chunks => "chunks",
            Self::Index => "index",
        }
    }
}

/// Why storage did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// A read failed; nothing was changed.
    #[error("storage read failed: {0}")]
    Read(String),
    /// A commit failed; it may or may not reappear after a reopen.
    #[error("storage commit failed: {0}")]
    Commit(String),
    /// The storage cannot be opened.
    #[error("storage does not open: {0}")]
    Open(String),
}

/// One atomic batch: each key occurs once; `None` removes.
#[derive(Debug, Default)]
pub struct Batch {
    /// The writes, in key order per keyspace.
    pub writes: Vec<(Space, Bytes, Option<Bytes>)>,
}

/// One key and its value.
pub type Row = (Bytes, Bytes);

/// The rows of a range, in key order or its reverse.
pub type Rows<'a> = Box<dyn Iterator<Item = Result<Row, StorageError>> + Send + 'a>;

/// A repeatable view of all keyspaces at one commit.
pub trait Snapshot: Send + Sync {
    /// The value at `key`.
    ///
    /// # Errors
    /// [`StorageError::Read`] when the storage cannot answer.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StorageError>;

    /// Rows with `from <= key < to` (`to` empty: to the end), in key order, or reversed.
    fn range<'a>(&'a self, space: Space, from: &[u8], to: &[u8], reverse: bool) -> Rows<'a>;
}

/// Figures of the storage, for metrics.
#[derive(Debug, Clone, Copy, Default)]
pub struct StorageFigures {
    /// Journal files.
    pub journals: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Bytes of bodies on disk that were overwritten or removed.
    pub stale_bytes: u64,
    /// Reads of blocks that the block cache answered.
    pub block_cache_hits: u64,
    /// Those that it did not.
    pub block_cache_misses: u64,
    /// Point reads of tables that the bloom filters answered.
    pub filter_skips: u64,
}

/// Ordered keyspaces with atomic, durable batches.
pub trait Storage: Send + Sync {
    /// A view of everything committed so far.
    fn snapshot(&self) -> Arc<dyn Snapshot>;

    /// Makes `batch` durable, then visible.
    ///
    /// DURABILITY: returns only when the batch is on stable storage; no snapshot sees it before that.
    ///
    /// # Errors
    /// [`StorageError::Commit`]: the outcome is unknown, and every later commit fails too.
    fn commit(&self, batch: Batch) -> Result<(), StorageError>;

    /// Puts on stable storage what snapshots show, also what an earlier process wrote and did not sync. The default
    /// suits storage of which nothing outlives the process.
    ///
    /// # Errors
    /// [`StorageError::Commit`] when the file system refuses.
    fn sync(&self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Bytes in memory that are not flushed to tables. Cheap: asked before every commit.
    fn write_buffer_bytes(&self) -> u64;

    /// Writes out what [`Storage::write_buffer_bytes`] counts, for a storage that nobody writes to at present: it gives its
    /// memory back, and less has to be replayed at the next open. Returns before it is done; commits may come at any time.
    ///
    /// # Errors
    /// [`StorageError::Commit`] when it cannot be begun; nothing is lost then.
    fn rest(&self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Merges what is on disk, so that what was overwritten or removed gives back its space. Blocks; snapshots and
    /// commits go on beside it.
    ///
    /// # Errors
    /// [`StorageError::Read`] when it fails; nothing is lost then.
    fn compact(&self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Figures of now.
    fn figures(&self) -> StorageFigures;

    /// What a backup needs of the storage's files as they stand now. The caller sees to it that no commit runs.
    ///
    /// # Errors
    /// [`StorageError::Read`], also when the storage has no files.
    fn capture(&self) -> Result<Captured, StorageError> {
        Err(StorageError::Read("this storage has no files".to_owned()))
    }
}

/// The smallest key above every key that begins with `prefix`; empty when there is none.
#[must_use]
pub(crate) fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    end
}
