//! A revocation as its change row has it: enough to tell whether the row in `meta` is the one that was written.

use serde::{Deserialize, Serialize};
use wfldb_core::revocation::{Revoked, Terms};
use wfldb_core::time::UnixMillis;

use crate::row::ChangeRow;

/// The member `config` of a change that revoked, in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoggedRevocation {
    /// Seconds; absent of a packet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    issued_until: Option<u64>,
    /// Milliseconds; absent when it is kept for ever.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    kept_until_ms: Option<u64>,
    /// BLAKE3 of the row, in hex.
    row: String,
}

impl LoggedRevocation {
    pub(crate) fn new(what: &Revoked, terms: &Terms, row: &[u8]) -> Self {
        Self {
            issued_until: what.is_of_key().then_some(terms.issued_until),
            kept_until_ms: terms.kept_until.map(UnixMillis::get),
            row: blake3::hash(row).to_hex().to_string(),
        }
    }

    pub(crate) fn to_json(&self) -> String {
        // A struct of numbers and a text always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What a change revoked; `None` when it does not say.
    pub(crate) fn of(change: &ChangeRow) -> Option<Self> {
        serde_json::from_str(change.config.as_deref()?).ok()
    }

    /// Whether a row is the one that was written.
    pub(crate) fn is_of(&self, row: &[u8]) -> bool {
        self.row == blake3::hash(row).to_hex().as_str()
    }

    /// Whether its row may be gone, since it cannot matter any more.
    pub(crate) fn is_over(&self, at: UnixMillis) -> bool {
        self.kept_until_ms.is_some_and(|end| end <= at.get())
    }
}
