//! The tree while it grows: what a log's writer and a verifier of the whole log keep in memory.

use super::tile::hashes_at;
use super::tiled::edge;
use super::tree::{complete_root, peaks};
use super::{Frontier, Tile, TileId, TileSource, TreeHash};
use crate::limits::AUDIT_TILE_WIDTH;

/// A tree that leaves are appended to, with the partial tile of each level: 64 KiB at most, whatever its size.
///
/// Full tiles come out of [`push`](Self::push) and are kept by the caller; after a restart
/// [`restore`](Self::restore) goes on from them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrowingTree {
    frontier: Frontier,
    /// The hashes of the partial tile of each level; an empty list where the level ends with a full tile.
    edges: Vec<Vec<TreeHash>>,
}

impl GrowingTree {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of the first `size` leaves, from its tiles. The source is asked for full tiles (255 of each level at
    /// most) and for the partial tile of level 0, whose hashes are those of the last `size % 256` entries.
    ///
    /// # Errors
    /// The source's. Compare [`root`](Self::root) with the checkpoint afterwards.
    pub fn restore<S: TileSource>(size: u64, source: &mut S) -> Result<Self, S::Error> {
        let levels = (0_u8..).take_while(|level| hashes_at(*level, size) > 0);
        let edges = levels
            .map(|level| edge(level, size, source))
            .collect::<Result<Vec<_>, _>>()?;
        // The bits of the size, from the highest, are the bits of the widths of the edges, from the highest level.
        let peaks = edges.iter().rev().flat_map(|edge| peaks(edge)).collect();
        let frontier = Frontier::from_peaks(size, peaks)?;
        Ok(Self { frontier, edges })
    }

    /// Appends a leaf, and gives the tiles that became full by it: none mostly, one with each 256th leaf, two with each
    /// 65,536th, and so on; those of lower levels first.
    pub fn push(&mut self, leaf: TreeHash) -> Vec<Tile> {
        self.frontier.push(leaf);
        let mut full = Vec::new();
        let mut hash = leaf;
        for level in 0_u8.. {
            let number = hashes_at(level, self.frontier.size() - 1) / u64::from(AUDIT_TILE_WIDTH);
            if self.edges.len() <= usize::from(level) {
                self.edges.push(Vec::new());
            }
            let Some(edge) = self.edges.get_mut(usize::from(level)) else {
                break;
            };
            edge.push(hash);
            if edge.len() < usize::from(AUDIT_TILE_WIDTH) {
                break;
            }
            let hashes = std::mem::take(edge);
            let (Some(root), Ok(tile)) = (
                complete_root(&hashes),
                Tile::new(TileId::full(level, number), hashes),
            ) else {
                break;
            };
            full.push(tile);
            hash = root;
        }
        full
    }

    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Its root as it is now.
    pub fn root(&self) -> TreeHash {
        self.frontier.root()
    }

    /// The partial tiles as they are now, one of each level at most.
    pub fn partial_tiles(&self) -> impl Iterator<Item = Tile> {
        let levels = (0_u8..).zip(&self.edges);
        levels.filter_map(|(level, edge)| {
            let number = hashes_at(level, self.size()) / u64::from(AUDIT_TILE_WIDTH);
            let id = TileId::in_tree(level, number, self.size())?;
            Tile::new(id, edge.clone()).ok()
        })
    }
}
