//! One test for each invariant of the design that the engine can be asked about alone. Beside each stands a defect
//! that it is for; "seeded" says that this very one was put in, and that the test failed.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::limits::CHUNK_BYTES;

use super::*;
use crate::row::{ChangeRow, EvidenceRow, key};
use crate::storage::{Fault, MemoryStorage, Snapshot, Space};
use crate::store::{Verdict, verify};
use crate::{ScanQuery, Unready};

/// What is on disk now, as a killed process leaves it.
pub(super) fn crash_image(dir: &Path) -> tempfile::TempDir {
    let image = tempfile::tempdir().unwrap();
    copy(dir, image.path());
    image
}

pub(super) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&to).unwrap();
            copy(&entry.path(), &to);
        } else if entry.path().exists() {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A copy of a whole directory, which is made.
pub(super) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    copy(from, to);
}

/// INVARIANT 1. A defect it catches: answering before `storage.commit`. A batch without `SyncAll` would pass here; that
/// each group is synced before its answer is seen by the black-box test `every_answer_comes_after_a_sync`.
#[test]
fn an_acknowledged_write_is_in_the_image_of_a_killed_process() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    make_bucket(&engine, "aaa");
    let large = vec![9; CHUNK_BYTES + 100_000];
    for n in 0..20 {
        put(&engine, "aaa", &format!("k{n}"), format!("body {n}").as_bytes()).unwrap();
    }
    put(&engine, "aaa", "large", &large).unwrap();
    let image = crash_image(dir.path());
    let restarted = open(image.path());
    assert_eq!(restarted.health().writable, Ok(()));
    for n in 0..20 {
        let body = read(&restarted, "aaa", &format!("k{n}"), Which::Newest).unwrap();
        assert_eq!(body, format!("body {n}").as_bytes());
    }
    assert_eq!(read(&restarted, "aaa", "large", Which::Newest).unwrap(), large);
}

/// INVARIANT 1, the other half. Seeded: `Upload::finish` without its look at the length.
#[test]
fn an_unfinished_write_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    make_bucket(&engine, "aaa");
    let body = vec![1; CHUNK_BYTES * 2];
    let proof = object("aaa", "cut", Op::Put);
    let mut upload = engine.begin_upload(&proof, ContentDigest::of(&body)).unwrap();
    upload.write(&body[..CHUNK_BYTES + 5]).unwrap();
    let image = crash_image(dir.path());
    let restarted = open(image.path());
    assert!(matches!(
        read(&restarted, "aaa", "cut", Which::Newest),
        Err(EngineError::NoSuchKey)
    ));

    assert!(matches!(upload.finish(), Err(EngineError::LengthMismatch)));
    let mut wrong = engine.begin_upload(&proof, ContentDigest::of(&body)).unwrap();
    wrong.write(&vec![2; body.len()]).unwrap();
    assert!(matches!(wrong.finish(), Err(EngineError::HashMismatch)));
    let mut long = engine.begin_upload(&proof, ContentDigest::of(b"1234")).unwrap();
    assert!(matches!(long.write(b"12345"), Err(EngineError::LengthMismatch)));
    assert!(matches!(
        read(&engine, "aaa", "cut", Which::Newest),
        Err(EngineError::NoSuchKey)
    ));
    engine.close().unwrap();
    // Removed behind everybody's back, and soon.
    let begun = Instant::now();
    while !files(&dir.path().join("chunks")).is_empty() {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "the chunks of what failed stay"
        );
        std::thread::yield_now();
    }
}

pub(super) fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path().display().to_string());
        }
    }
    found.sort();
    found
}

/// INVARIANT 2. Seeded: a put that does not write its counters.
#[test]
fn every_image_has_all_rows_of_a_change_or_none() {
    const WRITERS: usize = 4;
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    make_bucket(&engine, "aaa");
    let done = AtomicU64::new(0);
    let mut looks = 0;
    std::thread::scope(|threads| {
        for writer in 0..WRITERS {
            let (engine, done) = (engine.clone(), &done);
            threads.spawn(move || {
                for n in 0..50 {
                    put(&engine, "aaa", &format!("{writer}/{}", n % 7), &[n; 300]).unwrap();
                }
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        loop {
            let last = done.load(Ordering::SeqCst) == WRITERS as u64;
            let snapshot = engine.inner.storage.snapshot();
            let verdict = verify(&*snapshot, Some(crate::row::CommitMark::ZERO));
            assert!(matches!(verdict, Verdict::Sound(_)), "{verdict:?}");
            looks += 1;
            if last {
                break;
            }
        }
    });
    assert!(looks > 1, "no look while they wrote");
}

/// INVARIANT 5. Seeded: a reader that gives 8 MiB at once.
#[test]
fn a_body_is_never_whole_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    make_bucket(&engine, "aaa");
    let len = 5 * CHUNK_BYTES + 12_345;
    let body: Vec<u8> = (0..len).map(|n| u8::try_from(n * 7 % 253).unwrap()).collect();
    let proof = object("aaa", "big", Op::Put);
    let mut upload = engine.begin_upload(&proof, ContentDigest::of(&body)).unwrap();
    for piece in body.chunks(100_000) {
        upload.write(piece).unwrap();
        assert!(upload.buffered() < CHUNK_BYTES);
    }
    let finished = upload.finish().unwrap();
    engine
        .put(
            &proof,
            finished,
            ObjectHeaders::default(),
            Preconditions::default(),
        )
        .wait()
        .unwrap();
    let mut reader = engine
        .object(&object("aaa", "big", Op::Get), Which::Newest)
        .unwrap();
    let mut at = 0;
    while let Some(piece) = reader.next().unwrap() {
        assert!(piece.len() <= (1 << 20) + 65_536);
        assert_eq!(piece, &body[at..at + piece.len()]);
        at += piece.len();
    }
    assert_eq!(at, len);
    for (start, end) in [
        (0, 1),
        (65_535, 65_537),
        (CHUNK_BYTES - 1, CHUNK_BYTES + 1),
        (len - 1, len + 9),
        (len, len),
    ] {
        let mut reader = engine
            .object(&object("aaa", "big", Op::Get), Which::Newest)
            .unwrap();
        reader.select(start as u64, end as u64);
        let mut range = Vec::new();
        while let Some(piece) = reader.next().unwrap() {
            range.extend_from_slice(&piece);
        }
        assert_eq!(range, &body[start..end.min(len)]);
    }
}

/// INVARIANT 6. Seeded: `bucket_of` without comparing the proof's op.
#[test]
fn a_proof_for_one_thing_is_no_proof_for_another() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    make_bucket(&engine, "aaa");
    put(&engine, "aaa", "k", b"v").unwrap();
    for op in Op::ALL {
        let proof = object("aaa", "k", op);
        let refused = |error: Option<EngineError>| matches!(error, Some(EngineError::Forbidden));
        assert_eq!(
            refused(engine.object(&proof, Which::Newest).err()),
            op != Op::Get,
            "{op:?}"
        );
        assert_eq!(
            refused(engine.versions(&proof, None, 1).err()),
            op != Op::Get,
            "{op:?}"
        );
        assert_eq!(
            refused(engine.begin_upload(&proof, ContentDigest::None).err()),
            op != Op::Put,
            "{op:?}"
        );
        assert_eq!(
            refused(engine.scan(&proof, &ScanQuery::default()).err()),
            op != Op::List,
            "{op:?}"
        );
        assert_eq!(refused(engine.bucket(&proof).err()), op != Op::Manage, "{op:?}");
    }
    // A body that was received for one bucket cannot be stored in another.
    make_bucket(&engine, "bbb");
    let mut upload = engine
        .begin_upload(&object("aaa", "k", Op::Put), ContentDigest::of(b"x"))
        .unwrap();
    upload.write(b"x").unwrap();
    let elsewhere = object("bbb", "k", Op::Put);
    let stored = engine.put(
        &elsewhere,
        upload.finish().unwrap(),
        ObjectHeaders::default(),
        Preconditions::default(),
    );
    assert!(matches!(stored.wait(), Err(EngineError::Forbidden)));
}

/// INVARIANT 8. Seeded: a failed commit that does not poison.
#[test]
fn a_failed_commit_stops_writes_and_reads_go_on() {
    for fault in [Fault::FailAbsent, Fault::FailPresent] {
        let dir = tempfile::tempdir().unwrap();
        let storage = MemoryStorage::new();
        let engine = Engine::with_storage(Arc::new(storage.clone()), dir.path(), options()).unwrap();
        make_bucket(&engine, "aaa");
        put(&engine, "aaa", "before", b"1").unwrap();
        storage.inject(fault);
        assert!(matches!(
            put(&engine, "aaa", "failed", b"2"),
            Err(EngineError::OutcomeUnknown)
        ));
        storage.inject(Fault::None);
        assert!(matches!(
            put(&engine, "aaa", "after", b"3"),
            Err(EngineError::ReadOnly)
        ));
        assert_eq!(engine.health().writable, Err(Unready::Poisoned));
        assert_eq!(read(&engine, "aaa", "before", Which::Newest).unwrap(), b"1");
        drop(engine);
        let reopened = Engine::with_storage(Arc::new(storage.reopened()), dir.path(), options()).unwrap();
        put(&reopened, "aaa", "after", b"3").unwrap();
        // Absent or whole: both are honest after "outcome unknown".
        match read(&reopened, "aaa", "failed", Which::Newest) {
            Ok(body) => assert_eq!((body.as_slice(), fault), (b"2".as_slice(), Fault::FailPresent)),
            Err(error) => assert!(matches!(error, EngineError::NoSuchKey) && fault == Fault::FailAbsent),
        }
    }
}

/// DESIGN 4: a storage that does not answer takes readiness away within ten seconds, though nobody writes.
#[test]
fn a_stalled_storage_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let storage = MemoryStorage::new();
    let engine = Engine::with_storage(Arc::new(storage.clone()), dir.path(), options()).unwrap();
    make_bucket(&engine, "aaa");
    storage.inject(Fault::Stall);
    let proof = of_bucket("bbb", Op::Manage);
    let stuck = engine.put_bucket(&proof, BucketConfig::default());
    let start = Instant::now();
    while engine.health().writable != Err(Unready::Stalled) {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "the stall was not noticed"
        );
        std::thread::park_timeout(Duration::from_millis(50));
    }
    storage.inject(Fault::None);
    stuck.wait().unwrap();
    assert_eq!(engine.health().writable, Ok(()));
}

/// INVARIANT 10, the part of quotas. Seeded: a bucket's quota that is not compared.
#[test]
fn a_bucket_and_a_grant_cannot_exceed_their_quotas() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let config = BucketConfig {
        quota_bytes: Some(250),
        quota_objects: Some(2),
        object_bytes_max: Some(120),
        ..BucketConfig::default()
    };
    engine
        .put_bucket(&of_bucket("aaa", Op::Manage), config)
        .wait()
        .unwrap();
    assert!(matches!(
        put(&engine, "aaa", "large", &[0; 121]),
        Err(EngineError::TooLarge)
    ));
    put(&engine, "aaa", "a", &[0; 120]).unwrap();
    put(&engine, "aaa", "a", &[1; 120]).unwrap();
    assert!(matches!(
        put(&engine, "aaa", "a", &[2; 20]),
        Err(EngineError::QuotaExceeded)
    ));
    put(&engine, "aaa", "b", &[2; 10]).unwrap();
    assert!(matches!(
        put(&engine, "aaa", "c", b""),
        Err(EngineError::QuotaExceeded)
    ));
    make_bucket(&engine, "bbb");
    put(&engine, "bbb", "a", &[0; 1000]).unwrap();
}

/// Every change has its evidence, and the change row names it: who asked can be proved, and erased, later.
#[test]
fn every_change_has_its_evidence() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    make_bucket(&engine, "aaa");
    put(&engine, "aaa", "k", b"v").unwrap();
    delete(&engine, "aaa", "k").unwrap();
    let snapshot: Arc<dyn Snapshot> = engine.inner.storage.snapshot();
    let mut positions = 0;
    for row in snapshot.range(Space::Log, b"c", b"d", false) {
        let (_, row) = row.unwrap();
        let change = ChangeRow::decode(&row).unwrap();
        let evidence = snapshot
            .get(Space::Log, &key::evidence(change.position))
            .unwrap()
            .unwrap();
        assert_eq!(*blake3::hash(&evidence).as_bytes(), change.evidence);
        let evidence = EvidenceRow::decode(&evidence).unwrap();
        assert_eq!(evidence.actor, "local:test");
        assert_ne!(evidence.salt, [0; 32]);
        positions += 1;
        assert_eq!(change.position.get(), positions);
    }
    assert_eq!(positions, 3);
}

/// DESIGN 4: the name is free at once, the rows and chunks go in the background, and the new bucket has none of them.
#[test]
fn a_deleted_bucket_is_gone_at_once_and_swept_later() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    make_bucket(&engine, "aaa");
    for n in 0..1200 {
        let proof = object("aaa", &format!("k{n:04}"), Op::Put);
        let upload = engine
            .begin_upload(&proof, ContentDigest::None)
            .unwrap()
            .finish()
            .unwrap();
        drop(engine.put(&proof, upload, ObjectHeaders::default(), Preconditions::default()));
    }
    put(&engine, "aaa", "chunked", &vec![5; 100_000]).unwrap();
    assert!(matches!(
        engine.delete_bucket(&of_bucket("aaa", Op::Manage), false).wait(),
        Err(EngineError::BucketNotEmpty)
    ));
    engine
        .delete_bucket(&of_bucket("aaa", Op::Manage), true)
        .wait()
        .unwrap();
    make_bucket(&engine, "aaa");
    let listing = Authorized::local("test", Op::List, Target::Listing(name("aaa")));
    assert!(
        engine
            .scan(&listing, &ScanQuery::default())
            .unwrap()
            .items
            .is_empty()
    );
    let start = Instant::now();
    let left = || {
        let snapshot = engine.inner.storage.snapshot();
        [Space::Heads, Space::Versions, Space::Bodies, Space::Chunks]
            .into_iter()
            .map(|space| snapshot.range(space, b"", b"", false).count())
            .sum::<usize>()
            + index_rows(&*engine.inner.storage)
            + snapshot
                .range(Space::Meta, key::BUCKET_DETACHED, b"detached0", false)
                .count()
            + files(&dir.path().join("chunks")).len()
    };
    while left() > 0 {
        assert!(start.elapsed() < Duration::from_secs(30), "{} left", left());
        std::thread::yield_now();
    }
}
