//! A whole copy of a log against its checkpoint: every hash is made again from the entries, and what differs is named.
//! Not here: where the copy is read from.

use std::fmt;

use super::{
    BundleId, Entry, GrowingTree, Resource, SignedCheckpoint, Tile, TileId, TreeHash, leaf_hash, parse_bundle,
};
use crate::time::UnixMillis;

/// Most findings about single parts that are kept. More of them say nothing new.
const FINDINGS_MAX: usize = 100;

/// Something that is wrong with a copy of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is not there.
    Missing(Resource),
    /// It cannot be read: as many hashes or entries as its name says, and nothing else.
    Malformed(Resource),
    /// The bytes at this leaf are no entry.
    NotAnEntry(u64),
    /// The entry at the first leaf says that it is the second: entries were removed, added or put in another order. Those
    /// that follow and are off by as much are not named.
    Misplaced(u64, u64),
    /// The entry at this leaf is older than the one before it.
    Backwards(u64),
    /// The entry at this leaf does not have the hash that the tile of its level has: one of the two was changed.
    OtherEntry(u64),
    /// The tile differs from what the hashes below it come to; the place is that of the first hash that does.
    OtherTile(TileId, usize),
    /// The entries come to another root than the one that the log signed.
    OtherRoot,
    /// The log is shorter than it was: it had this many leaves.
    Shorter(u64),
    /// The beginning of the log is not the tree of this size that the log signed before.
    OtherHistory(u64),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(resource) => write!(f, "{resource} is missing"),
            Self::Malformed(resource) => write!(f, "{resource} cannot be read"),
            Self::NotAnEntry(leaf) => write!(f, "leaf {leaf} is no entry"),
            Self::Misplaced(leaf, says) => write!(f, "leaf {leaf} says that it is leaf {says}"),
            Self::Backwards(leaf) => write!(f, "leaf {leaf} is older than the one before it"),
            Self::OtherEntry(leaf) => write!(f, "leaf {leaf} does not have the hash that its tile has"),
            Self::OtherTile(tile, place) => {
                write!(f, "{tile} differs from what is below it, from hash {place} on")
            }
            Self::OtherRoot => f.write_str("the entries do not come to the root of the checkpoint"),
            Self::Shorter(size) => write!(f, "the log is shorter than the old checkpoint, of {size} leaves"),
            Self::OtherHistory(size) => {
                write!(f, "the first {size} leaves are not those of the old checkpoint")
            }
        }
    }
}

/// The check of a copy: all bundles in order, then [`finish`](Self::finish). It keeps less than 1 MiB, whatever the size
/// of the log.
///
/// ```
/// # use wfldb_core::audit::*;
/// # use wfldb_core::id::{LeafIndex, SecretKey};
/// # use wfldb_core::time::UnixMillis;
/// # let entry = Entry::erased(LeafIndex::new(0), UnixMillis::new(0), EntryOp::PUT).to_bytes();
/// # let signer = NoteSigner::new(LogName::parse("example.com/log")?, SecretKey::from_seed([7; 32]));
/// # let checkpoint = SignedCheckpoint::sign(1, leaf_hash(&entry), &signer)?;
/// # let copy = std::collections::HashMap::from([
/// #     ("tile/entries/000.p/1".to_owned(), encode_bundle([&entry])?),
/// #     ("tile/0/000.p/1".to_owned(), leaf_hash(&entry).as_bytes().to_vec()),
/// # ]);
/// let read = |resource: Resource| copy.get(&resource.to_string()).cloned();
/// let mut check = LogCheck::new(&checkpoint, &[]);
/// for bundle in BundleId::all_in_tree(checkpoint.size()) {
///     check.bundle(bundle, read(Resource::Entries(bundle)).as_deref(), &read);
/// }
/// assert_eq!(check.finish(&read), []);
/// # Ok::<(), AuditError>(())
/// ```
#[derive(Debug)]
pub struct LogCheck {
    tree: GrowingTree,
    size: u64,
    root: TreeHash,
    /// Sizes and roots that have to be met on the way.
    old: Vec<(u64, TreeHash)>,
    latest: UnixMillis,
    /// How far the last entry was from the place that it names. Where one was removed, all that follow are off by one.
    shift: i128,
    /// Entries whose hash is known to nobody: nothing above them can be made again.
    lost: bool,
    findings: Vec<Finding>,
}

impl LogCheck {
    /// The check of a copy of the log that this checkpoint is of. The log has to begin with the tree of each of the old
    /// checkpoints.
    pub fn new(checkpoint: &SignedCheckpoint, old: &[SignedCheckpoint]) -> Self {
        let is_later = |old: &&SignedCheckpoint| old.size() > checkpoint.size();
        let shorter = old
            .iter()
            .filter(is_later)
            .map(|old| Finding::Shorter(old.size()));
        let earlier = old.iter().filter(|old| !is_later(old));
        let mut check = Self {
            tree: GrowingTree::new(),
            size: checkpoint.size(),
            root: checkpoint.root(),
            old: earlier.map(|old| (old.size(), old.root())).collect(),
            latest: UnixMillis::new(0),
            shift: 0,
            lost: false,
            findings: shorter.collect(),
        };
        check.meet_old_roots();
        check
    }

    /// Looks at the next bundle, in order from 0 on, as it is in the tree of the checkpoint; `None` when it is not there.
    /// `read` gives the bytes of tiles, or `None`.
    pub fn bundle(
        &mut self,
        id: BundleId,
        bytes: Option<&[u8]>,
        read: &impl Fn(Resource) -> Option<Vec<u8>>,
    ) {
        let known = self.stored_tile(id.tile(), read);
        let entries = match bytes.map(|bytes| parse_bundle(id, bytes)) {
            None => {
                self.found(Finding::Missing(Resource::Entries(id)));
                None
            }
            Some(Err(_)) => {
                self.found(Finding::Malformed(Resource::Entries(id)));
                None
            }
            Some(Ok(entries)) => Some(entries),
        };
        let hashes = match (&entries, &known) {
            (Some(entries), _) => entries.iter().map(|entry| leaf_hash(entry)).collect(),
            // Without the entries, their hashes are still good for finding what else is wrong.
            (None, Some(tile)) => tile.hashes().to_vec(),
            (None, None) => {
                self.lost = true;
                return;
            }
        };
        for (leaf, entry) in (id.first_leaf()..).zip(entries.iter().flatten()) {
            self.entry(leaf, entry);
        }
        if let Some(known) = known {
            let pairs = (id.first_leaf()..).zip(hashes.iter().zip(known.hashes()));
            for (leaf, _) in pairs.filter(|(_, (hash, known))| hash != known) {
                self.found(Finding::OtherEntry(leaf));
            }
        }
        if !self.lost {
            for hash in hashes {
                let full = self.tree.push(hash);
                self.meet_old_roots();
                for tile in full {
                    self.compare(&tile, read);
                }
            }
        }
    }

    /// Looks at the partial tiles and at the root, and gives everything that was found. None: the copy is the log that
    /// was signed, whole, and it goes on from the old checkpoints.
    pub fn finish(mut self, read: &impl Fn(Resource) -> Option<Vec<u8>>) -> Vec<Finding> {
        if !self.lost {
            for tile in self.tree.clone().partial_tiles() {
                self.compare(&tile, read);
            }
        }
        if self.lost || self.tree.size() != self.size || self.tree.root() != self.root {
            self.findings.push(Finding::OtherRoot);
        }
        for (size, _) in std::mem::take(&mut self.old) {
            self.findings.push(Finding::OtherHistory(size));
        }
        self.findings
    }

    fn entry(&mut self, leaf: u64, bytes: &[u8]) {
        let Ok(entry) = Entry::parse(bytes) else {
            self.found(Finding::NotAnEntry(leaf));
            return;
        };
        let shift = i128::from(entry.leaf.get()) - i128::from(leaf);
        if shift != 0 && shift != self.shift {
            self.found(Finding::Misplaced(leaf, entry.leaf.get()));
        }
        self.shift = shift;
        if entry.at < self.latest {
            self.found(Finding::Backwards(leaf));
        }
        self.latest = self.latest.max(entry.at);
    }

    /// Tiles of level 0 were read with their bundle.
    fn compare(&mut self, made: &Tile, read: &impl Fn(Resource) -> Option<Vec<u8>>) {
        if made.id().level() == 0 {
            return;
        }
        let Some(stored) = self.stored_tile(made.id(), read) else {
            return;
        };
        let mut pairs = made.hashes().iter().zip(stored.hashes());
        if let Some(place) = pairs.position(|(made, stored)| made != stored) {
            self.found(Finding::OtherTile(made.id(), place));
        }
    }

    fn stored_tile(&mut self, id: TileId, read: &impl Fn(Resource) -> Option<Vec<u8>>) -> Option<Tile> {
        let resource = Resource::Tile(id);
        let Some(bytes) = read(resource) else {
            self.found(Finding::Missing(resource));
            return None;
        };
        let tile = Tile::parse(id, &bytes);
        if tile.is_err() {
            self.found(Finding::Malformed(resource));
        }
        tile.ok()
    }

    /// Takes off the list what the tree has met; what it did not stays there.
    fn meet_old_roots(&mut self) {
        let size = self.tree.size();
        // A root costs something, so it is made only where one is asked for.
        if self.old.iter().any(|(old, _)| *old == size) {
            let root = self.tree.root();
            self.old.retain(|old| *old != (size, root));
        }
    }

    /// Keeps a finding about a part. What is said about the whole is kept whatever their number.
    fn found(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}
