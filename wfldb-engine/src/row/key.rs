//! The storage keys. All integers are big-endian, so that byte order is number order.
//!
//! Object keys hold no byte below 0x20, so a 0x00 after one ends it: `a` and its versions sort before `ab`.

use bytes::Bytes;
use wfldb_core::auth::GrantId;
use wfldb_core::id::{BucketId, ChunkHash, LogPosition, PacketHash, PublicKey, Seq, UploadId, VersionId};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::time::UnixMillis;

use super::RowError;
use crate::commit::plan::{Due, DueWhat};

/// The commit mark in `meta`.
pub(crate) const COMMIT_MARK: &[u8] = b"commit";
/// The newest signed checkpoint of the audit log, in `meta`.
pub(crate) const CHECKPOINT: &[u8] = b"audit/checkpoint";
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

/// `log`: `s`, position: how many versions share the evidence of a change that made several.
pub(crate) fn evidence_shares(position: LogPosition) -> Bytes {
    join(&[b"s", &position.get().to_be_bytes()])
}

/// `log`: `a`, leaf index: the entry of a leaf of the audit log.
pub(crate) fn leaf(leaf: u64) -> Bytes {
    join(&[b"a", &leaf.to_be_bytes()])
}

/// The index within a key of [`leaf`].
pub(crate) fn index_of_leaf(row: &[u8]) -> Result<u64, RowError> {
    let damaged = RowError("leaf");
    let digits = row.strip_prefix(b"a").ok_or(damaged)?;
    Ok(u64::from_be_bytes(digits.try_into().map_err(|_| damaged)?))
}

/// Beginning of the keys of what opens entries of reads and refusals.
pub(crate) const ACCESS: &[u8] = b"r";
/// Beginning of the keys that lead from versions to their reads.
pub(crate) const READS: &[u8] = b"v";
/// Beginning of the keys of versions that are gone and whose reads are still to be forgotten.
pub(crate) const FORGOTTEN_READS: &[u8] = b"f";

/// `log`: `r`, leaf index.
pub(crate) fn access(leaf: u64) -> Bytes {
    join(&[ACCESS, &leaf.to_be_bytes()])
}

/// The index within a key of [`access`].
pub(crate) fn leaf_of_access(row: &[u8]) -> Result<u64, RowError> {
    let damaged = RowError("access");
    let digits = row.strip_prefix(ACCESS).ok_or(damaged)?;
    Ok(u64::from_be_bytes(digits.try_into().map_err(|_| damaged)?))
}

/// `log`: `v`, bucket id: there are or were reads of versions of the bucket.
pub(crate) fn reads_of_bucket(bucket: &BucketId) -> Bytes {
    join(&[READS, bucket.as_bytes()])
}

/// Whether a row of [`READS`] is one of [`reads_of_bucket`].
pub(crate) fn is_reads_of_bucket(row: &[u8]) -> bool {
    row.len() == READS.len() + 16
}

/// `log`: `v`, bucket id, version: the leaves that tell of its reads follow.
pub(crate) fn reads_of(bucket: &BucketId, version: &VersionId) -> Bytes {
    join(&[READS, bucket.as_bytes(), &version.to_bytes()])
}

/// `log`: one leaf behind [`reads_of`].
pub(crate) fn read_of(bucket: &BucketId, version: &VersionId, leaf: u64) -> Bytes {
    join(&[&reads_of(bucket, version), &leaf.to_be_bytes()])
}

/// The leaf within a key of [`read_of`].
pub(crate) fn leaf_of_read(row: &[u8]) -> Result<u64, RowError> {
    let damaged = RowError("access");
    let rest = row.strip_prefix(READS).ok_or(damaged)?;
    let leaf = rest.get(32..).ok_or(damaged)?;
    Ok(u64::from_be_bytes(leaf.try_into().map_err(|_| damaged)?))
}

/// `log`: `f`, bucket id, version.
pub(crate) fn forgotten_reads(bucket: &BucketId, version: &VersionId) -> Bytes {
    join(&[FORGOTTEN_READS, bucket.as_bytes(), &version.to_bytes()])
}

/// What a row of [`forgotten_reads`] names.
pub(crate) fn parse_forgotten_reads(row: &[u8]) -> Result<(BucketId, VersionId), RowError> {
    let damaged = RowError("access");
    let rest = row.strip_prefix(FORGOTTEN_READS).ok_or(damaged)?;
    let (bucket, version) = rest.split_first_chunk::<16>().ok_or(damaged)?;
    let version = version.try_into().map_err(|_| damaged)?;
    Ok((BucketId::from_bytes(*bucket), VersionId::from_bytes(version)))
}

/// `log`: `t`, level, number: a full tile of the audit log's hashes.
pub(crate) fn tile(level: u8, number: u64) -> Bytes {
    join(&[b"t", &[level], &number.to_be_bytes()])
}

/// Level and number within a key of [`tile`].
pub(crate) fn parse_tile(row: &[u8]) -> Result<(u8, u64), RowError> {
    let damaged = RowError("tile");
    let (level, number) = row
        .strip_prefix(b"t")
        .and_then(<[u8]>::split_first)
        .ok_or(damaged)?;
    Ok((
        *level,
        u64::from_be_bytes(number.try_into().map_err(|_| damaged)?),
    ))
}

/// `index`: bucket id, `t`, name, 0x00, value, 0x00: the keys whose newest version has this tag follow.
pub(crate) fn tagged(bucket: &BucketId, name: &str, value: &str) -> Bytes {
    join(&[
        bucket.as_bytes(),
        b"t",
        name.as_bytes(),
        &[0],
        value.as_bytes(),
        &[0],
    ])
}

/// `index`: one key behind [`tagged`].
pub(crate) fn tag(bucket: &BucketId, name: &str, value: &str, key: &ObjectKey) -> Bytes {
    join(&[&tagged(bucket, name, value), key.as_str().as_bytes()])
}

/// `index`: bucket id, `u`, upload id.
pub(crate) fn upload(bucket: &BucketId, upload: UploadId) -> Bytes {
    join(&[bucket.as_bytes(), b"u", upload.as_bytes()])
}

/// All parts of an upload.
pub(crate) fn parts_of(bucket: &BucketId, upload: UploadId) -> Bytes {
    join(&[bucket.as_bytes(), b"p", upload.as_bytes()])
}

/// `index`: bucket id, `p`, upload id, number.
pub(crate) fn part(bucket: &BucketId, upload: UploadId, number: u16) -> Bytes {
    join(&[&parts_of(bucket, upload), &number.to_be_bytes()])
}

/// Whether a row of `index` is that of a part.
pub(crate) fn is_part(row: &[u8]) -> bool {
    row.len() == 16 + 1 + 16 + 2 && row.get(16) == Some(&b'p')
}

/// The number of a part within its key.
pub(crate) fn number_of_part(row: &[u8]) -> Result<u16, RowError> {
    let number = row.last_chunk::<2>().filter(|_| is_part(row));
    number
        .map(|number| u16::from_be_bytes(*number))
        .ok_or(RowError("part"))
}

/// `index`: bucket id, `i`, number of the index: its rows follow.
pub(crate) fn index_rows(bucket: &BucketId, index: u32) -> Bytes {
    join(&[bucket.as_bytes(), b"i", &index.to_be_bytes()])
}

/// `index`: one row behind [`index_rows`].
pub(crate) fn index_row(bucket: &BucketId, index: u32, entry: &[u8]) -> Bytes {
    join(&[bucket.as_bytes(), b"i", &index.to_be_bytes(), entry])
}

/// How long [`index_rows`] is.
pub(crate) const INDEX_ROWS_LEN: usize = 16 + 1 + 4;

/// Beginning of the keys in `index` of indexes that are being built or removed, in all buckets.
pub(crate) const INDEX_WORK: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'i'];

/// `index`: [`INDEX_WORK`], bucket id, number of the index.
pub(crate) fn index_work(bucket: &BucketId, index: u32) -> Bytes {
    join(&[INDEX_WORK, bucket.as_bytes(), &index.to_be_bytes()])
}

/// Bucket and number within a key of [`index_work`].
pub(crate) fn parse_index_work(row: &[u8]) -> Result<(BucketId, u32), RowError> {
    let damaged = RowError("index work");
    let rest = row.strip_prefix(INDEX_WORK).ok_or(damaged)?;
    let (bucket, index) = rest.split_first_chunk::<16>().ok_or(damaged)?;
    let index = index.try_into().map_err(|_| damaged)?;
    Ok((BucketId::from_bytes(*bucket), u32::from_be_bytes(index)))
}

/// `index`: bucket id, `s`: the documents that have a time, by it.
pub(crate) fn timed_all(bucket: &BucketId) -> Bytes {
    join(&[bucket.as_bytes(), b"s"])
}

/// `index`: [`timed_all`], time, key. The value is the newest version, which has that time.
pub(crate) fn timed(bucket: &BucketId, at: UnixMillis, key: &ObjectKey) -> Bytes {
    join(&[&timed_before(bucket, at), key.as_str().as_bytes()])
}

/// The documents of before `at`, as the end of a range that begins at [`timed_all`].
pub(crate) fn timed_before(bucket: &BucketId, at: UnixMillis) -> Bytes {
    join(&[&timed_all(bucket), &at.get().to_be_bytes()])
}

/// Time and key within a key of [`timed`].
pub(crate) fn parse_timed(row: &[u8]) -> Result<(UnixMillis, ObjectKey), RowError> {
    let damaged = RowError("time");
    let rest = row
        .get(16..)
        .and_then(|rest| rest.strip_prefix(b"s"))
        .ok_or(damaged)?;
    let (at, key) = rest.split_first_chunk::<8>().ok_or(damaged)?;
    let millis = u64::from_be_bytes(*at);
    let at = UnixMillis::new(millis);
    if at.get() != millis {
        return Err(damaged);
    }
    Ok((at, parse_key(key, "time")?))
}

/// `index`: bucket id, `q`: the changes of a bucket.
pub(crate) fn changes_of(bucket: &BucketId) -> Bytes {
    join(&[bucket.as_bytes(), b"q"])
}

/// `index`: bucket id, `q`, `seq`: where in the log the change stands.
pub(crate) fn bucket_change(bucket: &BucketId, seq: Seq) -> Bytes {
    join(&[bucket.as_bytes(), b"q", &seq.get().to_be_bytes()])
}

/// The `seq` in a key of [`bucket_change`], and the log position that is its value.
pub(crate) fn parse_bucket_change(row: &[u8], value: &[u8]) -> Result<(Seq, LogPosition), RowError> {
    let damaged = RowError("place of a change");
    let (_, rest) = row.split_first_chunk::<16>().ok_or(damaged)?;
    let seq = rest.strip_prefix(b"q").ok_or(damaged)?;
    let seq = u64::from_be_bytes(seq.try_into().map_err(|_| damaged)?);
    let position = u64::from_be_bytes(value.try_into().map_err(|_| damaged)?);
    Ok((Seq::new(seq), LogPosition::new(position)))
}

/// Beginning of the keys in `index` of what ends at a time, in all buckets: no bucket has the id of zeros.
pub(crate) const DUE: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'x'];

/// `index`: [`DUE`], time, bucket id, `v` and version, or `u` and upload id. The value of a version's is its key.
pub(crate) fn due(bucket: &BucketId, due: &Due) -> Bytes {
    let (kind, id) = match &due.what {
        DueWhat::Version(_, version) => (b"v", version.to_bytes()),
        DueWhat::Upload(upload) => (b"u", *upload.as_bytes()),
    };
    join(&[DUE, &due.at.get().to_be_bytes(), bucket.as_bytes(), kind, &id])
}

/// Everything in `index` that ends before `at`, as the end of a range that begins at [`DUE`].
pub(crate) fn due_before(at: UnixMillis) -> Bytes {
    join(&[DUE, &at.get().to_be_bytes()])
}

/// What a row of [`due`] names.
pub(crate) fn parse_due(row: &[u8], value: &[u8]) -> Result<(BucketId, Due), RowError> {
    let damaged = RowError("due");
    let rest = row.strip_prefix(DUE).ok_or(damaged)?;
    let (at, rest) = rest.split_first_chunk::<8>().ok_or(damaged)?;
    let (bucket, rest) = rest.split_first_chunk::<16>().ok_or(damaged)?;
    let (kind, id) = rest.split_first().ok_or(damaged)?;
    let id: [u8; 16] = id.try_into().map_err(|_| damaged)?;
    let what = match kind {
        b'v' => DueWhat::Version(parse_key(value, "due")?, VersionId::from_bytes(id)),
        b'u' => DueWhat::Upload(UploadId::from_bytes(id)),
        _ => return Err(damaged),
    };
    let millis = u64::from_be_bytes(*at);
    let at = UnixMillis::new(millis);
    // A time behind the last one is none: read as the last one, the row would be removed under another key.
    if at.get() != millis {
        return Err(damaged);
    }
    Ok((BucketId::from_bytes(*bucket), Due { at, what }))
}

/// Beginning of the keys in `index` of uses of links.
pub(crate) const LINK_USES: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'l', b'c'];
/// What is known of all links that were counted, in `index`.
pub(crate) const LINKS: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'l', b'a'];
/// Beginning of the keys in `index` of the numbers of such rows by holder.
pub(crate) const LINK_SHARES: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'l', b's'];

/// `index`: [`LINK_USES`], when the link ends, its hash.
pub(crate) fn link_use(ends: UnixMillis, link: &PacketHash) -> Bytes {
    join(&[LINK_USES, &ends.get().to_be_bytes(), link.as_bytes()])
}

/// The rows of links that ended at `until` or before, as the end of a range that begins at [`LINK_USES`].
pub(crate) fn link_uses_before(until: UnixMillis) -> Bytes {
    join(&[LINK_USES, &until.get().saturating_add(1).to_be_bytes()])
}

/// When the link of a row of [`link_use`] ends.
pub(crate) fn end_of_link_use(row: &[u8]) -> Result<UnixMillis, RowError> {
    let damaged = RowError("link");
    let rest = row.strip_prefix(LINK_USES).ok_or(damaged)?;
    let (ends, _) = rest.split_first_chunk::<8>().ok_or(damaged)?;
    Ok(UnixMillis::new(u64::from_be_bytes(*ends)))
}

/// `index`: how many rows of [`link_use`] there are below a holder.
pub(crate) fn link_share(holder: &PublicKey) -> Bytes {
    join(&[LINK_SHARES, holder.as_bytes()])
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

/// The bucket and the object key within a key of `heads`.
pub(crate) fn parse_head(row: &[u8]) -> Result<(BucketId, ObjectKey), RowError> {
    let (bucket, _) = row.split_first_chunk::<16>().ok_or(RowError("head"))?;
    Ok((BucketId::from_bytes(*bucket), key_of_head(row)?))
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

pub(crate) fn parse_key(bytes: &[u8], row: &'static str) -> Result<ObjectKey, RowError> {
    let text = std::str::from_utf8(bytes).map_err(|_| RowError(row))?;
    ObjectKey::parse(text).map_err(|_| RowError(row))
}

/// The position within a key of a change row.
pub(crate) fn position_of_change(row: &[u8]) -> Result<LogPosition, RowError> {
    let digits = row.strip_prefix(b"c").ok_or(RowError("change"))?;
    let digits: [u8; 8] = digits.try_into().map_err(|_| RowError("change"))?;
    Ok(LogPosition::new(u64::from_be_bytes(digits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by the fuzz target of rows.
    #[test]
    fn a_due_time_behind_the_last_one_is_damage() {
        let what = DueWhat::Upload(UploadId::from_bytes([2; 16]));
        let at = UnixMillis::new(u64::MAX);
        let mut row = due(&BucketId::from_bytes([1; 16]), &Due { at, what }).to_vec();
        assert!(parse_due(&row, b"").is_ok());
        row[DUE.len()] = 1;
        assert!(parse_due(&row, b"").is_err());
    }
}
