//! Batches: all or nothing, one `seq`.

use wfldb_core::object::EtagCondition;

use super::*;
use crate::row::key;
use crate::store::{Verdict, verify};
use crate::{BatchAction, BatchOp, BatchOutcome, MemoryStorage, Space, Storage};

fn put_op(key: &str, body: &[u8]) -> BatchOp {
    BatchOp {
        key: ObjectKey::parse(key).unwrap(),
        preconditions: Preconditions::default(),
        action: BatchAction::Put {
            body: Bytes::copy_from_slice(body),
            headers: Box::default(),
        },
    }
}

fn op(key: &str, action: BatchAction, preconditions: Preconditions) -> BatchOp {
    BatchOp {
        key: ObjectKey::parse(key).unwrap(),
        preconditions,
        action,
    }
}

fn exists() -> Preconditions {
    Preconditions {
        if_match: Some(EtagCondition::Any),
        ..Preconditions::default()
    }
}

fn absent() -> Preconditions {
    Preconditions {
        if_none_match_any: true,
        ..Preconditions::default()
    }
}

fn batch(engine: &Engine, ops: Vec<BatchOp>) -> Result<BatchOutcome, EngineError> {
    let proof = Authorized::local("test", Op::Put, Target::Batch(name("aaa")));
    engine.batch(&proof, ops).wait()
}

/// Defects it catches: a refused batch that leaves the rows of its first entries; counters or charges that stay moved;
/// an entry that does not see those before it.
#[test]
fn a_batch_happens_whole_under_one_seq_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let storage = MemoryStorage::new();
    let engine = Engine::with_storage(Arc::new(storage.clone()), dir.path(), options()).unwrap();
    make_bucket(&engine, "aaa");
    put(&engine, "aaa", "old", b"old").unwrap();
    let large = vec![5; 70_000];
    let done = batch(
        &engine,
        vec![
            put_op("a", b"1"),
            put_op("b", &large),
            op("old", BatchAction::Delete, exists()),
            op("nothing", BatchAction::Delete, Preconditions::default()),
            op("free", BatchAction::Check, absent()),
        ],
    )
    .unwrap();
    assert_eq!(done.seq.unwrap().get(), 3);
    let kinds: Vec<_> = done
        .results
        .iter()
        .map(|result| result.map(|(_, etag)| etag.is_some()))
        .collect();
    assert_eq!(kinds, [Some(true), Some(true), Some(false), None, None]);
    assert!(read(&engine, "aaa", "b", Which::Newest).unwrap() == large);
    assert_eq!(put(&engine, "aaa", "next", b"").unwrap().seq.get(), 4);

    let before = storage.dump();
    let refused = batch(
        &engine,
        vec![
            put_op("a", b"2"),
            put_op("c", &vec![6; 70_000]),
            op("a/none", BatchAction::Check, exists()),
        ],
    );
    let Err(EngineError::Entry { index, error }) = refused else {
        panic!("{refused:?}")
    };
    assert!(index == 2 && matches!(*error, EngineError::PreconditionFailed));
    assert!(storage.dump() == before, "a refused batch leaves no row");
    until(|| files(&dir.path().join("chunks")) == 1);
    // Nothing but looks writes nothing.
    let looked = batch(&engine, vec![op("a", BatchAction::Check, exists())]).unwrap();
    assert_eq!(looked.seq, None);

    let twice = batch(&engine, vec![put_op("x", b""), put_op("x", b"")]);
    assert!(
        matches!(twice, Err(EngineError::Entry { index: 1, .. })),
        "{twice:?}"
    );
    let reserved = batch(&engine, vec![put_op("scan", b"")]);
    assert!(
        matches!(reserved, Err(EngineError::Entry { index: 0, .. })),
        "{reserved:?}"
    );
    let many = batch(&engine, (0..1001).map(|n| put_op(&n.to_string(), b"")).collect());
    assert!(matches!(many, Err(EngineError::TooLarge)), "{many:?}");
}

/// What proves a batch stays until the last of its versions goes, and the log of it is checked at a start. A defect it
/// catches: evidence that goes with the first version.
#[test]
fn the_evidence_of_a_batch_goes_with_its_last_version() {
    let dir = tempfile::tempdir().unwrap();
    let storage = MemoryStorage::new();
    let engine = Engine::with_storage(Arc::new(storage.clone()), dir.path(), options()).unwrap();
    make_bucket(&engine, "aaa");
    let done = batch(&engine, vec![put_op("a", b"1"), put_op("b", b"2")]).unwrap();
    let evidence = |storage: &MemoryStorage| {
        let row = key::evidence(wfldb_core::id::LogPosition::new(2));
        storage.snapshot().get(Space::Log, &row).unwrap().is_some()
    };
    for (key, left) in [("a", true), ("b", false)] {
        let version = done.results[usize::from(key == "b")].unwrap().0;
        let proof = object("aaa", key, Op::Erase);
        engine
            .erase(&proof, version, Preconditions::default())
            .wait()
            .unwrap()
            .unwrap();
        assert_eq!(evidence(&storage), left);
        let snapshot = storage.snapshot();
        let mark = snapshot.get(Space::Meta, key::COMMIT_MARK).unwrap().unwrap();
        let mark = crate::row::CommitMark::decode(&mark).unwrap();
        assert!(matches!(verify(&*snapshot, Some(mark)), Verdict::Sound(_)));
        assert_sound(&engine);
    }
    let log = storage.snapshot().range(Space::Log, b"s", b"t", false).count();
    assert_eq!(log, 0, "nothing is shared any more");
}
