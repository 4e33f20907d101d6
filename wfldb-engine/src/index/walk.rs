//! Reading an index: its rows in a range of keys, in either direction, from one snapshot.

use bytes::Bytes;
use wfldb_core::id::BucketId;
use wfldb_core::index::{IndexDefinition, IndexEntry, KeyRange};
use wfldb_core::name::ObjectKey;

use crate::error::EngineError;
use crate::row::{BucketRow, IndexState, decode_entry, key};
use crate::storage::{Snapshot, Space, prefix_end};

/// One row of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Walked {
    /// The document.
    pub(crate) object: ObjectKey,
    pub(crate) entry: IndexEntry,
    /// The row's place, behind which another walk can go on.
    pub(crate) place: Bytes,
}

/// The indexes of a bucket that have every document, by their numbers.
///
/// INVARIANT: to be asked with the bucket's row from the very snapshot that is walked. The rows of an index that was
/// dropped go after its definition, and those of one that is being built come before it is ready.
pub(crate) fn ready(bucket: &BucketRow) -> impl Iterator<Item = (u32, &IndexDefinition)> {
    let is_ready = |state: &IndexState| matches!(state, IndexState::Ready);
    let ready = bucket
        .indexes
        .defined
        .iter()
        .filter(move |index| is_ready(&index.state));
    ready.map(|index| (index.number, &index.definition))
}

/// The rows of an index in a range, in order or from its end. With `after`, a place that an earlier walk in the same
/// direction came to, only what is behind that.
pub(crate) fn walk<'a>(
    snapshot: &'a dyn Snapshot,
    bucket: &BucketId,
    number: u32,
    range: &KeyRange,
    reverse: bool,
    after: Option<&[u8]>,
) -> impl Iterator<Item = Result<Walked, EngineError>> + 'a {
    let all = key::index_rows(bucket, number);
    let place = |place: &[u8]| [&*all, place].concat();
    let mut from = place(&range.from);
    let mut to = if range.to.is_empty() {
        prefix_end(&all)
    } else {
        place(&range.to)
    };
    match after {
        Some(after) if reverse => to = to.min(place(after)),
        Some(after) => from = from.max(place(&[after, &[0]].concat())),
        None => {}
    }
    // A range that ends before it begins has nothing in it, which not every storage takes for one.
    let rows = (from < to).then(|| snapshot.range(Space::Index, &from, &to, reverse));
    rows.into_iter().flatten().map(move |row| {
        let (row_key, row) = row?;
        let place = row_key.slice(key::INDEX_ROWS_LEN.min(row_key.len())..);
        let (entry, object) = decode_entry(&place, &row)?;
        Ok(Walked { object, entry, place })
    })
}
