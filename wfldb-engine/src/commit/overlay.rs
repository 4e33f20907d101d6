//! What a plan sees: the committed snapshot, and above it the writes of the plans before it in the group.
//!
//! INVARIANT: one write per storage key leaves here, whatever the number of plans that touched it: the last one.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::storage::{Batch, Snapshot, Space, StorageError, prefix_end};

/// A snapshot and the ordered writes above it.
pub(crate) struct Overlay {
    snapshot: Arc<dyn Snapshot>,
    writes: BTreeMap<(Space, Bytes), Option<Bytes>>,
}

impl Overlay {
    pub(crate) fn new(snapshot: Arc<dyn Snapshot>) -> Self {
        Self {
            snapshot,
            writes: BTreeMap::new(),
        }
    }

    /// The value at `key` as the next plan must see it.
    pub(crate) fn value(&self, space: Space, key: &Bytes) -> Result<Option<Bytes>, StorageError> {
        match self.writes.get(&(space, key.clone())) {
            Some(written) => Ok(written.clone()),
            None => self.snapshot.get(space, key),
        }
    }

    /// The first row whose key begins with `prefix`, as the next plan must see it.
    pub(crate) fn first(&self, space: Space, prefix: &Bytes) -> Result<Option<(Bytes, Bytes)>, StorageError> {
        self.first_from(space, prefix, prefix)
    }

    /// The first row at or behind `from` whose key begins with `prefix`, as the next plan must see it.
    pub(crate) fn first_from(
        &self,
        space: Space,
        from: &Bytes,
        prefix: &Bytes,
    ) -> Result<Option<(Bytes, Bytes)>, StorageError> {
        let end = prefix_end(prefix);
        let low = Bound::Included((space, from.clone()));
        let mut above = self
            .writes
            .range((low, Bound::Unbounded))
            .take_while(|((s, key), _)| *s == space && key.starts_with(prefix));
        let mut below = self.snapshot.range(space, from, &end, false);
        let mut next_above = above.next();
        let mut next_below = below.next().transpose()?;
        loop {
            match (next_above, &next_below) {
                (None, _) => return Ok(next_below),
                (Some(((_, key), written)), Some((below_key, _))) if key > below_key => {
                    let _ = (key, written);
                    return Ok(next_below);
                }
                (Some(((_, key), written)), _) => {
                    // The overlay's row comes first, or hides the row with the same key below.
                    if next_below.as_ref().is_some_and(|(below_key, _)| below_key == key) {
                        next_below = below.next().transpose()?;
                    }
                    match written {
                        Some(value) => return Ok(Some((key.clone(), value.clone()))),
                        None => next_above = above.next(),
                    }
                }
            }
        }
    }

    pub(crate) fn put(&mut self, space: Space, key: Bytes, value: impl Into<Bytes>) {
        self.writes.insert((space, key), Some(value.into()));
    }

    pub(crate) fn remove(&mut self, space: Space, key: Bytes) {
        self.writes.insert((space, key), None);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    pub(crate) fn into_batch(self) -> Batch {
        Batch {
            writes: self
                .writes
                .into_iter()
                .map(|((space, key), value)| (space, key, value))
                .collect(),
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
            for p in 0..4u8 {
                let prefix = Bytes::copy_from_slice(&[b'k', p]);
                let expected = model.iter().find(|(k, _)| k.starts_with(&prefix)).map(|(k, v)| (k.clone(), v.clone()));
                prop_assert_eq!(overlay.first(Space::Heads, &prefix).unwrap(), expected);
                let from = key(p + 8);
                let expected = model.range(from.clone()..).find(|(k, _)| k.starts_with(&prefix));
                let expected = expected.map(|(k, v)| (k.clone(), v.clone()));
                prop_assert_eq!(overlay.first_from(Space::Heads, &from, &prefix).unwrap(), expected);
            }
        }
    }
}
