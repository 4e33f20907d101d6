//! The series of backups in one directory: who may add to it, what a name says, how a backup becomes visible, and which
//! are there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, test_kill_process};
use serde::Serialize;
use wfldb_core::time::UnixMillis;

use super::manifest::{self, Manifest};
use super::{BackupError, Tally};
use crate::store::{remove_all, sync_dir};

const LOCK: &str = ".lock";
const PARTIAL: &str = ".partial";
/// Beginning of the names under which backups are opened to be checked; the checker's process id follows.
pub(super) const SCRATCH: &str = ".verify-";
/// Names that are tried, a millisecond apart, before a place with so many backups of one moment is refused.
const NAMES_MAX: u64 = 1000;

/// A directory of backups, held for one of them.
#[derive(Debug)]
pub(super) struct Place {
    dir: PathBuf,
    // Held for as long as a backup is made.
    _lock: File,
}

/// One backup of a series.
#[derive(Debug, Clone, Serialize)]
pub struct BackupInfo {
    /// Its directory.
    pub path: PathBuf,
    /// The store's id.
    pub store: String,
    /// The store's realm.
    pub realm: String,
    /// When it was taken.
    #[serde(serialize_with = "super::as_text")]
    pub time: UnixMillis,
    /// The last log position in it.
    pub position: u64,
    /// The chunks in it.
    pub chunks: Tally,
    /// The release that took it.
    pub release: String,
}

/// Makes a directory that only its owner can enter.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(dir)
}

impl Place {
    /// Takes the place for one backup, making it where it is missing; what a crash left in it goes.
    pub(super) fn open(dir: &Path) -> Result<Self, BackupError> {
        let shown = || dir.display();
        if dir.join(manifest::NAME).exists() {
            return Err(BackupError::IsABackup(shown().to_string()));
        }
        if !dir.is_dir() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .map_err(BackupError::io(shown()))?;
            if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                sync_dir(parent).map_err(BackupError::io(parent.display()))?;
            }
        }
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(dir.join(LOCK))
            .map_err(BackupError::io(dir.join(LOCK).display()))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| BackupError::Running(shown().to_string()))?;
        let place = Self {
            dir: dir.to_path_buf(),
            _lock: lock,
        };
        place.remove_leftovers().map_err(BackupError::io(shown()))?;
        Ok(place)
    }

    /// A backup that was cut off, and what checkers left whose process is gone.
    fn remove_leftovers(&self) -> io::Result<()> {
        remove_all(&self.partial())?;
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let owner = name.to_str().and_then(|name| name.strip_prefix(SCRATCH));
            let Some(owner) = owner.and_then(|rest| rest.split('-').next()) else {
                continue;
            };
            let pid = owner.parse().ok().and_then(Pid::from_raw);
            if pid.is_none_or(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH)) {
                remove_all(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Where a backup is made.
    pub(super) fn partial(&self) -> PathBuf {
        self.dir.join(PARTIAL)
    }

    /// A name for a backup of `time` and `position` that is not taken, and the time that it says.
    pub(super) fn free_name(
        &self,
        time: UnixMillis,
        position: u64,
    ) -> Result<(PathBuf, UnixMillis), BackupError> {
        // Only a clock that stands still needs a second try.
        for later in 0..NAMES_MAX {
            let time = time.plus_ms(later);
            let path = self.dir.join(name(time, position));
            if !path.exists() {
                return Ok((path, time));
            }
        }
        Err(BackupError::NotEmpty(self.dir.display().to_string()))
    }

    /// Makes what was made visible under its name.
    pub(super) fn finish(self, path: &Path) -> Result<(), BackupError> {
        // DURABILITY: everything in it is on the disk by now; the name comes last.
        fs::rename(self.partial(), path)
            .and_then(|()| sync_dir(&self.dir))
            .map_err(BackupError::io(path.display()))
    }

    /// The newest backup of the store with that id.
    pub(super) fn newest_of(&self, store: &str) -> Result<Option<PathBuf>, BackupError> {
        let found = list_backups(&self.dir)?;
        let own = found.into_iter().rfind(|info| info.store == store);
        Ok(own.map(|info| info.path))
    }
}

/// `2026-01-02T030405.006Z-17`: in the order of time, and without a colon for the tools that mind it.
fn name(time: UnixMillis, position: u64) -> String {
    format!("{}-{position}", time.to_string().replace(':', ""))
}

/// The backups in `dir`, oldest first; or the one that `dir` is. Only whole ones are visible: what is being made, or was
/// cut off, has another name.
///
/// # Errors
/// `Io` when the directory cannot be read. What is no backup is passed over.
pub fn list_backups(dir: &Path) -> Result<Vec<BackupInfo>, BackupError> {
    if dir.join(manifest::NAME).is_file() {
        return Ok(vec![info(dir, &Manifest::read(dir)?)]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(BackupError::io(dir.display()))? {
        let entry = entry.map_err(BackupError::io(dir.display()))?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if hidden || !entry.path().is_dir() {
            continue;
        }
        match Manifest::read(&entry.path()) {
            Ok(manifest) => found.push(info(&entry.path(), &manifest)),
            Err(BackupError::NotABackup(_)) => {}
            Err(error) => tracing::warn!(%error, "a backup is passed over"),
        }
    }
    found.sort_by_key(|info| (info.time, info.position));
    Ok(found)
}

fn info(path: &Path, manifest: &Manifest) -> BackupInfo {
    BackupInfo {
        path: path.to_path_buf(),
        store: manifest.store.clone(),
        realm: manifest.realm.clone(),
        time: manifest.taken_at(),
        position: manifest.position(),
        chunks: manifest.chunks,
        release: manifest.release.clone(),
    }
}

/// The backup that `dir` is, or the newest of its series, or the newest that was taken at `at` or before.
///
/// # Errors
/// `NotABackup`, `NoneBefore`, and those of [`list_backups`].
pub fn pick_backup(dir: &Path, at: Option<UnixMillis>) -> Result<PathBuf, BackupError> {
    let found = list_backups(dir)?;
    if found.is_empty() {
        return Err(BackupError::NotABackup(dir.display().to_string()));
    }
    let picked = found
        .into_iter()
        .rfind(|info| at.is_none_or(|at| info.time <= at));
    picked
        .map(|info| info.path)
        .ok_or_else(|| BackupError::NoneBefore(dir.display().to_string()))
}
