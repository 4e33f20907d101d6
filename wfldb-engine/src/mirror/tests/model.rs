//! The directory after random work, with stops at random points: equal to what the store says.

use proptest::prelude::*;
use serde_json::json;
use wfldb_core::auth::Op;
use wfldb_core::index::IndexDefinition;
use wfldb_core::object::Preconditions;

use super::support::{Case, found, settle};
use crate::mirror::point::Point;
use crate::tests::{configure, delete, object, of_bucket, put_with};

const KEYS: [&str; 8] = ["a", "a/b", "A", "a.json", "é", "con", ".git/config", "3f"];
const BUCKETS: [&str; 3] = ["docs", "files", "keys"];
const POINTS: [Point; 7] = [
    Point::Rename,
    Point::Manifests,
    Point::Sync,
    Point::Cursor,
    Point::Checkpoint,
    Point::Outgrown,
    Point::Root,
];

#[derive(Debug, Clone)]
enum Work {
    Put(usize, usize, u16),
    Delete(usize, usize),
    Undelete(usize, usize),
    Erase(usize, usize),
    Configure(usize, usize),
    Drop(usize),
    Index(bool),
    /// The mirror works as far as the given number of steps.
    Steps(usize),
    /// It stops at a point that it comes to for the nth time, and is taken up.
    Stop(usize, u32),
    Damage(usize),
    /// A checkpoint of the audit log is published.
    Publish,
}

fn work() -> impl Strategy<Value = Work> {
    let (bucket, key) = (0..BUCKETS.len(), 0..KEYS.len());
    prop_oneof![
        8 => (bucket.clone(), key.clone(), any::<u16>()).prop_map(|(bucket, key, n)| Work::Put(bucket, key, n)),
        3 => (bucket.clone(), key.clone()).prop_map(|(bucket, key)| Work::Delete(bucket, key)),
        2 => (bucket.clone(), key.clone()).prop_map(|(bucket, key)| Work::Undelete(bucket, key)),
        2 => (bucket.clone(), key).prop_map(|(bucket, key)| Work::Erase(bucket, key)),
        2 => (bucket.clone(), 0..3_usize).prop_map(|(bucket, how)| Work::Configure(bucket, how)),
        1 => bucket.clone().prop_map(Work::Drop),
        1 => any::<bool>().prop_map(Work::Index),
        4 => (1..4_usize).prop_map(Work::Steps),
        3 => (0..POINTS.len(), 0..4_u32).prop_map(|(point, nth)| Work::Stop(point, nth)),
        1 => bucket.prop_map(Work::Damage),
        2 => Just(Work::Publish),
    ]
}

fn config(bucket: usize, how: usize) -> String {
    let kind = if bucket == 1 { "objects" } else { "documents" };
    let mirror = ["", r#","mirror":true"#, r#","mirror":false"#][how];
    format!(r#"{{"kind":"{kind}"{mirror}}}"#)
}

fn newest(case: &Case, bucket: &str, key: &str) -> Option<wfldb_core::id::VersionId> {
    let versions = case
        .engine
        .versions(&object(bucket, key, Op::Get), None, 1)
        .ok()?;
    Some(versions.items.first()?.version)
}

fn apply(case: &Case, work: &Work) {
    let engine = &case.engine;
    // What the store refuses changes nothing.
    match work {
        Work::Put(1, key, n) => {
            // Some of them in chunks.
            let len = if n % 7 == 0 { 70_000 } else { usize::from(*n) % 50 };
            let headers = [
                ("content-type", "text/plain"),
                ("x-wfldb-meta-n", "1"),
                ("x-wfldb-tags", "a=b"),
            ];
            let body = vec![b'x'; len];
            let _ = put_with_n(case, KEYS[*key], &body, &headers[..usize::from(n % 4)]);
        }
        Work::Put(bucket, key, n) => {
            let _ = case.put_document(BUCKETS[*bucket], KEYS[*key], &json!({"n": n, "text": "\u{e9}\n"}));
        }
        Work::Delete(bucket, key) => {
            let _ = delete(engine, BUCKETS[*bucket], KEYS[*key]);
        }
        Work::Undelete(bucket, key) => {
            let _ = engine
                .undelete(&object(BUCKETS[*bucket], KEYS[*key], Op::Put))
                .wait();
        }
        Work::Erase(bucket, key) => {
            let (bucket, key) = (BUCKETS[*bucket], KEYS[*key]);
            if let Some(version) = newest(case, bucket, key) {
                let proof = object(bucket, key, Op::Erase);
                engine
                    .erase(&proof, version, Preconditions::default())
                    .wait()
                    .unwrap();
            }
        }
        Work::Configure(bucket, how) => configure(engine, BUCKETS[*bucket], &config(*bucket, *how)),
        Work::Drop(bucket) => {
            let _ = engine
                .delete_bucket(&of_bucket(BUCKETS[*bucket], Op::Manage), true)
                .wait();
        }
        Work::Index(define) => {
            let proof = of_bucket("docs", Op::Manage);
            if *define {
                let index =
                    IndexDefinition::parse(&json!({"name": "n", "index": {"fields": ["n"]}})).unwrap();
                let _ = engine.define_index(&proof, index).wait();
            } else {
                let schema = json!({"type": "object"}).to_string();
                let _ = engine.put_schema(&proof, Some(schema.as_bytes())).wait();
            }
        }
        Work::Publish => drop(case.publish()),
        Work::Steps(_) | Work::Stop(..) | Work::Damage(_) => {}
    }
}

fn put_with_n(
    case: &Case,
    key: &str,
    body: &[u8],
    headers: &[(&str, &str)],
) -> Result<(), crate::EngineError> {
    put_with(&case.engine, BUCKETS[1], key, body, headers).map(drop)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 400, ..ProptestConfig::default() })]

    /// Defects it catches: a file of a key that was deleted, erased or is of a deleted bucket stays; a change between two
    /// rest points is lost by a stop; a manifest is behind its files; a move to shards that was stopped leaves files in
    /// both places, or in none.
    #[test]
    fn after_any_work_and_any_stops_the_directory_is_what_the_store_says(
        shard_above in 1..6_u64,
        works in prop::collection::vec(work(), 1..60),
    ) {
        let mut case = Case::new();
        case.shard_above = shard_above;
        for (at, bucket) in BUCKETS.iter().enumerate() {
            configure(&case.engine, bucket, &config(at, 1));
        }
        let mut rounds = case.rounds().ok();
        for work in &works {
            match work {
                Work::Steps(steps) => {
                    for _ in 0..*steps {
                        if rounds.is_none() {
                            rounds = case.rounds().ok();
                        }
                        if rounds.as_mut().is_none_or(|open| open.step().is_err()) {
                            rounds = None;
                        }
                    }
                }
                Work::Stop(point, nth) => {
                    *case.stop.lock().unwrap() = Some((POINTS[*point], *nth));
                    if let Some(open) = &mut rounds {
                        let _ = settle(open);
                    }
                    // Where it came to, there it ended: nothing of what it has in memory is kept. The store goes on.
                    rounds = None;
                    *case.stop.lock().unwrap() = None;
                }
                Work::Damage(bucket) => {
                    let manifest = case.place().join(BUCKETS[*bucket]).join("MANIFEST.sha256");
                    if manifest.exists() {
                        std::fs::write(manifest, "no manifest\n").unwrap();
                    }
                }
                work => apply(&case, work),
            }
        }
        *case.stop.lock().unwrap() = None;
        finish(&case);
        case.assert_equal("at the end");
    }
}

/// DEFECT: a directory that is gone, of a bucket that the cursor on disk still names, and that is mirrored again.
#[test]
fn a_bucket_that_is_mirrored_again_right_after_a_stop_is_written_whole() {
    let case = Case::new();
    configure(&case.engine, "docs", &config(0, 1));
    case.put_document("docs", "a", &json!({})).unwrap();
    case.mirrored();
    let mut rounds = case.rounds().unwrap();
    configure(&case.engine, "docs", &config(0, 2));
    *case.stop.lock().unwrap() = Some((Point::Manifests, 0));
    assert!(rounds.step().is_err() && !case.place().join("docs").exists());
    drop(rounds);
    configure(&case.engine, "docs", &config(0, 1));
    finish(&case);
    case.assert_equal("mirrored again");
}

/// Takes it up until it comes to its end, as the thread does.
pub(super) fn finish(case: &Case) {
    for _ in 0..10 {
        let mut rounds = match case.rounds() {
            Ok(rounds) => rounds,
            Err(error) => panic!("{error}"),
        };
        match settle(&mut rounds) {
            Ok(()) => return,
            Err(crate::mirror::error::Failure::Manifest(place)) => rounds.damaged_at(&place).unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("it did not come to its end: {:?}", found(&case.place()).keys());
}
