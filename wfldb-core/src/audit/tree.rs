//! The hashes of the Merkle tree of RFC 6962, section 2.1, with SHA-256, and a tree that only grows.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::AuditError;
use crate::encoding::base64;

/// A hash of the tree: of a leaf, of a node, or a root. Its text form is base64 with padding, as in checkpoints.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeHash([u8; 32]);

impl TreeHash {
    /// The root of the tree without leaves: SHA-256 of nothing.
    pub const EMPTY: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
        0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ]);

    /// A hash from its 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 44 characters of base64.
    ///
    /// # Errors
    /// [`AuditError::Form`] for anything else.
    pub fn parse(text: &str) -> Result<Self, AuditError> {
        base64::decode_array(text)
            .map(Self)
            .map_err(|_| AuditError::Form("tree hash"))
    }
}

impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64::encode(&self.0))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeHash({self})")
    }
}

/// The hash of a leaf: `SHA-256(0x00 ‖ entry)`.
///
/// SECURITY: leaves and nodes begin with different bytes, so that no entry can be passed off as a node.
pub fn leaf_hash(entry: &[u8]) -> TreeHash {
    let hash = Sha256::new().chain_update([0]).chain_update(entry);
    TreeHash(hash.finalize().into())
}

/// The hash of a node: `SHA-256(0x01 ‖ left ‖ right)`.
pub fn node_hash(left: TreeHash, right: TreeHash) -> TreeHash {
    let hash = Sha256::new()
        .chain_update([1])
        .chain_update(left.0)
        .chain_update(right.0);
    TreeHash(hash.finalize().into())
}

/// A tree of which only what its root and its growth need is kept: the roots of its complete subtrees, the largest
/// first, one for each bit of its size.
///
/// ```
/// use wfldb_core::audit::{Frontier, leaf_hash, node_hash};
///
/// let mut tree = Frontier::new();
/// tree.push(leaf_hash(b"a"));
/// tree.push(leaf_hash(b"b"));
/// assert_eq!(tree.root(), node_hash(leaf_hash(b"a"), leaf_hash(b"b")));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<TreeHash>,
}

impl Frontier {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of this size with these complete subtrees.
    ///
    /// # Errors
    /// [`AuditError::Range`] when there is not exactly one for each bit of the size.
    pub fn from_peaks(size: u64, peaks: Vec<TreeHash>) -> Result<Self, AuditError> {
        if u32::try_from(peaks.len()) == Ok(size.count_ones()) {
            Ok(Self { size, peaks })
        } else {
            Err(AuditError::Range)
        }
    }

    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of its complete subtrees, the largest first.
    pub fn peaks(&self) -> &[TreeHash] {
        &self.peaks
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: TreeHash) {
        let mut hash = leaf;
        // Each trailing one of the size is a subtree that the new leaf completes to one of twice the size.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(left, hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root of the tree as it is now.
    pub fn root(&self) -> TreeHash {
        fold_peaks(&self.peaks).unwrap_or(TreeHash::EMPTY)
    }
}

/// The root over complete subtrees that lie beside each other, the largest first. `None` when there are none.
pub(super) fn fold_peaks(peaks: &[TreeHash]) -> Option<TreeHash> {
    let from_the_right = peaks.iter().rev().copied();
    from_the_right.reduce(|right, left| node_hash(left, right))
}

/// The root of a complete subtree over these hashes, whose number has to be a power of two; `None` otherwise.
pub(super) fn complete_root(hashes: &[TreeHash]) -> Option<TreeHash> {
    if !hashes.len().is_power_of_two() {
        return None;
    }
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        let (pairs, _) = level.as_chunks::<2>();
        level = pairs
            .iter()
            .map(|[left, right]| node_hash(*left, *right))
            .collect();
    }
    level.first().copied()
}

/// The roots of the complete subtrees over any number of hashes, the largest first.
pub(super) fn peaks(hashes: &[TreeHash]) -> Vec<TreeHash> {
    let mut rest = hashes;
    let mut peaks = Vec::new();
    for bit in (0..usize::BITS).rev() {
        if let Some((complete, after)) = rest.split_at_checked(1 << bit) {
            peaks.extend(complete_root(complete));
            rest = after;
        }
    }
    peaks
}
