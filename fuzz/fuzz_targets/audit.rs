//! The audit log as a stranger reads it. The first byte says what follows: a path, an entry, a bundle, a tile, a note, a
//! verifier key, a proof, a receipt.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_core::audit::{
    BundleId, Entry, Receipt, Resource, SignedNote, Tile, TileId, TlogProof, VerifierKey, encode_bundle, leaf_hash,
    parse_bundle,
};
use wfldb_core::limits::{AUDIT_ENTRY_BYTES_MAX, RECEIPT_BYTES_MAX};
use wfldb_fuzz::text;

fuzz_target!(|input: &[u8]| {
    let Some((kind, input)) = input.split_first() else { return };
    match kind {
        b'p' => {
            let Some(path) = text(input) else { return };
            if let Ok(resource) = Resource::parse(path) {
                assert_eq!(resource.to_string(), path);
            }
        }
        b'e' => {
            if let Ok(entry) = Entry::parse(input) {
                assert_eq!(entry.to_bytes(), input);
                assert!(input.len() <= AUDIT_ENTRY_BYTES_MAX);
                assert_eq!(entry.hash(), leaf_hash(input));
            }
        }
        b'b' => {
            // As many entries as the first length says, at most a full bundle.
            let Some((width, bytes)) = input.split_first() else { return };
            let id = BundleId::in_tree(0, u64::from(*width) + 1).expect("a first bundle");
            if let Ok(entries) = parse_bundle(id, bytes) {
                assert_eq!(entries.len(), usize::from(*width) + 1);
                assert_eq!(encode_bundle(entries).expect("what was read is written"), bytes);
            }
        }
        b't' => {
            let Some((width, bytes)) = input.split_first() else { return };
            let id = TileId::partial(0, 0, u16::from(*width) + 1).expect("a first tile");
            if let Ok(tile) = Tile::parse(id, bytes) {
                assert_eq!(tile.to_bytes(), bytes);
            }
        }
        b'n' => {
            if let Ok(note) = SignedNote::parse(input) {
                assert_eq!(note.as_str().as_bytes(), input);
            }
        }
        b'k' => {
            let Some(key) = text(input) else { return };
            if let Ok(read) = VerifierKey::parse(key) {
                assert_eq!(read.to_string(), key);
            }
        }
        b'l' => {
            if let Ok(proof) = TlogProof::parse(input) {
                assert_eq!(proof.to_string().as_bytes(), input);
            }
        }
        b'r' => {
            if let Ok(receipt) = Receipt::parse(input) {
                assert!(input.len() <= RECEIPT_BYTES_MAX);
                let json = receipt.to_json().expect("what was read is written");
                assert_eq!(Receipt::parse(json.as_bytes()).as_ref(), Ok(&receipt));
                // Nobody signed what a fuzzer found.
                let key = VerifierKey::parse(KEY).expect("a key");
                assert!(receipt.verify(&key).is_err());
            }
        }
        _ => {}
    }
});

/// Of a key that signed nothing that is in the corpus.
const KEY: &str = "wfldb/fuzz/00000000000000000000000000000000+3993debb+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";
