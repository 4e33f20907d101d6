//! Chunks and groups: a chunk's hash follows from its group values, whatever its length.

use proptest::prelude::*;
use wfldb_core::chunk::{ChunkPlan, group_count, group_len, group_matches, group_values, root};
use wfldb_core::id::ChunkHash;
use wfldb_core::limits::{CHUNK_BYTES, GROUP_BYTES};

/// Lengths near the borders of BLAKE3's own chunks, of groups, and of a whole chunk.
fn chunk_len() -> impl Strategy<Value = usize> {
    let border = prop_oneof![0_usize..4, Just(8), Just(16), Just(63), Just(64)]
        .prop_map(|groups| groups * GROUP_BYTES);
    (border, -1030_isize..1030)
        .prop_map(|(border, offset)| border.saturating_add_signed(offset).min(CHUNK_BYTES))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn chunk_root_from_group_values_is_the_hash_of_the_chunk(len in chunk_len(), seed in any::<u8>()) {
        let chunk: Vec<u8> = (0_u8..=250).cycle().map(|byte| byte ^ seed).take(len).collect();
        let values = group_values(&chunk);
        prop_assert_eq!(values.len(), group_count(len));
        prop_assert_eq!(root(&values, len), Some(ChunkHash::of(&chunk)));
        for (index, group) in chunk.chunks(GROUP_BYTES).enumerate() {
            prop_assert_eq!(group_len(len, index), Some(group.len()));
            prop_assert!(group_matches(&values, index, group, len));
            let mut damaged = group.to_vec();
            damaged[usize::from(seed) % group.len()] ^= 1;
            prop_assert!(!group_matches(&values, index, &damaged, len));
        }
        prop_assert_eq!(group_len(len, values.len()), None);
    }

    #[test]
    fn a_damaged_group_value_changes_the_root(len in 1_usize..=5 * GROUP_BYTES, at in any::<prop::sample::Index>()) {
        let chunk = vec![7; len];
        let mut values = group_values(&chunk);
        let index = at.index(values.len());
        values[index][3] ^= 1;
        prop_assert_ne!(root(&values, len), Some(ChunkHash::of(&chunk)));
        values.pop();
        prop_assert_eq!(root(&values, len), None);
    }

    #[test]
    fn a_plan_covers_every_byte_once(len in 0_u64..5 * CHUNK_BYTES as u64, from in any::<u64>(), to in any::<u64>()) {
        let mut next = 0;
        for (index, span) in ChunkPlan::new(len).enumerate() {
            prop_assert_eq!((span.index, span.offset), (index as u64, next));
            prop_assert!(span.len > 0 && span.len <= CHUNK_BYTES);
            next += span.len as u64;
        }
        prop_assert_eq!(next, len);
        let (from, to) = (from % (len + 9), to % (len + 9));
        let all: Vec<_> = ChunkPlan::new(len).collect();
        let needed: Vec<_> = all
            .iter()
            .filter(|span| span.offset < to.min(len) && from < span.offset + span.len as u64 && from < to)
            .copied()
            .collect();
        prop_assert_eq!(ChunkPlan::covering(len, from, to).collect::<Vec<_>>(), needed);
    }
}
