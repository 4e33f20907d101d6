//! What the headers of an answer say about an object.

use http::HeaderMap;
use wfldb_core::id::{ContentHash, Seq, VersionId};
use wfldb_core::object::ObjectHeaders;

use crate::Error;
use crate::call::header;

/// A version of an object, as `GET` and `HEAD` describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// BLAKE3 of the bytes.
    pub etag: ContentHash,
    /// Length in bytes.
    pub len: u64,
    /// The version.
    pub version: VersionId,
    /// The bucket's commit that made it.
    pub seq: Seq,
    /// When it was committed, as an HTTP date.
    pub modified: Option<String>,
    /// What was stored with it.
    pub headers: ObjectHeaders,
}

/// A write that is on stable storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The version that was made.
    pub version: VersionId,
    /// The bucket's commit that made it.
    pub seq: Seq,
    /// BLAKE3 of the bytes.
    pub etag: ContentHash,
    /// No live version was there before. Always false for a caller that may neither `get` nor `list`.
    pub created: bool,
}

fn missing(name: &str) -> Error {
    Error::Transport(format!("the server's answer has no valid `{name}`"))
}

pub(crate) fn etag(headers: &HeaderMap) -> Result<ContentHash, Error> {
    header(headers, "etag")
        .and_then(|text| wfldb_core::object::parse_etag(text).ok())
        .ok_or_else(|| missing("etag"))
}

pub(super) fn version(headers: &HeaderMap) -> Result<VersionId, Error> {
    header(headers, "x-wfldb-version")
        .and_then(|text| VersionId::parse(text).ok())
        .ok_or_else(|| missing("x-wfldb-version"))
}

pub(super) fn seq(headers: &HeaderMap) -> Result<Seq, Error> {
    header(headers, "x-wfldb-seq")
        .and_then(|text| text.parse().ok())
        .map(Seq::new)
        .ok_or_else(|| missing("x-wfldb-seq"))
}

impl ObjectInfo {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Error> {
        let len = header(headers, "content-length").and_then(|text| text.parse().ok());
        let pairs = headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        Ok(Self {
            etag: etag(headers)?,
            len: len.ok_or_else(|| missing("content-length"))?,
            version: version(headers)?,
            seq: seq(headers)?,
            modified: header(headers, "last-modified").map(str::to_owned),
            headers: ObjectHeaders::parse(pairs).map_err(|_| missing("x-wfldb-meta-*"))?,
        })
    }
}
