//! Receiving a body: hashed as it comes, cut into chunks that go to disk, never whole in memory (INVARIANT 5).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use wfldb_core::auth::{Authorized, Op};
use wfldb_core::chunk;
use wfldb_core::id::{BucketId, ChunkHash, ContentHash};
use wfldb_core::limits::{CHUNK_BYTES, INLINE_BYTES_MAX, OBJECT_BYTES_MAX};
use wfldb_core::name::BucketName;
use wfldb_core::object::ContentDigest;

use crate::bucket::bucket_of;
use crate::chunk::{ChunkError, Pins};
use crate::commit::plan::PlannedBody;
use crate::engine::{Engine, Inner};
use crate::error::EngineError;
use crate::row::BucketRow;

/// A body on its way in. Dropping it leaves nothing.
pub struct Upload {
    inner: Arc<Inner>,
    name: BucketName,
    bucket: BucketId,
    digest: ContentDigest,
    received: u64,
    /// The hash of the whole body so far; of an inline one it is taken at the end, in one go.
    blake3: Option<Box<blake3::Hasher>>,
    sha256: Option<Sha256>,
    inline: bool,
    chunk_bytes: usize,
    /// For a part: where it begins in its object.
    offset: Option<u64>,
    buffer: BytesMut,
    chunks: Vec<ChunkHash>,
    /// For a part: the BLAKE3 value of each chunk at its place in the object.
    values: Vec<[u8; 32]>,
    pins: Pins,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload")
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

/// A body that arrived whole: its length and hash are those that were signed.
#[derive(Debug)]
pub struct FinishedUpload {
    pub(super) name: BucketName,
    pub(super) bucket: BucketId,
    pub(super) etag: ContentHash,
    pub(super) len: u64,
    pub(super) body: PlannedBody,
    pub(super) values: Vec<[u8; 32]>,
    pub(super) pins: Pins,
}

impl Engine {
    /// Begins to receive a body of the signed length and hash into the bucket that `proof` names. May read the storage.
    ///
    /// # Errors
    /// `NoSuchBucket`, `TooLarge`, `QuotaExceeded` (as far as it can be told now), `StorageFull`, `ReadOnly`,
    /// `ReservedKey`.
    pub fn begin_upload(&self, proof: &Authorized, digest: ContentDigest) -> Result<Upload, EngineError> {
        let name = bucket_of(proof, Op::Put)?;
        self.inner.admit_bytes()?;
        self.upload_into(proof, &*self.inner.bucket(name)?, digest)
    }

    /// The same, if it can be done without reading the storage, so on an async thread too.
    ///
    /// # Errors
    /// Those of [`Engine::begin_upload`].
    pub fn begin_upload_cached(
        &self,
        proof: &Authorized,
        digest: ContentDigest,
    ) -> Result<Option<Upload>, EngineError> {
        let name = bucket_of(proof, Op::Put)?;
        self.inner.admit_bytes()?;
        let bucket = self.inner.cache.bucket(name);
        bucket
            .map(|bucket| self.upload_into(proof, &bucket, digest))
            .transpose()
    }

    fn upload_into(
        &self,
        proof: &Authorized,
        bucket: &BucketRow,
        digest: ContentDigest,
    ) -> Result<Upload, EngineError> {
        let key = proof.key().ok_or(EngineError::Forbidden)?;
        key.check_writable().map_err(|_| EngineError::ReservedKey)?;
        let len = digest.len();
        let maxima = [
            Some(OBJECT_BYTES_MAX),
            bucket.config.object_bytes_max,
            proof.object_bytes_max(),
        ];
        if maxima.into_iter().flatten().any(|max| len > max) {
            return Err(EngineError::TooLarge);
        }
        if bucket.config.quota_bytes.is_some_and(|quota| len > quota) {
            return Err(EngineError::QuotaExceeded);
        }
        let place = if len <= INLINE_BYTES_MAX as u64 {
            Place::Inline
        } else {
            Place::Object
        };
        Ok(self.receive(bucket, digest, place))
    }

    pub(super) fn receive(&self, bucket: &BucketRow, digest: ContentDigest, place: Place) -> Upload {
        let inline = matches!(place, Place::Inline);
        let chunk_bytes = match place {
            Place::Part { chunk_bytes, .. } => chunk_bytes,
            Place::Inline | Place::Object => CHUNK_BYTES,
        };
        let len = usize::try_from(digest.len()).unwrap_or(chunk_bytes);
        Upload {
            name: bucket.name.clone(),
            bucket: bucket.id,
            received: 0,
            blake3: (!inline).then(|| Box::new(blake3::Hasher::new())),
            sha256: matches!(digest, ContentDigest::Sha256 { .. }).then(Sha256::new),
            digest,
            inline,
            chunk_bytes,
            offset: match place {
                Place::Part { offset, .. } => Some(offset),
                Place::Inline | Place::Object => None,
            },
            buffer: BytesMut::with_capacity(len.min(chunk_bytes)),
            chunks: Vec::new(),
            values: Vec::new(),
            pins: Pins::new(Arc::clone(&self.inner.chunks)),
            inner: Arc::clone(&self.inner),
        }
    }
}

/// Where the bytes that are received belong.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// Into the commit.
    Inline,
    /// They are an object of their own.
    Object,
    /// They are a part of one.
    Part { offset: u64, chunk_bytes: usize },
}

impl Upload {
    /// Whether the whole body stays in memory until its commit: then neither `write` nor `finish` blocks.
    #[must_use]
    pub fn is_inline(&self) -> bool {
        self.inline
    }

    #[cfg(test)]
    pub(crate) fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Takes the next bytes. Blocks when they fill a chunk, which is then put on stable storage.
    ///
    /// # Errors
    /// `LengthMismatch` at the first byte beyond the signed length; `StorageFull` when a chunk cannot be written.
    pub fn write(&mut self, bytes: Bytes) -> Result<(), EngineError> {
        self.received += bytes.len() as u64;
        if self.received > self.digest.len() {
            return Err(EngineError::LengthMismatch);
        }
        if self.inline {
            self.buffer.extend_from_slice(&bytes);
            return Ok(());
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let space = self.chunk_bytes - self.buffer.len();
            let part = rest.split_to(space.min(rest.len()));
            self.buffer.extend_from_slice(&part);
            if self.buffer.len() == self.chunk_bytes {
                self.put_chunk()?;
            }
        }
        Ok(())
    }

    fn put_chunk(&mut self) -> Result<(), EngineError> {
        if let Some(blake3) = &mut self.blake3 {
            blake3.update(&self.buffer);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(&self.buffer);
        }
        if let Some(offset) = self.offset {
            let before = self.chunks.len() as u64 * self.chunk_bytes as u64;
            self.values.push(chunk::value_at(offset + before, &self.buffer));
        }
        let chunk = self.inner.put_chunk(self.bucket, &self.buffer, &mut self.pins)?;
        self.chunks.push(chunk);
        self.buffer.clear();
        Ok(())
    }

    /// Ends the body: its length and hash must be the signed ones. Blocks when a last chunk is to be written.
    ///
    /// # Errors
    /// `LengthMismatch`, `HashMismatch`, `StorageFull`. Nothing of the body is left then.
    pub fn finish(mut self) -> Result<FinishedUpload, EngineError> {
        if self.received != self.digest.len() {
            return Err(EngineError::LengthMismatch);
        }
        if !self.inline && !self.buffer.is_empty() {
            self.put_chunk()?;
        }
        let etag = if let Some(blake3) = self.blake3.take() {
            ContentHash::from_bytes(*blake3.finalize().as_bytes())
        } else {
            if let Some(sha256) = &mut self.sha256 {
                sha256.update(&self.buffer);
            }
            ContentHash::of(&self.buffer)
        };
        let matches = match &self.digest {
            ContentDigest::None => true,
            ContentDigest::Blake3 { hash, .. } => *hash == etag,
            ContentDigest::Sha256 { hash, .. } => self
                .sha256
                .take()
                .is_some_and(|sha256| sha256.finalize().as_slice() == hash.as_slice()),
        };
        if !matches {
            return Err(EngineError::HashMismatch);
        }
        let body = if self.inline {
            PlannedBody::Inline(self.buffer.freeze())
        } else {
            let chunk_bytes = u32::try_from(self.chunk_bytes).unwrap_or(u32::MAX);
            PlannedBody::Chunked {
                chunk_bytes,
                chunks: self.chunks,
            }
        };
        Ok(FinishedUpload {
            name: self.name,
            bucket: self.bucket,
            etag,
            len: self.received,
            body,
            values: self.values,
            pins: self.pins,
        })
    }
}

impl Inner {
    /// Puts a chunk on stable storage and pins it.
    pub(super) fn put_chunk(
        &self,
        bucket: BucketId,
        bytes: &[u8],
        pins: &mut Pins,
    ) -> Result<ChunkHash, EngineError> {
        if self.admit_bytes().is_err() {
            return Err(EngineError::StorageFull);
        }
        self.chunks.put(bucket, bytes, pins).map_err(|error| match error {
            // Nothing of the object is named yet, so this write failed for certain.
            ChunkError::Io(error) => {
                tracing::error!(%error, "a chunk could not be written");
                EngineError::StorageFull
            }
            other => EngineError::Read(other.to_string()),
        })
    }
}
