//! The storage keys. All integers are big-endian, so that byte order is number order.
//!
//! Object keys hold no byte below 0x20, so a 0x00 after one ends it: `a` and its versions sort before `ab`.

use bytes::Bytes;
use wfldb_core::auth::GrantId;
use wfldb_core::id::{BucketId, ChunkHash, LogPosition, VersionId};
use wfldb_core::name::{BucketName, ObjectKey};

use super::RowError;

/// The commit mark in `meta`.
pub(crate) const COMMIT_MARK: &[u8] = b"commit";
/// Beginning of the keys of buckets by name in `meta`; the value is the bucket id.
pub(crate) const BUCKET_NAME: &[u8] = b"name/";
/// Beginning of the keys of bucket rows in `meta`.
pub(crate) const BUCKET_ROW: &[u8] = b"bucket/";
/// Beginning of the keys of detached buckets in `meta`: their rows are still to be removed.
pub(crate) const BUCKET_DETACHED: &[u8] = b"detached/";

fn join(parts: &[&[u8]]) -> Bytes {
    Bytes::from(parts.concat())
}

pub(crate) fn bucket_name(name: &BucketName) -> Bytes {
    join(&[BUCKET_NAME, name.as_str().as_bytes()])
}

pub(crate) fn bucket_row(bucket: &BucketId) -> Bytes {
    join(&[BUCKET_ROW, bucket.as_bytes()])
}

pub(crate) fn bucket_detached(bucket: &BucketId) -> Bytes {
    join(&[BUCKET_DETACHED, bucket.as_bytes()])
}

/// `heads`: bucket id, key.
pub(crate) fn head(bucket: &BucketId, key: &ObjectKey) -> Bytes {
    join(&[bucket.as_bytes(), key.as_str().as_bytes()])
}

/// All of one bucket in `heads`, `versions`, `bodies` and `chunks`.
pub(crate) fn of_bucket(bucket: &BucketId) -> Bytes {
    join(&[bucket.as_bytes()])
}

/// `versions`: bucket id, key, 0x00, complement of the version: newest first.
pub(crate) fn version(bucket: &BucketId, key: &ObjectKey, version: &VersionId) -> Bytes {
    let newest_first = version.to_bytes().map(|byte| !byte);
    join(&[bucket.as_bytes(), key.as_str().as_bytes(), &[0], &newest_first])
}

/// All versions of one key.
pub(crate) fn versions_of(bucket: &BucketId, key: &ObjectKey) -> Bytes {
    join(&[bucket.as_bytes(), key.as_str().as_bytes(), &[0]])
}

/// `bodies`: bucket id, version.
pub(crate) fn body(bucket: &BucketId, version: &VersionId) -> Bytes {
    join(&[bucket.as_bytes(), &version.to_bytes()])
}

/// `chunks`: bucket id, chunk hash, version: one row is one reference.
pub(crate) fn chunk_reference(bucket: &BucketId, chunk: &ChunkHash, version: &VersionId) -> Bytes {
    join(&[bucket.as_bytes(), chunk.as_bytes(), &version.to_bytes()])
}

/// All references to one chunk.
pub(crate) fn chunk_references(bucket: &BucketId, chunk: &ChunkHash) -> Bytes {
    join(&[bucket.as_bytes(), chunk.as_bytes()])
}

/// `log`: `c`, position.
pub(crate) fn change(position: LogPosition) -> Bytes {
    join(&[b"c", &position.get().to_be_bytes()])
}

/// `log`: `e`, position.
pub(crate) fn evidence(position: LogPosition) -> Bytes {
    join(&[b"e", &position.get().to_be_bytes()])
}

/// `counters`: `b`, bucket id.
pub(crate) fn bucket_counters(bucket: &BucketId) -> Bytes {
    join(&[b"b", bucket.as_bytes()])
}

/// `counters`: `g`, grant id: the stored bytes charged to a grant.
pub(crate) fn grant_counter(grant: &GrantId) -> Bytes {
    join(&[b"g", grant.as_bytes()])
}

/// The object key within a key of `heads`.
pub(crate) fn key_of_head(row: &[u8]) -> Result<ObjectKey, RowError> {
    let key = row.get(16..).ok_or(RowError("head"))?;
    parse_key(key, "head")
}

/// The object key and version within a key of `versions`.
pub(crate) fn key_of_version(row: &[u8]) -> Result<(ObjectKey, VersionId), RowError> {
    let damaged = RowError("version");
    let split = row.len().checked_sub(17).ok_or(damaged)?;
    let (front, version) = row.split_at_checked(split).ok_or(damaged)?;
    let (nul, newest_first) = version.split_first().ok_or(damaged)?;
    if *nul != 0 {
        return Err(damaged);
    }
    let bytes: [u8; 16] = newest_first.try_into().map_err(|_| damaged)?;
    let key = parse_key(front.get(16..).ok_or(damaged)?, "version")?;
    Ok((key, VersionId::from_bytes(bytes.map(|byte| !byte))))
}

fn parse_key(bytes: &[u8], row: &'static str) -> Result<ObjectKey, RowError> {
    let text = std::str::from_utf8(bytes).map_err(|_| RowError(row))?;
    ObjectKey::parse(text).map_err(|_| RowError(row))
}

/// The position within a key of a change row.
pub(crate) fn position_of_change(row: &[u8]) -> Result<LogPosition, RowError> {
    let digits = row.strip_prefix(b"c").ok_or(RowError("change"))?;
    let digits: [u8; 8] = digits.try_into().map_err(|_| RowError("change"))?;
    Ok(LogPosition::new(u64::from_be_bytes(digits)))
}
