//! Roots and proofs of a tree whose complete subtrees can be asked for (RFC 6962, sections 2.1, 2.1.1 and 2.1.2).

use super::tree::fold_peaks;
use super::{AuditError, TreeHash};
use crate::id::LeafIndex;

/// Something that knows the roots of a tree's complete subtrees. [`TiledTree`](super::TiledTree) is one.
pub trait SubtreeReader {
    /// What can go wrong.
    type Error: From<AuditError>;

    /// The root of the subtree over the leaves `index · 2^height` up to `(index + 1) · 2^height`. It is asked only for
    /// subtrees that are complete in the tree.
    ///
    /// # Errors
    /// Whatever keeps it from being known.
    fn subtree(&mut self, height: u32, index: u64) -> Result<TreeHash, Self::Error>;
}

/// The root of the tree of the first `size` leaves.
///
/// # Errors
/// The reader's.
pub fn root<R: SubtreeReader>(size: u64, reader: &mut R) -> Result<TreeHash, R::Error> {
    if size == 0 {
        return Ok(TreeHash::EMPTY);
    }
    range_root(0, size, reader)
}

/// The proof that leaf `leaf` is in the tree of the first `size` leaves: the hashes beside the way from the leaf to the
/// root, the lowest first. [`verify_inclusion`](super::verify_inclusion) takes it.
///
/// # Errors
/// [`AuditError::Range`] when there is no such leaf, and the reader's.
pub fn inclusion_proof<R: SubtreeReader>(
    leaf: LeafIndex,
    size: u64,
    reader: &mut R,
) -> Result<Vec<TreeHash>, R::Error> {
    let leaf = leaf.get();
    if leaf >= size {
        return Err(AuditError::Range.into());
    }
    let (mut start, mut end) = (0, size);
    let mut proof = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if leaf < middle {
            proof.push(range_root(middle, end, reader)?);
            end = middle;
        } else {
            proof.push(range_root(start, middle, reader)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of the first `old` leaves is the beginning of that of the first `size` leaves. It is empty
/// when the two are the same, and when the old tree has no leaves.
/// [`verify_consistency`](super::verify_consistency) takes it.
///
/// # Errors
/// [`AuditError::Range`] when `old` is the larger, and the reader's.
pub fn consistency_proof<R: SubtreeReader>(
    old: u64,
    size: u64,
    reader: &mut R,
) -> Result<Vec<TreeHash>, R::Error> {
    if old > size {
        return Err(AuditError::Range.into());
    }
    let mut proof = Vec::new();
    if old == 0 {
        return Ok(proof);
    }
    let (mut start, mut end) = (0, size);
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range_root(middle, end, reader)?);
            end = middle;
        } else {
            proof.push(range_root(start, middle, reader)?);
            start = middle;
        }
    }
    // The verifier knows the old root, so it is left out where the walk ends at it.
    if start > 0 {
        proof.push(range_root(start, end, reader)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The largest power of two below `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The root over the leaves from `start` to `end`. `start` is a multiple of the largest complete subtree in between,
/// as in every step of the walks above.
fn range_root<R: SubtreeReader>(start: u64, end: u64, reader: &mut R) -> Result<TreeHash, R::Error> {
    let size = end - start;
    let mut next = start;
    let mut peaks = Vec::new();
    for height in (0..u64::BITS).rev().filter(|height| (size >> height) & 1 == 1) {
        peaks.push(reader.subtree(height, next >> height)?);
        next += 1 << height;
    }
    fold_peaks(&peaks).ok_or_else(|| AuditError::Range.into())
}
