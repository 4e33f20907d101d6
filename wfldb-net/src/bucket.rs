//! Buckets as answers show them, with their JSON form.

use serde::{Deserialize, Serialize};
use wfldb_core::name::BucketName;
use wfldb_core::object::{BucketConfig, BucketKind};
use wfldb_core::time::UnixMillis;

use crate::text;

/// What a bucket holds now, exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Keys whose newest version is not a tombstone.
    pub objects: u64,
    /// Versions, tombstones included.
    pub versions: u64,
    /// Bytes of all versions as sent.
    pub bytes: u64,
    /// Bytes kept, equal chunks counted once.
    pub stored_bytes: u64,
}

/// One bucket with its configuration and usage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its name.
    #[serde(with = "text")]
    pub name: BucketName,
    /// When it was created.
    #[serde(with = "text")]
    pub created: UnixMillis,
    /// Its configuration; in JSON its members stand beside the others.
    #[serde(flatten)]
    pub config: BucketConfig,
    /// What it holds.
    pub usage: Usage,
}

/// One bucket in the list of all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketEntry {
    /// Its name.
    #[serde(with = "text")]
    pub name: BucketName,
    /// When it was created.
    #[serde(with = "text")]
    pub created: UnixMillis,
    /// What it holds.
    pub kind: BucketKind,
}

/// The buckets that the caller may see, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buckets {
    /// In the order of their names.
    pub buckets: Vec<BucketEntry>,
}
