//! Documents with a time: what is refused in buckets that only grow, and what goes when it is too old.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use wfldb_core::auth::Op;
use wfldb_core::name::ObjectKey;
use wfldb_core::object::{BucketConfig, ObjectHeaders, Preconditions};
use wfldb_core::time::UnixMillis;

use super::{HandClock, assert_sound, configure, delete, name, object, of_bucket, until, usage};
use crate::commit::plan::{Aged, Mutation};
use crate::lifecycle::age;
use crate::row::{Action, ChangeRow, key};
use crate::storage::{Space, prefix_end};
use crate::{Engine, EngineError, MemoryStorage, PutOutcome, Usage};

const DAY: Duration = Duration::from_hours(24);
const EVENTS: &str = r#"{"kind":"documents","time_field":"at","append_only":true,"time_days":7}"#;

/// An engine with a bucket `docs`.
pub(super) fn in_memory(clock: &HandClock, config: &str) -> (tempfile::TempDir, Engine) {
    let dir = tempfile::tempdir().unwrap();
    let storage = std::sync::Arc::new(MemoryStorage::new());
    let engine = Engine::with_storage(storage, dir.path(), clock.options()).unwrap();
    configure(&engine, "docs", config);
    (dir, engine)
}

pub(super) fn put_document(engine: &Engine, key: &str, document: &Value) -> Result<PutOutcome, EngineError> {
    put_document_with(engine, key, document, &[])
}

pub(super) fn put_document_with(
    engine: &Engine,
    key: &str,
    document: &Value,
    headers: &[(&str, &str)],
) -> Result<PutOutcome, EngineError> {
    let proof = object("docs", key, Op::Put);
    let body = document.to_string();
    engine.settled(|engine| {
        let headers = ObjectHeaders::parse(headers.iter().copied()).unwrap();
        engine.put_document(&proof, body.as_bytes(), headers, Preconditions::default())
    })
}

fn at(clock: &HandClock, before: Duration) -> String {
    let before = u64::try_from(before.as_millis()).unwrap();
    clock.now().minus_ms(before).to_string()
}

fn keys(engine: &Engine) -> Vec<String> {
    let snapshot = engine.inner.storage.snapshot();
    let bucket = engine.bucket(&of_bucket("docs", Op::Manage)).unwrap().id;
    let prefix = key::of_bucket(&bucket);
    snapshot
        .range(Space::Heads, &prefix, &prefix_end(&prefix), false)
        .map(|row| key::key_of_head(&row.unwrap().0).unwrap().as_str().to_owned())
        .collect()
}

/// DEFECT: a way into or out of an append-only bucket that was not thought of.
#[test]
fn an_append_only_bucket_takes_new_documents_and_nothing_else() {
    let clock = HandClock::new();
    let (_dir, engine) = in_memory(&clock, EVENTS);
    let document = json!({"at": at(&clock, DAY), "v": 1});
    put_document(&engine, "a", &document).unwrap();
    let refused = [
        put_document(&engine, "a", &json!({"at": at(&clock, DAY), "v": 2})).map(drop),
        delete(&engine, "docs", "a").map(drop),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(EngineError::AppendOnly)), "{refused:?}");
    }
    // What ended by itself is not written anew either.
    put_document_with(&engine, "b", &document, &[("x-wfldb-ttl", "1")]).unwrap();
    clock.forward(Duration::from_secs(2));
    crate::lifecycle::expire(&engine.inner).unwrap();
    let refused = put_document(&engine, "b", &document);
    assert!(matches!(refused, Err(EngineError::AppendOnly)), "{refused:?}");
    let undeleted = engine.undelete(&object("docs", "b", Op::Put)).wait();
    assert!(undeleted.is_err(), "{undeleted:?}");
    assert_eq!(delete(&engine, "docs", "nothing").unwrap(), None);
    assert_eq!(keys(&engine), ["a"]);
    assert_sound(&engine);
}

/// DEFECT: looking whether the key is free before the commit and not in it.
#[test]
fn of_many_that_append_the_same_key_one_comes_first() {
    let clock = HandClock::new();
    let (_dir, engine) = in_memory(&clock, EVENTS);
    let stored = AtomicUsize::new(0);
    let document = json!({"at": at(&clock, DAY)});
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for number in 0..20 {
                    match put_document(&engine, &format!("k{number}"), &document) {
                        Ok(_) => {
                            stored.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(error) => assert!(matches!(error, EngineError::AppendOnly), "{error:?}"),
                    }
                }
            });
        }
    });
    assert_eq!(stored.load(Ordering::SeqCst), 20);
    let usage = usage(&engine, "docs");
    assert_eq!((usage.objects, usage.versions), (20, 20));
    assert_sound(&engine);
}

#[test]
fn a_document_without_the_time_that_its_bucket_wants_is_refused_with_the_place() {
    let clock = HandClock::new();
    let (_dir, engine) = in_memory(&clock, r#"{"kind":"documents","time_field":"seen.at~"}"#);
    for document in [
        json!({}),
        json!({"seen": {"at~": "yesterday"}}),
        json!({"seen": {"at~": -1}}),
        json!({"seen": {"at~": "1969-12-31T23:59:59Z"}}),
        json!({"seen": {"at~": ["2026-01-01T00:00:00Z"]}}),
    ] {
        let refused = put_document(&engine, "a", &document).unwrap_err();
        assert_eq!(refused.code(), "BadTimeField", "{document}");
        assert_eq!(refused.pointer().as_deref(), Some("/seen/at~0"), "{document}");
    }
    for time in [
        json!(1_767_323_045_006_i64),
        json!("2026-01-02T05:04:05.006+02:00"),
    ] {
        put_document(&engine, "a", &json!({"seen": {"at~": time}})).unwrap();
    }
    assert_sound(&engine);
}

/// DEFECT: dropping by the time of writing, one millisecond too many, or a time that a document no longer has.
#[test]
fn documents_go_when_their_own_time_is_too_old_and_not_before() {
    let clock = HandClock::new();
    let (_dir, engine) = in_memory(&clock, r#"{"kind":"documents","time_field":"at","time_days":7}"#);
    let ms = Duration::from_millis(1);
    // None is too old yet: the worker of the engine looks by itself when a bucket was configured.
    put_document(&engine, "old", &json!({"at": at(&clock, DAY + ms)})).unwrap();
    put_document(&engine, "on the edge", &json!({"at": at(&clock, DAY)})).unwrap();
    put_document(
        &engine,
        "future",
        &json!({"at": clock.now().plus_ms(86_400_000).to_string()}),
    )
    .unwrap();
    // Moved from young to old, and back.
    put_document(&engine, "aged", &json!({"at": at(&clock, ms)})).unwrap();
    put_document(&engine, "aged", &json!({"at": at(&clock, 3 * DAY)})).unwrap();
    put_document(&engine, "renewed", &json!({"at": at(&clock, 3 * DAY)})).unwrap();
    put_document(&engine, "renewed", &json!({"at": at(&clock, ms)})).unwrap();
    put_document(&engine, "deleted", &json!({"at": at(&clock, 3 * DAY)})).unwrap();
    delete(&engine, "docs", "deleted").unwrap();
    assert_sound(&engine);
    clock.forward(6 * DAY);
    age(&engine.inner).unwrap();
    assert_eq!(keys(&engine), ["future", "on the edge", "renewed"]);
    // Nothing is left of what went: `renewed` has two versions, `deleted` is deleted as before.
    let Usage {
        objects, versions, ..
    } = usage(&engine, "docs");
    assert_eq!((objects, versions), (3, 6));
    assert_sound(&engine);
    clock.forward(ms);
    age(&engine.inner).unwrap();
    assert_eq!(keys(&engine), ["future", "renewed"]);
    assert_sound(&engine);
}

/// In the log stands what went, and that it went at its end. DEFECT: rows that go without a word.
#[test]
fn what_was_dropped_stands_in_the_log() {
    let clock = HandClock::new();
    let (_dir, engine) = in_memory(&clock, EVENTS);
    let mut gone = Vec::new();
    for number in 0..600 {
        let key = format!("k{number:03}");
        let stored = put_document(&engine, &key, &json!({"at": at(&clock, DAY), "n": number})).unwrap();
        gone.push((key, stored.version));
    }
    clock.forward(7 * DAY);
    put_document(&engine, "kept", &json!({"at": at(&clock, DAY)})).unwrap();
    age(&engine.inner).unwrap();
    assert_eq!(keys(&engine), ["kept"]);
    let snapshot = engine.inner.storage.snapshot();
    let mut logged = Vec::new();
    for row in snapshot.range(Space::Log, b"c", b"d", false) {
        let change = ChangeRow::decode(&row.unwrap().1).unwrap();
        if change.action == Action::Lifecycle {
            assert!(change.effects().count() <= 250, "bounded commits");
            logged.extend(change.effects().map(|(_, effect)| {
                assert_eq!(effect.action, Action::VersionExpired);
                (effect.key, effect.version)
            }));
        }
    }
    logged.sort();
    assert_eq!(logged, gone);
    assert_eq!(usage(&engine, "docs").versions, 1);
    assert_sound(&engine);
}

/// The process ends between two of the worker's commits. DEFECT: rows that say what is to go, gone before it went.
#[test]
fn dropping_goes_on_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let engine = Engine::open(dir.path(), clock.options()).unwrap();
    configure(&engine, "docs", EVENTS);
    let old: UnixMillis = clock.now();
    for number in 0..40 {
        put_document(&engine, &format!("k{number:02}"), &json!({"at": old.get()})).unwrap();
    }
    clock.forward(8 * DAY);
    let bucket = engine.bucket(&of_bucket("docs", Op::Manage)).unwrap().id;
    let aged = (0..15).map(|number| Aged {
        at: old,
        key: ObjectKey::parse(&format!("k{number:02}")).unwrap(),
    });
    let first = Mutation::Age {
        bucket,
        aged: aged.collect(),
    };
    engine.inner.submit_system("retention", first).unwrap();
    assert_eq!(keys(&engine).len(), 25);
    // As a killed process leaves it: what is on disk, copied while the store is open.
    let image = super::laws::crash_image(dir.path());
    let engine = Engine::open(image.path(), clock.options()).unwrap();
    assert!(engine.health().writable.is_ok());
    assert_sound(&engine);
    until(|| {
        age(&engine.inner).unwrap();
        keys(&engine).is_empty()
    });
    assert_eq!(usage(&engine, "docs"), Usage::default());
    assert_sound(&engine);
}

#[test]
fn a_bucket_keeps_its_time_field_while_it_holds_versions() {
    let clock = HandClock::new();
    let (_dir, engine) = in_memory(&clock, r#"{"kind":"documents","time_field":"at"}"#);
    let change = |config: &str| {
        let config = BucketConfig::parse_json(config.as_bytes()).unwrap();
        engine.put_bucket(&of_bucket("docs", Op::Manage), config).wait()
    };
    change(r#"{"kind":"documents","time_field":"when"}"#).unwrap();
    put_document(&engine, "a", &json!({"when": 1})).unwrap();
    for config in [
        r#"{"kind":"documents"}"#,
        r#"{"kind":"documents","time_field":"at"}"#,
    ] {
        let refused = change(config);
        assert!(matches!(refused, Err(EngineError::TimeFieldFixed)), "{refused:?}");
    }
    change(r#"{"kind":"documents","time_field":"when","append_only":true}"#).unwrap();
    assert_eq!(
        engine.bucket(&of_bucket("docs", Op::Manage)).unwrap().name,
        name("docs")
    );
}
