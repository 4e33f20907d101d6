//! Giving back space on request: merging the storage's tables and blob files, and removing chunk files that nothing names.

use serde::Serialize;
use wfldb_core::auth::{Authorized, Op};

use crate::engine::Engine;
use crate::error::EngineError;

/// What a compaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// Bytes of the storage on disk before, without chunk files.
    pub storage_bytes_before: u64,
    /// And after.
    pub storage_bytes: u64,
    /// Chunk files that went.
    pub chunk_files_removed: u64,
    /// Their bytes.
    pub chunk_bytes_removed: u64,
}

impl Engine {
    /// Merges tables and blob files, and removes chunk files that nothing names. Blocks until it is through, which takes
    /// about as long as it takes to write all small objects once; reads and writes go on.
    ///
    /// # Errors
    /// `Forbidden`, `ReadOnly`, `Read` when the storage fails.
    pub fn compact(&self, proof: &Authorized) -> Result<Compacted, EngineError> {
        if proof.op() != Op::Admin {
            return Err(EngineError::Forbidden);
        }
        let storage_bytes_before = self.inner.storage.figures().disk_bytes;
        let collected = self.collect_garbage()?;
        self.inner.storage.compact()?;
        Ok(Compacted {
            storage_bytes_before,
            storage_bytes: self.inner.storage.figures().disk_bytes,
            chunk_files_removed: collected.files,
            chunk_bytes_removed: collected.bytes,
        })
    }
}
