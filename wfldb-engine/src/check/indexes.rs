//! The rows of indexes against the documents, and back.

use std::collections::BTreeSet;

use wfldb_core::doc;
use wfldb_core::id::BucketId;
use wfldb_core::index::IndexEntry;
use wfldb_core::name::ObjectKey;
use wfldb_core::object::BucketKind;

use super::{Check, FindingKind, Place};
use crate::object::inline_body;
use crate::row::{
    BucketRow, DefinedIndex, IndexState, IndexWork, ObjectRow, decode_entry, encode_entry, key,
};
use crate::storage::{Space, StorageError};

/// Entries of one index that may be wrong before it is enough to say that it is damaged.
const NAMED_MAX: u32 = 10;

impl Check<'_> {
    /// The indexes of a live bucket.
    pub(super) fn indexes(&mut self, bucket: &BucketId) -> Result<(), StorageError> {
        let row = self.snapshot.get(Space::Meta, &key::bucket_row(bucket))?;
        let Some(Ok(row)) = row.map(|row| BucketRow::decode(&row)) else {
            // Said where buckets are.
            return Ok(());
        };
        for index in &row.indexes.defined {
            let place = || Place::of(bucket).named(&index.definition.name);
            let work = self
                .snapshot
                .get(Space::Index, &key::index_work(bucket, index.number))?;
            let work = work.map(|work| IndexWork::decode(&work));
            let done = match (&index.state, work) {
                (IndexState::Ready, None) => None,
                (IndexState::Building, Some(Ok(IndexWork::Build { after, .. }))) => Some(after),
                (IndexState::Failed(_), None | Some(Ok(IndexWork::Remove))) => continue,
                _ => {
                    let detail = "the index: what is to be done does not fit how far it is";
                    self.find(FindingKind::Index, Some(place()), detail);
                    continue;
                }
            };
            if row.config.kind == BucketKind::Documents {
                self.index(bucket, index, done.as_ref())?;
            }
        }
        self.undefined(bucket, &row)
    }

    /// One index, whole or up to and with a key.
    fn index(
        &mut self,
        bucket: &BucketId,
        index: &DefinedIndex,
        built: Option<&Option<ObjectKey>>,
    ) -> Result<(), StorageError> {
        let place = || Place::of(bucket).named(&index.definition.name);
        let mut wrong = 0;
        let mut expected = 0u64;
        for head in self.range(Space::Heads, &key::of_bucket(bucket)) {
            let (row_key, head) = head?;
            let Ok(object) = key::key_of_head(&row_key) else {
                continue;
            };
            let Some(entries) = self.entries_of(bucket, index, &head) else {
                // The body is said to be damaged elsewhere.
                continue;
            };
            // What the worker has not come to may have rows, because it was written meanwhile.
            let is_due = built.is_none_or(|after| after.as_ref().is_some_and(|after| object <= *after));
            for entry in &entries {
                let row = key::index_row(bucket, index.number, &entry.key(&object));
                let found = self.snapshot.get(Space::Index, &row)?;
                expected += u64::from(found.is_some());
                if found.is_none() && !is_due || found == Some(encode_entry(entry)) {
                    continue;
                }
                wrong += 1;
                if wrong <= NAMED_MAX {
                    let what = if found.is_some() { "wrong" } else { "missing" };
                    let detail = format!("the index is damaged: an entry is {what}");
                    self.find(FindingKind::Index, Some(place().key(object.as_str())), detail);
                }
            }
        }
        let prefix = key::index_rows(bucket, index.number);
        let mut rows = 0u64;
        for row in self.range(Space::Index, &prefix) {
            row?;
            rows += 1;
        }
        if rows != expected {
            wrong += self.extra(bucket, index)?;
        }
        if wrong > NAMED_MAX {
            let detail = format!("the index is damaged: {wrong} entries in all are wrong");
            self.find(FindingKind::Index, Some(place()), detail);
        }
        Ok(())
    }

    /// Rows that no document has.
    fn extra(&mut self, bucket: &BucketId, index: &DefinedIndex) -> Result<u32, StorageError> {
        let prefix = key::index_rows(bucket, index.number);
        let mut wrong = 0;
        for row in self.range(Space::Index, &prefix) {
            let (row_key, row) = row?;
            let behind = row_key.get(prefix.len()..).unwrap_or_default();
            let object = match decode_entry(behind, &row) {
                Ok((entry, object)) => {
                    let head = self.snapshot.get(Space::Heads, &key::head(bucket, &object))?;
                    let entries = head.and_then(|head| self.entries_of(bucket, index, &head));
                    // One with another value was found already.
                    let same =
                        |own: &IndexEntry| own.fields == entry.fields && own.elements == entry.elements;
                    if entries.is_some_and(|entries| entries.iter().any(same)) {
                        continue;
                    }
                    Some(object)
                }
                Err(_) => None,
            };
            wrong += 1;
            if wrong <= NAMED_MAX {
                let place = Place {
                    bucket: Some(bucket),
                    key: object.as_ref().map(ObjectKey::as_str),
                    name: Some(index.definition.name.to_string()),
                };
                let detail = "the index is damaged: an entry is of no document";
                self.find(FindingKind::Index, Some(place), detail);
            }
        }
        Ok(wrong)
    }

    /// The rows that a document should have; `None` when its body cannot be read.
    fn entries_of(
        &self,
        bucket: &BucketId,
        index: &DefinedIndex,
        head: &[u8],
    ) -> Option<BTreeSet<IndexEntry>> {
        let head = ObjectRow::decode(head).ok()?;
        let body = inline_body(self.snapshot, bucket, &head).ok()?;
        let document = doc::parse(&body).ok()?;
        Some(
            index
                .definition
                .entries(&document)
                .unwrap_or_default()
                .into_iter()
                .collect(),
        )
    }

    /// Rows of indexes that the bucket does not have, and that nobody is removing.
    fn undefined(&mut self, bucket: &BucketId, row: &BucketRow) -> Result<(), StorageError> {
        let all = [bucket.as_bytes().as_slice(), b"i"].concat();
        let mut from = all.clone();
        // One look per index: behind each found one, the next.
        while let Some(found) = self
            .snapshot
            .range(Space::Index, &from, &crate::storage::prefix_end(&all), false)
            .next()
        {
            let (row_key, _) = found?;
            let number = row_key.get(17..).and_then(<[u8]>::first_chunk::<4>);
            let Some(number) = number.map(|number| u32::from_be_bytes(*number)) else {
                self.find(FindingKind::Stray, Some(Place::of(bucket)), "a key in index");
                from = [&*row_key, &[0]].concat();
                continue;
            };
            let kept = row.indexes.kept().any(|index| index.number == number);
            let work = self
                .snapshot
                .get(Space::Index, &key::index_work(bucket, number))?;
            if !kept && work != Some(IndexWork::Remove.encode()) {
                let detail = "rows of an index that is not there";
                self.find(FindingKind::Stray, Some(Place::of(bucket).named(number)), detail);
            }
            from = crate::storage::prefix_end(&key::index_rows(bucket, number));
        }
        Ok(())
    }
}
