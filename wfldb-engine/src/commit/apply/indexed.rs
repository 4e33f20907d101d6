//! What indexes say of documents: rows follow the newest version, a unique index refuses what another document has.
//!
//! INVARIANT: the rows of a document are those of its row in `heads`, in each index that is kept. `move_head` comes here
//! with what it replaces and what it puts there, and nothing else changes either. While an index is being built a
//! document that the worker has not come to has no rows in it.

use std::collections::BTreeSet;

use bytes::Bytes;
use wfldb_core::doc;
use wfldb_core::id::ContentHash;
use wfldb_core::index::{IndexEntry, IndexError};
use wfldb_core::name::ObjectKey;
use wfldb_core::object::BucketKind;

use super::edit::Edit;
use crate::commit::overlay::Overlay;
use crate::error::EngineError;
use crate::index::IndexHints;
use crate::row::{BucketRow, DefinedIndex, IndexState, ObjectRow, encode_entry, key};
use crate::storage::Space;

impl Edit<'_> {
    /// Brings the rows of a document from `old`, the row that stood in `heads`, to `new`, which takes its place.
    pub(super) fn index(
        &mut self,
        object: &ObjectKey,
        old: Option<&ObjectRow>,
        new: Option<&ObjectRow>,
        hints: Option<&IndexHints>,
    ) -> Result<(), EngineError> {
        let bucket = std::sync::Arc::clone(&self.bucket);
        if bucket.config.kind != BucketKind::Documents || bucket.indexes.kept().next().is_none() {
            return Ok(());
        }
        let mut old = Body::of(old);
        let mut new = Body::of(new);
        for index in bucket.indexes.kept() {
            let hinted = hints.and_then(|hints| hints.of(index.number));
            // A row of `heads` is of one version, so what was made of that version is right, whenever it was made.
            let before = match (hinted, old.row) {
                (Some((_, Some((version, entries)))), Some(row)) if *version == row.version => {
                    entries.iter().cloned().collect()
                }
                // A document that cannot be indexed has no rows.
                _ => old.entries(self.state, &bucket, index)?.unwrap_or_default(),
            };
            let after = match (hinted, new.row) {
                (Some((entries, _)), Some(_)) => entries.iter().cloned().collect(),
                _ => new.entries(self.state, &bucket, index)??,
            };
            self.replace(object, index, &before, &after)
                .map_err(|error| match error {
                    EngineError::UniqueViolation { index } => EngineError::UniqueViolation {
                        index: index.filter(|_| hints.is_some_and(|hints| hints.may_name)),
                    },
                    other => other,
                })?;
        }
        Ok(())
    }

    fn replace(
        &mut self,
        object: &ObjectKey,
        index: &DefinedIndex,
        before: &BTreeSet<IndexEntry>,
        after: &BTreeSet<IndexEntry>,
    ) -> Result<(), EngineError> {
        let bucket = self.bucket.id;
        // While it is being built, what the document had may not be there yet, and the worker passes over it now.
        let known = |entry: &IndexEntry| index.state == IndexState::Ready && before.contains(entry);
        for entry in after.iter().filter(|entry| entry.unique && !known(entry)) {
            if holder_of(self, index, entry, object)?.is_some() {
                return Err(EngineError::UniqueViolation {
                    index: Some(index.definition.name.to_string()),
                });
            }
        }
        for entry in before.difference(after) {
            let row = key::index_row(&bucket, index.number, &entry.key(object));
            self.state.remove(Space::Index, row);
        }
        for entry in after.iter().filter(|entry| !known(entry)) {
            let row = key::index_row(&bucket, index.number, &entry.key(object));
            self.state.put(Space::Index, row, encode_entry(entry));
        }
        Ok(())
    }
}

/// Another live document that has the same values in a unique index.
pub(super) fn holder_of(
    edit: &Edit<'_>,
    index: &DefinedIndex,
    entry: &IndexEntry,
    object: &ObjectKey,
) -> Result<Option<ObjectKey>, EngineError> {
    let same = [entry.fields.as_slice(), &[0]].concat();
    let prefix = key::index_row(edit.id(), index.number, &same);
    for row in edit.state.rows(Space::Index, &prefix, &prefix) {
        let (row, _) = row?;
        let other = key::parse_key(row.get(prefix.len()..).unwrap_or_default(), "index entry")?;
        // One whose time is over has rows until the worker ends it, and holds nothing any more.
        if other != *object && edit.head(&other)?.is_some_and(|head| head.is_live(edit.at)) {
            return Ok(Some(other));
        }
    }
    Ok(None)
}

/// A version's document, read when it is first needed.
struct Body<'a> {
    row: Option<&'a ObjectRow>,
    document: Option<doc::Value>,
}

impl<'a> Body<'a> {
    fn of(row: Option<&'a ObjectRow>) -> Self {
        Self { row, document: None }
    }

    fn entries(
        &mut self,
        state: &Overlay,
        bucket: &BucketRow,
        index: &DefinedIndex,
    ) -> Result<Result<BTreeSet<IndexEntry>, IndexError>, EngineError> {
        let Some(row) = self.row else {
            return Ok(Ok(BTreeSet::new()));
        };
        let document = match &mut self.document {
            Some(document) => document,
            none => none.insert(read(state, bucket, row)?),
        };
        Ok(index.definition.entries(document).map(BTreeSet::from_iter))
    }
}

fn read(state: &Overlay, bucket: &BucketRow, row: &ObjectRow) -> Result<doc::Value, EngineError> {
    let damaged = EngineError::Corrupt("body");
    let body = state.value(Space::Bodies, &key::body(&bucket.id, &row.version))?;
    let body: Bytes = body.ok_or_else(|| damaged.clone())?;
    // What is not what was written would name the wrong rows.
    if ContentHash::of(&body) != row.etag {
        return Err(damaged);
    }
    doc::parse(&body).map_err(|_| damaged)
}
