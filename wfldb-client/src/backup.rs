//! Backups that the server takes, on its own machine.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wfldb_core::auth::Method;

use crate::bucket::parse;
use crate::call::Call;
use crate::outgoing::Source;
use crate::{Client, Error};

/// A backup is answered when it is there. One that is cut off here goes on at the server.
const PATIENCE: Duration = Duration::from_hours(24);

/// Files and the bytes in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFiles {
    /// How many files.
    pub files: u64,
    /// Their lengths together.
    pub bytes: u64,
}

/// A backup that the server took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenBackup {
    /// Its directory on the server's machine.
    pub path: String,
    /// The store's id.
    pub store: String,
    /// The store's realm.
    pub realm: String,
    /// When commits stood still for it.
    pub time: String,
    /// The last log position in it.
    pub position: u64,
    /// The number of the last commit in it.
    pub commit: u64,
    /// For how long commits waited, in microseconds.
    pub pause_us: u64,
    /// For how long it was made, in microseconds.
    pub took_us: u64,
    /// What was written anew.
    pub copied: BackupFiles,
    /// What is shared with the store or with the backup before.
    pub linked: BackupFiles,
    /// The chunks in it.
    pub chunks: BackupFiles,
}

impl Client {
    /// Has the server take a backup into the series at `path`, an absolute path on its machine below the directory that
    /// its operator allows. Answers when the backup is there, which can take long.
    ///
    /// # Errors
    /// `Api`, `Transport`, `OutcomeUnknown`: it may be there or still being made.
    pub async fn backup(&self, path: &str) -> Result<TakenBackup, Error> {
        let body = serde_json::json!({ "path": path }).to_string();
        let mut call = Call::new(Method::Post, "/v1/_backup".to_owned());
        call.headers
            .push(("content-type".to_owned(), "application/json".to_owned()));
        call.source = Source::of_bytes(body.into_bytes().into());
        call.silence_max = PATIENCE;
        let answer = self.caller.send(&call).await?;
        parse(&answer.bytes().await?)
    }
}
