//! Copies on the server: a new version with the bytes of another. Within a bucket no bytes move: the chunks get one more
//! reference. Into another bucket the chunk files are linked.

use std::sync::Arc;

use wfldb_core::auth::{Authorized, Op, Target, Written};
use wfldb_core::doc::{self, Object};
use wfldb_core::id::{BucketId, VersionId};
use wfldb_core::limits::{DOCUMENT_BYTES_MAX, OBJECT_BYTES_MAX};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{BucketKind, ObjectHeaders, Preconditions};

use super::read::inline_body;
use super::write::{PutOutcome, check_conditions, planned_body, put_outcome, settle};
use crate::bucket::{bucket_of, resolve, resolve_id};
use crate::chunk::Pins;
use crate::commit::plan::{Mutation, Origin, PlannedBody, PutObject};
use crate::doc::{Body, NewVersion, parse};
use crate::engine::{Engine, Inner};
use crate::error::EngineError;
use crate::pending::Pending;
use crate::row::{ObjectRow, key};
use crate::storage::{Snapshot, Space};

/// What is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySource {
    /// Its bucket.
    pub bucket: BucketName,
    /// Its key.
    pub key: ObjectKey,
    /// Which version; `None` for the newest live one.
    pub version: Option<VersionId>,
}

impl Engine {
    /// Stores the bytes of `source` as a new version of the key that `proof` names. Of `headers`, what is given replaces
    /// what the source has; a time to live is never taken over. Reads the storage, and files when buckets differ.
    ///
    /// # Errors
    /// `Forbidden` when the proof does not also allow `get` of the source, or the object does not fit its limits;
    /// `NoSuchBucket` and `NoSuchKey`, also of the source; and those of [`Engine::put`].
    #[tracing::instrument(name = "engine::object::copy", level = "debug", skip_all)]
    pub fn copy(
        &self,
        proof: &Authorized,
        source: &CopySource,
        headers: ObjectHeaders,
        preconditions: Preconditions,
    ) -> Pending<PutOutcome> {
        let mut pins = Pins::new(Arc::clone(&self.inner.chunks));
        let planned = self
            .inner
            .plan_copy(proof, source, headers, preconditions, &mut pins);
        self.inner.submit(proof, planned, Some(pins), put_outcome)
    }
}

impl Inner {
    fn plan_copy(
        &self,
        proof: &Authorized,
        source: &CopySource,
        headers: ObjectHeaders,
        preconditions: Preconditions,
        pins: &mut Pins,
    ) -> Result<Mutation, EngineError> {
        let name = bucket_of(proof, Op::Put)?;
        let key = proof.key().ok_or(EngineError::Forbidden)?.clone();
        key.check_writable().map_err(|_| EngineError::ReservedKey)?;
        // SECURITY: before anything is looked for, so that the answer tells nothing about what may not be read.
        let from = Target::Key(source.bucket.clone(), source.key.clone());
        proof
            .further(Op::Get, from, Written::Later)
            .map_err(|_| EngineError::Forbidden)?;
        check_conditions(proof, &preconditions)?;
        self.admit_bytes()?;
        let snapshot = self.storage.snapshot();
        let into = resolve(&*snapshot, name)?;
        let bucket = into.id;
        let from = resolve_id(&*snapshot, &source.bucket)?;
        let row = self.source(&*snapshot, &from, source)?;
        let headers = merged(row.headers.clone(), headers);
        if into.config.kind == BucketKind::Documents {
            let new = NewVersion {
                key,
                body: Body::Whole(self.copied_document(&*snapshot, from, source, row)?),
                headers,
                preconditions,
                origin: Origin::Sent,
            };
            let put = self.plan_document(&*snapshot, proof, &into, new)?;
            return Ok(Mutation::PutObject(Box::new(put)));
        }
        if row.len > OBJECT_BYTES_MAX {
            return Err(EngineError::TooLarge);
        }
        let settled = settle(proof, &key, &headers, row.len)?;
        let (body, origin) = if from == bucket {
            let version = row.version;
            let origin = Origin::Copied {
                key: source.key.clone(),
                version,
            };
            (planned_body(&*snapshot, bucket, &row, pins)?, origin)
        } else {
            (
                self.linked(&*snapshot, &from, &source.key, bucket, &row, pins)?,
                Origin::Sent,
            )
        };
        Ok(Mutation::PutObject(Box::new(PutObject {
            bucket,
            key,
            body,
            etag: row.etag,
            len: row.len,
            headers,
            preconditions,
            create_only: settled.create_only(),
            charges: settled.charges().to_vec(),
            origin,
            document: None,
        })))
    }

    /// The members that a copy takes over: all of an object that is JSON, of a document those that are the user's.
    fn copied_document(
        &self,
        snapshot: &dyn Snapshot,
        from: BucketId,
        source: &CopySource,
        row: ObjectRow,
    ) -> Result<Object, EngineError> {
        if row.len > DOCUMENT_BYTES_MAX as u64 {
            return Err(EngineError::TooLarge);
        }
        let is_document = row.signature.is_some();
        let document = parse(&self.whole_body(snapshot, from, &source.key, row)?)?;
        Ok(if is_document {
            doc::without_envelope(document)
        } else {
            document
        })
    }

    fn source(
        &self,
        snapshot: &dyn Snapshot,
        bucket: &BucketId,
        source: &CopySource,
    ) -> Result<ObjectRow, EngineError> {
        let version = if let Some(version) = source.version {
            version
        } else {
            let head = snapshot.get(Space::Heads, &key::head(bucket, &source.key))?;
            ObjectRow::decode(&head.ok_or(EngineError::NoSuchKey)?)?.version
        };
        let row = snapshot.get(Space::Versions, &key::version(bucket, &source.key, &version))?;
        let row = ObjectRow::decode(&row.ok_or(EngineError::NoSuchKey)?)?;
        if row.is_live(self.now()) {
            Ok(row)
        } else {
            Err(EngineError::NoSuchKey)
        }
    }

    /// The body of a version of another bucket, with its chunks made available in this one.
    fn linked(
        &self,
        snapshot: &dyn Snapshot,
        from: &BucketId,
        source_key: &ObjectKey,
        to: BucketId,
        row: &ObjectRow,
        pins: &mut Pins,
    ) -> Result<PlannedBody, EngineError> {
        if row.inline {
            return Ok(PlannedBody::Inline(inline_body(snapshot, from, row)?));
        }
        // Held until the links are there, so that the source may go meanwhile.
        let mut source = Pins::new(Arc::clone(&self.chunks));
        for chunk in &row.chunks {
            source.pin(*from, *chunk);
        }
        // ORDER: looked at again behind the pins. A version that went before them may have taken its files along.
        let version = key::version(from, source_key, &row.version);
        if self.storage.snapshot().get(Space::Versions, &version)?.is_none() {
            return Err(EngineError::NoSuchKey);
        }
        let mut left = row.len;
        for chunk in &row.chunks {
            let len = left.min(u64::from(row.chunk_bytes));
            left -= len;
            let len = usize::try_from(len).map_err(|_| EngineError::Corrupt("manifest"))?;
            let linked = self.chunks.link(*from, to, *chunk, len, pins);
            linked.map_err(|error| super::read::chunk_failed(from, chunk, &error))?;
        }
        Ok(PlannedBody::Chunked {
            chunk_bytes: row.chunk_bytes,
            chunks: row.chunks.clone(),
        })
    }
}

/// The source's headers, with those that were given in their place.
pub(crate) fn merged(source: ObjectHeaders, given: ObjectHeaders) -> ObjectHeaders {
    ObjectHeaders {
        content_type: given.content_type.or(source.content_type),
        cache_control: given.cache_control.or(source.cache_control),
        expires: given.expires.or(source.expires),
        meta: if given.meta.is_empty() {
            source.meta
        } else {
            given.meta
        },
        tags: if given.tags.is_empty() {
            source.tags
        } else {
            given.tags
        },
        ttl_seconds: given.ttl_seconds,
    }
}
