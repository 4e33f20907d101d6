//! Opening a store: lock, create if new, check, and only then the storage itself. Damage opens it read-only.

use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{FlockOperation, flock, statfs};
use wfldb_core::encoding::hex;
use wfldb_core::time::UnixMillis;
use zeroize::Zeroizing;

use super::create::create;
use super::layout::{Layout, remove_all};
use super::probe::{Probed, Prober, probe};
use super::upgrade::upgrade;
use super::verify::{Verdict, verify};
use super::{HighWaterMark, OpenError, ReplayMark, StoreFile};
use crate::options::EngineOptions;
use crate::row::CommitMark;
use crate::storage::{Batch, FjallStorage, Rows, Snapshot, Space, Storage, StorageError, StorageFigures};

/// Magic numbers of file systems whose locks and syncs cannot be relied on: NFS, SMB, CIFS, SMB2, FUSE-less AFS, 9P.
const NETWORK_FILESYSTEMS: [u64; 6] = [0x6969, 0x517B, 0xFF53_4D42, 0xFE53_4D42, 0x5346_414F, 0x0102_1997];

/// Why a store takes no writes that is as it should be.
pub(crate) const READ_ONLY_ASKED: &str = "it was opened for reading only";

/// The first format whose changes have leaves in the audit log.
const LEAVES_FROM: u32 = 3;
/// Why such a store without them takes no writes.
const NO_LEAVES: &str = "the commit mark does not count the leaves of the audit log";

/// A store that is open, for reading at least.
pub(crate) struct Opened {
    pub(crate) file: StoreFile,
    pub(crate) created: bool,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) mark: CommitMark,
    pub(crate) high_water: HighWaterMark,
    pub(crate) replay: ReplayMark,
    pub(crate) secret: Zeroizing<[u8; 32]>,
    /// The id in `STORE`.
    pub(crate) store: [u8; 16],
    /// Why the store takes no writes.
    pub(crate) read_only: Option<String>,
    pub(crate) lock: File,
}

/// Opens the store in `dir`, making it when there is none.
pub(crate) fn open(dir: &Path, options: &EngineOptions, now: UnixMillis) -> Result<Opened, OpenError> {
    let io = |what: &'static str| OpenError::io(what);
    let EngineOptions {
        realm,
        create_trust,
        prober,
        cache_bytes,
        read_only,
        bloom_filters,
        ..
    } = options;
    let (realm, cache_bytes, read_only) = (realm.as_ref(), *cache_bytes, *read_only);
    fs::create_dir_all(dir).map_err(OpenError::io(dir.display()))?;
    let layout = Layout::new(dir);
    refuse_network_filesystem(dir)?;
    let lock = lock(&layout)?;
    let (file, created) = match StoreFile::read(&layout)? {
        Some(file) => {
            remove_all(&layout.creating()).map_err(io("CREATING"))?;
            (file, false)
        }
        None if read_only => return Err(OpenError::StoreFile(dir.display().to_string())),
        None => (
            create(&layout, realm.cloned(), create_trust.clone(), *bloom_filters)?,
            true,
        ),
    };
    if let Some(wanted) = realm
        && *wanted != file.realm
    {
        return Err(OpenError::OtherRealm {
            found: file.realm.to_string(),
            wanted: wanted.to_string(),
        });
    }
    let secret = Zeroizing::new(fs::read(layout.secret()).map_err(io("keys/store.secret"))?);
    let secret = <[u8; 32]>::try_from(secret.as_slice())
        .map(Zeroizing::new)
        .map_err(|_| io("keys/store.secret")(std::io::Error::from(std::io::ErrorKind::InvalidData)))?;
    let store =
        hex::decode_array(&file.store).map_err(|_| OpenError::StoreFile(dir.display().to_string()))?;
    let replay = ReplayMark::open(&layout.replay_mark(), now).map_err(io("REPLAY"))?;
    let (high_water, durable) = match HighWaterMark::open(&layout.high_water_mark()) {
        Ok(opened) => opened,
        Err(error) => return Err(io("HWM")(error)),
    };

    let (storage, mark, read_only) = open_storage(&layout, &file, durable, prober, cache_bytes, read_only)?;
    Ok(Opened {
        file,
        created,
        storage,
        mark,
        high_water,
        replay,
        secret,
        store,
        read_only,
        lock,
    })
}

type OpenedStorage = (Arc<dyn Storage>, CommitMark, Option<String>);

fn open_storage(
    layout: &Layout,
    file: &StoreFile,
    durable: Option<CommitMark>,
    prober: &Prober,
    cache_bytes: u64,
    read_only: bool,
) -> Result<OpenedStorage, OpenError> {
    let io = |what: &'static str| OpenError::io(what);
    let lost = lost_keyspaces(layout, file);
    let verdict = probe(layout, prober).map_err(io("the copy for probing"))?;
    match verdict {
        Probed::Sound if lost.is_empty() && read_only => {
            let storage = FjallStorage::open(&layout.probe(), cache_bytes)?;
            let (mark, reason) = match verify(&*storage.snapshot(), durable) {
                Verdict::Sound(mark) => (mark, READ_ONLY_ASKED.to_owned()),
                Verdict::Damaged(reason, mark) => (mark, reason),
            };
            Ok((Arc::new(storage), mark, Some(reason)))
        }
        Probed::Sound if lost.is_empty() => {
            remove_all(&layout.probe()).map_err(io("probe"))?;
            let storage = FjallStorage::open(&layout.database(), cache_bytes)?;
            // Checked again on what was really opened.
            match verify(&*storage.snapshot(), durable) {
                Verdict::Sound(mark) if file.format >= LEAVES_FROM && !mark.has_leaves() => {
                    Ok((Arc::new(storage), mark, Some(NO_LEAVES.to_owned())))
                }
                Verdict::Sound(mark) => match upgrade(layout, file, &storage, mark) {
                    Ok(mark) => Ok((Arc::new(storage), mark, None)),
                    // What cannot be brought to this format because it is damaged can still be read.
                    Err(OpenError::Storage(StorageError::Read(why))) => {
                        Ok((Arc::new(storage), mark, Some(why)))
                    }
                    Err(error) => Err(error),
                },
                Verdict::Damaged(reason, mark) => Ok((Arc::new(storage), mark, Some(reason))),
            }
        }
        // The store itself is left as it is, for whoever restores it; what can be read is read from the copy.
        Probed::Sound | Probed::Damaged(_) if !lost.is_empty() => {
            let names: Vec<_> = lost.iter().map(|space| space.name()).collect();
            let reason = format!("keyspaces are lost: {}", names.join(", "));
            let inner = FjallStorage::open(&layout.probe(), cache_bytes)?;
            Ok((
                Arc::new(WithLost {
                    inner: Arc::new(inner),
                    lost,
                }),
                CommitMark::ZERO,
                Some(reason),
            ))
        }
        Probed::Damaged(reason) => {
            let storage = FjallStorage::open(&layout.probe(), cache_bytes)?;
            Ok((Arc::new(storage), CommitMark::ZERO, Some(reason)))
        }
        Probed::Sound => Err(OpenError::Storage(StorageError::Open(
            "the store changed while it was opened".to_owned(),
        ))),
        Probed::Unopenable(reason) => {
            let reason = format!("the storage does not open, nothing can be read: {reason}");
            Ok((Arc::new(Unreadable), CommitMark::ZERO, Some(reason)))
        }
    }
}

/// Keyspaces that `STORE` names and that fjall would quietly make anew.
fn lost_keyspaces(layout: &Layout, file: &StoreFile) -> Vec<Space> {
    let there = |space: &Space| {
        file.keyspaces.iter().any(|(name, id)| {
            name == space.name()
                && layout
                    .database()
                    .join("keyspaces")
                    .join(id.to_string())
                    .join("current")
                    .is_file()
        })
    };
    // Format 1 had no index; opening makes it.
    let expected = |space: &Space| *space != Space::Index || file.format >= 2;
    let spaces = Space::ALL.into_iter().filter(expected);
    spaces.filter(|space| !there(space)).collect()
}

fn lock(layout: &Layout) -> Result<File, OpenError> {
    let path = layout.lock();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    let file = file.map_err(OpenError::io("lock"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(_) => Err(OpenError::Locked(layout.dir.display().to_string())),
    }
}

fn refuse_network_filesystem(dir: &Path) -> Result<(), OpenError> {
    let found = statfs(dir).map_err(|error| OpenError::io(dir.display())(error.into()))?;
    let magic = u64::try_from(found.f_type).unwrap_or(0) & 0xFFFF_FFFF;
    if NETWORK_FILESYSTEMS.contains(&magic) {
        return Err(OpenError::NetworkFilesystem(dir.display().to_string()));
    }
    Ok(())
}

/// A storage of which some keyspaces are gone: reading them is an error, never "nothing there".
struct WithLost {
    inner: Arc<dyn Storage>,
    lost: Vec<Space>,
}

struct WithLostSnapshot {
    inner: Arc<dyn Snapshot>,
    lost: Vec<Space>,
}

fn lost(space: Space) -> StorageError {
    StorageError::Read(format!("keyspace {} is lost", space.name()))
}

impl Snapshot for WithLostSnapshot {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        if self.lost.contains(&space) {
            Err(lost(space))
        } else {
            self.inner.get(space, key)
        }
    }

    fn range<'a>(&'a self, space: Space, from: &[u8], to: &[u8], reverse: bool) -> Rows<'a> {
        if self.lost.contains(&space) {
            Box::new(std::iter::once(Err(lost(space))))
        } else {
            self.inner.range(space, from, to, reverse)
        }
    }
}

impl Storage for WithLost {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(WithLostSnapshot {
            inner: self.inner.snapshot(),
            lost: self.lost.clone(),
        })
    }

    fn commit(&self, _: Batch) -> Result<(), StorageError> {
        Err(StorageError::Commit("the store is read-only".to_owned()))
    }

    fn write_buffer_bytes(&self) -> u64 {
        0
    }

    fn figures(&self) -> StorageFigures {
        self.inner.figures()
    }
}

/// A storage that does not open: every read says so.
struct Unreadable;

impl Snapshot for Unreadable {
    fn get(&self, space: Space, _: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Err(lost(space))
    }

    fn range<'a>(&'a self, space: Space, _: &[u8], _: &[u8], _: bool) -> Rows<'a> {
        Box::new(std::iter::once(Err(lost(space))))
    }
}

impl Storage for Unreadable {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(Self)
    }

    fn commit(&self, _: Batch) -> Result<(), StorageError> {
        Err(StorageError::Commit("the store is read-only".to_owned()))
    }

    fn write_buffer_bytes(&self) -> u64 {
        0
    }

    fn figures(&self) -> StorageFigures {
        StorageFigures::default()
    }
}
