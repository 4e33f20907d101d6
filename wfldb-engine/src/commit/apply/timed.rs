//! Documents by their time: what `index` says of it, buckets in which nothing changes, documents that are too old.

use wfldb_core::id::BucketId;
use wfldb_core::name::ObjectKey;
use wfldb_core::time::UnixMillis;

use super::edit::Edit;
use super::erase::finish;
use crate::commit::overlay::Overlay;
use crate::commit::plan::{Aged, Applied, Outcome, PutObject, WritePlan};
use crate::error::EngineError;
use crate::row::{Action, CommitMark, ObjectRow, key};
use crate::storage::Space;

/// Versions of one document that one plan removes; of a longer history the rest goes with the next.
const AGED_VERSIONS_MAX: usize = 128;

impl Edit<'_> {
    /// Replaces what `index` says of a document's time.
    pub(super) fn move_time(&mut self, object: &ObjectKey, old: Option<&ObjectRow>, new: Option<&ObjectRow>) {
        let bucket = self.bucket.id;
        let at = |row: Option<&ObjectRow>| row.and_then(|row| row.time);
        if let Some(before) = at(old).filter(|before| at(new) != Some(*before)) {
            self.state
                .remove(Space::Index, key::timed(&bucket, before, object));
        }
        if let Some((row, at)) = new.and_then(|row| Some((row, row.time?))) {
            let version = row.version.to_bytes().to_vec();
            self.state
                .put(Space::Index, key::timed(&bucket, at, object), version);
        }
    }

    /// Refuses a version that the bucket's settings about time do not let in.
    pub(super) fn check_time(&self, put: &PutObject) -> Result<(), EngineError> {
        let config = &self.bucket.config;
        // A tombstone counts: what ended by itself is not written anew.
        if config.append_only && self.newest(&put.key)?.is_some() {
            return Err(EngineError::AppendOnly);
        }
        let timed = put.document.as_ref().and_then(|document| document.timed.as_ref());
        // It was planned by another configuration. Planned again it is right, or refused.
        if timed.map(|timed| &timed.field) != config.time_field.as_ref() {
            return Err(EngineError::Stale);
        }
        Ok(())
    }

    /// Refuses what would take a document away.
    pub(super) fn check_removal(&self) -> Result<(), EngineError> {
        if self.bucket.config.append_only {
            Err(EngineError::AppendOnly)
        } else {
            Ok(())
        }
    }

    /// Removes a document whose time is `at`, with all its versions, the oldest first: what is left of a long history is
    /// a whole document that is found again.
    fn drop_aged(&mut self, object: &ObjectKey, at: UnixMillis) -> Result<(), EngineError> {
        let head = self.head(object)?;
        let Some(head) = head.filter(|head| head.time == Some(at)) else {
            // Damage at worst, and then only the row in `index` is left over.
            let stray = key::timed(&self.bucket.id, at, object);
            self.state.remove(Space::Index, stray);
            return Ok(());
        };
        let prefix = key::versions_of(&self.bucket.id, object);
        let mut rows = Vec::new();
        let mut is_whole = true;
        for row in self.state.rows(Space::Versions, &prefix, &prefix) {
            if rows.len() == AGED_VERSIONS_MAX {
                is_whole = false;
                break;
            }
            rows.push(row?.1);
        }
        let kept = usize::from(!is_whole);
        for row in rows.iter().skip(kept).rev() {
            self.remove_version(object, &ObjectRow::decode(row)?, Action::VersionExpired)?;
        }
        if is_whole {
            self.move_head(object, Some(&head), None, None)?;
        }
        Ok(())
    }
}

/// Ends documents that are too old by the bucket's settings as they are now.
pub(super) fn age(
    plan: &WritePlan,
    bucket: &BucketId,
    aged: &[Aged],
    state: &mut Overlay,
    mark: &mut CommitMark,
) -> Outcome {
    let mut edit = Edit::begin(plan, bucket, state, mark)?;
    // By the committed time, which never goes back.
    let Some(before) = edit.bucket.config.too_old_before(edit.at) else {
        return Ok(Applied::Nothing);
    };
    for aged in aged.iter().filter(|aged| aged.at < before) {
        edit.drop_aged(&aged.key, aged.at)?;
    }
    Ok(finish(edit, plan, mark))
}
