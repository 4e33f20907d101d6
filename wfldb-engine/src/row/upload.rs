//! Uploads in parts as stored: FlatBuffers, tables `UploadRow` and `PartRow` of `schemas/store.fbs`.

use flatbuffers::FlatBufferBuilder;
use wfldb_core::auth::GrantId;
use wfldb_core::id::{ChunkHash, ContentHash, Seq, VersionId};
use wfldb_core::name::ObjectKey;
use wfldb_core::object::ObjectHeaders;
use wfldb_core::time::UnixMillis;
use wfldb_schemas::store;

use super::headers::{ReadHeaders, StoredHeaders, read_headers};
use super::{RowError, hash, hash_bytes, id, id_bytes, verifier};

const DAMAGED_UPLOAD: RowError = RowError("upload");
const DAMAGED_PART: RowError = RowError("part");

/// An upload, unfinished or completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UploadRow {
    pub(crate) key: ObjectKey,
    /// Who started it: nobody else sees it.
    pub(crate) actor: String,
    pub(crate) part_bytes: u32,
    /// When it is forgotten.
    pub(crate) expires: UnixMillis,
    pub(crate) headers: ObjectHeaders,
    pub(crate) completed: Option<Completed>,
}

/// How an upload ended, so that the same completion can be answered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Completed {
    pub(crate) version: VersionId,
    pub(crate) seq: Seq,
    pub(crate) etag: ContentHash,
    pub(crate) created: bool,
    /// BLAKE3 over the part list.
    pub(crate) list: [u8; 32],
}

impl UploadRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::with_capacity(512);
        let key = Some(builder.create_string(self.key.as_str()));
        let actor = Some(builder.create_string(&self.actor));
        let StoredHeaders {
            content_type,
            cache_control,
            expires,
            meta,
            tags,
            ttl_seconds,
        } = StoredHeaders::create(&mut builder, &self.headers);
        let done = self.completed.as_ref();
        let version = done.map(|done| id(&done.version.to_bytes()));
        let etag = done.map(|done| hash(done.etag.as_bytes()));
        let parts = done.map(|done| hash(&done.list));
        let args = store::UploadRowArgs {
            key,
            actor,
            part_bytes: self.part_bytes,
            expires_ms: self.expires.get(),
            content_type,
            cache_control,
            expires,
            meta,
            tags,
            ttl_seconds,
            version: version.as_ref(),
            seq: done.map_or(0, |done| done.seq.get()),
            etag: etag.as_ref(),
            created: done.is_some_and(|done| done.created),
            parts: parts.as_ref(),
        };
        let row = store::UploadRow::create(&mut builder, &args);
        builder.finish(row, None);
        builder.finished_data().to_vec()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self, RowError> {
        let row = flatbuffers::root_with_opts::<store::UploadRow<'_>>(&verifier(), row)
            .map_err(|_| DAMAGED_UPLOAD)?;
        let headers = read_headers(&ReadHeaders {
            content_type: row.content_type(),
            cache_control: row.cache_control(),
            expires: row.expires(),
            meta: row.meta(),
            tags: row.tags(),
            ttl_seconds: row.ttl_seconds(),
        });
        let completed = match (row.version(), row.etag(), row.parts()) {
            (Some(version), Some(etag), Some(list)) => Some(Completed {
                version: VersionId::from_bytes(id_bytes(version)),
                seq: Seq::new(row.seq()),
                etag: ContentHash::from_bytes(hash_bytes(etag)),
                created: row.created(),
                list: hash_bytes(list),
            }),
            (None, None, None) => None,
            _ => return Err(DAMAGED_UPLOAD),
        };
        Ok(Self {
            key: ObjectKey::parse(row.key()).map_err(|_| DAMAGED_UPLOAD)?,
            actor: row.actor().to_owned(),
            part_bytes: row.part_bytes(),
            expires: UnixMillis::new(row.expires_ms()),
            headers: headers.ok_or(DAMAGED_UPLOAD)?,
            completed,
        })
    }
}

/// One part of an unfinished upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartRow {
    pub(crate) etag: ContentHash,
    pub(crate) len: u64,
    pub(crate) chunks: Vec<ChunkHash>,
    /// Of each chunk: the BLAKE3 chaining value at its place in the object.
    pub(crate) values: Vec<[u8; 32]>,
    /// Stands for the part where a version would stand in the references of its chunks.
    pub(crate) reference: VersionId,
    pub(crate) charges: Vec<GrantId>,
}

impl PartRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::with_capacity(512);
        let chunks: Vec<_> = self.chunks.iter().map(|chunk| hash(chunk.as_bytes())).collect();
        let chunks = Some(builder.create_vector(&chunks));
        let values: Vec<_> = self.values.iter().map(hash).collect();
        let values = Some(builder.create_vector(&values));
        let charges: Vec<_> = self.charges.iter().map(|grant| hash(grant.as_bytes())).collect();
        let charges = (!charges.is_empty()).then(|| builder.create_vector(&charges));
        let args = store::PartRowArgs {
            etag: Some(&hash(self.etag.as_bytes())),
            len: self.len,
            chunks,
            values,
            reference: Some(&id(&self.reference.to_bytes())),
            charges,
        };
        let row = store::PartRow::create(&mut builder, &args);
        builder.finish(row, None);
        builder.finished_data().to_vec()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self, RowError> {
        let row =
            flatbuffers::root_with_opts::<store::PartRow<'_>>(&verifier(), row).map_err(|_| DAMAGED_PART)?;
        let chunks = row.chunks().into_iter().flatten();
        let values = row.values().into_iter().flatten();
        let charges = row.charges().into_iter().flatten();
        let part = Self {
            etag: ContentHash::from_bytes(hash_bytes(row.etag())),
            len: row.len(),
            chunks: chunks
                .map(|chunk| ChunkHash::from_bytes(hash_bytes(chunk)))
                .collect(),
            values: values.map(hash_bytes).collect(),
            reference: VersionId::from_bytes(id_bytes(row.reference())),
            charges: charges
                .map(|grant| GrantId::from_bytes(hash_bytes(grant)))
                .collect(),
        };
        if part.chunks.len() == part.values.len() {
            Ok(part)
        } else {
            Err(DAMAGED_PART)
        }
    }
}
