//! A copy of a log, damaged in every way that somebody could want: each is found, and named.

use std::cell::RefCell;
use std::collections::BTreeMap;

use wfldb_core::audit::{
    BundleId, Entry, EntryActor, EntryOp, Finding, GrowingTree, LogCheck, LogName, NoteSigner, Outcome,
    Resource, SignedCheckpoint, TileId, encode_bundle, leaf_hash, parse_bundle,
};
use wfldb_core::id::{LeafIndex, SecretKey};
use wfldb_core::time::UnixMillis;

const SIZE: u64 = 1000;

fn signer() -> NoteSigner {
    NoteSigner::new(
        LogName::parse("example.com/log").unwrap(),
        SecretKey::from_seed([7; 32]),
    )
}

fn entry(leaf: u64) -> Vec<u8> {
    let entry = Entry {
        leaf: LeafIndex::new(leaf),
        at: UnixMillis::new(1000 + leaf),
        actor: Some(EntryActor::parse("system:test").unwrap()),
        op: EntryOp::PUT,
        outcome: Outcome::Ok,
        bucket: None,
        key: None,
        content: None,
        evidence: None,
    };
    entry.to_bytes()
}

#[derive(Clone)]
struct Copy {
    files: BTreeMap<String, Vec<u8>>,
    checkpoint: SignedCheckpoint,
    old: SignedCheckpoint,
}

/// A log of entries, as its server would publish it, with a checkpoint of the time when it had 300 leaves.
fn published(entries: &[Vec<u8>]) -> Copy {
    let mut files = BTreeMap::new();
    let mut tree = GrowingTree::new();
    let mut old = None;
    for entry in entries {
        for tile in tree.push(leaf_hash(entry)) {
            files.insert(tile.id().to_string(), tile.to_bytes());
        }
        if tree.size() == 300 {
            old = Some(SignedCheckpoint::sign(300, tree.root(), &signer()).unwrap());
        }
    }
    for tile in tree.partial_tiles() {
        files.insert(tile.id().to_string(), tile.to_bytes());
    }
    for (id, entries) in BundleId::all_in_tree(tree.size()).zip(entries.chunks(256)) {
        files.insert(id.to_string(), encode_bundle(entries).unwrap());
    }
    let checkpoint = SignedCheckpoint::sign(tree.size(), tree.root(), &signer()).unwrap();
    let old = old.unwrap_or_else(|| checkpoint.clone());
    Copy {
        files,
        checkpoint,
        old,
    }
}

fn check(copy: &Copy) -> Vec<Finding> {
    let read = |resource: Resource| copy.files.get(&resource.to_string()).cloned();
    let mut check = LogCheck::new(&copy.checkpoint, std::slice::from_ref(&copy.old));
    for bundle in BundleId::all_in_tree(copy.checkpoint.size()) {
        check.bundle(bundle, read(Resource::Entries(bundle)).as_deref(), &read);
    }
    check.finish(&read)
}

thread_local! {
    static SOUND: RefCell<Option<Copy>> = const { RefCell::new(None) };
}

fn sound() -> Copy {
    SOUND.with_borrow_mut(|sound| {
        let make = || published(&(0..SIZE).map(entry).collect::<Vec<_>>());
        sound.get_or_insert_with(make).clone()
    })
}

fn bundle(copy: &Copy, number: u64) -> Vec<Vec<u8>> {
    let id = BundleId::in_tree(number, SIZE).unwrap();
    let bytes = &copy.files[&id.to_string()];
    parse_bundle(id, bytes)
        .unwrap()
        .into_iter()
        .map(<[u8]>::to_vec)
        .collect()
}

fn set_bundle(copy: &mut Copy, number: u64, entries: &[Vec<u8>]) {
    let id = BundleId::in_tree(number, SIZE).unwrap();
    copy.files.insert(id.to_string(), encode_bundle(entries).unwrap());
}

#[test]
fn a_sound_copy_has_no_findings() {
    assert_eq!(check(&sound()), []);
    assert_eq!(check(&published(&[])), []);
    assert_eq!(check(&published(&[entry(0)])), []);
    assert_eq!(check(&published(&(0..256).map(entry).collect::<Vec<_>>())), []);
}

#[test]
fn every_single_missing_file_is_named() {
    let copy = sound();
    assert_eq!(copy.files.len(), 9);
    for name in copy.files.keys() {
        let mut copy = copy.clone();
        copy.files.remove(name);
        let findings = check(&copy);
        let missing = Finding::Missing(Resource::parse(name).unwrap());
        assert!(findings.contains(&missing), "{name}: {findings:?}");
    }
}

/// A log with three levels of tiles: each is made from the one below and compared.
#[test]
fn tiles_of_every_level_are_compared() {
    let mut copy = published(&(0..65_800).map(entry).collect::<Vec<_>>());
    for name in ["tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1"] {
        copy.files.get_mut(name).unwrap()[31] ^= 1;
    }
    copy.files.remove("tile/entries/256");
    assert_eq!(
        check(&copy),
        [
            Finding::OtherTile(TileId::full(1, 0), 0),
            Finding::Missing(Resource::Entries(BundleId::full(256))),
            Finding::OtherTile(TileId::partial(1, 1, 1).unwrap(), 0),
            Finding::OtherTile(TileId::partial(2, 0, 1).unwrap(), 0),
        ]
    );
}

/// A defect it catches: a comparison that goes over the entries only, or over the tiles only.
#[test]
fn a_changed_byte_of_any_file_is_found() {
    let copy = sound();
    for name in [
        "tile/0/000",
        "tile/0/003.p/232",
        "tile/1/000.p/3",
        "tile/entries/001",
        "tile/entries/003.p/232",
    ] {
        let length = copy.files[name].len();
        for place in [0, 1, length / 2, length - 1] {
            let mut copy = copy.clone();
            copy.files.get_mut(name).unwrap()[place] ^= 1;
            assert!(!check(&copy).is_empty(), "{name} byte {place}");
        }
        let mut copy = copy.clone();
        copy.files.get_mut(name).unwrap().pop();
        let malformed = Finding::Malformed(Resource::parse(name).unwrap());
        assert!(check(&copy).contains(&malformed), "{name} cut short");
    }
}

#[test]
fn a_changed_entry_is_named_with_its_leaf() {
    let mut copy = sound();
    let mut entries = bundle(&copy, 2);
    let changed = String::from_utf8(entries[2].clone())
        .unwrap()
        .replace("\"put\"", "\"erase\"");
    entries[2] = changed.into_bytes();
    set_bundle(&mut copy, 2, &entries);
    let findings = check(&copy);
    assert!(findings.contains(&Finding::OtherEntry(514)), "{findings:?}");
    assert!(findings.contains(&Finding::OtherRoot), "{findings:?}");
    assert!(
        findings.contains(&Finding::OtherTile(TileId::partial(1, 0, 3).unwrap(), 2)),
        "{findings:?}"
    );
    assert!(
        !findings.contains(&Finding::OtherHistory(300)),
        "the change is after the old checkpoint"
    );
}

#[test]
fn two_entries_in_the_other_order_are_named() {
    let mut copy = sound();
    let mut entries = bundle(&copy, 0);
    entries.swap(10, 11);
    set_bundle(&mut copy, 0, &entries);
    let findings = check(&copy);
    for finding in [
        Finding::Misplaced(10, 11),
        Finding::Misplaced(11, 10),
        Finding::Backwards(11),
        Finding::OtherHistory(300),
        Finding::OtherRoot,
    ] {
        assert!(findings.contains(&finding), "{finding:?} in {findings:?}");
    }
}

/// The server itself rewrote its log: all tiles fit, and it signed the new root. Only the old checkpoint, and the leaf
/// indices in the entries, tell.
///
/// A defect it catches: an old checkpoint that is only verified and not compared.
#[test]
fn a_log_that_was_rewritten_and_signed_anew_is_found_by_an_old_checkpoint() {
    let old = sound().old;
    let entries: Vec<_> = (0..SIZE).map(entry).collect();
    let rewritten = |entries: &[Vec<u8>]| Copy {
        old: old.clone(),
        ..published(entries)
    };

    let mut removed = entries.clone();
    removed.remove(17);
    let findings = check(&rewritten(&removed));
    assert_eq!(findings, [Finding::Misplaced(17, 18), Finding::OtherHistory(300)]);

    let mut changed = entries.clone();
    changed[17] = String::from_utf8(entry(17))
        .unwrap()
        .replace("put", "erase")
        .into_bytes();
    assert_eq!(check(&rewritten(&changed)), [Finding::OtherHistory(300)]);

    assert_eq!(check(&rewritten(&entries[..299])), [Finding::Shorter(300)]);
    assert_eq!(check(&rewritten(&entries[..300])), []);
    // A fork after the old checkpoint is the log's own affair.
    let mut later = entries;
    later[400] = changed_op(400);
    assert_eq!(check(&rewritten(&later)), []);
}

fn changed_op(leaf: u64) -> Vec<u8> {
    String::from_utf8(entry(leaf))
        .unwrap()
        .replace("put", "delete")
        .into_bytes()
}

#[test]
fn what_is_lost_altogether_is_not_taken_for_sound() {
    let mut copy = sound();
    copy.files.remove("tile/entries/002");
    copy.files.remove("tile/0/002");
    let findings = check(&copy);
    assert!(findings.contains(&Finding::OtherRoot), "{findings:?}");

    let mut copy = sound();
    for number in 0..4 {
        let entries =
            vec![b"no entry".to_vec(); usize::from(BundleId::in_tree(number, SIZE).unwrap().width())];
        set_bundle(&mut copy, number, &entries);
    }
    let findings = check(&copy);
    assert_eq!(
        findings.len(),
        102,
        "bounded, but for what is said about the whole"
    );
    assert_eq!(findings[100..], [Finding::OtherRoot, Finding::OtherHistory(300)]);
}
