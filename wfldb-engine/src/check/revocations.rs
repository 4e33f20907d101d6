//! What is revoked: every row is the one that the log names last, and none that still matters is missing.

use super::{Check, FindingKind};
use crate::revocation::LoggedRevocation;
use crate::row::revocation::{REVOKED, RevocationRow, parse_revoked};
use crate::row::{ChangeRow, CommitMark};
use crate::storage::{Space, StorageError};

impl Check<'_> {
    /// Notes what a change of the log revoked.
    pub(super) fn note_revocation(&mut self, change: &ChangeRow) {
        match LoggedRevocation::of(change) {
            Some(logged) => {
                self.revoked.insert(change.key.clone(), logged);
            }
            None => self.find(FindingKind::Log, None, "a revocation does not say how it holds"),
        }
    }

    pub(super) fn revocations(&mut self, mark: &CommitMark) -> Result<(), StorageError> {
        let mut logged = std::mem::take(&mut self.revoked);
        for row in self.range(Space::Meta, REVOKED) {
            let (row_key, row) = row?;
            let known = parse_revoked(&row_key)
                .ok()
                .and_then(|what| logged.remove(&what.to_string()));
            let fits = known.is_some_and(|known| known.is_of(&row));
            if !fits || RevocationRow::decode(&row).is_err() {
                self.find(
                    FindingKind::Log,
                    None,
                    "a revocation is not the one that its change made",
                );
            }
        }
        if logged.values().any(|logged| !logged.is_over(mark.at)) {
            self.find(FindingKind::Log, None, "a revocation is missing");
        }
        Ok(())
    }
}
