//! Attacks on the stored bytes of a mirror, each with what `mirror verify` says of it. Each case is the defect that it is
//! named for, not found, or found in another place.

mod checkpoint;
mod documents;
mod files;
mod history;
mod log;
mod rows;
mod store;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use wfldb_core::auth::{Authorized, Op, Target};

use super::support::Case;
use crate::mirror::Mirror;
use crate::tests::{configure, delete, put};
use crate::{MirrorFault, MirrorFinding, MirrorOptions, MirrorReport};

const A: &str = "docs/a.json";
const B: &str = "docs/b.json";

pub(super) fn verified(case: &Case) -> MirrorReport {
    let proof = Authorized::local("test", Op::Admin, Target::Store);
    case.engine.verify_mirror(&proof, Some(&case.place())).unwrap()
}

fn mirrored_once(case: &Case) {
    let options = MirrorOptions {
        dir: Some(case.place()),
        ..MirrorOptions::default()
    };
    let mirror = Mirror::start(&case.engine, options).unwrap();
    assert!(mirror.caught_up(Duration::from_mins(1)));
}

fn git(place: &Path, arguments: &[&str]) -> String {
    let said = Command::new("git")
        .arg("-C")
        .arg(place)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        said.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&said.stderr)
    );
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

fn has_git() -> bool {
    let has = Command::new("git").arg("--version").output().is_ok();
    if !has {
        println!("SKIPPED in part: there is no git on this machine");
    }
    has
}

/// A mirror with documents in two versions, a deleted one, and an object; and the first version of `a`.
fn mirror() -> (Case, Vec<u8>) {
    let case = Case::new();
    case.sign();
    configure(&case.engine, "docs", r#"{"kind":"documents"}"#);
    configure(&case.engine, "files", r#"{"mirror":true}"#);
    for key in ["a", "b", "gone"] {
        case.put_document("docs", key, &json!({"name": key, "n": 1}))
            .unwrap();
    }
    put(&case.engine, "files", "x", b"the bytes of an object").unwrap();
    delete(&case.engine, "docs", "gone").unwrap();
    mirrored_once(&case);
    let old = fs::read(case.place().join(A)).unwrap();
    case.put_document("docs", "a", &json!({"name": "a", "n": 2}))
        .unwrap();
    mirrored_once(&case);
    (case, old)
}

/// What is done to a mirror, given the bytes of an older version of [`A`].
type Change = Box<dyn Fn(&Path, &[u8])>;
type Attack = (&'static str, Change, &'static [(MirrorFault, &'static str)]);

fn of_bytes(path: &'static str, change: fn(Vec<u8>) -> Vec<u8>) -> Change {
    Box::new(move |place, _| {
        fs::write(place.join(path), change(fs::read(place.join(path)).unwrap())).unwrap();
    })
}

/// A copy of a mirror, which goes with what is answered first.
fn copy_of(case: &Case) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("mirror");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(case.place())
        .arg(&place)
        .status();
    assert!(copied.unwrap().success());
    (dir, place)
}

/// What `mirror verify` finds in a place, by path.
fn findings_of(case: &Case, place: &Path) -> Vec<MirrorFinding> {
    let proof = Authorized::local("test", Op::Admin, Target::Store);
    sorted(case.engine.verify_mirror(&proof, Some(place)).unwrap())
}

fn sorted(report: MirrorReport) -> Vec<MirrorFinding> {
    assert_eq!(report.sound, report.findings.is_empty());
    let mut findings = report.findings;
    findings.sort_by(|one, other| one.path.cmp(&other.path));
    findings
}

/// Each attack on a copy of one mirror.
fn each(attacks: Vec<Attack>, everywhere: bool) {
    let (case, old) = mirror();
    let before = verified(&case);
    assert!(
        before.sound && before.findings.is_empty(),
        "before: {:?}",
        before.findings
    );
    for (what, attack, expected) in attacks {
        let (_dir, place) = copy_of(&case);
        attack(&place, &old);
        // A file that is not as it should be is not as the newest commit has it either.
        let found: Vec<_> = findings_of(&case, &place)
            .into_iter()
            .filter(|found| everywhere || found.kind != MirrorFault::History)
            .collect();
        let mut named: Vec<_> = found
            .iter()
            .map(|found| (found.kind, found.path.as_str()))
            .collect();
        named.dedup();
        let mut expected = expected.to_vec();
        expected.sort_unstable_by_key(|(_, path)| *path);
        assert_eq!(named, expected, "{what}: {found:?}");
    }
}

/// Catches: a byte that no rule looks at.
#[test]
fn every_byte_of_every_file_counts() {
    let case = Case::new();
    configure(&case.engine, "docs", r#"{"kind":"documents"}"#);
    case.put_document("docs", "a", &json!({"name": "a"})).unwrap();
    case.publish();
    for path in case.mirrored().into_keys() {
        let path = case.place().join(path);
        let bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(&path, changed).unwrap();
            assert!(!verified(&case).sound, "{}: byte {at}", path.display());
        }
        fs::write(&path, bytes).unwrap();
    }
    assert!(verified(&case).sound);
}

#[test]
fn a_shard_that_was_removed_is_found() {
    let mut case = Case::new();
    case.shard_above = 10;
    configure(&case.engine, "docs", r#"{"kind":"documents"}"#);
    for n in 0..40 {
        case.put_document("docs", &format!("k{n}"), &json!({"n": n}))
            .unwrap();
    }
    case.mirrored();
    let report = verified(&case);
    assert!(report.sound, "{:?}", report.findings);
    let shards = fs::read_dir(case.place().join("docs")).unwrap();
    let shard = shards
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_dir())
        .unwrap();
    let count = fs::read_dir(&shard).unwrap().count();
    fs::remove_dir_all(&shard).unwrap();
    let report = verified(&case);
    assert_eq!(report.findings.len(), count);
    assert!(
        report
            .findings
            .iter()
            .all(|found| found.kind == MirrorFault::Missing)
    );
}
