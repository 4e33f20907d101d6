//! Batches: entries that are carried out together or not at all, in one commit under one `seq`.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use wfldb_core::auth::{Authorized, Op, Target, Written};
use wfldb_core::id::{BucketId, ContentHash, Seq, VersionId};
use wfldb_core::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, CHUNK_BYTES, INLINE_BYTES_MAX};
use wfldb_core::name::ObjectKey;
use wfldb_core::object::{BucketKind, ObjectHeaders, Preconditions};

use super::write::{check_conditions, settle};
use crate::bucket::bucket_of;
use crate::chunk::Pins;
use crate::commit::plan::{
    Applied, Batch, BatchEntry, DeleteObject, Mutation, Origin, PlannedBody, PutObject,
};
use crate::doc::{Body, NewVersion, parse};
use crate::engine::{Engine, Inner};
use crate::error::EngineError;
use crate::pending::Pending;
use crate::row::BucketRow;
use crate::storage::Snapshot;

/// One entry of a batch, about one key of its bucket.
#[derive(Debug, Clone)]
pub struct BatchOp {
    /// The key; it occurs once in a batch.
    pub key: ObjectKey,
    /// What must hold, for the whole batch to happen.
    pub preconditions: Preconditions,
    /// What is done.
    pub action: BatchAction,
}

/// What an entry does.
#[derive(Debug, Clone)]
pub enum BatchAction {
    /// Stores a new version.
    Put {
        /// Its bytes; in a bucket of documents its JSON.
        body: Bytes,
        /// What is kept with them.
        headers: Box<ObjectHeaders>,
    },
    /// Adds a tombstone, if something is there.
    Delete,
    /// Only looks at the preconditions.
    Check,
}

/// What a batch did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchOutcome {
    /// The bucket's number of the change; `None` when nothing was written.
    pub seq: Option<Seq>,
    /// For each entry the version that it wrote, and for a put the etag.
    pub results: Vec<Option<(VersionId, Option<ContentHash>)>>,
}

impl Engine {
    /// Carries out all entries in the bucket that `proof` names (a proof for `put` on [`Target::Batch`]), or none. Each
    /// entry is authorized by itself, all before any is evaluated. Writes files when a body is larger than 64 KiB.
    ///
    /// # Errors
    /// `Entry` with the place of the first entry that is refused and why; `TooLarge` for more than 1000 entries or
    /// 8 MiB; and those of every write.
    #[tracing::instrument(name = "engine::object::batch", level = "debug", skip_all)]
    pub fn batch(&self, proof: &Authorized, ops: Vec<BatchOp>) -> Pending<BatchOutcome> {
        let mut pins = Pins::new(Arc::clone(&self.inner.chunks));
        let planned = self.inner.plan_batch(proof, ops, &mut pins);
        self.inner
            .submit(proof, planned, Some(pins), |applied| match applied {
                Applied::Batch { seq, results } => Ok(BatchOutcome { seq, results }),
                _ => Err(EngineError::OutcomeUnknown),
            })
    }
}

impl Inner {
    fn plan_batch(
        &self,
        proof: &Authorized,
        ops: Vec<BatchOp>,
        pins: &mut Pins,
    ) -> Result<Mutation, EngineError> {
        let name = bucket_of(proof, Op::Put)?;
        if !matches!(proof.target(), Target::Batch(_) | Target::Bulk(_)) {
            return Err(EngineError::Forbidden);
        }
        if ops.len() > BATCH_ENTRIES_MAX || bytes_of(&ops) > BATCH_BYTES_MAX {
            return Err(EngineError::TooLarge);
        }
        // SECURITY: every entry's right comes before anything is looked at.
        let mut proofs = Vec::with_capacity(ops.len());
        let mut keys = HashSet::with_capacity(ops.len());
        for (index, op) in ops.iter().enumerate() {
            let checked = check_entry(proof, op, &mut keys);
            proofs.push(checked.map_err(|error| entry(index, error))?);
        }
        if ops.iter().any(|op| matches!(op.action, BatchAction::Put { .. })) {
            self.admit_bytes()?;
        }
        let bucket = self.bucket(name)?;
        // Documents are planned on what is there.
        let snapshot = (bucket.config.kind == BucketKind::Documents).then(|| self.storage.snapshot());
        let mut entries = Vec::with_capacity(ops.len());
        for (index, (op, proof)) in ops.into_iter().zip(&proofs).enumerate() {
            let planned = self.plan_entry(&bucket, snapshot.as_deref(), proof, op, pins);
            entries.push(planned.map_err(|error| entry(index, error))?);
        }
        let bucket = bucket.id;
        Ok(Mutation::Batch(Box::new(Batch { bucket, entries })))
    }

    fn plan_entry(
        &self,
        bucket: &BucketRow,
        documents: Option<&dyn Snapshot>,
        proof: &Authorized,
        op: BatchOp,
        pins: &mut Pins,
    ) -> Result<BatchEntry, EngineError> {
        let BatchOp {
            key,
            preconditions,
            action,
        } = op;
        let (body, headers) = match action {
            BatchAction::Put { body, headers } => (body, headers),
            BatchAction::Delete => {
                return Ok(BatchEntry::Delete(DeleteObject {
                    bucket: bucket.id,
                    key,
                    preconditions,
                    create_only: proof.create_only(),
                }));
            }
            BatchAction::Check => return Ok(BatchEntry::Check { key, preconditions }),
        };
        if let Some(snapshot) = documents {
            let new = NewVersion {
                key,
                body: Body::Whole(parse(&body)?),
                headers: *headers,
                preconditions,
                origin: Origin::Sent,
            };
            let put = self.plan_document(snapshot, proof, bucket, new)?;
            return Ok(BatchEntry::Put(Box::new(put)));
        }
        let planned = planned_bytes(self, bucket.id, &body, pins)?;
        Ok(BatchEntry::Put(Box::new(PutObject {
            bucket: bucket.id,
            key,
            etag: ContentHash::of(&body),
            len: body.len() as u64,
            body: planned,
            headers: *headers,
            preconditions,
            create_only: proof.create_only(),
            charges: proof.charges().to_vec(),
            origin: Origin::Sent,
            document: None,
        })))
    }
}

/// The body of a new version whose bytes are in memory; in chunk files, pinned, where it is too large for a row.
pub(crate) fn planned_bytes(
    inner: &Inner,
    bucket: BucketId,
    body: &Bytes,
    pins: &mut Pins,
) -> Result<PlannedBody, EngineError> {
    if body.len() <= INLINE_BYTES_MAX {
        return Ok(PlannedBody::Inline(body.clone()));
    }
    let chunks = body.chunks(CHUNK_BYTES);
    let put = chunks.map(|chunk| inner.put_chunk(bucket, chunk, pins));
    Ok(PlannedBody::Chunked {
        chunk_bytes: u32::try_from(CHUNK_BYTES).unwrap_or(u32::MAX),
        chunks: put.collect::<Result<_, _>>()?,
    })
}

fn entry(index: usize, error: EngineError) -> EngineError {
    EngineError::Entry {
        index,
        error: Box::new(error),
    }
}

fn bytes_of(ops: &[BatchOp]) -> usize {
    let bytes = |op: &BatchOp| match &op.action {
        BatchAction::Put { body, .. } => body.len(),
        BatchAction::Delete | BatchAction::Check => 0,
    };
    ops.iter().map(bytes).sum()
}

/// The proof of one entry.
pub(crate) fn check_entry<'a>(
    proof: &Authorized,
    op: &'a BatchOp,
    keys: &mut HashSet<&'a ObjectKey>,
) -> Result<Authorized, EngineError> {
    let further = |wanted: Op| {
        let bucket = proof.bucket().ok_or(EngineError::Forbidden)?.clone();
        proof
            .further(wanted, Target::Key(bucket, op.key.clone()), Written::Later)
            .map_err(|_| EngineError::Forbidden)
    };
    let allowed = match &op.action {
        BatchAction::Put { body, headers } => settle(proof, &op.key, headers, body.len() as u64)?,
        BatchAction::Delete => further(Op::Delete)?,
        BatchAction::Check => further(Op::Get)?,
    };
    check_conditions(&allowed, &op.preconditions)?;
    op.key.check_writable().map_err(|_| EngineError::ReservedKey)?;
    if keys.insert(&op.key) {
        Ok(allowed)
    } else {
        Err(EngineError::RepeatedKey)
    }
}
