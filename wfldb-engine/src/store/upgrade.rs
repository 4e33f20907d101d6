//! Bringing a store of an earlier format to this one. Every step can be cut off and made again: `STORE` says the new
//! format only when all is there.

use std::collections::HashSet;

use bytes::Bytes;
use wfldb_core::id::LogPosition;

use super::OpenError;
use super::file::{FORMAT, StoreFile};
use super::layout::Layout;
use crate::audit::{Sealed, entry_of};
use crate::row::{ChangeRow, CommitMark, EvidenceRow, ObjectRow, key};
use crate::storage::{Batch, FjallStorage, Snapshot, Space, Storage, StorageError, prefix_end};

/// Rows of one batch.
const ROWS_PER_BATCH: usize = 1000;

/// Brings the store to [`FORMAT`]; answers the commit mark that it has then.
pub(super) fn upgrade(
    layout: &Layout,
    file: &StoreFile,
    storage: &FjallStorage,
    mark: CommitMark,
) -> Result<CommitMark, OpenError> {
    if file.format >= FORMAT {
        return Ok(mark);
    }
    if file.format < 2 {
        make_index(storage)?;
    }
    let mark = make_leaves(storage, mark)?;
    make_places(storage)?;
    let upgraded = StoreFile {
        format: FORMAT,
        keyspaces: storage.keyspace_ids(),
        ..file.clone()
    };
    // DURABILITY: the rows are synced; only now is the store of the new format.
    upgraded.write(layout).map_err(OpenError::io("STORE"))?;
    Ok(mark)
}

/// Format 1 had no `index`: the rows of tags are made from the heads.
fn make_index(storage: &FjallStorage) -> Result<(), StorageError> {
    let damaged = |_| StorageError::Read("a head row is damaged".to_owned());
    let snapshot = storage.snapshot();
    let mut batch = Batch::default();
    for row in snapshot.range(Space::Heads, &[], &[], false) {
        let (row_key, row) = row?;
        let head = ObjectRow::decode(&row).map_err(damaged)?;
        let (bucket, object) = key::parse_head(&row_key).map_err(damaged)?;
        for (name, value) in head.headers.tags.iter() {
            let tag = key::tag(&bucket, name, value, &object);
            batch.writes.push((Space::Index, tag, Some(Bytes::new())));
        }
        commit_full(storage, &mut batch)?;
    }
    commit_rest(storage, batch)
}

/// Formats before 3 had no audit log: each change gets its leaf, in the order of positions, from its row and its
/// evidence. What was cut off goes on behind the last leaf that is there.
fn make_leaves(storage: &FjallStorage, mark: CommitMark) -> Result<CommitMark, StorageError> {
    let damaged = |_| StorageError::Read("a row of the log is damaged".to_owned());
    let snapshot = storage.snapshot();
    let last = snapshot
        .range(Space::Log, &key::leaf(0), b"b", true)
        .next()
        .transpose()?;
    let done = match last {
        Some((row_key, _)) => key::index_of_leaf(&row_key).map_err(damaged)? + 1,
        None => 0,
    };
    let mut batch = Batch::default();
    let from = key::change(LogPosition::new(done + 1));
    for row in snapshot.range(Space::Log, &from, b"d", false) {
        let (_, row) = row?;
        let change = ChangeRow::decode(&row).map_err(damaged)?;
        let sealed = evidence(&*snapshot, change.position)?;
        let leaf = change.leaf_index();
        let entry = entry_of(&change, leaf, sealed.as_ref());
        batch.writes.push((Space::Log, key::leaf(leaf), Some(entry)));
        commit_full(storage, &mut batch)?;
    }
    let mark = CommitMark {
        leaves: mark.position.get(),
        ..mark
    };
    let row = Bytes::copy_from_slice(&mark.encode());
    batch
        .writes
        .push((Space::Meta, Bytes::from_static(key::COMMIT_MARK), Some(row)));
    commit_rest(storage, batch)?;
    Ok(mark)
}

/// Formats before 4 did not say where the changes of a bucket stand in the log. Those of buckets that are gone are not
/// followed any more.
fn make_places(storage: &FjallStorage) -> Result<(), StorageError> {
    let damaged = |_| StorageError::Read("a row of the log is damaged".to_owned());
    let snapshot = storage.snapshot();
    let end = prefix_end(key::BUCKET_ROW);
    let mut live = HashSet::new();
    for row in snapshot.range(Space::Meta, key::BUCKET_ROW, &end, false) {
        let (row_key, _) = row?;
        live.insert(Bytes::copy_from_slice(
            row_key.strip_prefix(key::BUCKET_ROW).unwrap_or_default(),
        ));
    }
    let mut batch = Batch::default();
    for row in snapshot.range(Space::Log, &key::change(LogPosition::new(0)), b"d", false) {
        let (_, row) = row?;
        let change = ChangeRow::decode(&row).map_err(damaged)?;
        if live.contains(change.bucket.as_bytes().as_slice()) {
            let place = key::bucket_change(&change.bucket, change.seq);
            let position = Bytes::copy_from_slice(&change.position.get().to_be_bytes());
            batch.writes.push((Space::Index, place, Some(position)));
            commit_full(storage, &mut batch)?;
        }
    }
    commit_rest(storage, batch)
}

/// `None`: it was erased.
fn evidence(snapshot: &dyn Snapshot, position: LogPosition) -> Result<Option<Sealed>, StorageError> {
    let damaged = |_| StorageError::Read("a row of evidence is damaged".to_owned());
    let row = snapshot.get(Space::Log, &key::evidence(position))?;
    let row = row
        .map(|row| EvidenceRow::decode(&row))
        .transpose()
        .map_err(damaged)?;
    Ok(row.as_ref().map(Sealed::of))
}

fn commit_full(storage: &FjallStorage, batch: &mut Batch) -> Result<(), StorageError> {
    if batch.writes.len() < ROWS_PER_BATCH {
        return Ok(());
    }
    storage.commit(std::mem::take(batch))
}

fn commit_rest(storage: &FjallStorage, batch: Batch) -> Result<(), StorageError> {
    if batch.writes.is_empty() {
        return Ok(());
    }
    storage.commit(batch)
}
