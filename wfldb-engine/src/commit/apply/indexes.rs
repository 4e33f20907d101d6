//! Indexes that are defined, built and dropped. The definition is a change of the bucket's configuration; what a worker
//! adds and removes afterwards is none.

use bytes::Bytes;
use wfldb_core::id::BucketId;
use wfldb_core::index::{IndexDefinition, IndexName};
use wfldb_core::limits::{INDEXES_AUTOMATIC_MAX, INDEXES_MAX};
use wfldb_core::name::BucketName;
use wfldb_core::object::BucketKind;

use super::edit::Edit;
use super::indexed::holder_of;
use super::{bucket_by_name, counters_of, log, numbers};
use crate::commit::overlay::Overlay;
use crate::commit::plan::{Applied, BuildIndex, Outcome, WritePlan};
use crate::error::EngineError;
use crate::row::{
    Action, BucketRow, ChangeRow, CommitMark, DefinedIndex, IndexState, IndexWork, encode_entry, key,
};
use crate::storage::Space;

pub(super) fn define(
    plan: &WritePlan,
    bucket: &BucketName,
    definition: &IndexDefinition,
    automatic: bool,
    state: &mut Overlay,
    mark: &mut CommitMark,
) -> Outcome {
    let bucket = bucket_by_name(state, bucket)?.ok_or(EngineError::NoSuchBucket)?;
    if bucket.config.kind != BucketKind::Documents {
        return Err(EngineError::NotDocuments);
    }
    let indexes = &bucket.indexes.defined;
    let exists = |index: &DefinedIndex| Applied::Index {
        created: false,
        name: index.definition.name.clone(),
    };
    if let Some(named) = bucket.indexes.named(definition.name.as_str()) {
        return if named.definition == *definition {
            Ok(exists(named))
        } else {
            Err(EngineError::IndexExists)
        };
    }
    let made = indexes.iter().filter(|index| index.automatic).count();
    if indexes.len() >= INDEXES_MAX || (automatic && made >= INDEXES_AUTOMATIC_MAX) {
        return Err(EngineError::TooManyIndexes);
    }
    // Several queries may have wished the same.
    let same = indexes
        .iter()
        .find(|index| index.definition.does_the_same(definition));
    if let Some(same) = same.filter(|_| automatic) {
        return Ok(exists(same));
    }
    let mut row = (*bucket).clone();
    let number = row.indexes.next;
    row.indexes.next = number.checked_add(1).ok_or(EngineError::TooManyIndexes)?;
    row.indexes.defined.push(DefinedIndex {
        number,
        automatic,
        state: IndexState::Building,
        definition: definition.clone(),
    });
    let work = IndexWork::Build {
        after: None,
        documents: 0,
    };
    state.put(Space::Index, key::index_work(&row.id, number), work.encode());
    let what = serde_json::json!({ "index_created": definition });
    configured(plan, &row, &what, state, mark)?;
    Ok(Applied::Index {
        created: true,
        name: definition.name.clone(),
    })
}

pub(super) fn drop(
    plan: &WritePlan,
    bucket: &BucketName,
    index: &IndexName,
    state: &mut Overlay,
    mark: &mut CommitMark,
) -> Outcome {
    let bucket = bucket_by_name(state, bucket)?.ok_or(EngineError::NoSuchBucket)?;
    let number = bucket.indexes.named(index.as_str()).map(|index| index.number);
    let number = number.ok_or(EngineError::NoSuchIndex)?;
    let mut row = (*bucket).clone();
    row.indexes.defined.retain(|index| index.number != number);
    state.put(
        Space::Index,
        key::index_work(&row.id, number),
        IndexWork::Remove.encode(),
    );
    let what = serde_json::json!({ "index_dropped": index.as_str() });
    configured(plan, &row, &what, state, mark)?;
    Ok(Applied::IndexDropped)
}

/// Writes the bucket's row, and the change that says what became different.
fn configured(
    plan: &WritePlan,
    row: &BucketRow,
    what: &serde_json::Value,
    state: &mut Overlay,
    mark: &mut CommitMark,
) -> Result<(), EngineError> {
    let mut counters = counters_of(state, &row.id)?;
    let numbers = numbers(plan, mark, &counters);
    counters.seq = numbers.seq.get();
    let change = ChangeRow {
        prev: mark.chain,
        position: numbers.position,
        at: numbers.at,
        bucket: row.id,
        seq: numbers.seq,
        action: Action::BucketConfigured,
        key: row.name.as_str().to_owned(),
        version: None,
        etag: None,
        len: 0,
        config: Some(what.to_string()),
        evidence: plan.evidence.hash,
        entries: Vec::new(),
        buckets: Vec::new(),
        leaf: None,
    };
    state.put(Space::Meta, key::bucket_row(&row.id), row.encode());
    state.put(Space::Counters, key::bucket_counters(&row.id), counters.encode());
    log(plan, change, state, mark);
    Ok(())
}

/// One step of a build: rows of documents that are still as the worker read them. What was written since keeps itself.
pub(super) fn build(plan: &WritePlan, step: &BuildIndex, state: &mut Overlay, mark: &CommitMark) -> Outcome {
    let work_key = key::index_work(&step.bucket, step.number);
    // A step that was tried before, or an index that was dropped meanwhile.
    let work = state.value(Space::Index, &work_key)?;
    if work.as_ref() != Some(&step.from.encode()) {
        return Ok(Applied::Nothing);
    }
    let Some(bucket) = state.bucket(&step.bucket)? else {
        state.remove(Space::Index, work_key);
        return Ok(Applied::Nothing);
    };
    let Some(index) = bucket.indexes.numbered(step.number).cloned() else {
        // Only damage leads here; what there is of it goes.
        state.put(Space::Index, work_key, IndexWork::Remove.encode());
        return Ok(Applied::Nothing);
    };
    let mut edit = Edit::begin(plan, &step.bucket, state, mark)?;
    for document in &step.documents {
        if edit.head(&document.key)?.map(|head| head.version) != Some(document.version) {
            continue;
        }
        for entry in &document.entries {
            if entry.unique
                && let Some(other) = holder_of(&edit, &index, entry, &document.key)?
            {
                let why = format!(
                    "{:?} and {:?} have the same values",
                    other.as_str(),
                    document.key.as_str()
                );
                fail(&mut edit, &index, why);
                return Ok(Applied::Nothing);
            }
            let row = key::index_row(&step.bucket, step.number, &entry.key(&document.key));
            edit.state.put(Space::Index, row, encode_entry(entry));
        }
    }
    if let Some(why) = &step.failed {
        fail(&mut edit, &index, why.clone());
    } else if let Some(to) = &step.to {
        edit.state.put(Space::Index, work_key, to.encode());
    } else {
        edit.state.remove(Space::Index, work_key);
        become_state(&mut edit, &index, &IndexState::Ready);
    }
    Ok(Applied::Nothing)
}

/// The index is given up: nothing keeps it any more, and its rows go.
fn fail(edit: &mut Edit<'_>, index: &DefinedIndex, why: String) {
    let work = key::index_work(edit.id(), index.number);
    edit.state.put(Space::Index, work, IndexWork::Remove.encode());
    become_state(edit, index, &IndexState::Failed(why));
}

fn become_state(edit: &mut Edit<'_>, index: &DefinedIndex, now: &IndexState) {
    let mut row = (*edit.bucket).clone();
    for defined in &mut row.indexes.defined {
        if defined.number == index.number {
            defined.state = now.clone();
        }
    }
    edit.state
        .put(Space::Meta, key::bucket_row(&row.id), row.encode());
}

/// Removes rows of an index that nothing keeps any more.
pub(super) fn clear(
    bucket: BucketId,
    number: u32,
    rows: &[Bytes],
    last: bool,
    state: &mut Overlay,
) -> Outcome {
    let work = key::index_work(&bucket, number);
    // INVARIANT: only what is marked for it is removed.
    if state.value(Space::Index, &work)? != Some(IndexWork::Remove.encode()) {
        return Ok(Applied::Nothing);
    }
    for row in rows {
        state.remove(Space::Index, row.clone());
    }
    if last {
        state.remove(Space::Index, work);
    }
    Ok(Applied::Nothing)
}
