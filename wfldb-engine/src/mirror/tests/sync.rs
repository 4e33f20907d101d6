//! Stores that worked apart and are brought together through a bare repository.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::id::PublicKey;
use wfldb_core::index::IndexDefinition;
use wfldb_core::mirror::Strategy;
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::Preconditions;

use super::support::{Case, Files, found};
use crate::mirror::root::own_key;
use crate::mirror::{Mirror, MirrorOptions, SyncError, SyncNamed, SyncOptions, SyncReport};
use crate::tests::{assert_sound, configure, delete, needs, object, of_bucket, put_with};

const LONG: Duration = Duration::from_mins(1);

/// A bare repository that stores are brought together through.
pub(super) struct Bare {
    _dir: tempfile::TempDir,
    pub(super) path: PathBuf,
}

impl Bare {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("remote.git");
        git(
            dir.path(),
            &[
                "init",
                "--quiet",
                "--bare",
                "--initial-branch=main",
                path.to_str().unwrap(),
            ],
        );
        Self { _dir: dir, path }
    }

    pub(super) fn said(&self, arguments: &[&str]) -> String {
        git(&self.path, arguments)
    }

    /// Whether the branch, or anything below it, has these bytes.
    fn has(&self, bytes: &[u8]) -> bool {
        let file = self.path.join("wanted");
        std::fs::write(&file, bytes).unwrap();
        let id = self.said(&["hash-object", "--no-filters", file.to_str().unwrap()]);
        self.said(&["rev-list", "--objects", "main"])
            .lines()
            .any(|line| line.starts_with(id.trim_end()))
    }
}

pub(super) fn git(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A store whose mirror is kept.
pub(super) struct Site {
    pub(super) case: Case,
    pub(super) mirror: Mirror,
}

impl Site {
    pub(super) fn new() -> Self {
        Self::of(Case::new())
    }

    pub(super) fn of(case: Case) -> Self {
        let options = MirrorOptions {
            dir: Some(case.place()),
            ..MirrorOptions::default()
        };
        let mirror = Mirror::start(&case.engine, options).unwrap();
        Self { case, mirror }
    }

    pub(super) fn key(&self) -> PublicKey {
        own_key(&self.case.engine.inner).unwrap()
    }

    pub(super) fn try_sync(&self, options: &SyncOptions) -> Result<SyncReport, SyncError> {
        let proof = Authorized::local("test", Op::Admin, Target::Store);
        self.mirror.syncs().sync(&proof, options)
    }

    pub(super) fn sync(&self, remote: &Bare, others: &[&Self], strategy: Strategy) -> SyncReport {
        self.try_sync(&asks(remote, others, strategy)).unwrap()
    }

    pub(super) fn put(&self, key: &str, document: &Value) {
        self.case.put_document("docs", key, document).unwrap();
    }

    /// Erases a key with all its versions.
    pub(super) fn erase(&self, bucket: &str, key: &str) {
        let engine = &self.case.engine;
        let versions = engine.versions(&object(bucket, key, Op::Get), None, 100).unwrap();
        for version in versions.items {
            engine
                .erase(
                    &object(bucket, key, Op::Erase),
                    version.version,
                    Preconditions::default(),
                )
                .wait()
                .unwrap();
        }
    }

    /// The files of buckets.
    pub(super) fn files(&self) -> Files {
        assert!(self.mirror.caught_up(LONG));
        let mut files = found(&self.case.place());
        files.retain(|path, _| {
            let of_store = path.starts_with(".git/") || path.starts_with("keys/") || path == "wfldb.json";
            !of_store
        });
        files
    }
}

pub(super) fn asks(remote: &Bare, others: &[&Site], strategy: Strategy) -> SyncOptions {
    SyncOptions {
        trusted: others.iter().map(|other| other.key()).collect(),
        ..SyncOptions::new(remote.path.to_str().unwrap(), strategy)
    }
}

pub(super) fn named(key: &str) -> SyncNamed {
    SyncNamed {
        bucket: BucketName::parse("docs").unwrap(),
        key: Some(ObjectKey::parse(key).unwrap()),
    }
}

/// The same bytes in every file of documents; of objects the same content, under the same names.
pub(super) fn assert_same(first: &Site, second: &Site) {
    let (first, second) = (first.files(), second.files());
    let names = |files: &Files| files.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&first), names(&second));
    for (path, bytes) in &first {
        let of_objects =
            path.starts_with("files/") && (path.contains("/.meta/") || path.contains("MANIFEST"));
        let follows = path.ends_with("MANIFEST.sha256");
        if !of_objects && !follows {
            let text = |files: &Files| String::from_utf8_lossy(&files[path]).into_owned();
            assert!(
                second[path] == *bytes,
                "{path}: {} {}",
                text(&first),
                text(&second)
            );
        }
    }
    for (path, bytes) in &first {
        if path.starts_with("docs/") {
            assert!(second[path] == *bytes, "{path}");
        }
    }
}

/// Two stores with the same documents and objects, and where they meet.
fn two() -> (Bare, Site, Site) {
    let (remote, first, second) = (Bare::new(), Site::new(), Site::new());
    configure(&first.case.engine, "docs", r#"{"kind":"documents"}"#);
    configure(&first.case.engine, "files", r#"{"mirror":true}"#);
    for n in 0..60 {
        first.put(&format!("k{n}"), &json!({"n": n, "a": 0, "b": 0}));
    }
    let headers = [("content-type", "text/plain"), ("x-wfldb-tags", "x=1")];
    for n in 0..6 {
        put_with(&first.case.engine, "files", &format!("o{n}"), b"first", &headers).unwrap();
    }
    delete(&first.case.engine, "docs", "k59").unwrap();
    let report = first.sync(&remote, &[], Strategy::Manual);
    assert!(
        report.settled && report.pushed && report.remote.is_none(),
        "{report:?}"
    );
    let report = second.sync(&remote, &[&first], Strategy::Manual);
    assert!(
        report.settled && report.pushed && report.merged.is_some(),
        "{report:?}"
    );
    assert_eq!((report.taken, report.buckets), (66, 2));
    assert_same(&first, &second);
    (remote, first, second)
}

/// Each changes twenty documents; five are the same ones.
fn work_apart(first: &Site, second: &Site, conflicting: impl Fn(usize, &str) -> Value) {
    for n in 0..20 {
        let side = |side: &str, n: usize| json!({"n": n, "a": side, "b": 0});
        if n < 5 {
            first.put(&format!("k{n}"), &conflicting(n, "a"));
            second.put(&format!("k{n}"), &conflicting(n, "b"));
        } else {
            for again in 0..=n % 3 {
                first.put(&format!("k{n}"), &side(&format!("first {again}"), n));
            }
            second.put(&format!("k{}", n + 20), &side("second", n + 20));
        }
    }
    let (one, other) = (&first.case.engine, &second.case.engine);
    first.put("only first", &json!({"new": 1}));
    second.put("only second", &json!({"new": 2}));
    delete(one, "docs", "k50").unwrap();
    delete(other, "docs", "k51").unwrap();
    second.put("k59", &json!({"back": true}));
    put_with(one, "files", "o1", b"of the first", &[("x-wfldb-meta-a", "b")]).unwrap();
    put_with(other, "files", "o2", b"of the second", &[]).unwrap();
    delete(other, "files", "o3").unwrap();
    let index = json!({"index": {"fields": ["n"]}, "name": "by_n", "type": "ordered"});
    let manage = of_bucket("docs", Op::Manage);
    let index = IndexDefinition::parse(&index).unwrap();
    one.define_index(&manage, index).wait().unwrap();
    other
        .put_schema(&manage, Some(br#"{"type":"object"}"#))
        .wait()
        .unwrap();
    configure(other, "docs", r#"{"kind":"documents","versions":{"keep":9}}"#);
}

/// What both have of the documents that both changed.
fn contested(site: &Site) -> BTreeMap<String, Vec<u8>> {
    let of = |path: &str| (0..5).any(|n| path == format!("docs/k{n}.json"));
    let mut files = site.files();
    files.retain(|path, _| of(path));
    files
}

/// Brings them together until nothing is left, and shows that both have the same, and that nothing is lost.
fn assert_end_equal(remote: &Bare, first: &Site, second: &Site, sides: &[BTreeMap<String, Vec<u8>>]) {
    let report = second.sync(remote, &[], Strategy::Manual);
    assert!(report.settled, "{report:?}");
    assert_same(first, second);
    for side in sides {
        for (path, bytes) in side {
            assert!(remote.has(bytes), "{path} of one side is lost");
        }
    }
    for site in [first, second] {
        assert_sound(&site.case.engine);
        let proof = Authorized::local("test", Op::Admin, Target::Store);
        assert!(site.mirror.caught_up(LONG));
        let report = site
            .case
            .engine
            .verify_mirror(&proof, Some(&site.case.place()))
            .unwrap();
        assert!(report.sound, "{:?}", report.findings);
    }
    // Nothing is left to do: no commit comes of asking again.
    for site in [first, second, first] {
        let report = site.sync(remote, &[], Strategy::Manual);
        assert!(
            report.settled && !report.pushed && report.merged.is_none(),
            "{report:?}"
        );
    }
    remote.said(&["fsck", "--strict", "--full"]);
}

/// DEFECT: stores that never come to the same, a change that is gone, or one that was taken against the strategy.
#[test]
fn stores_that_worked_apart_end_equal_by_last_write() {
    needs!("git");
    let (remote, first, second) = two();
    work_apart(&first, &second, |n, side| json!({"n": n, "a": side, "b": 0}));
    let sides = [contested(&first), contested(&second)];
    // Whoever comes first has nothing to settle.
    let report = second.sync(&remote, &[], Strategy::LastWrite);
    assert!(report.settled && report.pushed && report.taken == 0, "{report:?}");
    let report = first.sync(&remote, &[&second], Strategy::LastWrite);
    assert!(
        report.settled && report.pushed && report.merged.is_some(),
        "{report:?}"
    );
    assert_eq!(report.conflicts, []);
    assert_end_equal(&remote, &first, &second, &sides);
    for (path, bytes) in contested(&first) {
        let of = |bytes: &[u8]| -> Value { serde_json::from_slice(bytes).unwrap() };
        // RFC 3339 in one length, so the order of texts is that of times.
        let order = |document: &Value| {
            [&document["_ts"], &document["_hash"]].map(|one| one.as_str().unwrap().to_owned())
        };
        let winner = sides
            .iter()
            .map(|side| of(&side[&path]))
            .max_by_key(order)
            .unwrap();
        assert_eq!(of(&bytes)["a"], winner["a"], "{path}");
    }
}

#[test]
fn stores_that_worked_apart_end_equal_by_fields() {
    needs!("git");
    let (remote, first, second) = two();
    let conflicting = |n: usize, side: &str| match side {
        "a" => json!({"n": n, "a": 1, "b": 0}),
        _ => json!({"n": n, "a": 0, "b": 1}),
    };
    work_apart(&first, &second, conflicting);
    let sides = [contested(&first), contested(&second)];
    let report = first.sync(&remote, &[&second], Strategy::Fields);
    assert!(report.settled && report.taken == 0, "{report:?}");
    let report = second.sync(&remote, &[], Strategy::Fields);
    assert!(report.settled && report.written == 5, "{report:?}");
    let report = first.sync(&remote, &[], Strategy::Fields);
    assert!(report.settled && report.written == 0, "{report:?}");
    assert_end_equal(&remote, &first, &second, &sides);
    for bytes in contested(&second).values() {
        let document: Value = serde_json::from_slice(bytes).unwrap();
        assert_eq!(
            (&document["a"], &document["b"], &document["_v"]),
            (&json!(1), &json!(1), &json!(3))
        );
    }
}

/// DEFECT: a conflict that is settled unasked, pushed half, or that no decision ends.
#[test]
fn people_decide_what_both_changed() {
    needs!("git");
    for strategy in [Strategy::Manual, Strategy::Fields] {
        let (remote, first, second) = two();
        work_apart(&first, &second, |n, side| json!({"n": n, "a": side, "b": 0}));
        let sides = [contested(&first), contested(&second)];
        first.sync(&remote, &[&second], strategy);
        let before = remote.said(&["rev-parse", "main"]);
        let asked = SyncOptions {
            dry_run: true,
            ..asks(&remote, &[], strategy)
        };
        let would = second.try_sync(&asked).unwrap();
        let report = second.sync(&remote, &[], strategy);
        assert_eq!((would.taken, &would.conflicts), (report.taken, &report.conflicts));
        let keys: Vec<&str> = report
            .conflicts
            .iter()
            .map(|conflict| conflict.key.as_str())
            .collect();
        assert_eq!(keys, ["k0", "k1", "k2", "k3", "k4"]);
        assert!(
            report
                .conflicts
                .iter()
                .all(|one| one.conflicts.iter().all(|one| one.pointer == "/a"))
        );
        assert!(
            !report.settled && !report.pushed && report.merged.is_none(),
            "{report:?}"
        );
        assert_eq!(remote.said(&["rev-parse", "main"]), before);
        assert_eq!(contested(&second), sides[1]);
        // One by one: theirs, ours, and what somebody made of both.
        second.put("k2", &json!({"n": 2, "a": "both"}));
        let options = SyncOptions {
            theirs: vec![named("k0"), named("k3")],
            ours: vec![named("k1"), named("k2"), named("k4")],
            ..asks(&remote, &[], strategy)
        };
        let report = second.try_sync(&options).unwrap();
        assert!(report.settled && report.pushed, "{report:?}");
        let report = first.sync(&remote, &[], strategy);
        assert!(report.settled && report.written == 0, "{report:?}");
        assert_end_equal(&remote, &first, &second, &sides);
        let members = contested(&first).into_values().map(|bytes| {
            let document: Value = serde_json::from_slice(&bytes).unwrap();
            document["a"].as_str().unwrap().to_owned()
        });
        assert_eq!(members.collect::<Vec<_>>(), ["a", "b", "both", "a", "b"]);
    }
}

/// DEFECT: as above, among many.
#[test]
fn a_thousand_edits_each_with_fifty_conflicts_end_equal() {
    needs!("git");
    for strategy in Strategy::ALL {
        let (remote, first, second) = (Bare::new(), Site::new(), Site::new());
        configure(&first.case.engine, "docs", r#"{"kind":"documents"}"#);
        for n in 0..1950 {
            first.put(&format!("k{n}"), &json!({"n": n, "a": 0, "b": 0}));
        }
        first.sync(&remote, &[], strategy);
        second.sync(&remote, &[&first], strategy);
        first.sync(&remote, &[&second], strategy);
        assert_same(&first, &second);
        for n in 0..1000 {
            let own = if strategy == Strategy::Fields { "b" } else { "a" };
            first.put(&format!("k{n}"), &json!({"n": n, "a": 1, "b": 0}));
            let mut theirs = json!({"n": n + 950, "a": 0, "b": 0});
            theirs[own] = json!(2);
            second.put(&format!("k{}", n + 950), &theirs);
        }
        let contested = |site: &Site| {
            let mut files = site.files();
            files.retain(|path, _| (950..1000).any(|n| *path == format!("docs/k{n}.json")));
            assert_eq!(files.len(), 50);
            files
        };
        let sides = [contested(&first), contested(&second)];
        assert!(first.sync(&remote, &[], strategy).settled);
        let mut report = second.sync(&remote, &[], strategy);
        if strategy == Strategy::Manual {
            assert_eq!(
                (report.conflicts.len(), report.taken, report.pushed),
                (50, 950, false)
            );
            let decided = report.conflicts.iter().map(|conflict| named(&conflict.key));
            let options = SyncOptions {
                ours: decided.collect(),
                ..asks(&remote, &[], strategy)
            };
            report = second.try_sync(&options).unwrap();
        }
        assert!(report.settled && report.pushed, "{report:?}");
        assert!(first.sync(&remote, &[], strategy).settled);
        assert_end_equal(&remote, &first, &second, &sides);
        let end = contested(&first);
        let members = |bytes: &Vec<u8>| {
            let document: Value = serde_json::from_slice(bytes).unwrap();
            (document["a"].clone(), document["b"].clone())
        };
        for (path, bytes) in &end {
            let wanted = match strategy {
                Strategy::Manual => members(&sides[1][path]),
                Strategy::Fields => (json!(1), json!(2)),
                Strategy::LastWrite => continue,
            };
            assert_eq!(members(bytes), wanted, "{strategy:?} {path}");
        }
    }
}
