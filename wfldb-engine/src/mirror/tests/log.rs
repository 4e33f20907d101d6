//! The copy of the audit log: what the store publishes, at any time and after any stop.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use wfldb_core::audit::{Resource, SignedCheckpoint};
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::id::SecretKey;

use super::model::finish;
use super::support::{Case, Files, found, settle};
use crate::mirror::Mirror;
use crate::mirror::point::Point;
use crate::mirror::rounds::Rounds;
use crate::tests::{configure, put};
use crate::{MirrorOptions, MirrorSource};

const LONG: Duration = Duration::from_mins(1);
const POINTS: [Point; 7] = [
    Point::Rename,
    Point::Manifests,
    Point::Sync,
    Point::Cursor,
    Point::Checkpoint,
    Point::Outgrown,
    Point::Root,
];

fn filled(leaves: u64) -> Case {
    let case = Case::new();
    configure(&case.engine, "files", r#"{"mirror":true}"#);
    fill(&case, leaves - 1);
    case
}

fn fill(case: &Case, leaves: u64) {
    let from = case.engine.inner.committer().mark().leaves;
    for n in from..from + leaves {
        put(&case.engine, "files", &format!("k{}", n % 9), &n.to_be_bytes()).unwrap();
    }
}

/// Whatever `log/checkpoint` says, its tiles are there, as the store answers them.
fn assert_whole(case: &Case, what: &str) {
    let Ok(note) = fs::read(case.place().join("log/checkpoint")) else {
        return;
    };
    let checkpoint = SignedCheckpoint::open(&note, case.log_signer().verifier_key()).unwrap();
    let proof = Authorized::local("test", Op::Audit, Target::Store);
    for resource in Resource::all_in_tree(checkpoint.size()).skip(1) {
        let expected = match resource {
            Resource::Tile(tile) => case.engine.audit_tile(&proof, tile),
            Resource::Entries(bundle) => case.engine.audit_entries(&proof, bundle),
            Resource::Checkpoint => continue,
        };
        let path = case.place().join("log").join(resource.to_string());
        let found = fs::read(&path).ok();
        assert!(
            found == Some(expected.unwrap()),
            "{what}: {resource} of {} leaves",
            checkpoint.size()
        );
    }
}

#[derive(Debug, Clone)]
enum Work {
    /// So many leaves come, and a checkpoint of them.
    Publish(u64),
    /// Leaves come that no checkpoint covers.
    Fill(u64),
    /// The mirror works as far as the given number of steps, and comes to rest or not.
    Steps(usize, bool),
    /// It stops at a point that it comes to for the nth time.
    Stop(usize, u32),
    /// The cursor is lost.
    Forget,
    /// Somebody removes the checkpoint, or puts something in the place of the log.
    Spoil(bool),
}

fn work() -> impl Strategy<Value = Work> {
    prop_oneof![
        6 => prop_oneof![1..20_u64, 200..300_u64, Just(256)].prop_map(Work::Publish),
        1 => (1..300_u64).prop_map(Work::Fill),
        5 => (1..5_usize, any::<bool>()).prop_map(|(steps, rest)| Work::Steps(steps, rest)),
        6 => (0..POINTS.len(), 0..9_u32).prop_map(|(point, nth)| Work::Stop(point, nth)),
        1 => Just(Work::Forget),
        1 => any::<bool>().prop_map(Work::Spoil),
    ]
}

fn rounds(case: &Case) -> Option<Rounds> {
    let mut rounds = case.rounds().ok()?;
    rounds.log.bundles_per_step = 1;
    Some(rounds)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Defects it catches: a checkpoint before its tiles; a partial tile that goes before the checkpoint which needs it, or
    /// that stays for good; a tile that is skipped after a stop; tiles that are believed since they are there.
    #[test]
    fn a_published_checkpoint_has_its_tiles_whatever_stops(works in prop::collection::vec(work(), 1..24)) {
        let case = filled(2);
        let mut open = rounds(&case);
        for work in &works {
            match work {
                Work::Publish(leaves) => {
                    fill(&case, *leaves);
                    case.publish();
                }
                Work::Fill(leaves) => fill(&case, *leaves),
                Work::Steps(steps, rest) => {
                    open = open.or_else(|| rounds(&case));
                    let work = |open: &mut Rounds| {
                        for _ in 0..*steps {
                            open.step()?;
                        }
                        if *rest { open.rest() } else { Ok(()) }
                    };
                    if open.as_mut().is_some_and(|open| work(open).is_err()) {
                        open = None;
                    }
                }
                Work::Stop(point, nth) => {
                    *case.stop.lock().unwrap() = Some((POINTS[*point], *nth));
                    if let Some(mut open) = open.take() {
                        let _ = settle(&mut open);
                    }
                    *case.stop.lock().unwrap() = None;
                }
                Work::Forget => {
                    open = None;
                    let _ = fs::remove_file(case.cursor());
                }
                Work::Spoil(checkpoint) => {
                    open = None;
                    let log = case.place().join("log");
                    if *checkpoint {
                        let _ = fs::remove_file(log.join("checkpoint"));
                    } else if log.is_dir() {
                        fs::rename(&log, case.place().join("../elsewhere")).unwrap();
                        symlink("../elsewhere", &log).unwrap();
                    }
                    finish(&case);
                    let _ = fs::remove_dir_all(case.place().join("../elsewhere"));
                }
            }
            assert_whole(&case, &format!("{work:?}"));
        }
        finish(&case);
        case.assert_equal("at the end");
    }
}

/// DEFECT: a log of another store, or of this one as it was before it was set back, that is gone on from.
#[test]
fn tiles_of_another_log_are_not_gone_on_from() {
    let case = filled(600);
    case.publish();
    case.mirrored();
    let mut cursor: serde_json::Value = serde_json::from_slice(&fs::read(case.cursor()).unwrap()).unwrap();
    assert_eq!(cursor["log"]["leaves"], 512);
    // The store's history of changes is the same, its leaves are not.
    cursor["log"]["root"] = json!(wfldb_core::audit::TreeHash::EMPTY.to_string());
    fs::write(case.cursor(), cursor.to_string()).unwrap();
    let tile = case.place().join("log/tile/0/000");
    fs::write(&tile, [7; 8192]).unwrap();
    fs::write(case.place().join("log/tile/0/900"), "left over").unwrap();
    finish(&case);
    case.assert_equal("made anew");
    // Where the cursor is right, what is full is not looked at again.
    fs::write(&tile, [7; 8192]).unwrap();
    finish(&case);
    assert_eq!(fs::read(&tile).unwrap(), [7; 8192]);
}

/// DEFECT: a log that somebody moved away before its first checkpoint is gone on from where it was.
#[test]
fn a_log_that_is_gone_before_it_was_published_is_made_anew() {
    let case = filled(600);
    case.publish();
    let mut rounds = rounds(&case).unwrap();
    rounds.step().unwrap();
    rounds.rest().unwrap();
    drop(rounds);
    assert!(case.place().join("log/tile/0/000").exists() && !case.place().join("log/checkpoint").exists());
    fs::remove_dir_all(case.place().join("log")).unwrap();
    finish(&case);
    case.assert_equal("made anew");
}

/// DEFECT: a store whose leaves were changed has a log published that its own checkpoint contradicts, or no mirror at all.
#[test]
fn a_log_that_is_not_what_was_signed_is_left_as_it_is() {
    let case = filled(300);
    case.publish();
    case.mirrored();
    let before = found(&case.place().join("log"));
    fill(&case, 10);
    let row = crate::row::key::leaf(305);
    let writes = vec![(crate::Space::Log, row, Some(bytes::Bytes::from_static(b"{}")))];
    let signed = case.publish();
    crate::Storage::commit(&case.storage, crate::Batch { writes }).unwrap();
    put(&case.engine, "files", "last", b"x").unwrap();
    let mut rounds = case.rounds().unwrap();
    settle(&mut rounds).unwrap();
    assert!(case.place().join("files/last").exists());
    let note = fs::read_to_string(case.place().join("log/checkpoint")).unwrap();
    assert!(note != signed.text() && rounds.log_leaves() == 0);
    let after = found(&case.place().join("log"));
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)));
}

/// With the thread, and the worker that signs: what `caught_up` says is so, and a mirror that ends has all of the log.
#[test]
fn the_thread_follows_the_log_and_ends_with_all_of_it() {
    let case = filled(20);
    let options = || MirrorOptions {
        dir: Some(case.place()),
        history: None,
        git: false,
    };
    let mirror = Mirror::start(&case.engine, options()).unwrap();
    assert!(mirror.caught_up(LONG));
    // Nobody signs, so there is nothing to publish.
    assert!(!case.place().join("log").exists());
    assert_eq!(mirror.status().log, 0);
    case.sign();
    assert!(mirror.caught_up(LONG));
    assert_eq!(mirror.status().log, 20);
    for _ in 0..3 {
        fill(&case, 150);
        assert!(mirror.caught_up(LONG));
        assert_eq!(mirror.status().log, case.engine.inner.committer().mark().leaves);
        case.assert_equal("caught up");
    }
    // The checkpoint of what comes last is not signed yet.
    fill(&case, 5);
    drop(mirror);
    let log: Files = found(&case.place())
        .into_iter()
        .filter(|(path, _)| path.starts_with("log/"))
        .collect();
    assert!(log == case.published() && log.contains_key("log/tile/0/001.p/219"));
    let mirror = Mirror::start(&case.engine, options()).unwrap();
    assert!(mirror.caught_up(LONG));
    drop(mirror);
    case.assert_equal("again");
    assert!(super::tampered::verified(&case).sound);
}

/// DEFECT: a mirror that ends while the tiles of one checkpoint wait for a rest point leaves out the next one.
#[test]
fn the_end_publishes_the_newest_and_not_what_was_ready() {
    let case = filled(300);
    case.publish();
    let mut rounds = case.rounds().unwrap();
    rounds.step().unwrap();
    rounds.rest().unwrap();
    fill(&case, 2);
    case.publish();
    rounds.log_some().unwrap();
    fill(&case, 2);
    case.publish();
    rounds.end_with_log().unwrap();
    assert_eq!(rounds.log_leaves(), 304);
}

/// DEFECT: a store that is made of a mirror takes something of the log for a bucket; a mirror that is taken up removes it.
#[test]
fn what_stands_in_the_log_is_no_bucket() {
    let case = filled(300);
    case.put_document("files", "x", &json!({})).unwrap_err();
    configure(&case.engine, "log", r#"{"kind":"documents"}"#);
    case.put_document("log", "a", &json!({"n": 1})).unwrap();
    case.publish();
    case.mirrored();
    let planted = case.place().join("log/.metadata.json");
    fs::copy(case.place().join("files/.metadata.json"), &planted).unwrap();
    finish(&case);
    assert!(planted.exists() && case.place().join("log/checkpoint").exists());
    let source = MirrorSource::open(&case.place()).unwrap();
    let mut buckets: Vec<_> = source
        .buckets()
        .unwrap()
        .into_iter()
        .map(|bucket| bucket.name.to_string())
        .collect();
    buckets.sort_unstable();
    assert_eq!(buckets, ["files", "log"]);
    let found = super::tampered::verified(&case).findings;
    assert!(
        matches!(&*found, [one] if one.kind == crate::MirrorFault::Added && one.path == "log/.metadata.json")
    );
}

/// A restored store signs with another key: the checkpoint is another one of the same leaves.
#[test]
fn another_key_gives_another_checkpoint() {
    let case = filled(300);
    let first = case.publish();
    let mut rounds = case.rounds().unwrap();
    settle(&mut rounds).unwrap();
    let signer = wfldb_core::audit::NoteSigner::new(first.log().clone(), SecretKey::from_seed([9; 32]));
    let other = SignedCheckpoint::sign(first.size(), first.root(), &signer).unwrap();
    case.engine.inner.audit.publish(other.clone());
    settle(&mut rounds).unwrap();
    let note = fs::read_to_string(case.place().join("log/checkpoint")).unwrap();
    assert_eq!(note, other.text());
}
