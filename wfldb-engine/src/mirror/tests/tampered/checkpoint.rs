//! Attacks on the checkpoint of the audit log's copy, and forks of the log.

use std::fs;

use wfldb_core::audit::{GrowingTree, NoteSigner, Resource, SignedCheckpoint, TileId, leaf_hash};
use wfldb_core::id::SecretKey;

use super::log::{Attack, CHECKPOINT, Change, LEAVES, Logged, audited, cut, each, remove, said};
use super::{copy_of, findings_of};
use crate::MirrorFault as F;

impl Logged {
    /// A checkpoint of leaves that never were, signed with the store's key.
    fn forged(&self, size: u64) -> SignedCheckpoint {
        forged(size, &self.case.log_signer())
    }
}

fn forged(size: u64, signer: &NoteSigner) -> SignedCheckpoint {
    let mut tree = GrowingTree::new();
    for n in 0..size {
        tree.push(leaf_hash(&n.to_be_bytes()));
    }
    SignedCheckpoint::sign(size, tree.root(), signer).unwrap()
}

fn sign(checkpoint: impl Fn(&Logged) -> SignedCheckpoint + 'static) -> Change {
    Box::new(move |place, logged| fs::write(place.join(CHECKPOINT), checkpoint(logged).text()).unwrap())
}

fn on_checkpoints() -> Vec<Attack> {
    let at: &[_] = &[(F::Log, CHECKPOINT)];
    vec![
        (
            "the checkpoint was removed",
            remove(CHECKPOINT),
            &[(F::Missing, CHECKPOINT)],
            "there is no checkpoint",
        ),
        (
            "the checkpoint was truncated",
            cut(CHECKPOINT, 5),
            at,
            "not a valid signed note",
        ),
        (
            "the checkpoint was put back",
            sign(|logged| logged.older.clone()),
            at,
            "tile/0/002.p/18 is missing",
        ),
        (
            "forked: as many leaves, by the store's key",
            sign(|logged| logged.forged(LEAVES)),
            at,
            "the entries do not come to the root of the checkpoint",
        ),
        (
            "forked: fewer leaves, by the store's key",
            sign(|logged| logged.forged(512)),
            at,
            "the entries do not come to the root of the checkpoint",
        ),
        (
            "forked: more leaves, by the store's key",
            sign(|logged| logged.forged(LEAVES + 1)),
            at,
            "tile/0/002.p/89 is missing",
        ),
        (
            "forked, by another key",
            sign(|logged| {
                let name = logged.key().name().clone();
                forged(LEAVES, &NoteSigner::new(name, SecretKey::from_seed([99; 32])))
            }),
            at,
            "not signed by the key",
        ),
        (
            "this very log, by another key",
            sign(|logged| {
                let signer = NoteSigner::new(logged.key().name().clone(), SecretKey::from_seed([99; 32]));
                let root = logged.case.publish().root();
                SignedCheckpoint::sign(LEAVES, root, &signer).unwrap()
            }),
            at,
            "not signed by the key",
        ),
    ]
}

#[test]
fn what_is_done_to_checkpoints_is_found_and_named() {
    each(on_checkpoints());
}

/// DEFECT: a fork that is called something milder; something milder that is called a fork.
#[test]
fn a_checkpoint_is_said_to_be_what_it_is() {
    let logged = Logged::new();
    let place = logged.case.place();
    let other = NoteSigner::new(logged.key().name().clone(), SecretKey::from_seed([99; 32]));
    let newest = fs::read_to_string(place.join(CHECKPOINT)).unwrap();
    for (text, word) in [
        (logged.forged(LEAVES).text().to_owned(), "a fork: "),
        (logged.forged(100).text().to_owned(), "a fork: "),
        (logged.forged(LEAVES + 1).text().to_owned(), "a fork, or"),
        (
            logged.older.text().to_owned(),
            "an older one, of 530 leaves; the store has signed 600",
        ),
        (forged(LEAVES, &other).text().to_owned(), "not signed with"),
        (
            format!("{newest}{}\n", newest.lines().last().unwrap()),
            "is not spelled",
        ),
        (newest.replace("600", "0600"), "not signed with"),
        (String::new(), "not a valid"),
        (newest.repeat(1000), "larger than a checkpoint"),
    ] {
        fs::write(place.join(CHECKPOINT), &text).unwrap();
        let found = findings_of(&logged.case, &place);
        assert!(
            matches!(&*found, [one] if one.kind == F::Log && one.detail.contains(word)),
            "{word}: {found:?}"
        );
    }
}

/// Whoever has the store's key can make another log whole. Who kept a checkpoint sees it, and so does who has the store.
#[test]
fn a_log_that_was_forked_whole_is_found_by_who_kept_something() {
    let (logged, forged) = (Logged::new(), Logged::new());
    let (dir, place) = copy_of(&logged.case);
    fs::remove_dir_all(place.join("log")).unwrap();
    fs::rename(forged.case.place().join("log"), place.join("log")).unwrap();
    // Another store's leaves, signed with this one's key and name.
    let log = place.join("log");
    let root = {
        let read = |path: &str| fs::read(log.join(path)).unwrap();
        let mut tree = GrowingTree::new();
        let ids = TileId::all_in_tree(LEAVES).filter(|tile| tile.level() == 0);
        for hash in ids.flat_map(|tile| {
            let tile = wfldb_core::audit::Tile::parse(tile, &read(&tile.to_string())).unwrap();
            tile.into_hashes()
        }) {
            tree.push(hash);
        }
        tree.root()
    };
    let checkpoint = SignedCheckpoint::sign(LEAVES, root, &logged.case.log_signer()).unwrap();
    fs::write(log.join("checkpoint"), checkpoint.text()).unwrap();

    assert_eq!(said(audited(&log, &logged.key(), &[])), "sound");
    assert_eq!(
        said(audited(&log, &logged.key(), std::slice::from_ref(&logged.older))),
        "the first 530 leaves are not those of the old checkpoint"
    );
    let found = findings_of(&logged.case, &place);
    let files = Resource::all_in_tree(LEAVES).count();
    assert_eq!(found.len(), files, "{found:?}");
    assert!(found.iter().all(|found| found.kind == F::Log));
    assert!(
        found
            .iter()
            .any(|found| found.path == CHECKPOINT && found.detail.starts_with("a fork: "))
    );
    drop(dir);
}

/// DEFECT: the store's own log, which somebody wrote anew with a key of theirs, taken for what the mirror should have.
#[test]
fn a_store_whose_own_checkpoint_is_of_another_key_is_named() {
    let logged = Logged::new();
    let signer = NoteSigner::new(logged.key().name().clone(), SecretKey::from_seed([99; 32]));
    let forged = SignedCheckpoint::sign(LEAVES, logged.case.publish().root(), &signer).unwrap();
    let row = crate::audit::StoredCheckpoint::encode(&forged, signer.verifier_key());
    let writes = vec![(
        crate::Space::Meta,
        bytes::Bytes::from_static(crate::row::key::CHECKPOINT),
        Some(row),
    )];
    crate::Storage::commit(&logged.case.storage, crate::Batch { writes }).unwrap();
    fs::write(logged.case.place().join(CHECKPOINT), forged.text()).unwrap();
    let found = findings_of(&logged.case, &logged.case.place());
    assert!(
        matches!(&*found, [one] if one.kind == F::Log && one.path == CHECKPOINT),
        "{found:?}"
    );
}
