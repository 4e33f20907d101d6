//! Documents on the wire: histories, and many at once. JSON only.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wfldb_core::encoding::JsonObject;
use wfldb_core::id::{ContentHash, VersionId};
use wfldb_core::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX};
use wfldb_core::name::ObjectKey;
use wfldb_core::object::{EtagCondition, Preconditions};
use wfldb_core::time::UnixMillis;

use crate::batch::BatchError;
use crate::problem::Problem;
use crate::text;

/// A page of the versions of a document, newest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct History {
    /// The versions.
    pub versions: Vec<HistoryEntry>,
    /// Present while more remain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// One version of a document.
#[derive(Debug, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The version.
    #[serde(with = "text")]
    pub version: VersionId,
    /// The bucket's number of the change that made it.
    pub seq: u64,
    /// When it was committed.
    #[serde(with = "text")]
    pub modified: UnixMillis,
    /// BLAKE3 of the document without `_sig`; absent on a tombstone.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub etag: Option<ContentHash>,
    /// This version is a tombstone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// The document as it is read; absent on a tombstone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Box<RawValue>>,
    /// Where it was asked for: whether it is what the store signed, and follows the version below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Cow<'static, str>>,
}

impl HistoryEntry {
    /// The bytes of a document as a member.
    ///
    /// # Errors
    /// When they are not JSON.
    pub fn document(json: &[u8]) -> Result<Box<RawValue>, serde_json::Error> {
        serde_json::from_slice(json)
    }
}

/// What an entry of a bulk request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BulkKind {
    /// Stores a document where there is none.
    Insert,
    /// Stores a document in place of another.
    Update,
    /// Stores a document.
    Put,
    /// Deletes one, if it is there.
    Delete,
}

/// One entry of a bulk request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkEntry {
    /// What it does.
    pub kind: BulkKind,
    /// The key.
    pub key: ObjectKey,
    /// The document; empty for a delete.
    pub document: Bytes,
    /// What must hold for this entry.
    pub preconditions: Preconditions,
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkEntryResult {
    /// Its key.
    #[serde(with = "text")]
    pub key: ObjectKey,
    /// The new version or tombstone; `None` when nothing was written.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionId>,
    /// Of a document that was stored.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub etag: Option<ContentHash>,
    /// The bucket's number of the change; entries that were stored together have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// The answer to a bulk request, entry by entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkResults {
    /// In the order of the entries.
    pub results: Vec<BulkEntryResult>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonBulk {
    ops: Vec<JsonObject<JsonEntry>>,
}

#[derive(Debug, Serialize)]
struct JsonBulkOut {
    ops: Vec<JsonEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonEntry {
    op: BulkKind,
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    document: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    if_match: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    if_version: Option<String>,
}

/// Reads a bulk request. What its documents are is looked at entry by entry, later.
///
/// # Errors
/// Every [`BatchError`].
pub fn parse_bulk(json: &[u8]) -> Result<Vec<BulkEntry>, BatchError> {
    if json.len() > BATCH_BYTES_MAX {
        return Err(BatchError::TooLarge);
    }
    let bulk = serde_json::from_slice::<JsonObject<JsonBulk>>(json);
    let JsonObject(bulk) = bulk.map_err(|_| BatchError::Malformed)?;
    if !(1..=BATCH_ENTRIES_MAX).contains(&bulk.ops.len()) {
        return Err(BatchError::Entries);
    }
    bulk.ops
        .into_iter()
        .map(|JsonObject(entry)| entry.parsed().ok_or(BatchError::Malformed))
        .collect()
}

/// Writes a bulk request.
///
/// # Errors
/// When a document is not JSON.
pub fn bulk_to_json(entries: &[BulkEntry]) -> Result<Vec<u8>, serde_json::Error> {
    let ops = entries.iter().map(JsonEntry::of).collect::<Result<_, _>>()?;
    serde_json::to_vec(&JsonBulkOut { ops })
}

impl JsonEntry {
    fn parsed(self) -> Option<BulkEntry> {
        let if_match = match self.if_match.as_deref() {
            None => None,
            Some("*") => Some(EtagCondition::Any),
            Some(etag) => Some(EtagCondition::Is(ContentHash::parse(etag).ok()?)),
        };
        let if_version = match self.if_version.as_deref() {
            None => None,
            Some(version) => Some(VersionId::parse(version).ok()?),
        };
        // What is to be new has no version that could be asked for.
        if self.op == BulkKind::Insert && (if_match.is_some() || if_version.is_some()) {
            return None;
        }
        let document = match (self.op, self.document) {
            (BulkKind::Delete, None) => Bytes::new(),
            (BulkKind::Insert | BulkKind::Update | BulkKind::Put, Some(document)) => {
                Bytes::from(String::from(Box::<str>::from(document)))
            }
            _ => return None,
        };
        Some(BulkEntry {
            kind: self.op,
            key: ObjectKey::parse(&self.key).ok()?,
            document,
            preconditions: Preconditions {
                if_match,
                if_version,
                ..Preconditions::default()
            },
        })
    }

    fn of(entry: &BulkEntry) -> Result<Self, serde_json::Error> {
        let document = match entry.kind {
            BulkKind::Delete => None,
            BulkKind::Insert | BulkKind::Update | BulkKind::Put => {
                Some(serde_json::from_slice(&entry.document)?)
            }
        };
        Ok(Self {
            op: entry.kind,
            key: entry.key.as_str().to_owned(),
            document,
            if_match: entry.preconditions.if_match.map(|condition| match condition {
                EtagCondition::Any => "*".to_owned(),
                EtagCondition::Is(etag) => etag.to_string(),
            }),
            if_version: entry.preconditions.if_version.map(|version| version.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bulk_request_comes_back_as_it_was_written_and_what_is_none_is_refused() {
        let entries = |json: &str| parse_bulk(format!(r#"{{"ops":[{json}]}}"#).as_bytes());
        let all = concat!(
            r#"{"op":"insert","key":"a","document":{"n":1}},"#,
            r#"{"op":"update","key":"a","document":{"n":2},"if_match":"*"},"#,
            r#"{"op":"put","key":"b","document":{}},"#,
            r#"{"op":"delete","key":"b","if_version":"01ARZ3NDEKTSV4RRFFQ69G5FAV"}"#
        );
        let read = entries(all).unwrap();
        assert_eq!(read.len(), 4);
        assert_eq!(parse_bulk(&bulk_to_json(&read).unwrap()), Ok(read));
        for bad in [
            r#"{"op":"insert","key":"a"}"#,
            r#"{"op":"delete","key":"a","document":{}}"#,
            r#"{"op":"insert","key":"a","document":{},"if_match":"*"}"#,
            r#"{"op":"upsert","key":"a","document":{}}"#,
            r#"{"op":"put","key":"","document":{}}"#,
            r#"{"op":"put","key":"a","document":{},"more":1}"#,
            r#"{"op":"put","key":"a","document":{},"if_match":"x"}"#,
            "[]",
        ] {
            assert_eq!(entries(bad), Err(BatchError::Malformed), "{bad}");
        }
        assert_eq!(entries(""), Err(BatchError::Entries));
    }
}
