//! Bringing a store of an earlier format to this one. Every step can be cut off and made again: `STORE` says the new
//! format only when all is there.

use super::OpenError;
use super::file::{FORMAT, StoreFile};
use super::layout::Layout;
use crate::row::{ObjectRow, key};
use crate::storage::{Batch, FjallStorage, Space, Storage, StorageError};

/// Rows of one batch.
const ROWS_PER_BATCH: usize = 1000;

/// Format 1 had no `index`: the rows of tags are made from the heads.
pub(super) fn upgrade(layout: &Layout, file: &StoreFile, storage: &FjallStorage) -> Result<(), OpenError> {
    if file.format >= FORMAT {
        return Ok(());
    }
    let damaged = |_| StorageError::Read("a head row is damaged".to_owned());
    let snapshot = storage.snapshot();
    let mut batch = Batch::default();
    for row in snapshot.range(Space::Heads, &[], &[], false) {
        let (row_key, row) = row?;
        let head = ObjectRow::decode(&row).map_err(damaged)?;
        let (bucket, object) = key::parse_head(&row_key).map_err(damaged)?;
        for (name, value) in head.headers.tags.iter() {
            let tag = key::tag(&bucket, name, value, &object);
            batch.writes.push((Space::Index, tag, Some(bytes::Bytes::new())));
        }
        if batch.writes.len() >= ROWS_PER_BATCH {
            storage.commit(std::mem::take(&mut batch))?;
        }
    }
    if !batch.writes.is_empty() {
        storage.commit(batch)?;
    }
    let upgraded = StoreFile {
        format: FORMAT,
        keyspaces: storage.keyspace_ids(),
        ..file.clone()
    };
    // DURABILITY: the rows are synced; only now is the store of the new format.
    upgraded.write(layout).map_err(OpenError::io("STORE"))
}
