//! The rules of a change: one plan against the state, deterministic, all checks before the first write.
//!
//! What is assigned here and only here: commit time, version, `seq`, log position. `apply` is the same function on
//! every replica: it sees the plan and the overlay, never a clock.

use bytes::Bytes;
use wfldb_core::auth::{Charge, GrantId};
use wfldb_core::id::{BucketId, ChunkHash, LogPosition, Seq, VersionId};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::BucketConfig;
use wfldb_core::time::UnixMillis;

use super::overlay::Overlay;
use super::plan::{Applied, DeleteObject, Mutation, Outcome, PlannedBody, PutObject, WritePlan};
use crate::error::EngineError;
use crate::row::{Action, BucketCounters, BucketRow, ChangeRow, CommitMark, ObjectRow, counters, key};
use crate::storage::Space;

/// Evaluates `plan` against `state` and writes what it changes into it, moving `mark` on.
///
/// ORDER: every read and every check stands before the first write, so a refused plan leaves no trace.
pub(crate) fn apply(plan: &WritePlan, state: &mut Overlay, mark: &mut CommitMark) -> Outcome {
    match &plan.mutation {
        Mutation::PutBucket { name, id, config } => put_bucket(plan, name, *id, config, state, mark),
        Mutation::DeleteBucket { name, force } => delete_bucket(plan, name, *force, state, mark),
        Mutation::PutObject(put) => put_object(plan, put, state, mark),
        Mutation::DeleteObject(delete) => delete_object(plan, delete, state, mark),
        Mutation::SweepRows {
            bucket,
            rows,
            credits,
            last,
        } => sweep(*bucket, rows, credits, *last, state),
        Mutation::Heartbeat => Ok(Applied::Nothing),
    }
}

fn bucket_by_id(state: &Overlay, id: &BucketId) -> Result<BucketRow, EngineError> {
    let row = state
        .value(Space::Meta, &key::bucket_row(id))?
        .ok_or(EngineError::NoSuchBucket)?;
    Ok(BucketRow::decode(&row)?)
}

fn bucket_by_name(state: &Overlay, name: &BucketName) -> Result<Option<BucketRow>, EngineError> {
    let Some(id) = state.value(Space::Meta, &key::bucket_name(name))? else {
        return Ok(None);
    };
    let id: [u8; 16] = (&*id)
        .try_into()
        .map_err(|_| EngineError::Corrupt("bucket name"))?;
    bucket_by_id(state, &BucketId::from_bytes(id)).map(Some)
}

fn counters_of(state: &Overlay, id: &BucketId) -> Result<BucketCounters, EngineError> {
    match state.value(Space::Counters, &key::bucket_counters(id))? {
        Some(row) => Ok(BucketCounters::decode(&row)?),
        // INVARIANT: the counters are written with the bucket. Their absence is damage, not zero.
        None => Err(EngineError::Corrupt("counters")),
    }
}

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

/// What a change is numbered with.
struct Numbers {
    at: UnixMillis,
    position: LogPosition,
    seq: Seq,
}

/// Commit time never decreases, positions and seqs have no gaps.
fn numbers(plan: &WritePlan, mark: &CommitMark, counters: &BucketCounters) -> Numbers {
    Numbers {
        at: plan.at.max(mark.at),
        position: mark.position.next(),
        seq: counters.next_seq(),
    }
}

/// Strictly above the bucket's last version: the commit time's, or the last plus one.
fn next_version(
    at: UnixMillis,
    entropy: [u8; 10],
    last: Option<VersionId>,
) -> Result<VersionId, EngineError> {
    let fresh = VersionId::from_parts(at, entropy);
    match last {
        Some(last) if last.millis() >= at => last.next().ok_or(EngineError::Corrupt("version")),
        _ => Ok(fresh),
    }
}

/// Appends the change and its evidence to the log and moves the mark.
fn log(plan: &WritePlan, change: &ChangeRow, state: &mut Overlay, mark: &mut CommitMark) {
    let row = change.encode();
    mark.at = change.at;
    mark.position = change.position;
    mark.chain = *blake3::hash(&row).as_bytes();
    state.put(Space::Log, key::change(change.position), row);
    state.put(
        Space::Log,
        key::evidence(change.position),
        plan.evidence.row.clone(),
    );
}

fn put_bucket(
    plan: &WritePlan,
    name: &BucketName,
    id: BucketId,
    config: &BucketConfig,
    state: &mut Overlay,
    mark: &mut CommitMark,
) -> Outcome {
    let existing = bucket_by_name(state, name)?;
    let created = existing.is_none();
    let (row, mut counters) = match existing {
        Some(bucket) if bucket.config.kind != config.kind => return Err(EngineError::KindFixed),
        Some(bucket) => {
            let counters = counters_of(state, &bucket.id)?;
            (
                BucketRow {
                    config: config.clone(),
                    ..bucket
                },
                counters,
            )
        }
        None => {
            if state
                .value(Space::Counters, &key::bucket_counters(&id))?
                .is_some()
            {
                return Err(EngineError::Corrupt("bucket id"));
            }
            let created = plan.at.max(mark.at);
            (
                BucketRow {
                    id,
                    name: name.clone(),
                    created,
                    config: config.clone(),
                },
                BucketCounters::default(),
            )
        }
    };
    let numbers = numbers(plan, mark, &counters);
    counters.seq = numbers.seq.get();
    let change = ChangeRow {
        prev: mark.chain,
        position: numbers.position,
        at: numbers.at,
        bucket: row.id,
        seq: numbers.seq,
        action: if created {
            Action::BucketCreated
        } else {
            Action::BucketConfigured
        },
        key: name.as_str().to_owned(),
        version: None,
        etag: None,
        len: 0,
        config: Some(row.config_json()),
        evidence: plan.evidence.hash,
    };
    state.put(Space::Meta, key::bucket_name(name), row.id.as_bytes().to_vec());
    state.put(Space::Meta, key::bucket_row(&row.id), row.encode());
    state.put(Space::Counters, key::bucket_counters(&row.id), counters.encode());
    log(plan, &change, state, mark);
    Ok(Applied::Bucket { created, id: row.id })
}

fn delete_bucket(
    plan: &WritePlan,
    name: &BucketName,
    force: bool,
    state: &mut Overlay,
    mark: &mut CommitMark,
) -> Outcome {
    let bucket = bucket_by_name(state, name)?.ok_or(EngineError::NoSuchBucket)?;
    let mut counters = counters_of(state, &bucket.id)?;
    // Tombstones do not hold a bucket back: it is empty when no key has an object.
    if !force && counters.objects > 0 {
        return Err(EngineError::BucketNotEmpty);
    }
    let numbers = numbers(plan, mark, &counters);
    counters.seq = numbers.seq.get();
    let change = ChangeRow {
        prev: mark.chain,
        position: numbers.position,
        at: numbers.at,
        bucket: bucket.id,
        seq: numbers.seq,
        action: Action::BucketDeleted,
        key: name.as_str().to_owned(),
        version: None,
        etag: None,
        len: 0,
        config: None,
        evidence: plan.evidence.hash,
    };
    // The name is free at once; the rows go later, in bounded commits, because the detached mark says so.
    state.remove(Space::Meta, key::bucket_name(name));
    state.remove(Space::Meta, key::bucket_row(&bucket.id));
    state.put(Space::Meta, key::bucket_detached(&bucket.id), Bytes::new());
    state.put(
        Space::Counters,
        key::bucket_counters(&bucket.id),
        counters.encode(),
    );
    log(plan, &change, state, mark);
    Ok(Applied::BucketDeleted { id: bucket.id })
}

/// The charges that count against a quota, each with what its grant will have been charged after this plan.
fn charge(state: &Overlay, charges: &[Charge], len: u64) -> Result<Vec<(GrantId, u64)>, EngineError> {
    let mut charged: Vec<(GrantId, u64)> = Vec::new();
    for charge in charges {
        let Some(quota) = charge.quota_bytes else { continue };
        // Two links can name the same grant; it is charged once.
        if charged.iter().any(|(grant, _)| *grant == charge.grant) {
            continue;
        }
        let used = match state.value(Space::Counters, &key::grant_counter(&charge.grant))? {
            Some(row) => counters::decode_charged(&row)?,
            None => 0,
        };
        let after = used.checked_add(len).ok_or(EngineError::QuotaExceeded)?;
        if after > quota {
            return Err(EngineError::QuotaExceeded);
        }
        charged.push((charge.grant, after));
    }
    Ok(charged)
}

/// References to the chunks, one per distinct chunk, and the bytes of those that the bucket had no reference to.
fn references(
    state: &Overlay,
    bucket: &BucketId,
    len: u64,
    chunk_bytes: u32,
    chunks: &[ChunkHash],
) -> Result<(Vec<(ChunkHash, u32)>, u64), EngineError> {
    let mut seen = std::collections::BTreeMap::new();
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

fn put_object(plan: &WritePlan, put: &PutObject, state: &mut Overlay, mark: &mut CommitMark) -> Outcome {
    let bucket = bucket_by_id(state, &put.bucket)?;
    let mut counters = counters_of(state, &put.bucket)?;
    let head = head_of(state, &put.bucket, &put.key)?;
    let live = head.as_ref().map(|head| (&head.etag, &head.version));
    put.preconditions
        .check(live)
        .map_err(|_| EngineError::PreconditionFailed)?;
    if put.create_only || put.restores.is_some() {
        let newest = newest_of(state, &put.bucket, &put.key)?;
        if put.create_only && newest.is_some() {
            return Err(EngineError::Forbidden);
        }
        if let Some(tombstone) = put.restores
            && newest.is_none_or(|newest| !newest.deleted || newest.version != tombstone)
        {
            return Err(EngineError::NotDeleted);
        }
    }
    let config = &bucket.config;
    if config.object_bytes_max.is_some_and(|max| put.len > max) {
        return Err(EngineError::TooLarge);
    }
    let bytes_after = counters
        .bytes
        .checked_add(put.len)
        .ok_or(EngineError::QuotaExceeded)?;
    let objects_after = counters.objects + u64::from(head.is_none());
    if config.quota_bytes.is_some_and(|quota| bytes_after > quota)
        || config.quota_objects.is_some_and(|quota| objects_after > quota)
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
    let numbers = numbers(plan, mark, &counters);
    let version = next_version(numbers.at, plan.entropy, counters.last_version)?;

    counters.seq = numbers.seq.get();
    counters.last_version = Some(version);
    counters.objects = objects_after;
    counters.versions += 1;
    counters.bytes = bytes_after;
    counters.stored_bytes += stored;
    let (inline, chunk_bytes, chunks) = match &put.body {
        PlannedBody::Inline(_) => (true, 0, Vec::new()),
        PlannedBody::Chunked { chunk_bytes, chunks } => (false, *chunk_bytes, chunks.clone()),
    };
    let row = ObjectRow {
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
        charges: charged.iter().map(|(grant, _)| *grant).collect(),
    };
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
    log(plan, &change, state, mark);
    Ok(Applied::Object {
        version,
        seq: numbers.seq,
        etag: put.etag,
        modified: version.millis(),
        created: head.is_none(),
    })
}

fn delete_object(
    plan: &WritePlan,
    delete: &DeleteObject,
    state: &mut Overlay,
    mark: &mut CommitMark,
) -> Outcome {
    bucket_by_id(state, &delete.bucket)?;
    let mut counters = counters_of(state, &delete.bucket)?;
    let head = head_of(state, &delete.bucket, &delete.key)?;
    let live = head.as_ref().map(|head| (&head.etag, &head.version));
    delete
        .preconditions
        .check(live)
        .map_err(|_| EngineError::PreconditionFailed)?;
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
        headers: wfldb_core::object::ObjectHeaders::default(),
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

fn sweep(
    bucket: BucketId,
    rows: &[(Space, Bytes)],
    credits: &[(GrantId, u64)],
    last: bool,
    state: &mut Overlay,
) -> Outcome {
    // INVARIANT: only a detached bucket is swept. A plan for a bucket that is not is a defect of the sweeper.
    let detached = key::bucket_detached(&bucket);
    if state.value(Space::Meta, &detached)?.is_none() {
        return Ok(Applied::Nothing);
    }
    let mut credited = Vec::new();
    for (grant, bytes) in credits {
        let counter = key::grant_counter(grant);
        if let Some(row) = state.value(Space::Counters, &counter)? {
            let left = counters::decode_charged(&row)?.saturating_sub(*bytes);
            credited.push((counter, left));
        }
    }
    for (counter, left) in credited {
        if left == 0 {
            state.remove(Space::Counters, counter);
        } else {
            state.put(Space::Counters, counter, left.to_be_bytes().to_vec());
        }
    }
    for (space, row) in rows {
        state.remove(*space, row.clone());
    }
    if last {
        state.remove(Space::Meta, detached);
        state.remove(Space::Counters, key::bucket_counters(&bucket));
    }
    Ok(Applied::Nothing)
}
