//! Planning puts, deletes and restores.

use std::sync::Arc;

use wfldb_core::auth::{Authorized, ObjectAttributes, Op, Target, Written};
use wfldb_core::doc;
use wfldb_core::id::{ContentHash, LeafIndex, Seq, VersionId};
use wfldb_core::name::ObjectKey;
use wfldb_core::object::{BucketKind, HeaderText, ObjectHeaders, Preconditions};
use wfldb_core::time::UnixMillis;

use super::upload::FinishedUpload;
use crate::bucket::{bucket_of, resolve, resolve_id};
use crate::chunk::Pins;
use crate::commit::plan::{Applied, DeleteObject, EraseVersion, Mutation, Origin, PlannedBody, PutObject};
use crate::doc::{Body, NewVersion, document_of};
use crate::engine::{Engine, Inner};
use crate::error::EngineError;
use crate::pending::Pending;
use crate::row::{ObjectRow, key};
use crate::storage::{Snapshot, Space, prefix_end};

/// A stored version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOutcome {
    /// The new version.
    pub version: VersionId,
    /// The bucket's number of the change.
    pub seq: Seq,
    /// BLAKE3 of the bytes.
    pub etag: ContentHash,
    /// When it was committed.
    pub modified: UnixMillis,
    /// No live version was there before.
    pub created: bool,
}

/// A tombstone that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteOutcome {
    /// The tombstone's version.
    pub version: VersionId,
    /// The bucket's number of the change.
    pub seq: Seq,
}

/// A version that was removed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EraseOutcome {
    /// The bucket's number of the change.
    pub seq: Seq,
    /// The index of the change in the audit log.
    pub leaf: LeafIndex,
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of every answer's end")]
pub(crate) fn put_outcome(applied: Applied) -> Result<PutOutcome, EngineError> {
    match applied {
        Applied::Object {
            version,
            seq,
            etag,
            modified,
            created,
        } => Ok(PutOutcome {
            version,
            seq,
            etag,
            modified,
            created,
        }),
        _ => Err(EngineError::OutcomeUnknown),
    }
}

/// Conditions that tell something about what is there need `get` as well.
pub(crate) fn check_conditions(proof: &Authorized, preconditions: &Preconditions) -> Result<(), EngineError> {
    if preconditions.need_get() && !proof.may_also(Op::Get) {
        Err(EngineError::Forbidden)
    } else {
        Ok(())
    }
}

impl Engine {
    /// Stores the received body as a new version of the key that `proof` names.
    ///
    /// # Errors
    /// `PreconditionFailed`, `Forbidden` (a `create_only` grant and the key has versions; a condition that the proof
    /// does not allow), `QuotaExceeded`, `TooLarge`, `NoSuchBucket` when it went meanwhile, and
    /// those of every write: `StorageFull`, `ReadOnly`, `Busy`, `OutcomeUnknown`.
    #[tracing::instrument(name = "engine::object::put", level = "debug", skip_all)]
    pub fn put(
        &self,
        proof: &Authorized,
        upload: FinishedUpload,
        headers: ObjectHeaders,
        preconditions: Preconditions,
    ) -> Pending<PutOutcome> {
        let FinishedUpload {
            name,
            bucket,
            etag,
            len,
            body,
            pins,
            ..
        } = upload;
        let planned = (|| {
            if *bucket_of(proof, Op::Put)? != name || !proof.object_is_known() {
                return Err(EngineError::Forbidden);
            }
            let key = proof.key().ok_or(EngineError::Forbidden)?.clone();
            check_conditions(proof, &preconditions)?;
            Ok(Mutation::PutObject(Box::new(PutObject {
                bucket,
                key,
                body,
                etag,
                len,
                headers,
                preconditions,
                create_only: proof.create_only(),
                charges: proof.charges().to_vec(),
                origin: Origin::Sent,
                document: None,
            })))
        })();
        self.inner.submit(proof, planned, Some(pins), put_outcome)
    }

    /// Adds a tombstone to the key that `proof` names; `None` when there is nothing to delete.
    ///
    /// # Errors
    /// `PreconditionFailed`, `Forbidden`, `NoSuchBucket`, and those of every write.
    #[tracing::instrument(name = "engine::object::delete", level = "debug", skip_all)]
    pub fn delete(&self, proof: &Authorized, preconditions: Preconditions) -> Pending<Option<DeleteOutcome>> {
        let planned = (|| {
            let name = bucket_of(proof, Op::Delete)?;
            let key = proof.key().ok_or(EngineError::Forbidden)?.clone();
            check_conditions(proof, &preconditions)?;
            let bucket = resolve_id(&*self.inner.storage.snapshot(), name)?;
            Ok(Mutation::DeleteObject(Box::new(DeleteObject {
                bucket,
                key,
                preconditions,
                create_only: proof.create_only(),
            })))
        })();
        self.inner.submit(proof, planned, None, |applied| match applied {
            Applied::Deleted { version, seq } => Ok(Some(DeleteOutcome { version, seq })),
            Applied::Nothing => Ok(None),
            _ => Err(EngineError::OutcomeUnknown),
        })
    }

    /// Removes one version of the key that `proof` names for good, with its bytes and the evidence of its writing; what
    /// is before it becomes the newest. Answers the bucket's number of the change; `None` when there is no such version.
    ///
    /// # Errors
    /// `PreconditionFailed`, `Forbidden`, `NoSuchBucket`, and those of every write.
    #[tracing::instrument(name = "engine::object::erase", level = "debug", skip_all)]
    pub fn erase(
        &self,
        proof: &Authorized,
        version: VersionId,
        preconditions: Preconditions,
    ) -> Pending<Option<EraseOutcome>> {
        let planned = self.inner.plan_erase(proof, version, preconditions);
        self.inner.submit(proof, planned, None, |applied| match applied {
            Applied::Erased { seq, leaf } => Ok(Some(EraseOutcome {
                seq,
                leaf: LeafIndex::new(leaf),
            })),
            Applied::Nothing => Ok(None),
            _ => Err(EngineError::OutcomeUnknown),
        })
    }

    /// Makes the version before the tombstone current again, as a new version with the same bytes and headers.
    ///
    /// # Errors
    /// `NotDeleted` when the newest version is not a tombstone, `NoSuchKey` when nothing is before it, and those of
    /// [`Engine::put`].
    pub fn undelete(&self, proof: &Authorized) -> Pending<PutOutcome> {
        let mut pins = Pins::new(Arc::clone(&self.inner.chunks));
        let planned = self.inner.plan_undelete(proof, &mut pins);
        self.inner.submit(proof, planned, Some(pins), put_outcome)
    }
}

impl Inner {
    fn plan_erase(
        &self,
        proof: &Authorized,
        version: VersionId,
        preconditions: Preconditions,
    ) -> Result<Mutation, EngineError> {
        let name = bucket_of(proof, Op::Erase)?;
        let key = proof.key().ok_or(EngineError::Forbidden)?.clone();
        check_conditions(proof, &preconditions)?;
        let bucket = self.bucket(name)?.id;
        Ok(Mutation::EraseVersion(Box::new(EraseVersion {
            bucket,
            key,
            version,
            preconditions,
            create_only: proof.create_only(),
        })))
    }

    fn plan_undelete(&self, proof: &Authorized, pins: &mut Pins) -> Result<Mutation, EngineError> {
        let name = bucket_of(proof, Op::Put)?;
        let key = proof.key().ok_or(EngineError::Forbidden)?.clone();
        self.admit_bytes()?;
        let snapshot = self.storage.snapshot();
        let bucket_row = resolve(&*snapshot, name)?;
        let bucket = bucket_row.id;
        let prefix = key::versions_of(&bucket, &key);
        let mut versions = snapshot.range(Space::Versions, &prefix, &prefix_end(&prefix), false);
        let (_, newest) = versions.next().transpose()?.ok_or(EngineError::NoSuchKey)?;
        let tombstone = ObjectRow::decode(&newest)?;
        if !tombstone.deleted {
            return Err(EngineError::NotDeleted);
        }
        // A tombstone stands on a live version; but what is before it may have been erased.
        let (_, before) = versions.next().transpose()?.ok_or(EngineError::NoSuchKey)?;
        let restored = ObjectRow::decode(&before)?;
        if restored.deleted {
            return Err(EngineError::NoSuchKey);
        }
        drop(versions);
        let origin = Origin::Restored {
            tombstone: tombstone.version,
            version: restored.version,
        };
        if bucket_row.config.kind == BucketKind::Documents {
            let stored = document_of(&*snapshot, &bucket_row, &restored)?;
            let new = NewVersion {
                key,
                body: Body::Whole(doc::without_envelope(stored)),
                headers: restored.headers,
                preconditions: Preconditions::default(),
                origin,
            };
            let put = self.plan_document(&*snapshot, proof, &bucket_row, new)?;
            return Ok(Mutation::PutObject(Box::new(put)));
        }
        let settled = settle(proof, &key, &restored.headers, restored.len)?;
        let body = planned_body(&*snapshot, bucket, &restored, pins)?;
        Ok(Mutation::PutObject(Box::new(PutObject {
            bucket,
            key,
            body,
            etag: restored.etag,
            len: restored.len,
            headers: restored.headers,
            preconditions: Preconditions::default(),
            create_only: settled.create_only(),
            charges: settled.charges().to_vec(),
            origin,
            document: None,
        })))
    }
}

/// The proof for writing an object whose length and type are known only now, decided by all limits of its grants.
pub(crate) fn settle(
    proof: &Authorized,
    key: &ObjectKey,
    headers: &ObjectHeaders,
    len: u64,
) -> Result<Authorized, EngineError> {
    let bucket = proof.bucket().ok_or(EngineError::Forbidden)?.clone();
    let content_type = headers.content_type.as_ref().map(HeaderText::as_str);
    let written = Written::Known(ObjectAttributes { content_type, len });
    proof
        .further(Op::Put, Target::Key(bucket, key.clone()), written)
        .map_err(|_| EngineError::Forbidden)
}

/// The body of a stored version, for a new version of the bucket with the same bytes.
pub(super) fn planned_body(
    snapshot: &dyn Snapshot,
    bucket: wfldb_core::id::BucketId,
    row: &ObjectRow,
    pins: &mut Pins,
) -> Result<PlannedBody, EngineError> {
    if row.inline {
        return Ok(PlannedBody::Inline(super::read::inline_body(
            snapshot, &bucket, row,
        )?));
    }
    for chunk in &row.chunks {
        pins.pin(bucket, *chunk);
    }
    Ok(PlannedBody::Chunked {
        chunk_bytes: row.chunk_bytes,
        chunks: row.chunks.clone(),
    })
}
