//! Removing one version for good: its row, its bytes, its references, its evidence, and what it was charged.

use std::collections::BTreeSet;

use bytes::Bytes;
use wfldb_core::id::ChunkHash;

use super::object::allow_removal;
use super::{credited, log, numbers, put_credited};
use crate::commit::overlay::Overlay;
use crate::commit::plan::{Applied, EraseVersion, Outcome, WritePlan};
use crate::error::EngineError;
use crate::row::{Action, ChangeRow, CommitMark, ObjectRow, key};
use crate::storage::Space;

/// What goes with a version beside its own row.
struct Freed {
    rows: Vec<(Space, Bytes)>,
    /// Bytes on disk that nothing else in the bucket needs.
    stored: u64,
}

pub(super) fn erase(
    plan: &WritePlan,
    erase: &EraseVersion,
    state: &mut Overlay,
    mark: &mut CommitMark,
) -> Outcome {
    let (mut counters, head) = allow_removal(
        state,
        &erase.bucket,
        &erase.key,
        &erase.preconditions,
        erase.create_only,
    )?;
    let version_key = key::version(&erase.bucket, &erase.key, &erase.version);
    let Some(row) = state.value(Space::Versions, &version_key)? else {
        return Ok(Applied::Nothing);
    };
    let row = ObjectRow::decode(&row)?;
    let freed = freed(state, erase, &row)?;
    let credits: Vec<_> = row.charges.iter().map(|grant| (*grant, row.len)).collect();
    let credited = credited(state, &credits)?;
    let new_head = head_without(state, erase, &version_key)?;

    let numbers = numbers(plan, mark, &counters);
    counters.seq = numbers.seq.get();
    counters.versions = counters.versions.saturating_sub(1);
    counters.bytes = counters.bytes.saturating_sub(row.len);
    counters.stored_bytes = counters.stored_bytes.saturating_sub(freed.stored);
    counters.objects =
        (counters.objects + u64::from(new_head.is_some())).saturating_sub(u64::from(head.is_some()));
    state.remove(Space::Versions, version_key);
    for (space, row_key) in freed.rows {
        state.remove(space, row_key);
    }
    put_credited(credited, state);
    let head_key = key::head(&erase.bucket, &erase.key);
    match new_head {
        Some(row) => state.put(Space::Heads, head_key, row.head().encode()),
        None => state.remove(Space::Heads, head_key),
    }
    state.put(
        Space::Counters,
        key::bucket_counters(&erase.bucket),
        counters.encode(),
    );
    let change = ChangeRow {
        prev: mark.chain,
        position: numbers.position,
        at: numbers.at,
        bucket: erase.bucket,
        seq: numbers.seq,
        action: Action::VersionErased,
        key: erase.key.as_str().to_owned(),
        version: Some(erase.version),
        etag: None,
        len: 0,
        config: None,
        evidence: plan.evidence.hash,
    };
    log(plan, &change, state, mark);
    Ok(Applied::Erased { seq: numbers.seq })
}

/// The key's newest version once the erased one is gone, if that is not a tombstone.
fn head_without(
    state: &Overlay,
    erase: &EraseVersion,
    version_key: &Bytes,
) -> Result<Option<ObjectRow>, EngineError> {
    let prefix = key::versions_of(&erase.bucket, &erase.key);
    let mut newest = state.first(Space::Versions, &prefix)?;
    if newest.as_ref().is_some_and(|(found, _)| found == version_key) {
        let behind = Bytes::from([version_key, [0].as_slice()].concat());
        newest = state.first_from(Space::Versions, &behind, &prefix)?;
    }
    let newest = newest.map(|(_, row)| ObjectRow::decode(&row)).transpose()?;
    Ok(newest.filter(|row| !row.deleted))
}

fn freed(state: &Overlay, erase: &EraseVersion, row: &ObjectRow) -> Result<Freed, EngineError> {
    // What was signed to write the version names its key and its hash, so it goes too. The change row stays: the chain
    // rests on it.
    let mut rows = vec![(Space::Log, key::evidence(row.position))];
    let mut stored = 0;
    if row.inline {
        if row.len > 0 {
            rows.push((Space::Bodies, key::body(&erase.bucket, &erase.version)));
            stored = row.len;
        }
    } else {
        let mut seen: BTreeSet<ChunkHash> = BTreeSet::new();
        for chunk in &row.chunks {
            if !seen.insert(*chunk) {
                continue;
            }
            let own = key::chunk_reference(&erase.bucket, chunk, &erase.version);
            let len = state
                .value(Space::Chunks, &own)?
                .ok_or(EngineError::Corrupt("chunk reference"))?;
            let len: [u8; 4] = (&*len)
                .try_into()
                .map_err(|_| EngineError::Corrupt("chunk reference"))?;
            if !is_shared(state, erase, chunk, &own)? {
                stored += u64::from(u32::from_be_bytes(len));
            }
            rows.push((Space::Chunks, own));
        }
    }
    Ok(Freed { rows, stored })
}

/// Whether another version refers to the chunk too.
fn is_shared(
    state: &Overlay,
    erase: &EraseVersion,
    chunk: &ChunkHash,
    own: &Bytes,
) -> Result<bool, EngineError> {
    let prefix = key::chunk_references(&erase.bucket, chunk);
    let first = state.first(Space::Chunks, &prefix)?;
    if first.is_some_and(|(found, _)| found != own) {
        return Ok(true);
    }
    let behind = Bytes::from([own, [0].as_slice()].concat());
    Ok(state.first_from(Space::Chunks, &behind, &prefix)?.is_some())
}
