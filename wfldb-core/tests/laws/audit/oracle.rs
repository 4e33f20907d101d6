//! The formats as others read and write them: `tlog_tiles` and `signed_note`, ports of Go's `sumdb` packages.

use std::collections::HashMap;

use proptest::prelude::*;
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{
    Checkpoint, Error, Hash, HashReader, Tile as OtherTile, TileHashReader, TileReader, check_record,
    check_tree, prove_record, prove_tree, record_hash, stored_hashes, tree_hash,
};
use wfldb_core::audit::{
    LogName, NoteSigner, SignedCheckpoint, TileId, TiledTree, TreeHash, VerifierKey, leaf_hash,
    verify_consistency, verify_inclusion,
};
use wfldb_core::id::{LeafIndex, PublicKey, SecretKey};
use wfldb_core::name::Realm;

use super::naive::Tiles;

/// Their tree, in their order of storage.
#[derive(Default)]
struct Stored(Vec<Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        Ok(indexes
            .iter()
            .map(|index| self.0[usize::try_from(*index).unwrap()])
            .collect())
    }
}

impl Stored {
    fn of(entries: &[Vec<u8>]) -> Self {
        let mut stored = Self::default();
        for (number, entry) in entries.iter().enumerate() {
            let hashes = stored_hashes(number as u64, entry, &stored).unwrap();
            stored.0.extend(hashes);
        }
        stored
    }
}

/// Our tiles, by the paths that they ask for.
struct OurTiles(HashMap<String, Vec<u8>>);

impl TileReader for OurTiles {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[OtherTile]) -> Result<Vec<Vec<u8>>, Error> {
        // Their path has the height in it, as Go's has; C2SP's has not.
        let bytes = |tile: &OtherTile| self.0[&tile.path().replacen("tile/8/", "tile/", 1)].clone();
        Ok(tiles.iter().map(bytes).collect())
    }

    fn save_tiles(&self, _: &[OtherTile], _: &[Vec<u8>]) {}
}

fn theirs(hash: TreeHash) -> Hash {
    Hash(*hash.as_bytes())
}

fn ours(hashes: &[Hash]) -> Vec<TreeHash> {
    hashes.iter().map(|hash| TreeHash::from_bytes(hash.0)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn trees_tiles_and_proofs_are_theirs(
        size in 1_usize..2000,
        leaf in any::<prop::sample::Index>(),
        old in any::<prop::sample::Index>(),
    ) {
        let entries: Vec<Vec<u8>> = (0..size).map(|number| format!("entry {number}").into_bytes()).collect();
        let leaves: Vec<TreeHash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        let (mut tiles, tree) = Tiles::of(&leaves);
        let stored = Stored::of(&entries);
        let (leaf, old, count) = (leaf.index(size) as u64, 1 + old.index(size) as u64, size as u64);
        let root = tree.root();
        prop_assert_eq!(tree_hash(count, &stored).unwrap(), theirs(root));
        prop_assert_eq!(record_hash(&entries[0]), theirs(leaves[0]));

        // Ours, by their verifier; theirs, by ours.
        let mut over = TiledTree::new(count, &mut tiles);
        let proof = over.inclusion_proof(LeafIndex::new(leaf)).unwrap();
        let hash = leaves[usize::try_from(leaf).unwrap()];
        let sent: Vec<Hash> = proof.iter().copied().map(theirs).collect();
        prop_assert!(check_record(&sent, count, theirs(root), leaf, theirs(hash)).is_ok());
        let got = ours(&prove_record(count, leaf, &stored).unwrap());
        prop_assert!(verify_inclusion(LeafIndex::new(leaf), count, hash, &got, root).is_ok());

        let proof = over.consistency_proof(old).unwrap();
        let old_root = tree_hash(old, &stored).unwrap();
        let sent: Vec<Hash> = proof.iter().copied().map(theirs).collect();
        prop_assert!(check_tree(&sent, count, theirs(root), old, old_root).is_ok());
        let got = ours(&prove_tree(count, old, &stored).unwrap());
        prop_assert!(verify_consistency(old, TreeHash::from_bytes(old_root.0), count, root, &got).is_ok());

        // Their reader takes our tiles, by our names, and checks each against the root.
        let names: Vec<String> = TileId::all_in_tree(count).map(|id| id.to_string()).collect();
        let their_names = OtherTile::new_tiles(8, 0, count);
        let mut their_names: Vec<String> = their_names.iter().map(|tile| tile.path().replacen("tile/8/", "tile/", 1)).collect();
        let mut our_names = names;
        our_names.sort();
        their_names.sort();
        prop_assert_eq!(our_names, their_names);
        let published = tiles.0.values().map(|tile| (tile.id().to_string(), tile.to_bytes())).collect();
        let published = OurTiles(published);
        let reader = TileHashReader::new(count, theirs(root), &published);
        let got = ours(&prove_record(count, leaf, &reader).unwrap());
        prop_assert!(verify_inclusion(LeafIndex::new(leaf), count, hash, &got, root).is_ok());
    }
}

#[test]
fn checkpoints_and_keys_are_read_by_others() {
    let name = LogName::of_store(&Realm::parse("local").unwrap(), &[0xab; 16]);
    let signer = NoteSigner::new(name, SecretKey::from_seed([7; 32]));
    let root = leaf_hash(b"x");
    let checkpoint = SignedCheckpoint::sign(300, root, &signer).unwrap();

    let key = signer.verifier_key().to_string();
    let known = StandardVerifier::new(&key).unwrap();
    let note = Note::from_bytes(checkpoint.text().as_bytes()).unwrap();
    let (verified, unverified) = note.verify(&VerifierList::new(vec![Box::new(known)])).unwrap();
    assert_eq!((verified.len(), unverified.len()), (1, 0));
    let read = Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!(read.origin(), signer.verifier_key().name().as_str());
    assert_eq!(
        (read.size(), *read.hash(), read.extension()),
        (300, theirs(root), "")
    );
}

/// The other way round: what they sign, we verify.
#[test]
fn notes_of_others_are_verified() {
    let secret = SecretKey::from_seed([21; 32]);
    // A signing key in their form: PRIVATE+KEY+name+hash+base64(type, seed).
    let vkey = VerifierKey::new(LogName::parse("example.com/log").unwrap(), secret.public_key());
    let text = vkey.to_string();
    let hash = text.split('+').nth(1).unwrap();
    let seed = wfldb_core::encoding::base64::encode(&[&[1][..], &[21; 32]].concat());
    let signer =
        signed_note::StandardSigner::new(&format!("PRIVATE+KEY+example.com/log+{hash}+{seed}")).unwrap();
    let body = format!("example.com/log\n7\n{}\n", leaf_hash(b"x"));
    let mut note = Note::new(body.as_bytes(), &[]).unwrap();
    note.add_sigs(&[&signer]).unwrap();
    let read = SignedCheckpoint::open(&note.to_bytes(), &vkey).unwrap();
    assert_eq!((read.size(), read.root()), (7, leaf_hash(b"x")));
    assert!(PublicKey::from_bytes(secret.public_key().as_bytes()).is_ok());
}
