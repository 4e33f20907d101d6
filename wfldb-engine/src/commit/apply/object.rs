//! New versions and tombstones.

use std::collections::BTreeMap;

use wfldb_core::auth::{Charge, GrantId};
use wfldb_core::id::{BucketId, ChunkHash, VersionId};
use wfldb_core::name::ObjectKey;
use wfldb_core::object::{ObjectHeaders, Preconditions};

use super::{Numbers, bucket_by_id, counters_of, log, next_version, numbers};
use crate::commit::overlay::Overlay;
use crate::commit::plan::{Applied, DeleteObject, Outcome, PlannedBody, PutObject, Restores, WritePlan};
use crate::error::EngineError;
use crate::row::{Action, BucketCounters, ChangeRow, CommitMark, ObjectRow, counters, key};
use crate::storage::Space;

fn head_of(state: &Overlay, bucket: &BucketId, object: &ObjectKey) -> Result<Option<ObjectRow>, EngineError> {
    let row = state.value(Space::Heads, &key::head(bucket, object))?;
    Ok(row.map(|row| ObjectRow::decode(&row)).transpose()?)
}

fn newest_of(
    state: &Overlay,
    bucket: &BucketId,
    object: &ObjectKey,
) -> Result<Option<ObjectRow>, EngineError> {
    let row = state.first(Space::Versions, &key::versions_of(bucket, object))?;
    Ok(row.map(|(_, row)| ObjectRow::decode(&row)).transpose()?)
}

/// What the checks of a put found out, all of it before anything is written.
struct Allowed {
    /// No live version is there.
    created: bool,
    /// The bucket's counters after the put, but for its numbers.
    counters: BucketCounters,
    /// What each grant will have been charged.
    charged: Vec<(GrantId, u64)>,
    /// The distinct chunks, with their lengths.
    references: Vec<(ChunkHash, u32)>,
}

fn allow_put(put: &PutObject, state: &Overlay) -> Result<Allowed, EngineError> {
    let bucket = bucket_by_id(state, &put.bucket)?;
    let mut counters = counters_of(state, &put.bucket)?;
    let head = head_of(state, &put.bucket, &put.key)?;
    let live = head.as_ref().map(|head| (&head.etag, &head.version));
    put.preconditions
        .check(live)
        .map_err(|_| EngineError::PreconditionFailed)?;
    check_history(put, state)?;
    let config = &bucket.config;
    if config.object_bytes_max.is_some_and(|max| put.len > max) {
        return Err(EngineError::TooLarge);
    }
    counters.objects += u64::from(head.is_none());
    counters.versions += 1;
    counters.bytes = counters
        .bytes
        .checked_add(put.len)
        .ok_or(EngineError::QuotaExceeded)?;
    if config.quota_bytes.is_some_and(|quota| counters.bytes > quota)
        || config.quota_objects.is_some_and(|quota| counters.objects > quota)
    {
        return Err(EngineError::QuotaExceeded);
    }
    let charged = charge(state, &put.charges, put.len)?;
    let (references, stored) = match &put.body {
        PlannedBody::Inline(_) => (Vec::new(), put.len),
        PlannedBody::Chunked { chunk_bytes, chunks } => {
            references(state, &put.bucket, put.len, *chunk_bytes, chunks)?
        }
    };
    counters.stored_bytes += stored;
    Ok(Allowed {
        created: head.is_none(),
        counters,
        charged,
        references,
    })
}

/// `create_only` and restores look at the newest version, tombstones included.
fn check_history(put: &PutObject, state: &Overlay) -> Result<(), EngineError> {
    if !put.create_only && put.restores.is_none() {
        return Ok(());
    }
    let newest = newest_of(state, &put.bucket, &put.key)?;
    check_create_only(put.create_only, newest.is_some())?;
    let Some(Restores { tombstone, source }) = put.restores else {
        return Ok(());
    };
    if newest.is_none_or(|newest| !newest.deleted || newest.version != tombstone) {
        return Err(EngineError::NotDeleted);
    }
    // INVARIANT 3: the chunks of the source are there as long as the source is; it may have been erased since.
    let source = key::version(&put.bucket, &put.key, &source);
    match state.value(Space::Versions, &source)? {
        Some(_) => Ok(()),
        None => Err(EngineError::NoSuchKey),
    }
}

/// SECURITY: a grant that is limited to new keys changes nothing where any version is, tombstones included, be it by a
/// put, a delete or an erasure.
fn check_create_only(create_only: bool, has_versions: bool) -> Result<(), EngineError> {
    if create_only && has_versions {
        Err(EngineError::Forbidden)
    } else {
        Ok(())
    }
}

/// What each grant will have been charged after this plan.
///
/// Every grant is counted, with or without a quota of its own: a packet that is issued later with one starts from
/// what is stored already.
fn charge(state: &Overlay, grants: &[Charge], len: u64) -> Result<Vec<(GrantId, u64)>, EngineError> {
    let mut after_plan: Vec<(GrantId, u64)> = Vec::new();
    for grant in grants {
        // Two links can name the same grant; it is after_plan once.
        if after_plan.iter().any(|(known, _)| *known == grant.grant) {
            continue;
        }
        let used = match state.value(Space::Counters, &key::grant_counter(&grant.grant))? {
            Some(row) => counters::decode_charged(&row)?,
            None => 0,
        };
        let after = used.checked_add(len).ok_or(EngineError::QuotaExceeded)?;
        if grant.quota_bytes.is_some_and(|quota| after > quota) {
            return Err(EngineError::QuotaExceeded);
        }
        after_plan.push((grant.grant, after));
    }
    Ok(after_plan)
}

/// References to the chunks, one per distinct chunk, and the bytes of those that the bucket had no reference to.
fn references(
    state: &Overlay,
    bucket: &BucketId,
    len: u64,
    chunk_bytes: u32,
    chunks: &[ChunkHash],
) -> Result<(Vec<(ChunkHash, u32)>, u64), EngineError> {
    let mut seen = BTreeMap::new();
    let mut left = len;
    for chunk in chunks {
        let chunk_len = u32::try_from(left.min(u64::from(chunk_bytes))).unwrap_or(chunk_bytes);
        left -= u64::from(chunk_len);
        seen.entry(*chunk).or_insert(chunk_len);
    }
    let mut fresh = 0;
    for (chunk, chunk_len) in &seen {
        if state
            .first(Space::Chunks, &key::chunk_references(bucket, chunk))?
            .is_none()
        {
            fresh += u64::from(*chunk_len);
        }
    }
    Ok((seen.into_iter().collect(), fresh))
}

pub(super) fn put(plan: &WritePlan, put: &PutObject, state: &mut Overlay, mark: &mut CommitMark) -> Outcome {
    let Allowed {
        created,
        mut counters,
        charged,
        references,
    } = allow_put(put, state)?;
    let numbers = numbers(plan, mark, &counters);
    let version = next_version(numbers.at, plan.entropy, counters.last_version)?;
    counters.seq = numbers.seq.get();
    counters.last_version = Some(version);

    let row = version_row(
        put,
        &numbers,
        version,
        charged.iter().map(|(grant, _)| *grant).collect(),
    );
    state.put(
        Space::Versions,
        key::version(&put.bucket, &put.key, &version),
        row.encode(),
    );
    state.put(
        Space::Heads,
        key::head(&put.bucket, &put.key),
        row.head().encode(),
    );
    if let PlannedBody::Inline(bytes) = &put.body
        && !bytes.is_empty()
    {
        state.put(Space::Bodies, key::body(&put.bucket, &version), bytes.clone());
    }
    for (chunk, chunk_len) in references {
        let reference = key::chunk_reference(&put.bucket, &chunk, &version);
        state.put(Space::Chunks, reference, chunk_len.to_be_bytes().to_vec());
    }
    for (grant, after) in charged {
        state.put(
            Space::Counters,
            key::grant_counter(&grant),
            after.to_be_bytes().to_vec(),
        );
    }
    state.put(
        Space::Counters,
        key::bucket_counters(&put.bucket),
        counters.encode(),
    );
    let change = ChangeRow {
        prev: mark.chain,
        position: numbers.position,
        at: numbers.at,
        bucket: put.bucket,
        seq: numbers.seq,
        action: if put.restores.is_some() {
            Action::ObjectRestored
        } else {
            Action::ObjectPut
        },
        key: put.key.as_str().to_owned(),
        version: Some(version),
        etag: Some(put.etag),
        len: put.len,
        config: None,
        evidence: plan.evidence.hash,
    };
    log(plan, &change, state, mark);
    Ok(Applied::Object {
        version,
        seq: numbers.seq,
        etag: put.etag,
        modified: version.millis(),
        created,
    })
}

fn version_row(put: &PutObject, numbers: &Numbers, version: VersionId, charges: Vec<GrantId>) -> ObjectRow {
    let (inline, chunk_bytes, chunks) = match &put.body {
        PlannedBody::Inline(_) => (true, 0, Vec::new()),
        PlannedBody::Chunked { chunk_bytes, chunks } => (false, *chunk_bytes, chunks.clone()),
    };
    ObjectRow {
        version,
        seq: numbers.seq,
        position: numbers.position,
        deleted: false,
        etag: put.etag,
        len: put.len,
        modified: version.millis(),
        headers: put.headers.clone(),
        inline,
        chunk_bytes,
        chunks,
        charges,
    }
}

/// What a delete and an erasure have to check alike: the bucket's counters and the key's head, when the plan may go on.
pub(super) fn allow_removal(
    state: &Overlay,
    bucket: &BucketId,
    object: &ObjectKey,
    preconditions: &Preconditions,
    create_only: bool,
) -> Result<(BucketCounters, Option<ObjectRow>), EngineError> {
    bucket_by_id(state, bucket)?;
    let counters = counters_of(state, bucket)?;
    if create_only {
        check_create_only(true, newest_of(state, bucket, object)?.is_some())?;
    }
    let head = head_of(state, bucket, object)?;
    let live = head.as_ref().map(|head| (&head.etag, &head.version));
    preconditions
        .check(live)
        .map_err(|_| EngineError::PreconditionFailed)?;
    Ok((counters, head))
}

pub(super) fn delete(
    plan: &WritePlan,
    delete: &DeleteObject,
    state: &mut Overlay,
    mark: &mut CommitMark,
) -> Outcome {
    let (mut counters, head) = allow_removal(
        state,
        &delete.bucket,
        &delete.key,
        &delete.preconditions,
        delete.create_only,
    )?;
    let Some(head) = head else {
        return Ok(Applied::Nothing);
    };
    let numbers = numbers(plan, mark, &counters);
    let version = next_version(numbers.at, plan.entropy, counters.last_version)?;

    counters.seq = numbers.seq.get();
    counters.last_version = Some(version);
    counters.objects = counters.objects.saturating_sub(1);
    counters.versions += 1;
    let tombstone = ObjectRow {
        version,
        seq: numbers.seq,
        position: numbers.position,
        deleted: true,
        etag: head.etag,
        len: 0,
        modified: version.millis(),
        headers: ObjectHeaders::default(),
        inline: true,
        chunk_bytes: 0,
        chunks: Vec::new(),
        charges: Vec::new(),
    };
    let change = ChangeRow {
        prev: mark.chain,
        position: numbers.position,
        at: numbers.at,
        bucket: delete.bucket,
        seq: numbers.seq,
        action: Action::ObjectDeleted,
        key: delete.key.as_str().to_owned(),
        version: Some(version),
        etag: None,
        len: 0,
        config: None,
        evidence: plan.evidence.hash,
    };
    state.put(
        Space::Versions,
        key::version(&delete.bucket, &delete.key, &version),
        tombstone.encode(),
    );
    state.remove(Space::Heads, key::head(&delete.bucket, &delete.key));
    state.put(
        Space::Counters,
        key::bucket_counters(&delete.bucket),
        counters.encode(),
    );
    log(plan, &change, state, mark);
    Ok(Applied::Deleted {
        version,
        seq: numbers.seq,
    })
}
