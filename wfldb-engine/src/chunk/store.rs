//! Writing, finding and removing chunk files: `chunks/<bucket id>/<2 hex>/<64 hex>`.
//!
//! INVARIANT 3: a file appears whole, under its hash, synced with its directory; it is removed only when no pin and
//! no reference names it, and both are looked at under the lock that a writer takes before it looks for the file.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use wfldb_core::id::{BucketId, ChunkHash};

use super::file::{plain_file_bytes, plain_trailer, seal};
use super::hold::Holds;
use super::writer::Settlers;
use super::{ChunkBuffer, ChunkError, ChunkReader, Pins, Resources};
use crate::storage::StorageError;

/// Answers whether a committed row refers to a chunk now.
pub(crate) type References = Arc<dyn Fn(&BucketId, &ChunkHash) -> Result<bool, StorageError> + Send + Sync>;

#[derive(Debug, Default)]
pub(super) struct Pin {
    count: usize,
    /// We wrote and synced the file since the pin was taken.
    pub(super) synced: bool,
}

/// Figures since the start.
#[derive(Debug, Default)]
pub(crate) struct ChunkFigures {
    /// Files that were written with plain bytes.
    pub(crate) plain: AtomicU64,
    /// Files that were written packed.
    pub(crate) packed: AtomicU64,
    /// How much smaller the packed files are than plain ones would be.
    pub(crate) saved_bytes: AtomicU64,
}

/// A chunk file whose bytes were handed to the system under a temporary name. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Written {
    bucket: BucketId,
    chunk: ChunkHash,
    file: File,
    temp: Temp,
}

/// A name in `tmp`, and the file that has it, if any. Both are gone when this is dropped, unless the file was renamed.
#[derive(Debug)]
struct Temp(PathBuf);

impl Drop for Temp {
    fn drop(&mut self) {
        // After a renaming there is nothing, unless both names are links to one file: renaming does nothing then. The
        // next open would remove it too.
        let _ = fs::remove_file(&self.0);
    }
}

/// Chunks that lost their last pin.
type Released = Vec<(BucketId, ChunkHash)>;

pub(super) type PinTable = HashMap<(BucketId, ChunkHash), Pin>;

/// All chunk files of a store.
pub(crate) struct ChunkStore {
    pub(super) dir: PathBuf,
    pub(super) references: References,
    pins: Mutex<PinTable>,
    pub(super) holds: Holds,
    next_temp: AtomicU64,
    resources: Arc<Resources>,
    compress: bool,
    figures: ChunkFigures,
    /// Chunks whose last pin is gone, to be looked at away from the caller's thread.
    released: Mutex<Option<Sender<Released>>>,
    settlers: Settlers,
}

impl std::fmt::Debug for ChunkStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkStore")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl ChunkStore {
    /// Opens the chunk directory `dir`, creating it where it is missing; half-written files of earlier runs go.
    /// New chunks are packed where that pays if `compress` is set; packed ones are read either way.
    pub(crate) fn open(dir: PathBuf, references: References, compress: bool) -> std::io::Result<Arc<Self>> {
        let temp = dir.join("tmp");
        fs::create_dir_all(&dir)?;
        match fs::remove_dir_all(&temp) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir(&temp)?,
        }
        let (released, to_look_at) = mpsc::channel::<Released>();
        let store = Arc::new(Self {
            dir,
            references,
            pins: Mutex::new(HashMap::new()),
            holds: Holds::default(),
            next_temp: AtomicU64::new(0),
            resources: Arc::new(Resources::new()),
            compress,
            figures: ChunkFigures::default(),
            released: Mutex::new(Some(released)),
            settlers: Settlers::start()?,
        });
        let weak = Arc::downgrade(&store);
        std::thread::Builder::new()
            .name("wfldb-unpin".to_owned())
            .spawn(move || {
                while let Ok(chunks) = to_look_at.recv() {
                    let Some(store) = weak.upgrade() else { return };
                    for (bucket, chunk) in chunks {
                        store.remove_if_unnamed(&bucket, &chunk);
                    }
                }
            })?;
        Ok(store)
    }

    /// A buffer for the chunks of a body of `len` bytes.
    pub(crate) fn buffer(&self, len: u64) -> ChunkBuffer {
        self.resources.chunk_buffers.take(len)
    }

    pub(super) fn settlers(&self) -> &Settlers {
        &self.settlers
    }

    pub(crate) fn figures(&self) -> &ChunkFigures {
        &self.figures
    }

    pub(super) fn pins(&self) -> std::sync::MutexGuard<'_, PinTable> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pin(&self, bucket: BucketId, chunk: ChunkHash) {
        self.pins().entry((bucket, chunk)).or_default().count += 1;
    }

    pub(super) fn unpin(&self, held: Vec<(BucketId, ChunkHash)>) {
        let mut unpinned = Vec::new();
        let mut pins = self.pins();
        for name in held {
            if let Some(pin) = pins.get_mut(&name) {
                pin.count = pin.count.saturating_sub(1);
                if pin.count == 0 {
                    pins.remove(&name);
                    unpinned.push(name);
                }
            }
        }
        drop(pins);
        if !unpinned.is_empty() {
            self.look_at(unpinned);
        }
    }

    /// Has chunks that something let go of removed, unless something else names them.
    pub(crate) fn look_at(&self, chunks: Vec<(BucketId, ChunkHash)>) {
        if let Some(released) = &*self.released.lock().unwrap_or_else(PoisonError::into_inner) {
            // Without the thread the files stay until they are swept: nothing is lost.
            let _ = released.send(chunks);
        }
    }

    /// Removes the file unless a pin or a row names it. `true` when it is gone by this.
    pub(super) fn remove_if_unnamed(&self, bucket: &BucketId, chunk: &ChunkHash) -> bool {
        // ORDER: before the pins, which writers need; kept to the end, so that a hold that begins sees no removal.
        let _nobody_holds = self.holds.wait();
        // ORDER: the lock is held from the look at the pins to the removal. A writer pins under the same lock
        // before it looks for the file, so it finds either the file and its pin, or neither.
        let pins = self.pins();
        if pins.contains_key(&(*bucket, *chunk)) {
            return false;
        }
        let removed = match (self.references)(bucket, chunk) {
            // A file that stays costs space, not truth.
            Ok(false) => fs::remove_file(self.path(bucket, chunk)).is_ok(),
            Ok(true) => false,
            Err(error) => {
                tracing::warn!(%error, "a chunk is kept because its references could not be read");
                false
            }
        };
        drop(pins);
        removed
    }

    pub(super) fn bucket_dir(&self, bucket: &BucketId) -> PathBuf {
        self.dir.join(bucket.to_string())
    }

    pub(crate) fn path(&self, bucket: &BucketId, chunk: &ChunkHash) -> PathBuf {
        let name = chunk.to_string();
        self.bucket_dir(bucket)
            .join(name.get(..2).unwrap_or("00"))
            .join(name)
    }

    /// Puts `bytes` on stable storage under their hash, if they are not there, and pins them.
    pub(crate) fn put(
        &self,
        bucket: BucketId,
        bytes: &[u8],
        pins: &mut Pins,
    ) -> Result<ChunkHash, ChunkError> {
        let (hash, written) = self.write(bucket, bytes, pins)?;
        if let Some(written) = written {
            self.settle(written)?;
        }
        Ok(hash)
    }

    /// Pins `bytes` and writes them, if they are not there, under a temporary name: [`ChunkStore::settle`] does the rest.
    pub(super) fn write(
        &self,
        bucket: BucketId,
        bytes: &[u8],
        pins: &mut Pins,
    ) -> Result<(ChunkHash, Option<Written>), ChunkError> {
        let (chunk, values) = seal(bytes);
        // ORDER: pinned before looked for, see `remove_if_unnamed`.
        pins.pin(bucket, chunk);
        // What is there is compared, not believed: a damaged file is replaced by the good bytes that we hold.
        if self.is_named(&bucket, &chunk)? && self.holds(&self.path(&bucket, &chunk), &chunk, bytes) {
            return Ok((chunk, None));
        }
        let packed = if self.compress {
            self.resources.packer.pack(bytes, &values)
        } else {
            None
        };
        let temp = self.temp();
        let mut file = File::create_new(&temp.0)?;
        if let Some(packed) = packed {
            file.write_all(&packed)?;
            let saved = plain_file_bytes(bytes.len()).saturating_sub(packed.len() as u64);
            self.figures.saved_bytes.fetch_add(saved, Ordering::Relaxed);
            self.figures.packed.fetch_add(1, Ordering::Relaxed);
        } else {
            file.write_all(bytes)?;
            file.write_all(&plain_trailer(bytes.len(), &values))?;
            self.figures.plain.fetch_add(1, Ordering::Relaxed);
        }
        let written = Written {
            bucket,
            chunk,
            file,
            temp,
        };
        Ok((chunk, Some(written)))
    }

    /// Puts a written chunk on stable storage under its name.
    pub(super) fn settle(&self, written: Written) -> std::io::Result<()> {
        let Written {
            bucket,
            chunk,
            file,
            temp,
        } = written;
        // DURABILITY: content before name, name before the commit that refers to it.
        file.sync_all()?;
        self.name(&temp, &self.path(&bucket, &chunk))?;
        self.mark_synced(bucket, chunk);
        Ok(())
    }

    /// Whether a file under this name may be taken for the chunk.
    ///
    /// DURABILITY: only if a committed row refers to it, or we synced it ourselves. Another file of that name may be
    /// a leftover that never reached the disk whole.
    pub(super) fn is_named(&self, bucket: &BucketId, chunk: &ChunkHash) -> Result<bool, ChunkError> {
        let synced = self.pins().get(&(*bucket, *chunk)).is_some_and(|pin| pin.synced);
        Ok(synced || (self.references)(bucket, chunk)?)
    }

    pub(super) fn mark_synced(&self, bucket: BucketId, chunk: ChunkHash) {
        if let Some(pin) = self.pins().get_mut(&(bucket, chunk)) {
            pin.synced = true;
        }
    }

    fn holds(&self, path: &Path, chunk: &ChunkHash, bytes: &[u8]) -> bool {
        ChunkReader::open(path, chunk, bytes.len(), &self.resources)
            .and_then(|mut reader| reader.holds(bytes))
            .unwrap_or(false)
    }

    fn temp(&self) -> Temp {
        let number = self.next_temp.fetch_add(1, Ordering::Relaxed);
        Temp(self.dir.join("tmp").join(number.to_string()))
    }

    /// Puts under `path`, and its directory on stable storage, what `make` made and synced under a temporary name.
    pub(super) fn place(
        &self,
        path: &Path,
        make: impl FnOnce(&Path) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let temp = self.temp();
        make(&temp.0)?;
        self.name(&temp, path)
    }

    /// Gives a synced file its name, on stable storage too.
    fn name(&self, temp: &Temp, path: &Path) -> std::io::Result<()> {
        let Some(parent) = path.parent() else {
            return Ok(());
        };
        self.create_dir_synced(parent)?;
        if fs::rename(&temp.0, path).is_err() {
            // The sweeper of a deleted bucket may have removed the directory in between; the commit will then
            // refuse the write, which is the better answer.
            self.create_dir_synced(parent)?;
            fs::rename(&temp.0, path)?;
        }
        File::open(parent)?.sync_all()
    }

    fn create_dir_synced(&self, dir: &Path) -> std::io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(dir)?;
        for parent in dir.ancestors().skip(1) {
            File::open(parent)?.sync_all()?;
            if parent == self.dir {
                break;
            }
        }
        Ok(())
    }

    /// Opens a chunk for reading.
    pub(crate) fn open_chunk(
        &self,
        bucket: &BucketId,
        chunk: &ChunkHash,
        len: usize,
    ) -> Result<ChunkReader, ChunkError> {
        ChunkReader::open(&self.path(bucket, chunk), chunk, len, &self.resources)
    }

    /// Reads a whole chunk and compares it with its hash, in bounded memory.
    pub(crate) fn check(&self, bucket: &BucketId, chunk: &ChunkHash, len: usize) -> Result<(), ChunkError> {
        self.open_chunk(bucket, chunk, len)?.check_all()
    }

    /// Removes all chunks of a bucket that no row names any more.
    pub(crate) fn remove_bucket(&self, bucket: &BucketId) -> std::io::Result<()> {
        let _nobody_holds = self.holds.wait();
        match fs::remove_dir_all(self.bucket_dir(bucket)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Ends the background threads once they have done what was handed to them.
    pub(crate) fn close(&self) {
        self.settlers.close();
        self.released
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}
