//! The newest checkpoint as `meta` holds it: the verifier key in its text form, a line feed, the signed note. The key is
//! kept with it because a restored store gets another.

use bytes::Bytes;
use wfldb_core::audit::{SignedCheckpoint, VerifierKey};

use crate::row::RowError;

/// A checkpoint and the key that signed it.
pub(crate) struct StoredCheckpoint {
    pub(crate) checkpoint: SignedCheckpoint,
    pub(crate) key: VerifierKey,
}

impl StoredCheckpoint {
    pub(crate) fn encode(checkpoint: &SignedCheckpoint, key: &VerifierKey) -> Bytes {
        Bytes::from(format!("{key}\n{}", checkpoint.text()))
    }

    /// Reads the row; a note that its key did not sign is damage.
    pub(crate) fn decode(row: &[u8]) -> Result<Self, RowError> {
        let damaged = RowError("checkpoint");
        let end = row.iter().position(|byte| *byte == b'\n').ok_or(damaged)?;
        let (key, note) = row.split_at_checked(end).ok_or(damaged)?;
        let key = std::str::from_utf8(key).map_err(|_| damaged)?;
        let key = VerifierKey::parse(key).map_err(|_| damaged)?;
        let note = note.get(1..).unwrap_or_default();
        let checkpoint = SignedCheckpoint::open(note, &key).map_err(|_| damaged)?;
        Ok(Self { checkpoint, key })
    }
}
