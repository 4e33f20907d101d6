//! The schema of a bucket's documents: set, replaced, removed. A change of the bucket's configuration.

use std::sync::Arc;

use wfldb_core::id::ContentHash;
use wfldb_core::name::BucketName;
use wfldb_core::object::BucketKind;

use super::{bucket_by_name, counters_of, log, numbers};
use crate::commit::overlay::Overlay;
use crate::commit::plan::{Applied, Outcome, WritePlan};
use crate::error::EngineError;
use crate::row::{Action, ChangeRow, CommitMark, key};
use crate::storage::Space;

pub(super) fn set(
    plan: &WritePlan,
    name: &BucketName,
    schema: Option<&Arc<str>>,
    state: &mut Overlay,
    mark: &mut CommitMark,
) -> Outcome {
    let bucket = bucket_by_name(state, name)?.ok_or(EngineError::NoSuchBucket)?;
    if bucket.config.kind != BucketKind::Documents {
        return Err(EngineError::NotDocuments);
    }
    if bucket.schema.as_ref() == schema {
        return Ok(Applied::Nothing);
    }
    let mut counters = counters_of(state, &bucket.id)?;
    let numbers = numbers(plan, mark, &counters);
    counters.seq = numbers.seq.get();
    let mut row = (*bucket).clone();
    row.schema = schema.cloned();
    row.schema_at = numbers.position;
    // The log says which it was.
    let hash = schema.map(|schema| ContentHash::of(schema.as_bytes()).to_string());
    let change = ChangeRow {
        prev: mark.chain,
        position: numbers.position,
        at: numbers.at,
        bucket: row.id,
        seq: numbers.seq,
        action: Action::BucketConfigured,
        key: name.as_str().to_owned(),
        version: None,
        etag: None,
        len: 0,
        config: Some(serde_json::json!({ "schema": hash }).to_string()),
        evidence: plan.evidence.hash,
        entries: Vec::new(),
        buckets: Vec::new(),
        leaf: None,
    };
    state.put(Space::Meta, key::bucket_row(&row.id), row.encode());
    state.put(Space::Counters, key::bucket_counters(&row.id), counters.encode());
    log(plan, change, state, mark);
    Ok(Applied::SchemaSet)
}
