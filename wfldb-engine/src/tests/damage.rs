//! Stores that were damaged on disk: opened read-only with a reason, or not at all; never repaired by forgetting.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::laws::{copy, files};
use super::*;
use crate::{OpenError, Unready};

/// A closed store with a journal that holds everything.
fn store() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    make_bucket(&engine, "aaa");
    for n in 0..60 {
        put(
            &engine,
            "aaa",
            &format!("k{:02}", n % 20),
            format!("body {n}").as_bytes(),
        )
        .unwrap();
    }
    engine.close().unwrap();
    dir
}

fn copy_of(store: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(store, dir.path());
    dir
}

fn journal(dir: &Path) -> PathBuf {
    let mut journals: Vec<_> = fs::read_dir(dir.join("db"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "jnl"))
        .collect();
    journals.sort();
    journals.pop().unwrap()
}

fn bodies(engine: &Engine) -> BTreeMap<String, Option<Vec<u8>>> {
    (0..20)
        .map(|n| {
            let key = format!("k{n:02}");
            let body = read(engine, "aaa", &key, Which::Newest).ok();
            (key, body)
        })
        .collect()
}

fn read_only_reason(engine: &Engine) -> String {
    match engine.health().writable {
        Err(Unready::ReadOnly(reason)) => reason,
        other => panic!("the store should be read-only, it is {other:?}"),
    }
}

fn contents(dir: &Path) -> Vec<(String, blake3::Hash)> {
    files(&dir.join("db"))
        .into_iter()
        .map(|path| (path.clone(), blake3::hash(&fs::read(&path).unwrap())))
        .collect()
}

/// A defect it catches: trusting fjall's own recovery, which cuts the journal at the damage and goes on.
#[test]
fn a_flipped_byte_in_the_journal_loses_nothing_silently() {
    let store = store();
    let path = journal(store.path());
    let whole = fs::read(&path).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let sound = {
        let copy = copy_of(store.path());
        let engine = open(copy.path());
        assert_eq!(engine.health().writable, Ok(()));
        bodies(&engine)
    };
    let mut read_only = 0;
    for at in (0..used).step_by(used / 40) {
        let damaged = copy_of(store.path());
        let mut bytes = whole.clone();
        bytes[at] ^= 0x01;
        fs::write(journal(damaged.path()), &bytes).unwrap();
        let before = contents(damaged.path());
        let engine = Engine::open(damaged.path(), options()).unwrap();
        if engine.health().writable.is_ok() {
            assert_eq!(
                bodies(&engine),
                sound,
                "flip at {at}: open for writing with other data"
            );
        } else {
            read_only += 1;
            assert_eq!(
                contents(damaged.path()),
                before,
                "flip at {at}: the damaged store was changed"
            );
            assert!(matches!(
                put(&engine, "aaa", "k", b"v"),
                Err(EngineError::ReadOnly | EngineError::Read(_))
            ));
        }
    }
    assert!(
        read_only > 20,
        "most flips hit something that matters, here {read_only} of 40"
    );
}

#[test]
fn a_cut_journal_opens_read_only_and_says_what_is_lost() {
    let store = store();
    let path = journal(store.path());
    let bytes = fs::read(&path).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    fs::write(&path, &bytes[..used * 2 / 3]).unwrap();
    let engine = open(store.path());
    let reason = read_only_reason(&engine);
    assert!(reason.contains("acknowledged changes are lost"), "{reason}");
    assert!(
        bodies(&engine).values().any(Option::is_some),
        "what is left can be read"
    );
    drop(engine);
    assert!(
        read_only_reason(&open(store.path())).contains("lost"),
        "it stays so"
    );
}

#[test]
fn a_missing_journal_opens_read_only() {
    let store = store();
    fs::remove_file(journal(store.path())).unwrap();
    let reason = read_only_reason(&open(store.path()));
    assert!(
        reason.contains("lost") || reason.contains("does not open"),
        "{reason}"
    );
}

/// A defect it catches: letting fjall make a keyspace anew because its `current` file is gone.
#[test]
fn a_lost_keyspace_is_named_and_never_read_as_empty() {
    let store = store();
    for keyspace in fs::read_dir(store.path().join("db").join("keyspaces"))
        .unwrap()
        .map(Result::unwrap)
    {
        if keyspace.file_name() == "0" {
            continue;
        }
        let damaged = copy_of(store.path());
        let lost = damaged
            .path()
            .join("db")
            .join("keyspaces")
            .join(keyspace.file_name());
        fs::remove_file(lost.join("current")).unwrap();
        let engine = open(damaged.path());
        let reason = read_only_reason(&engine);
        assert!(reason.contains("keyspaces are lost"), "{reason}");
        if reason.ends_with("heads") {
            let answer = read(&engine, "aaa", "k00", Which::Newest);
            assert!(
                matches!(answer, Err(EngineError::Read(_))),
                "not found would be a lie: {answer:?}"
            );
        }
        assert!(
            lost.exists(),
            "what is left of the keyspace stays for whoever repairs it"
        );
    }
}

#[test]
fn a_missing_mark_opens_read_only() {
    let store = store();
    fs::remove_file(store.path().join("HWM")).unwrap();
    assert!(read_only_reason(&open(store.path())).contains("HWM"));
}

#[test]
fn a_store_without_its_store_file_is_refused() {
    let store = store();
    fs::remove_file(store.path().join("STORE")).unwrap();
    let refused = Engine::open(store.path(), options());
    assert!(matches!(refused, Err(OpenError::StoreFile(_))), "{refused:?}");
}

/// DEFECT: a worker that holds the store when the last handle goes keeps the directory locked for a while.
#[test]
fn a_dropped_store_can_be_opened_at_once() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        let engine = open(dir.path());
        // Workers are at work just after the start, and after each of these.
        make_bucket(&engine, "aaa");
        put(&engine, "aaa", "k", b"v").unwrap();
        drop(engine);
    }
}

#[test]
fn an_unfinished_creation_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    // As a crash just before STORE was there leaves it.
    fs::remove_file(dir.path().join("STORE")).unwrap();
    fs::write(dir.path().join("CREATING"), b"").unwrap();
    let engine = open(dir.path());
    assert!(engine.created_now());
    assert_eq!(engine.health().writable, Ok(()));
    assert!(!dir.path().join("CREATING").exists());
}

#[test]
fn a_store_is_opened_once_and_with_its_own_realm() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    assert!(matches!(
        Engine::open(dir.path(), options()),
        Err(OpenError::Locked(_))
    ));
    assert!(engine.realm().as_str().starts_with("local-"));
    engine.close().unwrap();
    let other = EngineOptions {
        realm: Some(wfldb_core::name::Realm::parse("other").unwrap()),
        ..options()
    };
    assert!(matches!(
        Engine::open(dir.path(), other),
        Err(OpenError::OtherRealm { .. })
    ));
    let engine = open(dir.path());
    assert!(!engine.created_now());
    assert_eq!(engine.store_secret("a"), engine.store_secret("a"));
    assert_ne!(engine.store_secret("a"), engine.store_secret("b"));
}

#[test]
fn the_free_space_floor_refuses_puts_and_lets_deletes_through() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    make_bucket(&engine, "aaa");
    put(&engine, "aaa", "k", b"v").unwrap();
    engine.close().unwrap();
    let floor = EngineOptions {
        min_free: wfldb_core::id::ByteLen::new(u64::MAX),
        ..options()
    };
    let engine = Engine::open(dir.path(), floor).unwrap();
    assert_eq!(engine.health().writable, Err(Unready::LowSpace));
    assert!(matches!(
        put(&engine, "aaa", "k2", b"v"),
        Err(EngineError::StorageFull)
    ));
    assert!(delete(&engine, "aaa", "k").unwrap().is_some());
}
