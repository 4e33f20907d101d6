//! Random work on documents and indexes. After each step every index has what follows from the documents.

use proptest::prelude::*;

use super::*;
use crate::{BatchAction, BatchOp};

/// One step. Keys and indexes by number.
#[derive(Debug, Clone)]
enum Step {
    Put(u8, Value),
    PutForAWhile(u8, Value),
    Delete(u8),
    Undelete(u8),
    EraseNewest(u8),
    Batch(Vec<(u8, Option<Value>)>),
    Define(u8),
    Drop(u8),
    Later,
    Keep(u8),
    Reopen,
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => (0i64..4).prop_map(Value::from),
        1 => "[ab]{0,2}".prop_map(Value::from),
        1 => Just(Value::Null),
        2 => prop::collection::vec(0i64..3, 0..3).prop_map(Value::from),
        1 => Just(Value::from("x".repeat(3000))),
    ]
}

fn document() -> impl Strategy<Value = Value> {
    let field = || prop::option::of(value());
    (field(), field(), 0i64..1000).prop_map(|(a, b, only)| {
        let mut document = json!({ "only": only });
        for (name, value) in [("a", a), ("b", b)] {
            if let Some(value) = value {
                document[name] = value;
            }
        }
        document
    })
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0u8..6;
    let entry = || (key(), prop::option::weighted(0.7, document()));
    prop_oneof![
        8 => (key(), document()).prop_map(|(key, document)| Step::Put(key, document)),
        2 => (key(), document()).prop_map(|(key, document)| Step::PutForAWhile(key, document)),
        2 => key().prop_map(Step::Delete),
        2 => key().prop_map(Step::Undelete),
        2 => key().prop_map(Step::EraseNewest),
        2 => prop::collection::vec(entry(), 1..4).prop_map(Step::Batch),
        3 => (0u8..DEFINITIONS).prop_map(Step::Define),
        1 => (0u8..DEFINITIONS).prop_map(Step::Drop),
        1 => Just(Step::Later),
        1 => (0u8..3).prop_map(Step::Keep),
        1 => Just(Step::Reopen),
    ]
}

const DEFINITIONS: u8 = 7;

fn defined(number: u8) -> Value {
    let mut json = match number {
        0 => json!({"index": {"fields": ["a"]}}),
        1 => json!({"index": {"fields": [{"a": "desc"}, "b"]}}),
        2 => json!({"index": {"fields": ["a", "b"]}, "sparse": true}),
        3 => json!({"index": {"fields": ["b"], "partial_filter_selector": {"a": {"$gt": 1}}}}),
        4 => json!({"index": {"fields": ["a", "b"]}, "type": "hash"}),
        5 => json!({"index": {"fields": ["only"]}, "unique": true}),
        _ => {
            json!({"index": {"fields": ["a", "b"], "partial_filter_selector": {"b": {"$exists": true}}}, "unique": true})
        }
    };
    json["name"] = Value::from(format!("i{number}"));
    json
}

/// What a write may come to, beside success.
fn is_expected(error: &EngineError) -> bool {
    match error {
        EngineError::Entry { error, .. } => is_expected(error),
        EngineError::UniqueViolation { .. }
        | EngineError::NotDeleted
        | EngineError::NoSuchKey
        | EngineError::RepeatedKey => true,
        _ => false,
    }
}

struct Run {
    dir: tempfile::TempDir,
    storage: MemoryStorage,
    clock: HandClock,
    engine: Engine,
}

impl Run {
    fn carry_out(&mut self, step: Step) {
        let engine = &self.engine;
        let key = |key: u8| format!("k{key}");
        let done = match step {
            Step::Put(k, document) => store(engine, &key(k), &document).map(drop),
            Step::PutForAWhile(k, document) => {
                let ttl = ObjectHeaders::parse([("x-wfldb-ttl", "5")]).unwrap();
                store_with(engine, &key(k), &document, &ttl).map(drop)
            }
            Step::Delete(k) => delete(engine, BUCKET, &key(k)).map(drop),
            Step::Undelete(k) => engine
                .settled(|engine| engine.undelete(&object(BUCKET, &key(k), Op::Put)))
                .map(drop),
            Step::EraseNewest(k) => self.erase_newest(&key(k)),
            Step::Batch(entries) => self.batch(&entries),
            Step::Define(number) => {
                // Several may be on their way when the next write comes.
                define(engine, &defined(number)).map(drop)
            }
            Step::Drop(number) => {
                let name = IndexName::parse(&format!("i{number}")).unwrap();
                match engine.drop_index(&of_bucket(BUCKET, Op::Manage), &name).wait() {
                    Err(EngineError::NoSuchIndex) => Ok(()),
                    done => done,
                }
            }
            Step::Later => {
                self.clock.forward(Duration::from_secs(6));
                crate::lifecycle::expire(&engine.inner)
            }
            Step::Keep(keep) => {
                let config = match keep {
                    0 => r#"{"kind":"documents"}"#.to_owned(),
                    keep => format!(r#"{{"kind":"documents","versions":{{"keep":{keep}}}}}"#),
                };
                configure(engine, BUCKET, &config);
                crate::lifecycle::retain(&engine.inner)
            }
            Step::Reopen => {
                self.reopen();
                Ok(())
            }
        };
        if let Err(error) = done {
            assert!(is_expected(&error), "{error:?}");
        }
    }

    fn erase_newest(&self, object_key: &str) -> Result<(), EngineError> {
        let snapshot = self.engine.inner.storage.snapshot();
        let bucket = resolve(&*snapshot, &name(BUCKET)).unwrap();
        let prefix = key::versions_of(&bucket.id, &ObjectKey::parse(object_key).unwrap());
        let mut rows = snapshot.range(Space::Versions, &prefix, &prefix_end(&prefix), false);
        let Some(newest) = rows.next() else { return Ok(()) };
        let (_, version) = key::key_of_version(&newest.unwrap().0).unwrap();
        let proof = object(BUCKET, object_key, Op::Erase);
        let erased = self.engine.erase(&proof, version, Preconditions::default());
        erased.wait().map(drop)
    }

    fn batch(&self, entries: &[(u8, Option<Value>)]) -> Result<(), EngineError> {
        let op = |(key, document): &(u8, Option<Value>)| BatchOp {
            key: ObjectKey::parse(&format!("k{key}")).unwrap(),
            action: match document {
                Some(document) => BatchAction::Put {
                    body: Bytes::from(document.to_string()),
                    headers: Box::default(),
                },
                None => BatchAction::Delete,
            },
            preconditions: Preconditions::default(),
        };
        let proof = Authorized::local("test", Op::Put, Target::Batch(name(BUCKET)));
        let ops: Vec<_> = entries.iter().map(op).collect();
        self.engine.batch(&proof, ops).wait().map(drop)
    }

    /// Another process, which finds whatever the worker had come to.
    fn reopen(&mut self) {
        let storage = self.storage.reopened();
        self.engine = engine_on(&storage, self.dir.path(), self.clock.options());
        self.storage = storage;
    }

    fn settle(&self) {
        let proof = of_bucket(BUCKET, Op::Manage);
        for index in self.engine.indexes(&proof).unwrap() {
            built(&self.engine, &index.definition.name);
        }
    }

    /// No two live documents have the same values in a unique index that is built.
    fn assert_unique(&self) {
        for (index, rows) in rows_in(&*self.engine.inner.storage.snapshot()) {
            let mut seen = BTreeMap::new();
            for (object, entry) in rows.into_iter().filter(|(_, entry)| entry.unique) {
                let proof = object_proof(object.as_str());
                if self.engine.object(&proof, Which::Newest).is_err() {
                    continue;
                }
                let other = seen.insert(entry.fields, object.clone());
                assert_eq!(other, None, "{index}: {object}");
            }
        }
    }
}

fn object_proof(key: &str) -> Authorized {
    object(BUCKET, key, Op::Get)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Defects it catches: an entry that is left when a version ends by its time, or shows through when one is erased; a
    /// hint of another version; a partial index that keeps what is not selected any more.
    #[test]
    fn indexes_follow_the_documents(steps in prop::collection::vec(step(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let storage = MemoryStorage::new();
        let clock = HandClock::new();
        let engine = engine_on(&storage, dir.path(), clock.options());
        configure(&engine, BUCKET, r#"{"kind":"documents"}"#);
        let mut run = Run { dir, storage, clock, engine };
        for (at, step) in steps.into_iter().enumerate() {
            run.clock.forward(Duration::from_millis(3));
            run.carry_out(step);
            // What is built is right at any moment, also while others are being built.
            assert_follows(&run.engine);
            if at % 5 == 4 {
                run.settle();
                assert_follows(&run.engine);
                run.assert_unique();
            }
        }
        run.settle();
        assert_follows(&run.engine);
        run.assert_unique();
        assert_sound(&run.engine);
    }
}
