//! Receiving a body: hashed as it comes, cut into chunks that go to disk, never whole in memory (INVARIANT 5).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use wfldb_core::auth::{Authorized, Op};
use wfldb_core::chunk;
use wfldb_core::id::{BucketId, ChunkHash, ContentHash};
use wfldb_core::limits::{CHUNK_BYTES, INLINE_BYTES_MAX, OBJECT_BYTES_MAX};
use wfldb_core::name::BucketName;
use wfldb_core::object::{BucketKind, ContentDigest};

use crate::bucket::{admits, bucket_of};
use crate::chunk::{ChunkBuffer, ChunkError, ChunkWriter, Pins};
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
    sha256: Option<Sha256>,
    body: Body,
}

enum Body {
    /// Small: kept for the commit. Hashed at the end, in one go.
    Inline(BytesMut),
    Chunked(Box<Chunked>),
}

/// A body that is cut into chunks.
struct Chunked {
    chunk_bytes: usize,
    /// For a part: where it begins in its object.
    offset: Option<u64>,
    /// The hash of the whole so far.
    blake3: blake3::Hasher,
    /// The chunk that is being received.
    buffer: ChunkBuffer,
    writer: ChunkWriter,
    chunks: Vec<ChunkHash>,
    /// For a part: the BLAKE3 value of each chunk at its place in the object.
    values: Vec<[u8; 32]>,
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
    /// `ReservedKey`, `SignatureRequired`.
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
        admits(bucket, proof)?;
        if bucket.config.kind == BucketKind::Documents {
            return Err(EngineError::NotForDocuments);
        }
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
        let chunked = |chunk_bytes, offset| {
            Body::Chunked(Box::new(Chunked {
                chunk_bytes,
                offset,
                blake3: blake3::Hasher::new(),
                buffer: self.inner.chunks.buffer(digest.len()),
                writer: ChunkWriter::new(Arc::clone(&self.inner.chunks), bucket.id),
                chunks: Vec::new(),
                values: Vec::new(),
            }))
        };
        let body = match place {
            Place::Inline => {
                let len = usize::try_from(digest.len()).unwrap_or(INLINE_BYTES_MAX);
                Body::Inline(BytesMut::with_capacity(len.min(INLINE_BYTES_MAX)))
            }
            Place::Object => chunked(CHUNK_BYTES, None),
            Place::Part { offset, chunk_bytes } => chunked(chunk_bytes, Some(offset)),
        };
        Upload {
            name: bucket.name.clone(),
            bucket: bucket.id,
            received: 0,
            sha256: matches!(digest, ContentDigest::Sha256 { .. }).then(Sha256::new),
            digest,
            body,
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
        matches!(self.body, Body::Inline(_))
    }

    #[cfg(test)]
    pub(crate) fn buffered(&self) -> usize {
        match &self.body {
            Body::Inline(buffer) => buffer.len(),
            Body::Chunked(chunked) => chunked.buffer.len(),
        }
    }

    /// Takes the next bytes. Blocks when they fill a chunk, which is then written.
    ///
    /// # Errors
    /// `LengthMismatch` at the first byte beyond the signed length; `StorageFull` when a chunk, this one or one before
    /// it, cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), EngineError> {
        self.received += bytes.len() as u64;
        if self.received > self.digest.len() {
            return Err(EngineError::LengthMismatch);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        match &mut self.body {
            Body::Inline(buffer) => buffer.extend_from_slice(bytes),
            Body::Chunked(chunked) => chunked.write(&self.inner, bytes)?,
        }
        Ok(())
    }

    /// Ends the body: its length and hash must be the signed ones. Blocks until the chunks are on stable storage.
    ///
    /// # Errors
    /// `LengthMismatch`, `HashMismatch`, `StorageFull`. Nothing of the body is left then.
    pub fn finish(self) -> Result<FinishedUpload, EngineError> {
        if self.received != self.digest.len() {
            return Err(EngineError::LengthMismatch);
        }
        let mut finished = FinishedUpload {
            name: self.name,
            bucket: self.bucket,
            etag: ContentHash::of(b""),
            len: self.received,
            body: PlannedBody::Inline(Bytes::new()),
            values: Vec::new(),
            pins: Pins::new(Arc::clone(&self.inner.chunks)),
        };
        let unsettled = match self.body {
            Body::Inline(buffer) => {
                finished.etag = ContentHash::of(&buffer);
                finished.body = PlannedBody::Inline(buffer.freeze());
                None
            }
            Body::Chunked(mut chunked) => {
                chunked.put_rest(&self.inner)?;
                finished.etag = ContentHash::from_bytes(*chunked.blake3.finalize().as_bytes());
                finished.body = PlannedBody::Chunked {
                    chunk_bytes: u32::try_from(chunked.chunk_bytes).unwrap_or(u32::MAX),
                    chunks: chunked.chunks,
                };
                finished.values = chunked.values;
                Some(chunked.writer)
            }
        };
        let matches = match &self.digest {
            ContentDigest::None | ContentDigest::Unhashed { .. } => true,
            ContentDigest::Blake3 { hash, .. } => *hash == finished.etag,
            ContentDigest::Sha256 { hash, .. } => self
                .sha256
                .is_some_and(|sha256| sha256.finalize().as_slice() == hash.as_slice()),
        };
        if !matches {
            return Err(EngineError::HashMismatch);
        }
        if let Some(writer) = unsettled {
            finished.pins = writer.finish().map_err(unwritten)?;
        }
        Ok(finished)
    }
}

impl Chunked {
    fn write(&mut self, inner: &Inner, bytes: &[u8]) -> Result<(), EngineError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let space = self.chunk_bytes - self.buffer.len();
            let (part, after) = rest.split_at(space.min(rest.len()));
            self.buffer.extend_from_slice(part);
            rest = after;
            if self.buffer.len() == self.chunk_bytes {
                self.put_rest(inner)?;
            }
        }
        Ok(())
    }

    /// Writes what is in the buffer as a chunk.
    fn put_rest(&mut self, inner: &Inner) -> Result<(), EngineError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.blake3.update(&self.buffer);
        if let Some(offset) = self.offset {
            let before = self.chunks.len() as u64 * self.chunk_bytes as u64;
            self.values.push(chunk::value_at(offset + before, &self.buffer));
        }
        inner.admit_chunk()?;
        let chunk = self.writer.put(&self.buffer).map_err(unwritten)?;
        self.chunks.push(chunk);
        self.buffer.clear();
        Ok(())
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
        self.admit_chunk()?;
        self.chunks.put(bucket, bytes, pins).map_err(unwritten)
    }

    fn admit_chunk(&self) -> Result<(), EngineError> {
        self.admit_bytes().map_err(|_| EngineError::StorageFull)
    }
}

fn unwritten(error: ChunkError) -> EngineError {
    match error {
        // Nothing of the object is named yet, so this write failed for certain.
        ChunkError::Io(error) => {
            tracing::error!(%error, "a chunk could not be written");
            EngineError::StorageFull
        }
        other => EngineError::Read(other.to_string()),
    }
}
