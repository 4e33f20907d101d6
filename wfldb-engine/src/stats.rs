//! Figures of an open store.

use std::sync::atomic::Ordering;

use serde::Serialize;

use crate::engine::Engine;

/// Figures since the start, for metrics.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct EngineStats {
    /// Storage batches.
    pub commits: u64,
    /// Plans that were carried out.
    pub plans: u64,
    /// Plans that were refused.
    pub refused: u64,
    /// Plans that wait now.
    pub waiting: u64,
    /// Milliseconds for which the committer waited for the storage to flush.
    pub throttled_ms: u64,
    /// The last log position.
    pub log_position: u64,
    /// Bytes in memory that are not flushed to tables.
    pub write_buffer_bytes: u64,
    /// Journal files.
    pub journals: u64,
    /// Bytes of the storage on disk, without chunk files.
    pub storage_bytes: u64,
    /// Reads of a newest version that the object cache answered.
    pub object_cache_hits: u64,
    /// Those that it did not.
    pub object_cache_misses: u64,
    /// Bytes in the object cache.
    pub object_cache_bytes: u64,
    /// Reads of blocks that the block cache answered.
    pub block_cache_hits: u64,
    /// Those that it did not.
    pub block_cache_misses: u64,
    /// Point reads of tables that the bloom filters answered.
    pub filter_skips: u64,
    /// Bytes of bodies on disk that were overwritten or removed.
    pub stale_bytes: u64,
    /// Rounds of the scrub.
    pub scrub_rounds: u64,
    /// Bytes that it read.
    pub scrub_bytes: u64,
    /// Bodies and chunks that it found damaged.
    pub scrub_damaged: u64,
    /// Chunk files that were written with plain bytes.
    pub chunks_written_raw: u64,
    /// Chunk files that were written compressed.
    pub chunks_written_compressed: u64,
    /// How much smaller those are than they would be with plain bytes.
    pub chunk_bytes_saved: u64,
    /// Transactions that are under way.
    pub transactions_open: u64,
    /// Transactions that wrote something and were committed.
    pub transactions_committed: u64,
    /// Transactions that were refused since something that they had read was overtaken.
    pub transactions_conflicts: u64,
    /// Transactions that were ended to resolve a deadlock.
    pub transactions_deadlocks: u64,
}

impl Engine {
    /// Figures since the start.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        let committed = self.inner.committer().figures();
        let storage = self.inner.storage.figures();
        let cache = self.inner.cache.figures();
        let chunks = self.inner.chunks.figures();
        EngineStats {
            commits: committed.commits.load(Ordering::Relaxed),
            plans: committed.plans.load(Ordering::Relaxed),
            refused: committed.refused.load(Ordering::Relaxed),
            throttled_ms: committed.throttled_ms.load(Ordering::Relaxed),
            waiting: self.inner.committer().waiting() as u64,
            log_position: self.inner.committer().mark().position.get(),
            write_buffer_bytes: self.inner.storage.write_buffer_bytes(),
            journals: storage.journals,
            storage_bytes: storage.disk_bytes,
            object_cache_hits: cache.hits,
            object_cache_misses: cache.misses,
            object_cache_bytes: cache.bytes,
            block_cache_hits: storage.block_cache_hits,
            block_cache_misses: storage.block_cache_misses,
            filter_skips: storage.filter_skips,
            stale_bytes: storage.stale_bytes,
            scrub_rounds: self.inner.scrub.rounds.load(Ordering::Relaxed),
            scrub_bytes: self.inner.scrub.bytes.load(Ordering::Relaxed),
            scrub_damaged: self.inner.scrub.damaged.load(Ordering::Relaxed),
            chunks_written_raw: chunks.plain.load(Ordering::Relaxed),
            chunks_written_compressed: chunks.packed.load(Ordering::Relaxed),
            chunk_bytes_saved: chunks.saved_bytes.load(Ordering::Relaxed),
            transactions_open: self.inner.locks.open(),
            transactions_committed: committed.transactions.load(Ordering::Relaxed),
            transactions_conflicts: committed.conflicts.load(Ordering::Relaxed),
            transactions_deadlocks: self.inner.locks.deadlocks(),
        }
    }
}
