//! Uploads in parts: starting, receiving parts in any order, listing, completing without reading anything again, aborting.
//!
//! Each chunk of a part keeps its BLAKE3 value at its place in the object, so the object's hash follows from the values.

use wfldb_core::auth::{Authorized, Charge, Op};
use wfldb_core::id::{BucketId, ContentHash, UploadId, VersionId};
use wfldb_core::limits::{
    OBJECT_BYTES_MAX, PART_BYTES_MAX, PART_BYTES_MIN, PART_BYTES_STEP, PARTS_MAX, UPLOAD_MS,
};
use wfldb_core::object::{BucketKind, ContentDigest, ObjectHeaders, Preconditions};
use wfldb_core::time::UnixMillis;

use super::assemble::{Assembled, assemble, chunk_bytes_of, list_hash};
use super::upload::{FinishedUpload, Place, Upload};
use super::write::{PutOutcome, check_conditions, put_outcome, settle};
use crate::bucket::bucket_of;
use crate::commit::plan::{
    AbortUpload, Applied, Mutation, Origin, PlannedBody, PutObject, PutPart, StartUpload,
};
use crate::engine::{Engine, Inner, random};
use crate::error::EngineError;
use crate::pending::Pending;
use crate::row::{BucketRow, PartRow, UploadRow, key};
use crate::storage::{Snapshot, Space, prefix_end};

/// A part that is being received.
#[derive(Debug)]
pub struct PartUpload {
    /// Takes the bytes.
    pub upload: Upload,
    id: UploadId,
    number: u16,
    charges: Vec<Charge>,
}

/// A part that arrived whole.
#[derive(Debug)]
pub struct FinishedPart {
    upload: FinishedUpload,
    id: UploadId,
    number: u16,
    charges: Vec<Charge>,
}

impl PartUpload {
    /// Ends the part: length and hash must be the signed ones. Blocks when a last chunk is to be written.
    ///
    /// # Errors
    /// Those of [`Upload::finish`].
    pub fn finish(self) -> Result<FinishedPart, EngineError> {
        Ok(FinishedPart {
            upload: self.upload.finish()?,
            id: self.id,
            number: self.number,
            charges: self.charges,
        })
    }
}

/// One part of an unfinished upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedPart {
    /// Its number, from 1.
    pub number: u16,
    /// BLAKE3 of its bytes.
    pub etag: ContentHash,
    /// Its length in bytes.
    pub len: u64,
}

/// An unfinished upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadInfo {
    /// The size of its parts but the last.
    pub part_bytes: u64,
    /// When it is forgotten.
    pub expires: UnixMillis,
    /// The parts that are there, by number.
    pub parts: Vec<ListedPart>,
}

impl Engine {
    /// Starts an upload in parts of `part_bytes` for the key that `proof` names. What is kept with the object is given
    /// here.
    ///
    /// # Errors
    /// `InvalidPart` when `part_bytes` is no multiple of 1 MiB from 5 MiB to 1 GiB, and those of every write.
    pub fn start_upload(
        &self,
        proof: &Authorized,
        part_bytes: u64,
        headers: ObjectHeaders,
    ) -> Pending<UploadId> {
        let id = random().map(UploadId::from_bytes);
        let planned = id
            .clone()
            .and_then(|id| self.inner.plan_start(proof, id, part_bytes, headers));
        self.inner.submit(proof, planned, None, move |_| id)
    }

    /// Begins to receive part `number`, of the signed length and hash. Reads the storage.
    ///
    /// # Errors
    /// `NoSuchUpload`, `InvalidPart`, `Forbidden` when the object would not fit the proof's limits, `TooLarge`, and
    /// those of [`Engine::begin_upload`].
    pub fn begin_part(
        &self,
        proof: &Authorized,
        upload: UploadId,
        number: u16,
        digest: ContentDigest,
    ) -> Result<PartUpload, EngineError> {
        self.inner.admit_bytes()?;
        let snapshot = self.inner.storage.snapshot();
        let (bucket, row) = self.inner.upload(&*snapshot, proof, upload)?;
        let part_bytes = u64::from(row.part_bytes);
        if row.completed.is_some() {
            return Err(EngineError::NoSuchUpload);
        }
        if !(1..=PARTS_MAX).contains(&number) || !(1..=part_bytes).contains(&digest.len()) {
            return Err(EngineError::InvalidPart);
        }
        let offset = part_bytes * u64::from(number - 1);
        check_size(&bucket, offset + digest.len())?;
        let settled = settle(proof, &row.key, &row.headers, offset + digest.len())?;
        let chunk_bytes = chunk_bytes_of(part_bytes);
        Ok(PartUpload {
            upload: self.receive(&bucket, digest, Place::Part { offset, chunk_bytes }),
            id: upload,
            number,
            charges: settled.charges().to_vec(),
        })
    }

    /// Makes a received part durable; it replaces an earlier one of the number. Answers its etag.
    ///
    /// # Errors
    /// `NoSuchUpload`, `QuotaExceeded`, and those of every write.
    pub fn put_part(&self, proof: &Authorized, part: FinishedPart) -> Pending<ContentHash> {
        let FinishedPart {
            upload,
            id,
            number,
            charges,
        } = part;
        let FinishedUpload {
            bucket,
            etag,
            len,
            body,
            values,
            pins,
            ..
        } = upload;
        let planned = (|| {
            bucket_of(proof, Op::Put)?;
            let PlannedBody::Chunked { chunk_bytes, chunks } = body else {
                return Err(EngineError::InvalidPart);
            };
            Ok(Mutation::PutPart(Box::new(PutPart {
                bucket,
                upload: id,
                number,
                chunk_bytes,
                part: PartRow {
                    etag,
                    len,
                    chunks,
                    values,
                    reference: VersionId::from_bytes(random()?),
                    charges: Vec::new(),
                },
                charges,
            })))
        })();
        self.inner.submit(proof, planned, Some(pins), move |_| Ok(etag))
    }

    /// The unfinished upload with the parts that are there.
    ///
    /// # Errors
    /// `NoSuchUpload`, also for an upload of another key or of somebody else.
    pub fn upload(&self, proof: &Authorized, upload: UploadId) -> Result<UploadInfo, EngineError> {
        let snapshot = self.inner.storage.snapshot();
        let (bucket, row) = self.inner.upload(&*snapshot, proof, upload)?;
        if row.completed.is_some() {
            return Err(EngineError::NoSuchUpload);
        }
        let parts = parts(&*snapshot, &bucket.id, upload)?;
        let parts = parts.into_iter().map(|(number, part)| ListedPart {
            number,
            etag: part.etag,
            len: part.len,
        });
        Ok(UploadInfo {
            part_bytes: u64::from(row.part_bytes),
            expires: row.expires,
            parts: parts.collect(),
        })
    }

    /// Makes the parts an object: `list` names every part from 1 on with its etag. Nothing is read again. The same
    /// completion gives the same answer until the upload is forgotten.
    ///
    /// # Errors
    /// `NoSuchUpload`, `InvalidPart` when the list has a gap, a part that is not there, or a part before the last that
    /// is not full; and those of [`Engine::put`].
    #[tracing::instrument(name = "engine::object::complete", level = "debug", skip_all)]
    pub fn complete_upload(
        &self,
        proof: &Authorized,
        upload: UploadId,
        list: &[(u16, ContentHash)],
        preconditions: Preconditions,
    ) -> Pending<PutOutcome> {
        let planned = self.inner.plan_complete(proof, upload, list, preconditions);
        self.inner.submit(proof, planned, None, put_outcome)
    }

    /// Ends an upload without an object.
    ///
    /// # Errors
    /// `NoSuchUpload`, and those of every write.
    pub fn abort_upload(&self, proof: &Authorized, upload: UploadId) -> Pending<()> {
        let planned = (|| {
            let (bucket, _) = self
                .inner
                .upload(&*self.inner.storage.snapshot(), proof, upload)?;
            let bucket = bucket.id;
            Ok(Mutation::AbortUpload(Box::new(AbortUpload { bucket, upload })))
        })();
        self.inner.submit(proof, planned, None, |applied| match applied {
            Applied::Nothing => Ok(()),
            _ => Err(EngineError::OutcomeUnknown),
        })
    }
}

fn check_size(bucket: &BucketRow, len: u64) -> Result<(), EngineError> {
    let max = bucket.config.object_bytes_max.unwrap_or(OBJECT_BYTES_MAX);
    if len > max.min(OBJECT_BYTES_MAX) {
        Err(EngineError::TooLarge)
    } else {
        Ok(())
    }
}

fn parts(
    snapshot: &dyn Snapshot,
    bucket: &BucketId,
    upload: UploadId,
) -> Result<Vec<(u16, PartRow)>, EngineError> {
    let prefix = key::parts_of(bucket, upload);
    let rows = snapshot.range(Space::Index, &prefix, &prefix_end(&prefix), false);
    rows.map(|row| {
        let (row_key, row) = row?;
        Ok((key::number_of_part(&row_key)?, PartRow::decode(&row)?))
    })
    .collect()
}

impl Inner {
    /// The caller's upload for the key that `proof` names.
    fn upload(
        &self,
        snapshot: &dyn Snapshot,
        proof: &Authorized,
        upload: UploadId,
    ) -> Result<(std::sync::Arc<BucketRow>, UploadRow), EngineError> {
        let bucket = self.bucket(bucket_of(proof, Op::Put)?)?;
        let object = proof.key().ok_or(EngineError::Forbidden)?;
        let row = snapshot.get(Space::Index, &key::upload(&bucket.id, upload))?;
        let row = UploadRow::decode(&row.ok_or(EngineError::NoSuchUpload)?)?;
        let actor = proof.actor().to_string();
        if row.key != *object || row.actor != actor || row.expires <= self.now() {
            return Err(EngineError::NoSuchUpload);
        }
        Ok((bucket, row))
    }

    fn plan_start(
        &self,
        proof: &Authorized,
        upload: UploadId,
        part_bytes: u64,
        headers: ObjectHeaders,
    ) -> Result<Mutation, EngineError> {
        let name = bucket_of(proof, Op::Put)?;
        let object = proof.key().ok_or(EngineError::Forbidden)?;
        object.check_writable().map_err(|_| EngineError::ReservedKey)?;
        if !(PART_BYTES_MIN..=PART_BYTES_MAX).contains(&part_bytes)
            || !part_bytes.is_multiple_of(PART_BYTES_STEP)
        {
            return Err(EngineError::InvalidPart);
        }
        self.admit_bytes()?;
        let bucket = self.bucket(name)?;
        if bucket.config.kind == BucketKind::Documents {
            return Err(EngineError::NotForDocuments);
        }
        let bucket = bucket.id;
        // A type that the grants do not allow is refused before gigabytes are sent.
        settle(proof, object, &headers, 0)?;
        let row = UploadRow {
            key: object.clone(),
            actor: proof.actor().to_string(),
            part_bytes: u32::try_from(part_bytes).map_err(|_| EngineError::InvalidPart)?,
            expires: UnixMillis::new(self.now().get().saturating_add(UPLOAD_MS)),
            headers,
            completed: None,
        };
        Ok(Mutation::StartUpload(Box::new(StartUpload {
            bucket,
            upload,
            row,
        })))
    }

    fn plan_complete(
        &self,
        proof: &Authorized,
        upload: UploadId,
        list: &[(u16, ContentHash)],
        preconditions: Preconditions,
    ) -> Result<Mutation, EngineError> {
        check_conditions(proof, &preconditions)?;
        self.admit_bytes()?;
        let snapshot = self.storage.snapshot();
        let (bucket, row) = self.upload(&*snapshot, proof, upload)?;
        let hash = list_hash(list);
        let object = if let Some(done) = row.completed {
            if done.list != hash {
                return Err(EngineError::NoSuchUpload);
            }
            // The commit knows it again and answers as it did.
            Assembled {
                etag: done.etag,
                len: 0,
                chunks: Vec::new(),
            }
        } else {
            let stored = parts(&*snapshot, &bucket.id, upload)?;
            assemble(&stored, list, u64::from(row.part_bytes))?
        };
        check_size(&bucket, object.len)?;
        let settled = settle(proof, &row.key, &row.headers, object.len)?;
        let chunk_bytes = chunk_bytes_of(u64::from(row.part_bytes));
        Ok(Mutation::PutObject(Box::new(PutObject {
            bucket: bucket.id,
            key: row.key,
            body: PlannedBody::Chunked {
                chunk_bytes: u32::try_from(chunk_bytes).unwrap_or(u32::MAX),
                chunks: object.chunks,
            },
            etag: object.etag,
            len: object.len,
            headers: row.headers,
            preconditions,
            create_only: settled.create_only(),
            charges: settled.charges().to_vec(),
            origin: Origin::Parts {
                upload,
                parts: list.iter().map(|(_, etag)| *etag).collect(),
                list: hash,
            },
            document: None,
        })))
    }
}
