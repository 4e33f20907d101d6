//! One operation in a transaction.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wfldb_core::encoding::JsonObject;
use wfldb_core::limits::{KEY_BYTES_MAX, SCAN_LIMIT_MAX, TX_LOCK_MS, TX_LOCK_MS_MAX};
use wfldb_core::name::{BucketName, KeyPrefix, ObjectKey};

use super::TxError;
use crate::batch::{BatchAction, BatchEntry, JsonEntry, JsonOp};
use crate::text;

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxOp {
    /// The bucket.
    pub bucket: BucketName,
    /// What is done there.
    pub action: TxAction,
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxAction {
    /// Reads a key.
    Get(ObjectKey),
    /// Reads a range of keys.
    Scan {
        /// Only keys that begin with this.
        prefix: KeyPrefix,
        /// Only keys behind this.
        after: Option<String>,
        /// Only keys before this.
        before: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// Writes: the put or delete of a batch.
    Write(BatchEntry),
    /// Locks a key.
    Lock {
        /// Which.
        key: ObjectKey,
        /// Alone.
        exclusive: bool,
        /// How long it is waited for.
        wait_ms: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum JsonTxWord {
    Get,
    Scan,
    Put,
    Delete,
    Lock,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum JsonMode {
    Shared,
    Exclusive,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonTxOpMembers {
    op: JsonTxWord,
    #[serde(with = "text")]
    bucket: BucketName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<JsonMode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wait_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    if_match: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    if_none_match: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    if_version: Option<String>,
}

/// An object of JSON, read with every member named once.
#[derive(Debug)]
pub(super) struct JsonTxOp(JsonTxOpMembers);

impl<'de> Deserialize<'de> for JsonTxOp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        JsonObject::deserialize(deserializer).map(|JsonObject(members)| Self(members))
    }
}

impl Serialize for JsonTxOp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl JsonTxOpMembers {
    fn parsed(self) -> Result<TxOp, TxError> {
        let is_range =
            self.prefix.is_some() || self.after.is_some() || self.before.is_some() || self.limit.is_some();
        let is_lock = self.mode.is_some() || self.wait_ms.is_some();
        let is_write = self.body.is_some()
            || self.body_base64.is_some()
            || self.content_type.is_some()
            || self.tags.is_some()
            || self.if_match.is_some()
            || self.if_none_match.is_some()
            || self.if_version.is_some();
        let (range, lock, write) = match self.op {
            JsonTxWord::Get => (false, false, false),
            JsonTxWord::Scan => (true, false, false),
            JsonTxWord::Lock => (false, true, false),
            JsonTxWord::Put | JsonTxWord::Delete => (false, false, true),
        };
        let others = (is_range && !range) || (is_lock && !lock) || (is_write && !write);
        if others || self.key.is_some() == range {
            return Err(TxError::Malformed);
        }
        let key = || {
            let key = self.key.as_deref().map(ObjectKey::parse);
            key.and_then(Result::ok).ok_or(TxError::Malformed)
        };
        let action = match self.op {
            JsonTxWord::Get => TxAction::Get(key()?),
            JsonTxWord::Scan => TxAction::Scan {
                prefix: KeyPrefix::parse(self.prefix.as_deref().unwrap_or_default())
                    .map_err(|_| TxError::Malformed)?,
                after: bound(self.after)?,
                before: bound(self.before)?,
                limit: Some(self.limit.unwrap_or(SCAN_LIMIT_MAX))
                    .filter(|limit| (1..=SCAN_LIMIT_MAX).contains(limit))
                    .ok_or(TxError::Malformed)?,
            },
            JsonTxWord::Lock => TxAction::Lock {
                key: key()?,
                exclusive: self.mode.ok_or(TxError::Malformed)? == JsonMode::Exclusive,
                wait_ms: Some(self.wait_ms.unwrap_or(TX_LOCK_MS))
                    .filter(|wait| *wait <= TX_LOCK_MS_MAX)
                    .ok_or(TxError::Malformed)?,
            },
            JsonTxWord::Put | JsonTxWord::Delete => {
                let entry = JsonEntry {
                    op: if self.op == JsonTxWord::Put {
                        JsonOp::Put
                    } else {
                        JsonOp::Delete
                    },
                    key: self.key.unwrap_or_default(),
                    body: self.body,
                    body_base64: self.body_base64,
                    content_type: self.content_type,
                    tags: self.tags,
                    if_match: self.if_match,
                    if_none_match: self.if_none_match,
                    if_version: self.if_version,
                };
                TxAction::Write(entry.parsed().map_err(|_| TxError::Malformed)?)
            }
        };
        Ok(TxOp {
            bucket: self.bucket,
            action,
        })
    }
}

/// A bound of a range: any text that is no longer than a key and could stand in one.
fn bound(text: Option<String>) -> Result<Option<String>, TxError> {
    let fits = |text: &String| text.len() <= KEY_BYTES_MAX && !text.chars().any(char::is_control);
    match text {
        Some(text) if !fits(&text) => Err(TxError::Malformed),
        text => Ok(text),
    }
}

impl JsonTxOp {
    pub(super) fn parsed(self) -> Result<TxOp, TxError> {
        self.0.parsed()
    }

    pub(super) fn of(op: &TxOp) -> Self {
        let mut json = JsonTxOpMembers {
            op: JsonTxWord::Get,
            bucket: op.bucket.clone(),
            key: None,
            prefix: None,
            after: None,
            before: None,
            limit: None,
            mode: None,
            wait_ms: None,
            body: None,
            body_base64: None,
            content_type: None,
            tags: None,
            if_match: None,
            if_none_match: None,
            if_version: None,
        };
        match &op.action {
            TxAction::Get(key) => json.key = Some(key.to_string()),
            TxAction::Scan {
                prefix,
                after,
                before,
                limit,
            } => {
                json.op = JsonTxWord::Scan;
                json.prefix = Some(prefix.to_string());
                json.after.clone_from(after);
                json.before.clone_from(before);
                json.limit = Some(*limit);
            }
            TxAction::Lock {
                key,
                exclusive,
                wait_ms,
            } => {
                json.op = JsonTxWord::Lock;
                json.key = Some(key.to_string());
                json.mode = Some(if *exclusive {
                    JsonMode::Exclusive
                } else {
                    JsonMode::Shared
                });
                json.wait_ms = Some(*wait_ms);
            }
            TxAction::Write(entry) => {
                let of = JsonEntry::of(entry);
                json.op = match entry.action {
                    BatchAction::Put { .. } | BatchAction::Document { .. } => JsonTxWord::Put,
                    BatchAction::Delete | BatchAction::Check => JsonTxWord::Delete,
                };
                json.key = Some(of.key);
                json.body = of.body;
                json.body_base64 = of.body_base64;
                json.content_type = of.content_type;
                json.tags = of.tags;
                json.if_match = of.if_match;
                json.if_none_match = of.if_none_match;
                json.if_version = of.if_version;
            }
        }
        Self(json)
    }
}
