//! All of a transaction or nothing, in every bucket: under refusals, crashes, retention and quotas, in the log, for the
//! check, for receipts, in backups.

use super::*;
use crate::row::{Action, ChangeRow, CommitMark, key};
use crate::store::{Verdict, verify};
use crate::{Fault, Space, Storage};

fn change_at(storage: &MemoryStorage, position: u64) -> ChangeRow {
    let row = key::change(wfldb_core::id::LogPosition::new(position));
    ChangeRow::decode(&storage.snapshot().get(Space::Log, &row).unwrap().unwrap()).unwrap()
}

fn mark(storage: &MemoryStorage) -> CommitMark {
    let row = storage.snapshot().get(Space::Meta, key::COMMIT_MARK).unwrap();
    CommitMark::decode(&row.unwrap()).unwrap()
}

/// Defects it catches: a position for each bucket; a `seq` that only one of them gets; counters of one bucket only; a change
/// that a start or the check does not understand.
#[test]
fn a_transaction_is_one_change_of_several_buckets() {
    let (_dir, storage, engine) = two_buckets();
    put(&engine, "aaa", "old", b"old").unwrap();
    let before = mark(&storage);
    let mut tx = begin(&engine);
    set(&mut tx, "bbb", "y", &vec![7; 70_000]).unwrap();
    set(&mut tx, "aaa", "x", b"1").unwrap();
    unset(&mut tx, "aaa", "old").unwrap();
    unset(&mut tx, "bbb", "nothing").unwrap();
    set(&mut tx, "aaa", "x", b"2").unwrap();
    let done = commit(tx).unwrap();
    let seqs: Vec<_> = done
        .buckets
        .iter()
        .map(|(bucket, seq)| (bucket.to_string(), seq.get()))
        .collect();
    assert_eq!(seqs, [("aaa".to_owned(), 3), ("bbb".to_owned(), 2)]);
    let writes: Vec<_> = done
        .writes
        .iter()
        .map(|write| {
            (
                write.key.to_string(),
                write.version.is_some(),
                write.etag.is_some(),
            )
        })
        .collect();
    let expected = [
        ("y", true, true),
        ("old", true, false),
        ("nothing", false, false),
        ("x", true, true),
    ];
    assert_eq!(
        writes,
        expected.map(|(key, version, etag)| (key.to_owned(), version, etag))
    );
    let after = mark(&storage);
    assert_eq!(after.position.get(), before.position.get() + 1);
    assert_eq!(after.leaves, before.leaves + 1);
    let change = change_at(&storage, after.position.get());
    assert_eq!(change.action, Action::Transaction);
    assert_eq!(change.effects().count(), 3);
    assert_eq!(change.touched().count(), 2);
    assert!(read(&engine, "bbb", "y", Which::Newest).unwrap() == vec![7; 70_000]);
    assert_eq!(read(&engine, "aaa", "x", Which::Newest).unwrap(), b"2");
    assert_eq!(put(&engine, "bbb", "next", b"").unwrap().seq.get(), 3);
    assert!(matches!(
        verify(&*storage.snapshot(), Some(mark(&storage))),
        Verdict::Sound(_)
    ));
    assert_sound(&engine);

    // One bucket: as a batch.
    let mut tx = begin(&engine);
    set(&mut tx, "aaa", "x", b"3").unwrap();
    set(&mut tx, "aaa", "z", b"3").unwrap();
    assert_eq!(commit(tx).unwrap().buckets.len(), 1);
    assert_eq!(
        change_at(&storage, mark(&storage).position.get()).action,
        Action::Batch
    );
    assert_sound(&engine);
    // Nothing at all.
    let at = mark(&storage).position;
    let mut tx = begin(&engine);
    unset(&mut tx, "aaa", "nothing").unwrap();
    let done = commit(tx).unwrap();
    assert!(done.buckets.is_empty() && done.writes.len() == 1);
    assert_eq!(mark(&storage).position, at);
}

/// A write that is refused in the last bucket leaves nothing in the first. A defect it catches: a bucket's counters that
/// stay moved.
#[test]
fn a_refused_transaction_leaves_no_row() {
    let (dir, storage, engine) = two_buckets();
    configure(&engine, "bbb", r#"{"quota_bytes":10}"#);
    let before = storage.dump();
    let mut tx = begin(&engine);
    set(&mut tx, "aaa", "x", &vec![1; 70_000]).unwrap();
    set(&mut tx, "bbb", "y", b"12345678901").unwrap();
    let refused = commit(tx);
    let Err(EngineError::Entry { index: 1, error }) = refused else {
        panic!("{refused:?}")
    };
    assert!(matches!(*error, EngineError::QuotaExceeded));
    assert!(storage.dump() == before);
    until(|| files(&dir.path().join("chunks")) == 0);
    // So does one that was overtaken.
    let mut tx = begin(&engine);
    get(&mut tx, "aaa", "x").unwrap();
    set(&mut tx, "aaa", "y", b"").unwrap();
    set(&mut tx, "bbb", "y", b"").unwrap();
    put(&engine, "aaa", "x", b"").unwrap();
    let before = storage.dump();
    assert!(is_conflict(&commit(tx)));
    assert!(storage.dump() == before);
}

/// After a failure of the storage everything is there or nothing, in both buckets. Defects it catches: two batches; an answer
/// that promises what is not known.
#[test]
fn a_crash_leaves_all_or_nothing_of_several_buckets() {
    for (fault, there) in [(Fault::FailAbsent, false), (Fault::FailPresent, true)] {
        let (dir, storage, engine) = two_buckets();
        let mut tx = begin(&engine);
        set(&mut tx, "aaa", "x", b"1").unwrap();
        set(&mut tx, "bbb", "y", b"1").unwrap();
        storage.inject(fault);
        let unknown = commit(tx);
        assert!(matches!(unknown, Err(EngineError::OutcomeUnknown)), "{unknown:?}");
        drop(engine);
        storage.inject(Fault::None);
        let engine = Engine::with_storage(Arc::new(storage.reopened()), dir.path(), options()).unwrap();
        for (bucket, key) in [("aaa", "x"), ("bbb", "y")] {
            assert_eq!(read(&engine, bucket, key, Which::Newest).is_ok(), there);
        }
        assert_sound(&engine);
    }
}

/// Whatever is looked at while transactions go on has all of each or none of it, in the rows and in the log; and so has
/// the store when it is opened again. A defect it catches: a bucket's rows in a batch of their own.
#[test]
fn every_look_sees_all_of_a_transaction_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    make_bucket(&engine, "aaa");
    make_bucket(&engine, "bbb");
    let done = AtomicU64::new(0);
    let mut looks = 0;
    std::thread::scope(|threads| {
        for writer in 0..2u8 {
            let (engine, done) = (engine.clone(), &done);
            threads.spawn(move || {
                for n in 0..40u8 {
                    let mut tx = begin(&engine);
                    for bucket in ["aaa", "bbb"] {
                        set(&mut tx, bucket, "x", &[writer, n]).unwrap();
                    }
                    commit(tx).unwrap();
                }
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        loop {
            let last = done.load(Ordering::SeqCst) == 2;
            let verdict = verify(&*engine.inner.storage.snapshot(), Some(CommitMark::ZERO));
            assert!(matches!(verdict, Verdict::Sound(_)), "{verdict:?}");
            let mut tx = begin(&engine);
            assert_eq!(
                get(&mut tx, "aaa", "x").unwrap(),
                get(&mut tx, "bbb", "x").unwrap()
            );
            looks += 1;
            if last {
                break;
            }
        }
    });
    assert!(looks > 1, "no look while they wrote");
    engine.close().unwrap();
    let engine = open(dir.path());
    assert_sound(&engine);
    assert!(engine.health().writable.is_ok());
    let body = |bucket| read(&engine, bucket, "x", Which::Newest).unwrap();
    assert_eq!(body("aaa"), body("bbb"));
}

/// Retention goes on in every bucket, and what proves the change stays until the last version of all buckets goes. A defect
/// it catches: evidence that goes with the versions of one bucket.
#[test]
fn the_evidence_goes_with_the_last_version_of_all_buckets() {
    let (_dir, storage, engine) = two_buckets();
    configure(&engine, "bbb", r#"{"versions":{"keep":1}}"#);
    let mut tx = begin(&engine);
    set(&mut tx, "aaa", "x", b"1").unwrap();
    set(&mut tx, "bbb", "x", b"1").unwrap();
    commit(tx).unwrap();
    let position = mark(&storage).position;
    let evidence = || {
        let row = key::evidence(position);
        storage.snapshot().get(Space::Log, &row).unwrap().is_some()
    };
    let mut tx = begin(&engine);
    set(&mut tx, "aaa", "y", b"2").unwrap();
    set(&mut tx, "bbb", "x", b"2").unwrap();
    commit(tx).unwrap();
    assert_eq!(usage(&engine, "bbb").versions, 1);
    assert!(evidence());
    assert_sound(&engine);
    let versions = engine.versions(&object("aaa", "x", Op::Get), None, 1).unwrap();
    let erase = object("aaa", "x", Op::Erase);
    engine
        .erase(&erase, versions.items[0].version, Preconditions::default())
        .wait()
        .unwrap();
    assert!(!evidence());
    assert_sound(&engine);
    assert!(matches!(
        verify(&*storage.snapshot(), Some(mark(&storage))),
        Verdict::Sound(_)
    ));
}

/// What is erased or pruned cannot be read out of an older snapshot. A defect it catches: bytes that come back.
#[test]
fn what_was_erased_is_not_read_any_more() {
    let (_dir, _, engine) = two_buckets();
    let first = put(&engine, "aaa", "x", b"secret").unwrap();
    put(&engine, "aaa", "z", &vec![3; 70_000]).unwrap();
    let mut tx = begin(&engine);
    assert_eq!(keys(&mut tx, "aaa", "").unwrap(), ["x", "z"]);
    engine
        .erase(
            &object("aaa", "x", Op::Erase),
            first.version,
            Preconditions::default(),
        )
        .wait()
        .unwrap();
    assert!(is_conflict(&get(&mut tx, "aaa", "x")));
    assert_eq!(get(&mut tx, "aaa", "z").unwrap().unwrap(), vec![3; 70_000]);
}
