//! Removing chunk files that nothing names: what a crash left between a commit and a removal, or an upload that never
//! came to its commit. Not here: rows of deleted buckets, which `bucket::sweep` removes with their files.

use std::fs::{self, DirEntry};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use wfldb_core::id::{BucketId, ChunkHash};

use super::{ChunkError, ChunkStore};
use crate::commit::Unready;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::row::key;
use crate::storage::{Space, Storage, StorageError};

/// Files that are looked at between two pauses.
const FILES_PER_STEP: usize = 64;
/// The pause of the worker, so that its looks leave the storage to those who wait for it.
const PAUSE: Duration = Duration::from_millis(2);

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Chunk files.
    pub files: u64,
    /// Their bytes on disk; of a file that another bucket shares, none.
    pub bytes: u64,
}

/// What the rows say of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BucketState {
    Live,
    /// Deleted, and its rows are being removed by somebody else.
    Detached,
    Gone,
}

/// How a walk goes.
pub(crate) struct Walk<'a> {
    pub(crate) state_of: &'a dyn Fn(&BucketId) -> Result<BucketState, StorageError>,
    pub(crate) stop: &'a dyn Fn() -> bool,
    /// How long to wait after each step.
    pub(crate) pause: Duration,
}

impl ChunkStore {
    /// Walks all chunk files and removes those that no row names and nobody pins. What does not look like ours stays.
    pub(crate) fn collect(&self, walk: &Walk<'_>) -> Result<Collected, ChunkError> {
        let mut collected = Collected::default();
        for entry in entries(&self.dir)? {
            let entry = entry?;
            let Some(bucket) = bucket_of(&entry) else { continue };
            // ORDER: the directory is found before its bucket is looked for. A bucket is there before its first
            // chunk, so a directory without one belongs to a bucket that is gone, and not to one that comes.
            let state = (walk.state_of)(&bucket)?;
            if state == BucketState::Detached {
                continue;
            }
            for folder in entries(&entry.path())? {
                let folder = folder?.path();
                self.collect_folder(&bucket, &folder, walk, &mut collected)?;
                if state == BucketState::Gone {
                    // Only an empty one goes.
                    let _ = fs::remove_dir(&folder);
                }
            }
            if state == BucketState::Gone {
                let _ = fs::remove_dir(entry.path());
            }
        }
        Ok(collected)
    }

    fn collect_folder(
        &self,
        bucket: &BucketId,
        folder: &Path,
        walk: &Walk<'_>,
        collected: &mut Collected,
    ) -> Result<(), ChunkError> {
        let name = folder.file_name().and_then(|name| name.to_str());
        let Some(name) = name.filter(|name| name.len() == 2) else {
            return Ok(());
        };
        for (number, file) in entries(folder)?.enumerate() {
            if (walk.stop)() {
                break;
            }
            if number % FILES_PER_STEP == 0 {
                std::thread::sleep(walk.pause);
            }
            let file = file?;
            if let Some(chunk) = chunk_of(&file, name) {
                self.collect_file(bucket, &chunk, &file, collected)?;
            }
        }
        Ok(())
    }

    fn collect_file(
        &self,
        bucket: &BucketId,
        chunk: &ChunkHash,
        file: &DirEntry,
        collected: &mut Collected,
    ) -> Result<(), ChunkError> {
        // Most files are named. This look spares writers the lock; the one that counts is made under it.
        if (self.references)(bucket, chunk)? {
            return Ok(());
        }
        let bytes = file
            .metadata()
            .map_or(0, |file| if file.nlink() == 1 { file.len() } else { 0 });
        if self.remove_if_unnamed(bucket, chunk) {
            collected.files += 1;
            collected.bytes += bytes;
        }
        Ok(())
    }
}

/// The worker: one walk after the store was opened, on a thread of its own.
#[derive(Debug, Default)]
pub(crate) struct GarbageWorker {
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl GarbageWorker {
    pub(crate) fn start(storage: Arc<dyn Storage>, chunks: Arc<ChunkStore>) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("wfldb-garbage".to_owned())
            .spawn(move || {
                match collect(&*storage, &chunks, &|| stopped.load(Ordering::SeqCst), PAUSE) {
                    Ok(Collected { files: 0, .. }) => {}
                    Ok(Collected { files, bytes }) => {
                        tracing::info!(files, bytes, "removed chunk files that nothing named");
                    }
                    // What stays costs space, not truth; the next start looks again.
                    Err(error) => tracing::warn!(%error, "looking for chunk files that nothing names failed"),
                }
            })?;
        Ok(Self {
            stop,
            thread: Mutex::new(Some(thread)),
        })
    }

    #[cfg(test)]
    pub(crate) fn is_started(&self) -> bool {
        self.thread.lock().is_ok_and(|thread| thread.is_some())
    }

    /// Ends the walk and waits for it.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Engine {
    /// Removes chunk files that nothing names, as the start does in the background. Blocks until it is through; may
    /// run beside everything else.
    ///
    /// # Errors
    /// `ReadOnly`: a damaged store is left as it is. `Read` when rows or directories cannot be read; what was removed
    /// until then is not told.
    pub fn collect_garbage(&self) -> Result<Collected, EngineError> {
        if let Err(Unready::ReadOnly(_) | Unready::Poisoned) = self.health().writable {
            return Err(EngineError::ReadOnly);
        }
        let inner = &self.inner;
        collect(&*inner.storage, &inner.chunks, &|| false, Duration::ZERO).map_err(|error| match error {
            ChunkError::Reference(error) => error.into(),
            other => EngineError::Read(other.to_string()),
        })
    }
}

fn collect(
    storage: &dyn Storage,
    chunks: &ChunkStore,
    stop: &dyn Fn() -> bool,
    pause: Duration,
) -> Result<Collected, ChunkError> {
    // DURABILITY: rows as a killed process left them may stand in the journal's pages and not on the disk. A power
    // failure would bring back a row whose removal was lost so, and its file must then be there.
    storage.sync()?;
    chunks.collect(&Walk {
        state_of: &|bucket| {
            let snapshot = storage.snapshot();
            let live = snapshot.get(Space::Meta, &key::bucket_row(bucket))?;
            let detached = snapshot.get(Space::Meta, &key::bucket_detached(bucket))?;
            Ok(match (live, detached) {
                (Some(_), _) => BucketState::Live,
                (None, Some(_)) => BucketState::Detached,
                (None, None) => BucketState::Gone,
            })
        },
        stop,
        pause,
    })
}

/// The entries of a directory; none when it went meanwhile, or is none.
fn entries(dir: &Path) -> std::io::Result<impl Iterator<Item = std::io::Result<DirEntry>>> {
    match fs::read_dir(dir) {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None.into_iter().flatten())
        }
        Err(error) => Err(error),
    }
}

fn bucket_of(entry: &DirEntry) -> Option<BucketId> {
    BucketId::parse(entry.file_name().to_str()?).ok()
}

fn chunk_of(file: &DirEntry, folder: &str) -> Option<ChunkHash> {
    let name = file.file_name();
    let name = name.to_str().filter(|name| name.starts_with(folder))?;
    let is_file = file.file_type().is_ok_and(|kind| kind.is_file());
    ChunkHash::parse(name).ok().filter(|_| is_file)
}
