//! Batches: the request and its answer, with their JSON form.
//!
//! The FlatBuffers form of the same values is in [`crate::codec`].

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use wfldb_core::encoding::{JsonObject, base64url};
use wfldb_core::id::{ContentHash, VersionId};
use wfldb_core::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX};
use wfldb_core::name::ObjectKey;
use wfldb_core::object::{EtagCondition, HeaderText, Preconditions, Tags};

use crate::text;

/// A batch that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Not a batch, or an entry that is not one.
    #[error("not a batch: unknown or missing members, or a value that is not valid")]
    Malformed,
    /// More than 1000 entries, or none.
    #[error("a batch has 1 to 1000 entries")]
    Entries,
    /// More than 8 MiB.
    #[error("a batch has at most 8 MiB")]
    TooLarge,
}

/// What an entry does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchAction {
    /// Stores a new version.
    Put {
        /// Its bytes.
        body: Bytes,
        /// As `content-type` of a PUT.
        content_type: Option<HeaderText>,
        /// As `x-wfldb-tags` of a PUT.
        tags: Tags,
    },
    /// Stores a new version of a document.
    Document {
        /// Its JSON.
        json: Bytes,
        /// As `x-wfldb-tags` of a PUT.
        tags: Tags,
    },
    /// Adds a tombstone, if something is there.
    Delete,
    /// Only looks at the preconditions.
    Check,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchEntry {
    /// The key; it occurs once in a batch.
    pub key: ObjectKey,
    /// What must hold, for the whole batch to happen.
    pub preconditions: Preconditions,
    /// What is done.
    pub action: BatchAction,
}

/// What one entry wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchResult {
    /// Its key.
    #[serde(with = "text")]
    pub key: ObjectKey,
    /// The new version or tombstone; `None` when nothing was written.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionId>,
    /// Of a put: BLAKE3 of the bytes.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub etag: Option<ContentHash>,
}

/// The answer to a batch, entry by entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchResults {
    /// The bucket's number of the change; `None` when nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// In the order of the entries.
    pub results: Vec<BatchResult>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonBatch {
    ops: Vec<JsonObject<JsonEntry>>,
}

#[derive(Debug, Serialize)]
struct JsonBatchOut {
    ops: Vec<JsonEntry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum JsonOp {
    Put,
    Delete,
    Check,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonEntry {
    op: JsonOp,
    key: String,
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

/// Reads a batch from JSON.
///
/// # Errors
/// Every [`BatchError`].
pub fn parse_json(json: &[u8]) -> Result<Vec<BatchEntry>, BatchError> {
    if json.len() > BATCH_BYTES_MAX {
        return Err(BatchError::TooLarge);
    }
    let batch = serde_json::from_slice::<JsonObject<JsonBatch>>(json);
    let JsonObject(batch) = batch.map_err(|_| BatchError::Malformed)?;
    if !(1..=BATCH_ENTRIES_MAX).contains(&batch.ops.len()) {
        return Err(BatchError::Entries);
    }
    let entries = batch.ops.into_iter();
    entries.map(|JsonObject(entry)| entry.parsed()).collect()
}

/// Writes a batch as JSON; a body that is not UTF-8 as `body_base64`.
#[must_use]
pub fn to_json(entries: &[BatchEntry]) -> Vec<u8> {
    let ops = entries.iter().map(JsonEntry::of).collect();
    // Strings and maps of strings always serialise.
    serde_json::to_vec(&JsonBatchOut { ops }).unwrap_or_default()
}

fn is_object(body: &RawValue) -> bool {
    body.get().starts_with('{')
}

impl JsonEntry {
    fn parsed(self) -> Result<BatchEntry, BatchError> {
        let malformed = || BatchError::Malformed;
        // The header's form has quotes, that of JSON has none.
        let if_match = self.if_match.as_deref().map(|value| match value {
            "*" => Ok(EtagCondition::Any),
            etag => ContentHash::parse(etag)
                .map(EtagCondition::Is)
                .map_err(|_| malformed()),
        });
        let preconditions = Preconditions {
            if_match: if_match.transpose()?,
            if_none_match_any: match self.if_none_match.as_deref() {
                None => false,
                Some("*") => true,
                Some(_) => return Err(malformed()),
            },
            if_version: self
                .if_version
                .as_deref()
                .map(VersionId::parse)
                .transpose()
                .map_err(|_| malformed())?,
        };
        let is_put = self.op == JsonOp::Put;
        let has_object = self.body.is_some()
            || self.body_base64.is_some()
            || self.content_type.is_some()
            || self.tags.is_some();
        if !is_put && has_object {
            return Err(malformed());
        }
        let action = match self.op {
            JsonOp::Delete => BatchAction::Delete,
            JsonOp::Check => BatchAction::Check,
            JsonOp::Put if self.body.as_deref().is_some_and(is_object) => {
                if self.body_base64.is_some() || self.content_type.is_some() {
                    return Err(malformed());
                }
                BatchAction::Document {
                    json: Bytes::from(
                        self.body
                            .map(|body| String::from(Box::<str>::from(body)))
                            .unwrap_or_default(),
                    ),
                    tags: Tags::from_pairs(self.tags.unwrap_or_default()).map_err(|_| malformed())?,
                }
            }
            JsonOp::Put => BatchAction::Put {
                body: match (self.body, self.body_base64) {
                    (Some(text), None) => {
                        let text: String = serde_json::from_str(text.get()).map_err(|_| malformed())?;
                        Bytes::from(text)
                    }
                    (None, Some(encoded)) => {
                        Bytes::from(base64url::decode(&encoded).map_err(|_| malformed())?)
                    }
                    _ => return Err(malformed()),
                },
                content_type: self
                    .content_type
                    .as_deref()
                    .map(HeaderText::parse)
                    .transpose()
                    .map_err(|_| malformed())?,
                tags: Tags::from_pairs(self.tags.unwrap_or_default()).map_err(|_| malformed())?,
            },
        };
        Ok(BatchEntry {
            key: ObjectKey::parse(&self.key).map_err(|_| malformed())?,
            preconditions,
            action,
        })
    }

    fn of(entry: &BatchEntry) -> Self {
        let conditions = &entry.preconditions;
        let mut json = Self {
            op: JsonOp::Check,
            key: entry.key.as_str().to_owned(),
            body: None,
            body_base64: None,
            content_type: None,
            tags: None,
            if_match: conditions.if_match.map(|condition| match condition {
                EtagCondition::Any => "*".to_owned(),
                EtagCondition::Is(etag) => etag.to_string(),
            }),
            if_none_match: conditions.if_none_match_any.then(|| "*".to_owned()),
            if_version: conditions.if_version.map(|version| version.to_string()),
        };
        match &entry.action {
            BatchAction::Check => {}
            BatchAction::Delete => json.op = JsonOp::Delete,
            BatchAction::Put {
                body,
                content_type,
                tags,
            } => {
                json.op = JsonOp::Put;
                match std::str::from_utf8(body) {
                    Ok(text) => json.body = serde_json::value::to_raw_value(text).ok(),
                    Err(_) => json.body_base64 = Some(base64url::encode(body)),
                }
                json.content_type = content_type.as_ref().map(|text| text.as_str().to_owned());
                let tags = tags
                    .iter()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()));
                json.tags = Some(tags.collect::<BTreeMap<_, _>>()).filter(|tags| !tags.is_empty());
            }
            BatchAction::Document { json: text, tags } => {
                json.op = JsonOp::Put;
                // What is no JSON goes as text, and is refused for it.
                let text = String::from_utf8_lossy(text).into_owned();
                json.body = RawValue::from_string(text.clone())
                    .or_else(|_| serde_json::value::to_raw_value(&text))
                    .ok();
                let tags = tags
                    .iter()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()));
                json.tags = Some(tags.collect::<BTreeMap<_, _>>()).filter(|tags| !tags.is_empty());
            }
        }
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_batch_is_refused() {
        let op = |rest: &str| format!(r#"{{"ops":[{{"op":"put","key":"k"{rest}}}]}}"#);
        assert!(parse_json(op(r#","body":"x""#).as_bytes()).is_ok());
        for rest in [
            "",
            r#","body":"x","body_base64":"eA""#,
            r#","body":"x","body":"y""#,
            r#","body":1"#,
            r#","body":"x","other":1"#,
            r#","body_base64":"eA==""#,
            r#","body":"x","if_none_match":"x""#,
            r#","body":"x","if_match":"\"*\"""#,
            r#","body":"x","if_version":"1""#,
            r#","body":"x","tags":{"":"v"}"#,
            r#","body":"x","content_type":"a  b""#,
        ] {
            assert_eq!(
                parse_json(op(rest).as_bytes()),
                Err(BatchError::Malformed),
                "{rest}"
            );
        }
        for json in [
            "",
            "[]",
            "{}",
            "[[]]",
            r#"[[{"op":"check","key":"k"}]]"#,
            r#"{"ops":[["put","k","x"]]}"#,
            r#"{"ops":[{"op":"move","key":"k"}]}"#,
            r#"{"ops":[{"op":"check","key":"k","body":""}]}"#,
            r#"{"ops":[{"op":"check","key":""}]}"#,
            r#"{"ops":[{"op":"check","key":"k"}],"more":1}"#,
        ] {
            assert_eq!(parse_json(json.as_bytes()), Err(BatchError::Malformed), "{json}");
        }
        assert_eq!(parse_json(br#"{"ops":[]}"#), Err(BatchError::Entries));
        let many = vec![r#"{"op":"check","key":"k"}"#; 1001].join(",");
        assert_eq!(
            parse_json(format!(r#"{{"ops":[{many}]}}"#).as_bytes()),
            Err(BatchError::Entries)
        );
    }
}
