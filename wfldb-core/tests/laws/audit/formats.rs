//! Names of tiles, bundles, notes, checkpoints and entries: one spelling each, and nothing else is read.

use proptest::prelude::*;
use wfldb_core::audit::{
    AuditError, BundleId, Commitment, Entry, EntryActor, EntryOp, Label, LogName, NoteSigner, Outcome,
    Resource, SignedCheckpoint, SignedNote, Tile, TileId, TreeHash, VerifierKey, encode_bundle,
    evidence_value, leaf_hash, parse_bundle,
};
use wfldb_core::encoding::hex;
use wfldb_core::id::{LeafIndex, SecretKey};
use wfldb_core::name::Realm;
use wfldb_core::time::UnixMillis;

fn signer() -> NoteSigner {
    let name = LogName::of_store(&Realm::parse("local").unwrap(), &[0xab; 16]);
    NoteSigner::new(name, SecretKey::from_seed([7; 32]))
}

#[test]
fn a_path_has_one_spelling() {
    for path in [
        "checkpoint",
        "tile/0/000",
        "tile/7/000.p/1",
        "tile/0/x001/234",
        "tile/0/x001/x234/067.p/255",
        "tile/entries/000",
        "tile/entries/x018/x446/x744/x073/x709/x551/615.p/9",
    ] {
        assert_eq!(Resource::parse(path).unwrap().to_string(), path);
    }
    for path in [
        "",
        "tile",
        "tile/",
        "/checkpoint",
        "checkpoint/",
        "tile/0/0",
        "tile/00/000",
        "tile/+0/000",
        "tile/8/000",
        "tile/-1/000",
        "tile/0/x000/000",
        "tile/0/001/234",
        "tile/0/x001/x234",
        "tile/0/1234",
        "tile/0/x1/234",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p/1/",
        "tile/0/000.p/1.p/1",
        "tile/0/../0/000",
        "tile/0/000/",
        "tile/entries/",
        "tile/entries/x018/x446/x744/x073/x709/x551/616",
        "tile/entries/x999/x999/x999/x999/x999/x999/x999/999",
        "tile/data/000",
    ] {
        assert!(Resource::parse(path).is_err(), "{path}");
    }
}

proptest! {
    #[test]
    fn paths_come_back(level in 0_u8..8, number in any::<u64>(), width in 1_u16..=256) {
        let tile = TileId::partial(level, number, width).unwrap();
        prop_assert_eq!(TileId::parse(&tile.to_string()), Ok(tile));
        let bundle = BundleId::full(number);
        prop_assert_eq!(BundleId::parse(&bundle.to_string()), Ok(bundle));
    }

    #[test]
    fn no_parser_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = Resource::parse(&text);
        let _ = VerifierKey::parse(&text);
        let _ = SignedNote::parse(&bytes);
        let _ = Entry::parse(&bytes);
        let _ = parse_bundle(BundleId::full(0), &bytes);
        let _ = Tile::parse(TileId::full(0, 0), &bytes);
    }

    #[test]
    fn bundles_come_back(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..20)) {
        let id = BundleId::in_tree(0, entries.len() as u64).unwrap();
        let bytes = encode_bundle(&entries).unwrap();
        prop_assert_eq!(parse_bundle(id, &bytes).unwrap(), entries);
        prop_assert!(parse_bundle(id, &bytes[..bytes.len() - 1]).is_err());
        let longer = [bytes, vec![0, 0]].concat();
        prop_assert!(parse_bundle(id, &longer).is_err());
    }
}

/// The example of C2SP tlog-tiles.
#[test]
fn the_tree_of_70000_leaves_has_the_tiles_of_the_specification() {
    let tiles: Vec<TileId> = TileId::all_in_tree(70_000).collect();
    let full = |level| {
        tiles
            .iter()
            .filter(|tile| tile.level() == level && tile.is_full())
            .count()
    };
    assert_eq!((full(0), full(1), full(2)), (273, 1, 0));
    let partial: Vec<String> = tiles
        .iter()
        .filter(|tile| !tile.is_full())
        .map(TileId::to_string)
        .collect();
    assert_eq!(partial, ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
    assert_eq!(
        TileId::all_in_tree(256)
            .map(|tile| tile.to_string())
            .collect::<Vec<_>>(),
        ["tile/0/000", "tile/1/000.p/1"]
    );
    assert_eq!(TileId::all_in_tree(0).count(), 0);
    assert_eq!(BundleId::all_in_tree(70_000).count(), 274);
}

#[test]
fn a_tile_has_as_many_hashes_as_its_name_says() {
    let id = TileId::partial(0, 0, 3).unwrap();
    assert!(Tile::parse(id, &[0; 96]).is_ok());
    for length in [0, 95, 97, 64, 128] {
        assert_eq!(Tile::parse(id, &vec![0; length]), Err(AuditError::Form("tile")));
    }
    assert!(Tile::new(id, vec![TreeHash::EMPTY; 2]).is_err());
}

#[test]
fn a_bundle_ends_where_its_entries_end() {
    let two = BundleId::in_tree(0, 2).unwrap();
    assert!(parse_bundle(two, b"\x00\x01a\x00\x01b").is_ok());
    for bytes in [
        &b""[..],
        b"\x00",
        b"\x00\x01a",
        b"\x00\x01a\x00\x02b",
        b"\x00\x01a\x00\x01b\x00",
        b"\x00\x01a\x00\x01b\x00\x01c",
    ] {
        assert!(parse_bundle(two, bytes).is_err(), "{bytes:?}");
    }
    assert!(encode_bundle([vec![0; 4096]]).is_ok());
    assert!(encode_bundle([vec![0; 4097]]).is_err());
    let one = BundleId::in_tree(0, 1).unwrap();
    let long = [&[0x10, 0x01][..], &[0; 4097]].concat();
    assert!(parse_bundle(one, &long).is_err());
}

/// A defect it catches: a signature that covers less than the whole text, or a parser that skips a byte.
#[test]
fn every_changed_byte_of_a_checkpoint_is_refused() {
    let signer = signer();
    let checkpoint = SignedCheckpoint::sign(300, leaf_hash(b"x"), &signer).unwrap();
    let key = signer.verifier_key();
    let bytes = checkpoint.text().as_bytes();
    assert_eq!(SignedCheckpoint::open(bytes, key), Ok(checkpoint.clone()));
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.to_vec();
            changed[place] ^= 1 << bit;
            assert!(
                SignedCheckpoint::open(&changed, key).is_err(),
                "byte {place} bit {bit}"
            );
        }
    }
    for end in 0..bytes.len() {
        assert!(SignedCheckpoint::open(&bytes[..end], key).is_err(), "{end} bytes");
    }
}

#[test]
fn a_checkpoint_is_of_its_log_and_key_alone() {
    let signer = signer();
    let other_key = NoteSigner::new(
        signer.verifier_key().name().clone(),
        SecretKey::from_seed([8; 32]),
    );
    let other_name = NoteSigner::new(LogName::parse("other").unwrap(), SecretKey::from_seed([7; 32]));
    let open = |signer: &NoteSigner, text: &str| {
        let note = signer.sign(text).unwrap();
        SignedCheckpoint::open(note.as_str().as_bytes(), signer.verifier_key()).map(|read| read.size())
    };
    let root = leaf_hash(b"x");
    let name = signer.verifier_key().name();
    assert_eq!(open(&signer, &format!("{name}\n3\n{root}\n")), Ok(3));
    assert_eq!(
        open(&other_name, &format!("{name}\n3\n{root}\n")),
        Err(AuditError::Origin)
    );
    for text in [
        format!("{name}\n03\n{root}\n"),
        format!("{name}\n+3\n{root}\n"),
        format!("{name}\n3\n{root}\nmore\n"),
        format!("{name}\n3\n"),
        format!("{name}\n0\n{root}\n"),
        format!("{name}\n9007199254740993\n{root}\n"),
        format!("{name}\n18446744073709551616\n{root}\n"),
        format!("\n{name}\n3\n{root}\n"),
    ] {
        assert!(matches!(open(&signer, &text), Err(AuditError::Form(_))), "{text}");
    }
    let checkpoint = SignedCheckpoint::sign(3, root, &signer).unwrap();
    for stranger in [&other_key, &other_name] {
        assert_eq!(
            SignedCheckpoint::open(checkpoint.text().as_bytes(), stranger.verifier_key()),
            Err(AuditError::Signature)
        );
    }
}

#[test]
fn signatures_of_witnesses_are_left_alone_and_false_ones_of_the_key_refused() {
    let signer = signer();
    let note = signer.sign("a text\n\nwith an empty line\n").unwrap();
    let witness = NoteSigner::new(
        LogName::parse("witness.example").unwrap(),
        SecretKey::from_seed([9; 32]),
    );
    let cosigned = witness.sign("a text\n\nwith an empty line\n").unwrap();
    let cosignature = cosigned.as_str().lines().last().unwrap();
    let both = format!("{}{cosignature}\n", note.as_str());
    let read = SignedNote::parse(both.as_bytes()).unwrap();
    assert_eq!(
        read.verified_by(signer.verifier_key()),
        Ok("a text\n\nwith an empty line\n")
    );
    assert_eq!(
        read.verified_by(witness.verifier_key()),
        Ok("a text\n\nwith an empty line\n")
    );

    // One that verifies does not make up for one that does not.
    let false_line = signer.sign("another text\n").unwrap();
    let false_line = false_line.as_str().lines().last().unwrap().to_owned();
    let mixed = format!("{}{false_line}\n", note.as_str());
    let read = SignedNote::parse(mixed.as_bytes()).unwrap();
    assert_eq!(
        read.verified_by(signer.verifier_key()),
        Err(AuditError::Signature)
    );

    let line = note.as_str().lines().last().unwrap();
    let many = |count: usize| format!("text\n\n{}", format!("{line}\n").repeat(count));
    assert!(SignedNote::parse(many(64).as_bytes()).is_ok());
    assert!(SignedNote::parse(many(65).as_bytes()).is_err());
    for text in ["no end", "a\ttab\n", "", "a\r\n"] {
        assert!(signer.sign(text).is_err(), "{text}");
    }
}

/// The verifier key of the Go module database's tests and documentation, and of C2SP's example note.
#[test]
fn published_keys_and_notes_verify() {
    let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let key = VerifierKey::parse(key).unwrap();
    let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let read = SignedNote::parse(note.as_bytes()).unwrap();
    assert!(
        read.verified_by(&key)
            .unwrap()
            .ends_with("what your problem is.\n")
    );
    assert!(
        VerifierKey::parse("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").is_err()
    );
    assert_eq!(key.to_string().split('+').nth(1), Some("c74f20a3"));
}

#[test]
fn names_of_keys_have_no_space_and_no_plus() {
    for name in [
        "",
        "a b",
        "a+b",
        "a\nb",
        "a\u{a0}b",
        "a\u{2028}b",
        &"a".repeat(256),
    ] {
        assert!(LogName::parse(name).is_err(), "{name:?}");
    }
    assert!(LogName::parse(&"a".repeat(255)).is_ok());
    assert_eq!(LogName::parse("wfldb/local/abc").unwrap().realm(), None);
}

fn entry() -> Entry {
    let salt = [9; 32];
    let commit = |label, value: &[u8]| Some(Commitment::new(&salt, label, value));
    Entry {
        leaf: LeafIndex::new(17),
        at: UnixMillis::new(1_767_323_045_006),
        actor: Some(EntryActor::parse("wc125njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkencm4a").unwrap()),
        op: EntryOp::PUT,
        outcome: Outcome::Ok,
        bucket: commit(Label::Bucket, &[1; 16]),
        key: commit(Label::Key, b"a"),
        content: commit(Label::Content, &[0; 56]),
        evidence: commit(Label::Evidence, &evidence_value("packet", b"canonical", &[3; 64])),
    }
}

#[test]
fn every_changed_byte_of_an_entry_is_refused_or_another_entry() {
    let bytes = entry().to_bytes();
    assert_eq!(Entry::parse(&bytes), Ok(entry()));
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << bit;
            if let Ok(read) = Entry::parse(&changed) {
                assert_eq!(read.to_bytes(), changed, "one spelling");
                assert_ne!(read, entry());
            }
        }
    }
}

#[test]
fn an_entry_has_one_spelling() {
    let text = String::from_utf8(entry().to_bytes()).unwrap();
    for other in [
        text.replace(":17,", ": 17,"),
        text.replace("\"leaf\":17", "\"leaf\":17.0"),
        text.replace("\"leaf\":17", "\"leaf\":\"17\""),
        text.replace("\"leaf\":17", "\"leaf\":9007199254740992"),
        text.replace("\"leaf\":17", "\"leaf\":17,\"leaf\":17"),
        text.replace("\"outcome\":\"ok\"", "\"outcome\":\"erased\""),
        text.replace("\"outcome\":\"ok\"", "\"outcome\":\"fine\""),
        text.replace("\"op\":\"put\"", "\"op\":\"p\\u0075t\""),
        text.replace("\"op\":\"put\"", "\"op\":\"PUT\""),
        text.replace("\"op\":\"put\"", "\"op\":\"put\",\"more\":1"),
        text.replace("\"actor\":", "\"actor\":null,\"actors\":"),
        text.replace("{\"actor\"", "{\"a\":1,\"actor\""),
        format!("{text}\n"),
        format!("[{text}]"),
    ] {
        assert_ne!(other, text);
        assert!(Entry::parse(other.as_bytes()).is_err(), "{other}");
    }
    let erased = Entry::erased(LeafIndex::new(0), UnixMillis::new(0), EntryOp::PUT);
    assert_eq!(
        erased.to_bytes(),
        br#"{"at":"1970-01-01T00:00:00.000Z","leaf":0,"op":"put","outcome":"erased"}"#
    );
    assert_eq!(Entry::parse(&erased.to_bytes()), Ok(erased.clone()));
    let nobody = Entry {
        outcome: Outcome::Ok,
        ..erased
    };
    assert!(Entry::parse(&nobody.to_bytes()).is_err());
}

#[test]
fn an_actor_is_read_as_it_is_or_made_plain() {
    for text in ["local:wfldb-admin backup", "system:expire"] {
        assert_eq!(EntryActor::lossy(text).as_str(), text);
    }
    assert_eq!(EntryActor::lossy("local:a\"\\\u{fc}").as_str(), "local:a???");
    assert_eq!(EntryActor::lossy("whoever").as_str(), "local:whoever");
    let long = EntryActor::lossy(&format!("local:{}", "a".repeat(500)));
    assert_eq!(long.as_str().len(), 128);
    assert!(EntryActor::parse(long.as_str()).is_ok());
    assert!(EntryActor::parse("whoever").is_err());
}

/// A defect it catches: labels that run into their values.
#[test]
fn a_commitment_depends_on_salt_label_and_value() {
    let commitment = Commitment::new(&[1; 32], Label::Key, b"a");
    for other in [
        Commitment::new(&[2; 32], Label::Key, b"a"),
        Commitment::new(&[1; 32], Label::Bucket, b"a"),
        Commitment::new(&[1; 32], Label::Key, b"b"),
        Commitment::new(&[1; 32], Label::Key, b""),
    ] {
        assert_ne!(commitment, other);
    }
    // SHA-256 of 32 times 01, "key", 00, "a", by another program.
    assert_eq!(hex::encode(commitment.as_bytes()), KEY_A);
    assert_eq!(Commitment::parse(&commitment.to_string()), Ok(commitment));
}

const KEY_A: &str = "9adf7fb006af74a710bff9e43aee363d459694926cffab2c2d941b27dd0c7148";
