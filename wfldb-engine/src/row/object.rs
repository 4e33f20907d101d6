//! One version of an object as stored: FlatBuffers, table `ObjectRow` of `schemas/store.fbs`.

use flatbuffers::FlatBufferBuilder;
use wfldb_core::auth::GrantId;
use wfldb_core::doc::DocumentSignature;
use wfldb_core::id::{ChunkHash, ContentHash, LogPosition, Seq, SignatureBytes, VersionId};
use wfldb_core::object::ObjectHeaders;
use wfldb_core::time::UnixMillis;
use wfldb_schemas::store;

use super::headers::{ReadHeaders, StoredHeaders, read_headers};
use super::{RowError, hash, hash_bytes, id, id_bytes, verifier};

const DAMAGED: RowError = RowError("object");

/// Everything that is kept of a version, but its key (which is in the row's key) and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectRow {
    pub(crate) version: VersionId,
    pub(crate) seq: Seq,
    pub(crate) position: LogPosition,
    /// A tombstone: the key has no object from this version on.
    pub(crate) deleted: bool,
    pub(crate) etag: ContentHash,
    pub(crate) len: u64,
    pub(crate) modified: UnixMillis,
    pub(crate) headers: ObjectHeaders,
    /// The bytes stand in `bodies`, not in chunks.
    pub(crate) inline: bool,
    pub(crate) chunk_bytes: u32,
    /// In order; empty in a head row even when the object is chunked.
    pub(crate) chunks: Vec<ChunkHash>,
    pub(crate) charges: Vec<GrantId>,
    /// A version right before this one was removed, so that what was current then cannot be told any more.
    pub(crate) pruned: bool,
    /// Of a document: the store's signature, over what its bytes say.
    pub(crate) signature: Option<DocumentSignature>,
}

impl ObjectRow {
    /// The row for `heads`: the same without what only the body's reader and the sweeper need.
    pub(crate) fn head(&self) -> Self {
        Self {
            chunks: Vec::new(),
            charges: Vec::new(),
            ..self.clone()
        }
    }

    /// When the version ends, if it has a time to live.
    pub(crate) fn expires(&self) -> Option<UnixMillis> {
        let ttl = self.headers.ttl_seconds?;
        let ends = self.modified.get().saturating_add(ttl.saturating_mul(1000));
        Some(UnixMillis::new(ends))
    }

    /// Whether the version is an object at `now`: neither a tombstone nor at its end.
    pub(crate) fn is_live(&self, now: UnixMillis) -> bool {
        !self.deleted && self.expires().is_none_or(|expires| now < expires)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::with_capacity(512);
        let StoredHeaders {
            content_type,
            cache_control,
            expires,
            meta,
            tags,
            ttl_seconds,
        } = StoredHeaders::create(&mut builder, &self.headers);
        let chunks: Vec<_> = self.chunks.iter().map(|chunk| hash(chunk.as_bytes())).collect();
        let chunks = (!chunks.is_empty()).then(|| builder.create_vector(&chunks));
        let charges: Vec<_> = self.charges.iter().map(|grant| hash(grant.as_bytes())).collect();
        let charges = (!charges.is_empty()).then(|| builder.create_vector(&charges));
        let signature = self.signature.as_ref();
        let signature = signature.map(|signed| store::Signature::new(&signed.key, signed.bytes.as_bytes()));
        let row = store::ObjectRow::create(
            &mut builder,
            &store::ObjectRowArgs {
                version: Some(&id(&self.version.to_bytes())),
                seq: self.seq.get(),
                position: self.position.get(),
                deleted: self.deleted,
                etag: Some(&hash(self.etag.as_bytes())),
                len: self.len,
                modified_ms: self.modified.get(),
                content_type,
                cache_control,
                expires,
                meta,
                tags,
                inline: self.inline,
                chunk_bytes: self.chunk_bytes,
                chunks,
                charges,
                ttl_seconds,
                pruned: self.pruned,
                signature: signature.as_ref(),
            },
        );
        builder.finish(row, None);
        builder.finished_data().to_vec()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self, RowError> {
        let row =
            flatbuffers::root_with_opts::<store::ObjectRow<'_>>(&verifier(), row).map_err(|_| DAMAGED)?;
        let headers = read_headers(&ReadHeaders {
            content_type: row.content_type(),
            cache_control: row.cache_control(),
            expires: row.expires(),
            meta: row.meta(),
            tags: row.tags(),
            ttl_seconds: row.ttl_seconds(),
        })
        .ok_or(DAMAGED)?;
        let chunks = row.chunks().into_iter().flatten();
        let charges = row.charges().into_iter().flatten();
        Ok(Self {
            version: VersionId::from_bytes(id_bytes(row.version())),
            seq: Seq::new(row.seq()),
            position: LogPosition::new(row.position()),
            deleted: row.deleted(),
            etag: ContentHash::from_bytes(hash_bytes(row.etag().ok_or(DAMAGED)?)),
            len: row.len(),
            modified: UnixMillis::new(row.modified_ms()),
            headers,
            inline: row.inline(),
            chunk_bytes: row.chunk_bytes(),
            chunks: chunks
                .map(|chunk| ChunkHash::from_bytes(hash_bytes(chunk)))
                .collect(),
            charges: charges
                .map(|grant| GrantId::from_bytes(hash_bytes(grant)))
                .collect(),
            pruned: row.pruned(),
            signature: row.signature().map(|signed| DocumentSignature {
                key: signed.key().into(),
                bytes: SignatureBytes::from_bytes(signed.bytes().into()),
            }),
        })
    }
}
