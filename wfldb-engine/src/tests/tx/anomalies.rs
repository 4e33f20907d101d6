//! Each anomaly that serialisable transactions do not have, by its name, and the way that it would come about.

use super::*;

/// Two read the same and both write. A defect it catches: a commit that does not look at what was read.
#[test]
fn no_lost_update() {
    let (_dir, _, engine) = two_buckets();
    put(&engine, "aaa", "n", b"1").unwrap();
    let (mut one, mut other) = (begin(&engine), begin(&engine));
    for tx in [&mut one, &mut other] {
        assert_eq!(get(tx, "aaa", "n").unwrap().unwrap(), b"1");
        set(tx, "aaa", "n", b"2").unwrap();
    }
    commit(one).unwrap();
    let refused = commit(other);
    let Err(EngineError::TransactionConflict(changed)) = &refused else {
        panic!("{refused:?}")
    };
    let key = ObjectKey::parse("n").unwrap();
    assert_eq!(**changed, crate::Changed::Key(name("aaa"), key));
    assert_eq!(
        engine
            .versions(&object("aaa", "n", Op::Get), None, 10)
            .unwrap()
            .items
            .len(),
        2
    );
}

/// Two read both of two keys, of two buckets, and each writes another. A defect it catches: only what is written is
/// looked at.
#[test]
fn no_write_skew() {
    let (_dir, _, engine) = two_buckets();
    put(&engine, "aaa", "on-call", b"yes").unwrap();
    put(&engine, "bbb", "on-call", b"yes").unwrap();
    let (mut one, mut other) = (begin(&engine), begin(&engine));
    for (tx, own) in [(&mut one, "aaa"), (&mut other, "bbb")] {
        for bucket in ["aaa", "bbb"] {
            assert_eq!(get(tx, bucket, "on-call").unwrap().unwrap(), b"yes");
        }
        set(tx, own, "on-call", b"no").unwrap();
    }
    commit(other).unwrap();
    assert!(is_conflict(&commit(one)));
    assert_eq!(read(&engine, "aaa", "on-call", Which::Newest).unwrap(), b"yes");
}

/// One reads a key, another changes it and a second one, the first reads that. A defect it catches: reads that are not of
/// one snapshot.
#[test]
fn no_read_skew() {
    let (_dir, _, engine) = two_buckets();
    put(&engine, "aaa", "x", b"1").unwrap();
    put(&engine, "bbb", "y", b"1").unwrap();
    let mut reads = begin(&engine);
    assert_eq!(get(&mut reads, "aaa", "x").unwrap().unwrap(), b"1");
    let mut writes = begin(&engine);
    set(&mut writes, "aaa", "x", b"2").unwrap();
    set(&mut writes, "bbb", "y", b"2").unwrap();
    let done = commit(writes).unwrap();
    assert_eq!(done.buckets.len(), 2);
    assert_eq!(get(&mut reads, "bbb", "y").unwrap().unwrap(), b"1");
    assert_eq!(keys(&mut reads, "bbb", "").unwrap(), ["y"]);
    // It wrote nothing, so it saw what was so when it began.
    assert_eq!(commit(reads).unwrap(), Committed::default());
}

type Change = fn(&Engine);

/// What a range held, or did not, is read too. Defects it catches: points only; a range that is held against the snapshot
/// and not against what is before it in the group; a deletion that nobody notices; a page whose last key is its end.
#[test]
fn no_phantom() {
    let (_dir, _, engine) = two_buckets();
    for key in ["a/1", "a/2", "b/1"] {
        put(&engine, "aaa", key, b"").unwrap();
    }
    let count = |tx: &mut Transaction| {
        let found = keys(tx, "aaa", "a/").unwrap().len().to_string();
        set(tx, "bbb", "count", found.as_bytes()).unwrap();
    };
    let changes: [(Change, bool); 7] = [
        (|engine| assert!(put(engine, "aaa", "a/0", b"").is_ok()), true),
        (|engine| assert!(put(engine, "aaa", "a/9", b"").is_ok()), true),
        (
            |engine| assert!(put(engine, "aaa", "a/2", b"again").is_ok()),
            true,
        ),
        (|engine| assert!(delete(engine, "aaa", "a/1").is_ok()), true),
        (|engine| assert!(put(engine, "aaa", "a", b"").is_ok()), false),
        (|engine| assert!(put(engine, "aaa", "a0", b"").is_ok()), false),
        (|engine| assert!(delete(engine, "aaa", "b/1").is_ok()), false),
    ];
    for (at, (change, conflicts)) in changes.into_iter().enumerate() {
        let mut tx = begin(&engine);
        count(&mut tx);
        change(&engine);
        let done = commit(tx);
        assert_eq!(is_conflict(&done), conflicts, "{at}: {done:?}");
    }
    // A page ends with its last key: what comes behind it was not read.
    let first = TxRange {
        limit: 1,
        ..below("a/")
    };
    for (key, conflicts) in [("a/5", false), ("a/!", true)] {
        let mut tx = begin(&engine);
        let found = page(&mut tx, "aaa", &first).unwrap();
        assert!(found.more && found.items[0].key.as_str() == "a/0");
        set(&mut tx, "bbb", "count", b"1").unwrap();
        put(&engine, "aaa", key, b"").unwrap();
        assert_eq!(is_conflict(&commit(tx)), conflicts, "{key}");
        // The same key deleted again before the next round begins.
        delete(&engine, "aaa", key).unwrap();
    }
}

/// What is not committed is seen by nobody else, and by nobody at all after a roll-back. A defect it catches: writes that
/// go to the store as they are made.
#[test]
fn no_dirty_read() {
    let (_dir, storage, engine) = two_buckets();
    put(&engine, "aaa", "x", b"1").unwrap();
    let before = storage.dump();
    let mut writes = begin(&engine);
    set(&mut writes, "aaa", "x", b"2").unwrap();
    set(&mut writes, "aaa", "y", b"2").unwrap();
    assert_eq!(get(&mut writes, "aaa", "x").unwrap().unwrap(), b"2");
    let mut reads = begin(&engine);
    assert_eq!(get(&mut reads, "aaa", "x").unwrap().unwrap(), b"1");
    assert_eq!(keys(&mut reads, "aaa", "").unwrap(), ["x"]);
    assert_eq!(read(&engine, "aaa", "x", Which::Newest).unwrap(), b"1");
    drop(writes);
    assert!(storage.dump() == before);
}

/// That something was not there is read too: a key, a bucket. Defects it catches: absence that is not noted; a bucket that
/// went or came back under its name.
#[test]
fn what_was_absent_is_read_too() {
    let (_dir, _, engine) = two_buckets();
    let mut tx = begin(&engine);
    assert_eq!(get(&mut tx, "aaa", "none").unwrap(), None);
    set(&mut tx, "bbb", "x", b"").unwrap();
    put(&engine, "aaa", "none", b"").unwrap();
    assert!(is_conflict(&commit(tx)));

    let mut tx = begin(&engine);
    assert!(matches!(get(&mut tx, "ccc", "x"), Err(EngineError::NoSuchBucket)));
    set(&mut tx, "bbb", "x", b"").unwrap();
    make_bucket(&engine, "ccc");
    let refused = commit(tx);
    assert!(is_conflict(&refused), "{refused:?}");

    for again in [false, true] {
        let mut tx = begin(&engine);
        assert_eq!(get(&mut tx, "ccc", "x").unwrap(), None);
        set(&mut tx, "bbb", "x", b"").unwrap();
        engine
            .delete_bucket(&of_bucket("ccc", Op::Manage), false)
            .wait()
            .unwrap();
        if again {
            make_bucket(&engine, "ccc");
        }
        assert!(is_conflict(&commit(tx)), "{again}");
        if !again {
            make_bucket(&engine, "ccc");
        }
    }
}

/// Writes that are none of a transaction's count as well, in any group. A defect it catches: a look at the snapshot below
/// the group instead of the overlay.
#[test]
fn plans_of_the_same_group_are_seen() {
    let (_dir, storage, engine) = two_buckets();
    put(&engine, "bbb", "x", b"1").unwrap();
    storage.inject(crate::Fault::Stall);
    // The committer holds the first, and whatever comes meanwhile is one group.
    let stalled = engine.delete(&object("bbb", "x", Op::Delete), Preconditions::default());
    until(|| engine.inner.committer().waiting() == 0);
    let count = |n: u8, key: &str, range: bool| {
        let mut tx = begin(&engine);
        if range {
            keys(&mut tx, "aaa", "").unwrap();
        } else {
            get(&mut tx, "aaa", key).unwrap();
        }
        set(&mut tx, "aaa", key, &[n]).unwrap();
        tx.submit(&begins())
    };
    let waiting: Vec<_> = (0..12)
        .map(|n| count(n, &format!("k{}", n % 2), n >= 6))
        .collect();
    storage.inject(crate::Fault::None);
    stalled.wait().unwrap();
    let done: Vec<_> = waiting.into_iter().map(|waits| waits.wait().is_ok()).collect();
    // Two keys: the first of each goes through, and no range is as it was.
    assert_eq!(done.iter().filter(|done| **done).count(), 2, "{done:?}");
}

/// What ends by itself is gone for a commit after its end. A defect it catches: a bucket without a change that is not
/// looked at although something in it has ended.
#[test]
fn what_has_ended_was_overtaken() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let engine = Engine::with_storage(Arc::new(MemoryStorage::new()), dir.path(), clock.options()).unwrap();
    make_bucket(&engine, "aaa");
    make_bucket(&engine, "bbb");
    put_with(&engine, "aaa", "x", b"1", &[("x-wfldb-ttl", "60")]).unwrap();
    for range in [false, true] {
        let mut tx = begin(&engine);
        if range {
            assert_eq!(keys(&mut tx, "aaa", "").unwrap().len(), 1);
        } else {
            assert!(get(&mut tx, "aaa", "x").unwrap().is_some());
        }
        set(&mut tx, "bbb", "y", b"").unwrap();
        clock.forward(Duration::from_secs(61));
        assert!(is_conflict(&commit(tx)), "{range}");
        put_with(&engine, "aaa", "x", b"1", &[("x-wfldb-ttl", "60")]).unwrap();
    }
}

/// The closure is run again until it is not overtaken, and its own error ends it. Defects it catches: a closure that is run
/// once; one that is run again after an error of its own.
#[test]
fn closures_are_run_again_when_they_are_overtaken() {
    let (_dir, _, engine) = two_buckets();
    put(&engine, "aaa", "n", b"").unwrap();
    let mut runs = 0;
    let (len, done) = engine
        .transaction(&begins(), |tx| {
            runs += 1;
            let mut body = get(tx, "aaa", "n")?.unwrap();
            if runs < 3 {
                put(&engine, "aaa", "n", &vec![b'x'; runs]).unwrap();
            }
            body.push(b'!');
            set(tx, "aaa", "n", &body)?;
            Ok::<_, EngineError>(body.len())
        })
        .unwrap();
    assert_eq!((len, runs), (3, 3));
    assert_eq!(done.writes.len(), 1);
    assert_eq!(read(&engine, "aaa", "n", Which::Newest).unwrap(), b"xx!");
    let mut runs = 0;
    let refused = engine.transaction(&begins(), |tx| {
        runs += 1;
        set(tx, "aaa", "n", b"no")?;
        Err::<(), _>(EngineError::PreconditionFailed)
    });
    assert!(matches!(refused, Err(EngineError::PreconditionFailed)) && runs == 1);
    assert_eq!(read(&engine, "aaa", "n", Which::Newest).unwrap(), b"xx!");
}
