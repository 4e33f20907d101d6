//! Rows in memory say what a snapshot would say.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::{Batch, MemoryStorage, Snapshot, Storage, StorageError, StorageFigures};

/// A storage that lingers between the moments that matter: before a batch is visible, while it is and its commit has
/// not returned, and between a snapshot and its taker.
struct Lingering(MemoryStorage);

impl Storage for Lingering {
    fn snapshot(&self) -> Arc<dyn Snapshot> {
        let snapshot = self.0.snapshot();
        std::thread::sleep(Duration::from_micros(200));
        snapshot
    }

    fn commit(&self, batch: Batch) -> Result<(), StorageError> {
        std::thread::sleep(Duration::from_micros(300));
        self.0.commit(batch)?;
        std::thread::sleep(Duration::from_micros(300));
        Ok(())
    }

    fn write_buffer_bytes(&self) -> u64 {
        self.0.write_buffer_bytes()
    }

    fn figures(&self) -> StorageFigures {
        self.0.figures()
    }
}

const KEYS: usize = 3;

fn key(index: usize) -> String {
    format!("key-{index}")
}

/// What the key holds: from memory if it is there, or not from memory at all.
fn look(engine: &Engine, index: usize, from_memory: bool) -> u64 {
    let proof = object("cache", &key(index), Op::Get);
    let cached = engine.object_cached(&proof).unwrap().filter(|_| from_memory);
    let mut reader = cached.unwrap_or_else(|| engine.object(&proof, Which::Newest).unwrap());
    let body = reader.next().unwrap().unwrap();
    std::str::from_utf8(&body).unwrap().parse().unwrap()
}

/// No reader sees less than what was acknowledged, or what any reader saw, before it began. Defects it catches:
/// stamping a batch's rows after its commit, or not at all; asking for the stamp after the snapshot was taken;
/// publishing the number before the commit.
#[test]
fn a_read_from_memory_is_never_behind() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Arc::new(Lingering(MemoryStorage::new()));
    let engine = Engine::with_storage(storage, dir.path(), options()).unwrap();
    make_bucket(&engine, "cache");
    for index in 0..KEYS {
        put(&engine, "cache", &key(index), b"0").unwrap();
    }
    let least: [AtomicU64; KEYS] = Default::default();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0.. {
                    if done.load(Ordering::SeqCst) {
                        return;
                    }
                    let index = round % KEYS;
                    let floor = least[index].load(Ordering::SeqCst);
                    let seen = look(&engine, index, round % 5 > 0);
                    assert!(seen >= floor, "saw {seen} after {floor}");
                    least[index].fetch_max(seen, Ordering::SeqCst);
                }
            });
        }
        for number in 1..=400u64 {
            let index = usize::try_from(number).unwrap() % KEYS;
            put(&engine, "cache", &key(index), number.to_string().as_bytes()).unwrap();
            least[index].fetch_max(number, Ordering::SeqCst);
            // Every so often they are left alone, so that something is in memory to be outdated.
            if number % 4 == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        done.store(true, Ordering::SeqCst);
    });
    let stats = engine.stats();
    assert!(stats.object_cache_hits > 1000, "{stats:?}");
}

/// Everything that changes what a name means is seen at once. A defect it catches: not stamping the rows of `meta`.
#[test]
fn what_was_deleted_or_reconfigured_is_not_read_from_memory() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    make_bucket(&engine, "cache");
    let get = object("cache", "a", Op::Get);
    put(&engine, "cache", "a", b"1").unwrap();
    assert_eq!(read(&engine, "cache", "a", Which::Newest).unwrap(), b"1");
    assert!(engine.object_cached(&get).unwrap().is_some());

    delete(&engine, "cache", "a").unwrap();
    assert!(engine.object_cached(&get).unwrap().is_none());
    assert!(matches!(
        read(&engine, "cache", "a", Which::Newest),
        Err(EngineError::NoSuchKey)
    ));

    put(&engine, "cache", "a", b"22").unwrap();
    assert_eq!(read(&engine, "cache", "a", Which::Newest).unwrap(), b"22");
    let small = BucketConfig {
        object_bytes_max: Some(1),
        ..BucketConfig::default()
    };
    let manage = of_bucket("cache", Op::Manage);
    engine.put_bucket(&manage, small).wait().unwrap();
    let upload = engine.begin_upload(&object("cache", "b", Op::Put), ContentDigest::of(b"22"));
    assert!(matches!(upload, Err(EngineError::TooLarge)));

    engine
        .delete_bucket(&of_bucket("cache", Op::Erase), true)
        .wait()
        .unwrap();
    assert!(engine.object_cached(&get).unwrap().is_none());
    assert!(matches!(
        engine.object(&get, Which::Newest),
        Err(EngineError::NoSuchBucket)
    ));
    make_bucket(&engine, "cache");
    assert!(matches!(
        engine.object(&get, Which::Newest),
        Err(EngineError::NoSuchKey)
    ));
}

/// With no bytes for it, nothing is kept. Bodies larger than a part of the cache are not kept either, and cost nothing.
#[test]
fn the_cache_is_bounded_and_can_be_off() {
    for (bytes, hits) in [(0, false), (1 << 20, true)] {
        let dir = tempfile::tempdir().unwrap();
        let options = EngineOptions {
            object_cache_bytes: bytes,
            ..options()
        };
        let engine = Engine::open(dir.path(), options).unwrap();
        make_bucket(&engine, "cache");
        for index in 0..200 {
            let body = vec![7; 20_000];
            put(&engine, "cache", &key(index), &body).unwrap();
            for _ in 0..2 {
                assert_eq!(read(&engine, "cache", &key(index), Which::Newest).unwrap(), body);
            }
        }
        assert!(engine.stats().object_cache_bytes <= bytes);
        let again = (0..200)
            .filter(|index| {
                let proof = object("cache", &key(*index), Op::Get);
                engine.object_cached(&proof).unwrap().is_some()
            })
            .count();
        assert_eq!(again > 0, hits);
        assert_eq!(engine.stats().object_cache_hits > 0, hits);
    }
}
