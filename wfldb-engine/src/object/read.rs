//! Reading an object: every byte is checked against a hash before it is returned.

use std::sync::Arc;

use bytes::Bytes;
use wfldb_core::auth::{Authorized, Op};
use wfldb_core::id::{BucketId, ChunkHash, ContentHash, VersionId};
use wfldb_core::name::ObjectKey;
use wfldb_core::time::UnixMillis;

use super::ObjectMeta;
use crate::bucket::{admits, bucket_of};
use crate::cache::{CachedBody, CachedObject};
use crate::chunk::{ChunkError, ChunkReader, ChunkStore};
use crate::engine::{Engine, Inner};
use crate::error::EngineError;
use crate::row::{ObjectRow, key};
use crate::storage::{Snapshot, Space, prefix_end};

/// The most bytes that one step of a read returns, and so about what a reader costs in memory.
const PIECE_BYTES: usize = 1024 * 1024;

/// Which version to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The newest live one.
    Newest,
    /// This one.
    Version(VersionId),
    /// The one that was current then, inclusive.
    At(UnixMillis),
}

/// An object that is being read, piece by piece.
#[derive(Debug)]
pub struct ObjectReader {
    meta: Arc<ObjectMeta>,
    body: Body,
    /// The next byte to return, and the end.
    at: u64,
    end: u64,
}

#[derive(Debug)]
enum Body {
    Inline(Bytes),
    Chunked(Chunked),
}

struct Chunked {
    store: Arc<ChunkStore>,
    bucket: BucketId,
    chunk_bytes: u64,
    chunks: Arc<[ChunkHash]>,
    open: Option<(u64, ChunkReader)>,
}

impl std::fmt::Debug for Chunked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chunked")
            .field("chunks", &self.chunks.len())
            .finish_non_exhaustive()
    }
}

/// The bytes of an inline version, checked.
pub(crate) fn inline_body(
    snapshot: &dyn Snapshot,
    bucket: &BucketId,
    row: &ObjectRow,
) -> Result<Bytes, EngineError> {
    let body = if row.len == 0 {
        Bytes::new()
    } else {
        let body = snapshot.get(Space::Bodies, &key::body(bucket, &row.version))?;
        body.ok_or(EngineError::Corrupt("body"))?
    };
    // INVARIANT 3: checked on read. What does not have its hash never leaves.
    if body.len() as u64 != row.len || ContentHash::of(&body) != row.etag {
        return Err(EngineError::Corrupt("body"));
    }
    Ok(body)
}

/// A live version with its bytes, or where they are.
fn opened(
    snapshot: &dyn Snapshot,
    bucket: &BucketId,
    object: &ObjectKey,
    row: ObjectRow,
) -> Result<CachedObject, EngineError> {
    let body = if row.inline {
        CachedBody::Inline(inline_body(snapshot, bucket, &row)?)
    } else {
        let chunk_bytes = u64::from(row.chunk_bytes);
        if chunk_bytes == 0 || row.len.div_ceil(chunk_bytes) != row.chunks.len() as u64 {
            return Err(EngineError::Corrupt("manifest"));
        }
        CachedBody::Chunked {
            chunk_bytes: row.chunk_bytes,
            chunks: Arc::from(row.chunks.as_slice()),
        }
    };
    Ok(CachedObject {
        meta: Arc::new(ObjectMeta::new(object.clone(), row)),
        body,
    })
}

/// The version of a key that was current at `time`.
fn version_at(
    snapshot: &dyn Snapshot,
    bucket: &BucketId,
    object: &ObjectKey,
    time: UnixMillis,
) -> Result<ObjectRow, EngineError> {
    let prefix = key::versions_of(bucket, object);
    let newest_then = key::version(bucket, object, &VersionId::from_parts(time, [u8::MAX; 10]));
    let found = snapshot
        .range(Space::Versions, &newest_then, &prefix_end(&prefix), false)
        .next()
        .transpose()?;
    // What came next knows whether something between the two was removed.
    let next = snapshot
        .range(Space::Versions, &prefix, &newest_then, true)
        .next()
        .transpose()?;
    if let Some((_, next)) = next
        && ObjectRow::decode(&next)?.pruned
    {
        return Err(EngineError::VersionPruned);
    }
    let (_, row) = found.ok_or(EngineError::NoSuchKey)?;
    Ok(ObjectRow::decode(&row)?)
}

impl Engine {
    /// Opens the object that `proof` names. An inline body is read and checked here; a chunked one by
    /// [`ObjectReader::next`]. May read the storage.
    ///
    /// # Errors
    /// `NoSuchBucket`, `SignatureRequired`, `NoSuchKey` (also for a tombstone, and for what has ended), `VersionPruned`,
    /// `Corrupt`.
    pub fn object(&self, proof: &Authorized, which: Which) -> Result<ObjectReader, EngineError> {
        let name = bucket_of(proof, Op::Get)?;
        let object = proof.key().ok_or(EngineError::Forbidden)?;
        // ORDER: the stamp before the snapshot; see `cache`.
        let at = self.inner.cache.read_at();
        let snapshot = self.inner.storage.snapshot();
        let row = self.inner.bucket(name)?;
        admits(&row, proof)?;
        let bucket = row.id;
        let version_row = |version: &VersionId| -> Result<Option<ObjectRow>, EngineError> {
            let row = snapshot.get(Space::Versions, &key::version(&bucket, object, version))?;
            Ok(row.map(|row| ObjectRow::decode(&row)).transpose()?)
        };
        let now = self.inner.now();
        let (row, seen_at) = match which {
            Which::Newest => {
                let head = snapshot.get(Space::Heads, &key::head(&bucket, object))?;
                let head = ObjectRow::decode(&head.ok_or(EngineError::NoSuchKey)?)?;
                // The head row names no chunks, so that listings stay small.
                let row = if head.inline {
                    head
                } else {
                    version_row(&head.version)?.ok_or(EngineError::Corrupt("version"))?
                };
                (row, now)
            }
            Which::Version(version) => (version_row(&version)?.ok_or(EngineError::NoSuchKey)?, now),
            Which::At(time) => (version_at(&*snapshot, &bucket, object, time)?, time),
        };
        // What has ended since is gone for good, whoever asks for when it had not.
        if !row.is_live(seen_at) || !row.is_live(now) {
            return Err(EngineError::NoSuchKey);
        }
        let opened = opened(&*snapshot, &bucket, object, row)?;
        if which == Which::Newest {
            self.inner.cache.keep_object(at, &bucket, &opened);
        }
        Ok(self.inner.reader(bucket, opened))
    }

    /// The newest version of the object that `proof` names, if it is in memory: for an async thread too. When it is
    /// chunked, [`ObjectReader::next`] blocks all the same.
    ///
    /// # Errors
    /// `Forbidden` when the proof is for something else, `SignatureRequired`.
    pub fn object_cached(&self, proof: &Authorized) -> Result<Option<ObjectReader>, EngineError> {
        let name = bucket_of(proof, Op::Get)?;
        let object = proof.key().ok_or(EngineError::Forbidden)?;
        let Some(bucket) = self.inner.cache.bucket(name) else {
            return Ok(None);
        };
        admits(&bucket, proof)?;
        let now = self.inner.now();
        let opened = self.inner.cache.object(&bucket.id, object);
        let opened = opened.filter(|opened| opened.meta.expires().is_none_or(|expires| now < expires));
        Ok(opened.map(|opened| self.inner.reader(bucket.id, opened)))
    }
}

impl Inner {
    /// The body of a version, which the caller found small enough.
    pub(super) fn whole_body(
        &self,
        snapshot: &dyn Snapshot,
        bucket: BucketId,
        object: &ObjectKey,
        row: ObjectRow,
    ) -> Result<Vec<u8>, EngineError> {
        let mut reader = self.reader(bucket, opened(snapshot, &bucket, object, row)?);
        let mut whole = Vec::new();
        while let Some(piece) = reader.next()? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }

    /// A version with its bytes, for a view of the store.
    pub(crate) fn opened(
        &self,
        snapshot: &dyn Snapshot,
        bucket: BucketId,
        object: &ObjectKey,
        row: ObjectRow,
    ) -> Result<ObjectReader, EngineError> {
        Ok(self.reader(bucket, opened(snapshot, &bucket, object, row)?))
    }

    fn reader(&self, bucket: BucketId, opened: CachedObject) -> ObjectReader {
        let body = match opened.body {
            CachedBody::Inline(bytes) => Body::Inline(bytes),
            CachedBody::Chunked { chunk_bytes, chunks } => Body::Chunked(Chunked {
                store: Arc::clone(&self.chunks),
                bucket,
                chunk_bytes: u64::from(chunk_bytes),
                chunks,
                open: None,
            }),
        };
        ObjectReader {
            at: 0,
            end: opened.meta.len,
            meta: opened.meta,
            body,
        }
    }
}

impl ObjectReader {
    /// What is stored with the bytes.
    #[must_use]
    pub fn meta(&self) -> &Arc<ObjectMeta> {
        &self.meta
    }

    /// Whether the whole body is in memory already: then `next` does not block.
    #[must_use]
    pub fn inline(&self) -> bool {
        matches!(self.body, Body::Inline(_))
    }

    /// The whole body of what is inline, checked.
    pub(crate) fn inline_bytes(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Inline(bytes) => Some(bytes),
            Body::Chunked(_) => None,
        }
    }

    /// Restricts the read to the bytes `start..end`, cut to the object's length. Before the first `next` only.
    pub fn select(&mut self, start: u64, end: u64) {
        self.end = end.min(self.meta.len);
        self.at = start.min(self.end);
    }

    /// The next bytes, at most 1 MiB; `None` at the end. Reads files.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are not those that were stored; nothing of them is returned.
    #[expect(
        clippy::should_implement_trait,
        reason = "it is fallible and blocking, which an iterator hides"
    )]
    pub fn next(&mut self) -> Result<Option<Bytes>, EngineError> {
        if self.at >= self.end {
            return Ok(None);
        }
        let piece = match &mut self.body {
            Body::Inline(bytes) => {
                let at = usize::try_from(self.at).map_err(|_| EngineError::Corrupt("body"))?;
                let end = usize::try_from(self.end).map_err(|_| EngineError::Corrupt("body"))?;
                if end > bytes.len() {
                    return Err(EngineError::Corrupt("body"));
                }
                bytes.slice(at..end)
            }
            Body::Chunked(chunked) => chunked.read(self.meta.len, self.at, self.end)?,
        };
        self.at += piece.len() as u64;
        Ok(Some(piece))
    }
}

/// The whole body of a chunked version, each byte checked. Reads files; for objects of a bounded size.
pub(crate) fn read_chunks(
    store: &Arc<ChunkStore>,
    bucket: BucketId,
    row: &ObjectRow,
) -> Result<Bytes, EngineError> {
    let chunk_bytes = u64::from(row.chunk_bytes);
    if chunk_bytes == 0 || row.len.div_ceil(chunk_bytes) != row.chunks.len() as u64 {
        return Err(EngineError::Corrupt("manifest"));
    }
    let mut chunked = Chunked {
        store: Arc::clone(store),
        bucket,
        chunk_bytes,
        chunks: Arc::from(row.chunks.as_slice()),
        open: None,
    };
    let mut body = Vec::new();
    while (body.len() as u64) < row.len {
        body.extend_from_slice(&chunked.read(row.len, body.len() as u64, row.len)?);
    }
    Ok(Bytes::from(body))
}

impl Chunked {
    fn read(&mut self, object_len: u64, at: u64, end: u64) -> Result<Bytes, EngineError> {
        let damaged = EngineError::Corrupt("chunk");
        let index = at / self.chunk_bytes;
        let start = index * self.chunk_bytes;
        let mut reader = match self.open.take() {
            Some((open, reader)) if open == index => reader,
            _ => {
                let chunk = usize::try_from(index)
                    .ok()
                    .and_then(|index| self.chunks.get(index));
                let len =
                    usize::try_from(self.chunk_bytes.min(object_len - start)).map_err(|_| damaged.clone())?;
                let chunk = chunk.ok_or_else(|| damaged.clone())?;
                self.store
                    .open_chunk(&self.bucket, chunk, len)
                    .map_err(|error| chunk_failed(&self.bucket, chunk, &error))?
            }
        };
        let offset = usize::try_from(at - start).map_err(|_| damaged.clone())?;
        let want = usize::try_from(end - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let read = reader.read(offset, want);
        let mut piece = match read {
            Ok(piece) if !piece.is_empty() => piece,
            Ok(_) => return Err(damaged),
            Err(error) => {
                let index = usize::try_from(index).ok();
                let chunk = index.and_then(|index| self.chunks.get(index)).copied();
                return Err(chunk.map_or(damaged, |chunk| chunk_failed(&self.bucket, &chunk, &error)));
            }
        };
        self.open = Some((index, reader));
        let left = usize::try_from(end - at).unwrap_or(usize::MAX);
        piece.truncate(left);
        Ok(piece)
    }
}

/// Says in the log which file it is; the caller learns only that the object is damaged.
pub(super) fn chunk_failed(bucket: &BucketId, chunk: &ChunkHash, error: &ChunkError) -> EngineError {
    tracing::error!(%bucket, %chunk, %error, "a chunk cannot be read");
    match error {
        ChunkError::Damaged(_) => EngineError::Corrupt("chunk"),
        ChunkError::Io(error) => EngineError::Read(error.to_string()),
        ChunkError::Reference(error) => EngineError::from(error.clone()),
    }
}
