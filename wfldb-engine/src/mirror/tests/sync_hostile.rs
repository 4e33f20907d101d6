//! Remotes that others write in, pushes that come second, and what is gone on one side.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use wfldb_core::auth::Op;
use wfldb_core::id::{PublicKey, SecretKey};
use wfldb_core::mirror::{GitId, MirrorCommit, Strategy};
use wfldb_core::name::{BucketName, Realm};
use wfldb_core::time::UnixMillis;

use super::sync::{Bare, Site, asks, assert_same, git};
use crate::Which;
use crate::mirror::{SyncError, SyncNamed, SyncOptions};
use crate::tests::{assert_sound, configure, delete, needs, of_bucket, put_with, read};

fn site() -> Site {
    let site = Site::new();
    configure(&site.case.engine, "docs", r#"{"kind":"documents"}"#);
    site
}

/// Somebody who can write in a remote, and signs commits with a key of their own.
struct Stranger<'a> {
    remote: &'a Bare,
    key: SecretKey,
    dir: tempfile::TempDir,
}

impl<'a> Stranger<'a> {
    fn new(remote: &'a Bare) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = remote.path.to_str().unwrap();
        git(dir.path(), &["clone", "--quiet", url, "work"]);
        Self {
            remote,
            key: SecretKey::from_seed([66; 32]),
            dir,
        }
    }

    fn work(&self) -> std::path::PathBuf {
        self.dir.path().join("work")
    }

    /// Commits what stands in the directory, and moves the remote to it.
    fn push(&self) {
        let work = self.work();
        git(&work, &["add", "--all"]);
        let tree = git(&work, &["write-tree"]);
        let head = git(&work, &["rev-parse", "HEAD"]);
        let commit = MirrorCommit {
            tree: GitId::parse(tree.trim_end()).unwrap(),
            parent: GitId::parse(head.trim_end()),
            merged: None,
            realm: Realm::parse("local-test").unwrap(),
            time: UnixMillis::new(1_800_000_000_000),
            sequences: (1, 2),
            authors: ["wc1stranger"].into_iter().collect(),
            checkpoint: None,
        };
        fs::write(self.dir.path().join("commit"), commit.sign(&self.key)).unwrap();
        let arguments = ["hash-object", "-t", "commit", "-w", "--no-filters", "../commit"];
        let id = git(&work, &arguments);
        let url = self.remote.path.to_str().unwrap();
        let branch = format!("{}:refs/heads/main", id.trim_end());
        git(&work, &["push", "--quiet", "--force", url, &branch]);
    }

    fn file(&self, path: &str) -> std::path::PathBuf {
        let path = self.work().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }
}

/// DEFECT: documents, settings or files of somebody who can write in the remote.
#[test]
fn what_strangers_push_is_not_taken() {
    needs!("git");
    let (remote, first) = (Bare::new(), site());
    first.put("a", &json!({"n": 1}));
    first.put("b", &json!({"n": 2}));
    first.sync(&remote, &[], Strategy::LastWrite);
    let before = first.files();
    let stranger = Stranger::new(&remote);
    let text = fs::read_to_string(stranger.file("docs/a.json")).unwrap();
    fs::write(stranger.file("docs/a.json"), text.replace("\"n\": 1", "\"n\": 9")).unwrap();
    stranger.push();
    // A commit by nobody who is trusted.
    match first.try_sync(&asks(&remote, &[], Strategy::LastWrite)) {
        Err(SyncError::Untrusted(keys)) => assert_eq!(keys, [stranger.key.public_key()]),
        other => panic!("{other:?}"),
    }
    // Trusted for commits, it still signed none of the documents as they stand there.
    let trusting = |keys: Vec<PublicKey>| SyncOptions {
        trusted: keys,
        ..asks(&remote, &[], Strategy::LastWrite)
    };
    let report = first
        .try_sync(&trusting(vec![stranger.key.public_key()]))
        .unwrap();
    assert!(!report.settled && !report.pushed, "{report:?}");
    assert_eq!(report.refused.len(), 1, "{report:?}");
    assert!(
        report.refused[0].0 == "docs/a.json" && report.refused[0].1.contains("_hash"),
        "{report:?}"
    );
    assert_eq!(first.files(), before);
    assert_sound(&first.case.engine);
}

/// DEFECT: a file that is followed out of the mirror, taken for another key's, or that ends the process.
#[test]
fn what_is_no_mirror_is_refused_by_name() {
    type Plant<'a> = &'a dyn Fn(&Path);
    needs!("git");
    let hostile: [(&str, Plant<'_>, &str); 7] = [
        ("docs/c.json", &|path| fs::write(path, "{}").unwrap(), "envelope"),
        ("docs/c.json", &|path| fs::write(path, "[").unwrap(), "not JSON"),
        (
            "docs/c.json",
            &|path| fs::copy(path.with_file_name("a.json"), path).map(|_| ()).unwrap(),
            "stand",
        ),
        (
            "docs/3f/a.json",
            &|path| fs::rename(path.parent().unwrap().with_file_name("a.json"), path).unwrap(),
            "stand",
        ),
        (
            "docs/.metadata.json",
            &|path| fs::write(path, "{}").unwrap(),
            "mirror says there",
        ),
        (
            "docs/link.json",
            &|path| std::os::unix::fs::symlink("/etc/passwd", path).unwrap(),
            "link.json",
        ),
        (
            "docs/sp ace.json",
            &|path| fs::write(path, "{}").unwrap(),
            "sp ace.json",
        ),
    ];
    for (path, plant, why) in hostile {
        let (remote, first) = (Bare::new(), site());
        first.put("a", &json!({"n": 1}));
        first.sync(&remote, &[], Strategy::LastWrite);
        let before = first.files();
        let stranger = Stranger::new(&remote);
        plant(&stranger.file(path));
        stranger.push();
        let options = SyncOptions {
            trusted: vec![stranger.key.public_key()],
            ..asks(&remote, &[], Strategy::LastWrite)
        };
        let said = match first.try_sync(&options) {
            Ok(report) => {
                assert!(!report.settled && !report.pushed, "{path}: {report:?}");
                format!("{:?}", report.refused)
            }
            Err(error) => error.to_string(),
        };
        assert!(said.contains(why), "{path}: {said}");
        assert_eq!(first.files(), before, "{path}");
    }
}

/// DEFECT: a push that undoes another store's, or a store that never gets to push.
#[test]
fn three_stores_come_to_the_same_whoever_is_first() {
    needs!("git");
    let remote = Bare::new();
    let sites = [site(), site(), site()];
    let [first, second, third] = &sites;
    for (n, one) in sites.iter().enumerate() {
        one.put(&format!("own{n}"), &json!({"of": n}));
        one.put("all", &json!({"of": n}));
    }
    let others: Vec<&Site> = sites.iter().collect();
    for round in 0..3 {
        for one in &sites {
            let report = one.sync(&remote, &others, Strategy::LastWrite);
            assert!(report.settled, "{round}: {report:?}");
        }
    }
    assert_same(first, second);
    assert_same(first, third);
    assert_eq!(
        first.files().keys().filter(|path| path.contains("/own")).count(),
        3
    );
    // Side by side: whoever pushes second brings the first in, and pushes then.
    for (n, one) in sites.iter().enumerate() {
        one.put(&format!("more{n}"), &json!({"of": n}));
        one.put("all", &json!({"again": n}));
    }
    std::thread::scope(|scope| {
        let (remote, others) = (&remote, &others);
        for one in &sites {
            scope.spawn(move || one.sync(remote, others, Strategy::LastWrite));
        }
    });
    for one in sites.iter().chain(&sites) {
        one.sync(&remote, &others, Strategy::LastWrite);
    }
    assert_same(first, second);
    assert_same(first, third);
    assert_eq!(
        first.files().keys().filter(|path| path.contains("/more")).count(),
        3
    );
    for one in &sites {
        assert_sound(&one.case.engine);
    }
}

/// DEFECT: a store that is only behind, of which nobody knows when it had the same, taken for one that worked on.
#[test]
fn what_is_behind_catches_up_without_a_common_commit() {
    needs!("git");
    let (remote, first) = (Bare::new(), site());
    first.put("a", &json!({"n": 1}));
    first.put("gone", &json!({"n": 1}));
    first.sync(&remote, &[], Strategy::Manual);
    // A store that has the same documents, and no history of the other's.
    let second = site();
    let other = Bare::new();
    second.sync(&other, &[], Strategy::Manual);
    let behind = SyncOptions {
        ..asks(&remote, &[&first], Strategy::Manual)
    };
    assert!(second.try_sync(&behind).unwrap().settled);
    let third = site();
    assert!(third.sync(&remote, &[&first, &second], Strategy::Manual).settled);
    fs::remove_dir_all(third.case.place().join(".git")).unwrap();
    for n in 2..6 {
        first.put("a", &json!({"n": n}));
        first.sync(&remote, &[&second, &third], Strategy::Manual);
    }
    let Site { case, mirror } = third;
    drop(mirror);
    let third = Site::of(case);
    let report = third.sync(&remote, &[], Strategy::Manual);
    assert!(report.settled, "{report:?}");
    let a = read(&third.case.engine, "docs", "a", Which::Newest).unwrap();
    let a: Value = serde_json::from_slice(&a).unwrap();
    assert_eq!((&a["n"], &a["_v"]), (&json!(5), &json!(5)));
}

/// DEFECT: a deletion by somebody else that destroys, or one that is undone unasked.
#[test]
fn what_is_gone_on_one_side_is_for_people_to_decide() {
    needs!("git");
    let (remote, first, second) = (Bare::new(), site(), Site::new());
    configure(&first.case.engine, "extra", r#"{"kind":"documents"}"#);
    first.put("erased", &json!({"n": 1}));
    first.put("deleted", &json!({"n": 1}));
    first.case.put_document("extra", "x", &json!({"n": 1})).unwrap();
    first.case.put_document("extra", "y", &json!({"n": 1})).unwrap();
    first.sync(&remote, &[], Strategy::Manual);
    second.sync(&remote, &[&first], Strategy::Manual);
    first.sync(&remote, &[&second], Strategy::Manual);

    // Erased there: it stays here, and is named.
    second.erase("docs", "erased");
    delete(&second.case.engine, "docs", "deleted").unwrap();
    second.sync(&remote, &[], Strategy::Manual);
    let report = first.sync(&remote, &[], Strategy::Manual);
    assert!(report.settled && report.taken == 1, "{report:?}");
    assert_eq!(report.noted.len(), 1, "{report:?}");
    assert!(read(&first.case.engine, "docs", "erased", Which::Newest).is_ok());
    assert!(read(&first.case.engine, "docs", "deleted", Which::Newest).is_err());

    // A change against a deletion.
    second.sync(&remote, &[], Strategy::Manual);
    first.put("fought", &json!({"n": 1}));
    first.sync(&remote, &[], Strategy::Manual);
    second.sync(&remote, &[], Strategy::Manual);
    first.sync(&remote, &[], Strategy::Manual);
    first.put("fought", &json!({"n": 2}));
    delete(&second.case.engine, "docs", "fought").unwrap();
    second.sync(&remote, &[], Strategy::Manual);
    let report = first.sync(&remote, &[], Strategy::Fields);
    assert!(!report.settled && report.conflicts.len() == 1, "{report:?}");
    assert_eq!(report.conflicts[0].conflicts[0].theirs, None);
    let report = first.sync(&remote, &[], Strategy::LastWrite);
    assert!(report.settled, "{report:?}");
    second.sync(&remote, &[], Strategy::Manual);
    assert_same(&first, &second);
    assert!(read(&second.case.engine, "docs", "fought", Which::Newest).is_ok());

    // A bucket that one side deleted.
    let manage = of_bucket("extra", Op::Manage);
    first.case.put_document("extra", "x", &json!({"n": 2})).unwrap();
    second.case.engine.delete_bucket(&manage, true).wait().unwrap();
    first.sync(&remote, &[], Strategy::LastWrite);
    let report = second.sync(&remote, &[], Strategy::LastWrite);
    assert!(!report.settled && report.undecided.len() == 1, "{report:?}");
    let extra = || SyncNamed {
        bucket: BucketName::parse("extra").unwrap(),
        key: None,
    };
    let options = SyncOptions {
        theirs: vec![extra()],
        ..asks(&remote, &[], Strategy::LastWrite)
    };
    let report = second.try_sync(&options).unwrap();
    assert!(report.settled, "{report:?}");
    assert_same(&first, &second);
    second.case.engine.delete_bucket(&manage, true).wait().unwrap();
    second.sync(&remote, &[], Strategy::LastWrite);
    let report = first.sync(&remote, &[], Strategy::LastWrite);
    assert!(!report.settled && report.undecided.len() == 1, "{report:?}");
    let options = SyncOptions {
        theirs: vec![extra()],
        ..asks(&remote, &[], Strategy::LastWrite)
    };
    assert!(first.try_sync(&options).unwrap().settled);
    assert_same(&first, &second);
}

/// DEFECT: an object that both changed and nobody decided about; a copy that goes back and forth.
#[test]
fn objects_are_whole_or_for_people_to_decide() {
    needs!("git");
    let (remote, first, second) = (Bare::new(), Site::new(), Site::new());
    configure(&first.case.engine, "files", r#"{"mirror":true}"#);
    put_with(&first.case.engine, "files", "both", b"0", &[]).unwrap();
    put_with(&first.case.engine, "files", "large", &vec![7; 17 << 20], &[]).unwrap();
    first.sync(&remote, &[], Strategy::Manual);
    let report = second.sync(&remote, &[&first], Strategy::Manual);
    // What is too large for a history cannot come through one.
    assert!(!report.settled && report.refused.len() == 1, "{report:?}");
    assert!(report.refused[0].0 == "files/large", "{report:?}");
    delete(&first.case.engine, "files", "large").unwrap();
    let files = |key: &str| SyncNamed {
        bucket: BucketName::parse("files").unwrap(),
        key: Some(wfldb_core::name::ObjectKey::parse(key).unwrap()),
    };
    first.erase("files", "large");
    first.sync(&remote, &[], Strategy::Manual);
    assert!(second.sync(&remote, &[], Strategy::Manual).settled);
    first.sync(&remote, &[&second], Strategy::Manual);

    put_with(&first.case.engine, "files", "both", b"of the first", &[]).unwrap();
    put_with(&second.case.engine, "files", "both", b"of the second", &[]).unwrap();
    first.sync(&remote, &[], Strategy::Fields);
    let report = second.sync(&remote, &[], Strategy::Fields);
    assert!(!report.settled && report.conflicts.len() == 1, "{report:?}");
    let options = SyncOptions {
        theirs: vec![files("both")],
        ..asks(&remote, &[], Strategy::Fields)
    };
    assert!(second.try_sync(&options).unwrap().settled);
    first.sync(&remote, &[], Strategy::Fields);
    assert_same(&first, &second);
    assert_eq!(
        read(&second.case.engine, "files", "both", Which::Newest).unwrap(),
        b"of the first"
    );
    for one in [&first, &second] {
        let report = one.sync(&remote, &[], Strategy::Manual);
        assert!(report.settled && !report.pushed, "{report:?}");
    }
}

/// DEFECT: work that is done once more, or lost, because a push was refused or the process ended before it.
#[test]
fn a_push_that_is_refused_is_made_up_for() {
    use std::os::unix::fs::PermissionsExt as _;
    needs!("git");
    let (remote, first, second) = (Bare::new(), site(), site());
    first.put("a", &json!({"n": 1}));
    second.put("b", &json!({"n": 1}));
    first.sync(&remote, &[], Strategy::Manual);
    let hook = remote.path.join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\necho not today\nexit 1\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    match second.try_sync(&asks(&remote, &[&first], Strategy::Manual)) {
        Err(SyncError::Git(why)) => assert!(why.contains("not today"), "{why}"),
        other => panic!("{other:?}"),
    }
    // What was settled is there, and merged by a commit that waits to be pushed.
    assert!(read(&second.case.engine, "docs", "a", Which::Newest).is_ok());
    let head = git(&second.case.place(), &["rev-parse", "main"]);
    let Site { case, mirror } = second;
    drop(mirror);
    let second = Site::of(case);
    fs::remove_file(&hook).unwrap();
    let report = second.sync(&remote, &[], Strategy::Manual);
    assert!(report.pushed && report.merged.is_none(), "{report:?}");
    assert_eq!(remote.said(&["rev-parse", "main"]), head);
    first.sync(&remote, &[&second], Strategy::Manual);
    assert_same(&first, &second);
}

/// DEFECT: a write during a sync that it overwrites, or that makes it give up.
#[test]
fn writes_go_on_beside_it() {
    use std::sync::atomic::{AtomicBool, Ordering};
    needs!("git");
    let (remote, first, second) = (Bare::new(), site(), site());
    for n in 0..40 {
        first.put(&format!("k{n}"), &json!({"n": 0}));
    }
    first.sync(&remote, &[], Strategy::LastWrite);
    second.sync(&remote, &[&first], Strategy::LastWrite);
    let ended = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writers: Vec<_> = [&first, &second]
            .into_iter()
            .map(|one| {
                let ended = &ended;
                scope.spawn(move || {
                    let mut n = 0;
                    // The storage of tests copies itself, the more the larger it is.
                    while n < 500 && !ended.load(Ordering::SeqCst) {
                        n += 1;
                        one.put(&format!("k{}", n % 40), &json!({"n": n}));
                    }
                    n
                })
            })
            .collect();
        for _ in 0..3 {
            for (one, other) in [(&first, &second), (&second, &first)] {
                assert!(one.sync(&remote, &[other], Strategy::LastWrite).settled);
            }
        }
        ended.store(true, Ordering::SeqCst);
        writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect::<Vec<i32>>()
    });
    assert!(written.iter().all(|n| *n > 40), "{written:?}");
    for one in [&first, &second, &first] {
        assert!(one.sync(&remote, &[], Strategy::LastWrite).settled);
    }
    assert_same(&first, &second);
    for one in [&first, &second] {
        assert_sound(&one.case.engine);
    }
}
