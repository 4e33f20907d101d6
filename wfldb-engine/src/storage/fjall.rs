//! fjall behind the storage seam: eight keyspaces, snapshot reads only, one `SyncAll` batch per commit.
//!
//! What is banned and why stands in `clippy.toml`: reads beside a snapshot tear batches, writes beside a batch
//! can poison the database, and deleting keyspaces can resurrect their rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fjall::config::{CompressionPolicy, FilterPolicy};
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode, Readable,
};

use super::fjall_memory::Memtables;
use super::{Batch, Captured, Row, Rows, Snapshot, Space, Storage, StorageError, StorageFigures};

/// Journals beyond this count mean that an idle keyspace pins them: each keyspace then gets a heartbeat row.
const JOURNALS_MAX: usize = 6;
/// Bytes of journal that are replayed at most at the next open.
const JOURNAL_BYTES_MAX: u64 = 192 * 1024 * 1024;
/// Bytes of a keyspace that are in memory and not in a table yet, before they are on their way into one. fjall's own 64 MiB
/// took 546 MiB of memory in all while a million small objects were stored.
const MEMTABLE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// On more cores one that spins is not missed.
const CORES_FOR_ONE_WORKER: usize = 4;
/// The heartbeat's key; one byte, so that no real key is equal to it.
const HEARTBEAT_KEY: &[u8] = &[0];

/// fjall in one directory.
pub struct FjallStorage {
    dir: PathBuf,
    memtables: Memtables,
    spaces: Arc<[Keyspace; 8]>,
    database: Database,
}

impl std::fmt::Debug for FjallStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FjallStorage").finish_non_exhaustive()
    }
}

/// fjall's threads that flush and merge. Of several, one is kept for flushing: while all others merge, it takes a waiting
/// merge from the queue and puts it back, over and over, and has a core to itself (docs/decisions/0013).
fn workers() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if cores <= CORES_FOR_ONE_WORKER { 1 } else { 4 }
}

fn options(space: Space, filters: bool) -> KeyspaceCreateOptions {
    let base = if filters {
        KeyspaceCreateOptions::default()
    } else {
        KeyspaceCreateOptions::default().filter_policy(FilterPolicy::disabled())
    };
    let base = base.max_memtable_size(MEMTABLE_BYTES_MAX);
    match space {
        // A body is written once and read whole: kept out of the tree so that compaction does not copy it.
        // Compression stays off, because clients' bytes are often compressed already and are hashed as they are.
        Space::Bodies => base.with_kv_separation(Some(
            KvSeparationOptions::default()
                .separation_threshold(2048)
                // Removed bodies come back soon: by default a blob file waits until it is old and mostly stale.
                .staleness_threshold(0.2)
                .age_cutoff(1.0)
                .compression(CompressionType::None),
        )),
        // Overwritten hot keys degrade reads until a flush, so their memtables are small.
        Space::Counters | Space::Meta => base.max_memtable_size(4 * 1024 * 1024),
        Space::Log => base.data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4)),
        Space::Heads | Space::Versions | Space::Chunks | Space::Index => base,
    }
}

impl FjallStorage {
    /// Opens the database in `dir`, creating it and its keyspaces where they are missing.
    ///
    /// # Errors
    /// [`StorageError::Open`] with fjall's reason.
    pub fn open(dir: &Path, cache_bytes: u64) -> Result<Self, StorageError> {
        Self::open_with(dir, cache_bytes, true)
    }

    /// The same; keyspaces that are made get bloom filters, or for comparison none. Those that are there keep theirs.
    ///
    /// # Errors
    /// Those of [`FjallStorage::open`].
    pub fn open_with(dir: &Path, cache_bytes: u64, filters: bool) -> Result<Self, StorageError> {
        let failed = |error: fjall::Error| StorageError::Open(error.to_string());
        let database = Database::builder(dir)
            .cache_size(cache_bytes)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .journal_compression(CompressionType::None)
            .worker_threads(workers())
            .open()
            .map_err(failed)?;
        let open = |space: Space| {
            database
                .keyspace(space.name(), || options(space, filters))
                .map_err(failed)
        };
        let spaces = Arc::new([
            open(Space::Meta)?,
            open(Space::Heads)?,
            open(Space::Versions)?,
            open(Space::Bodies)?,
            open(Space::Log)?,
            open(Space::Counters)?,
            open(Space::Chunks)?,
            open(Space::Index)?,
        ]);
        let memtables = Memtables::hold(spaces.as_slice());
        Ok(Self {
            dir: dir.to_path_buf(),
            memtables: memtables.map_err(|error| StorageError::Open(error.to_string()))?,
            spaces,
            database,
        })
    }

    fn sum(&self, figure: impl Fn(&Keyspace) -> usize) -> u64 {
        self.spaces.iter().map(|space| figure(space) as u64).sum()
    }

    /// The folder name of each keyspace under `keyspaces/`, for the `STORE` file.
    #[must_use]
    pub fn keyspace_ids(&self) -> Vec<(String, u64)> {
        Space::ALL
            .iter()
            .map(|space| (space.name().to_owned(), keyspace(&self.spaces, *space).id()))
            .collect()
    }
}

fn keyspace(spaces: &[Keyspace; 8], space: Space) -> &Keyspace {
    let [meta, heads, versions, bodies, log, counters, chunks, index] = spaces;
    match space {
        Space::Meta => meta,
        Space::Heads => heads,
        Space::Versions => versions,
        Space::Bodies => bodies,
        Space::Log => log,
        Space::Counters => counters,
        Space::Chunks => chunks,
        Space::Index => index,
    }
}

struct FjallSnapshot {
    spaces: Arc<[Keyspace; 8]>,
    snapshot: fjall::Snapshot,
}

fn read_failed(error: &fjall::Error) -> StorageError {
    StorageError::Read(error.to_string())
}

impl Snapshot for FjallSnapshot {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let value = self
            .snapshot
            .get(keyspace(&self.spaces, space), key)
            .map_err(|error| read_failed(&error))?;
        Ok(value.map(Bytes::from))
    }

    fn range<'a>(&'a self, space: Space, from: &[u8], to: &[u8], reverse: bool) -> Rows<'a> {
        let space = keyspace(&self.spaces, space);
        let rows = if to.is_empty() {
            self.snapshot.range::<&[u8], _>(space, from..)
        } else if from >= to {
            return Box::new(std::iter::empty());
        } else {
            self.snapshot.range::<&[u8], _>(space, from..to)
        };
        let row = |guard: fjall::Guard| -> Option<Result<Row, StorageError>> {
            match guard.into_inner() {
                Ok((key, _)) if &*key == HEARTBEAT_KEY => None,
                Ok((key, value)) => Some(Ok((Bytes::from(key), Bytes::from(value)))),
                Err(error) => Some(Err(read_failed(&error))),
            }
        };
        if reverse {
            Box::new(rows.rev().filter_map(row))
        } else {
            Box::new(rows.filter_map(row))
        }
    }
}

impl Storage for FjallStorage {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(FjallSnapshot {
            spaces: Arc::clone(&self.spaces),
            snapshot: self.database.snapshot(),
        })
    }

    fn commit(&self, batch: Batch) -> Result<(), StorageError> {
        // DURABILITY: the mode is set on the batch itself, so fjall syncs before it publishes.
        let mut merged = self.database.batch().durability(Some(PersistMode::SyncAll));
        for (space, key, value) in batch.writes {
            let space = keyspace(&self.spaces, space);
            match value {
                Some(value) => merged.insert(space, key, value),
                None => merged.remove(space, key),
            }
        }
        if self.database.journal_count() > JOURNALS_MAX {
            for space in self.spaces.iter() {
                merged.insert(space, HEARTBEAT_KEY, Vec::new());
            }
        }
        let committed = merged.commit();
        self.memtables.look(self.spaces.as_slice());
        committed.map_err(|error| StorageError::Commit(error.to_string()))
    }

    fn sync(&self) -> Result<(), StorageError> {
        // Older journals were synced when this one began.
        self.database
            .persist(PersistMode::SyncAll)
            .map_err(|error| StorageError::Commit(error.to_string()))
    }

    fn rest(&self) -> Result<(), StorageError> {
        for space in self.spaces.iter() {
            space
                .rotate_memtable()
                .map_err(|error| StorageError::Commit(error.to_string()))?;
        }
        self.memtables.look(self.spaces.as_slice());
        Ok(())
    }

    fn compact(&self) -> Result<(), StorageError> {
        let failed = |error: fjall::Error| StorageError::Read(error.to_string());
        for space in self.spaces.iter() {
            space.rotate_memtable_and_wait().map_err(failed)?;
            space.major_compact().map_err(failed)?;
        }
        // What a compaction replaced is unlinked when the next memtable is sealed.
        for space in self.spaces.iter() {
            space.rotate_memtable_and_wait().map_err(failed)?;
        }
        self.memtables.look(self.spaces.as_slice());
        Ok(())
    }

    fn write_buffer_bytes(&self) -> u64 {
        self.database.write_buffer_size()
    }

    fn figures(&self) -> StorageFigures {
        StorageFigures {
            journals: u64::try_from(self.database.journal_count()).unwrap_or(u64::MAX),
            disk_bytes: self.database.disk_space().unwrap_or(0),
            stale_bytes: self.spaces.iter().map(Keyspace::fragmented_blob_bytes).sum(),
            block_cache_hits: self.sum(|space| space.metrics().block_load_cached_count()),
            block_cache_misses: self.sum(|space| space.metrics().block_load_io_count()),
            filter_skips: self.sum(|space| space.metrics().io_skipped_by_filter()),
        }
    }

    fn capture(&self) -> Result<Captured, StorageError> {
        super::fjall_files::capture(&self.dir, &self.database, self.spaces.as_slice())
    }
}
