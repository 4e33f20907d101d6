//! The commit mark: where the log stands. One row in `meta`, written by every commit, and the same bytes in `HWM`.

use wfldb_core::id::{CommitNumber, LogPosition};
use wfldb_core::time::UnixMillis;

use super::RowError;

/// Encoded length in bytes.
pub(crate) const MARK_BYTES: usize = 8 + 8 + 8 + 32 + 8;

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
    /// Leaves of the audit log. Every change has one, so there are as many as positions at least; a mark that a format
    /// before 3 wrote has 0.
    pub(crate) leaves: u64,
}

impl CommitMark {
    /// Before the first commit.
    pub(crate) const ZERO: Self = Self {
        number: CommitNumber::new(0),
        position: LogPosition::new(0),
        at: UnixMillis::new(0),
        chain: [0; 32],
        leaves: 0,
    };

    /// Whether every change has its leaf: no format before 3 wrote this.
    pub(crate) fn has_leaves(&self) -> bool {
        self.leaves >= self.position.get()
    }

    pub(crate) fn encode(&self) -> [u8; MARK_BYTES] {
        let mut row = [0; MARK_BYTES];
        let fields = [self.number.get(), self.position.get(), self.at.get()];
        for (slot, field) in row.chunks_exact_mut(8).zip(fields) {
            slot.copy_from_slice(&field.to_be_bytes());
        }
        if let Some((chain, leaves)) = row.get_mut(24..).and_then(<[u8]>::split_first_chunk_mut::<32>) {
            *chain = self.chain;
            leaves.copy_from_slice(&self.leaves.to_be_bytes());
        }
        row
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self, RowError> {
        let damaged = RowError("commit mark");
        let (number, rest) = row.split_first_chunk::<8>().ok_or(damaged)?;
        let (position, rest) = rest.split_first_chunk::<8>().ok_or(damaged)?;
        let (at, rest) = rest.split_first_chunk::<8>().ok_or(damaged)?;
        let (chain, rest) = rest.split_first_chunk::<32>().ok_or(damaged)?;
        let leaves = match rest {
            // Of a format before 3.
            [] => 0,
            leaves => u64::from_be_bytes(leaves.try_into().map_err(|_| damaged)?),
        };
        Ok(Self {
            number: CommitNumber::new(u64::from_be_bytes(*number)),
            position: LogPosition::new(u64::from_be_bytes(*position)),
            at: UnixMillis::new(u64::from_be_bytes(*at)),
            chain: *chain,
            leaves,
        })
    }
}
