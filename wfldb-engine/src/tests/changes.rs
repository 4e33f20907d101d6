//! The changes of a bucket against what was done to it: nothing missing, nothing twice, nothing that it was not.

use std::thread;

use wfldb_core::id::Seq;
use wfldb_core::name::KeyPrefix;

use super::*;
use crate::lifecycle::expire;
use crate::row::key;
use crate::storage::prefix_end;
use crate::{
    Batch, BatchAction, BatchOp, BucketChange, ChangePage, ChangesQuery, MemoryStorage, Since, Space, Storage,
};

fn in_memory(options: EngineOptions) -> (tempfile::TempDir, MemoryStorage, Engine) {
    let dir = tempfile::tempdir().unwrap();
    let storage = MemoryStorage::new();
    let engine = Engine::with_storage(Arc::new(storage.clone()), dir.path(), options).unwrap();
    (dir, storage, engine)
}

fn watch(bucket: &str) -> Authorized {
    Authorized::local("test", Op::Watch, Target::Changes(name(bucket)))
}

fn since(seq: u64) -> ChangesQuery {
    ChangesQuery {
        since: Since::Seq(Seq::new(seq)),
        ..ChangesQuery::default()
    }
}

fn page(engine: &Engine, bucket: &str, query: &ChangesQuery) -> Result<ChangePage, EngineError> {
    engine.changes(&watch(bucket), query)
}

/// Everything behind a `seq`, in pages of at most `limit`.
fn all_since(engine: &Engine, bucket: &str, from: u64, limit: usize) -> Vec<BucketChange> {
    let mut changes = Vec::new();
    let mut query = ChangesQuery { limit, ..since(from) };
    loop {
        let page = page(engine, bucket, &query).unwrap();
        assert!(page.changes.len() <= limit);
        changes.extend(page.changes);
        if !page.more {
            return changes;
        }
        query.since = Since::Seq(page.last);
    }
}

/// What was done, as `seq what key`.
fn lines(changes: &[BucketChange]) -> Vec<String> {
    let keys = changes
        .iter()
        .flat_map(|change| change.keys.iter().map(move |key| (change.seq, key)));
    keys.map(|(seq, key)| format!("{seq} {} {}", key.kind.as_str(), key.key))
        .collect()
}

fn batch(engine: &Engine, bucket: &str, keys: &[&str]) -> u64 {
    let proof = Authorized::local("test", Op::Put, Target::Batch(name(bucket)));
    let ops = keys.iter().map(|key| BatchOp {
        key: ObjectKey::parse(key).unwrap(),
        preconditions: Preconditions::default(),
        action: BatchAction::Put {
            body: Bytes::from_static(b"z"),
            headers: Box::default(),
        },
    });
    let outcome = engine.batch(&proof, ops.collect()).wait().unwrap();
    outcome.seq.unwrap().get()
}

/// Defects it catches: an end by retention or time that nobody is told; a deletion that looks like a put; an entry of a
/// batch that is left out; the hash of bytes that were erased.
#[test]
fn everything_that_is_done_to_a_key_is_told_as_what_it_is() {
    let clock = HandClock::new();
    let (_dir, _storage, engine) = in_memory(clock.options());
    make_bucket(&engine, "aaa");
    put(&engine, "aaa", "k", b"one").unwrap();
    delete(&engine, "aaa", "k").unwrap();
    engine.undelete(&object("aaa", "k", Op::Put)).wait().unwrap();
    let first = put(&engine, "aaa", "e", b"erased").unwrap();
    put(&engine, "aaa", "e", b"kept").unwrap();
    engine
        .erase(
            &object("aaa", "e", Op::Erase),
            first.version,
            Preconditions::default(),
        )
        .wait()
        .unwrap();
    assert_eq!(batch(&engine, "aaa", &["b/1", "b/2"]), 8);
    put_with(&engine, "aaa", "t", b"ends", &[("x-wfldb-ttl", "60")]).unwrap();
    clock.forward(Duration::from_secs(61));
    expire(&engine.inner).unwrap();
    let all = all_since(&engine, "aaa", 0, 1000);
    let told = lines(&all);
    assert_eq!(
        told,
        [
            "2 put k",
            "3 delete k",
            "4 restore k",
            "5 put e",
            "6 put e",
            "7 erase e",
            "8 put b/1",
            "8 put b/2",
            "9 put t",
            "10 delete t",
            "10 expire t",
        ],
        "{told:#?}"
    );
    let kept = |seq: u64| all.iter().find(|change| change.seq.get() == seq).unwrap().keys[0].stored;
    assert_eq!(kept(5), None, "it was erased");
    assert_eq!(kept(6).map(|(_, len)| len), Some(4));
    assert!(
        all.iter()
            .all(|change| change.at >= first.modified || change.seq.get() < 5)
    );
    make_bucket(&engine, "bbb");
    configure(&engine, "bbb", r#"{"versions":{"keep":1}}"#);
    put(&engine, "bbb", "k", b"old").unwrap();
    put(&engine, "bbb", "k", b"new").unwrap();
    let told = lines(&all_since(&engine, "bbb", 0, 1000));
    assert_eq!(told, ["3 put k", "4 put k", "4 prune k"]);
    assert_sound(&engine);
}

/// Defects it catches: a gap or a repeat at the edge of a page or where a reader goes on; changes of another bucket.
#[test]
fn whoever_goes_on_anywhere_gets_exactly_the_rest() {
    let (_dir, _storage, engine) = in_memory(options());
    for bucket in ["aaa", "bbb"] {
        make_bucket(&engine, bucket);
    }
    for number in 0..20 {
        put(&engine, "aaa", &format!("k{number}"), b"x").unwrap();
        put(&engine, "bbb", "other", b"y").unwrap();
        if number % 5 == 0 {
            batch(&engine, "aaa", &["x", "y", "z"]);
        }
    }
    let all = all_since(&engine, "aaa", 0, 1000);
    assert_eq!(all.len(), 24);
    assert!(lines(&all).iter().all(|line| !line.ends_with("other")));
    for from in 0..=25 {
        let rest: Vec<_> = all
            .iter()
            .filter(|change| change.seq.get() > from)
            .cloned()
            .collect();
        for limit in [1, 2, 7, 1000] {
            assert_eq!(
                all_since(&engine, "aaa", from, limit),
                rest,
                "since {from} by {limit}"
            );
        }
    }
    let now = ChangesQuery {
        since: Since::Now,
        ..ChangesQuery::default()
    };
    let page = page(&engine, "aaa", &now).unwrap();
    assert!(page.changes.is_empty() && !page.more && page.last.get() == 25);
}

/// Writers at the same time, and followers that wait for news and go on where they were. A defect it catches: a change that
/// is committed between a follower's look and its wait.
#[test]
fn followers_of_concurrent_writers_see_every_change_once_and_in_order() {
    const WRITERS: usize = 4;
    const EACH: usize = 60;
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    make_bucket(&engine, "aaa");
    let followers: Vec<_> = [1, 3, 1000]
        .into_iter()
        .map(|limit| {
            let engine = engine.clone();
            thread::spawn(move || {
                let mut to_come = engine.changes_to_come(&watch("aaa")).unwrap();
                let mut query = ChangesQuery { limit, ..since(0) };
                let mut seen = Vec::new();
                while seen.len() < WRITERS * EACH {
                    let page = page(&engine, "aaa", &query).unwrap();
                    query.since = Since::Seq(page.last);
                    seen.extend(page.changes);
                    if !page.more && seen.len() < WRITERS * EACH {
                        assert!(to_come.wait(Duration::from_secs(30)), "news was missed");
                    }
                }
                seen
            })
        })
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let engine = engine.clone();
            thread::spawn(move || {
                for number in 0..EACH {
                    if number % 10 == 0 {
                        batch(
                            &engine,
                            "aaa",
                            &[&format!("b{writer}/1"), &format!("b{writer}/2")],
                        );
                    } else {
                        put(&engine, "aaa", &format!("k{writer}"), b"x").unwrap();
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    let all = all_since(&engine, "aaa", 0, 1000);
    let seqs: Vec<_> = all.iter().map(|change| change.seq.get()).collect();
    assert_eq!(seqs, (2..=1 + (WRITERS * EACH) as u64).collect::<Vec<_>>());
    for follower in followers {
        assert_eq!(follower.join().unwrap(), all);
    }
    assert_sound(&engine);
    // The same after a restart.
    engine.close().unwrap();
    let engine = open(dir.path());
    assert_eq!(all_since(&engine, "aaa", 0, 1000), all);
    put(&engine, "aaa", "after", b"x").unwrap();
    assert_eq!(lines(&all_since(&engine, "aaa", 241, 1000)), ["242 put after"]);
}

#[test]
fn a_prefix_shows_its_part_of_a_batch_and_moves_past_the_rest() {
    let (_dir, _storage, engine) = in_memory(options());
    make_bucket(&engine, "aaa");
    batch(&engine, "aaa", &["a/1", "b/1", "a/2"]);
    put(&engine, "aaa", "b/2", b"x").unwrap();
    let query = ChangesQuery {
        prefix: KeyPrefix::parse("a/").unwrap(),
        ..ChangesQuery::default()
    };
    let page = page(&engine, "aaa", &query).unwrap();
    assert_eq!(lines(&page.changes), ["2 put a/1", "2 put a/2"]);
    assert_eq!(page.last.get(), 3);
}

/// Defects it catches: a reader that is given another bucket's changes for those of the one it followed; one that skips
/// what is not there any more.
#[test]
fn a_reader_is_told_when_it_cannot_go_on() {
    let (_dir, storage, engine) = in_memory(options());
    make_bucket(&engine, "aaa");
    for _ in 0..5 {
        put(&engine, "aaa", "k", b"x").unwrap();
    }
    let refused = |query: &ChangesQuery| page(&engine, "aaa", query).unwrap_err().code();
    assert_eq!(refused(&since(7)), "SinceUnknown");
    let first = page(&engine, "aaa", &since(0)).unwrap().bucket;
    // Removed from the oldest on, as a log that is shortened would be.
    let place = |seq: u64| key::bucket_change(&first, Seq::new(seq));
    let remove = |seq: u64| {
        let writes = vec![(Space::Index, place(seq), None)];
        storage.commit(Batch { writes }).unwrap();
    };
    remove(1);
    remove(2);
    assert_eq!(refused(&since(0)), "TooOld");
    assert_eq!(refused(&since(1)), "TooOld");
    assert_eq!(lines(&page(&engine, "aaa", &since(2)).unwrap().changes).len(), 4);
    remove(4);
    assert_eq!(refused(&since(2)), "Corrupt");
    remove(6);
    assert_eq!(refused(&since(4)), "Corrupt", "the end is missing");

    let proof = of_bucket("aaa", Op::Manage);
    engine.delete_bucket(&proof, true).wait().unwrap();
    assert_eq!(
        page(&engine, "aaa", &since(0)).unwrap_err().code(),
        "NoSuchBucket"
    );
    until(|| {
        let snapshot = storage.snapshot();
        let all = key::changes_of(&first);
        snapshot
            .range(Space::Index, &all, &prefix_end(&all), false)
            .next()
            .is_none()
    });
    make_bucket(&engine, "aaa");
    let of_first = ChangesQuery {
        bucket: Some(first),
        ..since(0)
    };
    assert_eq!(refused(&of_first), "SinceUnknown");
    assert_sound(&engine);
}

/// Whoever waits when the bucket or the store goes is woken.
#[test]
fn the_end_of_a_bucket_and_of_a_store_is_news() {
    let (_dir, _storage, engine) = in_memory(options());
    make_bucket(&engine, "aaa");
    let mut to_come = engine.changes_to_come(&watch("aaa")).unwrap();
    engine
        .delete_bucket(&of_bucket("aaa", Op::Manage), true)
        .wait()
        .unwrap();
    assert!(to_come.wait(Duration::from_secs(10)));
    make_bucket(&engine, "bbb");
    let mut to_come = engine.changes_to_come(&watch("bbb")).unwrap();
    engine.close().unwrap();
    assert!(!to_come.wait(Duration::from_secs(10)));
}

#[test]
fn another_proof_shows_no_changes() {
    let (_dir, _storage, engine) = in_memory(options());
    make_bucket(&engine, "aaa");
    let proof = Authorized::local("test", Op::List, Target::Listing(name("aaa")));
    assert_eq!(engine.changes(&proof, &since(0)).unwrap_err().code(), "Forbidden");
    assert_eq!(engine.changes_to_come(&proof).unwrap_err().code(), "Forbidden");
}
