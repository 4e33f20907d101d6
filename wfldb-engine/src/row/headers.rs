//! The kept headers of an object inside its row and inside the row of an upload: the same fields in two tables.

use flatbuffers::{FlatBufferBuilder, ForwardsUOffset, Vector, WIPOffset};
use wfldb_core::object::{HeaderText, ObjectHeaders, Tags};
use wfldb_schemas::store;

pub(super) type PairVector<'a> = Vector<'a, ForwardsUOffset<store::Pair<'a>>>;

/// The headers as offsets in a buffer that is being built.
pub(super) struct StoredHeaders {
    pub(super) content_type: Option<WIPOffset<&'static str>>,
    pub(super) cache_control: Option<WIPOffset<&'static str>>,
    pub(super) expires: Option<WIPOffset<&'static str>>,
    pub(super) meta: Option<WIPOffset<PairVector<'static>>>,
    pub(super) tags: Option<WIPOffset<PairVector<'static>>>,
    pub(super) ttl_seconds: u64,
}

impl StoredHeaders {
    pub(super) fn create(builder: &mut FlatBufferBuilder<'static>, headers: &ObjectHeaders) -> Self {
        let text = |builder: &mut FlatBufferBuilder<'static>, value: &Option<HeaderText>| {
            value.as_ref().map(|value| builder.create_string(value.as_str()))
        };
        let content_type = text(builder, &headers.content_type);
        let cache_control = text(builder, &headers.cache_control);
        let expires = text(builder, &headers.expires);
        let meta = headers.meta.iter();
        let meta = pairs(builder, meta.map(|(name, value)| (name.as_str(), value.as_str())));
        let tags = pairs(builder, headers.tags.iter());
        Self {
            content_type,
            cache_control,
            expires,
            meta,
            tags,
            ttl_seconds: headers.ttl_seconds.unwrap_or(0),
        }
    }
}

/// The fields as a row has them.
pub(super) struct ReadHeaders<'a> {
    pub(super) content_type: Option<&'a str>,
    pub(super) cache_control: Option<&'a str>,
    pub(super) expires: Option<&'a str>,
    pub(super) meta: Option<PairVector<'a>>,
    pub(super) tags: Option<PairVector<'a>>,
    pub(super) ttl_seconds: u64,
}

/// The headers, or `None` when they are not what was written.
pub(super) fn read_headers(read: &ReadHeaders<'_>) -> Option<ObjectHeaders> {
    let text = |value: Option<&str>| value.map(HeaderText::parse).transpose().ok();
    let mut meta = Vec::new();
    for (name, value) in read_pairs(read.meta) {
        meta.push((name.to_owned(), HeaderText::parse(value).ok()?));
    }
    let tags = read_pairs(read.tags).map(|(name, value)| (name.to_owned(), value.to_owned()));
    Some(ObjectHeaders {
        content_type: text(read.content_type)?,
        cache_control: text(read.cache_control)?,
        expires: text(read.expires)?,
        meta,
        tags: Tags::from_pairs(tags).ok()?,
        ttl_seconds: (read.ttl_seconds > 0).then_some(read.ttl_seconds),
    })
}

fn pairs<'a>(
    builder: &mut FlatBufferBuilder<'static>,
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
) -> Option<WIPOffset<PairVector<'static>>> {
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
