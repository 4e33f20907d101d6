//! New versions and tombstones, alone and in batches.

use wfldb_core::name::ObjectKey;
use wfldb_core::object::{BucketKind, Preconditions};

use super::edit::Edit;
use super::upload;
use crate::commit::overlay::Overlay;
use crate::commit::plan::{
    Applied, Batch, BatchEntry, DeleteObject, Origin, Outcome, PlannedBody, PutObject, WritePlan,
};
use crate::error::EngineError;
use crate::row::{Action, CommitMark, ObjectRow, key};
use crate::storage::Space;

pub(super) fn put(plan: &WritePlan, put: &PutObject, state: &mut Overlay, mark: &mut CommitMark) -> Outcome {
    if let Origin::Parts { upload, list, .. } = &put.origin
        && let Some(again) = upload::completed_before(state, &put.bucket, *upload, list)?
    {
        return Ok(again);
    }
    let mut edit = Edit::begin(plan, &put.bucket, state, mark)?;
    let (row, created) = add(&mut edit, put)?;
    if let Origin::Parts { upload, list, .. } = &put.origin {
        upload::complete(&mut edit, *upload, list, &row, created)?;
    }
    edit.log(plan, mark, None);
    Ok(Applied::Object {
        version: row.version,
        seq: row.seq,
        etag: row.etag,
        modified: row.modified,
        created,
    })
}

/// Checks a put and writes its version; answers the row, and whether no live version was there.
fn add(edit: &mut Edit<'_>, put: &PutObject) -> Result<(ObjectRow, bool), EngineError> {
    let head = edit.head(&put.key)?;
    let live = head.as_ref().filter(|head| head.is_live(edit.at));
    let created = live.is_none();
    put.preconditions
        .check(live.map(|head| (&head.etag, &head.version)))
        .map_err(|_| EngineError::PreconditionFailed)?;
    check_history(edit, put)?;
    edit.check_time(put)?;
    check_base(edit, put, head.as_ref())?;
    let config = &edit.bucket.config;
    if config.object_bytes_max.is_some_and(|max| put.len > max) {
        return Err(EngineError::TooLarge);
    }
    if let Origin::Parts { upload, parts, .. } = &put.origin {
        upload::take_parts(edit, *upload, parts)?;
    }
    let charges = edit.charge(&put.charges, put.len)?;
    let version = edit.next_version()?;
    let (inline, chunk_bytes, chunks) = match &put.body {
        PlannedBody::Inline(bytes) => {
            if !bytes.is_empty() {
                let body = key::body(edit.id(), &version);
                edit.state.put(Space::Bodies, body, bytes.clone());
            }
            edit.counters.stored_bytes += put.len;
            (true, 0, Vec::new())
        }
        PlannedBody::Chunked { chunk_bytes, chunks } => {
            let fresh = edit.refer(&version, put.len, *chunk_bytes, chunks)?;
            edit.counters.stored_bytes += fresh;
            (false, *chunk_bytes, chunks.clone())
        }
    };
    let row = ObjectRow {
        version,
        seq: edit.seq,
        position: edit.position,
        deleted: false,
        etag: put.etag,
        len: put.len,
        modified: version.millis(),
        headers: put.headers.clone(),
        inline,
        chunk_bytes,
        chunks,
        charges,
        pruned: put.document.as_ref().is_some_and(|document| document.skips),
        signature: put.document.as_ref().map(|document| document.signature.clone()),
        time: put
            .document
            .as_ref()
            .and_then(|document| document.timed.as_ref())
            .map(|timed| timed.at),
    };
    let action = match put.origin {
        Origin::Restored { .. } => Action::ObjectRestored,
        Origin::Sent | Origin::Copied { .. } | Origin::Parts { .. } => Action::ObjectPut,
    };
    edit.counters.bytes = edit
        .counters
        .bytes
        .checked_add(put.len)
        .ok_or(EngineError::QuotaExceeded)?;
    let hints = put.document.as_ref().map(|document| &document.hints);
    edit.add_version(&put.key, head.as_ref(), &row, action, hints)?;
    edit.prune_after(&put.key)?;
    // What retention has just removed makes room for what came.
    check_quota(edit)?;
    Ok((row, created))
}

/// Whether the bucket is within its quotas.
pub(super) fn check_quota(edit: &Edit<'_>) -> Result<(), EngineError> {
    let config = &edit.bucket.config;
    let bytes = edit.counters.bytes.saturating_add(edit.counters.parts_bytes);
    if config.quota_bytes.is_some_and(|quota| bytes > quota)
        || config
            .quota_objects
            .is_some_and(|quota| edit.counters.objects > quota)
    {
        return Err(EngineError::QuotaExceeded);
    }
    Ok(())
}

/// `create_only`, restores and copies look at what versions are there, tombstones included.
fn check_history(edit: &Edit<'_>, put: &PutObject) -> Result<(), EngineError> {
    if put.create_only {
        check_create_only(edit.newest(&put.key)?.is_some())?;
    }
    // INVARIANT 3: the chunks of the source are there as long as the source is; it may have been erased since.
    let (key, source) = match &put.origin {
        Origin::Sent | Origin::Parts { .. } => return Ok(()),
        Origin::Copied { key, version } => (key, version),
        Origin::Restored { tombstone, version } => {
            let newest = edit.newest(&put.key)?;
            if newest.is_none_or(|newest| !newest.deleted || newest.version != *tombstone) {
                return Err(EngineError::NotDeleted);
            }
            (&put.key, version)
        }
    };
    match edit.version(key, source)? {
        Some(_) => Ok(()),
        None => Err(EngineError::NoSuchKey),
    }
}

/// A document was signed as the one after `base`, so it can come after nothing else.
fn check_base(edit: &Edit<'_>, put: &PutObject, head: Option<&ObjectRow>) -> Result<(), EngineError> {
    let holds_documents = edit.bucket.config.kind == BucketKind::Documents;
    let Some(document) = put.document.as_ref().filter(|_| holds_documents) else {
        // An assertion on what planners do: a bucket's kind never changes.
        return if holds_documents || put.document.is_some() {
            Err(EngineError::NotForDocuments)
        } else {
            Ok(())
        };
    };
    let newest = match head {
        Some(head) => Some(head.version),
        None => edit.newest(&put.key)?.map(|newest| newest.version),
    };
    // What was held against another schema is held against this one.
    if newest == document.base && document.schema_at == edit.bucket.schema_at {
        Ok(())
    } else {
        Err(EngineError::Stale)
    }
}

/// SECURITY: a grant that is limited to new keys changes nothing where any version is, tombstones included, be it by a
/// put, a delete or an erasure.
fn check_create_only(has_versions: bool) -> Result<(), EngineError> {
    if has_versions {
        Err(EngineError::Forbidden)
    } else {
        Ok(())
    }
}

/// What a delete and an erasure have to check alike; the row in `heads`, when the plan may go on.
pub(super) fn allow_removal(
    edit: &Edit<'_>,
    object: &ObjectKey,
    preconditions: &Preconditions,
    create_only: bool,
) -> Result<Option<ObjectRow>, EngineError> {
    if create_only {
        check_create_only(edit.newest(object)?.is_some())?;
    }
    let head = edit.head(object)?;
    let live = head.as_ref().filter(|head| head.is_live(edit.at));
    preconditions
        .check(live.map(|head| (&head.etag, &head.version)))
        .map_err(|_| EngineError::PreconditionFailed)?;
    Ok(head)
}

pub(super) fn delete(
    plan: &WritePlan,
    delete: &DeleteObject,
    state: &mut Overlay,
    mark: &mut CommitMark,
) -> Outcome {
    let mut edit = Edit::begin(plan, &delete.bucket, state, mark)?;
    let Some(tombstone) = remove(&mut edit, delete)? else {
        return Ok(Applied::Nothing);
    };
    edit.log(plan, mark, None);
    Ok(Applied::Deleted {
        version: tombstone.version,
        seq: tombstone.seq,
    })
}

/// Adds a tombstone, if something is there.
fn remove(edit: &mut Edit<'_>, delete: &DeleteObject) -> Result<Option<ObjectRow>, EngineError> {
    let head = allow_removal(edit, &delete.key, &delete.preconditions, delete.create_only)?;
    let Some(head) = head.filter(|head| head.is_live(edit.at)) else {
        return Ok(None);
    };
    edit.check_removal()?;
    let tombstone = edit.tombstone(&head)?;
    edit.add_version(&delete.key, Some(&head), &tombstone, Action::ObjectDeleted, None)?;
    edit.prune_after(&delete.key)?;
    Ok(Some(tombstone))
}

/// Every entry in order, or none of them; one change, one `seq`.
pub(super) fn batch(plan: &WritePlan, batch: &Batch, state: &mut Overlay, mark: &mut CommitMark) -> Outcome {
    let mut edit = Edit::begin(plan, &batch.bucket, state, mark)?;
    let mut results = Vec::with_capacity(batch.entries.len());
    for (index, entry) in batch.entries.iter().enumerate() {
        let done = carry_out(&mut edit, entry);
        results.push(done.map_err(|error| EngineError::Entry {
            index,
            error: Box::new(error),
        })?);
    }
    edit.check_effects()?;
    let seq = edit.has_effects().then_some(edit.seq);
    if seq.is_some() {
        edit.log(plan, mark, Some(Action::Batch));
    }
    Ok(Applied::Batch { seq, results })
}

/// What an entry wrote.
pub(super) type EntryResult = Option<(wfldb_core::id::VersionId, Option<wfldb_core::id::ContentHash>)>;

pub(super) fn carry_out(edit: &mut Edit<'_>, entry: &BatchEntry) -> Result<EntryResult, EngineError> {
    match entry {
        BatchEntry::Put(put) => {
            let (row, _) = add(edit, put)?;
            Ok(Some((row.version, Some(row.etag))))
        }
        BatchEntry::Delete(delete) => Ok(remove(edit, delete)?.map(|tombstone| (tombstone.version, None))),
        BatchEntry::Check { key, preconditions } => {
            allow_removal(edit, key, preconditions, false)?;
            Ok(None)
        }
    }
}
