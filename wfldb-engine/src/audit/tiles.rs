//! The tiles of the audit log as the store has them: full ones in rows, partial ones made from leaves and full tiles.

use wfldb_core::audit::{Tile, TileId, TileSource, TreeHash, leaf_hash, tile_from_below};

use crate::error::EngineError;
use crate::row::key;
use crate::storage::{Snapshot, Space};

/// Reads tiles of one snapshot.
pub(crate) struct StoredTiles<'a> {
    snapshot: &'a dyn Snapshot,
}

impl<'a> StoredTiles<'a> {
    pub(crate) fn new(snapshot: &'a dyn Snapshot) -> Self {
        Self { snapshot }
    }

    /// How many leaves the full tiles of level 0 cover.
    pub(crate) fn leaves(&self) -> Result<u64, EngineError> {
        let (first, behind) = (key::tile(0, 0), key::tile(1, 0));
        let last = self.snapshot.range(Space::Log, &first, &behind, true).next();
        let Some((row_key, _)) = last.transpose()? else {
            return Ok(0);
        };
        let (_, number) = key::parse_tile(&row_key)?;
        number
            .checked_add(1)
            .and_then(|tiles| tiles.checked_mul(u64::from(wfldb_core::limits::AUDIT_TILE_WIDTH)))
            .ok_or(EngineError::Corrupt("tile"))
    }

    fn stored(&self, id: TileId) -> Result<Option<Tile>, EngineError> {
        let row = self
            .snapshot
            .get(Space::Log, &key::tile(id.level(), id.number()))?;
        let full = TileId::full(id.level(), id.number());
        Ok(row.map(|row| Tile::parse(full, &row)).transpose()?)
    }
}

/// The entries of the leaves from `first` on, at most `count`, in order and without gaps.
pub(crate) fn entries(
    snapshot: &dyn Snapshot,
    first: u64,
    count: u64,
) -> impl Iterator<Item = Result<bytes::Bytes, EngineError>> + '_ {
    let end = first.saturating_add(count);
    let rows = snapshot.range(Space::Log, &key::leaf(first), &key::leaf(end), false);
    (first..).zip(rows).map(|(expected, row)| {
        let (row_key, entry) = row?;
        if key::index_of_leaf(&row_key)? == expected {
            Ok(entry)
        } else {
            Err(EngineError::Corrupt("leaf"))
        }
    })
}

impl TileSource for StoredTiles<'_> {
    type Error = EngineError;

    fn tile(&mut self, id: TileId) -> Result<Tile, EngineError> {
        if let Some(full) = self.stored(id)? {
            // A partial tile is the beginning of what became of it.
            let hashes = full.hashes().get(..usize::from(id.width())).unwrap_or_default();
            return Ok(Tile::new(id, hashes.to_vec())?);
        }
        if id.is_full() {
            return Err(EngineError::Corrupt("tile"));
        }
        if id.level() > 0 {
            return tile_from_below(id, self);
        }
        let first = id
            .number()
            .saturating_mul(u64::from(wfldb_core::limits::AUDIT_TILE_WIDTH));
        let hashes: Vec<TreeHash> = entries(self.snapshot, first, u64::from(id.width()))
            .map(|entry| Ok(leaf_hash(&entry?)))
            .collect::<Result<_, EngineError>>()?;
        Ok(Tile::new(id, hashes)?)
    }
}
