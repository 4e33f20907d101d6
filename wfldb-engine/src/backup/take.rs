//! Taking a backup of an open store.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use wfldb_core::auth::{Authorized, Op, Service, Target};
use wfldb_core::time::UnixMillis;

use super::copy::{Copier, Previous};
use super::manifest::{self, Manifest};
use super::place::{Place, make_dir};
use super::{BackupError, BackupReport, Tally, chunks};
use crate::chunk::Hold;
use crate::engine::{Engine, Inner};
use crate::error::EngineError;
use crate::row::CommitMark;
use crate::storage::{Captured, Content, Snapshot, StorageError};
use crate::store::{Layout, StoreFile, remove_all, slot_file};

impl Engine {
    /// Takes a backup into the series in `dest`, a directory on this machine that is made where it is missing.
    ///
    /// The backup holds exactly what was committed up to one log position. Reads and writes go on; commits wait only
    /// while the cut is made, for as long as the report says. What the store or the backup before already has on the
    /// same file system is linked, not copied. Blocks for as long as it takes.
    ///
    /// # Errors
    /// `Forbidden`, `ReadOnly` (what is damaged is not backed up), `BackupRunning`, `BackupFull`, `Corrupt` (a chunk is
    /// missing), `Closing`, and `BackupFailed` with the reason. Nothing is visible in `dest` then, and writes go on.
    pub fn backup(&self, proof: &Authorized, dest: &Path) -> Result<BackupReport, EngineError> {
        let is_for_this = matches!(proof.target(), Target::Store | Target::Service(Service::Backup));
        if proof.op() != Op::Admin || !is_for_this {
            return Err(EngineError::Forbidden);
        }
        Ok(self.inner.take_backup(dest)?)
    }

    /// Ends the backups that run, and refuses new ones: for a stop, which should not wait for them.
    pub fn stop_backups(&self) {
        self.inner.backups_stopped.store(true, Ordering::SeqCst);
    }
}

/// The state that a backup is of.
struct Cut {
    time: UnixMillis,
    mark: CommitMark,
    captured: Captured,
    snapshot: Arc<dyn Snapshot>,
}

impl Inner {
    fn take_backup(&self, dest: &Path) -> Result<BackupReport, BackupError> {
        let start = Instant::now();
        if self.is_read_only() {
            return Err(EngineError::ReadOnly.into());
        }
        let layout = Layout::new(self.dir());
        let file = StoreFile::read(&layout)?.ok_or_else(|| {
            BackupError::Engine(EngineError::BackupFailed(
                "the store has no STORE file".to_owned(),
            ))
        })?;
        refuse_inside(dest, self.dir())?;
        let place = Place::open(dest)?;
        let partial = place.partial();
        let made = self.make(&place, &file, start);
        let finished = made.and_then(|(path, report)| place.finish(&path).map(|()| report));
        if finished.is_err() {
            // The next backup would remove it too; a full disk wants it gone now.
            let _ = remove_all(&partial);
        }
        finished
    }

    /// Makes the backup under the place's temporary name, whole and synced; answers the name that it is to get.
    fn make(
        &self,
        place: &Place,
        file: &StoreFile,
        start: Instant,
    ) -> Result<(PathBuf, BackupReport), BackupError> {
        let stop = || {
            if self.backups_stopped.load(Ordering::SeqCst) {
                Err(BackupError::Engine(EngineError::Closing))
            } else {
                Ok(())
            }
        };
        stop()?;
        let previous = place.newest_of(&file.store)?.map(Previous::read).transpose()?;
        let partial = place.partial();
        make_dir(&partial).map_err(BackupError::io(partial.display()))?;
        let mut copier = Copier::begin(partial, previous, &stop);
        // ORDER: held before the cut, so that every chunk that the cut names is there until the hold goes.
        let hold = Hold::new(Arc::clone(&self.chunks));
        let (storage, clock) = (Arc::clone(&self.storage), Arc::clone(&self.options.clock));
        let (cut, pause) = self.committer().between_groups(move |mark| {
            let captured = storage.capture()?;
            Ok::<_, StorageError>(Cut {
                // In here, so that nothing is answered between the cut and its time.
                time: clock(),
                mark: *mark,
                captured,
                snapshot: storage.snapshot(),
            })
        })?;
        let Cut {
            time,
            mark,
            captured,
            snapshot,
        } = cut.map_err(|error| BackupError::Engine(error.into()))?;
        let (path, time) = place.free_name(time, mark.position.get())?;
        // ORDER: the list first, because a snapshot that is kept long keeps old memtables in memory.
        chunks::write_list(&mut copier, &*snapshot)?;
        drop(snapshot);
        bring_in_database(&mut copier, captured)?;
        copier.write("STORE", file.encode().as_bytes())?;
        copier.write("HWM", &slot_file(&mark.encode()))?;
        let brought = chunks::bring_in(&mut copier, |chunk| self.chunks.path(&chunk.bucket, &chunk.hash))?;
        drop(hold);
        let manifest = Manifest::new(file, time, &mark, std::mem::take(&mut copier.files), brought);
        copier.finish(manifest::NAME, &manifest.encode()?)?;
        let report = BackupReport {
            path: path.clone(),
            store: file.store.clone(),
            realm: file.realm.to_string(),
            time,
            position: mark.position.get(),
            commit: mark.number.get(),
            pause,
            took: start.elapsed(),
            copied: copier.copied,
            linked: copier.linked,
            chunks: brought,
        };
        log(&report);
        Ok((path, report))
    }
}

fn log(report: &BackupReport) {
    let Tally { files, bytes } = report.copied;
    tracing::info!(
        position = report.position,
        pause_us = u64::try_from(report.pause.as_micros()).unwrap_or(u64::MAX),
        copied_files = files,
        copied_bytes = bytes,
        linked_bytes = report.linked.bytes,
        "a backup is made"
    );
}

fn bring_in_database(copier: &mut Copier<'_>, captured: Captured) -> Result<(), BackupError> {
    for file in captured.files {
        let path = format!("db/{}", file.path);
        match file.content {
            Content::Bytes(bytes) => copier.write(&path, &bytes)?,
            Content::Prefix(source, len) => copier.copy(&path, &source, len)?,
            Content::Immutable(source) => copier.link(&path, &source)?,
        }
    }
    // Until here, so that the files were there; from here on the storage may remove them.
    drop(captured.held);
    Ok(())
}

/// A backup inside the store would be taken for a part of it by whoever copies, measures or removes the store.
fn refuse_inside(dest: &Path, store: &Path) -> Result<(), BackupError> {
    let absolute = std::path::absolute(dest).map_err(BackupError::io(dest.display()))?;
    let there = absolute
        .ancestors()
        .find_map(|known| fs::canonicalize(known).ok());
    let store = fs::canonicalize(store).map_err(BackupError::io(store.display()))?;
    if there.is_some_and(|there| there.starts_with(&store)) {
        return Err(BackupError::InsideStore(dest.display().to_string()));
    }
    Ok(())
}
