//! What a verifier does with a proof: the algorithms of RFC 9162, sections 2.1.3.2 and 2.1.4.2, which hold for
//! RFC 6962's trees too.

use super::{AuditError, TreeHash, node_hash};
use crate::id::LeafIndex;

/// Checks that a leaf with this hash stands at this index in the tree of this size and root.
///
/// ```
/// use wfldb_core::audit::{leaf_hash, node_hash, verify_inclusion};
/// use wfldb_core::id::LeafIndex;
///
/// let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
/// let root = node_hash(a, b);
/// assert!(verify_inclusion(LeafIndex::new(1), 2, b, &[a], root).is_ok());
/// assert!(verify_inclusion(LeafIndex::new(0), 2, b, &[a], root).is_err());
/// ```
///
/// # Errors
/// [`AuditError::Range`] when the tree has no such leaf, [`AuditError::Inclusion`] when the proof is not one of it.
pub fn verify_inclusion(
    leaf: LeafIndex,
    size: u64,
    leaf_hash: TreeHash,
    proof: &[TreeHash],
    root: TreeHash,
) -> Result<(), AuditError> {
    let mut node = leaf.get();
    if node >= size {
        return Err(AuditError::Range);
    }
    let mut last = size - 1;
    let mut hash = leaf_hash;
    for beside in proof {
        if last == 0 {
            return Err(AuditError::Inclusion);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(*beside, hash);
            // A node at the right edge without a sibling is carried up as it is.
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(hash, *beside);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 && hash == root {
        Ok(())
    } else {
        Err(AuditError::Inclusion)
    }
}

/// Checks that the tree of `old_size` leaves and root `old_root` is the beginning of the tree of `size` leaves and root
/// `root`: that the log was only appended to in between.
///
/// # Errors
/// [`AuditError::Range`] when the old tree is the larger, [`AuditError::Consistency`] when the proof is not one.
pub fn verify_consistency(
    old_size: u64,
    old_root: TreeHash,
    size: u64,
    root: TreeHash,
    proof: &[TreeHash],
) -> Result<(), AuditError> {
    if old_size > size {
        return Err(AuditError::Range);
    }
    let verdict = |holds: bool| {
        if holds {
            Ok(())
        } else {
            Err(AuditError::Consistency)
        }
    };
    if old_size == size {
        return verdict(proof.is_empty() && old_root == root);
    }
    if old_size == 0 {
        return verdict(proof.is_empty() && old_root == TreeHash::EMPTY);
    }
    let mut proof = proof.iter().copied();
    // An old tree that is one complete subtree is not named in the proof: it is where the walk begins.
    let first = if old_size.is_power_of_two() {
        Some(old_root)
    } else {
        proof.next()
    };
    let first = first.ok_or(AuditError::Consistency)?;
    let complete = (old_size - 1).trailing_ones();
    let mut node = (old_size - 1) >> complete;
    let mut last = (size - 1) >> complete;
    let (mut old_hash, mut hash) = (first, first);
    for beside in proof {
        if last == 0 {
            return Err(AuditError::Consistency);
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(beside, old_hash);
            hash = node_hash(beside, hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(hash, beside);
        }
        node >>= 1;
        last >>= 1;
    }
    verdict(last == 0 && old_hash == old_root && hash == root)
}
