//! Building: beside writers, across crashes, and taken back.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::Fault;

fn by_age() -> Value {
    json!({"index": {"fields": ["age", {"name": "desc"}]}, "name": "by-age"})
}

fn person(n: usize) -> Value {
    json!({"age": n % 7, "name": format!("n{}", n % 13), "tags": [n, n + 1]})
}

/// DEFECT: a document that was written again with the same values while the worker was about to come to it: the write
/// leaves out what it thinks is there, the worker passes over it, and it has no row.
#[test]
fn a_build_that_races_writers_misses_nothing() {
    for round in 0..4usize {
        let place = Place::new();
        let engine = &place.engine;
        for n in 0..60 {
            store(engine, &format!("k{n:02}"), &person(n)).unwrap();
        }
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..2usize)
            .map(|writer| {
                let (engine, stop) = (engine.clone(), Arc::clone(&stop));
                std::thread::spawn(move || {
                    for n in (0..).map(|n| n * 7 + writer + round) {
                        if stop.load(Ordering::SeqCst) {
                            return;
                        }
                        let key = format!("k{:02}", n % 70);
                        match n % 5 {
                            0 => drop(delete(&engine, BUCKET, &key)),
                            // With the same values as before.
                            1 | 2 => drop(store(&engine, &key, &person(n % 70)).unwrap()),
                            _ => drop(store(&engine, &key, &person(n)).unwrap()),
                        }
                    }
                })
            })
            .collect();
        index(engine, &by_age());
        index(engine, &json!({"index": {"fields": ["tags"]}, "sparse": true}));
        stop.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.join().unwrap();
        }
        assert_follows(engine);
        assert_sound(engine);
    }
}

/// A process that ends at any commit of a build, with or without that commit; the next one goes on.
#[test]
fn a_build_that_was_cut_off_goes_on() {
    for cut in 0..8u64 {
        for fault in [Fault::FailAbsent, Fault::FailPresent] {
            let place = Place::new();
            for n in 0..50 {
                store(&place.engine, &format!("k{n:02}"), &person(n)).unwrap();
            }
            place.storage.inject_after(cut, fault);
            let defined = define(&place.engine, &by_age());
            let proof = of_bucket(BUCKET, Op::Manage);
            until(|| place.engine.health().writable.is_err());
            drop(place.engine);
            let storage = place.storage.reopened();
            let engine = engine_on(&storage, place.dir.path(), options());
            // The first commit is the definition's.
            if cut == 0 && fault == Fault::FailAbsent {
                assert!(defined.is_err() && engine.indexes(&proof).unwrap().is_empty());
                continue;
            }
            let name = IndexName::parse("by-age").unwrap();
            assert_eq!(built(&engine, &name).progress, IndexProgress::Ready, "cut {cut}");
            assert_follows(&engine);
            assert_sound(&engine);
        }
    }
}

#[test]
fn a_dropped_index_leaves_nothing_and_its_number_is_not_given_again() {
    let place = Place::new();
    let engine = &place.engine;
    for n in 0..40 {
        store(engine, &format!("k{n:02}"), &person(n)).unwrap();
    }
    let name = index(engine, &by_age());
    assert_eq!(rows_in_storage(&place.storage), 40);
    drop_index(engine, &name);
    // The same name at once, while the old rows go.
    let name = index(engine, &json!({"index": {"fields": ["name"]}, "name": "by-age"}));
    until(|| rows_in_storage(&place.storage) == 40);
    assert_follows(engine);
    // Taken back while it is being built.
    for _ in 0..5 {
        let other = define(engine, &json!({"index": {"fields": ["tags"]}})).unwrap();
        drop_index(engine, &other);
    }
    until(|| rows_in_storage(&place.storage) == 40);
    assert_eq!(built(engine, &name).progress, IndexProgress::Ready);
    assert_sound(engine);
    // A deleted bucket takes everything along.
    let proof = of_bucket(BUCKET, Op::Manage);
    engine
        .delete_bucket(&of_bucket(BUCKET, Op::Erase), true)
        .wait()
        .unwrap();
    until(|| {
        place
            .storage
            .dump()
            .iter()
            .all(|(space, ..)| *space != Space::Index)
    });
    assert!(matches!(engine.indexes(&proof), Err(EngineError::NoSuchBucket)));
}

#[test]
fn a_document_that_an_index_cannot_hold_is_refused_and_fails_a_build() {
    let place = Place::new();
    let engine = &place.engine;
    let many: Vec<usize> = (0..wfldb_core::limits::INDEX_ENTRIES_MAX).collect();
    let first = index(engine, &json!({"index": {"fields": ["tags"]}, "name": "tags"}));
    let refused = store(engine, "a", &json!({"tags": many})).unwrap_err();
    assert_eq!(refused.code(), "TooManyIndexEntries");
    drop_index(engine, &first);
    store(engine, "a", &json!({"tags": many})).unwrap();
    let again = define(engine, &json!({"index": {"fields": ["tags"]}, "name": "tags"})).unwrap();
    assert!(matches!(built(engine, &again).progress, IndexProgress::Failed(_)));
    // A newer version that fits is in no index that failed, and takes nothing away.
    store(engine, "a", &json!({"tags": [1]})).unwrap();
    until(|| rows_in_storage(&place.storage) == 0);
    assert_sound(engine);
}

/// Tables of a real storage: what is not there is answered by their filters.
#[test]
fn looking_for_keys_that_are_not_there_reads_no_tables() {
    let dir = tempfile::tempdir().unwrap();
    let storage = crate::FjallStorage::open(dir.path(), 1 << 20).unwrap();
    for table in 0..4u32 {
        let row = |n: u32| {
            let row = [b"rows".as_slice(), &(n * 4 + table).to_be_bytes()].concat();
            (Space::Index, Bytes::from(row), Some(Bytes::from_static(b"v")))
        };
        let writes = (0..2000).map(row).collect();
        storage.commit(crate::Batch { writes }).unwrap();
        storage.compact().unwrap();
    }
    let snapshot = storage.snapshot();
    let before = storage.figures().filter_skips;
    for n in 0..1000u32 {
        let absent = [b"rows".as_slice(), &n.to_be_bytes(), b"?"].concat();
        assert!(snapshot.get(Space::Index, &absent).unwrap().is_none());
    }
    let skipped = storage.figures().filter_skips - before;
    assert!(skipped > 900, "{skipped} of 1000");
}
