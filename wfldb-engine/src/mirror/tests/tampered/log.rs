//! Attacks on the copy of the audit log, each with what `mirror verify` says of it, and what `audit verify` says, which
//! has the copy and the key alone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use wfldb_core::audit::{BundleId, Finding, LogCheck, Resource, SignedCheckpoint, VerifierKey};

use super::{Case, copy_of, findings_of};
use crate::MirrorFault as F;
use crate::tests::{configure, put};

/// Leaves of the log: two full tiles, and a partial one at each of two levels.
pub(super) const LEAVES: u64 = 600;
/// Leaves of a log before it.
const OLDER: u64 = 530;

pub(super) const CHECKPOINT: &str = "log/checkpoint";
const FIRST: &str = "log/tile/0/000";
const SECOND: &str = "log/tile/0/001";
const LAST: &str = "log/tile/0/002.p/88";
const ABOVE: &str = "log/tile/1/000.p/2";
const ENTRIES: &str = "log/tile/entries/000";
const LAST_ENTRIES: &str = "log/tile/entries/002.p/88";

/// A mirror of a store with a log of [`LEAVES`] leaves, and the checkpoint that it had before.
pub(super) struct Logged {
    pub(super) case: Case,
    pub(super) older: SignedCheckpoint,
}

impl Logged {
    pub(super) fn new() -> Self {
        let case = Case::new();
        configure(&case.engine, "files", "{}");
        let fill = |to: u64| {
            for n in case.engine.inner.committer().mark().leaves..to {
                put(&case.engine, "files", &format!("k{}", n % 9), &n.to_be_bytes()).unwrap();
            }
            case.publish()
        };
        let older = fill(OLDER);
        assert_eq!(fill(LEAVES).size(), LEAVES);
        case.mirrored();
        Self { case, older }
    }

    pub(super) fn key(&self) -> VerifierKey {
        self.case.log_signer().verifier_key().clone()
    }
}

/// What `wfldb-admin audit verify` does with a directory.
pub(super) fn audited(
    log: &Path,
    key: &VerifierKey,
    old: &[SignedCheckpoint],
) -> Result<Vec<Finding>, String> {
    let read = |resource: Resource| fs::read(log.join(resource.to_string())).ok();
    let checkpoint = read(Resource::Checkpoint).ok_or("there is no checkpoint")?;
    let checkpoint = SignedCheckpoint::open(&checkpoint, key).map_err(|error| error.to_string())?;
    let mut check = LogCheck::new(&checkpoint, old);
    for bundle in BundleId::all_in_tree(checkpoint.size()) {
        check.bundle(bundle, read(Resource::Entries(bundle)).as_deref(), &read);
    }
    Ok(check.finish(&read))
}

/// What it says, the first of it.
pub(super) fn said(audited: Result<Vec<Finding>, String>) -> String {
    match audited {
        Ok(findings) => findings
            .first()
            .map_or_else(|| "sound".to_owned(), ToString::to_string),
        Err(error) => error,
    }
}

pub(super) type Change = Box<dyn Fn(&Path, &Logged)>;
/// What is done, what `mirror verify` names, and what `audit verify` says first.
pub(super) type Attack = (&'static str, Change, &'static [(F, &'static str)], &'static str);

pub(super) fn cut(path: &'static str, by: usize) -> Change {
    Box::new(move |place, _| {
        let bytes = fs::read(place.join(path)).unwrap();
        fs::write(place.join(path), &bytes[..bytes.len() - by]).unwrap();
    })
}

fn flip(path: &'static str, at: usize) -> Change {
    Box::new(move |place, _| {
        let mut bytes = fs::read(place.join(path)).unwrap();
        bytes[at] ^= 1;
        fs::write(place.join(path), bytes).unwrap();
    })
}

fn swap(one: &'static str, other: &'static str) -> Change {
    Box::new(move |place, _| {
        let (first, second) = (place.join(one), place.join(other));
        let bytes = fs::read(&first).unwrap();
        fs::copy(&second, &first).unwrap();
        fs::write(second, bytes).unwrap();
    })
}

pub(super) fn remove(path: &'static str) -> Change {
    Box::new(move |place, _| fs::remove_file(place.join(path)).unwrap())
}

fn add(path: &'static str, from: &'static str) -> Change {
    Box::new(move |place, _| {
        let path = place.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(place.join(from), path).unwrap();
    })
}

fn on_tiles() -> Vec<Attack> {
    vec![
        (
            "a tile was truncated",
            cut(FIRST, 32),
            &[(F::Log, FIRST)],
            "tile/0/000 cannot be read",
        ),
        (
            "the last tile was truncated",
            cut(LAST, 1),
            &[(F::Log, LAST)],
            "tile/0/002.p/88 cannot be read",
        ),
        (
            "two tiles changed places",
            swap(FIRST, SECOND),
            &[(F::Log, FIRST), (F::Log, SECOND)],
            "leaf 0 does not have the hash that its tile has",
        ),
        (
            "two tiles and their entries changed places",
            Box::new(|place, logged| {
                swap(FIRST, SECOND)(place, logged);
                swap(ENTRIES, "log/tile/entries/001")(place, logged);
            }),
            &[
                (F::Log, FIRST),
                (F::Log, SECOND),
                (F::Log, ENTRIES),
                (F::Log, "log/tile/entries/001"),
            ],
            "leaf 0 says that it is leaf 256",
        ),
        (
            "a hash of a tile was changed",
            flip(SECOND, 7 * 32),
            &[(F::Log, SECOND)],
            "leaf 263 does not have the hash that its tile has",
        ),
        (
            "a tile above was changed",
            flip(ABOVE, 40),
            &[(F::Log, ABOVE)],
            "tile/1/000.p/2 differs from what is below it, from hash 1 on",
        ),
        (
            "an entry was changed",
            flip(LAST_ENTRIES, 20),
            &[(F::Log, LAST_ENTRIES)],
            "leaf 512 does not have the hash that its tile has",
        ),
        (
            "entries were truncated",
            cut(LAST_ENTRIES, 1),
            &[(F::Log, LAST_ENTRIES)],
            "tile/entries/002.p/88 cannot be read",
        ),
    ]
}

fn on_what_is_there() -> Vec<Attack> {
    vec![
        (
            "a tile was removed",
            remove(FIRST),
            &[(F::Missing, FIRST)],
            "tile/0/000 is missing",
        ),
        (
            "entries were removed",
            remove(ENTRIES),
            &[(F::Missing, ENTRIES)],
            "tile/entries/000 is missing",
        ),
        // The checkpoint does not speak of it, so whoever has the checkpoint alone does not look at it.
        (
            "a tile was added",
            add("log/tile/0/777", FIRST),
            &[(F::Added, "log/tile/0/777")],
            "sound",
        ),
        (
            "a partial tile was added",
            add("log/tile/0/002.p/7", LAST),
            &[(F::Added, "log/tile/0/002.p/7")],
            "sound",
        ),
        (
            "a link to the very tile",
            Box::new(|place, _| {
                fs::rename(place.join(FIRST), place.join("../kept")).unwrap();
                symlink(place.join("../kept"), place.join(FIRST)).unwrap();
            }),
            &[(F::WrongType, FIRST)],
            "sound",
        ),
        (
            "a link in the place of the log",
            Box::new(|place, _| {
                fs::rename(place.join("log"), place.join("../kept")).unwrap();
                symlink(place.join("../kept"), place.join("log")).unwrap();
            }),
            &[(F::WrongType, "log")],
            "sound",
        ),
        (
            "the log was removed",
            Box::new(|place, _| fs::remove_dir_all(place.join("log")).unwrap()),
            &[(F::Missing, "log")],
            "there is no checkpoint",
        ),
    ]
}

pub(super) fn each(attacks: Vec<Attack>) {
    let logged = Logged::new();
    assert!(super::verified(&logged.case).sound);
    let log = logged.case.place().join("log");
    let old = [logged.older.clone()];
    assert_eq!(said(audited(&log, &logged.key(), &old)), "sound");
    for (what, attack, expected, offline) in attacks {
        let (_dir, place) = copy_of(&logged.case);
        attack(&place, &logged);
        let found = findings_of(&logged.case, &place);
        let mut expected = expected.to_vec();
        expected.sort_unstable_by_key(|(_, path)| *path);
        let named: Vec<_> = found
            .iter()
            .map(|found| (found.kind, found.path.as_str()))
            .collect();
        assert_eq!(named, expected, "{what}: {found:?}");
        assert_eq!(
            said(audited(&place.join("log"), &logged.key(), &[])),
            offline,
            "{what}"
        );
    }
}

#[test]
fn what_is_done_to_tiles_is_found_and_named() {
    each(on_tiles());
    each(on_what_is_there());
}
