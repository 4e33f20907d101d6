//! What the files of the audit log's copy hold, made from the leaves of the store. Asked by whoever writes the copy and by
//! whoever checks one. Its layout is that of `/v1/_audit/`, so any server of plain files publishes it as the store does.

use wfldb_core::audit::{BundleId, GrowingTree, Resource, Tile, TileId, TreeHash, encode_bundle, leaf_hash};
use wfldb_core::limits::AUDIT_TILE_WIDTH;

use crate::audit::{StoredTiles, entries};
use crate::error::EngineError;
use crate::storage::Snapshot;

/// The directory of the copy, in that of the mirror.
pub(crate) const LOG: &str = "log";
/// Leaves of a full bundle.
const WIDTH: u64 = AUDIT_TILE_WIDTH as u64;

/// Where a part of the log stands, below the mirror's directory.
pub(crate) fn path_of(resource: Resource) -> String {
    format!("{LOG}/{resource}")
}

/// Whether a path is one of the copy's.
pub(crate) fn is_of_log(path: &str) -> bool {
    path.strip_prefix(LOG).is_some_and(|rest| rest.starts_with('/'))
}

/// The partial tiles of the tree of `size` leaves, and its partial bundle: one of each level at most.
pub(crate) fn partial_in_tree(size: u64) -> impl Iterator<Item = Resource> {
    let bundle = BundleId::in_tree(size / WIDTH, size).filter(|bundle| !bundle.is_full());
    let tiles = (0..u64::BITS / 8).filter_map(move |level| {
        let number = size.checked_shr(8 * level)? / WIDTH;
        TileId::in_tree(u8::try_from(level).ok()?, number, size)
    });
    let tiles = tiles.filter(|tile| !tile.is_full()).map(Resource::Tile);
    bundle.map(Resource::Entries).into_iter().chain(tiles)
}

/// A part of the log.
#[derive(Debug)]
pub(crate) struct LogFile {
    pub(crate) resource: Resource,
    pub(crate) bytes: Vec<u8>,
}

impl LogFile {
    fn tile(tile: &Tile) -> Self {
        Self {
            resource: Resource::Tile(tile.id()),
            bytes: tile.to_bytes(),
        }
    }
}

/// The tree of the full tiles that were gone through, in order: 64 KiB at most, whatever the size of the log.
#[derive(Debug, Default)]
pub(crate) struct LogTree(GrowingTree);

impl LogTree {
    /// The tree of the first `leaves` leaves, a multiple of 256.
    ///
    /// # Errors
    /// `Corrupt` where the store does not have them.
    pub(crate) fn restore(snapshot: &dyn Snapshot, leaves: u64) -> Result<Self, EngineError> {
        GrowingTree::restore(leaves, &mut StoredTiles::new(snapshot)).map(Self)
    }

    pub(crate) fn leaves(&self) -> u64 {
        self.0.size()
    }

    pub(crate) fn root(&self) -> TreeHash {
        self.0.root()
    }

    /// Whether the next 256 leaves are in the tree of `size` leaves.
    pub(crate) fn has_next(&self, size: u64) -> bool {
        self.leaves() + WIDTH <= size
    }

    /// The next full bundle, and the tiles that become full with it.
    ///
    /// # Errors
    /// `Corrupt` where the store does not have its leaves.
    pub(crate) fn next_full(&mut self, snapshot: &dyn Snapshot) -> Result<Vec<LogFile>, EngineError> {
        let (mut tree, first) = (self.0.clone(), self.leaves());
        let bundle = BundleId::full(first / WIDTH);
        let mut tiles = Vec::new();
        let bytes = grow(snapshot, bundle, |leaf| tiles.extend(tree.push(leaf)))?;
        self.0 = tree;
        let mut files = vec![LogFile {
            resource: Resource::Entries(bundle),
            bytes,
        }];
        files.extend(tiles.iter().map(LogFile::tile));
        Ok(files)
    }

    /// The partial bundle and tiles of the tree of `size` leaves, and its root. All full tiles of it were gone through.
    ///
    /// # Errors
    /// `Corrupt` where the store does not have its leaves.
    pub(crate) fn tail(
        &self,
        snapshot: &dyn Snapshot,
        size: u64,
    ) -> Result<(Vec<LogFile>, TreeHash), EngineError> {
        let mut tree = self.0.clone();
        let mut files = Vec::new();
        if let Some(bundle) = BundleId::in_tree(self.leaves() / WIDTH, size) {
            let bytes = grow(snapshot, bundle, |leaf| drop(tree.push(leaf)))?;
            files.push(LogFile {
                resource: Resource::Entries(bundle),
                bytes,
            });
        }
        files.extend(tree.partial_tiles().map(|tile| LogFile::tile(&tile)));
        Ok((files, tree.root()))
    }
}

/// The bytes of a bundle; `push` gets the hash of each of its entries.
fn grow(
    snapshot: &dyn Snapshot,
    bundle: BundleId,
    mut push: impl FnMut(TreeHash),
) -> Result<Vec<u8>, EngineError> {
    let width = u64::from(bundle.width());
    let found: Vec<_> = entries(snapshot, bundle.first_leaf(), width).collect::<Result<_, _>>()?;
    if found.len() as u64 != width {
        return Err(EngineError::Corrupt("leaf"));
    }
    for entry in &found {
        push(leaf_hash(entry));
    }
    Ok(encode_bundle(found)?)
}
