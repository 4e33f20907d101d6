//! Edits of documents that were made outside of the store.

use std::thread;

use wfldb_core::doc::{self, Object, Value};
use wfldb_core::mirror::Strategy;
use wfldb_core::object::BucketKind;

use super::*;
use crate::EditOutcome;

struct Store {
    engine: Engine,
    _dir: tempfile::TempDir,
}

impl Store {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path(), options()).unwrap();
        let config = BucketConfig {
            kind: BucketKind::Documents,
            ..BucketConfig::default()
        };
        let manage = of_bucket("docs", Op::Manage);
        engine.put_bucket(&manage, config).wait().unwrap();
        Self { engine, _dir: dir }
    }

    fn put(&self, json: &str) {
        let proof = object("docs", "a", Op::Put);
        let put = |engine: &Engine| {
            let (headers, conditions) = (ObjectHeaders::default(), Preconditions::default());
            engine.put_document(&proof, json.as_bytes(), headers, conditions)
        };
        self.engine.settled(put).unwrap();
    }

    /// The document as its file has it.
    fn file(&self) -> Object {
        let proof = object("docs", "a", Op::Get);
        let read = self.engine.document(&proof, Which::Newest).unwrap();
        doc::parse_object(&read.json).unwrap()
    }

    fn members(&self) -> Value {
        doc::without_envelope(self.file()).into()
    }

    fn edit(&self, edited: &Object, strategy: Strategy) -> EditOutcome {
        let proof = object("docs", "a", Op::Put);
        self.engine.edit_document(&proof, edited, strategy).unwrap()
    }
}

fn with(mut file: Object, name: &str, value: i64) -> Object {
    file.insert(name.to_owned(), value.into());
    file
}

fn conflicts(outcome: EditOutcome) -> Vec<String> {
    match outcome {
        EditOutcome::Conflict(conflicts) => conflicts.into_iter().map(|conflict| conflict.pointer).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_edit_is_a_new_signed_version_and_the_same_file_twice_is_none() {
    let store = Store::new();
    let new: Object = serde_json::from_str(r#"{"n":1}"#).unwrap();
    assert!(matches!(store.edit(&new, Strategy::Manual), EditOutcome::Written(put) if put.created));
    let edited = with(store.file(), "n", 2);
    assert!(matches!(store.edit(&edited, Strategy::Manual), EditOutcome::Written(put) if !put.created));
    assert_eq!(store.edit(&edited, Strategy::Manual), EditOutcome::Unchanged);
    assert_eq!(
        (store.members(), &store.file()["_v"]),
        (serde_json::json!({"n": 2}), &2.into())
    );
    assert_sound(&store.engine);
}

/// DEFECT: an edit of an old file takes back what was written since.
#[test]
fn an_edit_that_began_with_an_older_version_is_settled_by_what_it_began_with() {
    let store = Store::new();
    store.put(r#"{"a":1,"b":1}"#);
    let old = store.file();
    store.put(r#"{"a":1,"b":2}"#);
    assert_eq!(store.edit(&old, Strategy::LastWrite), EditOutcome::Unchanged);
    let apart = with(old.clone(), "a", 5);
    assert_eq!(conflicts(store.edit(&apart, Strategy::Manual)), [""]);
    assert_eq!(store.members(), serde_json::json!({"a": 1, "b": 2}));
    let against = with(old.clone(), "b", 5);
    assert_eq!(conflicts(store.edit(&against, Strategy::Fields)), ["/b"]);
    assert!(matches!(
        store.edit(&apart, Strategy::Fields),
        EditOutcome::Written(_)
    ));
    assert_eq!(store.members(), serde_json::json!({"a": 5, "b": 2}));
    assert!(matches!(
        store.edit(&against, Strategy::LastWrite),
        EditOutcome::Written(_)
    ));
    assert_eq!(store.members(), serde_json::json!({"a": 1, "b": 5}));
    // What lost is in the history.
    let history = store
        .engine
        .history(&object("docs", "a", Op::Get), None, 10, true)
        .unwrap();
    let values: Vec<Value> = history
        .items
        .iter()
        .map(|item| serde_json::from_slice::<Value>(item.json.as_ref().unwrap()).unwrap()["b"].clone())
        .collect();
    assert_eq!(values, [5, 2, 2, 1]);
    // A deleted document comes back only when that is asked for.
    let file = with(store.file(), "a", 9);
    delete(&store.engine, "docs", "a").unwrap();
    assert_eq!(conflicts(store.edit(&file, Strategy::Fields)), [""]);
    assert!(matches!(
        store.edit(&file, Strategy::LastWrite),
        EditOutcome::Written(_)
    ));
    assert_sound(&store.engine);
}

/// DEFECT: an edit that was planned on a version which is not the newest any more.
#[test]
fn edits_and_writes_at_once_lose_nothing() {
    let store = Store::new();
    store.put(r#"{"base":0}"#);
    let file = store.file();
    thread::scope(|scope| {
        for n in 0..8 {
            let (store, file) = (&store, &file);
            scope.spawn(move || {
                let edited = with(file.clone(), &format!("m{n}"), n);
                let outcome = store.edit(&edited, Strategy::Fields);
                assert!(matches!(outcome, EditOutcome::Written(_)), "{outcome:?}");
            });
        }
    });
    let members = store.members();
    for n in 0..8 {
        assert_eq!(members[format!("m{n}")], n);
    }
    assert_eq!(store.file()["_v"], 9);
    assert_sound(&store.engine);
}
