//! Creating, configuring, deleting and sweeping buckets.

use bytes::Bytes;
use wfldb_core::auth::GrantId;
use wfldb_core::id::{BucketId, LogPosition};
use wfldb_core::name::BucketName;

use super::{bucket_by_name, counters_of, credit, log, numbers};
use crate::commit::overlay::Overlay;
use crate::commit::plan::{Applied, Mutation, Outcome, WritePlan};
use crate::error::EngineError;
use crate::row::{Action, BucketCounters, BucketRow, ChangeRow, CommitMark, Indexes, key};
use crate::storage::Space;

pub(super) fn put(plan: &WritePlan, state: &mut Overlay, mark: &mut CommitMark) -> Outcome {
    let Mutation::PutBucket {
        name,
        id,
        config,
        may_erase,
    } = &plan.mutation
    else {
        return Ok(Applied::Nothing);
    };
    let existing = bucket_by_name(state, name)?;
    let created = existing.is_none();
    let (row, mut counters) = if let Some(bucket) = existing {
        if bucket.config.kind != config.kind {
            return Err(EngineError::KindFixed);
        }
        // SECURITY: what is kept less long goes for good, which only `erase` may ask for.
        if !may_erase && bucket.config.is_lowered_by(config) {
            return Err(EngineError::Forbidden);
        }
        let counters = counters_of(state, &bucket.id)?;
        // Each version was given its time by the field.
        if bucket.config.time_field != config.time_field && counters.versions > 0 {
            return Err(EngineError::TimeFieldFixed);
        }
        let row = BucketRow {
            config: config.clone(),
            ..(*bucket).clone()
        };
        (row, counters)
    } else {
        // INVARIANT: the id of zeros stands before what belongs to no bucket in `index`.
        let counters = state.value(Space::Counters, &key::bucket_counters(id))?;
        if counters.is_some() || id.as_bytes() == &[0; 16] {
            return Err(EngineError::Corrupt("bucket id"));
        }
        let row = BucketRow {
            id: *id,
            name: name.clone(),
            created: plan.at.max(mark.at),
            config: config.clone(),
            indexes: Indexes::default(),
            schema: None,
            schema_at: LogPosition::new(0),
        };
        (row, BucketCounters::default())
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
        entries: Vec::new(),
        buckets: Vec::new(),
        leaf: None,
    };
    state.put(Space::Meta, key::bucket_name(name), row.id.as_bytes().to_vec());
    state.put(Space::Meta, key::bucket_row(&row.id), row.encode());
    state.put(Space::Counters, key::bucket_counters(&row.id), counters.encode());
    let leaf = mark.leaves;
    log(plan, change, state, mark);
    Ok(Applied::Bucket {
        created,
        id: row.id,
        leaf,
    })
}

pub(super) fn delete(
    plan: &WritePlan,
    name: &BucketName,
    force: bool,
    state: &mut Overlay,
    mark: &mut CommitMark,
) -> Outcome {
    let bucket = bucket_by_name(state, name)?.ok_or(EngineError::NoSuchBucket)?;
    let mut counters = counters_of(state, &bucket.id)?;
    // A tombstone holds a bucket back too: what stands below it can be restored, and only `erase` may end that.
    if !force && counters.versions > 0 {
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
        entries: Vec::new(),
        buckets: Vec::new(),
        leaf: None,
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
    let leaf = mark.leaves;
    log(plan, change, state, mark);
    Ok(Applied::BucketDeleted { id: bucket.id, leaf })
}

pub(super) fn sweep(
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
    for (grant, bytes) in credits {
        credit(state, grant, *bytes)?;
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
