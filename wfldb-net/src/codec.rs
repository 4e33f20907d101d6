//! The FlatBuffers form of answers (`schemas/wire.fbs`): building, and reading under our own limits.

mod batch;

use flatbuffers::{FlatBufferBuilder, ForwardsUOffset, Vector, VerifierOptions, WIPOffset};
use wfldb_core::doc::FieldPath;
use wfldb_core::id::{ContentHash, VersionId};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{BucketConfig, BucketKind, Retention};
use wfldb_core::time::UnixMillis;
use wfldb_schemas::wire;

pub use self::batch::{decode_batch, decode_batch_results, encode_batch, encode_batch_results};
use crate::bucket::{Bucket, BucketEntry, Buckets, Usage};
use crate::listing::{Item, Listing, Versions};
use crate::problem::Problem;

/// Largest buffer that is read: a full page of the longest items has less.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Smallest buffer with a root and a file identifier.
const ANSWER_BYTES_MIN: usize = 8;
/// Most tables of one buffer: a page of 1000 items with 16 tags each has 17,002, a list of buckets one for each.
const TABLES_MAX: usize = 200_000;

/// A buffer that is not the answer that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Not a buffer of the schema, or beyond the limits.
    #[error("not a valid answer buffer")]
    Malformed,
    /// A valid answer of another kind.
    #[error("an answer of another kind")]
    OtherKind,
    /// A field holds what its type cannot.
    #[error("a field of the answer is not valid")]
    Field,
}

/// Encodes a page of keys.
pub fn encode_listing(listing: &Listing) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::with_capacity(256 + listing.items.len() * 256);
    let items = items(&mut builder, &listing.items);
    let prefixes = listing.prefixes.as_ref().map(|prefixes| {
        let texts: Vec<_> = prefixes
            .iter()
            .map(|prefix| builder.create_string(prefix))
            .collect();
        builder.create_vector(&texts)
    });
    let cursor = listing
        .cursor
        .as_ref()
        .map(|cursor| builder.create_string(cursor));
    let args = wire::ListingArgs {
        items: Some(items),
        prefixes,
        cursor,
    };
    let body = wire::Listing::create(&mut builder, &args).as_union_value();
    finish(builder, wire::Body::Listing, body)
}

/// Encodes a page of versions.
pub fn encode_versions(versions: &Versions) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::with_capacity(256 + versions.items.len() * 256);
    let items = items(&mut builder, &versions.items);
    let cursor = versions
        .cursor
        .as_ref()
        .map(|cursor| builder.create_string(cursor));
    let args = wire::VersionsArgs {
        items: Some(items),
        cursor,
    };
    let body = wire::Versions::create(&mut builder, &args).as_union_value();
    finish(builder, wire::Body::Versions, body)
}

/// Encodes one bucket.
pub fn encode_bucket(bucket: &Bucket) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let name = builder.create_string(bucket.name.as_str());
    let time_field = bucket.config.time_field.as_ref().map(ToString::to_string);
    let time_field = time_field.map(|path| builder.create_string(&path));
    // Of a struct of texts and enums this cannot fail.
    let text = bucket.config.text.as_ref();
    let text = text.and_then(|text| serde_json::to_string(text).ok());
    let text = text.map(|text| builder.create_string(&text));
    let config = wire::BucketConfig::create(
        &mut builder,
        &wire::BucketConfigArgs {
            kind: kind_to_wire(bucket.config.kind),
            keep_versions: bucket.config.versions.and_then(|versions| versions.keep),
            keep_days: bucket.config.versions.and_then(|versions| versions.days),
            quota_bytes: bucket.config.quota_bytes,
            quota_objects: bucket.config.quota_objects,
            object_bytes_max: bucket.config.object_bytes_max,
            mirror: bucket.config.mirror,
            audit_reads: bucket.config.audit_reads,
            require_signature: bucket.config.require_signature,
            rate: bucket.config.rate,
            time_field,
            time_days: bucket.config.time_days,
            append_only: bucket.config.append_only,
            auto_index: bucket.config.auto_index,
            text,
        },
    );
    let Usage {
        objects,
        versions,
        bytes,
        stored_bytes,
    } = bucket.usage;
    let usage = wire::Usage::create(
        &mut builder,
        &wire::UsageArgs {
            objects,
            versions,
            bytes,
            stored_bytes,
        },
    );
    let args = wire::BucketArgs {
        name: Some(name),
        created: bucket.created.get(),
        config: Some(config),
        usage: Some(usage),
    };
    let body = wire::Bucket::create(&mut builder, &args).as_union_value();
    finish(builder, wire::Body::Bucket, body)
}

/// Encodes the list of buckets.
pub fn encode_buckets(buckets: &Buckets) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let entries: Vec<_> = buckets
        .buckets
        .iter()
        .map(|entry| {
            let name = Some(builder.create_string(entry.name.as_str()));
            let kind = kind_to_wire(entry.kind);
            let args = wire::BucketEntryArgs {
                name,
                created: entry.created.get(),
                kind,
            };
            wire::BucketEntry::create(&mut builder, &args)
        })
        .collect();
    let entries = Some(builder.create_vector(&entries));
    let body = wire::Buckets::create(&mut builder, &wire::BucketsArgs { buckets: entries }).as_union_value();
    finish(builder, wire::Body::Buckets, body)
}

/// Encodes a problem.
pub fn encode_problem(problem: &Problem) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let args = wire::ProblemArgs {
        type_: Some(builder.create_string(&problem.type_uri())),
        title: Some(builder.create_string(&problem.title)),
        status: problem.status,
        code: Some(builder.create_string(&problem.code)),
        detail: Some(builder.create_string(&problem.detail)),
        request_id: Some(builder.create_string(&problem.request_id)),
        hint: problem.hint.as_ref().map(|hint| builder.create_string(hint)),
        entry: problem.entry,
        pointer: problem
            .pointer
            .as_ref()
            .map(|pointer| builder.create_string(pointer)),
    };
    let body = wire::Problem::create(&mut builder, &args).as_union_value();
    finish(builder, wire::Body::Problem, body)
}

/// Decodes a page of keys.
///
/// # Errors
/// Every [`CodecError`].
pub fn decode_listing(bytes: &[u8]) -> Result<Listing, CodecError> {
    let listing = root(bytes)?.body_as_listing().ok_or(CodecError::OtherKind)?;
    Ok(Listing {
        items: read_items(listing.items())?,
        prefixes: listing
            .prefixes()
            .map(|prefixes| prefixes.iter().map(str::to_owned).collect()),
        cursor: listing.cursor().map(str::to_owned),
    })
}

/// Decodes a page of versions.
///
/// # Errors
/// Every [`CodecError`].
pub fn decode_versions(bytes: &[u8]) -> Result<Versions, CodecError> {
    let versions = root(bytes)?.body_as_versions().ok_or(CodecError::OtherKind)?;
    Ok(Versions {
        items: read_items(versions.items())?,
        cursor: versions.cursor().map(str::to_owned),
    })
}

/// Decodes one bucket.
///
/// # Errors
/// Every [`CodecError`].
pub fn decode_bucket(bytes: &[u8]) -> Result<Bucket, CodecError> {
    let bucket = root(bytes)?.body_as_bucket().ok_or(CodecError::OtherKind)?;
    let config = bucket.config();
    let retention = Retention {
        keep: config.keep_versions(),
        days: config.keep_days(),
    };
    let usage = bucket.usage();
    Ok(Bucket {
        name: BucketName::parse(bucket.name()).map_err(|_| CodecError::Field)?,
        created: UnixMillis::new(bucket.created()),
        config: BucketConfig {
            kind: kind_from_wire(config.kind())?,
            versions: (retention != Retention::default()).then_some(retention),
            quota_bytes: config.quota_bytes(),
            quota_objects: config.quota_objects(),
            object_bytes_max: config.object_bytes_max(),
            mirror: config.mirror(),
            audit_reads: config.audit_reads(),
            require_signature: config.require_signature(),
            rate: config.rate(),
            time_field: config
                .time_field()
                .map(FieldPath::parse)
                .transpose()
                .map_err(|_| CodecError::Field)?,
            time_days: config.time_days(),
            append_only: config.append_only(),
            auto_index: config.auto_index(),
            text: config
                .text()
                .map(serde_json::from_str)
                .transpose()
                .map_err(|_| CodecError::Field)?,
        },
        usage: Usage {
            objects: usage.objects(),
            versions: usage.versions(),
            bytes: usage.bytes(),
            stored_bytes: usage.stored_bytes(),
        },
    })
}

/// Decodes the list of buckets.
///
/// # Errors
/// Every [`CodecError`].
pub fn decode_buckets(bytes: &[u8]) -> Result<Buckets, CodecError> {
    let buckets = root(bytes)?.body_as_buckets().ok_or(CodecError::OtherKind)?;
    let entry = |entry: wire::BucketEntry<'_>| {
        Ok(BucketEntry {
            name: BucketName::parse(entry.name()).map_err(|_| CodecError::Field)?,
            created: UnixMillis::new(entry.created()),
            kind: kind_from_wire(entry.kind())?,
        })
    };
    Ok(Buckets {
        buckets: buckets
            .buckets()
            .iter()
            .map(entry)
            .collect::<Result<_, CodecError>>()?,
    })
}

/// Decodes a problem.
///
/// # Errors
/// Every [`CodecError`].
pub fn decode_problem(bytes: &[u8]) -> Result<Problem, CodecError> {
    let problem = root(bytes)?.body_as_problem().ok_or(CodecError::OtherKind)?;
    Ok(Problem {
        status: problem.status(),
        code: problem.code().to_owned().into(),
        title: problem.title().to_owned().into(),
        detail: problem.detail().to_owned().into(),
        request_id: problem.request_id().to_owned().into(),
        hint: problem.hint().map(|hint| hint.to_owned().into()),
        entry: problem.entry(),
        pointer: problem.pointer().map(|pointer| pointer.to_owned().into()),
    })
}

fn finish(
    mut builder: FlatBufferBuilder<'_>,
    body_type: wire::Body,
    body: WIPOffset<flatbuffers::UnionWIPOffset>,
) -> Vec<u8> {
    let answer = wire::Answer::create(
        &mut builder,
        &wire::AnswerArgs {
            body_type,
            body: Some(body),
        },
    );
    wire::finish_answer_buffer(&mut builder, answer);
    builder.finished_data().to_vec()
}

/// SECURITY: the only way from bytes to a table here: size first, then identifier, then the verifier.
fn root(bytes: &[u8]) -> Result<wire::Answer<'_>, CodecError> {
    let size_fits = (ANSWER_BYTES_MIN..=ANSWER_BYTES_MAX).contains(&bytes.len());
    if !size_fits || !wire::answer_buffer_has_identifier(bytes) {
        return Err(CodecError::Malformed);
    }
    let options = VerifierOptions {
        max_depth: 8,
        max_tables: TABLES_MAX,
        max_apparent_size: ANSWER_BYTES_MAX,
        ..VerifierOptions::default()
    };
    wire::root_as_answer_with_opts(&options, bytes).map_err(|_| CodecError::Malformed)
}

type Items<'a> = Vector<'a, ForwardsUOffset<wire::Item<'a>>>;

fn items<'a>(
    builder: &mut FlatBufferBuilder<'a>,
    items: &[Item],
) -> WIPOffset<Vector<'a, ForwardsUOffset<wire::Item<'a>>>> {
    let offsets: Vec<_> = items.iter().map(|one| item(builder, one)).collect();
    builder.create_vector(&offsets)
}

type WireTags<'a> = Vector<'a, ForwardsUOffset<wire::Tag<'a>>>;

fn tags<'a, 'p>(
    builder: &mut FlatBufferBuilder<'a>,
    tags: impl Iterator<Item = (&'p str, &'p str)>,
) -> Option<WIPOffset<WireTags<'a>>> {
    let offsets: Vec<_> = tags
        .map(|(name, value)| {
            let name = Some(builder.create_string(name));
            let value = Some(builder.create_string(value));
            wire::Tag::create(builder, &wire::TagArgs { name, value })
        })
        .collect();
    (!offsets.is_empty()).then(|| builder.create_vector(&offsets))
}

fn item<'a>(builder: &mut FlatBufferBuilder<'a>, item: &Item) -> WIPOffset<wire::Item<'a>> {
    let pairs = item.tags.iter();
    let tags = tags(
        builder,
        pairs.map(|(name, value)| (name.as_str(), value.as_str())),
    );
    let key = builder.create_string(item.key.as_str());
    let content_type = item.content_type.as_ref().map(|text| builder.create_string(text));
    let version = wire::Ulid::new(&item.version.to_bytes());
    let etag = item.etag.as_ref().map(|etag| wire::Hash::new(etag.as_bytes()));
    let args = wire::ItemArgs {
        key: Some(key),
        version: Some(&version),
        etag: etag.as_ref(),
        size: item.size,
        content_type,
        modified: item.modified.get(),
        tags,
        deleted: item.deleted,
    };
    wire::Item::create(builder, &args)
}

fn read_items(items: Items<'_>) -> Result<Vec<Item>, CodecError> {
    items.iter().map(read_item).collect()
}

fn read_item(item: wire::Item<'_>) -> Result<Item, CodecError> {
    let tags = item.tags().map(|tags| {
        tags.iter()
            .map(|tag| (tag.name().to_owned(), tag.value().to_owned()))
            .collect()
    });
    Ok(Item {
        key: ObjectKey::parse(item.key()).map_err(|_| CodecError::Field)?,
        version: VersionId::from_bytes(item.version().bytes().into()),
        etag: item
            .etag()
            .map(|etag| ContentHash::from_bytes(etag.bytes().into())),
        size: item.size(),
        content_type: item.content_type().map(str::to_owned),
        modified: UnixMillis::new(item.modified()),
        tags: tags.unwrap_or_default(),
        deleted: item.deleted(),
    })
}

fn kind_to_wire(kind: BucketKind) -> wire::BucketKind {
    match kind {
        BucketKind::Objects => wire::BucketKind::Objects,
        BucketKind::Documents => wire::BucketKind::Documents,
    }
}

fn kind_from_wire(kind: wire::BucketKind) -> Result<BucketKind, CodecError> {
    match kind {
        wire::BucketKind::Objects => Ok(BucketKind::Objects),
        wire::BucketKind::Documents => Ok(BucketKind::Documents),
        _ => Err(CodecError::Field),
    }
}
