//! The audit log: leaves without gaps up to the mark, each the one of its change; tiles that are the hashes of the leaves;
//! a checkpoint that is one of this tree.

use wfldb_core::audit::{Entry, GrowingTree, Tile, TileId, TreeHash, leaf_hash};

use super::{Check, FindingKind, Place};
use crate::audit::{Sealed, StoredCheckpoint, StoredTiles, entry_of};
use crate::row::{ChangeRow, CommitMark, EvidenceRow, key};
use crate::storage::{Space, StorageError};

impl Check<'_> {
    /// All leaves in order, against tiles and checkpoint.
    pub(super) fn leaves(&mut self, mark: &CommitMark) -> Result<(), StorageError> {
        if mark.leaves == 0 && mark.position.get() > 0 {
            // Of a format before 3, which has none.
            return self.no_leaves();
        }
        let checkpoint = self.checkpoint(mark)?;
        let stored = StoredTiles::new(self.snapshot).leaves();
        let kept = stored
            .unwrap_or(0)
            .max(checkpoint.as_ref().map_or(0, |(size, _)| *size));
        let mut tree = GrowingTree::new();
        let mut tiles = 0;
        let mut accesses = 0;
        let mut read = 0;
        let mut root = checkpoint
            .as_ref()
            .filter(|(size, _)| *size == 0)
            .map(|_| tree.root());
        for row in self.range(Space::Log, b"a") {
            let (row_key, entry) = row?;
            let leaf = tree.size();
            let place = Place::default().named(leaf);
            if key::index_of_leaf(&row_key) != Ok(leaf) {
                self.find(
                    FindingKind::Audit,
                    Some(place),
                    "a gap before this leaf, or a leaf that is none",
                );
                return Ok(());
            }
            let parsed = Entry::parse(&entry);
            accesses += u64::from(parsed.as_ref().is_ok_and(Entry::is_access));
            if parsed.is_ok_and(|parsed| parsed.leaf.get() == leaf) {
                self.report.leaves += 1;
            } else {
                self.find(FindingKind::Audit, Some(place), "its entry is damaged");
            }
            for tile in tree.push(leaf_hash(&entry)) {
                tiles += u64::from(self.tile(&tile, kept)?);
            }
            if checkpoint.as_ref().is_some_and(|(size, _)| *size == tree.size()) {
                root = Some(tree.root());
            }
            read += entry.len() as u64;
            if read > 1 << 20 {
                (self.pace)(std::mem::take(&mut read));
            }
        }
        if tree.size() != mark.leaves {
            let detail = format!(
                "the audit log has {} leaves, its mark says {}",
                tree.size(),
                mark.leaves
            );
            self.find(FindingKind::Audit, None, detail);
        }
        // Each change has one; that it is this one is looked at with the change.
        if tree.size().saturating_sub(mark.position.get()) != accesses {
            let detail = format!(
                "{accesses} of {} leaves are of reads and refusals, {} are changes",
                tree.size(),
                mark.position
            );
            self.find(FindingKind::Audit, None, detail);
        }
        if let Some((size, signed)) = checkpoint
            && root != Some(signed)
        {
            let detail = format!("the checkpoint of {size} leaves is not of these leaves");
            self.find(FindingKind::Audit, None, detail);
        }
        let mut found = 0;
        for row in self.range(Space::Log, b"t") {
            row?;
            found += 1;
        }
        if found != tiles {
            let detail = format!("{found} tiles are kept, {tiles} of them are of these leaves");
            self.find(FindingKind::Audit, None, detail);
        }
        Ok(())
    }

    fn no_leaves(&mut self) -> Result<(), StorageError> {
        for prefix in [b"a", b"t"] {
            if let Some(row) = self.range(Space::Log, prefix).next() {
                row?;
                self.find(
                    FindingKind::Audit,
                    None,
                    "rows of an audit log that the mark does not count",
                );
            }
        }
        Ok(())
    }

    /// Size and root of the newest checkpoint.
    fn checkpoint(&mut self, mark: &CommitMark) -> Result<Option<(u64, TreeHash)>, StorageError> {
        let Some(row) = self.snapshot.get(Space::Meta, key::CHECKPOINT)? else {
            return Ok(None);
        };
        match StoredCheckpoint::decode(&row) {
            Ok(stored) if stored.checkpoint.size() <= mark.leaves => {
                Ok(Some((stored.checkpoint.size(), stored.checkpoint.root())))
            }
            Ok(_) => {
                self.find(
                    FindingKind::Audit,
                    None,
                    "the checkpoint has leaves that are not there",
                );
                Ok(None)
            }
            Err(error) => {
                self.find(FindingKind::Audit, None, error.to_string());
                Ok(None)
            }
        }
    }

    /// Compares a full tile with the one that is kept; answers whether one is. The worker makes tiles after the leaves,
    /// so those beyond the `kept` leaves may be missing.
    fn tile(&mut self, tile: &Tile, kept: u64) -> Result<bool, StorageError> {
        let (level, number) = (tile.id().level(), tile.id().number());
        let row = self.snapshot.get(Space::Log, &key::tile(level, number))?;
        let place = Place::default().named(tile.id());
        match &row {
            Some(row) if **row != tile.to_bytes() => {
                self.find(
                    FindingKind::Audit,
                    Some(place),
                    "the tile is not the hashes of its leaves",
                );
            }
            None if TileId::full(level, number).is_in_tree(kept) => {
                self.find(FindingKind::Audit, Some(place), "the tile is missing");
            }
            Some(_) | None => {}
        }
        Ok(row.is_some())
    }

    /// The leaf of a change: of the bytes that the change names, and those that follow from its evidence as long as that
    /// is there.
    pub(super) fn leaf_of(&mut self, change: &ChangeRow) -> Result<(), StorageError> {
        let leaf = change.leaf_index();
        let place = Place::of(&change.bucket).named(leaf);
        let Some(entry) = self.snapshot.get(Space::Log, &key::leaf(leaf))? else {
            let detail = format!("the change at {} has no leaf", change.position);
            self.find(FindingKind::Audit, Some(place), detail);
            return Ok(());
        };
        let evidence = self.snapshot.get(Space::Log, &key::evidence(change.position))?;
        // Damage of the evidence is a finding of its own.
        let sealed = evidence
            .and_then(|row| EvidenceRow::decode(&row).ok())
            .map(|row| Sealed::of(&row));
        let is_named = change
            .leaf
            .is_none_or(|link| link.entry == *blake3::hash(&entry).as_bytes());
        let expected = entry_of(change, leaf, sealed.as_ref());
        let is_derived = entry == expected || (sealed.is_none() && tells_the_same(&entry, &expected));
        if !is_named || !is_derived {
            let detail = format!("the leaf is not that of the change at {}", change.position);
            self.find(FindingKind::Audit, Some(place), detail);
        }
        Ok(())
    }
}

/// Whether two entries are of the same event, as far as one without commitments says.
fn tells_the_same(entry: &[u8], other: &[u8]) -> bool {
    let (Ok(entry), Ok(other)) = (Entry::parse(entry), Entry::parse(other)) else {
        return false;
    };
    (entry.leaf, entry.at, entry.op) == (other.leaf, other.at, other.op)
}
