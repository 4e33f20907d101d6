//! `BACKUP.json`: what a backup is of, and every file in it but the chunks, which are named by their hash.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use wfldb_core::encoding::hex;
use wfldb_core::id::{CommitNumber, LogPosition};
use wfldb_core::time::UnixMillis;

use super::{BackupError, Tally};
use crate::row::CommitMark;

/// The file's name.
pub(super) const NAME: &str = "BACKUP.json";
/// The form of a backup that this release writes.
const FORMAT: u32 = 1;
/// About 160 bytes a file; a store has thousands at most.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListedFile {
    /// Below the backup's directory, parts joined by `/`.
    pub(super) path: String,
    pub(super) bytes: u64,
    /// 64 hex digits.
    pub(super) blake3: String,
}

/// What `BACKUP.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    format: u32,
    pub(super) store: String,
    pub(super) realm: String,
    pub(super) time: String,
    position: u64,
    commit: u64,
    commit_time: String,
    chain: String,
    /// Leaves of the audit log; not there in backups of stores of format 1 and 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leaves: Option<u64>,
    pub(super) release: String,
    pub(super) files: Vec<ListedFile>,
    pub(super) chunks: Tally,
}

/// Only the format, for telling a newer backup from a damaged one.
#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

impl Manifest {
    pub(super) fn new(
        store: &crate::store::StoreFile,
        time: UnixMillis,
        mark: &CommitMark,
        files: Vec<ListedFile>,
        chunks: Tally,
    ) -> Self {
        Self {
            format: FORMAT,
            store: store.store.clone(),
            realm: store.realm.to_string(),
            time: time.to_string(),
            position: mark.position.get(),
            commit: mark.number.get(),
            commit_time: mark.at.to_string(),
            chain: hex::encode(&mark.chain),
            leaves: Some(mark.leaves),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            files,
            chunks,
        }
    }

    /// Reads the manifest of the backup in `dir`; every value in it has its form.
    pub(super) fn read(dir: &Path) -> Result<Self, BackupError> {
        let path = dir.join(NAME);
        let mut text = String::new();
        let read = File::open(&path).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
        match read {
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                return Err(BackupError::NotABackup(dir.display().to_string()));
            }
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                return Err(damaged(dir, "is no text"));
            }
            Err(error) => return Err(BackupError::io(path.display())(error)),
        }
        Self::decode(dir, &text)
    }

    /// Reads the manifest of the backup in `dir` from its text.
    pub(super) fn decode(dir: &Path, text: &str) -> Result<Self, BackupError> {
        let FormatOnly { format } = serde_json::from_str(text).map_err(|_| damaged(dir, "has no format"))?;
        if format > FORMAT {
            return Err(BackupError::NewerFormat {
                found: format,
                supported: FORMAT,
            });
        }
        let manifest: Self =
            serde_json::from_str(text).map_err(|_| damaged(dir, "is not what was written"))?;
        if manifest.mark().is_none() || UnixMillis::parse(&manifest.time).is_err() {
            return Err(damaged(dir, "holds a value that is none"));
        }
        // SECURITY: a path from a file is never followed out of the backup.
        if !manifest.files.iter().all(|file| stays_inside(&file.path)) {
            return Err(damaged(dir, "names a file outside the backup"));
        }
        Ok(manifest)
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, BackupError> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| BackupError::Damaged(format!("{NAME}: {error}")))?;
        text.push(b'\n');
        Ok(text)
    }

    /// Where the log stands in the backup.
    pub(super) fn mark(&self) -> Option<CommitMark> {
        Some(CommitMark {
            number: CommitNumber::new(self.commit),
            position: LogPosition::new(self.position),
            at: UnixMillis::parse(&self.commit_time).ok()?,
            chain: hex::decode_array(&self.chain).ok()?,
            leaves: self.leaves.unwrap_or(0),
        })
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn taken_at(&self) -> UnixMillis {
        UnixMillis::parse(&self.time).unwrap_or_default()
    }
}

fn damaged(dir: &Path, what: &str) -> BackupError {
    BackupError::Damaged(format!("{} {what}", dir.join(NAME).display()))
}

fn stays_inside(path: &str) -> bool {
    !path.is_empty()
        && path
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..")
}

/// A manifest for the corpus of the fuzz target, of no release.
#[cfg(test)]
pub(crate) fn seed(store: &crate::store::StoreFile, mark: &CommitMark) -> Vec<u8> {
    let file = ListedFile {
        path: "db/keyspaces/1".to_owned(),
        bytes: 1,
        blake3: blake3::hash(b"x").to_hex().to_string(),
    };
    let mut manifest = Manifest::new(store, mark.at, mark, vec![file], Tally::default());
    "0.0.0".clone_into(&mut manifest.release);
    manifest.encode().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leaves_the_backup_is_refused() {
        for inside in ["STORE", "db/0.jnl", "db/keyspaces/1/v2"] {
            assert!(stays_inside(inside), "{inside}");
        }
        for outside in ["", "/etc/passwd", "../x", "db/../../x", "db//x", "./x", "db/"] {
            assert!(!stays_inside(outside), "{outside}");
        }
    }
}
