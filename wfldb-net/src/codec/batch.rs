//! Batches and their answers in FlatBuffers.

use bytes::Bytes;
use flatbuffers::{FlatBufferBuilder, WIPOffset};
use wfldb_core::id::{ContentHash, VersionId};
use wfldb_core::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX};
use wfldb_core::name::ObjectKey;
use wfldb_core::object::{EtagCondition, HeaderText, Preconditions, Tags};
use wfldb_schemas::wire;

use super::{CodecError, finish, root};
use crate::batch::{BatchAction, BatchEntry, BatchError, BatchResult, BatchResults};

/// Encodes a batch, for a request.
pub fn encode_batch(entries: &[BatchEntry]) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::with_capacity(256 + entries.len() * 256);
    let offsets: Vec<_> = entries
        .iter()
        .map(|entry| batch_entry(&mut builder, entry))
        .collect();
    let ops = Some(builder.create_vector(&offsets));
    let body = wire::Batch::create(&mut builder, &wire::BatchArgs { ops }).as_union_value();
    finish(builder, wire::Body::Batch, body)
}

fn batch_entry<'a>(
    builder: &mut FlatBufferBuilder<'a>,
    entry: &BatchEntry,
) -> WIPOffset<wire::BatchEntry<'a>> {
    let key = Some(builder.create_string(entry.key.as_str()));
    let (op, body, content_type, tags) = match &entry.action {
        BatchAction::Delete => (wire::BatchKind::Delete, None, None, None),
        BatchAction::Check => (wire::BatchKind::Check, None, None, None),
        // Here a document is its bytes: what they are, its bucket says.
        BatchAction::Document { json, tags } => (
            wire::BatchKind::Put,
            Some(builder.create_vector(json)),
            None,
            super::tags(builder, tags.iter()),
        ),
        BatchAction::Put {
            body,
            content_type,
            tags,
        } => (
            wire::BatchKind::Put,
            Some(builder.create_vector(body)),
            content_type
                .as_ref()
                .map(|text| builder.create_string(text.as_str())),
            super::tags(builder, tags.iter()),
        ),
    };
    let conditions = &entry.preconditions;
    let if_match = match &conditions.if_match {
        Some(EtagCondition::Is(etag)) => Some(wire::Hash::new(etag.as_bytes())),
        Some(EtagCondition::Any) | None => None,
    };
    let if_version = conditions
        .if_version
        .map(|version| wire::Ulid::new(&version.to_bytes()));
    let args = wire::BatchEntryArgs {
        op,
        key,
        body,
        content_type,
        tags,
        if_match: if_match.as_ref(),
        if_match_any: conditions.if_match == Some(EtagCondition::Any),
        if_none_match_any: conditions.if_none_match_any,
        if_version: if_version.as_ref(),
    };
    wire::BatchEntry::create(builder, &args)
}

/// Decodes a batch.
///
/// # Errors
/// [`BatchError`] for anything that is not one.
pub fn decode_batch(bytes: &[u8]) -> Result<Vec<BatchEntry>, BatchError> {
    if bytes.len() > BATCH_BYTES_MAX {
        return Err(BatchError::TooLarge);
    }
    let batch = root(bytes).ok().and_then(|answer| answer.body_as_batch());
    let ops = batch.ok_or(BatchError::Malformed)?.ops();
    if !(1..=BATCH_ENTRIES_MAX).contains(&ops.len()) {
        return Err(BatchError::Entries);
    }
    let entries = ops.iter().map(|entry| read_batch_entry(&entry));
    entries.collect::<Option<_>>().ok_or(BatchError::Malformed)
}

fn read_batch_entry(entry: &wire::BatchEntry<'_>) -> Option<BatchEntry> {
    let has_object = entry.body().is_some() || entry.content_type().is_some() || entry.tags().is_some();
    let if_match = match (entry.if_match(), entry.if_match_any()) {
        (None, false) => None,
        (None, true) => Some(EtagCondition::Any),
        (Some(etag), false) => Some(EtagCondition::Is(ContentHash::from_bytes(etag.bytes().into()))),
        (Some(_), true) => return None,
    };
    let action = match entry.op() {
        wire::BatchKind::Put => BatchAction::Put {
            body: Bytes::copy_from_slice(entry.body().map_or(&[], |body| body.bytes())),
            content_type: entry.content_type().map(HeaderText::parse).transpose().ok()?,
            tags: Tags::from_pairs(
                entry
                    .tags()
                    .into_iter()
                    .flatten()
                    .map(|tag| (tag.name().to_owned(), tag.value().to_owned())),
            )
            .ok()?,
        },
        wire::BatchKind::Delete if !has_object => BatchAction::Delete,
        wire::BatchKind::Check if !has_object => BatchAction::Check,
        _ => return None,
    };
    Some(BatchEntry {
        key: ObjectKey::parse(entry.key()).ok()?,
        preconditions: Preconditions {
            if_match,
            if_none_match_any: entry.if_none_match_any(),
            if_version: entry
                .if_version()
                .map(|version| VersionId::from_bytes(version.bytes().into())),
        },
        action,
    })
}

/// Encodes the answer to a batch.
pub fn encode_batch_results(results: &BatchResults) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::with_capacity(256 + results.results.len() * 128);
    let offsets: Vec<_> = results
        .results
        .iter()
        .map(|result| {
            let key = Some(builder.create_string(result.key.as_str()));
            let version = result.version.map(|version| wire::Ulid::new(&version.to_bytes()));
            let etag = result.etag.map(|etag| wire::Hash::new(etag.as_bytes()));
            let args = wire::BatchResultArgs {
                key,
                version: version.as_ref(),
                etag: etag.as_ref(),
            };
            wire::BatchResult::create(&mut builder, &args)
        })
        .collect();
    let args = wire::BatchResultsArgs {
        seq: results.seq,
        results: Some(builder.create_vector(&offsets)),
    };
    let body = wire::BatchResults::create(&mut builder, &args).as_union_value();
    finish(builder, wire::Body::BatchResults, body)
}

/// Decodes the answer to a batch.
///
/// # Errors
/// Every [`CodecError`].
pub fn decode_batch_results(bytes: &[u8]) -> Result<BatchResults, CodecError> {
    let results = root(bytes)?
        .body_as_batch_results()
        .ok_or(CodecError::OtherKind)?;
    let result = |result: wire::BatchResult<'_>| {
        Ok(BatchResult {
            key: ObjectKey::parse(result.key()).map_err(|_| CodecError::Field)?,
            version: result
                .version()
                .map(|version| VersionId::from_bytes(version.bytes().into())),
            etag: result
                .etag()
                .map(|etag| ContentHash::from_bytes(etag.bytes().into())),
        })
    };
    Ok(BatchResults {
        seq: results.seq(),
        results: results
            .results()
            .iter()
            .map(result)
            .collect::<Result<_, CodecError>>()?,
    })
}
