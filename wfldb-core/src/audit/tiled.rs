//! Roots and proofs from tiles.

use std::collections::HashMap;

use super::tile::hashes_at;
use super::tree::complete_root;
use super::{AuditError, SubtreeReader, Tile, TileId, TreeHash, consistency_proof, inclusion_proof, root};
use crate::id::LeafIndex;
use crate::limits::AUDIT_TILE_WIDTH;

/// Something that holds tiles: a store, a directory, a server.
pub trait TileSource {
    /// What can go wrong.
    type Error: From<AuditError>;

    /// The tile with this name, from [`Tile::new`] or [`Tile::parse`].
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn tile(&mut self, id: TileId) -> Result<Tile, Self::Error>;
}

/// The tree of the first `size` leaves over a [`TileSource`], for a root or some proofs. It keeps each tile that it
/// read, so make another one for another request. The largest proof reads about two tiles for each level.
///
/// SECURITY: nothing that comes from a source is believed because it came: whoever reads tiles of somebody else
/// compares the root with a checkpoint, or verifies the proof.
#[derive(Debug)]
pub struct TiledTree<'a, S> {
    size: u64,
    source: &'a mut S,
    read: HashMap<(u8, u64), Tile>,
}

impl<'a, S: TileSource> TiledTree<'a, S> {
    /// The tree of the first `size` leaves. The source is asked for tiles as they are in that tree: partial at the
    /// edge, also where it has more of them by now.
    pub fn new(size: u64, source: &'a mut S) -> Self {
        Self {
            size,
            source,
            read: HashMap::new(),
        }
    }

    /// Its root.
    ///
    /// # Errors
    /// The source's.
    pub fn root(&mut self) -> Result<TreeHash, S::Error> {
        root(self.size, self)
    }

    /// The proof that a leaf is in it.
    ///
    /// # Errors
    /// [`AuditError::Range`] when there is no such leaf, and the source's.
    pub fn inclusion_proof(&mut self, leaf: LeafIndex) -> Result<Vec<TreeHash>, S::Error> {
        inclusion_proof(leaf, self.size, self)
    }

    /// The proof that the tree of the first `old` leaves is its beginning.
    ///
    /// # Errors
    /// [`AuditError::Range`] when that one is larger, and the source's.
    pub fn consistency_proof(&mut self, old: u64) -> Result<Vec<TreeHash>, S::Error> {
        consistency_proof(old, self.size, self)
    }

    /// The roots of its complete subtrees, the largest first, as [`Frontier::from_peaks`](super::Frontier::from_peaks)
    /// takes them.
    ///
    /// # Errors
    /// The source's.
    pub fn peaks(&mut self) -> Result<Vec<TreeHash>, S::Error> {
        let mut next = 0;
        let size = self.size;
        let heights = (0..u64::BITS).rev().filter(|height| (size >> height) & 1 == 1);
        heights
            .map(|height| {
                let peak = self.subtree(height, next >> height);
                next += 1 << height;
                peak
            })
            .collect()
    }

    fn tile(&mut self, level: u8, number: u64) -> Result<&Tile, S::Error> {
        if !self.read.contains_key(&(level, number)) {
            let id = TileId::in_tree(level, number, self.size).ok_or(AuditError::Range)?;
            let tile = self.source.tile(id)?;
            if tile.id() != id {
                return Err(AuditError::Form("tile").into());
            }
            self.read.insert((level, number), tile);
        }
        let tile = self.read.get(&(level, number));
        tile.ok_or_else(|| AuditError::Range.into())
    }
}

impl<S: TileSource> SubtreeReader for TiledTree<'_, S> {
    type Error = S::Error;

    fn subtree(&mut self, height: u32, index: u64) -> Result<TreeHash, S::Error> {
        let level = u8::try_from(height / 8).map_err(|_| AuditError::Range)?;
        // A hash of this height is the root over `hashes` hashes of the tile that lie beside each other.
        let hashes = 1_u64 << (height % 8);
        let first = index.checked_mul(hashes).ok_or(AuditError::Range)?;
        let width = u64::from(AUDIT_TILE_WIDTH);
        let place = usize::try_from(first % width).map_err(|_| AuditError::Range)?;
        let end = place + (1_usize << (height % 8));
        let tile = self.tile(level, first / width)?;
        let subtree = tile.hashes().get(place..end).and_then(complete_root);
        subtree.ok_or_else(|| AuditError::Range.into())
    }
}

/// The tile `id`, whose level is at least 1, made from the full tiles below it: each of its hashes is the root of one.
/// So a store need keep no partial tile: those of level 0 are the hashes of the last entries, and this makes the others.
///
/// # Errors
/// [`AuditError::Range`] at level 0, and the source's.
pub fn tile_from_below<S: TileSource>(id: TileId, source: &mut S) -> Result<Tile, S::Error> {
    let below = id.level().checked_sub(1).ok_or(AuditError::Range)?;
    let first = id
        .number()
        .checked_mul(u64::from(AUDIT_TILE_WIDTH))
        .ok_or(AuditError::Range)?;
    let hashes = (0..u64::from(id.width()))
        .map(|place| {
            let tile = source.tile(TileId::full(below, first + place))?;
            complete_root(tile.hashes()).ok_or_else(|| AuditError::Form("tile").into())
        })
        .collect::<Result<_, S::Error>>()?;
    Ok(Tile::new(id, hashes)?)
}

/// The hashes of the tile at the edge of a level, which is partial; none where the level ends with a full tile.
pub(super) fn edge<S: TileSource>(level: u8, size: u64, source: &mut S) -> Result<Vec<TreeHash>, S::Error> {
    let hashes = hashes_at(level, size);
    let width = u64::from(AUDIT_TILE_WIDTH);
    if hashes.is_multiple_of(width) {
        return Ok(Vec::new());
    }
    let id = TileId::in_tree(level, hashes / width, size).ok_or(AuditError::Range)?;
    let tile = if level == 0 {
        source.tile(id)?
    } else {
        tile_from_below(id, source)?
    };
    Ok(tile.into_hashes())
}
