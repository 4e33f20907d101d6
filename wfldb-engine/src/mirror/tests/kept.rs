//! The mirror's history as it is kept beside the mirror.

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use wfldb_core::auth::{Authorized, Op, Target};

use super::support::{Case, found, settle};
use crate::mirror::Mirror;
use crate::mirror::git::GitKeeper;
use crate::mirror::point::Point;
use crate::tests::{configure, delete, of_bucket, put};
use crate::{MirrorOptions, MirrorReport};

const LONG: Duration = Duration::from_mins(1);

fn start(case: &Case, git: bool) -> Mirror {
    let options = MirrorOptions {
        dir: Some(case.place()),
        history: None,
        git,
    };
    Mirror::start(&case.engine, options).unwrap()
}

/// The mirror up to now, and a commit of it.
pub(super) fn mirrored(case: &Case, git: bool) {
    let mirror = start(case, git);
    assert!(mirror.caught_up(LONG));
    if git {
        recorded(case);
    }
}

/// Waits for the commit that has everything. The end of a mirror does not wait for a whole one.
fn recorded(case: &Case) {
    let proof = Authorized::local("test", Op::Admin, Target::Store);
    let view = case.engine.mirror_view(&proof).unwrap();
    let newest = format!("-{}\n", view.position().unwrap().get());
    crate::tests::until(|| {
        std::thread::sleep(Duration::from_millis(50));
        let mut log = Command::new("git");
        let log = log
            .arg("-C")
            .arg(case.place())
            .args(["log", "-1", "--format=%B", "main"]);
        let said = String::from_utf8(log.output().unwrap().stdout).unwrap();
        said.lines()
            .any(|line| line.starts_with("Wfldb-Seq: ") && format!("{line}\n").ends_with(&newest))
    });
}

fn verified(case: &Case) -> MirrorReport {
    let proof = Authorized::local("test", Op::Admin, Target::Store);
    let report = case.engine.verify_mirror(&proof, Some(&case.place())).unwrap();
    assert!(report.sound, "{:?}", report.findings);
    report
}

pub(super) fn git(case: &Case, arguments: &[&str]) -> String {
    let said = Command::new("git")
        .arg("-C")
        .arg(case.place())
        .args(arguments)
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

pub(super) fn has_git() -> bool {
    let has = Command::new("git").arg("--version").output().is_ok();
    if !has {
        println!("SKIPPED: there is no git on this machine");
    }
    has
}

fn documents() -> Case {
    let case = Case::new();
    configure(&case.engine, "docs", r#"{"kind":"documents"}"#);
    case
}

/// Catches: a change that the history misses, a file too many in it, a commit that does not stand on the one before.
#[test]
fn the_newest_commit_has_what_the_mirror_has() {
    if !has_git() {
        return;
    }
    let case = documents();
    configure(&case.engine, "files", r#"{"mirror":true}"#);
    for n in 0..20 {
        case.put_document("docs", &format!("k{n}"), &json!({"n": n}))
            .unwrap();
    }
    put(&case.engine, "files", "large", &vec![7; 300_000]).unwrap();
    put(&case.engine, "files", "too large for history", &vec![7; 17 << 20]).unwrap();
    mirrored(&case, true);
    let first = verified(&case).history.unwrap();
    delete(&case.engine, "docs", "k3").unwrap();
    case.put_document("docs", "k4", &json!({"n": "new"})).unwrap();
    case.engine
        .delete_bucket(&of_bucket("files", Op::Manage), true)
        .wait()
        .unwrap();
    mirrored(&case, true);
    let second = verified(&case).history.unwrap();
    assert!(second.commits > first.commits);
    git(&case, &["merge-base", "--is-ancestor", &first.commit, "main"]);
    let changed = git(
        &case,
        &["diff", "--no-renames", "--name-status", &first.commit, "main"],
    );
    for line in [
        "D\tdocs/k3.json",
        "A\tdocs/.deleted/k3.json",
        "M\tdocs/k4.json",
        "D\tfiles/large",
    ] {
        assert!(changed.lines().any(|found| found == line), "{line}: {changed}");
    }
    assert!(
        !changed.contains("MANIFEST") && !changed.contains("too%20large%20for%20history\n"),
        "{changed}"
    );
    let trailers = git(&case, &["log", "-1", "--format=%(trailers)", "main"]);
    assert!(trailers.contains("Wfldb-Author: local:test"), "{trailers}");
    git(&case, &["verify-commit", "main", &first.commit]);
}

/// Catches: changes that nobody told the history of, after a stop in between; and a history that is lost.
#[test]
fn what_was_missed_is_made_up_for_by_a_whole_commit() {
    if !has_git() {
        return;
    }
    let case = documents();
    for n in 0..10 {
        case.put_document("docs", &format!("k{n}"), &json!({"n": n}))
            .unwrap();
    }
    mirrored(&case, true);
    // As of a process that ended before its commit.
    case.put_document("docs", "k1", &json!({"n": "missed"})).unwrap();
    delete(&case.engine, "docs", "k2").unwrap();
    mirrored(&case, false);
    case.put_document("docs", "k3", &json!({"n": "told"})).unwrap();
    mirrored(&case, true);
    verified(&case);
    std::fs::remove_dir_all(case.place().join(".git")).unwrap();
    case.put_document("docs", "k4", &json!({"n": "after"})).unwrap();
    mirrored(&case, true);
    verified(&case);
}

/// Catches: a file or directory that a process removed before it came to rest, so that the next one finds nothing to
/// remove and tells the history of nothing; and what it wrote of a bucket that is being written whole.
#[test]
fn what_a_process_did_before_it_was_killed_is_told_by_the_next() {
    if !has_git() {
        return;
    }
    let mut case = documents();
    configure(&case.engine, "gone", r#"{"kind":"documents"}"#);
    for n in 0..10 {
        let document = json!({"n": n});
        case.put_document("docs", &format!("k{n}"), &document).unwrap();
        case.put_document("gone", &format!("k{n}"), &document).unwrap();
    }
    mirrored(&case, true);
    verified(&case);
    let killed = |case: &Case| {
        *case.stop.lock().unwrap() = Some((Point::Cursor, 0));
        let mut rounds = case.rounds().unwrap();
        assert!(settle(&mut rounds).is_err());
    };
    let followed = |case: &Case| {
        mirrored(case, true);
        verified(case);
    };
    delete(&case.engine, "docs", "k2").unwrap();
    let manage = of_bucket("gone", Op::Manage);
    case.engine.delete_bucket(&manage, true).wait().unwrap();
    killed(&case);
    assert!(!case.place().join("docs/k2.json").exists() && !case.place().join("gone").exists());
    followed(&case);
    // The bucket moves to shards, and the process ends in the middle.
    case.shard_above = 4;
    case.put_document("docs", "k11", &json!({"n": 11})).unwrap();
    killed(&case);
    followed(&case);
}

/// Catches: what a whole commit saw of the store, and what was never in the directory, staying in the history.
#[test]
fn what_a_whole_commit_was_ahead_with_is_taken_back() {
    if !has_git() {
        return;
    }
    let case = documents();
    let keeper = GitKeeper::start(&case.engine.inner, &case.place()).unwrap();
    let orders = keeper.orders();
    let mut rounds = case.rounds_with(Box::new(keeper));
    case.put_document("docs", "a", &json!({"n": 1})).unwrap();
    orders.commit(None).unwrap();
    assert!(git(&case, &["ls-tree", "-r", "--name-only", "main"]).contains("docs/a.json"));
    delete(&case.engine, "docs", "a").unwrap();
    settle(&mut rounds).unwrap();
    orders.commit(None).unwrap();
    let files = git(&case, &["ls-tree", "-r", "--name-only", "main", "docs/"]);
    assert_eq!(files, "docs/.deleted/a.json\ndocs/.metadata.json");
}

/// Catches: an edit in the directory that becomes history by our hand.
#[test]
fn an_edit_in_the_directory_is_never_recorded() {
    if !has_git() {
        return;
    }
    let case = documents();
    case.put_document("docs", "a", &json!({"n": 1})).unwrap();
    mirrored(&case, true);
    let right = std::fs::read(case.place().join("docs/a.json")).unwrap();
    std::fs::write(case.place().join("docs/a.json"), "forged").unwrap();
    std::fs::write(case.place().join("docs/added.json"), "forged").unwrap();
    case.put_document("docs", "b", &json!({"n": 2})).unwrap();
    mirrored(&case, true);
    assert!(found(&case.place()).values().any(|bytes| bytes == b"forged"));
    assert_eq!(
        git(&case, &["show", "main:docs/a.json"]),
        String::from_utf8(right).unwrap().trim()
    );
    let all = git(&case, &["log", "--format=", "--name-only", "main"]);
    assert!(!all.contains("added.json"), "{all}");
}

/// Catches: a mirror that stands still, or fails, where there can be no history.
#[test]
fn a_history_that_is_not_ours_holds_up_nothing() {
    let case = documents();
    std::fs::create_dir_all(case.place()).unwrap();
    std::fs::write(case.place().join(".git"), "gitdir: /elsewhere\n").unwrap();
    case.put_document("docs", "a", &json!({"n": 1})).unwrap();
    assert!(start(&case, true).caught_up(LONG));
    assert!(case.place().join("docs/a.json").exists());
    assert_eq!(
        std::fs::read(case.place().join(".git")).unwrap(),
        b"gitdir: /elsewhere\n"
    );
}
