//! The store as its operator sees it: figures, and merging what it keeps. Needs op `admin`.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use wfldb_core::auth::Method;

use crate::bucket::parse;
use crate::call::Call;
use crate::outgoing::Source;
use crate::retry::Safety;
use crate::{Client, Error};

/// The answer comes when the work is done, which takes as long as the store is large.
const ADMIN_SILENCE_MAX: Duration = Duration::from_hours(6);

/// Figures of the store. What a newer server says beside these is in `more`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreStats {
    /// Commits since the start of the process.
    pub commits: u64,
    /// The number of the last change of the log.
    pub log_position: u64,
    /// Writes that wait for a commit.
    pub waiting: u64,
    /// Bytes in memory that are in the journal already and not yet in tables.
    pub write_buffer_bytes: u64,
    /// Journal files.
    pub journals: u64,
    /// Bytes of the storage on disk.
    pub storage_bytes: u64,
    /// Members that this release does not name.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// What a compaction did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Compacted {
    /// Bytes of the storage before.
    pub storage_bytes_before: u64,
    /// Bytes of the storage after.
    pub storage_bytes: u64,
    /// Chunk files that nothing named.
    pub chunk_files_removed: u64,
    /// Their bytes.
    pub chunk_bytes_removed: u64,
    /// Members that this release does not name.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Client {
    /// Figures of the store.
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn stats(&self) -> Result<StoreStats, Error> {
        let call = Call::new(Method::Get, "/v1/_stats".to_owned());
        parse(&self.caller.send(&call).await?.bytes().await?)
    }

    /// Merges the storage's tables and blob files and removes chunk files that nothing names. Returns when it is done;
    /// asked for twice, it is done twice, which harms nothing.
    ///
    /// # Errors
    /// `Api`, `Transport`, `OutcomeUnknown`.
    pub async fn compact(&self) -> Result<Compacted, Error> {
        parse(&self.admin("compact").await?)
    }

    /// Has every row and chunk of the store checked against each other. Answers the verdict as the server gives it, with
    /// the member `sound`; returns when it is done.
    ///
    /// # Errors
    /// `Api`, `Transport`.
    pub async fn verify(&self) -> Result<Value, Error> {
        parse(&self.admin("verify").await?)
    }

    /// Has every file of the mirror that the server keeps compared with the store, and its history; what is merely on its
    /// way is no difference. Answers the verdict as the server gives it, with the members `sound` and `findings`; returns
    /// when it is done.
    ///
    /// # Errors
    /// `Api` (`NoMirror`, `MirrorBehind`), `Transport`.
    pub async fn verify_mirror(&self) -> Result<Value, Error> {
        parse(&self.admin("mirror-verify").await?)
    }

    /// Has those files of the mirror compared that are not as they were at the last look or verification. Answers all that
    /// differs by now, as [`Client::verify_mirror`]; of the history, what the last verification found.
    ///
    /// # Errors
    /// As [`Client::verify_mirror`].
    pub async fn look_at_mirror(&self) -> Result<Value, Error> {
        parse(&self.admin("mirror-look").await?)
    }

    /// Has the store brought together with others through the git remote that the server was started with. `how` is the
    /// member `sync` of the request: `strategy`, `ours`, `theirs`, `dry_run`. Answers what came of it as the server gives
    /// it, with the members `settled`, `conflicts`, `undecided`, `refused` and `pushed`; returns when it is done. Asked for
    /// twice, the second does what is left.
    ///
    /// # Errors
    /// `Api` (`NoMirror`, `SyncNotConfigured`, `SyncUntrusted`, `SyncFailed`, `MirrorBehind`), `Transport`.
    pub async fn sync_mirror(&self, how: &Value) -> Result<Value, Error> {
        parse(
            &self
                .admin_with(&json!({"do": "mirror-sync", "sync": how}))
                .await?,
        )
    }

    async fn admin(&self, work: &'static str) -> Result<Bytes, Error> {
        self.admin_with(&json!({"do": work})).await
    }

    async fn admin_with(&self, asked: &Value) -> Result<Bytes, Error> {
        let mut call = Call::new(Method::Post, "/v1/_admin".to_owned());
        call.headers
            .push(("content-type".to_owned(), "application/json".to_owned()));
        call.source = Source::of_bytes(asked.to_string().into());
        call.safety = Safety::Idempotent;
        call.silence_max = ADMIN_SILENCE_MAX;
        self.caller.send(&call).await?.bytes().await
    }
}
