//! The tree, its tiles and its proofs against the recursive definitions.

use proptest::prelude::*;
use wfldb_core::audit::{
    AuditError, Frontier, GrowingTree, Tile, TileId, TileSource, TiledTree, TreeHash, leaf_hash,
    tile_from_below, verify_consistency, verify_inclusion,
};
use wfldb_core::encoding::hex;
use wfldb_core::id::LeafIndex;

use super::naive::{self, Tiles};

fn hex_of(hash: TreeHash) -> String {
    hex::encode(hash.as_bytes())
}

/// The inputs and roots that implementations of Certificate Transparency test with.
#[test]
fn the_published_roots_of_certificate_transparency_come_out() {
    let inputs: [&[u8]; 8] = [
        &[],
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[
            0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f,
        ],
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut tree = Frontier::new();
    assert_eq!(tree.root(), TreeHash::EMPTY);
    for (input, root) in inputs.into_iter().zip(roots) {
        tree.push(leaf_hash(input));
        assert_eq!(hex_of(tree.root()), root, "{} leaves", tree.size());
    }
}

/// A defect it catches: a walk that takes a subtree at the edge for a complete one.
#[test]
fn small_trees_agree_with_the_definitions_in_every_proof() {
    let all = naive::leaves(70);
    for size in 1..=all.len() {
        let leaves = &all[..size];
        let root = naive::root(leaves);
        let (mut tiles, tree) = Tiles::of(leaves);
        assert_eq!(tree.root(), root);
        let mut over = TiledTree::new(size as u64, &mut tiles);
        assert_eq!(over.root(), Ok(root));
        for leaf in 0..size {
            let index = LeafIndex::new(leaf as u64);
            let proof = over.inclusion_proof(index).unwrap();
            assert_eq!(proof, naive::path(leaf, leaves), "leaf {leaf} of {size}");
            assert_eq!(
                verify_inclusion(index, size as u64, leaves[leaf], &proof, root),
                Ok(())
            );
        }
        for old in 1..=size {
            let proof = over.consistency_proof(old as u64).unwrap();
            assert_eq!(proof, naive::proof(old, leaves), "{old} to {size}");
            let old_root = naive::root(&leaves[..old]);
            assert_eq!(
                verify_consistency(old as u64, old_root, size as u64, root, &proof),
                Ok(())
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Trees over several tiles, with three levels of hashes in the proofs.
    #[test]
    fn trees_of_thousands_agree_with_the_definitions(
        size in prop_oneof![1_usize..6000, Just(256), Just(257), Just(511), Just(512), Just(4096)],
        leaf in any::<prop::sample::Index>(),
        old in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
    ) {
        let leaves = naive::leaves(size);
        let root = naive::root(&leaves);
        let (mut tiles, tree) = Tiles::of(&leaves);
        prop_assert_eq!(tree.root(), root);
        prop_assert_eq!(tiles.0.keys().copied().collect::<Vec<_>>().len(), TileId::all_in_tree(size as u64).count());
        prop_assert!(TileId::all_in_tree(size as u64).all(|id| tiles.0.contains_key(&id)));

        let (leaf, old) = (leaf.index(size), 1 + old.index(size));
        let mut over = TiledTree::new(size as u64, &mut tiles);
        prop_assert_eq!(over.root(), Ok(root));
        let inclusion = over.inclusion_proof(LeafIndex::new(leaf as u64)).unwrap();
        prop_assert_eq!(&inclusion, &naive::path(leaf, &leaves));
        let consistency = over.consistency_proof(old as u64).unwrap();
        prop_assert_eq!(&consistency, &naive::proof(old, &leaves));
        let peaks = over.peaks().unwrap();
        prop_assert_eq!(Frontier::from_peaks(size as u64, peaks).unwrap().root(), root);

        let old_root = naive::root(&leaves[..old]);
        let (old, size) = (old as u64, size as u64);
        prop_assert_eq!(verify_consistency(old, old_root, size, root, &consistency), Ok(()));
        let index = LeafIndex::new(leaf as u64);
        prop_assert_eq!(verify_inclusion(index, size, leaves[leaf], &inclusion, root), Ok(()));

        // Anything that is changed about a proof is refused.
        if !inclusion.is_empty() {
            let changed = flip(&inclusion, place.index(inclusion.len() * 32));
            prop_assert!(verify_inclusion(index, size, leaves[leaf], &changed, root).is_err());
            let shorter = &inclusion[1..];
            prop_assert!(verify_inclusion(index, size, leaves[leaf], shorter, root).is_err());
        }
        let mut longer = inclusion.clone();
        longer.push(root);
        prop_assert!(verify_inclusion(index, size, leaves[leaf], &longer, root).is_err());
        prop_assert!(verify_inclusion(index, size, leaf_hash(b"another"), &inclusion, root).is_err());
        if size > 1 {
            let other = LeafIndex::new((leaf as u64 + 1) % size);
            prop_assert!(verify_inclusion(other, size, leaves[leaf], &inclusion, root).is_err());
        }
        if !consistency.is_empty() {
            let changed = flip(&consistency, place.index(consistency.len() * 32));
            prop_assert!(verify_consistency(old, old_root, size, root, &changed).is_err());
            prop_assert!(verify_consistency(old, old_root, size, root, &consistency[1..]).is_err());
            prop_assert!(verify_consistency(old, leaf_hash(b"another"), size, root, &consistency).is_err());
            prop_assert!(verify_consistency(old, old_root, size, old_root, &consistency).is_err());
        }
        let mut longer = consistency;
        longer.push(root);
        prop_assert!(verify_consistency(old, old_root, size, root, &longer).is_err());
    }

    /// A defect it catches: a restart that takes the wrong hashes for the edge of a level.
    #[test]
    fn a_tree_that_was_restored_goes_on_as_if_it_had_not_stopped(size in 0_usize..3000, more in 0_usize..600) {
        let leaves = naive::leaves(size + more);
        let (tiles, tree) = Tiles::of(&leaves[..size]);
        let mut source = FullTilesOnly { tiles, leaves: leaves[..size].to_vec() };
        let mut restored = GrowingTree::restore(size as u64, &mut source).unwrap();
        prop_assert_eq!(&restored, &tree);
        let mut tree = tree;
        for leaf in &leaves[size..] {
            prop_assert_eq!(restored.push(*leaf), tree.push(*leaf));
        }
        prop_assert_eq!(restored.root(), naive::root(&leaves));
    }
}

/// What a store keeps: full tiles, and the entries behind the last one of level 0.
struct FullTilesOnly {
    tiles: Tiles,
    leaves: Vec<TreeHash>,
}

impl TileSource for FullTilesOnly {
    type Error = AuditError;

    fn tile(&mut self, id: TileId) -> Result<Tile, AuditError> {
        if id.is_full() {
            return self.tiles.tile(id);
        }
        assert_eq!(id.level(), 0, "only the edge of level 0 is asked for");
        let from = usize::try_from(id.number()).unwrap() * 256;
        Tile::new(id, self.leaves[from..from + usize::from(id.width())].to_vec())
    }
}

#[test]
fn a_partial_tile_is_made_from_the_full_ones_below() {
    let leaves = naive::leaves(256 * 5 + 7);
    let (mut tiles, _) = Tiles::of(&leaves);
    let id = TileId::partial(1, 0, 5).unwrap();
    assert_eq!(tile_from_below(id, &mut tiles), tiles.clone().tile(id));
    let smaller = TileId::partial(1, 0, 3).unwrap();
    let made = tile_from_below(smaller, &mut tiles).unwrap();
    assert_eq!(made.hashes(), &tiles.tile(id).unwrap().hashes()[..3]);
    assert_eq!(
        tile_from_below(TileId::full(0, 0), &mut tiles),
        Err(AuditError::Range)
    );
}

#[test]
fn what_lies_outside_of_the_tree_is_refused() {
    let leaves = naive::leaves(300);
    let (mut tiles, tree) = Tiles::of(&leaves);
    let root = tree.root();
    let mut over = TiledTree::new(300, &mut tiles);
    assert_eq!(over.inclusion_proof(LeafIndex::new(300)), Err(AuditError::Range));
    assert_eq!(over.consistency_proof(301), Err(AuditError::Range));
    assert_eq!(over.consistency_proof(0), Ok(Vec::new()));
    assert_eq!(verify_consistency(0, TreeHash::EMPTY, 300, root, &[]), Ok(()));
    assert!(verify_consistency(0, root, 300, root, &[]).is_err());
    assert!(verify_consistency(301, root, 300, root, &[]).is_err());
    assert!(verify_inclusion(LeafIndex::new(300), 300, root, &[], root).is_err());
    assert!(Frontier::from_peaks(3, vec![root]).is_err());
    // Sizes at the end of the numbers: no overflow, no proof.
    assert!(verify_consistency(u64::MAX - 1, root, u64::MAX, root, &[root; 64]).is_err());
    assert!(verify_inclusion(LeafIndex::new(u64::MAX - 1), u64::MAX, root, &[root; 64], root).is_err());
}

fn flip(proof: &[TreeHash], place: usize) -> Vec<TreeHash> {
    let mut proof = proof.to_vec();
    let mut bytes = *proof[place / 32].as_bytes();
    bytes[place % 32] ^= 1;
    proof[place / 32] = TreeHash::from_bytes(bytes);
    proof
}
