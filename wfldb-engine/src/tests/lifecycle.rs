//! What ends by itself: time to live, retention, time travel over what is gone.

use crate::lifecycle::{Quiet, expire, retain};
use crate::row::key;
use crate::store::{Verdict, verify};
use crate::{FjallStorage, MemoryStorage, Space, Storage};

use super::*;

const DAY: Duration = Duration::from_hours(24);

fn in_memory(clock: &HandClock) -> (tempfile::TempDir, MemoryStorage, Engine) {
    let dir = tempfile::tempdir().unwrap();
    let storage = MemoryStorage::new();
    let engine = Engine::with_storage(Arc::new(storage.clone()), dir.path(), clock.options()).unwrap();
    make_bucket(&engine, "aaa");
    (dir, storage, engine)
}

fn versions(engine: &Engine, key: &str) -> Vec<(crate::ObjectMeta, bool)> {
    let page = engine.versions(&object("aaa", key, Op::Get), None, 1000);
    let items = page.map(|page| page.items).unwrap_or_default();
    items
        .into_iter()
        .map(|item| {
            let deleted = item.deleted;
            (item, deleted)
        })
        .collect()
}

fn check_start(storage: &MemoryStorage) {
    let snapshot = storage.snapshot();
    let mark = snapshot.get(Space::Meta, key::COMMIT_MARK).unwrap().unwrap();
    let mark = crate::row::CommitMark::decode(&mark).unwrap();
    let verdict = verify(&*snapshot, Some(mark));
    assert!(matches!(verdict, Verdict::Sound(_)), "{verdict:?}");
}

/// Defects it catches: a time to live that reads do not look at; an end without a tombstone, so that the version before
/// shows through.
#[test]
fn a_version_with_a_time_to_live_ends_at_once_and_then_goes_for_good() {
    let clock = HandClock::new();
    let (dir, storage, engine) = in_memory(&clock);
    put(&engine, "aaa", "k", b"for ever").unwrap();
    let large = vec![7; 100_000];
    clock.forward(Duration::from_millis(1));
    let ending = put_with(
        &engine,
        "aaa",
        "k",
        &large,
        &[("x-wfldb-ttl", "60"), ("x-wfldb-tags", "a=b")],
    )
    .unwrap();
    clock.forward(Duration::from_millis(59_999));
    assert_eq!(read(&engine, "aaa", "k", Which::Newest).unwrap().len(), 100_000);
    expire(&engine.inner).unwrap();
    assert_eq!(versions(&engine, "k").len(), 2, "nothing is due yet");
    clock.forward(Duration::from_millis(1));
    for which in [Which::Newest, Which::Version(ending.version)] {
        assert!(matches!(
            read(&engine, "aaa", "k", which),
            Err(EngineError::NoSuchKey)
        ));
    }
    // A put that asks for "nothing there" sees it so too.
    let absent = Preconditions {
        if_none_match_any: true,
        ..Preconditions::default()
    };
    assert!(put_if(&engine, "aaa", "k2", b"", absent.clone()).is_ok());
    expire(&engine.inner).unwrap();
    let left = versions(&engine, "k");
    assert_eq!(
        left.iter().map(|(_, deleted)| *deleted).collect::<Vec<_>>(),
        [true, false]
    );
    assert!(matches!(
        read(&engine, "aaa", "k", Which::Newest),
        Err(EngineError::NoSuchKey)
    ));
    until(|| files(&dir.path().join("chunks")) == 0);
    let usage = usage(&engine, "aaa");
    assert_eq!(
        (usage.objects, usage.versions, usage.bytes, usage.stored_bytes),
        (1, 3, 8, 8)
    );
    // Nothing of it is left in the index: neither the due time nor the tag.
    assert_eq!(index_rows(&storage), 0);
    // At a time when it was there, something else cannot be told to have been.
    let then = Which::At(ending.modified);
    assert!(matches!(
        read(&engine, "aaa", "k", then),
        Err(EngineError::VersionPruned)
    ));
    check_start(&storage);
    assert_sound(&engine);
}

/// A defect it catches: ending a version only when it is the newest.
#[test]
fn a_version_that_was_overwritten_ends_too_and_the_newest_stays() {
    let clock = HandClock::new();
    let (_dir, storage, engine) = in_memory(&clock);
    put_with(&engine, "aaa", "k", b"1", &[("x-wfldb-ttl", "60")]).unwrap();
    clock.forward(Duration::from_secs(1));
    put(&engine, "aaa", "k", b"2").unwrap();
    clock.forward(Duration::from_mins(1));
    expire(&engine.inner).unwrap();
    assert_eq!(versions(&engine, "k").len(), 1);
    assert_eq!(read(&engine, "aaa", "k", Which::Newest).unwrap(), b"2");
    assert_eq!(usage(&engine, "aaa").bytes, 1);
    check_start(&storage);
    assert_sound(&engine);
}

/// Overwriting costs no space where one version is kept. Defects it catches: leaving a body, a reference or the evidence
/// of what goes; counting what went.
#[test]
fn a_thousand_overwrites_under_keep_one_end_at_one_times_the_size() {
    let clock = HandClock::new();
    let (dir, storage, engine) = in_memory(&clock);
    configure(&engine, "aaa", r#"{"versions":{"keep":1},"quota_bytes":200000}"#);
    for n in 0..1000u32 {
        let large = n % 100 == 0;
        let mut body = n.to_be_bytes().to_vec();
        body.resize(if large { 100_000 } else { 1000 }, 0);
        clock.forward(Duration::from_millis(1));
        put(&engine, "aaa", "k", &body).unwrap();
    }
    let usage = usage(&engine, "aaa");
    assert_eq!((usage.versions, usage.bytes, usage.stored_bytes), (1, 1000, 1000));
    until(|| files(&dir.path().join("chunks")) == 0);
    let rows = |space| storage.snapshot().range(space, b"", b"", false).count();
    assert_eq!(
        (rows(Space::Versions), rows(Space::Bodies), rows(Space::Chunks)),
        (1, 1, 0)
    );
    // Bucket, its configuration, and the one that is left.
    let snapshot = storage.snapshot();
    assert_eq!(snapshot.range(Space::Log, b"e", b"f", false).count(), 3);
    check_start(&storage);
    assert_sound(&engine);
}

/// Retention against the rule in its words. A defect it catches: `or` for `and` between the two limits; counting from
/// the oldest.
#[test]
fn a_version_goes_when_it_is_beyond_keep_and_older_than_days() {
    for (keep, days) in [
        (Some(3), None),
        (None, Some(4)),
        (Some(2), Some(4)),
        (Some(7), Some(4)),
        (None, None),
        (Some(100), None),
        (Some(1), Some(100)),
    ] {
        let clock = HandClock::new();
        let (_dir, storage, engine) = in_memory(&clock);
        let mut written = Vec::new();
        for n in 0..10u8 {
            put(&engine, "aaa", "k", &[n]).unwrap();
            put(&engine, "aaa", "other", &[n]).unwrap();
            written.push((n, clock.now()));
            clock.forward(DAY);
        }
        let retention = wfldb_core::object::Retention { keep, days };
        let config = BucketConfig {
            versions: Some(retention),
            ..BucketConfig::default()
        };
        let proof = of_bucket("aaa", Op::Manage);
        engine.put_bucket(&proof, config).wait().unwrap();
        retain(&engine.inner).unwrap();
        written.reverse();
        let stays = |(rank, (_, at)): &(usize, (u8, UnixMillis))| {
            let age = Duration::from_millis(clock.now().get() - at.get());
            let beyond = keep.map(|keep: u64| *rank as u64 >= keep);
            let older = days.map(|days: u64| age > DAY * u32::try_from(days).unwrap());
            let goes = [beyond, older].into_iter().flatten().collect::<Vec<_>>();
            *rank == 0 || goes.is_empty() || goes.contains(&false)
        };
        let expected: Vec<u8> = written
            .iter()
            .copied()
            .enumerate()
            .filter(stays)
            .map(|(_, (n, _))| n)
            .collect();
        for key in ["k", "other"] {
            let left = versions(&engine, key)
                .into_iter()
                .map(|(meta, _)| read(&engine, "aaa", key, Which::Version(meta.version)).unwrap()[0]);
            assert_eq!(left.collect::<Vec<_>>(), expected, "{keep:?} {days:?}");
        }
        check_start(&storage);
        assert_sound(&engine);
    }
}

/// A defect it catches: a tombstone that outlives everything that it deletes, for ever.
#[test]
fn a_tombstone_on_nothing_goes_by_its_age() {
    let clock = HandClock::new();
    let (_dir, storage, engine) = in_memory(&clock);
    configure(&engine, "aaa", r#"{"versions":{"days":2}}"#);
    put(&engine, "aaa", "k", b"1").unwrap();
    clock.forward(DAY);
    delete(&engine, "aaa", "k").unwrap();
    clock.forward(DAY + Duration::from_millis(1));
    retain(&engine.inner).unwrap();
    assert_eq!(versions(&engine, "k").len(), 1, "the tombstone is one day old");
    clock.forward(DAY);
    retain(&engine.inner).unwrap();
    assert_eq!(versions(&engine, "k").len(), 0);
    assert_eq!(usage(&engine, "aaa"), Usage::default());
    check_start(&storage);
    assert_sound(&engine);
}

/// Lowering retention ends versions, so it needs `erase`. A defect it catches: `manage` alone lowering it.
#[test]
fn retention_is_not_lowered_without_erase() {
    let clock = HandClock::new();
    let (_dir, _, engine) = in_memory(&clock);
    let proof = of_bucket("aaa", Op::Manage);
    assert!(proof.may_also(Op::Erase), "the local proof may do all");
    configure(&engine, "aaa", r#"{"versions":{"keep":5}}"#);
    let lowered = crate::commit::plan::Mutation::PutBucket {
        name: name("aaa"),
        id: wfldb_core::id::BucketId::from_bytes([1; 16]),
        config: BucketConfig::parse_json(br#"{"versions":{"keep":4}}"#).unwrap(),
        may_erase: false,
    };
    let answer = engine.inner.submit(&proof, Ok(lowered), None, |_| Ok(())).wait();
    assert!(matches!(answer, Err(EngineError::Forbidden)), "{answer:?}");
}

/// Time travel against a plain list of (time, body). A defect it catches: comparing with the wrong end of a millisecond.
#[test]
fn a_read_at_a_time_gives_what_was_current_then() {
    let clock = HandClock::new();
    let (_dir, _, engine) = in_memory(&clock);
    let start = clock.now();
    let mut history = Vec::new();
    for n in 0..6u8 {
        clock.forward(Duration::from_millis(10));
        if n == 3 {
            delete(&engine, "aaa", "k").unwrap();
            history.push((clock.now(), None));
        } else {
            let stored = put(&engine, "aaa", "k", &[n]).unwrap();
            assert_eq!(stored.modified, clock.now());
            history.push((stored.modified, Some(vec![n])));
        }
    }
    for ms in 0..80 {
        let time = UnixMillis::new(start.get() + ms);
        let expected = history
            .iter()
            .rev()
            .find(|(at, _)| *at <= time)
            .and_then(|(_, body)| body.clone());
        assert_eq!(read(&engine, "aaa", "k", Which::At(time)).ok(), expected, "{ms}");
    }
    // What retention removed is not taken for something else, and what is kept is as it was.
    configure(&engine, "aaa", r#"{"versions":{"keep":2}}"#);
    retain(&engine.inner).unwrap();
    let at = |ms| read(&engine, "aaa", "k", Which::At(UnixMillis::new(start.get() + ms)));
    assert!(matches!(at(5), Err(EngineError::VersionPruned)), "{:?}", at(5));
    assert!(matches!(at(45), Err(EngineError::VersionPruned)));
    assert_eq!(at(50).unwrap(), [4]);
    assert_eq!(at(79).unwrap(), [5]);
}

/// Defects it catches: memory that is written out while somebody writes, or never.
#[test]
fn a_store_at_rest_writes_out_its_memory() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Arc::new(FjallStorage::open(&dir.path().join("db"), 1 << 20).unwrap());
    let engine = Engine::with_storage(
        Arc::clone(&storage) as Arc<dyn Storage>,
        dir.path(),
        HandClock::new().options(),
    )
    .unwrap();
    make_bucket(&engine, "aaa");
    for number in 0..40 {
        put(&engine, "aaa", &format!("k{number}"), &vec![number; 60_000]).unwrap();
    }
    let mut quiet = Quiet::default();
    for number in 0..20 {
        quiet.look(&engine.inner).unwrap();
        put(&engine, "aaa", "busy", &[number]).unwrap();
    }
    assert!(storage.write_buffer_bytes() > 2_000_000, "somebody writes");
    for _ in 0..10 {
        quiet.look(&engine.inner).unwrap();
    }
    let began = Instant::now();
    while storage.write_buffer_bytes() > 100_000 && began.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(
        storage.write_buffer_bytes() <= 100_000,
        "{}",
        storage.write_buffer_bytes()
    );
    assert_eq!(
        read(&engine, "aaa", "k7", Which::Newest).unwrap(),
        vec![7; 60_000]
    );
}
