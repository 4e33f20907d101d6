//! What is removed for good is gone: rows, bytes, evidence; and nothing else is.

use wfldb_core::id::{LogPosition, VersionId};

use super::*;
use crate::row::key;
use crate::store::{Verdict, verify};
use crate::{Fault, MemoryStorage, Space, Storage, Usage};

fn erase(engine: &Engine, object_key: &str, version: VersionId) -> Result<bool, EngineError> {
    let proof = object("aaa", object_key, Op::Erase);
    let erased = engine.erase(&proof, version, Preconditions::default()).wait()?;
    Ok(erased.is_some())
}

/// Defects it catches: leaving the evidence, a body or a reference; removing a chunk that another version shares;
/// keeping the file of one that none does.
#[test]
fn an_erased_version_leaves_no_bytes_and_takes_nobody_elses() {
    let dir = tempfile::tempdir().unwrap();
    let storage = MemoryStorage::new();
    let engine = Engine::with_storage(Arc::new(storage.clone()), dir.path(), options()).unwrap();
    make_bucket(&engine, "aaa");
    let large = vec![9; 100_000];
    let chunks = dir.path().join("chunks");
    let small = put(&engine, "aaa", "small", b"secret words").unwrap();
    let first = put(&engine, "aaa", "first", &large).unwrap();
    let second = put(&engine, "aaa", "second", &large).unwrap();
    assert_eq!((usage(&engine, "aaa").stored_bytes, files(&chunks)), (100_012, 1));

    assert!(erase(&engine, "small", small.version).unwrap());
    assert!(!erase(&engine, "small", small.version).unwrap(), "once");
    let holds = |needle: &[u8]| {
        let rows = storage.dump();
        rows.iter()
            .any(|(_, _, value)| value.windows(needle.len()).any(|part| part == needle))
    };
    assert!(!holds(b"secret words"));
    let evidence = |position: u64| {
        let row = key::evidence(LogPosition::new(position));
        storage.snapshot().get(Space::Log, &row).unwrap().is_some()
    };
    // The bucket was the first change, the small object the second, its erasure the fifth.
    assert_eq!(
        (evidence(1), evidence(2), evidence(3), evidence(5)),
        (true, false, true, true)
    );

    assert!(erase(&engine, "first", first.version).unwrap());
    assert_eq!(read(&engine, "aaa", "second", Which::Newest).unwrap(), large);
    assert_eq!((usage(&engine, "aaa").stored_bytes, files(&chunks)), (100_000, 1));
    assert!(erase(&engine, "second", second.version).unwrap());
    until(|| files(&chunks) == 0);
    assert_eq!(usage(&engine, "aaa"), Usage::default());
    // A bucket whose versions are all gone is empty.
    engine
        .delete_bucket(&of_bucket("aaa", Op::Manage), false)
        .wait()
        .unwrap();
}

/// A defect it catches: `verify` taking an erased newest version for a lost one, so that the store opens read-only.
#[test]
fn a_store_with_erasures_opens_again_and_one_with_a_lost_erasure_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let storage = MemoryStorage::new();
    let engine = Engine::with_storage(Arc::new(storage.clone()), dir.path(), options()).unwrap();
    make_bucket(&engine, "aaa");
    let old = put(&engine, "aaa", "k", b"1").unwrap();
    let new = put(&engine, "aaa", "k", b"2").unwrap();
    let row_key = key::version(
        &engine.bucket(&of_bucket("aaa", Op::Manage)).unwrap().id,
        &ObjectKey::parse("k").unwrap(),
        &new.version,
    );
    let row = storage.snapshot().get(Space::Versions, &row_key).unwrap();
    assert!(erase(&engine, "k", new.version).unwrap());
    assert_eq!(read(&engine, "aaa", "k", Which::Newest).unwrap(), b"1");
    assert_eq!(
        engine
            .object(&object("aaa", "k", Op::Get), Which::Newest)
            .unwrap()
            .meta()
            .version,
        old.version
    );
    engine.close().unwrap();
    let mark = |storage: &MemoryStorage| {
        let row = storage.snapshot().get(Space::Meta, key::COMMIT_MARK).unwrap();
        crate::row::CommitMark::decode(&row.unwrap()).unwrap()
    };
    let verdict = |storage: &MemoryStorage| verify(&*storage.snapshot(), Some(mark(storage)));
    assert!(
        matches!(verdict(&storage), Verdict::Sound(_)),
        "{:?}",
        verdict(&storage)
    );
    let writes = vec![(Space::Versions, row_key, row)];
    storage.commit(crate::Batch { writes }).unwrap();
    assert!(matches!(verdict(&storage), Verdict::Damaged(why, _) if why.contains("is there again")));
}

/// INVARIANT 3. Restoring takes bytes from a version that may be erased before its commit: it is refused then, and whole
/// when it was first. A defect it catches: not looking for the source in the commit.
#[test]
fn a_restore_beside_an_erasure_is_refused_or_whole() {
    let dir = tempfile::tempdir().unwrap();
    let storage = MemoryStorage::new();
    let engine = Engine::with_storage(Arc::new(storage.clone()), dir.path(), options()).unwrap();
    make_bucket(&engine, "aaa");
    for erase_first in [true, false] {
        let key = format!("{erase_first}");
        let body = vec![u8::from(erase_first); 70_000];
        let stored = put(&engine, "aaa", &key, &body).unwrap();
        delete(&engine, "aaa", &key).unwrap();
        // The committer hangs in another write, so that both are planned before either is committed.
        storage.inject(Fault::Stall);
        let proof = object("aaa", "other", Op::Put);
        let upload = engine.begin_upload(&proof, ContentDigest::of(b"")).unwrap();
        let other = engine.put(
            &proof,
            upload.finish().unwrap(),
            ObjectHeaders::default(),
            Preconditions::default(),
        );
        until(|| engine.stats().waiting == 0);
        let undelete = || engine.undelete(&object("aaa", &key, Op::Put));
        let erase = || {
            let proof = object("aaa", &key, Op::Erase);
            engine.erase(&proof, stored.version, Preconditions::default())
        };
        let (erased, restored) = if erase_first {
            let erased = erase();
            (erased, undelete())
        } else {
            let restored = undelete();
            (erase(), restored)
        };
        storage.inject(Fault::None);
        other.wait().unwrap();
        assert!(erased.wait().unwrap().is_some());
        let restored = restored.wait();
        if erase_first {
            assert!(matches!(restored, Err(EngineError::NoSuchKey)), "{restored:?}");
        } else {
            restored.unwrap();
            assert!(read(&engine, "aaa", &key, Which::Newest).unwrap() == body);
        }
    }
}
