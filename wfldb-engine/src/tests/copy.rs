//! Copies share bytes within a bucket, and stand alone between buckets.

use super::*;
use crate::{CopySource, MemoryStorage};

fn source(bucket: &str, key: &str) -> CopySource {
    CopySource {
        bucket: name(bucket),
        key: ObjectKey::parse(key).unwrap(),
        version: None,
    }
}

fn copy(engine: &Engine, from: &CopySource, bucket: &str, key: &str) -> Result<PutOutcome, EngineError> {
    let proof = object(bucket, key, Op::Put);
    engine
        .copy(&proof, from, ObjectHeaders::default(), Preconditions::default())
        .wait()
}

/// Defects it catches: a copy without references of its own, whose chunks go with the source; one that is charged
/// stored bytes again.
#[test]
fn a_copy_outlives_its_source_and_within_a_bucket_stores_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::with_storage(Arc::new(MemoryStorage::new()), dir.path(), options()).unwrap();
    make_bucket(&engine, "aaa");
    make_bucket(&engine, "bbb");
    let large: Vec<u8> = (0..5_000_000u32).map(|n| (n / 7 % 251) as u8).collect();
    for (key, body) in [("small", b"words".as_slice()), ("large", &large), ("empty", b"")] {
        let headers = [
            ("content-type", "text/x"),
            ("x-wfldb-tags", "a=b"),
            ("x-wfldb-meta-m", "n"),
        ];
        let stored = put_with(&engine, "aaa", key, body, &headers).unwrap();
        let before = usage(&engine, "aaa").stored_bytes;
        for bucket in ["aaa", "bbb"] {
            let copied = copy(&engine, &source("aaa", key), bucket, &format!("copy/{key}")).unwrap();
            assert_eq!(copied.etag, stored.etag);
        }
        let inline = if body.len() <= 65_536 {
            body.len() as u64
        } else {
            0
        };
        assert_eq!(usage(&engine, "aaa").stored_bytes, before + inline);
        let erase = object("aaa", key, Op::Erase);
        engine
            .erase(&erase, stored.version, Preconditions::default())
            .wait()
            .unwrap()
            .unwrap();
    }
    engine.inner.chunks.close();
    for bucket in ["aaa", "bbb"] {
        for (key, body) in [("small", b"words".as_slice()), ("large", &large), ("empty", b"")] {
            let key = format!("copy/{key}");
            assert!(
                read(&engine, bucket, &key, Which::Newest).unwrap() == body,
                "{bucket}/{key}"
            );
            let reader = engine
                .object(&object(bucket, &key, Op::Get), Which::Newest)
                .unwrap();
            let headers = &reader.meta().headers;
            assert_eq!(headers.to_pairs().len(), 3, "{headers:?}");
        }
    }
    assert_eq!(usage(&engine, "bbb").stored_bytes, 5_000_005);
    assert_sound(&engine);
}

#[test]
fn what_is_given_with_a_copy_replaces_what_the_source_has() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::with_storage(Arc::new(MemoryStorage::new()), dir.path(), options()).unwrap();
    make_bucket(&engine, "aaa");
    let headers = [
        ("content-type", "text/x"),
        ("x-wfldb-tags", "a=b"),
        ("x-wfldb-ttl", "100"),
    ];
    let first = put_with(&engine, "aaa", "k", b"1", &headers).unwrap();
    put(&engine, "aaa", "k", b"2").unwrap();
    let given = ObjectHeaders::parse([("content-type", "text/y"), ("x-wfldb-meta-m", "n")]).unwrap();
    let from = CopySource {
        version: Some(first.version),
        ..source("aaa", "k")
    };
    // A key can be copied onto itself: so an old version becomes the newest.
    let proof = object("aaa", "k", Op::Put);
    engine
        .copy(&proof, &from, given, Preconditions::default())
        .wait()
        .unwrap();
    assert_eq!(read(&engine, "aaa", "k", Which::Newest).unwrap(), b"1");
    let reader = engine
        .object(&object("aaa", "k", Op::Get), Which::Newest)
        .unwrap();
    let headers = &reader.meta().headers;
    assert_eq!(headers.content_type.as_ref().unwrap().as_str(), "text/y");
    assert_eq!(
        (
            headers.tags.to_string().as_str(),
            headers.meta.len(),
            headers.ttl_seconds
        ),
        ("a=b", 1, None)
    );
    let nothing = copy(&engine, &source("aaa", "none"), "aaa", "x");
    assert!(matches!(nothing, Err(EngineError::NoSuchKey)), "{nothing:?}");
    let nowhere = copy(&engine, &source("ccc", "k"), "aaa", "x");
    assert!(matches!(nowhere, Err(EngineError::NoSuchBucket)), "{nowhere:?}");
}
