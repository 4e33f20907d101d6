//! One version of an object as stored: FlatBuffers, table `ObjectRow` of `schemas/store.fbs`.

use flatbuffers::FlatBufferBuilder;
use wfldb_core::auth::GrantId;
use wfldb_core::id::{ChunkHash, ContentHash, LogPosition, Seq, VersionId};
use wfldb_core::object::{HeaderText, ObjectHeaders, Tags};
use wfldb_core::time::UnixMillis;
use wfldb_schemas::store;

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

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::with_capacity(512);
        let text = |builder: &mut FlatBufferBuilder<'static>, value: &Option<HeaderText>| {
            value.as_ref().map(|value| builder.create_string(value.as_str()))
        };
        let content_type = text(&mut builder, &self.headers.content_type);
        let cache_control = text(&mut builder, &self.headers.cache_control);
        let expires = text(&mut builder, &self.headers.expires);
        let meta = self
            .headers
            .meta
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let meta = pairs(&mut builder, meta);
        let tags = pairs(&mut builder, self.headers.tags.iter());
        let chunks: Vec<_> = self.chunks.iter().map(|chunk| hash(chunk.as_bytes())).collect();
        let chunks = (!chunks.is_empty()).then(|| builder.create_vector(&chunks));
        let charges: Vec<_> = self.charges.iter().map(|grant| hash(grant.as_bytes())).collect();
        let charges = (!charges.is_empty()).then(|| builder.create_vector(&charges));
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
            },
        );
        builder.finish(row, None);
        builder.finished_data().to_vec()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self, RowError> {
        let row =
            flatbuffers::root_with_opts::<store::ObjectRow<'_>>(&verifier(), row).map_err(|_| DAMAGED)?;
        let mut meta = Vec::new();
        for (name, value) in read_pairs(row.meta()) {
            meta.push((name.to_owned(), HeaderText::parse(value).map_err(|_| DAMAGED)?));
        }
        let tags =
            Tags::from_pairs(read_pairs(row.tags()).map(|(name, value)| (name.to_owned(), value.to_owned())))
                .map_err(|_| DAMAGED)?;
        let text = |value: Option<&str>| value.map(HeaderText::parse).transpose().map_err(|_| DAMAGED);
        let headers = ObjectHeaders {
            content_type: text(row.content_type())?,
            cache_control: text(row.cache_control())?,
            expires: text(row.expires())?,
            meta,
            tags,
            ttl_seconds: None,
        };
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
        })
    }
}

type PairVector<'a> = flatbuffers::Vector<'a, flatbuffers::ForwardsUOffset<store::Pair<'a>>>;

fn pairs<'a>(
    builder: &mut FlatBufferBuilder<'static>,
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
) -> Option<flatbuffers::WIPOffset<PairVector<'static>>> {
    let mut rows = Vec::new();
    for (name, value) in pairs {
        let name = Some(builder.create_string(name));
        let value = Some(builder.create_string(value));
        rows.push(store::Pair::create(builder, &store::PairArgs { name, value }));
    }
    (!rows.is_empty()).then(|| builder.create_vector(&rows))
}

fn read_pairs(pairs: Option<PairVector<'_>>) -> impl Iterator<Item = (&str, &str)> {
    pairs
        .into_iter()
        .flatten()
        .map(|pair| (pair.name(), pair.value()))
}
