//! The commit mark: where the log stands. One row in `meta`, written by every commit, and the same bytes in `HWM`.

use wfldb_core::id::{CommitNumber, LogPosition};
use wfldb_core::time::UnixMillis;

use super::RowError;

/// Encoded length in bytes.
pub(crate) const MARK_BYTES: usize = 8 + 8 + 8 + 32;

/// The state of the log after a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommitMark {
    /// The storage batch's number.
    pub(crate) number: CommitNumber,
    /// The last log position given out.
    pub(crate) position: LogPosition,
    /// The last commit time; it never decreases.
    pub(crate) at: UnixMillis,
    /// BLAKE3 of the last change row; zeros before the first.
    pub(crate) chain: [u8; 32],
}

impl CommitMark {
    /// Before the first commit.
    pub(crate) const ZERO: Self = Self {
        number: CommitNumber::new(0),
        position: LogPosition::new(0),
        at: UnixMillis::new(0),
        chain: [0; 32],
    };

    pub(crate) fn encode(&self) -> [u8; MARK_BYTES] {
        let mut row = [0; MARK_BYTES];
        let fields = [self.number.get(), self.position.get(), self.at.get()];
        for (slot, field) in row.chunks_exact_mut(8).zip(fields) {
            slot.copy_from_slice(&field.to_be_bytes());
        }
        if let Some(chain) = row.last_chunk_mut::<32>() {
            *chain = self.chain;
        }
        row
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self, RowError> {
        let damaged = RowError("commit mark");
        let (number, rest) = row.split_first_chunk::<8>().ok_or(damaged)?;
        let (position, rest) = rest.split_first_chunk::<8>().ok_or(damaged)?;
        let (at, rest) = rest.split_first_chunk::<8>().ok_or(damaged)?;
        Ok(Self {
            number: CommitNumber::new(u64::from_be_bytes(*number)),
            position: LogPosition::new(u64::from_be_bytes(*position)),
            at: UnixMillis::new(u64::from_be_bytes(*at)),
            chain: rest.try_into().map_err(|_| damaged)?,
        })
    }
}
