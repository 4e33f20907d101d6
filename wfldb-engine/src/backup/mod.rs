//! Backups: consistent copies of an open store, each a directory that can be checked and restored by itself.
//!
//! ```text
//! DEST/.lock                            held while a backup is taken
//! DEST/.partial/                        a backup that is being made, or that a crash left; never looked at
//! DEST/<UTC time>-<log position>/       a backup
//!   BACKUP.json                         what it is of, and every file but chunks with its BLAKE3
//!   CHUNKS                              the chunks that its rows name, a line each
//!   STORE, HWM, db/…, chunks/…          as in a store
//! ```
//! `take` makes one, `verify` reads one back, `restore` makes a store of one; `place` is the series, `copy` how a file
//! gets in, `chunks` the list, `manifest` what `BACKUP.json` says. Why it is so: docs/decisions/0009-backup.md.
//!
//! SECURITY: no key is in a backup, neither `keys/` nor `bootstrap/`. It still holds all that was stored.

mod chunks;
mod copy;
mod error;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod manifest;
mod place;
mod restore;
mod take;
mod verify;

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use wfldb_core::time::UnixMillis;

pub use self::error::BackupError;
#[cfg(test)]
pub(crate) use self::manifest::seed as manifest_seed;
pub use self::place::{BackupInfo, list_backups, pick_backup};
pub use self::restore::{RestoreOptions, RestoreReport, restore};
pub use self::verify::{BackupFinding, BackupVerdict, verify_backup};

/// Files and the bytes in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// How many files.
    pub files: u64,
    /// Their lengths together.
    pub bytes: u64,
}

impl Tally {
    pub(super) fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// A backup that was taken.
#[derive(Debug, Clone, Serialize)]
pub struct BackupReport {
    /// Its directory.
    pub path: PathBuf,
    /// The store's id.
    pub store: String,
    /// The store's realm.
    pub realm: String,
    /// When commits stood still for it: it holds everything that was answered before.
    #[serde(serialize_with = "as_text")]
    pub time: UnixMillis,
    /// The last log position in it.
    pub position: u64,
    /// The number of the last commit in it.
    pub commit: u64,
    /// For how long commits waited.
    #[serde(rename = "pause_us", serialize_with = "as_micros")]
    pub pause: Duration,
    /// For how long it was made.
    #[serde(rename = "took_us", serialize_with = "as_micros")]
    pub took: Duration,
    /// What was written anew, chunks among it.
    pub copied: Tally,
    /// What is shared with the store or with the backup before, chunks among it.
    pub linked: Tally,
    /// The chunks in it, copied or linked.
    pub chunks: Tally,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn as_text<S: serde::Serializer>(time: &UnixMillis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

fn as_micros<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}
