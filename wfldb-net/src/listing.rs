//! Listings: pages of keys and of versions, with their JSON form.
//!
//! The FlatBuffers form of the same values is in [`crate::codec`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wfldb_core::id::{ContentHash, VersionId};
use wfldb_core::name::ObjectKey;
use wfldb_core::time::UnixMillis;

use crate::text;

/// One key of a listing, or one version of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The key.
    #[serde(with = "text")]
    pub key: ObjectKey,
    /// The version, the newest one in a listing of keys.
    #[serde(with = "text")]
    pub version: VersionId,
    /// BLAKE3 of the bytes; `None` on a tombstone.
    #[serde(default, with = "text::option", skip_serializing_if = "Option::is_none")]
    pub etag: Option<ContentHash>,
    /// Bytes of the object.
    pub size: u64,
    /// As given at the PUT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Commit time.
    #[serde(with = "text")]
    pub modified: UnixMillis,
    /// Tags by name.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// This version is a tombstone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// A page of `scan`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Keys in the order asked for.
    pub items: Vec<Item>,
    /// Common prefixes; `None` without a delimiter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefixes: Option<Vec<String>>,
    /// Where to go on; `None` on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A page of one key's versions, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Versions, tombstones included.
    pub items: Vec<Item>,
    /// Where to go on; `None` on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}
