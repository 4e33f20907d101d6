//! What a transaction answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wfldb_core::encoding::base64url;
use wfldb_core::id::{ContentHash, TxId, VersionId};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::time::UnixMillis;

use crate::text;

/// The answer to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxAnswer {
    /// Of a new one, its id.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub tx: Option<TxId>,
    /// Of a commit, the buckets that were written in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buckets: Option<Vec<TxBucket>>,
    /// Of a commit, the keys that were written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes: Option<Vec<TxWrite>>,
    /// One for each operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Vec<TxResult>>,
}

/// A bucket that was written in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxBucket {
    /// Its name.
    #[serde(with = "text")]
    pub bucket: BucketName,
    /// Its number of the change.
    pub seq: u64,
}

/// A key that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxWrite {
    /// Its bucket.
    #[serde(with = "text")]
    pub bucket: BucketName,
    /// The key.
    #[serde(with = "text")]
    pub key: ObjectKey,
    /// The new version or tombstone; `None` when nothing was written, or the caller may not know.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionId>,
    /// Of a put: BLAKE3 of the bytes.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub etag: Option<ContentHash>,
}

/// What an operation answers: members by what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxResult {
    /// Of a get: whether something is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<bool>,
    /// Its version.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionId>,
    /// BLAKE3 of the bytes.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub etag: Option<ContentHash>,
    /// Length in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// As stored with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// As stored with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// When it was committed.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub modified: Option<UnixMillis>,
    /// The bytes, where they are UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The bytes, where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// Of a scan: the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<TxItem>>,
    /// The limit was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<bool>,
}

/// A key of a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxItem {
    /// The key.
    #[serde(with = "text")]
    pub key: ObjectKey,
    /// Its newest version; `None` of what the transaction itself is to write.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionId>,
    /// BLAKE3 of the bytes; `None` of a document that is still to be made.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub etag: Option<ContentHash>,
    /// Length in bytes.
    pub size: u64,
}

impl TxResult {
    /// The same with bytes in the form that fits them.
    #[must_use]
    pub fn with_body(mut self, body: &Bytes) -> Self {
        match std::str::from_utf8(body) {
            Ok(text) => self.body = Some(text.to_owned()),
            Err(_) => self.body_base64 = Some(base64url::encode(body)),
        }
        self
    }

    /// The bytes, if it has any and they are in their form.
    #[must_use]
    pub fn bytes(&self) -> Option<Bytes> {
        match (&self.body, &self.body_base64) {
            (Some(text), None) => Some(Bytes::from(text.clone())),
            (None, Some(encoded)) => base64url::decode(encoded).ok().map(Bytes::from),
            _ => None,
        }
    }
}
