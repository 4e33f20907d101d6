//! Versions that go for good: row, bytes, references, due time, evidence, and what they were charged. They go because
//! somebody erases one, because retention does not keep them, or because their time to live is over.

use wfldb_core::id::BucketId;
use wfldb_core::name::ObjectKey;
use wfldb_core::object::ObjectHeaders;

use super::edit::Edit;
use super::object::allow_removal;
use super::upload;
use crate::commit::overlay::Overlay;
use crate::commit::plan::{Applied, Due, DueWhat, EraseVersion, Outcome, WritePlan};
use crate::error::EngineError;
use crate::row::{Action, CommitMark, ObjectRow, key};
use crate::storage::Space;

/// Retention that keeps more versions than this is left to the worker, so that no put reads long histories.
const KEPT_IN_COMMIT_MAX: u64 = 64;
/// Versions that one put removes at most; what is left goes with the next, or by the worker.
const PRUNED_PER_PUT: usize = 8;
/// Versions of one key that the worker removes in one plan.
const PRUNED_PER_KEY: usize = 128;

impl Edit<'_> {
    /// Removes a version that is not the key's newest, or whose place as newest somebody else has seen to.
    pub(super) fn remove_version(
        &mut self,
        object: &ObjectKey,
        row: &ObjectRow,
        why: Action,
    ) -> Result<(), EngineError> {
        let bucket = self.bucket.id;
        let version_key = key::version(&bucket, object, &row.version);
        self.mark_pruned(object, &version_key)?;
        self.state.remove(Space::Versions, version_key);
        if let Some(at) = row.expires() {
            let due = self.due(object, row.version, at);
            self.state.remove(Space::Index, due);
        }
        let freed = if row.inline {
            if row.len > 0 {
                self.state.remove(Space::Bodies, key::body(&bucket, &row.version));
            }
            row.len
        } else {
            self.release(&row.version, &row.chunks)?
        };
        self.forget_evidence(row)?;
        self.forget_reads(&row.version)?;
        self.credit(&row.charges, row.len)?;
        self.counters.versions = self.counters.versions.saturating_sub(1);
        self.counters.bytes = self.counters.bytes.saturating_sub(row.len);
        self.counters.stored_bytes = self.counters.stored_bytes.saturating_sub(freed);
        self.note(why, object, row);
        Ok(())
    }

    /// What was signed to write a version names its key and its hash, so it goes too; that of a change with several
    /// versions with the last of them. The change row stays: the chain rests on it.
    fn forget_evidence(&mut self, row: &ObjectRow) -> Result<(), EngineError> {
        let shares = key::evidence_shares(row.position);
        if let Some(count) = self.state.value(Space::Log, &shares)? {
            let count: [u8; 4] = (&*count)
                .try_into()
                .map_err(|_| EngineError::Corrupt("evidence"))?;
            let left = u32::from_be_bytes(count).saturating_sub(1);
            if left > 0 {
                self.state.put(Space::Log, shares, left.to_be_bytes().to_vec());
                return Ok(());
            }
            self.state.remove(Space::Log, shares);
        }
        self.state.remove(Space::Log, key::evidence(row.position));
        Ok(())
    }

    /// Notes in the version after this one that something is missing before it.
    fn mark_pruned(&mut self, object: &ObjectKey, version_key: &bytes::Bytes) -> Result<(), EngineError> {
        let prefix = key::versions_of(&self.bucket.id, object);
        // Newest first, so what is after it in time stands before it.
        let Some((newer_key, newer)) = self.state.last_before(Space::Versions, version_key, &prefix)? else {
            return Ok(());
        };
        let mut newer = ObjectRow::decode(&newer)?;
        if !newer.pruned {
            newer.pruned = true;
            self.state.put(Space::Versions, newer_key, newer.encode());
        }
        Ok(())
    }

    /// What retention does at once, with the change that made a version old.
    pub(super) fn prune_after(&mut self, object: &ObjectKey) -> Result<(), EngineError> {
        let Some(retention) = self.bucket.config.versions else {
            return Ok(());
        };
        // Versions that wait for their day, and long histories, are the worker's.
        if retention.days.is_some() || retention.keep.is_none_or(|keep| keep > KEPT_IN_COMMIT_MAX) {
            return Ok(());
        }
        self.prune(object, PRUNED_PER_PUT)
    }

    /// Removes versions of a key that are beyond the newest that are kept and older than they are kept, at most `max`,
    /// the newest of them first. The newest version stays, but for a tombstone that stands on nothing.
    fn prune(&mut self, object: &ObjectKey, max: usize) -> Result<(), EngineError> {
        let retention = self.bucket.config.versions.unwrap_or_default();
        let Some(kept) = retention.newest_kept() else {
            return Ok(());
        };
        let before = retention.goes_before(self.at);
        let prefix = key::versions_of(&self.bucket.id, object);
        let mut newest = None;
        let mut beyond = Vec::new();
        let mut held = false;
        for (rank, row) in self.state.rows(Space::Versions, &prefix, &prefix).enumerate() {
            let (row_key, row) = row?;
            let (_, version) = key::key_of_version(&row_key)?;
            let is_old = before.is_none_or(|before| version.millis() < before);
            if rank == 0 {
                newest = Some((is_old, row.clone()));
            }
            if rank as u64 >= kept && is_old {
                if beyond.len() == max {
                    held = true;
                    break;
                }
                beyond.push(row);
            } else {
                held |= rank > 0;
            }
        }
        for row in beyond {
            self.remove_version(object, &ObjectRow::decode(&row)?, Action::VersionPruned)?;
        }
        // With `keep` the newest is always within it; without, a tombstone on nothing goes by its age.
        if let Some((true, row)) = newest.filter(|_| !held && retention.keep.is_none()) {
            let row = ObjectRow::decode(&row)?;
            if row.deleted {
                self.remove_version(object, &row, Action::VersionPruned)?;
            }
        }
        Ok(())
    }

    /// Ends a version whose time is over. The newest leaves a tombstone, so that nothing older shows through.
    fn expire_version(&mut self, object: &ObjectKey, due: &Due) -> Result<(), EngineError> {
        let DueWhat::Version(_, version) = &due.what else {
            return Ok(());
        };
        let Some(row) = self.version(object, version)? else {
            // Damage at worst, and then only the row in `index` is left over.
            let stray = key::due(&self.bucket.id, due);
            self.state.remove(Space::Index, stray);
            return Ok(());
        };
        if row.is_live(self.at) {
            return Ok(());
        }
        let head = self.head(object)?;
        if head.as_ref().is_some_and(|head| head.version == *version) {
            let tombstone = self.tombstone(&row)?;
            self.add_version(object, head.as_ref(), &tombstone, Action::ObjectDeleted, None)?;
        }
        self.remove_version(object, &row, Action::VersionExpired)?;
        self.prune_after(object)
    }

    /// The tombstone that deletes `head`.
    pub(super) fn tombstone(&mut self, head: &ObjectRow) -> Result<ObjectRow, EngineError> {
        let version = self.next_version()?;
        Ok(ObjectRow {
            version,
            seq: self.seq,
            position: self.position,
            deleted: true,
            etag: head.etag,
            len: 0,
            modified: version.millis(),
            headers: ObjectHeaders::default(),
            inline: true,
            chunk_bytes: 0,
            chunks: Vec::new(),
            charges: Vec::new(),
            pruned: false,
            signature: None,
            time: None,
        })
    }
}

pub(super) fn erase(
    plan: &WritePlan,
    erase: &EraseVersion,
    state: &mut Overlay,
    mark: &mut CommitMark,
) -> Outcome {
    let mut edit = Edit::begin(plan, &erase.bucket, state, mark)?;
    let head = allow_removal(&edit, &erase.key, &erase.preconditions, erase.create_only)?;
    let Some(row) = edit.version(&erase.key, &erase.version)? else {
        return Ok(Applied::Nothing);
    };
    // ORDER: before its bytes go, because what indexes have of the newest version is told by them.
    let newest = edit.newest_but(&erase.key, &erase.version)?;
    let newest = newest.filter(|row| !row.deleted);
    edit.move_head(&erase.key, head.as_ref(), newest.as_ref(), None)?;
    edit.remove_version(&erase.key, &row, Action::VersionErased)?;
    let (seq, leaf) = (edit.seq, mark.leaves);
    edit.log(plan, mark, None);
    Ok(Applied::Erased { seq, leaf })
}

pub(super) fn prune(
    plan: &WritePlan,
    bucket: &BucketId,
    keys: &[ObjectKey],
    state: &mut Overlay,
    mark: &mut CommitMark,
) -> Outcome {
    let mut edit = Edit::begin(plan, bucket, state, mark)?;
    for object in keys {
        edit.prune(object, PRUNED_PER_KEY)?;
    }
    Ok(finish(edit, plan, mark))
}

pub(super) fn expire(
    plan: &WritePlan,
    bucket: &BucketId,
    due: &[Due],
    state: &mut Overlay,
    mark: &mut CommitMark,
) -> Outcome {
    if state.bucket(bucket)?.is_none() {
        // Its rows went with the bucket; what stands in `index` by time does not.
        for due in due {
            state.remove(Space::Index, key::due(bucket, due));
        }
        return Ok(Applied::Nothing);
    }
    let mut edit = Edit::begin(plan, bucket, state, mark)?;
    let at = edit.at;
    for due in due.iter().filter(|due| due.at <= at) {
        match &due.what {
            DueWhat::Version(object, _) => edit.expire_version(object, due)?,
            DueWhat::Upload(upload) => upload::expire(&mut edit, *upload, due)?,
        }
    }
    Ok(finish(edit, plan, mark))
}

pub(super) fn finish(edit: Edit<'_>, plan: &WritePlan, mark: &mut CommitMark) -> Applied {
    if edit.has_effects() {
        let (seq, leaf) = (edit.seq, mark.leaves);
        edit.log(plan, mark, Some(Action::Lifecycle));
        return Applied::Erased { seq, leaf };
    }
    edit.write_counters();
    Applied::Nothing
}
