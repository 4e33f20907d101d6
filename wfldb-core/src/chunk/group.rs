//! Group values: BLAKE3 chaining values of a chunk's 64 KiB groups.
//!
//! A group's value is the chaining value of its subtree in the chunk's own BLAKE3 tree, so the
//! chunk's hash follows from the values without the bytes, and a range of the chunk can be checked
//! by reading its groups only. A chunk of one group is all root: there the value is the hash itself.

use blake3::hazmat::{ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::id::{ChunkHash, ContentHash};
use crate::limits::GROUP_BYTES;

/// How many groups a chunk has. An empty one has none.
pub fn group_count(chunk_len: usize) -> usize {
    chunk_len.div_ceil(GROUP_BYTES)
}

/// The length of group `index` of a chunk, or `None` when it has no such group.
pub fn group_len(chunk_len: usize, index: usize) -> Option<usize> {
    let rest = chunk_len.checked_sub(index.checked_mul(GROUP_BYTES)?)?;
    (rest > 0).then_some(rest.min(GROUP_BYTES))
}

/// The values of all groups of a chunk, in order.
///
/// ```
/// use wfldb_core::{chunk, id::ChunkHash};
///
/// let bytes = vec![7; 200_000];
/// let values = chunk::group_values(&bytes);
/// assert_eq!(values.len(), 4);
/// assert_eq!(chunk::root(&values, bytes.len()), Some(ChunkHash::of(&bytes)));
/// assert!(chunk::group_matches(&values, 3, &bytes[3 * 65_536..], bytes.len()));
/// ```
pub fn group_values(chunk: &[u8]) -> Vec<[u8; 32]> {
    chunk
        .chunks(GROUP_BYTES)
        .enumerate()
        .map(|(index, group)| group_value(index, group, chunk.len()))
        .collect()
}

fn group_value(index: usize, group: &[u8], chunk_len: usize) -> ChainingValue {
    if chunk_len <= GROUP_BYTES {
        return *blake3::hash(group).as_bytes();
    }
    let mut hasher = blake3::Hasher::new();
    hasher
        .set_input_offset(index as u64 * GROUP_BYTES as u64)
        .update(group);
    hasher.finalize_non_root()
}

/// The hash of a chunk of `chunk_len` bytes whose groups have these values. `None` when the number
/// of values does not fit the length (the values come from disk, so they may be damaged).
pub fn root(values: &[[u8; 32]], chunk_len: usize) -> Option<ChunkHash> {
    if values.len() != group_count(chunk_len) {
        return None;
    }
    match values {
        [] => Some(ChunkHash::of(&[])),
        [only] => Some(ChunkHash::from_bytes(*only)),
        _ => {
            let (left, right) = split(values)?;
            Some(merge_subtrees_root(&subtree(left)?, &subtree(right)?, Mode::Hash).into())
        }
    }
}

/// The BLAKE3 chaining value of a chunk at its place in an object of several chunks: `offset` is a multiple of the size
/// of the object's chunks, which is a power of two of at least 1 KiB.
pub fn value_at(offset: u64, chunk: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(offset).update(chunk);
    hasher.finalize_non_root()
}

/// The BLAKE3 of an object from the values of its chunks ([`value_at`]), which are all of one size but the last. `None`
/// for fewer than two: the only chunk's own hash is the object's.
///
/// ```
/// use wfldb_core::{chunk, id::ContentHash};
///
/// let bytes = vec![7; 5000];
/// let values: Vec<_> = (0..).step_by(2048).zip(bytes.chunks(2048)).map(|(at, part)| chunk::value_at(at, part)).collect();
/// assert_eq!(chunk::object_root(&values), Some(ContentHash::of(&bytes)));
/// ```
pub fn object_root(values: &[[u8; 32]]) -> Option<ContentHash> {
    if values.len() < 2 {
        return None;
    }
    let (left, right) = split(values)?;
    Some(merge_subtrees_root(&subtree(left)?, &subtree(right)?, Mode::Hash).into())
}

/// Left of a BLAKE3 parent is the largest power of two of groups that leaves something to the right
/// (all groups but the last are full).
fn split(values: &[ChainingValue]) -> Option<(&[ChainingValue], &[ChainingValue])> {
    values.split_at_checked(values.len().div_ceil(2).next_power_of_two())
}

fn subtree(values: &[ChainingValue]) -> Option<ChainingValue> {
    match values {
        [] => None,
        [only] => Some(*only),
        _ => {
            let (left, right) = split(values)?;
            Some(merge_subtrees_non_root(
                &subtree(left)?,
                &subtree(right)?,
                Mode::Hash,
            ))
        }
    }
}

/// Whether `bytes` are exactly group `index` of the chunk of `chunk_len` bytes with these values.
///
/// INVARIANT: the values must have been checked against the chunk's hash with [`root`] before; this
/// compares with one of them only.
#[must_use]
pub fn group_matches(values: &[[u8; 32]], index: usize, bytes: &[u8], chunk_len: usize) -> bool {
    let length_fits =
        values.len() == group_count(chunk_len) && group_len(chunk_len, index) == Some(bytes.len());
    length_fits
        && values
            .get(index)
            .is_some_and(|value| *value == group_value(index, bytes, chunk_len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::CHUNK_BYTES;

    fn sample(len: usize) -> Vec<u8> {
        (0..len).map(|i| u8::try_from(i * 31 % 251).unwrap()).collect()
    }

    #[test]
    fn chunk_root_follows_from_group_values_at_every_border() {
        let bytes = sample(CHUNK_BYTES);
        let mut lens = vec![0, 1, 1023, 1024, 1025];
        for groups in [1, 2, 3, 4, 5, 7, 8, 9, 31, 33, 63, 64] {
            lens.extend([
                groups * GROUP_BYTES - 1,
                groups * GROUP_BYTES,
                groups * GROUP_BYTES + 1,
            ]);
        }
        for len in lens.into_iter().filter(|len| *len <= CHUNK_BYTES) {
            let chunk = &bytes[..len];
            let values = group_values(chunk);
            assert_eq!(values.len(), group_count(len));
            assert_eq!(root(&values, len), Some(ChunkHash::of(chunk)), "{len}");
        }
    }

    #[test]
    fn a_damaged_group_is_noticed() {
        let mut bytes = sample(3 * GROUP_BYTES + 100);
        let len = bytes.len();
        let values = group_values(&bytes);
        for (index, group) in bytes.chunks(GROUP_BYTES).enumerate() {
            assert!(group_matches(&values, index, group, len));
            assert!(!group_matches(&values, index + 1, group, len));
        }
        bytes[2 * GROUP_BYTES] ^= 1;
        assert!(!group_matches(
            &values,
            2,
            &bytes[2 * GROUP_BYTES..3 * GROUP_BYTES],
            len
        ));
        assert_eq!(root(&values[..3], len), None);
        assert!(!group_matches(&values, 3, &bytes[3 * GROUP_BYTES..len - 1], len));
    }
}
