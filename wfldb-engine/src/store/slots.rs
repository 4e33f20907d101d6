//! Two slots in one small file, written in turn, each with a count and its own BLAKE3: a write that is torn by a
//! power cut leaves the other slot whole. `HWM` and `REPLAY` are such files.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::row::CommitMark;

const MAGIC: &[u8; 8] = b"wflmark1";
/// Slots stand in different sectors, so that one torn sector cannot take both.
const SLOT_BYTES: u64 = 4096;
const CONTENT_BYTES_MAX: usize = 256;

/// The file.
#[derive(Debug)]
pub(crate) struct Slots {
    file: File,
    count: u64,
}

fn encode(count: u64, content: &[u8]) -> Vec<u8> {
    let mut slot = MAGIC.to_vec();
    slot.extend_from_slice(&count.to_be_bytes());
    slot.extend_from_slice(&(content.len() as u64).to_be_bytes());
    slot.extend_from_slice(content);
    let check = blake3::hash(&slot);
    slot.extend_from_slice(check.as_bytes());
    slot
}

fn decode(slot: &[u8]) -> Option<(u64, Vec<u8>)> {
    let rest = slot.strip_prefix(MAGIC)?;
    let (count, rest) = rest.split_first_chunk::<8>()?;
    let (len, rest) = rest.split_first_chunk::<8>()?;
    let len = usize::try_from(u64::from_be_bytes(*len))
        .ok()
        .filter(|len| *len <= CONTENT_BYTES_MAX)?;
    let (content, rest) = rest.split_at_checked(len)?;
    let checked = slot.get(..MAGIC.len() + 16 + len)?;
    let check = rest.first_chunk::<32>()?;
    // A checksum against accidents, not a secret.
    (blake3::hash(checked).as_bytes() == check).then(|| (u64::from_be_bytes(*count), content.to_vec()))
}

/// A whole file with `content` as its only write.
pub(crate) fn file_of(content: &[u8]) -> Vec<u8> {
    let first = usize::try_from(SLOT_BYTES).unwrap_or_default();
    let mut file = vec![0; first];
    file.extend_from_slice(&encode(1, content));
    file
}

impl Slots {
    /// Opens the file at `path`, and returns the newest whole content; `None` when there is none.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Option<Vec<u8>>)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let newest = Self::read(&file)?;
        let count = newest.as_ref().map_or(0, |(count, _)| *count);
        Ok((Self { file, count }, newest.map(|(_, content)| content)))
    }

    /// The newest whole content with its count.
    fn read(file: &File) -> io::Result<Option<(u64, Vec<u8>)>> {
        let mut newest: Option<(u64, Vec<u8>)> = None;
        for slot in 0..2 {
            let mut bytes = vec![0; MAGIC.len() + 16 + CONTENT_BYTES_MAX + 32];
            let mut filled = 0;
            while let Some(space) = bytes.get_mut(filled..).filter(|space| !space.is_empty()) {
                let read = file.read_at(space, slot * SLOT_BYTES + filled as u64)?;
                if read == 0 {
                    break;
                }
                filled += read;
            }
            let found = decode(&bytes);
            if found.as_ref().map(|(count, _)| *count) > newest.as_ref().map(|(count, _)| *count) {
                newest = found;
            }
        }
        Ok(newest)
    }

    /// Writes `content` over the older slot. Safe from a killed process at once, from a power cut after a sync.
    pub(crate) fn write(&mut self, content: &[u8]) -> io::Result<()> {
        self.count += 1;
        self.file
            .write_all_at(&encode(self.count, content), (self.count % 2) * SLOT_BYTES)
    }

    pub(crate) fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// The durable mark: where the log stood when the last write was answered. Written before each answer, synced each
/// second and at a clean stop.
#[derive(Debug)]
pub(crate) struct HighWaterMark {
    slots: Mutex<Slots>,
    dirty: Arc<AtomicBool>,
    stop: Mutex<Option<std::sync::mpsc::Sender<()>>>,
}

impl HighWaterMark {
    /// Opens the mark, and returns where it stands.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Option<CommitMark>)> {
        let (slots, content) = Slots::open(path)?;
        let found = content.as_deref().map(CommitMark::decode).transpose();
        let found = found.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let mark = Self {
            slots: Mutex::new(slots),
            dirty: Arc::new(AtomicBool::new(false)),
            stop: Mutex::new(None),
        };
        Ok((mark, found))
    }

    /// Where the mark in the file at `path` stands; nothing is written.
    pub(crate) fn read(path: &Path) -> io::Result<Option<CommitMark>> {
        let content = Slots::read(&File::open(path)?)?.map(|(_, content)| content);
        let found = content.as_deref().map(CommitMark::decode).transpose();
        found.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Starts the thread that syncs each second while the mark moves.
    pub(crate) fn start_syncing(&self) -> io::Result<()> {
        let handle = self.lock().handle()?;
        let dirty = Arc::clone(&self.dirty);
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        std::thread::Builder::new()
            .name("wfldb-hwm".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(Duration::from_secs(1))
                    == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
                {
                    if dirty.swap(false, Ordering::SeqCst)
                        && let Err(error) = handle.sync_data()
                    {
                        tracing::warn!(%error, "the durable mark could not be synced");
                    }
                }
            })?;
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(stop);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the mark.
    pub(crate) fn advance(&self, mark: &CommitMark) -> io::Result<()> {
        self.lock().write(&mark.encode())?;
        self.dirty.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Puts the mark on stable storage.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.lock().sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_made_whole_reads_like_one_that_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("HWM");
        std::fs::write(&path, file_of(&[7; 56])).unwrap();
        let (mut slots, found) = Slots::open(&path).unwrap();
        assert_eq!(found, Some(vec![7; 56]));
        slots.write(&[8; 56]).unwrap();
        assert_eq!(Slots::open(&path).unwrap().1, Some(vec![8; 56]));
    }

    #[test]
    fn a_torn_write_leaves_the_slot_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("HWM");
        let (mut slots, none) = Slots::open(&path).unwrap();
        assert_eq!(none, None);
        for n in 1..=5u8 {
            slots.write(&[n; 56]).unwrap();
        }
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(Slots::open(&path).unwrap().1, Some(vec![5; 56]));
        // The fifth write stands in slot 1; any damage to it gives the fourth.
        for at in 0..100 {
            let mut torn = whole.clone();
            torn[4096 + at] ^= 0xff;
            std::fs::write(&path, &torn).unwrap();
            assert_eq!(Slots::open(&path).unwrap().1, Some(vec![4; 56]), "at {at}");
        }
    }
}
