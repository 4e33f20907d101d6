//! The audit log: every change has its leaf, tiles and checkpoints follow, and whatever is removed, changed or put into
//! another order is noticed.

use wfldb_core::audit::{
    BundleId, Entry, GrowingTree, Outcome, SignedCheckpoint, TileId, leaf_hash, parse_bundle,
    verify_consistency, verify_inclusion,
};
use wfldb_core::id::{LeafIndex, SecretKey};

use super::fixture::unpack;
use super::*;
use crate::audit::StoredCheckpoint;
use crate::row::{ChangeRow, EvidenceRow, key};
use crate::storage::{FjallStorage, Storage};
use crate::{Batch, FindingKind, MemoryStorage, Space, Unready};

/// One write of a batch.
type Write = (Space, Bytes, Option<Bytes>);
/// What is done to a stored log.
type Damage = fn(&dyn Storage) -> Vec<Write>;

fn audit() -> Authorized {
    Authorized::local("test", Op::Audit, Target::Store)
}

fn sign(engine: &Engine, seed: u8) {
    engine.sign_audit_log(SecretKey::from_seed([seed; 32]));
}

/// The checkpoint that covers every leaf.
fn covered(engine: &Engine) -> Arc<SignedCheckpoint> {
    let leaves = engine.inner.committer().mark().leaves;
    until(|| {
        engine
            .audit_checkpoint(&audit())
            .is_ok_and(|newest| newest.size() == leaves)
    });
    engine.audit_checkpoint(&audit()).unwrap()
}

fn rows(storage: &dyn Storage, prefix: &[u8]) -> Vec<(Bytes, Bytes)> {
    let end = crate::storage::prefix_end(prefix);
    let snapshot = storage.snapshot();
    snapshot
        .range(Space::Log, prefix, &end, false)
        .map(Result::unwrap)
        .collect()
}

fn write(storage: &dyn Storage, writes: Vec<Write>) {
    storage.commit(Batch { writes }).unwrap();
}

fn findings(engine: &Engine) -> Vec<FindingKind> {
    let proof = Authorized::local("test", Op::Admin, Target::Store);
    let report = engine.verify(&proof).unwrap();
    report.findings.into_iter().map(|finding| finding.kind).collect()
}

fn busy(storage: &MemoryStorage, dir: &Path, puts: u32) -> Engine {
    let engine = Engine::with_storage(Arc::new(storage.clone()), dir, options()).unwrap();
    make_bucket(&engine, "aaa");
    for n in 0..puts {
        put(&engine, "aaa", &format!("k{}", n % 50), &n.to_be_bytes()).unwrap();
    }
    engine
}

/// Each change has a leaf, in the order of the log, of the entry that its row names and its evidence opens. Defects it
/// catches: a leaf index that does not move; an entry that is made of another change.
#[test]
fn every_change_has_its_leaf_in_the_order_of_the_log() {
    let (dir, storage) = (tempfile::tempdir().unwrap(), MemoryStorage::new());
    let engine = busy(&storage, dir.path(), 5);
    configure(&engine, "aaa", r#"{"versions":{"keep":1}}"#);
    put(&engine, "aaa", "k0", b"prunes").unwrap();
    delete(&engine, "aaa", "k1").unwrap();
    let absent = Preconditions {
        if_none_match_any: true,
        ..Preconditions::default()
    };
    // What is refused has none.
    assert!(put_if(&engine, "aaa", "k2", b"x", absent).is_err());
    let proof = of_bucket("aaa", Op::Manage);
    engine.delete_bucket(&proof, true).wait().unwrap();
    let leaves = rows(&storage, b"a");
    let changes = rows(&storage, b"c");
    assert_eq!(leaves.len(), changes.len());
    let mut words = Vec::new();
    for (n, ((_, entry), (_, change))) in leaves.iter().zip(&changes).enumerate() {
        let (entry_bytes, change) = (entry, ChangeRow::decode(change).unwrap());
        let entry = Entry::parse(entry).unwrap();
        assert_eq!(entry.leaf.get(), n as u64);
        assert_eq!(change.leaf_index(), n as u64);
        assert_eq!(change.leaf.unwrap().entry, *blake3::hash(entry_bytes).as_bytes());
        assert_eq!((entry.at, entry.outcome), (change.at, Outcome::Ok));
        words.push(entry.op.to_string());
        if let Some(row) = storage
            .snapshot()
            .get(Space::Log, &key::evidence(change.position))
            .unwrap()
        {
            let sealed = crate::audit::Sealed::of(&EvidenceRow::decode(&row).unwrap());
            assert_eq!(
                crate::audit::entry_of(&change, n as u64, Some(&sealed)),
                *entry_bytes
            );
        }
    }
    let expected = "bucket-create put put put put put bucket-configure put delete bucket-delete";
    assert!(words.join(" ").starts_with(&expected[..30]), "{words:?}");
    assert_eq!(words.last().map(String::as_str), Some("bucket-delete"));
}

/// Tiles, entries, proofs and checkpoints agree, and the tree only grows. Defects it catches: a tile that is stored before
/// it is full; a checkpoint of a size that its root is not of.
#[test]
fn tiles_entries_and_proofs_agree_with_the_checkpoint_and_the_tree_only_grows() {
    let (dir, storage) = (tempfile::tempdir().unwrap(), MemoryStorage::new());
    let engine = busy(&storage, dir.path(), 300);
    sign(&engine, 1);
    let first = covered(&engine);
    for n in 0..250_u32 {
        put(&engine, "aaa", "more", &n.to_be_bytes()).unwrap();
    }
    let second = covered(&engine);
    assert_eq!((first.size(), second.size()), (301, 551));
    let proof = engine.audit_consistency(&audit(), 301, 551).unwrap();
    verify_consistency(301, first.root(), 551, second.root(), &proof).unwrap();
    let mut tree = GrowingTree::new();
    for bundle in BundleId::all_in_tree(551) {
        let bytes = engine.audit_entries(&audit(), bundle).unwrap();
        for entry in parse_bundle(bundle, &bytes).unwrap() {
            tree.push(leaf_hash(entry));
        }
    }
    assert_eq!((tree.size(), tree.root()), (551, second.root()));
    for tile in TileId::all_in_tree(551) {
        assert_eq!(
            engine.audit_tile(&audit(), tile).unwrap().len(),
            32 * usize::from(tile.width())
        );
    }
    assert_eq!(rows(&storage, b"t").len(), 2);
    for leaf in [0, 255, 256, 550] {
        let (size, proof) = engine
            .audit_inclusion(&audit(), LeafIndex::new(leaf), None)
            .unwrap();
        let (_, entry) = rows(&storage, b"a").swap_remove(usize::try_from(leaf).unwrap());
        verify_inclusion(
            LeafIndex::new(leaf),
            size,
            leaf_hash(&entry),
            &proof,
            second.root(),
        )
        .unwrap();
    }
    let outside = engine.audit_tile(&audit(), TileId::full(0, 2));
    assert!(matches!(outside, Err(EngineError::OutsideTree)));
    let reads = Authorized::local("test", Op::Get, Target::Store);
    assert!(matches!(
        engine.audit_checkpoint(&reads),
        Err(EngineError::Forbidden)
    ));
    assert_sound(&engine);
}

/// Removed, changed, reordered leaves; removed, changed, added tiles; another checkpoint: each has a finding.
#[test]
fn whatever_is_done_to_leaves_tiles_and_checkpoint_has_a_finding() {
    let (dir, storage) = (tempfile::tempdir().unwrap(), MemoryStorage::new());
    let engine = busy(&storage, dir.path(), 300);
    sign(&engine, 1);
    covered(&engine);
    assert_sound(&engine);
    // So that no finding rests on evidence.
    engine.close().unwrap();
    let engine = Engine::with_storage(Arc::new(storage.clone()), dir.path(), options()).unwrap();
    let leaf = |n: u64| {
        storage
            .snapshot()
            .get(Space::Log, &key::leaf(n))
            .unwrap()
            .unwrap()
    };
    let log = |row: Bytes, value: Option<Bytes>| vec![(Space::Log, row, value)];
    let other = |bytes: &Bytes| {
        let mut bytes = bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        Some(Bytes::from(bytes))
    };
    let tile = storage
        .snapshot()
        .get(Space::Log, &key::tile(0, 0))
        .unwrap()
        .unwrap();
    let checkpoint = storage
        .snapshot()
        .get(Space::Meta, key::CHECKPOINT)
        .unwrap()
        .unwrap();
    let smaller = {
        let signer = wfldb_core::audit::NoteSigner::new(
            StoredCheckpoint::decode(&checkpoint).unwrap().key.name().clone(),
            SecretKey::from_seed([1; 32]),
        );
        let root = leaf_hash(b"another");
        let forged = SignedCheckpoint::sign(100, root, &signer).unwrap();
        StoredCheckpoint::encode(&forged, signer.verifier_key())
    };
    let meta = |value: Option<Bytes>| vec![(Space::Meta, Bytes::from_static(key::CHECKPOINT), value)];
    let damages: Vec<(&str, Vec<Write>)> = vec![
        ("the first leaf is gone", log(key::leaf(0), None)),
        ("a leaf is gone", log(key::leaf(100), None)),
        ("the last leaf is gone", log(key::leaf(300), None)),
        ("a leaf is changed", log(key::leaf(7), other(&leaf(7)))),
        (
            "two leaves changed places",
            [log(key::leaf(3), Some(leaf(4))), log(key::leaf(4), Some(leaf(3)))].concat(),
        ),
        ("a leaf is added", log(key::leaf(301), Some(leaf(300)))),
        ("a tile is changed", log(key::tile(0, 0), other(&tile))),
        ("a tile is gone", log(key::tile(0, 0), None)),
        ("a tile is added", log(key::tile(1, 0), Some(tile.clone()))),
        ("the checkpoint is changed", meta(other(&checkpoint))),
        ("the checkpoint is of another tree", meta(Some(smaller))),
    ];
    for (what, writes) in damages {
        let undo = writes
            .iter()
            .map(|(space, row, _)| (*space, row.clone(), storage.snapshot().get(*space, row).unwrap()))
            .collect();
        write(&storage, writes);
        assert!(findings(&engine).contains(&FindingKind::Audit), "{what}");
        write(&storage, undo);
    }
    assert_sound(&engine);
}

/// At its next start such a store takes no writes. Defects it catches: an open that does not look at leaves; one that looks
/// at their number only.
#[test]
fn a_store_whose_leaves_are_damaged_opens_read_only() {
    let kept = tempfile::tempdir().unwrap();
    let engine = open(kept.path());
    make_bucket(&engine, "aaa");
    for n in 0..20_u8 {
        put(&engine, "aaa", "k", &[n]).unwrap();
    }
    engine.close().unwrap();
    let damages: [(&str, Damage); 5] = [
        ("removed", |_| vec![(Space::Log, key::leaf(9), None)]),
        ("the last removed", |_| vec![(Space::Log, key::leaf(20), None)]),
        ("changed", |storage| {
            let row = storage
                .snapshot()
                .get(Space::Log, &key::leaf(9))
                .unwrap()
                .unwrap();
            let changed = String::from_utf8(row.to_vec())
                .unwrap()
                .replace("\"ok\"", "\"no\"");
            vec![(Space::Log, key::leaf(9), Some(Bytes::from(changed)))]
        }),
        ("reordered", |storage| {
            let row = |n| storage.snapshot().get(Space::Log, &key::leaf(n)).unwrap();
            vec![
                (Space::Log, key::leaf(3), row(4)),
                (Space::Log, key::leaf(4), row(3)),
            ]
        }),
        ("uncounted", |storage| {
            let mark = storage
                .snapshot()
                .get(Space::Meta, key::COMMIT_MARK)
                .unwrap()
                .unwrap();
            vec![(
                Space::Meta,
                Bytes::from_static(key::COMMIT_MARK),
                Some(mark.slice(..56)),
            )]
        }),
    ];
    for (what, damage) in damages {
        let dir = tempfile::tempdir().unwrap();
        laws::copy(kept.path(), dir.path());
        let storage = FjallStorage::open(&dir.path().join("db"), 1 << 20).unwrap();
        let writes = damage(&storage);
        write(&storage, writes);
        drop(storage);
        let engine = open(dir.path());
        assert!(
            matches!(engine.health().writable, Err(Unready::ReadOnly(_))),
            "{what}"
        );
        assert_eq!(read(&engine, "aaa", "k", Which::Newest).unwrap(), [19], "{what}");
    }
}

/// INVARIANT: the store never signs a tree that contradicts the one it signed. Defects it catches: a worker that believes
/// its tiles; one that signs a smaller tree.
#[test]
fn a_log_that_contradicts_its_checkpoint_is_not_signed() {
    let (dir, storage) = (tempfile::tempdir().unwrap(), MemoryStorage::new());
    let engine = busy(&storage, dir.path(), 20);
    sign(&engine, 1);
    covered(&engine);
    engine.close().unwrap();
    let again = || Engine::with_storage(Arc::new(storage.reopened()), dir.path(), options()).unwrap();
    // As it is, it goes on, and with another key too, as after a restore.
    for seed in [1, 2] {
        let engine = again();
        sign(&engine, seed);
        assert_eq!(covered(&engine).size(), 21);
        assert_eq!(engine.audit_damage(), None);
        engine.close().unwrap();
    }
    let row = storage.snapshot().get(Space::Log, &key::leaf(4)).unwrap();
    write(&storage, vec![(Space::Log, key::leaf(5), row)]);
    let engine = again();
    sign(&engine, 1);
    until(|| engine.audit_damage().is_some());
    put(&engine, "aaa", "k", b"goes on").unwrap();
    assert!(matches!(
        engine.audit_checkpoint(&audit()),
        Err(EngineError::NoCheckpoint)
    ));
    assert!(engine.checkpoints_to_come().is_none());
}

/// Leaves of changes from before, from their evidence; of those whose evidence was erased, without. Cut off, the upgrade
/// goes on where it was. A defect it catches: a leaf that is given twice.
#[test]
fn an_upgrade_that_was_cut_off_comes_to_the_same_leaves() {
    let upgraded = |cut_off_after: u64| {
        let dir = tempfile::tempdir().unwrap();
        unpack(include_str!("../../fixtures/format-2.json"), dir.path());
        if cut_off_after > 0 {
            let whole = tempfile::tempdir().unwrap();
            unpack(include_str!("../../fixtures/format-2.json"), whole.path());
            open(whole.path()).close().unwrap();
            let from = FjallStorage::open(&whole.path().join("db"), 1 << 20).unwrap();
            let to = FjallStorage::open(&dir.path().join("db"), 1 << 20).unwrap();
            let done = rows(&from, b"a")
                .into_iter()
                .take(usize::try_from(cut_off_after).unwrap());
            write(
                &to,
                done.map(|(row, entry)| (Space::Log, row, Some(entry))).collect(),
            );
        }
        let engine = open(dir.path());
        assert_eq!(engine.health().writable, Ok(()));
        assert_sound(&engine);
        engine.close().unwrap();
        let storage = FjallStorage::open(&dir.path().join("db"), 1 << 20).unwrap();
        (rows(&storage, b"a"), rows(&storage, b"c").len())
    };
    let (whole, changes) = upgraded(0);
    assert_eq!(whole.len(), changes);
    assert_eq!(upgraded(3).0, whole);
    assert_eq!(upgraded(whole.len() as u64).0, whole);
}

/// A restored store has another key; its log goes on from the checkpoint that was in the backup. A defect it catches: a
/// backup without leaves or tiles.
#[test]
fn a_restored_store_goes_on_with_the_log_under_another_key() {
    let (dir, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = open(dir.path());
    make_bucket(&engine, "aaa");
    for n in 0..260_u32 {
        put(&engine, "aaa", &format!("k{}", n % 20), &n.to_be_bytes()).unwrap();
    }
    sign(&engine, 1);
    let old = covered(&engine);
    let proof = Authorized::local("test", Op::Admin, Target::Store);
    let report = engine.backup(&proof, place.path()).unwrap();
    assert!(
        crate::verify_backup(&report.path, &crate::Prober::default())
            .unwrap()
            .sound
    );
    let (key, now) = (engine.audit_key(), engine.inner.now());
    let restored = place.path().join("restored");
    crate::restore(&report.path, &restored, &crate::RestoreOptions::new(now)).unwrap();
    let engine = open(&restored);
    sign(&engine, 2);
    assert_eq!(covered(&engine).root(), old.root());
    put(&engine, "aaa", "k", b"after").unwrap();
    let new = covered(&engine);
    assert_eq!((new.size(), new.log()), (old.size() + 1, old.log()));
    assert_ne!(engine.audit_key(), key);
    let proof = engine
        .audit_consistency(&audit(), old.size(), new.size())
        .unwrap();
    verify_consistency(old.size(), old.root(), new.size(), new.root(), &proof).unwrap();
    assert_sound(&engine);
}
