//! Writing, finding and removing chunk files: `chunks/<bucket id>/<2 hex>/<64 hex>`.
//!
//! INVARIANT 3: a file appears whole, under its hash, synced with its directory; it is removed only when no pin and
//! no reference names it, and both are looked at under the lock that a writer takes before it looks for the file.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use wfldb_core::id::{BucketId, ChunkHash};

use super::file::{file_bytes, seal};
use super::{ChunkError, ChunkReader, Pins};
use crate::storage::StorageError;

/// Answers whether a committed row refers to a chunk now.
pub(crate) type References = Arc<dyn Fn(&BucketId, &ChunkHash) -> Result<bool, StorageError> + Send + Sync>;

#[derive(Debug, Default)]
struct Pin {
    count: usize,
    /// We wrote and synced the file since the pin was taken.
    synced: bool,
}

/// Chunks that lost their last pin.
type Released = Vec<(BucketId, ChunkHash)>;

type PinTable = HashMap<(BucketId, ChunkHash), Pin>;

/// All chunk files of a store.
pub(crate) struct ChunkStore {
    dir: PathBuf,
    references: References,
    pins: Mutex<PinTable>,
    next_temp: AtomicU64,
    /// Chunks whose last pin is gone, to be looked at away from the caller's thread.
    released: Mutex<Option<Sender<Released>>>,
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
    pub(crate) fn open(dir: PathBuf, references: References) -> std::io::Result<Arc<Self>> {
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
            next_temp: AtomicU64::new(0),
            released: Mutex::new(Some(released)),
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

    fn pins(&self) -> std::sync::MutexGuard<'_, PinTable> {
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

    fn remove_if_unnamed(&self, bucket: &BucketId, chunk: &ChunkHash) {
        // ORDER: the lock is held from the look at the pins to the removal. A writer pins under the same lock
        // before it looks for the file, so it finds either the file and its pin, or neither.
        let pins = self.pins();
        if pins.contains_key(&(*bucket, *chunk)) {
            return;
        }
        match (self.references)(bucket, chunk) {
            Ok(false) => {
                // A file that stays costs space, not truth.
                let _ = fs::remove_file(self.path(bucket, chunk));
            }
            Ok(true) => {}
            Err(error) => tracing::warn!(%error, "a chunk is kept because its references could not be read"),
        }
        drop(pins);
    }

    fn bucket_dir(&self, bucket: &BucketId) -> PathBuf {
        self.dir.join(bucket.to_string())
    }

    fn path(&self, bucket: &BucketId, chunk: &ChunkHash) -> PathBuf {
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
        let (hash, trailer) = seal(bytes);
        // ORDER: pinned before looked for, see `remove_if_unnamed`.
        pins.pin(bucket, hash);
        let path = self.path(&bucket, &hash);
        let synced = self.pins().get(&(bucket, hash)).is_some_and(|pin| pin.synced);
        // DURABILITY: a file counts as there only if a committed row refers to it, or we synced it ourselves.
        // Another file of that name may be a leftover that never reached the disk whole.
        let there = synced || (self.references)(&bucket, &hash)?;
        // What is there is compared, not believed: a damaged file is replaced by the good bytes that we hold.
        if there && holds(&path, bytes, &trailer).unwrap_or(false) {
            return Ok(hash);
        }
        self.write(&path, bytes, &trailer)?;
        if let Some(pin) = self.pins().get_mut(&(bucket, hash)) {
            pin.synced = true;
        }
        Ok(hash)
    }

    fn write(&self, path: &Path, bytes: &[u8], trailer: &[u8]) -> std::io::Result<()> {
        let number = self.next_temp.fetch_add(1, Ordering::Relaxed);
        let temp = self.dir.join("tmp").join(number.to_string());
        let written = (|| {
            let mut file = File::create_new(&temp)?;
            file.write_all(bytes)?;
            file.write_all(trailer)?;
            // DURABILITY: content before name, name before the commit that refers to it.
            file.sync_all()?;
            let Some(parent) = path.parent() else {
                return Ok(());
            };
            self.create_dir_synced(parent)?;
            if fs::rename(&temp, path).is_err() {
                // The sweeper of a deleted bucket may have removed the directory in between; the commit will then
                // refuse the write, which is the better answer.
                self.create_dir_synced(parent)?;
                fs::rename(&temp, path)?;
            }
            File::open(parent)?.sync_all()
        })();
        if written.is_err() {
            // The error that is returned is the one that matters; the next open removes the rest.
            let _ = fs::remove_file(&temp);
        }
        written
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
        ChunkReader::open(&self.path(bucket, chunk), chunk, len)
    }

    /// Removes all chunks of a bucket that no row names any more.
    pub(crate) fn remove_bucket(&self, bucket: &BucketId) -> std::io::Result<()> {
        match fs::remove_dir_all(self.bucket_dir(bucket)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Ends the background thread once it has looked at everything that was released.
    pub(crate) fn close(&self) {
        self.released
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

/// Whether the file holds exactly `bytes` and `trailer`.
fn holds(path: &Path, bytes: &[u8], trailer: &[u8]) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() != file_bytes(bytes.len()) {
        return Ok(false);
    }
    let mut block = vec![0; 256 * 1024];
    for part in [bytes, trailer] {
        for expected in part.chunks(block.len()) {
            let Some(found) = block.get_mut(..expected.len()) else {
                return Ok(false);
            };
            file.read_exact(found)?;
            if found != expected {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::{Duration, Instant};

    use super::*;

    fn bucket() -> BucketId {
        BucketId::from_bytes([7; 16])
    }

    fn files(dir: &Path) -> usize {
        let mut count = 0;
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            count += if entry.file_type().unwrap().is_dir() {
                files(&entry.path())
            } else {
                1
            };
        }
        count
    }

    fn until(what: impl Fn() -> bool) {
        let start = Instant::now();
        while !what() {
            assert!(start.elapsed() < Duration::from_secs(10), "it did not come about");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_chunk_reads_back_and_equal_ones_share_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let store = ChunkStore::open(dir.path().join("chunks"), Arc::new(|_, _| Ok(true))).unwrap();
        let bytes: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        let mut pins = Pins::new(Arc::clone(&store));
        let hash = store.put(bucket(), &bytes, &mut pins).unwrap();
        assert_eq!(store.put(bucket(), &bytes, &mut pins).unwrap(), hash);
        assert_eq!(files(dir.path()), 1);
        let mut reader = store.open_chunk(&bucket(), &hash, bytes.len()).unwrap();
        assert_eq!(reader.read(0, usize::MAX).unwrap(), bytes);
        let tail = reader.read(200_000, 10).unwrap();
        assert_eq!(tail, &bytes[200_000..200_000 + tail.len()]);
    }

    /// INVARIANT 3. A defect it catches: returning a group before it is compared with its value.
    #[test]
    fn a_flipped_bit_is_never_served() {
        let dir = tempfile::tempdir().unwrap();
        let store = ChunkStore::open(dir.path().join("chunks"), Arc::new(|_, _| Ok(true))).unwrap();
        let bytes = vec![42; 200_000];
        let mut pins = Pins::new(Arc::clone(&store));
        let hash = store.put(bucket(), &bytes, &mut pins).unwrap();
        let path = store.path(&bucket(), &hash);
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len())
            .step_by(9973)
            .chain(whole.len() - 140..whole.len())
        {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            fs::write(&path, &damaged).unwrap();
            let read = store
                .open_chunk(&bucket(), &hash, bytes.len())
                .and_then(|mut r| r.read(0, usize::MAX));
            assert!(read.is_err(), "flip at {at}");
        }
    }

    /// INVARIANT 3. A defect it catches: `remove_if_unnamed` without the look at the pins.
    #[test]
    fn a_chunk_goes_with_its_last_pin_unless_a_row_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let named = Arc::new(AtomicBool::new(false));
        let row = Arc::clone(&named);
        let references: References = Arc::new(move |_, _| Ok(row.load(Ordering::SeqCst)));
        let store = ChunkStore::open(dir.path().join("chunks"), references).unwrap();
        let bytes = vec![1; 100_000];
        let mut first = Pins::new(Arc::clone(&store));
        let mut second = Pins::new(Arc::clone(&store));
        let hash = store.put(bucket(), &bytes, &mut first).unwrap();
        store.put(bucket(), &bytes, &mut second).unwrap();
        drop(first);
        store.remove_if_unnamed(&bucket(), &hash);
        assert_eq!(files(dir.path()), 1, "the second write still names it");
        drop(second);
        until(|| files(dir.path()) == 0);
        let mut third = Pins::new(Arc::clone(&store));
        store.put(bucket(), &bytes, &mut third).unwrap();
        named.store(true, Ordering::SeqCst);
        drop(third);
        store.remove_if_unnamed(&bucket(), &hash);
        assert_eq!(files(dir.path()), 1, "a committed row names it");
    }

    /// A defect it catches: taking a file of the right length for a dedup hit.
    #[test]
    fn storing_the_same_bytes_again_mends_a_damaged_file() {
        let dir = tempfile::tempdir().unwrap();
        let store = ChunkStore::open(dir.path().join("chunks"), Arc::new(|_, _| Ok(true))).unwrap();
        let bytes = vec![42; 200_000];
        let mut pins = Pins::new(Arc::clone(&store));
        let hash = store.put(bucket(), &bytes, &mut pins).unwrap();
        let path = store.path(&bucket(), &hash);
        let mut damaged = fs::read(&path).unwrap();
        damaged[100_000] ^= 1;
        fs::write(&path, &damaged).unwrap();
        store.put(bucket(), &bytes, &mut pins).unwrap();
        let mut reader = store.open_chunk(&bucket(), &hash, bytes.len()).unwrap();
        assert_eq!(reader.read(0, usize::MAX).unwrap(), bytes);
    }

    #[test]
    fn a_leftover_of_an_earlier_run_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = ChunkStore::open(dir.path().join("chunks"), Arc::new(|_, _| Ok(false))).unwrap();
        let bytes = vec![3; 70_000];
        let (hash, _) = seal(&bytes);
        let path = store.path(&bucket(), &hash);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // As long as the real one, but never synced: zeros where the disk did not keep up.
        fs::write(&path, vec![0; usize::try_from(file_bytes(bytes.len())).unwrap()]).unwrap();
        let mut pins = Pins::new(Arc::clone(&store));
        store.put(bucket(), &bytes, &mut pins).unwrap();
        let mut reader = store.open_chunk(&bucket(), &hash, bytes.len()).unwrap();
        assert_eq!(reader.read(0, usize::MAX).unwrap(), bytes);
    }
}
