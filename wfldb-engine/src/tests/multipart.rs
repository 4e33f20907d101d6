//! Uploads in parts.

use wfldb_core::id::{ContentHash, UploadId};

use super::*;
use crate::lifecycle::expire;
use crate::row::key;
use crate::{MemoryStorage, Space, Storage};

const MIB: usize = 1024 * 1024;

fn bytes(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    // Cheap to make in a test: a random block, repeated with its number.
    let block: Vec<u8> = (0..4096).map(|_| next()).collect();
    let mut bytes = Vec::with_capacity(len + 4096);
    let mut n = 0u32;
    while bytes.len() < len {
        bytes.extend_from_slice(&n.to_be_bytes());
        bytes.extend_from_slice(&block[4..]);
        n += 1;
    }
    bytes.truncate(len);
    bytes
}

fn proof(key: &str) -> Authorized {
    object("aaa", key, Op::Put)
}

fn start(engine: &Engine, key: &str, part_mib: usize) -> UploadId {
    let headers = ObjectHeaders::parse([("content-type", "text/x"), ("x-wfldb-tags", "a=b")]).unwrap();
    engine
        .start_upload(&proof(key), (part_mib * MIB) as u64, headers)
        .wait()
        .unwrap()
}

fn put_part(
    engine: &Engine,
    key: &str,
    id: UploadId,
    number: u16,
    body: &[u8],
) -> Result<ContentHash, EngineError> {
    let mut part = engine.begin_part(&proof(key), id, number, ContentDigest::of(body))?;
    part.upload.write(body)?;
    engine.put_part(&proof(key), part.finish()?).wait()
}

fn complete(
    engine: &Engine,
    key: &str,
    id: UploadId,
    list: &[(u16, ContentHash)],
) -> Result<PutOutcome, EngineError> {
    engine
        .complete_upload(&proof(key), id, list, Preconditions::default())
        .wait()
}

fn memory() -> (tempfile::TempDir, MemoryStorage, Engine) {
    let dir = tempfile::tempdir().unwrap();
    let storage = MemoryStorage::new();
    let engine = Engine::with_storage(Arc::new(storage.clone()), dir.path(), options()).unwrap();
    make_bucket(&engine, "aaa");
    (dir, storage, engine)
}

/// Every size of part, every border of the last. Defects it catches: a value taken at the wrong offset; chunks of two
/// sizes in one object.
#[test]
fn an_object_made_of_parts_is_the_object() {
    let (_dir, _, engine) = memory();
    for (part_mib, len) in [
        (5, 11 * MIB + 1),
        (6, 12 * MIB),
        (8, 3 * MIB),
        (8, 8 * MIB + 5),
        (7, 14 * MIB - 1),
        (5, 1),
    ] {
        let body = bytes(len, u32::try_from(len).unwrap());
        let id = start(&engine, "k", part_mib);
        let mut list = Vec::new();
        // Out of order.
        let mut parts: Vec<_> = body.chunks(part_mib * MIB).enumerate().collect();
        parts.reverse();
        for (index, part) in parts {
            let number = u16::try_from(index + 1).unwrap();
            let etag = put_part(&engine, "k", id, number, part).unwrap();
            assert_eq!(etag, ContentHash::of(part));
            list.push((number, etag));
        }
        list.reverse();
        let stored = complete(&engine, "k", id, &list).unwrap();
        assert_eq!(stored.etag, ContentHash::of(&body), "{part_mib} {len}");
        assert!(read(&engine, "aaa", "k", Which::Newest).unwrap() == body);
        let again = complete(&engine, "k", id, &list).unwrap();
        assert_eq!(again, stored, "a completion can be repeated");
        let other = complete(&engine, "k", id, &list[..0]);
        assert!(matches!(other, Err(EngineError::NoSuchUpload)), "{other:?}");
        let reader = engine
            .object(&object("aaa", "k", Op::Get), Which::Newest)
            .unwrap();
        assert_eq!(reader.meta().headers.to_pairs().len(), 2);
        let mut range = engine
            .object(&object("aaa", "k", Op::Get), Which::Newest)
            .unwrap();
        let at = len as u64 * 2 / 3;
        range.select(at, at + 1);
        assert_eq!(
            range.next().unwrap().as_deref(),
            body.get(usize::try_from(at).unwrap()..=usize::try_from(at).unwrap())
        );
    }
}

/// Usage is exact at every step. Defects it catches: a replaced part that stays counted; an aborted upload whose chunks
/// stay; a completion that counts parts and object.
#[test]
fn parts_count_until_they_are_replaced_aborted_or_an_object() {
    let (dir, storage, engine) = memory();
    let (a, b) = (bytes(5 * MIB, 1), bytes(5 * MIB, 2));
    let counters = || {
        let id = engine.bucket(&of_bucket("aaa", Op::Manage)).unwrap().id;
        let row = storage
            .snapshot()
            .get(Space::Counters, &key::bucket_counters(&id))
            .unwrap()
            .unwrap();
        let counters = crate::row::BucketCounters::decode(&row).unwrap();
        (counters.bytes, counters.parts_bytes, counters.stored_bytes)
    };
    let full = 5 * MIB as u64;
    let id = start(&engine, "k", 5);
    put_part(&engine, "k", id, 1, &a).unwrap();
    assert_eq!(counters(), (0, full, full));
    put_part(&engine, "k", id, 1, &b).unwrap();
    put_part(&engine, "k", id, 2, b"end").unwrap();
    put_part(&engine, "k", id, 3, b"beyond the list").unwrap();
    assert_eq!(counters(), (0, full + 18, full + 18));
    assert_sound(&engine);
    let listed = engine.upload(&proof("k"), id).unwrap();
    assert_eq!(
        listed
            .parts
            .iter()
            .map(|part| (part.number, part.len))
            .collect::<Vec<_>>(),
        [(1, full), (2, 3), (3, 15)]
    );
    // Whoever quotes an etag that was replaced does not complete.
    let stale = complete(
        &engine,
        "k",
        id,
        &[(1, ContentHash::of(&a)), (2, ContentHash::of(b"end"))],
    );
    assert!(matches!(stale, Err(EngineError::InvalidPart)), "{stale:?}");
    let stored = complete(
        &engine,
        "k",
        id,
        &[(1, ContentHash::of(&b)), (2, ContentHash::of(b"end"))],
    )
    .unwrap();
    assert_eq!(counters(), (full + 3, 0, full + 3));
    // Five chunks of 1 MiB and the end.
    until(|| files(&dir.path().join("chunks")) == 6);
    assert_sound(&engine);
    engine
        .erase(
            &object("aaa", "k", Op::Erase),
            stored.version,
            Preconditions::default(),
        )
        .wait()
        .unwrap();
    until(|| files(&dir.path().join("chunks")) == 0);

    let id = start(&engine, "k", 5);
    put_part(&engine, "k", id, 1, &a).unwrap();
    engine.abort_upload(&proof("k"), id).wait().unwrap();
    assert_eq!(counters(), (0, 0, 0));
    until(|| files(&dir.path().join("chunks")) == 0);
    let late = put_part(&engine, "k", id, 2, b"late");
    assert!(matches!(late, Err(EngineError::NoSuchUpload)), "{late:?}");
}

/// SECURITY. A defect it catches: an upload that is known by its id alone.
#[test]
fn an_upload_belongs_to_its_key_and_to_who_started_it() {
    let (_dir, _, engine) = memory();
    let id = start(&engine, "k", 5);
    let elsewhere = put_part(&engine, "other", id, 1, b"x");
    assert!(
        matches!(elsewhere, Err(EngineError::NoSuchUpload)),
        "{elsewhere:?}"
    );
    let somebody = Authorized::local(
        "somebody",
        Op::Put,
        Target::Key(name("aaa"), ObjectKey::parse("k").unwrap()),
    );
    assert!(matches!(
        engine.upload(&somebody, id),
        Err(EngineError::NoSuchUpload)
    ));
    assert!(matches!(
        engine.abort_upload(&somebody, id).wait(),
        Err(EngineError::NoSuchUpload)
    ));
    for (number, body) in [
        (0, b"x".as_slice()),
        (10_001, b"x"),
        (1, b""),
        (1, &bytes(5 * MIB + 1, 1)),
    ] {
        let refused = put_part(&engine, "k", id, number, body);
        assert!(matches!(refused, Err(EngineError::InvalidPart)), "{number}");
    }
    // Gaps and parts that are not full.
    let one = put_part(&engine, "k", id, 1, b"short").unwrap();
    let two = put_part(&engine, "k", id, 2, b"end").unwrap();
    for list in [
        vec![],
        vec![(2, two)],
        vec![(1, one), (2, two)],
        vec![(1, two)],
        vec![(1, one), (1, one)],
    ] {
        let refused = complete(&engine, "k", id, &list);
        assert!(matches!(refused, Err(EngineError::InvalidPart)), "{list:?}");
    }
    complete(&engine, "k", id, &[(1, one)]).unwrap();
}

/// A defect it catches: an upload that nothing ends.
#[test]
fn an_upload_ends_after_seven_days() {
    let clock = HandClock::new();
    let dir = tempfile::tempdir().unwrap();
    let storage = MemoryStorage::new();
    let engine = Engine::with_storage(Arc::new(storage.clone()), dir.path(), clock.options()).unwrap();
    make_bucket(&engine, "aaa");
    let id = start(&engine, "k", 5);
    put_part(&engine, "k", id, 1, &bytes(MIB, 3)).unwrap();
    clock.forward(Duration::from_hours(7 * 24) - Duration::from_millis(1));
    expire(&engine.inner).unwrap();
    assert_eq!(engine.upload(&proof("k"), id).unwrap().parts.len(), 1);
    clock.forward(Duration::from_millis(1));
    assert!(matches!(
        engine.upload(&proof("k"), id),
        Err(EngineError::NoSuchUpload)
    ));
    expire(&engine.inner).unwrap();
    assert_eq!(index_rows(&storage), 0);
    assert_eq!(usage(&engine, "aaa").stored_bytes, 0);
    until(|| files(&dir.path().join("chunks")) == 0);
}
