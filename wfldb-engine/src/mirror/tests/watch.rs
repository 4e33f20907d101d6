//! A mirror that is looked at while it is written: what was done to it is named, and nothing else.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use wfldb_core::auth::{Authorized, Op, Target};

use super::support::Case;
use crate::mirror::{Mirror, MirrorChecks};
use crate::tests::{configure, delete, of_bucket, put, until};
use crate::{EngineError, MirrorFault, MirrorOptions, MirrorReport};

const LONG: Duration = Duration::from_mins(1);

fn proof() -> Authorized {
    Authorized::local("test", Op::Admin, Target::Store)
}

fn start(case: &Case, git: bool) -> Mirror {
    let options = MirrorOptions {
        dir: Some(case.place()),
        git,
        ..MirrorOptions::default()
    };
    let mirror = Mirror::start(&case.engine, options).unwrap();
    assert!(mirror.caught_up(LONG));
    mirror
}

fn case() -> Case {
    let case = Case::in_real_time();
    configure(&case.engine, "docs", r#"{"kind":"documents"}"#);
    configure(&case.engine, "files", r#"{"mirror":true}"#);
    for n in 0..200 {
        case.put_document("docs", &format!("still{n}"), &json!({"n": n}))
            .unwrap();
    }
    put(&case.engine, "files", "large", &vec![7; 5 << 20]).unwrap();
    case.put_document("docs", &"long/".repeat(60), &json!({"n": 0}))
        .unwrap();
    case
}

/// Writes, deletes, makes and removes buckets until it is told to stop. Answers how much it did.
fn work(case: &Case, stop: &AtomicBool, done: &AtomicU64) {
    for n in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let key = format!("k{}", n % 50);
        case.put_document("docs", &key, &json!({"n": n})).unwrap();
        put(
            &case.engine,
            "files",
            &key,
            format!("{n}").repeat(n % 40).as_bytes(),
        )
        .unwrap();
        if n % 3 == 0 {
            delete(&case.engine, "docs", &key).unwrap();
            delete(&case.engine, "files", &key).unwrap();
        }
        if n % 40 == 0 {
            configure(&case.engine, "passing", r#"{"kind":"documents"}"#);
            case.put_document("passing", "a", &json!({"n": n})).unwrap();
        }
        if n % 40 == 20 {
            let gone = case.engine.delete_bucket(&of_bucket("passing", Op::Manage), true);
            gone.wait().unwrap();
        }
        done.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn beside_work(case: &Case, look: impl FnOnce(&AtomicU64)) {
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| work(case, &stop, &done));
        until(|| done.load(Ordering::SeqCst) > 20);
        // Whatever becomes of the looks, the worker ends.
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| look(&done)));
        stop.store(true, Ordering::SeqCst);
        worker.join().unwrap();
        if let Err(panic) = looked {
            std::panic::resume_unwind(panic);
        }
    });
}

fn found(report: &MirrorReport) -> Vec<(MirrorFault, &str)> {
    let found = report.findings.iter();
    found
        .map(|finding| (finding.kind, finding.path.as_str()))
        .collect()
}

/// Looks until it is said what is expected, which has to come soon, and nothing else on the way.
fn until_found(checks: &MirrorChecks, what: &str, expected: &[(MirrorFault, &str)]) {
    for _ in 0..20 {
        let report = checks.look(&proof()).unwrap();
        let found = found(&report);
        if found == expected {
            return;
        }
        let strange = found.iter().find(|found| !expected.contains(found));
        assert!(
            strange.is_none() || expected.is_empty(),
            "{what}: {:?}",
            report.findings
        );
    }
    panic!("{what}: {expected:?} was not found");
}

/// DEFECT: a change that is on its way is taken for a difference.
#[test]
fn nothing_is_found_that_is_merely_on_its_way() {
    let case = case();
    let mirror = start(&case, true);
    let checks = mirror.checks();
    beside_work(&case, |done| {
        for round in 0..2 {
            let before = done.load(Ordering::SeqCst);
            let report = checks.verify(&proof()).unwrap();
            assert!(report.sound, "{round}: {:?}", report.findings);
            assert!(report.files > 200 && report.undecided == 0, "{report:?}");
            assert!(report.position >= before, "{report:?}");
            for _ in 0..6 {
                let report = checks.look(&proof()).unwrap();
                assert!(report.sound, "{round}: {:?}", report.findings);
            }
        }
    });
    assert!(mirror.caught_up(LONG));
    assert!(checks.verify(&proof()).unwrap().sound);
    drop((checks, mirror));
    assert!(
        case.engine
            .verify_mirror(&proof(), Some(&case.place()))
            .unwrap()
            .sound
    );
}

/// DEFECT: a difference that is not named, is named in another place, or stays when it is put right.
#[test]
fn what_is_done_beside_writes_is_named_until_it_is_put_right() {
    use MirrorFault as F;
    let case = case();
    let mirror = start(&case, false);
    let checks = mirror.checks();
    assert!(checks.look(&proof()).unwrap().sound);
    let file = |path: &str| case.place().join(path);
    let flipped = |path: &str| {
        let kept = fs::read(file(path)).unwrap();
        let mut bytes = kept.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(file(path), bytes).unwrap();
        kept
    };
    let long = fs::read_dir(file("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let long = long
        .map(|name| name.into_string().unwrap())
        .find(|name| name.contains("++"));
    let long = format!("docs/{}", long.unwrap());
    beside_work(&case, |_| {
        let kept = fs::read(file("docs/still1.json")).unwrap();
        fs::remove_file(file("docs/still1.json")).unwrap();
        until_found(&checks, "removed", &[(F::Missing, "docs/still1.json")]);
        fs::write(file("docs/still1.json"), kept).unwrap();
        until_found(&checks, "put back", &[]);

        let kept = flipped("files/large");
        until_found(&checks, "a large object", &[(F::Content, "files/large")]);
        fs::write(file("files/large"), kept).unwrap();
        until_found(&checks, "the large object again", &[]);

        fs::rename(file(&long), file("kept")).unwrap();
        until_found(&checks, "a long name", &[(F::Missing, &long), (F::Added, "kept")]);
        fs::rename(file("kept"), file(&long)).unwrap();
        until_found(&checks, "the long name again", &[]);

        fs::write(file("docs/stranger.json"), "{}").unwrap();
        let kept = flipped("docs/.metadata.json");
        let both = [
            (F::Metadata, "docs/.metadata.json"),
            (F::Added, "docs/stranger.json"),
        ];
        until_found(&checks, "two at once", &both);
        // The whole finds the same as the looks.
        assert_eq!(found(&checks.verify(&proof()).unwrap()), both);
        fs::write(file("docs/.metadata.json"), kept).unwrap();
        until_found(&checks, "one of them", &both[1..]);
        fs::remove_file(file("docs/stranger.json")).unwrap();
        until_found(&checks, "both again", &[]);
    });
    // What the store writes anew is right again.
    flipped("docs/still2.json");
    let report = checks.look(&proof()).unwrap();
    assert_eq!(
        found(&report).first().map(|(_, path)| *path),
        Some("docs/still2.json")
    );
    case.put_document("docs", "still2", &json!({"n": "again"}))
        .unwrap();
    until_found(&checks, "written anew", &[]);
    flipped("docs/MANIFEST.sha256");
    until_found(&checks, "a manifest", &[(F::Manifest, "docs/MANIFEST.sha256")]);
}

/// DEFECT: an answer about a state that the files are not in.
#[test]
fn a_mirror_that_cannot_be_written_is_not_judged() {
    let case = case();
    let mirror = start(&case, false);
    let checks = mirror.checks();
    let other = Authorized::local("test", Op::Manage, Target::Store);
    assert!(matches!(checks.verify(&other), Err(EngineError::Forbidden)));
    assert!(matches!(checks.look(&other), Err(EngineError::Forbidden)));
    drop(mirror);
    fs::remove_file(case.place().join("docs/still1.json")).unwrap();
    assert!(matches!(checks.verify(&proof()), Err(EngineError::Closing)));
}
