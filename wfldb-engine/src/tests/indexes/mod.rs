//! Indexes: what stands in them follows from the documents, whatever was done and however it was cut off.

mod build;
mod model;
mod unique;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wfldb_core::index::{End, IndexDefinition, IndexEntry, IndexName};
use wfldb_core::name::ObjectKey;

use super::*;
use crate::bucket::resolve;
use crate::index::{ready, walk};
use crate::row::{decode_entry, key};
use crate::storage::prefix_end;
use crate::{IndexInfo, IndexProgress, MemoryStorage, Snapshot, Space, Storage};

const BUCKET: &str = "people";

fn engine_on(storage: &MemoryStorage, dir: &Path, options: EngineOptions) -> Engine {
    Engine::with_storage(Arc::new(storage.clone()), dir, options).unwrap()
}

/// An engine in memory with a bucket of documents, and what it is on.
struct Place {
    dir: tempfile::TempDir,
    storage: MemoryStorage,
    engine: Engine,
}

impl Place {
    fn new() -> Self {
        Self::with(options())
    }

    fn with(options: EngineOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let storage = MemoryStorage::new();
        let engine = engine_on(&storage, dir.path(), options);
        configure(&engine, BUCKET, r#"{"kind":"documents"}"#);
        Self { dir, storage, engine }
    }
}

fn store(engine: &Engine, key: &str, document: &Value) -> Result<PutOutcome, EngineError> {
    store_with(engine, key, document, &ObjectHeaders::default())
}

fn store_with(
    engine: &Engine,
    key: &str,
    document: &Value,
    headers: &ObjectHeaders,
) -> Result<PutOutcome, EngineError> {
    let body = document.to_string();
    engine.settled(|engine| {
        let proof = object(BUCKET, key, Op::Put);
        engine.put_document(&proof, body.as_bytes(), headers.clone(), Preconditions::default())
    })
}

fn definition(json: &Value) -> IndexDefinition {
    IndexDefinition::parse(json).unwrap()
}

fn define(engine: &Engine, json: &Value) -> Result<IndexName, EngineError> {
    let proof = of_bucket(BUCKET, Op::Manage);
    Ok(engine.define_index(&proof, definition(json)).wait()?.name)
}

fn built(engine: &Engine, name: &IndexName) -> IndexInfo {
    let proof = of_bucket(BUCKET, Op::Manage);
    let info = engine
        .wait_for_index(&proof, name, Duration::from_mins(1))
        .unwrap();
    assert!(
        !matches!(info.progress, IndexProgress::Building { .. }),
        "{info:?}"
    );
    info
}

/// Defines an index and waits until it is built.
fn index(engine: &Engine, json: &Value) -> IndexName {
    let name = define(engine, json).unwrap();
    assert_eq!(built(engine, &name).progress, IndexProgress::Ready);
    name
}

fn drop_index(engine: &Engine, name: &IndexName) {
    engine
        .drop_index(&of_bucket(BUCKET, Op::Manage), name)
        .wait()
        .unwrap();
}

/// Every document, as a reader finds it who knows nothing of indexes. Those whose time is over, and that nobody ended
/// yet, too: they have rows until then.
fn documents(engine: &Engine) -> BTreeMap<ObjectKey, Value> {
    documents_in(&*engine.inner.storage.snapshot())
}

fn documents_in(snapshot: &dyn Snapshot) -> BTreeMap<ObjectKey, Value> {
    let bucket = resolve(snapshot, &name(BUCKET)).unwrap();
    let prefix = key::of_bucket(&bucket.id);
    let heads = snapshot.range(Space::Heads, &prefix, &prefix_end(&prefix), false);
    heads
        .map(|row| {
            let (row_key, row) = row.unwrap();
            let row = crate::row::ObjectRow::decode(&row).unwrap();
            let body = snapshot
                .get(Space::Bodies, &key::body(&bucket.id, &row.version))
                .unwrap();
            (
                key::key_of_head(&row_key).unwrap(),
                serde_json::from_slice(&body.unwrap()).unwrap(),
            )
        })
        .collect()
}

type Rows = Vec<(ObjectKey, IndexEntry)>;

/// The rows of every index that is built, by name, in order.
fn rows_in(snapshot: &dyn Snapshot) -> BTreeMap<String, Rows> {
    let bucket = resolve(snapshot, &name(BUCKET)).unwrap();
    let of = |number| {
        let prefix = key::index_rows(&bucket.id, number);
        let rows = snapshot.range(Space::Index, &prefix, &prefix_end(&prefix), false);
        let row = |(row_key, row): crate::Row| {
            let (entry, object) = decode_entry(&row_key[prefix.len()..], &row).unwrap();
            (object, entry)
        };
        rows.map(|found| row(found.unwrap())).collect::<Rows>()
    };
    let ready = ready(&bucket);
    ready
        .map(|(number, definition)| (definition.name.to_string(), of(number)))
        .collect()
}

/// Every index that is built has exactly the rows that follow from the documents.
fn assert_follows(engine: &Engine) {
    let snapshot = engine.inner.storage.snapshot();
    let documents = documents_in(&*snapshot);
    let found = rows_in(&*snapshot);
    let bucket = resolve(&*snapshot, &name(BUCKET)).unwrap();
    for (_, definition) in ready(&bucket) {
        let mut expected: Rows = Vec::new();
        for (object, document) in &documents {
            let entries = definition.entries(document).unwrap();
            expected.extend(entries.into_iter().map(|entry| (object.clone(), entry)));
        }
        expected.sort_by_cached_key(|(object, entry)| entry.key(object));
        assert_eq!(found[definition.name.as_str()], expected, "{}", definition.name);
    }
}

fn rows_in_storage(storage: &MemoryStorage) -> usize {
    let rows = storage.dump();
    let is_of_index = |row: &[u8]| row.get(16) == Some(&b'i');
    rows.iter()
        .filter(|(space, row, _)| *space == Space::Index && is_of_index(row))
        .count()
}

#[test]
fn an_index_finds_documents_in_the_order_of_their_values() {
    let place = Place::new();
    let engine = &place.engine;
    for (key, age) in [("a", 30), ("b", 7), ("c", -5), ("d", 30)] {
        store(engine, key, &json!({"age": age, "tags": ["x", key]})).unwrap();
    }
    store(engine, "none", &json!({"name": "no age"})).unwrap();
    let name = index(engine, &json!({"index": {"fields": ["age"]}, "name": "by-age"}));
    let tags = index(engine, &json!({"index": {"fields": ["tags"]}, "name": "by-tag"}));
    let snapshot = engine.inner.storage.snapshot();
    let bucket = resolve(&*snapshot, &super::name(BUCKET)).unwrap();
    let walked = |index: &IndexName,
                  range: &dyn Fn(&IndexDefinition) -> wfldb_core::index::KeyRange,
                  reverse: bool| {
        let (number, definition) = ready(&bucket).find(|(_, known)| known.name == *index).unwrap();
        let walk = walk(&*snapshot, &bucket.id, number, &range(definition), reverse, None);
        let found: Vec<_> = walk.map(Result::unwrap).collect();
        // Where a walk stopped, another goes on.
        for (at, stop) in found.iter().enumerate() {
            let rest = indexes::walk(
                &*snapshot,
                &bucket.id,
                number,
                &range(definition),
                reverse,
                Some(&stop.place),
            );
            assert_eq!(rest.map(Result::unwrap).collect::<Vec<_>>(), found[at + 1..]);
        }
        found
            .into_iter()
            .map(|walked| walked.object.to_string())
            .collect::<Vec<_>>()
    };
    let all = |definition: &IndexDefinition| definition.between(&[], End::Open, End::Open).unwrap();
    assert_eq!(walked(&name, &all, false), ["c", "b", "a", "d"]);
    assert_eq!(walked(&name, &all, true), ["d", "a", "b", "c"]);
    let above = json!(7);
    let above =
        |definition: &IndexDefinition| definition.between(&[], End::Excluded(&above), End::Open).unwrap();
    assert_eq!(walked(&name, &above, false), ["a", "d"]);
    let absent = |definition: &IndexDefinition| definition.equal(&[None]).unwrap();
    assert_eq!(walked(&name, &absent, false), ["none"]);
    let element = json!("c");
    let element = |definition: &IndexDefinition| definition.equal(&[Some(&element)]).unwrap();
    assert_eq!(walked(&tags, &element, false), ["c"]);
    assert_sound(engine);
}

#[test]
fn definitions_are_bounded_named_once_and_only_of_documents() {
    let place = Place::new();
    let engine = &place.engine;
    let by_age = json!({"index": {"fields": ["age"]}, "name": "by-age"});
    let proof = of_bucket(BUCKET, Op::Manage);
    assert!(
        engine
            .define_index(&proof, definition(&by_age))
            .wait()
            .unwrap()
            .created
    );
    assert!(
        !engine
            .define_index(&proof, definition(&by_age))
            .wait()
            .unwrap()
            .created
    );
    let other = json!({"index": {"fields": ["name"]}, "name": "by-age"});
    assert!(matches!(define(engine, &other), Err(EngineError::IndexExists)));
    make_bucket(engine, "objects");
    let objects = engine
        .define_index(&of_bucket("objects", Op::Manage), definition(&by_age))
        .wait();
    assert!(matches!(objects, Err(EngineError::NotDocuments)));
    for n in 1..wfldb_core::limits::INDEXES_MAX {
        define(engine, &json!({"index": {"fields": [format!("f{n}")]}})).unwrap();
    }
    let one_more = json!({"index": {"fields": ["more"]}});
    assert!(matches!(
        define(engine, &one_more),
        Err(EngineError::TooManyIndexes)
    ));
    drop_index(engine, &IndexName::parse("by-age").unwrap());
    let again = engine
        .drop_index(&proof, &IndexName::parse("by-age").unwrap())
        .wait();
    assert!(matches!(again, Err(EngineError::NoSuchIndex)));
    define(engine, &one_more).unwrap();
    // Configuring the bucket keeps them.
    configure(engine, BUCKET, r#"{"kind":"documents","auto_index":true}"#);
    assert_eq!(
        engine.indexes(&proof).unwrap().len(),
        wfldb_core::limits::INDEXES_MAX
    );
    let put = engine.indexes(&of_bucket(BUCKET, Op::Put));
    assert!(matches!(put, Err(EngineError::Forbidden)));
    assert_sound(engine);
}

/// DEFECT: a query that looks at few documents makes an index, or each of many queries one.
#[test]
fn a_bucket_that_is_set_so_makes_the_index_that_a_query_would_gain_from() {
    let place = Place::new();
    let engine = &place.engine;
    store(engine, "a", &json!({"f0": 1})).unwrap();
    let proof = of_bucket(BUCKET, Op::Manage);
    let wish = |n: usize, examined: u64, returned: u64| {
        let bucket = resolve(&*engine.inner.storage.snapshot(), &name(BUCKET)).unwrap();
        let wish = definition(&json!({"index": {"fields": [format!("f{n}")]}}));
        engine.inner.wish_index(&bucket, &wish, examined, returned);
    };
    wish(0, 1_000_000, 1);
    configure(engine, BUCKET, r#"{"kind":"documents","auto_index":true}"#);
    wish(1, 999, 0);
    wish(2, 10_000, 5000);
    wish(3, 5000, 1);
    wish(3, 5000, 1);
    until(|| {
        engine
            .indexes(&proof)
            .unwrap()
            .iter()
            .any(|index| index.progress == IndexProgress::Ready)
    });
    let made = engine.indexes(&proof).unwrap();
    assert_eq!(made.len(), 1);
    assert!(
        made[0].automatic
            && made[0]
                .definition
                .fields()
                .any(|(path, _)| path.to_string() == "f3")
    );
    for n in 4..40 {
        wish(n, 5000, 1);
        until(|| {
            engine.indexes(&proof).unwrap().len() > (n - 3).min(wfldb_core::limits::INDEXES_AUTOMATIC_MAX - 1)
        });
    }
    assert_eq!(
        engine.indexes(&proof).unwrap().len(),
        wfldb_core::limits::INDEXES_AUTOMATIC_MAX
    );
    assert_follows(engine);
}

/// What it does to a key and its value.
type Damage = dyn Fn(&mut Vec<u8>, &mut Option<Vec<u8>>);

/// Each kind of damage is found and named.
#[test]
fn verify_names_a_damaged_index() {
    let damages: [(&str, &Damage); 3] = [
        ("missing", &|_, value| *value = None),
        ("wrong", &|_, value| *value = Some(vec![0, 0, 9])),
        // Behind the rows of the index: of a document that is not there.
        ("of no document", &|row, _| row.push(b'x')),
    ];
    for (what, damage) in damages {
        let place = Place::new();
        for n in 0..20 {
            store(&place.engine, &format!("k{n:02}"), &json!({"age": n})).unwrap();
        }
        index(
            &place.engine,
            &json!({"index": {"fields": ["age"]}, "name": "by-age"}),
        );
        assert_sound(&place.engine);
        let dump = place.storage.dump();
        let rows = dump
            .iter()
            .filter(|(space, row, _)| *space == Space::Index && row.get(16) == Some(&b'i'));
        let (space, row, value) = rows.clone().nth(7).unwrap();
        let (mut row, mut value) = (row.to_vec(), Some(value.to_vec()));
        damage(&mut row, &mut value);
        let writes = vec![(*space, Bytes::from(row), value.map(Bytes::from))];
        place.storage.commit(crate::Batch { writes }).unwrap();
        let proof = Authorized::local("test", Op::Admin, Target::Store);
        let report = place.engine.verify(&proof).unwrap();
        assert_eq!(report.findings.len(), 1, "{what}: {:?}", report.findings);
        let finding = &report.findings[0];
        assert!(finding.detail.contains(what), "{finding:?}");
        assert_eq!(finding.name.as_deref(), Some("by-age"));
        // Dropping and making it again repairs it.
        drop_index(&place.engine, &IndexName::parse("by-age").unwrap());
        until(|| rows_in_storage(&place.storage) == 0);
        index(
            &place.engine,
            &json!({"index": {"fields": ["age"]}, "name": "by-age"}),
        );
        assert_sound(&place.engine);
        assert_follows(&place.engine);
    }
}
