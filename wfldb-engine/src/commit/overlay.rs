//! What a plan sees: the committed snapshot, and above it the writes of the plans before it in the group.
//!
//! A plan writes as it goes; when it is refused half-way, [`Overlay::roll_back`] takes its writes back, so a refused
//! plan leaves no trace.
//!
//! INVARIANT: one write per storage key leaves here, whatever the number of plans that touched it: the last one.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use wfldb_core::id::{BucketId, ChunkHash, Seq};

use super::revoked::Tracked;
use crate::changes::Changed;
use crate::error::EngineError;
use crate::row::{BucketRow, key};
use crate::storage::{Batch, Row, Snapshot, Space, StorageError, prefix_end};

/// Decoded buckets that are remembered from one group to the next.
const BUCKETS_MAX: usize = 1024;

/// Bucket rows by their bytes, so that a configuration is parsed when it changes and not for every plan.
pub(crate) type BucketMemo = HashMap<BucketId, (Bytes, Arc<BucketRow>)>;

type Key = (Space, Bytes);

/// What the writes had at a key.
#[derive(Debug)]
enum Before {
    Nothing,
    Written(Option<Bytes>),
}

/// A snapshot and the ordered writes above it.
pub(crate) struct Overlay {
    snapshot: Arc<dyn Snapshot>,
    writes: BTreeMap<Key, Option<Bytes>>,
    /// What stood at a key before the present plan wrote there.
    undo: Vec<(Key, Before)>,
    /// Chunks that lost a reference, to be looked at once the group is durable.
    freed: Vec<(BucketId, ChunkHash)>,
    /// How many of them are of plans that were carried out.
    freed_kept: usize,
    /// Buckets that were changed, each time with the `seq` of the change.
    changed: Vec<Changed>,
    /// How many of them are of plans that were carried out.
    changed_kept: usize,
    memo: BucketMemo,
    /// What is revoked.
    pub(crate) revocations: Tracked,
}

/// What a group leaves behind.
pub(crate) struct Finished {
    pub(crate) batch: Batch,
    pub(crate) freed: Vec<(BucketId, ChunkHash)>,
    pub(crate) changed: Vec<Changed>,
    pub(crate) memo: BucketMemo,
    pub(crate) revocations: Tracked,
}

impl Overlay {
    #[cfg(test)]
    pub(crate) fn new(snapshot: Arc<dyn Snapshot>) -> Self {
        Self::with_memo(snapshot, BucketMemo::new())
    }

    pub(crate) fn with_memo(snapshot: Arc<dyn Snapshot>, memo: BucketMemo) -> Self {
        Self {
            snapshot,
            writes: BTreeMap::new(),
            undo: Vec::new(),
            freed: Vec::new(),
            freed_kept: 0,
            changed: Vec::new(),
            changed_kept: 0,
            memo,
            revocations: Tracked::default(),
        }
    }

    /// The value at `key` as the next plan must see it.
    pub(crate) fn value(&self, space: Space, key: &Bytes) -> Result<Option<Bytes>, StorageError> {
        match self.writes.get(&(space, key.clone())) {
            Some(written) => Ok(written.clone()),
            None => self.snapshot.get(space, key),
        }
    }

    /// The bucket as the next plan must see it; `None` when it is not there.
    pub(crate) fn bucket(&mut self, id: &BucketId) -> Result<Option<Arc<BucketRow>>, EngineError> {
        let Some(row) = self.value(Space::Meta, &key::bucket_row(id))? else {
            return Ok(None);
        };
        if let Some((known, bucket)) = self.memo.get(id)
            && *known == row
        {
            return Ok(Some(Arc::clone(bucket)));
        }
        let bucket = Arc::new(BucketRow::decode(&row)?);
        if self.memo.len() >= BUCKETS_MAX {
            self.memo.clear();
        }
        // The row may be a part of a larger block of the storage, which must not stay with it.
        let row = Bytes::copy_from_slice(&row);
        self.memo.insert(*id, (row, Arc::clone(&bucket)));
        Ok(Some(bucket))
    }

    /// The first row whose key begins with `prefix`, as the next plan must see it.
    pub(crate) fn first(&self, space: Space, prefix: &Bytes) -> Result<Option<Row>, StorageError> {
        self.first_from(space, prefix, prefix)
    }

    /// The first row at or behind `from` whose key begins with `prefix`, as the next plan must see it.
    pub(crate) fn first_from(
        &self,
        space: Space,
        from: &Bytes,
        prefix: &Bytes,
    ) -> Result<Option<Row>, StorageError> {
        self.rows(space, from, prefix).next().transpose()
    }

    /// The rows at or behind `from` whose keys begin with `prefix`, in order, as the next plan must see them.
    pub(crate) fn rows<'a>(
        &'a self,
        space: Space,
        from: &Bytes,
        prefix: &'a Bytes,
    ) -> impl Iterator<Item = Result<Row, StorageError>> + 'a {
        let low = Bound::Included((space, from.clone()));
        let mut above = self
            .writes
            .range((low, Bound::Unbounded))
            .take_while(move |((s, key), _)| *s == space && key.starts_with(prefix))
            .peekable();
        let mut below = self
            .snapshot
            .range(space, from, &prefix_end(prefix), false)
            .peekable();
        std::iter::from_fn(move || {
            loop {
                let below_key = match below.peek() {
                    Some(Ok((key, _))) => Some(key),
                    Some(Err(_)) => return below.next(),
                    None => None,
                };
                let Some(((_, key), written)) = above.peek() else {
                    return below.next();
                };
                if below_key.is_some_and(|below_key| below_key < key) {
                    return below.next();
                }
                // The overlay's row comes first, or hides the row with the same key below.
                let hides = below_key == Some(key);
                let row = written.as_ref().map(|value| (key.clone(), value.clone()));
                above.next();
                if hides {
                    below.next();
                }
                if let Some(row) = row {
                    return Some(Ok(row));
                }
            }
        })
    }

    /// The last row before `before` whose key begins with `prefix`, as the next plan must see it.
    pub(crate) fn last_before(
        &self,
        space: Space,
        before: &Bytes,
        prefix: &Bytes,
    ) -> Result<Option<Row>, StorageError> {
        let bounds = (
            Bound::Included((space, prefix.clone())),
            Bound::Excluded((space, before.clone())),
        );
        let mut above = self.writes.range(bounds).rev().peekable();
        let mut below = self.snapshot.range(space, prefix, before, true).peekable();
        loop {
            let below_key = match below.peek() {
                Some(Ok((key, _))) => Some(key),
                Some(Err(_)) => return below.next().transpose(),
                None => None,
            };
            let Some(((_, key), written)) = above.peek() else {
                return below.next().transpose();
            };
            if below_key.is_some_and(|below_key| below_key > key) {
                return below.next().transpose();
            }
            if let Some(value) = written {
                return Ok(Some((key.clone(), value.clone())));
            }
            if below_key == Some(key) {
                below.next();
            }
            above.next();
        }
    }

    pub(crate) fn put(&mut self, space: Space, key: Bytes, value: impl Into<Bytes>) {
        self.write(space, key, Some(value.into()));
    }

    pub(crate) fn remove(&mut self, space: Space, key: Bytes) {
        self.write(space, key, None);
    }

    fn write(&mut self, space: Space, key: Bytes, value: Option<Bytes>) {
        let key = (space, key);
        let before = self
            .writes
            .insert(key.clone(), value)
            .map_or(Before::Nothing, Before::Written);
        self.undo.push((key, before));
    }

    /// Notes that a reference to the chunk goes.
    pub(crate) fn free(&mut self, bucket: BucketId, chunk: ChunkHash) {
        self.freed.push((bucket, chunk));
    }

    /// Notes that the bucket was changed.
    pub(crate) fn change(&mut self, bucket: BucketId, seq: Seq) {
        self.changed.push((bucket, seq));
    }

    /// The present plan was carried out.
    pub(crate) fn keep(&mut self) {
        self.undo.clear();
        self.freed_kept = self.freed.len();
        self.changed_kept = self.changed.len();
        self.revocations.keep();
    }

    /// The present plan was refused: takes back what it wrote.
    pub(crate) fn roll_back(&mut self) {
        while let Some((key, before)) = self.undo.pop() {
            match before {
                Before::Written(written) => self.writes.insert(key, written),
                Before::Nothing => self.writes.remove(&key),
            };
        }
        self.freed.truncate(self.freed_kept);
        self.changed.truncate(self.changed_kept);
        self.revocations.roll_back();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    pub(crate) fn finish(self) -> Finished {
        let writes = self.writes.into_iter();
        Finished {
            batch: Batch {
                writes: writes.map(|((space, key), value)| (space, key, value)).collect(),
            },
            freed: self.freed,
            changed: self.changed,
            memo: self.memo,
            revocations: self.revocations,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::{MemoryStorage, Storage};

    fn key(k: u8) -> Bytes {
        Bytes::copy_from_slice(&[b'k', k % 4, k])
    }

    proptest! {
        /// The overlay reads like the state after its writes. A defect it catches: a removal above that does not
        /// hide the row below.
        #[test]
        fn overlay_reads_like_the_state_after_its_writes(
            committed in prop::collection::vec(0u8..16, 0..12),
            writes in prop::collection::vec((0u8..16, any::<bool>()), 0..16),
        ) {
            let storage = MemoryStorage::new();
            let mut model = BTreeMap::new();
            let mut batch = BTreeMap::new();
            for k in committed {
                batch.insert(key(k), Bytes::from_static(b"old"));
                model.insert(key(k), Bytes::from_static(b"old"));
            }
            let rows = batch.into_iter().map(|(k, v)| (Space::Heads, k, Some(v))).collect();
            storage.commit(Batch { writes: rows }).unwrap();
            let mut overlay = Overlay::new(storage.snapshot());
            for (k, remove) in writes {
                if remove {
                    overlay.remove(Space::Heads, key(k));
                    model.remove(&key(k));
                } else {
                    overlay.put(Space::Heads, key(k), Bytes::from_static(b"new"));
                    model.insert(key(k), Bytes::from_static(b"new"));
                }
            }
            for k in 0..16 {
                prop_assert_eq!(overlay.value(Space::Heads, &key(k)).unwrap(), model.get(&key(k)).cloned());
            }
            let prefix = Bytes::from_static(b"k");
            let rows: Vec<_> = overlay.rows(Space::Heads, &prefix, &prefix).map(Result::unwrap).collect();
            prop_assert_eq!(rows, model.clone().into_iter().collect::<Vec<_>>());
            for p in 0..4u8 {
                let prefix = Bytes::copy_from_slice(&[b'k', p]);
                let expected = model.iter().find(|(k, _)| k.starts_with(&prefix)).map(|(k, v)| (k.clone(), v.clone()));
                prop_assert_eq!(overlay.first(Space::Heads, &prefix).unwrap(), expected);
                let from = key(p + 8);
                let expected = model.range(from.clone()..).find(|(k, _)| k.starts_with(&prefix));
                let expected = expected.map(|(k, v)| (k.clone(), v.clone()));
                prop_assert_eq!(overlay.first_from(Space::Heads, &from, &prefix).unwrap(), expected);
                let expected = model.range(..from.clone()).rfind(|(k, _)| k.starts_with(&prefix));
                let expected = expected.map(|(k, v)| (k.clone(), v.clone()));
                prop_assert_eq!(overlay.last_before(Space::Heads, &from, &prefix).unwrap(), expected);
            }
        }

        /// A refused plan leaves no trace. A defect it catches: a roll-back that forgets an overwritten write.
        #[test]
        fn what_is_rolled_back_was_never_there(
            kept in prop::collection::vec((0u8..8, any::<bool>()), 0..12),
            refused in prop::collection::vec((0u8..8, any::<bool>()), 0..12),
        ) {
            let write = |overlay: &mut Overlay, writes: &[(u8, bool)], value: &'static [u8]| {
                for (k, remove) in writes {
                    if *remove {
                        overlay.remove(Space::Heads, key(*k));
                    } else {
                        overlay.put(Space::Heads, key(*k), Bytes::from_static(value));
                    }
                    overlay.free(BucketId::from_bytes([*k; 16]), ChunkHash::from_bytes([0; 32]));
                }
            };
            let storage = MemoryStorage::new();
            let mut overlay = Overlay::new(storage.snapshot());
            write(&mut overlay, &kept, b"kept");
            overlay.keep();
            let mut expected = Overlay::new(storage.snapshot());
            write(&mut expected, &kept, b"kept");
            write(&mut overlay, &refused, b"refused");
            overlay.roll_back();
            let (found, expected) = (overlay.finish(), expected.finish());
            prop_assert_eq!(found.batch.writes, expected.batch.writes);
            prop_assert_eq!(found.freed, expected.freed);
        }
    }
}
