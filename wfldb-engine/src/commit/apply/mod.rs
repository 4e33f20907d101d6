//! The rules of a change: one plan against the state, deterministic, all checks before the first write.
//!
//! What is assigned here and only here: commit time, version, `seq`, log position. `apply` is the same function on
//! every replica: it sees the plan and the overlay, never a clock. Buckets are in `bucket`, objects in `object`, what
//! goes for good in `erase`.

mod bucket;
mod erase;
mod object;

use bytes::Bytes;
use wfldb_core::auth::GrantId;
use wfldb_core::id::{BucketId, LogPosition, Seq, VersionId};
use wfldb_core::name::BucketName;
use wfldb_core::time::UnixMillis;

use super::overlay::Overlay;
use super::plan::{Applied, Mutation, Outcome, WritePlan};
use crate::error::EngineError;
use crate::row::{BucketCounters, BucketRow, ChangeRow, CommitMark, counters, key};
use crate::storage::Space;

/// Evaluates `plan` against `state` and writes what it changes into it, moving `mark` on.
///
/// ORDER: every read and every check stands before the first write, so a refused plan leaves no trace.
pub(crate) fn apply(plan: &WritePlan, state: &mut Overlay, mark: &mut CommitMark) -> Outcome {
    match &plan.mutation {
        Mutation::PutBucket { name, id, config } => bucket::put(plan, name, *id, config, state, mark),
        Mutation::DeleteBucket { name, force } => bucket::delete(plan, name, *force, state, mark),
        Mutation::PutObject(put) => object::put(plan, put, state, mark),
        Mutation::DeleteObject(delete) => object::delete(plan, delete, state, mark),
        Mutation::EraseVersion(erase) => erase::erase(plan, erase, state, mark),
        Mutation::SweepRows {
            bucket,
            rows,
            credits,
            last,
        } => bucket::sweep(*bucket, rows, credits, *last, state),
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

/// Counter rows as they are to be; `None` removes one.
type CounterRows = Vec<(Bytes, Option<Vec<u8>>)>;

/// The counter rows of grants after `credits` are given back.
fn credited(state: &Overlay, credits: &[(GrantId, u64)]) -> Result<CounterRows, EngineError> {
    let mut rows = Vec::with_capacity(credits.len());
    for (grant, bytes) in credits {
        let counter = key::grant_counter(grant);
        if let Some(row) = state.value(Space::Counters, &counter)? {
            let left = counters::decode_charged(&row)?.saturating_sub(*bytes);
            rows.push((counter, (left > 0).then(|| left.to_be_bytes().to_vec())));
        }
    }
    Ok(rows)
}

fn put_credited(rows: CounterRows, state: &mut Overlay) {
    for (counter, left) in rows {
        match left {
            Some(left) => state.put(Space::Counters, counter, left),
            None => state.remove(Space::Counters, counter),
        }
    }
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
