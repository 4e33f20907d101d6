//! Backups: `writers` takes them while others write and compares each with a model, `gate` and `held` look at the cut and
//! at the chunks, `place` at series and places, `found` at damage and restoring.

mod found;
mod gate;
mod held;
mod place;
mod writers;

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::storage::{FjallStorage, Storage};
use crate::store::{FORMAT, Layout, StoreFile};
use crate::{BackupReport, BackupVerdict, Prober, verify_backup};

fn admin() -> Authorized {
    Authorized::local("test", Op::Admin, Target::Store)
}

fn backup(engine: &Engine, dest: &Path) -> BackupReport {
    engine.backup(&admin(), dest).unwrap()
}

fn verified(dir: &Path) -> BackupVerdict {
    verify_backup(dir, &Prober::default()).unwrap()
}

fn must_be_sound(dir: &Path) -> BackupVerdict {
    let verdict = verified(dir);
    assert!(verdict.sound, "{verdict:#?}");
    verdict
}

fn erase(engine: &Engine, bucket: &str, key: &str, version: wfldb_core::id::VersionId) {
    engine
        .erase(&object(bucket, key, Op::Erase), version, Preconditions::default())
        .wait()
        .unwrap();
}

/// An engine on `storage` in `dir` that can be backed up: with a `STORE` file.
fn engine_on(storage: Arc<dyn Storage>, dir: &Path, keyspaces: Vec<(String, u64)>) -> Engine {
    let file = StoreFile {
        format: FORMAT,
        store: "00112233445566778899aabbccddeeff".to_owned(),
        realm: wfldb_core::name::Realm::parse("memory").unwrap(),
        trust: Vec::new(),
        keyspaces,
    };
    file.write(&Layout::new(dir)).unwrap();
    Engine::with_storage(storage, dir, options()).unwrap()
}

/// The same on fjall, with the storage in hand so that a test can have it flush.
fn engine_that_flushes(dir: &Path) -> (Engine, Arc<FjallStorage>) {
    let storage = Arc::new(FjallStorage::open(&dir.join("db"), 1 << 20).unwrap());
    let engine = engine_on(
        Arc::clone(&storage) as Arc<dyn Storage>,
        dir,
        storage.keyspace_ids(),
    );
    (engine, storage)
}

/// A body that goes through chunk files, and that does not compress.
fn large(seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; 150_000];
    blake3::Hasher::new()
        .update(&[seed])
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}
