//! The rows by which uses of links are counted.

use wfldb_core::id::PublicKey;
use wfldb_core::time::UnixMillis;

use super::RowError;

const DAMAGED: RowError = RowError("link");

/// What was spent of one link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkUseRow {
    pub(crate) spent: u64,
    /// Whose share of the rows it takes.
    pub(crate) holder: PublicKey,
}

impl LinkUseRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        [&self.spent.to_be_bytes(), self.holder.as_bytes().as_slice()].concat()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self, RowError> {
        let (spent, holder) = row.split_first_chunk::<8>().ok_or(DAMAGED)?;
        let holder: [u8; 32] = holder.try_into().map_err(|_| DAMAGED)?;
        Ok(Self {
            spent: u64::from_be_bytes(*spent),
            holder: PublicKey::from_bytes(&holder).map_err(|_| DAMAGED)?,
        })
    }
}

/// What is known of all of them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinksRow {
    /// Rows there are.
    pub(crate) rows: u64,
    /// Links that ended by then may have been forgotten, so none of them is counted again, whatever a clock says.
    pub(crate) forgotten: UnixMillis,
}

impl LinksRow {
    pub(crate) const NONE: Self = Self {
        rows: 0,
        forgotten: UnixMillis::new(0),
    };

    pub(crate) fn encode(&self) -> Vec<u8> {
        [self.rows.to_be_bytes(), self.forgotten.get().to_be_bytes()].concat()
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Self, RowError> {
        let (rows, forgotten) = row.split_first_chunk::<8>().ok_or(DAMAGED)?;
        let forgotten: [u8; 8] = forgotten.try_into().map_err(|_| DAMAGED)?;
        Ok(Self {
            rows: u64::from_be_bytes(*rows),
            forgotten: UnixMillis::new(u64::from_be_bytes(forgotten)),
        })
    }
}

/// A number of rows of one holder.
pub(crate) fn decode_share(row: &[u8]) -> Result<u64, RowError> {
    let share: [u8; 8] = row.try_into().map_err(|_| DAMAGED)?;
    Ok(u64::from_be_bytes(share))
}
