//! Documents in transactions: planned in the commit, beside objects of other buckets.

use wfldb_core::object::BucketKind;

use super::*;
use crate::Fault;

fn with_documents() -> (tempfile::TempDir, MemoryStorage, Engine) {
    let (dir, storage, engine) = two_buckets();
    let config = BucketConfig {
        kind: BucketKind::Documents,
        ..BucketConfig::default()
    };
    let proof = of_bucket("docs", Op::Manage);
    engine.put_bucket(&proof, config).wait().unwrap();
    (dir, storage, engine)
}

fn member(engine: &Engine, key: &str, name: &str) -> String {
    let read = engine
        .document(&object("docs", key, Op::Get), Which::Newest)
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&read.json).unwrap();
    json[name].to_string()
}

/// Defects it catches: a document that is stored as it was given; one whose envelope does not go on; a text that is none.
#[test]
fn documents_and_objects_are_written_together() {
    let (_dir, _, engine) = with_documents();
    for n in 1..=3u8 {
        let mut tx = begin(&engine);
        set(&mut tx, "docs", "d", format!(r#"{{"n":{n}}}"#).as_bytes()).unwrap();
        set(&mut tx, "aaa", "o", &[n]).unwrap();
        let seen = get(&mut tx, "docs", "d").unwrap().unwrap();
        assert_eq!(seen, format!(r#"{{"n":{n}}}"#).into_bytes());
        let done = commit(tx).unwrap();
        assert_eq!(done.buckets.len(), 2);
        assert_eq!(
            (member(&engine, "d", "_v"), member(&engine, "d", "n")),
            (n.to_string(), n.to_string())
        );
    }
    let mut tx = begin(&engine);
    let stored = get(&mut tx, "docs", "d").unwrap().unwrap();
    let read = engine
        .document(&object("docs", "d", Op::Get), Which::Newest)
        .unwrap();
    assert_eq!(stored, read.json, "with its signature");
    for text in ["", "[]", r#"{"a":1,"a":2}"#, "{"] {
        let refused = set(&mut tx, "docs", "d", text.as_bytes());
        assert!(matches!(refused, Err(EngineError::Json(_))), "{text}");
    }
    let proof = object("aaa", "o", Op::Put);
    let json = Bytes::from_static(b"{}");
    let wrong = tx.put_document(&proof, json, ObjectHeaders::default(), &Preconditions::default());
    assert!(matches!(wrong, Err(EngineError::NotDocuments)));
    // What only the planner finds is refused in the commit, with its place, and nothing is written.
    set(&mut tx, "aaa", "o", b"no").unwrap();
    set(&mut tx, "docs", "e", br#"{"_id":"other"}"#).unwrap();
    let refused = commit(tx);
    assert!(
        matches!(refused, Err(EngineError::Entry { index: 1, .. })),
        "{refused:?}"
    );
    assert_eq!(read_object(&engine), [3]);
    assert_sound(&engine);
}

fn read_object(engine: &Engine) -> Vec<u8> {
    read(engine, "aaa", "o", Which::Newest).unwrap()
}

/// Another version that comes between plan and commit: what was not read is planned again, what was read is a conflict. A
/// defect it catches: a document that is planned again although the transaction has read it.
#[test]
fn a_stale_document_is_planned_again_only_while_the_reads_hold() {
    let (_dir, storage, engine) = with_documents();
    let put = |json: &'static str| {
        let proof = object("docs", "d", Op::Put);
        engine.put_document(
            &proof,
            json.as_bytes(),
            ObjectHeaders::default(),
            Preconditions::default(),
        )
    };
    put(r#"{"n":1}"#).wait().unwrap();
    for reads in [false, true] {
        let mut tx = begin(&engine);
        if reads {
            get(&mut tx, "docs", "d").unwrap().unwrap();
        }
        set(&mut tx, "docs", "d", br#"{"mine":true}"#).unwrap();
        storage.inject(Fault::Stall);
        let other = put(r#"{"n":2}"#);
        until(|| engine.inner.committer().waiting() == 0);
        let planned = tx.submit(&begins());
        storage.inject(Fault::None);
        other.wait().unwrap();
        let first = planned.wait();
        if reads {
            assert!(is_conflict(&first), "{first:?}");
            assert!(is_conflict(&commit(tx)));
            assert_eq!(member(&engine, "d", "n"), "2");
        } else {
            assert!(first.is_err_and(|error| error.is_stale()));
            commit(tx).unwrap();
            assert_eq!(
                (member(&engine, "d", "_v"), member(&engine, "d", "mine")),
                ("3".to_owned(), "true".to_owned())
            );
        }
    }
    assert_sound(&engine);
}
