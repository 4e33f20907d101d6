//! Reads and refusals: an entry of the audit log without a change, and what opens it. And the end of the latter, with the
//! version that was read.

use bytes::Bytes;
use wfldb_core::id::{BucketId, VersionId};
use wfldb_core::name::ObjectKey;

use super::edit::Edit;
use crate::audit::entry_of_access;
use crate::commit::overlay::Overlay;
use crate::commit::plan::{AccessEntry, Applied, Outcome, WritePlan};
use crate::error::EngineError;
use crate::row::{CommitMark, key};
use crate::storage::Space;

/// Reads whose evidence goes in the commit that erases the version; a worker removes what is left.
const FORGOTTEN_IN_COMMIT: usize = 64;

/// Gives a read or a refusal the next leaf.
pub(super) fn log(
    plan: &WritePlan,
    access: &AccessEntry,
    state: &mut Overlay,
    mark: &mut CommitMark,
) -> Outcome {
    let head = &access.head;
    state.bucket(&head.bucket)?.ok_or(EngineError::NoSuchBucket)?;
    let leaf = mark.leaves;
    let at = plan.at.max(mark.at);
    let sealed = &plan.evidence.sealed;
    let entry = entry_of_access(head, sealed, &access.op, access.outcome, leaf, at);
    state.put(Space::Log, key::leaf(leaf), entry);
    mark.leaves = leaf + 1;
    mark.at = at;
    let kept = match (&head.key, &head.shown) {
        (Some(name), Some(shown)) => {
            let name = ObjectKey::parse(name).map_err(|_| EngineError::Corrupt("access"))?;
            let row = key::version(&head.bucket, &name, &shown.version);
            // What was read is gone by now, and what would name it went with it.
            let is_there = state.value(Space::Versions, &row)?.is_some();
            if is_there {
                let first = key::reads_of_bucket(&head.bucket);
                if state.value(Space::Log, &first)?.is_none() {
                    state.put(Space::Log, first, Bytes::new());
                }
                let read = key::read_of(&head.bucket, &shown.version, leaf);
                state.put(Space::Log, read, Bytes::new());
            }
            is_there
        }
        _ => true,
    };
    if kept {
        let row = head.encode_with(&plan.evidence.row);
        state.put(Space::Log, key::access(leaf), row);
    }
    Ok(Applied::Logged { leaf })
}

impl Edit<'_> {
    /// What was signed to read a version goes with it: it names its key and hash.
    pub(super) fn forget_reads(&mut self, version: &VersionId) -> Result<(), EngineError> {
        let bucket = self.bucket.id;
        // Most buckets never had one logged.
        if self
            .state
            .value(Space::Log, &key::reads_of_bucket(&bucket))?
            .is_none()
        {
            return Ok(());
        }
        let reads = key::reads_of(&bucket, version);
        let found: Result<Vec<Bytes>, _> = self
            .state
            .rows(Space::Log, &reads, &reads)
            .take(FORGOTTEN_IN_COMMIT + 1)
            .map(|row| row.map(|(row_key, _)| row_key))
            .collect();
        let found = found?;
        for row in found.iter().take(FORGOTTEN_IN_COMMIT) {
            forget_one(self.state, row)?;
        }
        if found.len() > FORGOTTEN_IN_COMMIT {
            let later = key::forgotten_reads(&bucket, version);
            self.state.put(Space::Log, later, Bytes::new());
        }
        Ok(())
    }
}

/// Removes reads of a version that is gone, found by the worker; with `last` also the row that says so.
pub(super) fn forget(
    bucket: &BucketId,
    version: &VersionId,
    rows: &[Bytes],
    last: bool,
    state: &mut Overlay,
) -> Outcome {
    let later = key::forgotten_reads(bucket, version);
    if state.value(Space::Log, &later)?.is_none() {
        return Ok(Applied::Nothing);
    }
    let reads = key::reads_of(bucket, version);
    for row in rows.iter().filter(|row| row.starts_with(&reads)) {
        forget_one(state, row)?;
    }
    if last {
        state.remove(Space::Log, later);
    }
    Ok(Applied::Nothing)
}

fn forget_one(state: &mut Overlay, row: &Bytes) -> Result<(), EngineError> {
    let leaf = key::leaf_of_read(row)?;
    state.remove(Space::Log, key::access(leaf));
    state.remove(Space::Log, row.clone());
    Ok(())
}
