//! Reading the log of the whole store, in bounded pieces.

use wfldb_core::id::LogPosition;

use crate::error::EngineError;
use crate::row::{ChangeRow, key};
use crate::storage::{Snapshot, Space};

/// Changes of one page.
const CHANGES_MAX: usize = 1024;
/// Bytes of their rows after which a page ends; its last row may go beyond.
const BYTES_MAX: usize = 1 << 20;

/// A piece of the log.
#[derive(Debug)]
pub(crate) struct LogPage {
    /// The changes, by position, without gaps.
    pub(crate) changes: Vec<ChangeRow>,
    /// The position of the last of them; where there is none, the one that was asked for.
    pub(crate) position: LogPosition,
    /// The snapshot has more behind it.
    pub(crate) more: bool,
}

/// The changes behind the position `after` that `snapshot` shows: at most 1,024 of them, about 1 MiB. All that it shows
/// is on stable storage.
///
/// # Errors
/// `Corrupt` when a position is missing or a row is damaged: nothing of the log is skipped.
pub(crate) fn read_log(snapshot: &dyn Snapshot, after: LogPosition) -> Result<LogPage, EngineError> {
    let mut page = LogPage {
        changes: Vec::new(),
        position: after,
        more: false,
    };
    let mut bytes = 0;
    // All change rows are behind `c`.
    for row in snapshot.range(Space::Log, &key::change(after.next()), b"d", false) {
        let (_, row) = row?;
        if page.changes.len() == CHANGES_MAX || bytes >= BYTES_MAX {
            page.more = true;
            break;
        }
        bytes += row.len();
        let change = ChangeRow::decode(&row)?;
        if change.position != page.position.next() {
            return Err(EngineError::Corrupt("log"));
        }
        page.position = change.position;
        page.changes.push(change);
    }
    Ok(page)
}
