//! The log: one chain without gaps from the first change to the mark, and the evidence beside it.

use wfldb_core::id::LogPosition;

use super::{Check, FindingKind, Place};
use crate::row::{Action, ChangeRow, CommitMark, key};
use crate::storage::{Space, StorageError};

impl Check<'_> {
    pub(super) fn log(&mut self, mark: &CommitMark) -> Result<(), StorageError> {
        let mut expected = 1;
        let mut chain = [0; 32];
        let mut read = 0;
        for row in self.range(Space::Log, b"c") {
            let (row_key, row) = row?;
            let at = Place::default().named(expected);
            let position = key::position_of_change(&row_key);
            let Ok(change) = ChangeRow::decode(&row) else {
                self.find(FindingKind::Log, Some(at), "a change is damaged");
                chain = *blake3::hash(&row).as_bytes();
                expected += 1;
                continue;
            };
            if position != Ok(change.position) || change.position.get() != expected {
                self.find(
                    FindingKind::Log,
                    Some(at),
                    "a gap before this change, or another one in its place",
                );
                expected = change.position.get();
            } else if change.prev != chain {
                self.find(FindingKind::Log, Some(at), "the chain is broken here");
            }
            chain = *blake3::hash(&row).as_bytes();
            expected += 1;
            self.report.changes += 1;
            self.evidence(&change)?;
            if change.action == Action::Revoked {
                self.note_revocation(&change);
            }
            if mark.leaves > 0 {
                self.leaf_of(&change)?;
            }
            read += row.len() as u64;
            if read > 1 << 20 {
                (self.pace)(std::mem::take(&mut read));
            }
        }
        if expected != mark.position.get() + 1 || chain != mark.chain {
            let detail = format!(
                "the log ends at {}, its mark says {}",
                expected - 1,
                mark.position
            );
            self.find(FindingKind::Log, None, detail);
        }
        self.shares()
    }

    fn evidence(&mut self, change: &ChangeRow) -> Result<(), StorageError> {
        let row = self.snapshot.get(Space::Log, &key::evidence(change.position))?;
        let place = Place::of(&change.bucket).named(change.position);
        match row {
            Some(row) if *blake3::hash(&row).as_bytes() != change.evidence => {
                self.find(
                    FindingKind::Evidence,
                    Some(place),
                    "not the one that its change names",
                );
            }
            // It goes with the versions that it proves; that those which are there have it is checked with them.
            None if !change.effects().any(|(_, effect)| writes(effect.action)) => {
                self.find(FindingKind::Evidence, Some(place), "it is missing");
            }
            Some(_) | None => {}
        }
        Ok(())
    }

    fn shares(&mut self) -> Result<(), StorageError> {
        let mut shared = std::mem::take(&mut self.shared);
        for row in self.range(Space::Log, b"s") {
            let (row_key, row) = row?;
            let position = row_key.get(1..).and_then(|at| <[u8; 8]>::try_from(at).ok());
            let position = position.map(|at| LogPosition::new(u64::from_be_bytes(at)));
            let stored = <[u8; 4]>::try_from(&*row).ok().map(u32::from_be_bytes);
            let counted = position.and_then(|position| shared.remove(&position));
            // A deleted bucket's versions go without it.
            if stored.is_none() || counted.is_some_and(|counted| stored != Some(counted)) {
                let detail = format!("shared by {stored:?} versions, there are {counted:?}");
                self.find(FindingKind::Evidence, None, detail);
            }
        }
        for row in self.range(Space::Log, b"e") {
            let (row_key, _) = row?;
            let change = [b"c", row_key.get(1..).unwrap_or_default()].concat();
            if self.snapshot.get(Space::Log, &change)?.is_none() {
                self.find(FindingKind::Evidence, None, "evidence of no change");
            }
        }
        let several = shared.values().filter(|count| **count > 1).count();
        if several > 0 {
            let detail =
                format!("{several} changes with several versions do not say how many share their evidence");
            self.find(FindingKind::Evidence, None, detail);
        }
        Ok(())
    }
}

/// Whether an effect wrote a version.
pub(super) fn writes(action: Action) -> bool {
    match action {
        Action::ObjectPut | Action::ObjectDeleted | Action::ObjectRestored => true,
        Action::BucketCreated
        | Action::BucketConfigured
        | Action::BucketDeleted
        | Action::VersionErased
        | Action::VersionPruned
        | Action::VersionExpired
        | Action::Batch
        | Action::Lifecycle
        | Action::Transaction
        | Action::Revoked => false,
    }
}
