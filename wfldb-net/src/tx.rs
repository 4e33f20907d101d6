//! Transactions: what a request asks of one and its answer, as JSON. Server and client use the same functions.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wfldb_core::encoding::{JsonObject, base64url};
use wfldb_core::id::{ContentHash, TxId, VersionId};
use wfldb_core::limits::{
    BATCH_BYTES_MAX, SCAN_LIMIT_MAX, TX_IDLE_MS, TX_IDLE_MS_MAX, TX_IDLE_MS_MIN, TX_LOCK_MS, TX_LOCK_MS_MAX,
    TX_OPS_MAX, TX_SAVEPOINT_BYTES_MAX,
};
use wfldb_core::name::{BucketName, KeyPrefix, ObjectKey};
use wfldb_core::time::UnixMillis;

use crate::batch::{BatchAction, BatchEntry, JsonEntry, JsonOp};
use crate::text;

/// A request to a transaction that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TxError {
    /// Not one, or an operation that is not one.
    #[error("not a request to a transaction: unknown or missing members, or a value that is not valid")]
    Malformed,
    /// More than 1000 operations, or none where there have to be some.
    #[error("a request to a transaction has 1 to 1000 operations")]
    Ops,
    /// More than 8 MiB.
    #[error("a request to a transaction has at most 8 MiB")]
    TooLarge,
}

/// What is asked of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TxRequest {
    /// A new one.
    Begin {
        /// For how long it may lie idle.
        idle_ms: u64,
        /// What is done at once.
        ops: Vec<TxOp>,
    },
    /// Operations, in order.
    Run {
        /// Of which.
        tx: TxId,
        /// At least one.
        ops: Vec<TxOp>,
    },
    /// A savepoint.
    Savepoint {
        /// Of which.
        tx: TxId,
        /// Its name.
        name: String,
    },
    /// Back to a savepoint.
    Rollback {
        /// Of which.
        tx: TxId,
        /// Its name.
        to: String,
    },
    /// Its end, all of it.
    Commit {
        /// Of which.
        tx: TxId,
        /// What is done before.
        ops: Vec<TxOp>,
    },
    /// Its end, nothing of it.
    Abort {
        /// Of which.
        tx: TxId,
    },
}

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
enum JsonDo {
    Begin,
    Run,
    Savepoint,
    Rollback,
    Commit,
    Abort,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonRequest {
    r#do: JsonDo,
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    tx: Option<TxId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idle_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ops: Option<Vec<JsonTxOp>>,
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
struct JsonTxOp(JsonTxOpMembers);

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

impl TxRequest {
    /// Reads a request from JSON.
    ///
    /// # Errors
    /// Every [`TxError`].
    pub fn parse(json: &[u8]) -> Result<Self, TxError> {
        if json.len() > BATCH_BYTES_MAX {
            return Err(TxError::TooLarge);
        }
        let request = serde_json::from_slice::<JsonObject<JsonRequest>>(json);
        let JsonObject(request) = request.map_err(|_| TxError::Malformed)?;
        let idle = request.idle_ms.filter(|_| request.r#do != JsonDo::Begin);
        let fits = match request.r#do {
            JsonDo::Begin => request.tx.is_none() && request.name.is_none() && request.to.is_none(),
            JsonDo::Run | JsonDo::Commit => request.name.is_none() && request.to.is_none(),
            JsonDo::Savepoint => request.to.is_none() && request.ops.is_none(),
            JsonDo::Rollback => request.name.is_none() && request.ops.is_none(),
            JsonDo::Abort => request.name.is_none() && request.to.is_none() && request.ops.is_none(),
        };
        if !fits || idle.is_some() {
            return Err(TxError::Malformed);
        }
        let ops = request.ops.unwrap_or_default();
        if ops.len() > TX_OPS_MAX || (ops.is_empty() && request.r#do == JsonDo::Run) {
            return Err(TxError::Ops);
        }
        let ops = ops.into_iter().map(|JsonTxOp(op)| op.parsed());
        let ops = ops.collect::<Result<Vec<_>, _>>()?;
        let tx = || request.tx.ok_or(TxError::Malformed);
        Ok(match request.r#do {
            JsonDo::Begin => {
                let idle_ms = request.idle_ms.unwrap_or(TX_IDLE_MS);
                if !(TX_IDLE_MS_MIN..=TX_IDLE_MS_MAX).contains(&idle_ms) {
                    return Err(TxError::Malformed);
                }
                Self::Begin { idle_ms, ops }
            }
            JsonDo::Run => Self::Run { tx: tx()?, ops },
            JsonDo::Commit => Self::Commit { tx: tx()?, ops },
            JsonDo::Abort => Self::Abort { tx: tx()? },
            JsonDo::Savepoint => Self::Savepoint {
                tx: tx()?,
                name: savepoint(request.name)?,
            },
            JsonDo::Rollback => Self::Rollback {
                tx: tx()?,
                to: savepoint(request.to)?,
            },
        })
    }

    /// Writes a request as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = JsonRequest {
            r#do: JsonDo::Begin,
            tx: None,
            idle_ms: None,
            name: None,
            to: None,
            ops: None,
        };
        let ops = |ops: &[TxOp]| Some(ops.iter().map(JsonTxOp::of).collect::<Vec<_>>());
        match self {
            Self::Begin { idle_ms, ops: of } => {
                json.idle_ms = Some(*idle_ms);
                json.ops = ops(of).filter(|ops| !ops.is_empty());
            }
            Self::Run { tx, ops: of } => {
                (json.r#do, json.tx, json.ops) = (JsonDo::Run, Some(*tx), ops(of));
            }
            Self::Commit { tx, ops: of } => {
                (json.r#do, json.tx) = (JsonDo::Commit, Some(*tx));
                json.ops = ops(of).filter(|ops| !ops.is_empty());
            }
            Self::Savepoint { tx, name } => {
                (json.r#do, json.tx, json.name) = (JsonDo::Savepoint, Some(*tx), Some(name.clone()));
            }
            Self::Rollback { tx, to } => {
                (json.r#do, json.tx, json.to) = (JsonDo::Rollback, Some(*tx), Some(to.clone()));
            }
            Self::Abort { tx } => (json.r#do, json.tx) = (JsonDo::Abort, Some(*tx)),
        }
        // Strings, numbers and maps of strings always serialise.
        serde_json::to_vec(&json).unwrap_or_default()
    }
}

fn savepoint(name: Option<String>) -> Result<String, TxError> {
    let fits = |name: &String| {
        (1..=TX_SAVEPOINT_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
    };
    name.filter(fits).ok_or(TxError::Malformed)
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
    let fits = |text: &String| {
        text.len() <= wfldb_core::limits::KEY_BYTES_MAX && !text.chars().any(char::is_control)
    };
    match text {
        Some(text) if !fits(&text) => Err(TxError::Malformed),
        text => Ok(text),
    }
}

impl JsonTxOp {
    fn of(op: &TxOp) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00112233445566778899aabbccddeeff";

    /// Defects it catches: a member that is passed over; a number out of bounds; an id in another spelling.
    #[test]
    fn what_is_no_request_is_refused() {
        let good = [
            r#"{"do":"begin"}"#.to_owned(),
            r#"{"do":"begin","idle_ms":1000,"ops":[]}"#.to_owned(),
            format!(r#"{{"do":"run","tx":"{ID}","ops":[{{"op":"get","bucket":"aaa","key":"k"}}]}}"#),
            format!(r#"{{"do":"commit","tx":"{ID}"}}"#),
            format!(r#"{{"do":"abort","tx":"{ID}"}}"#),
            format!(r#"{{"do":"savepoint","tx":"{ID}","name":"ä"}}"#),
            format!(r#"{{"do":"rollback","tx":"{ID}","to":"a"}}"#),
        ];
        for json in &good {
            let request = TxRequest::parse(json.as_bytes()).unwrap();
            assert_eq!(TxRequest::parse(&request.to_json()), Ok(request));
        }
        let long = "x".repeat(65);
        let bad = [
            "[]".to_owned(),
            "{}".to_owned(),
            r#"{"do":"begin","do":"begin"}"#.to_owned(),
            r#"{"do":"begin","more":1}"#.to_owned(),
            r#"{"do":"begin","idle_ms":999}"#.to_owned(),
            r#"{"do":"begin","idle_ms":300001}"#.to_owned(),
            r#"{"do":"begin","idle_ms":-1}"#.to_owned(),
            format!(r#"{{"do":"begin","tx":"{ID}"}}"#),
            r#"{"do":"commit"}"#.to_owned(),
            format!(r#"{{"do":"commit","tx":"{}"}}"#, ID.to_uppercase()),
            format!(r#"{{"do":"commit","tx":"{ID}0"}}"#),
            r#"{"do":"commit","tx":"../../etc/passwd"}"#.to_owned(),
            format!(r#"{{"do":"commit","tx":"{ID}","idle_ms":1000}}"#),
            format!(r#"{{"do":"abort","tx":"{ID}","ops":[]}}"#),
            format!(r#"{{"do":"savepoint","tx":"{ID}"}}"#),
            format!(r#"{{"do":"savepoint","tx":"{ID}","name":""}}"#),
            format!(r#"{{"do":"savepoint","tx":"{ID}","name":"{long}"}}"#),
            format!(r#"{{"do":"savepoint","tx":"{ID}","name":"a\nb"}}"#),
            format!(r#"{{"do":"rollback","tx":"{ID}","name":"a"}}"#),
        ];
        for json in &bad {
            assert_eq!(
                TxRequest::parse(json.as_bytes()),
                Err(TxError::Malformed),
                "{json}"
            );
        }
        let run = |ops: &str| format!(r#"{{"do":"run","tx":"{ID}","ops":[{ops}]}}"#);
        for op in [
            r#"{"op":"get","bucket":"aaa"}"#,
            r#"{"op":"get","bucket":"aaa","key":""}"#,
            r#"{"op":"get","bucket":"AAA","key":"k"}"#,
            r#"{"op":"get","bucket":"aaa","key":"k","key":"l"}"#,
            r#"{"op":"get","bucket":"aaa","key":"k","body":""}"#,
            r#"{"op":"scan","bucket":"aaa","key":"k"}"#,
            r#"{"op":"scan","bucket":"aaa","limit":0}"#,
            r#"{"op":"scan","bucket":"aaa","limit":1001}"#,
            r#"{"op":"scan","bucket":"aaa","after":"\u0000"}"#,
            r#"{"op":"put","bucket":"aaa","key":"k"}"#,
            r#"{"op":"put","bucket":"aaa","key":"k","body":1}"#,
            r#"{"op":"put","bucket":"aaa","key":"k","body":"","mode":"shared"}"#,
            r#"{"op":"put","bucket":"aaa","key":"k","body":"","body_base64":""}"#,
            r#"{"op":"delete","bucket":"aaa","key":"k","body":""}"#,
            r#"{"op":"check","bucket":"aaa","key":"k"}"#,
            r#"{"op":"lock","bucket":"aaa","key":"k"}"#,
            r#"{"op":"lock","bucket":"aaa","key":"k","mode":"Shared"}"#,
            r#"{"op":"lock","bucket":"aaa","key":"k","mode":"shared","wait_ms":60001}"#,
            r#"["get","aaa","k"]"#,
        ] {
            assert_eq!(
                TxRequest::parse(run(op).as_bytes()),
                Err(TxError::Malformed),
                "{op}"
            );
        }
        assert_eq!(TxRequest::parse(run("").as_bytes()), Err(TxError::Ops));
        let many = vec![r#"{"op":"get","bucket":"aaa","key":"k"}"#; 1001].join(",");
        assert_eq!(TxRequest::parse(run(&many).as_bytes()), Err(TxError::Ops));
        let huge = vec![b' '; BATCH_BYTES_MAX + 1];
        assert_eq!(TxRequest::parse(&huge), Err(TxError::TooLarge));
    }

    /// A defect it catches: a member that one side writes and the other does not read.
    #[test]
    fn operations_are_read_back() {
        let ops = [
            r#"{"op":"get","bucket":"aaa","key":"k"}"#,
            r#"{"op":"scan","bucket":"aaa","prefix":"a/","after":"a/b","before":"a/x","limit":7}"#,
            r#"{"op":"put","bucket":"aaa","key":"k","body":"ä","content_type":"text/plain","tags":{"a":"b"},"if_none_match":"*"}"#,
            r#"{"op":"put","bucket":"aaa","key":"k","body":{"a":[1,{"b":null}]},"tags":{"a":"b"}}"#,
            r#"{"op":"put","bucket":"aaa","key":"k","body_base64":"AP8","if_version":"01JGFJJZ00AAAAAAAAAAAAAAAA"}"#,
            r#"{"op":"delete","bucket":"aaa","key":"k","if_match":"*"}"#,
            r#"{"op":"lock","bucket":"aaa","key":"k","mode":"exclusive","wait_ms":0}"#,
        ];
        let json = format!(r#"{{"do":"commit","tx":"{ID}","ops":[{}]}}"#, ops.join(","));
        let request = TxRequest::parse(json.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(request.to_json()).unwrap(), json);
        let body = Bytes::from_static(&[0, 255]);
        let result = TxResult::default().with_body(&body);
        assert_eq!(result.bytes(), Some(body));
    }
}
