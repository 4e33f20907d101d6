//! The rules of a change: one plan against the state, deterministic.
//!
//! What is assigned here and only here: commit time, version, `seq`, log position. `apply` is the same function on
//! every replica: it sees the plan and the overlay, never a clock. `edit` has the steps that rules are made of; buckets
//! are in `bucket`, objects and batches in `object`, what goes for good in `erase`, uploads in parts in `upload`, revocations
//! in `revoke`, uses of links in `uses`, reads and refusals in `access`, indexes in `indexed` (their rows) and `indexes`
//! (themselves), documents by their time in `timed`, transactions over several buckets in `transaction`.

mod access;
mod audit;
mod bucket;
mod edit;
mod erase;
mod indexed;
mod indexes;
mod object;
mod revoke;
mod schema;
mod timed;
mod transaction;
mod upload;
mod uses;

use std::sync::Arc;

use wfldb_core::auth::GrantId;
use wfldb_core::id::{BucketId, LogPosition, Seq};
use wfldb_core::name::BucketName;
use wfldb_core::time::UnixMillis;

use super::overlay::Overlay;
use super::plan::{Applied, Mutation, Outcome, WritePlan};
use crate::audit::entry_of;
use crate::error::EngineError;
use crate::row::{BucketCounters, BucketRow, ChangeRow, CommitMark, LeafLink, counters, key};
use crate::storage::Space;

/// Evaluates `plan` against `state` and writes what it changes into it, moving `mark` on. A plan that is refused leaves
/// no trace, wherever it was refused.
pub(crate) fn apply(plan: &WritePlan, state: &mut Overlay, mark: &mut CommitMark) -> Outcome {
    let before = *mark;
    let outcome = evaluate(plan, state, mark);
    if outcome.is_ok() {
        state.keep();
    } else {
        state.roll_back();
        *mark = before;
    }
    outcome
}

fn evaluate(plan: &WritePlan, state: &mut Overlay, mark: &mut CommitMark) -> Outcome {
    // SECURITY: what was revoked before this plan, in the same group too, changes nothing any more.
    if plan
        .chain
        .as_ref()
        .is_some_and(|chain| state.revocations.covers(chain))
    {
        return Err(EngineError::Revoked);
    }
    if let Some(link_use) = &plan.link_use {
        uses::spend(link_use, state)?;
    }
    match &plan.mutation {
        Mutation::PutBucket { .. } => bucket::put(plan, state, mark),
        Mutation::SetSchema { bucket, schema } => schema::set(plan, bucket, schema.as_ref(), state, mark),
        Mutation::DeleteBucket { name, force } => bucket::delete(plan, name, *force, state, mark),
        Mutation::PutObject(put) => object::put(plan, put, state, mark),
        Mutation::DeleteObject(delete) => object::delete(plan, delete, state, mark),
        Mutation::EraseVersion(erase) => erase::erase(plan, erase, state, mark),
        Mutation::Batch(batch) => object::batch(plan, batch, state, mark),
        Mutation::Transaction(tx) => transaction::commit(plan, tx, state, mark),
        Mutation::StartUpload(start) => upload::start(plan, start, state, mark),
        Mutation::PutPart(part) => upload::put_part(plan, part, state, mark),
        Mutation::AbortUpload(abort) => upload::abort(plan, abort, state, mark),
        Mutation::Expire { bucket, due } => erase::expire(plan, bucket, due, state, mark),
        Mutation::Prune { bucket, keys } => erase::prune(plan, bucket, keys, state, mark),
        Mutation::Age { bucket, aged } => timed::age(plan, bucket, aged, state, mark),
        Mutation::Revoke(revoke) => revoke::revoke(plan, revoke, state, mark),
        Mutation::SweepRows {
            bucket,
            rows,
            credits,
            last,
        } => bucket::sweep(*bucket, rows, credits, *last, state),
        Mutation::DefineIndex {
            bucket,
            definition,
            automatic,
        } => indexes::define(plan, bucket, definition, *automatic, state, mark),
        Mutation::DropIndex { bucket, index } => indexes::drop(plan, bucket, index, state, mark),
        Mutation::BuildIndex(step) => indexes::build(plan, step, state, mark),
        Mutation::ClearIndex {
            bucket,
            number,
            rows,
            last,
        } => indexes::clear(*bucket, *number, rows, *last, state),
        Mutation::Audit(rows) => audit::keep(rows, state),
        Mutation::LogAccess(access) => access::log(plan, access, state, mark),
        Mutation::ForgetReads {
            bucket,
            version,
            rows,
            last,
        } => access::forget(bucket, version, rows, *last, state),
        Mutation::ForgetLinks { until, rows } => uses::forget(*until, rows, state),
        Mutation::UseLink { .. } | Mutation::Heartbeat => Ok(Applied::Nothing),
    }
}

fn bucket_by_name(state: &mut Overlay, name: &BucketName) -> Result<Option<Arc<BucketRow>>, EngineError> {
    let Some(id) = state.value(Space::Meta, &key::bucket_name(name))? else {
        return Ok(None);
    };
    let id: [u8; 16] = (&*id)
        .try_into()
        .map_err(|_| EngineError::Corrupt("bucket name"))?;
    let bucket = state.bucket(&BucketId::from_bytes(id))?;
    bucket.ok_or(EngineError::NoSuchBucket).map(Some)
}

fn counters_of(state: &Overlay, id: &BucketId) -> Result<BucketCounters, EngineError> {
    match state.value(Space::Counters, &key::bucket_counters(id))? {
        Some(row) => Ok(BucketCounters::decode(&row)?),
        // INVARIANT: the counters are written with the bucket. Their absence is damage, not zero.
        None => Err(EngineError::Corrupt("counters")),
    }
}

/// Gives `bytes` back to a grant.
fn credit(state: &mut Overlay, grant: &GrantId, bytes: u64) -> Result<(), EngineError> {
    let counter = key::grant_counter(grant);
    if let Some(row) = state.value(Space::Counters, &counter)? {
        let left = counters::decode_charged(&row)?.saturating_sub(bytes);
        if left > 0 {
            state.put(Space::Counters, counter, left.to_be_bytes().to_vec());
        } else {
            state.remove(Space::Counters, counter);
        }
    }
    Ok(())
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

/// Appends the change, its leaf of the audit log and its evidence to the log, with its place among the changes of its
/// bucket, and moves the mark.
fn log(plan: &WritePlan, mut change: ChangeRow, state: &mut Overlay, mark: &mut CommitMark) {
    let leaf = mark.leaves;
    let entry = entry_of(&change, leaf, Some(&plan.evidence.sealed));
    change.leaf = Some(LeafLink {
        leaf,
        entry: *blake3::hash(&entry).as_bytes(),
    });
    state.put(Space::Log, key::leaf(leaf), entry);
    mark.leaves = leaf + 1;
    let row = change.encode();
    mark.at = change.at;
    mark.position = change.position;
    mark.chain = *blake3::hash(&row).as_bytes();
    for (bucket, seq) in change.touched() {
        let position = change.position.get().to_be_bytes();
        state.put(Space::Index, key::bucket_change(&bucket, seq), position.to_vec());
        state.change(bucket, seq);
    }
    state.put(Space::Log, key::change(change.position), row);
    state.put(
        Space::Log,
        key::evidence(change.position),
        plan.evidence.row.clone(),
    );
}
