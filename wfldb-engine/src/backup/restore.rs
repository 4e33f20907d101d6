//! Making a store of a backup: everything is copied into a new directory and compared with the manifest on the way.
//!
//! The restored store is the same store: id, realm, trusted roots, log. It differs in three ways. Its secret is new, so
//! listing cursors that were given out before are refused. Its replay mark lies beyond every request that can have been
//! accepted before, so that none of them can be sent again. And nobody's `bootstrap/` is in it.

use std::fs::{self, DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;
use wfldb_core::limits::SKEW_MS_MAX;
use wfldb_core::time::UnixMillis;
use zeroize::Zeroizing;

use super::chunks::{List, copy_chunk};
use super::copy::Copier;
use super::manifest::Manifest;
use super::{BackupError, Tally};
use crate::chunk::Checker;
use crate::row::CommitMark;
use crate::storage::StorageError;
use crate::store::{
    Layout, Probed, Prober, StoreFile, copy_database, random, remove_all, run_probe, slot_file, write_synced,
};

/// How a backup is restored.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// The time now. It must not be behind the clock of the server that took the backup.
    pub now: UnixMillis,
    /// How far in the future a request's timestamp could lie to be accepted, by that server's configuration. The
    /// restored store refuses what is stamped up to `now` and this; the widest window is the default.
    pub skew_future_ms: u64,
    /// How the restored store is opened for a first time.
    pub prober: Prober,
}

impl RestoreOptions {
    /// With the widest window.
    #[must_use]
    pub fn new(now: UnixMillis) -> Self {
        Self {
            now,
            skew_future_ms: SKEW_MS_MAX,
            prober: Prober::default(),
        }
    }
}

/// A store that was restored.
#[derive(Debug, Clone, Serialize)]
pub struct RestoreReport {
    /// Its directory.
    pub path: PathBuf,
    /// The backup that it was made of.
    pub backup: PathBuf,
    /// The store's id.
    pub store: String,
    /// The store's realm.
    pub realm: String,
    /// When the backup was taken.
    #[serde(serialize_with = "super::as_text")]
    pub time: UnixMillis,
    /// The last log position.
    pub position: u64,
    /// What was copied, chunks among it.
    pub copied: Tally,
    /// The chunks.
    pub chunks: Tally,
    /// Requests stamped at or before this are refused, and the server is ready once it has passed.
    #[serde(serialize_with = "super::as_text")]
    pub replay_mark: UnixMillis,
}

/// Restores the backup in `backup` to the directory `to`, which is new or empty.
///
/// # Errors
/// `NotEmpty`, `NotABackup`, `NewerFormat`, `Damaged` with what differs, `Io`. Nothing stays in `to` then.
pub fn restore(backup: &Path, to: &Path, options: &RestoreOptions) -> Result<RestoreReport, BackupError> {
    let manifest = Manifest::read(backup)?;
    if to.symlink_metadata().is_ok() {
        let mut there = fs::read_dir(to).map_err(BackupError::io(to.display()))?;
        if there.next().is_some() {
            return Err(BackupError::NotEmpty(to.display().to_string()));
        }
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(to)
        // An empty directory that was there may have let others in.
        .and_then(|()| fs::set_permissions(to, Permissions::from_mode(0o700)))
        .map_err(BackupError::io(to.display()))?;
    let restored = restore_into(backup, &manifest, to, options);
    if restored.is_err() {
        // It was empty when we came. Without `STORE` it would not open either.
        for entry in fs::read_dir(to).into_iter().flatten().flatten() {
            let _ = remove_all(&entry.path());
        }
    }
    restored
}

fn restore_into(
    backup: &Path,
    manifest: &Manifest,
    to: &Path,
    options: &RestoreOptions,
) -> Result<RestoreReport, BackupError> {
    let damaged = |what: &str| BackupError::Damaged(what.to_owned());
    let mark = manifest.mark().ok_or_else(|| damaged("the manifest"))?;
    let file = StoreFile::read(&Layout::new(backup))?.ok_or_else(|| damaged("STORE is missing"))?;
    if file.store != manifest.store {
        return Err(damaged("STORE is of another store"));
    }
    let stop = || Ok(());
    let mut copier = Copier::begin(to.to_path_buf(), None, &stop);
    copy_listed(&mut copier, backup, manifest)?;
    let chunks = copy_chunks(&mut copier, backup)?;
    if chunks != manifest.chunks {
        return Err(damaged("CHUNKS names other chunks than the manifest counts"));
    }
    let replay_mark = options.now.plus_ms(options.skew_future_ms);
    write_marks(&mut copier, &mark, replay_mark)?;
    must_open(to, &options.prober)?;
    // DURABILITY: the last file. From here on the directory is a store.
    copier.finish("STORE", file.encode().as_bytes())?;
    if let Some(parent) = to.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        crate::store::sync_dir(parent).map_err(BackupError::io(parent.display()))?;
    }
    Ok(RestoreReport {
        path: to.to_path_buf(),
        backup: backup.to_path_buf(),
        store: file.store,
        realm: file.realm.to_string(),
        time: manifest.taken_at(),
        position: mark.position.get(),
        copied: copier.copied,
        chunks,
        replay_mark,
    })
}

/// The database, every file compared with the manifest. The store's own files are written anew.
fn copy_listed(copier: &mut Copier<'_>, backup: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    for listed in &manifest.files {
        let source = backup.join(&listed.path);
        let from = File::open(&source).map_err(BackupError::io(source.display()))?;
        let len = from.metadata().map_err(BackupError::io(source.display()))?.len();
        let differs = || BackupError::Damaged(format!("{} is not what was written", source.display()));
        if len != listed.bytes {
            return Err(differs());
        }
        if listed.path.starts_with("db/") {
            copier.copy(&listed.path, &from, len)?;
            if copier.files.last() != Some(listed) {
                return Err(differs());
            }
        } else {
            let (hash, _) = super::copy::hash_file(&source, copier.stop)?;
            if hash.to_hex().as_str() != listed.blake3 {
                return Err(differs());
            }
        }
    }
    Ok(())
}

/// The chunks, every byte compared with the hash in its name.
fn copy_chunks(copier: &mut Copier<'_>, backup: &Path) -> Result<Tally, BackupError> {
    let mut chunks = Tally::default();
    let checker = Checker::new();
    let folder = copier.root.join("chunks");
    copier.make_dirs(&folder)?;
    for chunk in List::open(backup)? {
        let chunk = chunk?;
        let target = copier.root.join(chunk.path());
        if let Some(parent) = target.parent().filter(|parent| !parent.is_dir()) {
            copier.sync_some()?;
            copier.make_dirs(parent)?;
        }
        let source = backup.join(chunk.path());
        let bytes = copy_chunk(&checker, &chunk, &source, &target, copier.stop)?;
        copier.copied.add(bytes);
        chunks.add(bytes);
    }
    Ok(chunks)
}

fn write_marks(copier: &mut Copier<'_>, mark: &CommitMark, replay: UnixMillis) -> Result<(), BackupError> {
    copier.write("HWM", &slot_file(&mark.encode()))?;
    // SECURITY: the nonces of what was accepted are gone, so all of it is refused by its timestamp.
    copier.write("REPLAY", &slot_file(&replay.get().to_be_bytes()))?;
    // SECURITY: a backup holds no key, so this one is new.
    let secret = random::<32>().map_err(|error: StorageError| BackupError::Engine(error.into()))?;
    let secret = Zeroizing::new(secret);
    let keys = copier.root.join("keys");
    copier.make_dirs(&keys)?;
    write_synced(&keys.join("store.secret"), &*secret, 0o600).map_err(BackupError::io("keys/store.secret"))
}

/// Opens a copy of what was restored, as a server's start does.
fn must_open(to: &Path, prober: &Prober) -> Result<(), BackupError> {
    let layout = Layout::new(to);
    let failed = || BackupError::io("the copy for probing");
    copy_database(&layout.database(), &layout.probe()).map_err(failed())?;
    let verdict = run_probe(&layout, prober).map_err(failed())?;
    remove_all(&layout.probe()).map_err(failed())?;
    match verdict {
        Probed::Sound => Ok(()),
        Probed::Damaged(reason) | Probed::Unopenable(reason) => Err(BackupError::Damaged(reason)),
    }
}
