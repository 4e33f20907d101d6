//! What an open checks of the audit log: that its leaves reach the durable mark, that the tail has no gap, and that each
//! leaf of the tail is the one that its change names. The hashes of the tree are the audit worker's to check.

use crate::row::{CommitMark, LeafLink, key};
use crate::storage::{Snapshot, Space};

/// Leaves before the end that are read again at each open.
const TAIL_LEAVES: u64 = 32_768;

/// Checks the leaves up to `mark`, those of `changes` byte by byte.
pub(super) fn check(
    snapshot: &dyn Snapshot,
    mark: &CommitMark,
    durable: &CommitMark,
    changes: &[LeafLink],
) -> Result<(), String> {
    if mark.leaves < durable.leaves {
        return Err(format!(
            "acknowledged leaves of the audit log are lost: it ends with {}, the durable mark has {}",
            mark.leaves, durable.leaves
        ));
    }
    if mark.leaves == 0 && changes.is_empty() {
        // A store of a format before 3, which is brought up to it next; or an empty one.
        return Ok(());
    }
    if !mark.has_leaves() {
        return Err(format!(
            "the audit log has {} leaves for {} changes",
            mark.leaves, mark.position
        ));
    }
    let tail = mark.leaves.saturating_sub(TAIL_LEAVES);
    let from = changes.first().map_or(tail, |first| first.leaf.max(tail));
    let mut named = changes.iter().skip_while(|named| named.leaf < from).peekable();
    let mut expected = from;
    for row in snapshot.range(Space::Log, &key::leaf(from), b"b", false) {
        let (row_key, entry) = row.map_err(|error| error.to_string())?;
        let leaf = key::index_of_leaf(&row_key).map_err(|error| error.to_string())?;
        if leaf != expected {
            return Err(format!(
                "the audit log has a gap: leaf {expected} is followed by {leaf}"
            ));
        }
        if let Some(link) = named.next_if(|named| named.leaf == leaf)
            && link.entry != *blake3::hash(&entry).as_bytes()
        {
            return Err(format!(
                "leaf {leaf} of the audit log is not the one that its change names"
            ));
        }
        expected += 1;
    }
    if expected != mark.leaves {
        return Err(format!(
            "the audit log ends with {expected} leaves, its mark says {}",
            mark.leaves
        ));
    }
    match named.next() {
        None => Ok(()),
        Some(link) => Err(format!("leaf {} of the audit log is not in order", link.leaf)),
    }
}
