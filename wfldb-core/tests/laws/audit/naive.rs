//! RFC 6962, section 2.1, word for word: slow, recursive, over all leaves at once. What the crate does is compared with
//! it.

use std::collections::BTreeMap;

use wfldb_core::audit::{AuditError, GrowingTree, Tile, TileId, TileSource, TreeHash, leaf_hash, node_hash};

/// The largest power of two smaller than `n`.
fn split(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

/// MTH.
pub(super) fn root(leaves: &[TreeHash]) -> TreeHash {
    match leaves {
        [] => TreeHash::EMPTY,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(root(left), root(right))
        }
    }
}

/// PATH.
pub(super) fn path(leaf: usize, leaves: &[TreeHash]) -> Vec<TreeHash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, beside) = if leaf < left.len() {
        (path(leaf, left), root(right))
    } else {
        (path(leaf - left.len(), right), root(left))
    };
    path.push(beside);
    path
}

/// PROOF.
pub(super) fn proof(old: usize, leaves: &[TreeHash]) -> Vec<TreeHash> {
    subproof(old, leaves, true)
}

fn subproof(old: usize, leaves: &[TreeHash], known: bool) -> Vec<TreeHash> {
    if old == leaves.len() {
        return if known { Vec::new() } else { vec![root(leaves)] };
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut proof, beside) = if old <= left.len() {
        (subproof(old, left, known), root(right))
    } else {
        (subproof(old - left.len(), right, false), root(left))
    };
    proof.push(beside);
    proof
}

/// `count` leaves, all different.
pub(super) fn leaves(count: usize) -> Vec<TreeHash> {
    (0..count)
        .map(|number| leaf_hash(number.to_string().as_bytes()))
        .collect()
}

/// All tiles of a tree, full and partial, as a growing tree made them.
#[derive(Debug, Default, Clone)]
pub(super) struct Tiles(pub(super) BTreeMap<TileId, Tile>);

impl Tiles {
    /// The tiles of the tree of these leaves.
    pub(super) fn of(leaves: &[TreeHash]) -> (Self, GrowingTree) {
        let mut tree = GrowingTree::new();
        let mut tiles = Self::default();
        for leaf in leaves {
            tiles.keep(tree.push(*leaf));
        }
        tiles.keep(tree.partial_tiles());
        (tiles, tree)
    }

    fn keep(&mut self, tiles: impl IntoIterator<Item = Tile>) {
        self.0.extend(tiles.into_iter().map(|tile| (tile.id(), tile)));
    }
}

impl TileSource for Tiles {
    type Error = AuditError;

    fn tile(&mut self, id: TileId) -> Result<Tile, AuditError> {
        self.0.get(&id).cloned().ok_or(AuditError::Form("missing tile"))
    }
}
