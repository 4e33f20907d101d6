//! The thread: it follows, says how far it is, and comes back from what goes wrong.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use wfldb_core::auth::Op;

use super::support::{Case, Files, found};
use super::sync::git;
use crate::mirror::Mirror;
use crate::mirror::point::Points;
use crate::tests::{configure, delete, needs, of_bucket, put, until};
use crate::{FileChange, MirrorBatch, MirrorHistory, MirrorOptions, MirrorState};

const LONG: Duration = Duration::from_mins(1);

fn start(case: &Case) -> Mirror {
    let dir = Some(case.place());
    Mirror::start(
        &case.engine,
        MirrorOptions {
            dir,
            history: None,
            git: false,
        },
    )
    .unwrap()
}

fn documents() -> Case {
    let case = Case::new();
    configure(&case.engine, "docs", r#"{"kind":"documents"}"#);
    case
}

#[test]
fn it_follows_and_says_how_far_it_is() {
    let case = documents();
    case.put_document("docs", "a", &json!({"n": 1})).unwrap();
    let mirror = start(&case);
    assert!(mirror.caught_up(LONG));
    case.assert_equal("at first");
    for n in 0..50 {
        case.put_document("docs", &format!("k{n}"), &json!({"n": n}))
            .unwrap();
    }
    delete(&case.engine, "docs", "k1").unwrap();
    assert!(mirror.caught_up(LONG));
    case.assert_equal("after work");
    let status = mirror.status();
    assert_eq!(
        (status.state, status.behind, status.lag),
        (MirrorState::Following, 0, Duration::ZERO)
    );
    assert!(status.files >= 50 && status.failures == 0, "{status:?}");
    // A bucket that is not mirrored any more, and one that is gone.
    configure(&case.engine, "docs", r#"{"kind":"documents","mirror":false}"#);
    configure(&case.engine, "files", r#"{"mirror":true}"#);
    put(&case.engine, "files", "a", b"x").unwrap();
    assert!(mirror.caught_up(LONG));
    assert!(!case.place().join("docs").exists() && case.place().join("files/a").exists());
    case.engine
        .delete_bucket(&of_bucket("files", Op::Manage), true)
        .wait()
        .unwrap();
    assert!(mirror.caught_up(LONG));
    assert!(!case.place().join("files").exists());
    drop(mirror);
    case.assert_equal("at the end");
}

/// DEFECT: a failure that ends the thread, or after which changes are missing.
#[test]
fn a_directory_that_cannot_be_written_is_tried_again() {
    let case = documents();
    let full = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&full);
    let at = move |_| {
        if asked.load(Ordering::SeqCst) {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        } else {
            Ok(())
        }
    };
    let dir = Some(case.place());
    let points = Points {
        at: Some(Arc::new(at)),
    };
    let mirror = Mirror::start_with(
        &case.engine,
        MirrorOptions {
            dir,
            history: None,
            git: false,
        },
        points,
    )
    .unwrap();
    assert!(mirror.caught_up(LONG));
    full.store(true, Ordering::SeqCst);
    case.put_document("docs", "a", &json!({"n": 1})).unwrap();
    until(|| mirror.status().state == MirrorState::Failing);
    assert!(mirror.status().behind > 0);
    assert!(!mirror.caught_up(Duration::from_millis(1)));
    full.store(false, Ordering::SeqCst);
    case.put_document("docs", "b", &json!({"n": 1})).unwrap();
    assert!(mirror.caught_up(LONG));
    case.assert_equal("after it was full");
    assert!(mirror.status().failures > 0);
}

/// DEFECT: a file that is seen before it is whole.
#[test]
fn no_reader_sees_half_a_file() {
    let case = documents();
    let mirror = start(&case);
    let end = AtomicBool::new(false);
    let text = |n: u32| format!("{n}").repeat(2000);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let path = case.place().join("docs/a.json");
            let mut seen = 0;
            while !end.load(Ordering::SeqCst) {
                let Ok(bytes) = fs::read(&path) else { continue };
                let document: serde_json::Value = serde_json::from_slice(&bytes).expect("half a file");
                let n = u32::try_from(document["n"].as_u64().unwrap()).unwrap();
                assert_eq!(document["text"], text(n));
                seen += 1;
            }
            seen
        });
        let began = Instant::now();
        for n in 0.. {
            case.put_document("docs", "a", &json!({"n": n, "text": text(n)}))
                .unwrap();
            if began.elapsed() > Duration::from_secs(2) {
                break;
            }
        }
        end.store(true, Ordering::SeqCst);
        assert!(reader.join().unwrap() > 0);
    });
    assert!(mirror.caught_up(LONG));
    case.assert_equal("at the end");
}

/// A directory that is made from nothing but what it is told.
#[derive(Default)]
struct Told {
    files: BTreeMap<String, [u8; 32]>,
    last: u64,
    refused: u32,
    authors: std::collections::BTreeSet<String>,
}

struct Keeper(Arc<Mutex<Told>>);

impl MirrorHistory for Keeper {
    fn record(&mut self, batch: &MirrorBatch) -> io::Result<()> {
        let mut told = self.0.lock().unwrap();
        if told.refused > 0 {
            told.refused -= 1;
            return Err(io::Error::other("not now"));
        }
        assert!(!batch.whole && batch.last.get() >= told.last);
        told.last = batch.last.get();
        told.authors.extend(batch.authors.iter().cloned());
        for dir in &batch.removed {
            told.files.retain(|path, _| !path.starts_with(&format!("{dir}/")));
        }
        for (path, change) in &batch.files {
            match change {
                FileChange::Written { sha256, bytes, len } => {
                    if let Some(bytes) = bytes {
                        assert_eq!(
                            <[u8; 32]>::from(<sha2::Sha256 as sha2::Digest>::digest(bytes)),
                            *sha256
                        );
                        assert_eq!(bytes.len() as u64, *len);
                    }
                    told.files.insert(path.clone(), *sha256);
                }
                FileChange::Removed => {
                    told.files.remove(path);
                }
            }
        }
        Ok(())
    }
}

/// DEFECT: a change of the directory that history is not told of.
#[test]
fn history_is_told_of_every_file() {
    let case = documents();
    let told = Arc::new(Mutex::new(Told {
        refused: 2,
        ..Told::default()
    }));
    let options = MirrorOptions {
        dir: Some(case.place()),
        history: Some(Box::new(Keeper(Arc::clone(&told)))),
        git: false,
    };
    let mirror = Mirror::start(&case.engine, options).unwrap();
    let names: Vec<String> = (0..30).map(|n| format!("k{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        case.put_document("docs", name, &json!({"n": n})).unwrap();
    }
    delete(&case.engine, "docs", "k1").unwrap();
    configure(&case.engine, "files", r#"{"mirror":true}"#);
    put(&case.engine, "files", "large", &vec![7; 200_000]).unwrap();
    assert!(mirror.caught_up(LONG));
    case.engine
        .delete_bucket(&of_bucket("files", Op::Manage), true)
        .wait()
        .unwrap();
    configure(&case.engine, "files", r#"{"mirror":true}"#);
    put(&case.engine, "files", "other", b"x").unwrap();
    assert!(mirror.caught_up(LONG));
    drop(mirror);
    let told = told.lock().unwrap();
    let hash = |bytes: &Vec<u8>| <[u8; 32]>::from(<sha2::Sha256 as sha2::Digest>::digest(bytes));
    // The file about the mirror is written last, and told with the next batch.
    let of = |files: &Files| {
        let files = files.iter().filter(|(path, _)| *path != "wfldb.json");
        files
            .map(|(path, bytes)| (path.clone(), hash(bytes)))
            .collect::<BTreeMap<_, _>>()
    };
    let mut files = told.files.clone();
    files.remove("wfldb.json");
    assert_eq!(files, of(&found(&case.place())));
    assert!(told.authors.contains("local:test"), "{:?}", told.authors);
}

/// DEFECT: a history that grows with each start.
#[test]
fn a_start_at_which_nothing_changed_is_no_commit() {
    needs!("git");
    let case = documents();
    case.put_document("docs", "a", &json!({"n": 1})).unwrap();
    let head = || {
        let mirror = Mirror::start(
            &case.engine,
            MirrorOptions {
                dir: Some(case.place()),
                ..MirrorOptions::default()
            },
        );
        let mirror = mirror.unwrap();
        assert!(mirror.caught_up(LONG));
        drop(mirror);
        git(&case.place(), &["rev-parse", "main"])
    };
    let first = head();
    assert_eq!(head(), first);
    assert_eq!(head(), first);
    case.put_document("docs", "a", &json!({"n": 2})).unwrap();
    assert_ne!(head(), first);
}
