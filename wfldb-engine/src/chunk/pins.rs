//! Pins: while a write that names a chunk is in flight, the chunk's file stays.

use std::sync::Arc;

use wfldb_core::id::{BucketId, ChunkHash};

use super::ChunkStore;

/// The chunks that one write names. Dropping the pins lets the store remove those that nothing refers to.
pub(crate) struct Pins {
    store: Arc<ChunkStore>,
    held: Vec<(BucketId, ChunkHash)>,
}

impl std::fmt::Debug for Pins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pins")
            .field("held", &self.held.len())
            .finish_non_exhaustive()
    }
}

impl Pins {
    pub(crate) fn new(store: Arc<ChunkStore>) -> Self {
        Self {
            store,
            held: Vec::new(),
        }
    }

    pub(super) fn store(&self) -> &ChunkStore {
        &self.store
    }

    /// Pins the chunk, whether its file exists or not.
    pub(crate) fn pin(&mut self, bucket: BucketId, chunk: ChunkHash) {
        self.store.pin(bucket, chunk);
        self.held.push((bucket, chunk));
    }

    /// Never lets go in this process: the write's outcome is unknown, so its rows may come back.
    pub(crate) fn keep_for_ever(mut self) {
        self.held.clear();
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        self.store.unpin(std::mem::take(&mut self.held));
    }
}
