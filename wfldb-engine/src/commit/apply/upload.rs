//! Uploads in parts. Until it is completed an upload is no change: its rows stand in `index`, its chunks are referred
//! to by a name of their own, its bytes count against quotas.

use wfldb_core::id::{BucketId, ContentHash, UploadId};

use super::edit::Edit;
use super::object::check_quota;
use crate::commit::overlay::Overlay;
use crate::commit::plan::{AbortUpload, Applied, Due, DueWhat, Outcome, PutPart, StartUpload, WritePlan};
use crate::error::EngineError;
use crate::row::{CommitMark, Completed, ObjectRow, PartRow, UploadRow, key};
use crate::storage::Space;

fn row_of(state: &Overlay, bucket: &BucketId, upload: UploadId) -> Result<Option<UploadRow>, EngineError> {
    let row = state.value(Space::Index, &key::upload(bucket, upload))?;
    Ok(row.map(|row| UploadRow::decode(&row)).transpose()?)
}

/// An upload that takes parts.
fn open(edit: &Edit<'_>, upload: UploadId) -> Result<UploadRow, EngineError> {
    row_of(edit.state, edit.id(), upload)?
        .filter(|row| row.completed.is_none() && edit.at < row.expires)
        .ok_or(EngineError::NoSuchUpload)
}

pub(super) fn start(
    plan: &WritePlan,
    start: &StartUpload,
    state: &mut Overlay,
    mark: &CommitMark,
) -> Outcome {
    let edit = Edit::begin(plan, &start.bucket, state, mark)?;
    let at = start.row.expires;
    let due = Due {
        at,
        what: DueWhat::Upload(start.upload),
    };
    let bucket = start.bucket;
    edit.state.put(
        Space::Index,
        key::upload(&bucket, start.upload),
        start.row.encode(),
    );
    edit.state
        .put(Space::Index, key::due(&bucket, &due), bytes::Bytes::new());
    Ok(Applied::Nothing)
}

pub(super) fn put_part(plan: &WritePlan, put: &PutPart, state: &mut Overlay, mark: &CommitMark) -> Outcome {
    let mut edit = Edit::begin(plan, &put.bucket, state, mark)?;
    open(&edit, put.upload)?;
    let row_key = key::part(&put.bucket, put.upload, put.number);
    if let Some(before) = edit.state.value(Space::Index, &row_key)? {
        drop_part(&mut edit, &PartRow::decode(&before)?)?;
    }
    let mut part = put.part.clone();
    part.charges = edit.charge(&put.charges, part.len)?;
    let fresh = edit.refer(&part.reference, part.len, put.chunk_bytes, &part.chunks)?;
    edit.counters.stored_bytes += fresh;
    edit.counters.parts_bytes += part.len;
    check_quota(&edit)?;
    edit.state.put(Space::Index, row_key, part.encode());
    edit.write_counters();
    Ok(Applied::Nothing)
}

/// Takes back what a part refers to and was charged. Its row is the caller's.
fn drop_part(edit: &mut Edit<'_>, part: &PartRow) -> Result<(), EngineError> {
    let freed = edit.release(&part.reference, &part.chunks)?;
    edit.counters.stored_bytes = edit.counters.stored_bytes.saturating_sub(freed);
    edit.counters.parts_bytes = edit.counters.parts_bytes.saturating_sub(part.len);
    edit.credit(&part.charges, part.len)
}

/// Removes all parts, and answers their etags in order.
fn drop_parts(edit: &mut Edit<'_>, upload: UploadId) -> Result<Vec<ContentHash>, EngineError> {
    let prefix = key::parts_of(edit.id(), upload);
    let rows: Vec<_> = edit
        .state
        .rows(Space::Index, &prefix, &prefix)
        .collect::<Result<_, _>>()?;
    let mut etags = Vec::with_capacity(rows.len());
    for (row_key, row) in rows {
        let part = PartRow::decode(&row)?;
        // Parts that stand behind a gap were not named by the completion.
        if usize::from(key::number_of_part(&row_key)?) == etags.len() + 1 {
            etags.push(part.etag);
        }
        drop_part(edit, &part)?;
        edit.state.remove(Space::Index, row_key);
    }
    Ok(etags)
}

/// Turns the parts of an upload into the body of the version that is being written: they must still be those that the
/// plan read. What the completion does not name goes too.
pub(super) fn take_parts(
    edit: &mut Edit<'_>,
    upload: UploadId,
    parts: &[ContentHash],
) -> Result<(), EngineError> {
    open(edit, upload)?;
    let etags = drop_parts(edit, upload)?;
    if etags.get(..parts.len()) == Some(parts) {
        Ok(())
    } else {
        Err(EngineError::InvalidPart)
    }
}

/// Notes how the upload ended, so that the same completion can be answered again until it is forgotten.
pub(super) fn complete(
    edit: &mut Edit<'_>,
    upload: UploadId,
    list: &[u8; 32],
    row: &ObjectRow,
    created: bool,
) -> Result<(), EngineError> {
    let bucket = edit.bucket.id;
    let mut upload_row = open(edit, upload)?;
    upload_row.completed = Some(Completed {
        version: row.version,
        seq: row.seq,
        etag: row.etag,
        created,
        list: *list,
    });
    edit.state
        .put(Space::Index, key::upload(&bucket, upload), upload_row.encode());
    Ok(())
}

/// The answer to a completion that was carried out before.
pub(super) fn completed_before(
    state: &Overlay,
    bucket: &BucketId,
    upload: UploadId,
    list: &[u8; 32],
) -> Result<Option<Applied>, EngineError> {
    let done = row_of(state, bucket, upload)?.and_then(|row| row.completed);
    Ok(done
        .filter(|done| done.list == *list)
        .map(|done| Applied::Object {
            version: done.version,
            seq: done.seq,
            etag: done.etag,
            modified: done.version.millis(),
            created: done.created,
        }))
}

pub(super) fn abort(
    plan: &WritePlan,
    abort: &AbortUpload,
    state: &mut Overlay,
    mark: &CommitMark,
) -> Outcome {
    let mut edit = Edit::begin(plan, &abort.bucket, state, mark)?;
    let row = open(&edit, abort.upload)?;
    forget(&mut edit, abort.upload, &row)?;
    edit.write_counters();
    Ok(Applied::Nothing)
}

fn forget(edit: &mut Edit<'_>, upload: UploadId, row: &UploadRow) -> Result<(), EngineError> {
    drop_parts(edit, upload)?;
    let bucket = edit.bucket.id;
    let due = Due {
        at: row.expires,
        what: DueWhat::Upload(upload),
    };
    edit.state.remove(Space::Index, key::due(&bucket, &due));
    edit.state.remove(Space::Index, key::upload(&bucket, upload));
    Ok(())
}

/// Forgets an upload whose time is over, completed or not.
pub(super) fn expire(edit: &mut Edit<'_>, upload: UploadId, due: &Due) -> Result<(), EngineError> {
    let bucket = edit.bucket.id;
    match row_of(edit.state, &bucket, upload)? {
        Some(row) if row.expires <= edit.at => forget(edit, upload, &row),
        Some(_) => Ok(()),
        None => {
            edit.state.remove(Space::Index, key::due(&bucket, due));
            Ok(())
        }
    }
}
