//! Documents: versions follow one another without gaps whoever writes, are signed, and go every way that objects go.

use wfldb_core::doc::{self, DocumentFault, Envelope, EnvelopeError, JsonFault, Value};
use wfldb_core::object::{BucketKind, EtagCondition};

use super::*;
use crate::commit::plan::Mutation;
use crate::{BatchAction, BatchOp, CopySource, Document, MemoryStorage, Storage};

fn make(engine: &Engine, bucket: &str) {
    let config = BucketConfig {
        kind: BucketKind::Documents,
        ..BucketConfig::default()
    };
    let proof = of_bucket(bucket, Op::Manage);
    engine.put_bucket(&proof, config).wait().unwrap();
}

fn open_on(storage: &Arc<MemoryStorage>, dir: &Path) -> Engine {
    let storage: Arc<dyn Storage> = Arc::clone(storage) as _;
    Engine::with_storage(storage, dir, options()).unwrap()
}

fn fresh(dir: &Path) -> Engine {
    let engine = open_on(&Arc::new(MemoryStorage::new()), dir);
    make(&engine, "docs");
    engine
}

fn store_where(
    engine: &Engine,
    key: &str,
    json: &str,
    conditions: &Preconditions,
) -> Result<PutOutcome, EngineError> {
    let proof = object("docs", key, Op::Put);
    engine.settled(|engine| {
        engine.put_document(
            &proof,
            json.as_bytes(),
            ObjectHeaders::default(),
            conditions.clone(),
        )
    })
}

fn store(engine: &Engine, key: &str, json: &str) -> Result<PutOutcome, EngineError> {
    store_where(engine, key, json, &Preconditions::default())
}

fn document(engine: &Engine, key: &str, which: Which) -> Result<Document, EngineError> {
    engine.document(&object("docs", key, Op::Get), which)
}

/// The document, verified as a reader would.
fn verified(engine: &Engine, key: &str, which: Which) -> (Value, Envelope) {
    let read = document(engine, key, which).unwrap();
    let (document, signature) = doc::split_signature(doc::parse_object(&read.json).unwrap()).unwrap();
    let key = ObjectKey::parse(key).unwrap();
    let envelope = doc::verify(&name("docs"), &key, &document, &signature).unwrap();
    assert_eq!(
        wfldb_core::id::ContentHash::of(&doc::canonical(&document)),
        read.meta.etag
    );
    (Value::Object(doc::without_envelope(document)), envelope)
}

fn newest(engine: &Engine, key: &str) -> (Value, u64) {
    let (value, envelope) = verified(engine, key, Which::Newest);
    (value, envelope.version)
}

#[test]
fn a_document_is_signed_counted_and_read_back_at_any_version() {
    let dir = tempfile::tempdir().unwrap();
    let engine = fresh(dir.path());
    let first = store(&engine, "a", r#" {"b": 1.0, "a": [1,2]} "#).unwrap();
    assert!(first.created);
    let second = store(&engine, "a", r#"{"b":2}"#).unwrap();
    assert!(!second.created);
    assert_eq!(newest(&engine, "a"), (serde_json::json!({"b":2}), 2));
    let (old, envelope) = verified(&engine, "a", Which::Version(first.version));
    assert_eq!((old, envelope.version), (serde_json::json!({"a":[1,2],"b":1}), 1));
    let (_, after) = verified(&engine, "a", Which::Newest);
    assert_eq!(after.follows(&envelope), Ok(()));
    assert_eq!(envelope.follows(&after), Err(DocumentFault::Sequence));
    assert_eq!(after.by, "local:test");
    // Once more from memory.
    assert_eq!(newest(&engine, "a"), (serde_json::json!({"b":2}), 2));
    let read = document(&engine, "a", Which::Newest).unwrap();
    assert_eq!(
        read.meta.headers.content_type.as_ref().unwrap().as_str(),
        "application/json"
    );
    assert_eq!(read.meta.etag, second.etag);
}

#[test]
fn what_is_no_document_is_refused_with_its_place_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let engine = fresh(dir.path());
    store(&engine, "a", r#"{"n":1}"#).unwrap();
    let refused = |json: &str| {
        let error = store(&engine, "a", json).unwrap_err();
        (error.code(), error.pointer())
    };
    let at = |place: &str| Some(place.to_owned());
    assert_eq!(refused(r#"{"a":{"b":1,"b":2}}"#), ("BadJson", at("/a/b")));
    assert_eq!(refused("[]"), ("BadJson", at("")));
    assert_eq!(refused(r#"{"_x":1}"#), ("ReservedMember", at("/_x")));
    assert_eq!(refused(r#"{"_id":"b"}"#), ("WrongId", at("/_id")));
    assert_eq!(refused(r#"{"_v":7}"#), ("NotCurrent", at("/_v")));
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(refused(&large).0, "TooLarge");
    let error = store(&engine, "a", "{").unwrap_err();
    assert!(matches!(error, EngineError::Json(error) if error.fault == JsonFault::Syntax));
    assert_eq!(newest(&engine, "a"), (serde_json::json!({"n":1}), 1));
}

/// What a reader got and changed goes back as it is, and only while it is current.
#[test]
fn an_envelope_that_comes_back_is_a_condition() {
    let dir = tempfile::tempdir().unwrap();
    let engine = fresh(dir.path());
    store(&engine, "a", r#"{"n":1}"#).unwrap();
    let read = document(&engine, "a", Which::Newest).unwrap();
    let mut changed = doc::parse_object(&read.json).unwrap();
    changed.insert("n".to_owned(), 2.into());
    let changed = serde_json::to_string(&changed).unwrap();
    store(&engine, "a", &changed).unwrap();
    assert_eq!(newest(&engine, "a"), (serde_json::json!({"n":2}), 2));
    let stale = store(&engine, "a", &changed).unwrap_err();
    assert!(matches!(
        stale,
        EngineError::Envelope(EnvelopeError::NotCurrent(_))
    ));
}

/// DEFECT: two versions that stand on one, so that `_v` repeats.
#[test]
fn writers_of_one_key_number_its_versions_without_gaps() {
    const WRITERS: u64 = 4;
    const EACH: u64 = 12;
    let dir = tempfile::tempdir().unwrap();
    let engine = fresh(dir.path());
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let engine = &engine;
            scope.spawn(move || {
                for n in 0..EACH {
                    store(engine, "a", &format!(r#"{{"w":{writer},"n":{n}}}"#)).unwrap();
                }
            });
        }
    });
    let page = engine
        .versions(&object("docs", "a", Op::Get), None, 1000)
        .unwrap();
    let mut above: Option<Envelope> = None;
    for (item, version) in page.items.iter().zip((1..=WRITERS * EACH).rev()) {
        let (_, envelope) = verified(&engine, "a", Which::Version(item.version));
        assert_eq!(envelope.version, version);
        if let Some(above) = above {
            assert_eq!(above.follows(&envelope), Ok(()));
        }
        above = Some(envelope);
    }
    assert_eq!(page.items.len() as u64, WRITERS * EACH);
}

/// DEFECT: a commit that takes a plan although another version came in between.
#[test]
fn a_plan_that_stands_on_an_older_version_is_stale() {
    let dir = tempfile::tempdir().unwrap();
    let engine = fresh(dir.path());
    store(&engine, "a", r#"{"n":1}"#).unwrap();
    let proof = object("docs", "a", Op::Put);
    let plan = |engine: &Engine, json: &str| -> Mutation {
        engine
            .inner
            .plan_put(
                &proof,
                crate::doc::Body::Whole(doc::parse_object(json.as_bytes()).unwrap()),
                ObjectHeaders::default(),
                Preconditions::default(),
            )
            .unwrap()
    };
    let submit = |mutation| {
        let finish = crate::object::put_outcome;
        engine.inner.submit(&proof, Ok(mutation), None, finish).wait()
    };
    let (left, right) = (plan(&engine, r#"{"n":2}"#), plan(&engine, r#"{"n":3}"#));
    submit(left).unwrap();
    assert!(submit(right).unwrap_err().is_stale());
    // Of a key that was deleted meanwhile, and of one that was made.
    let after = plan(&engine, r#"{"n":4}"#);
    delete(&engine, "docs", "a").unwrap();
    assert!(submit(after).unwrap_err().is_stale());
    assert!(matches!(
        document(&engine, "a", Which::Newest),
        Err(EngineError::NoSuchKey)
    ));
    let made = plan(&engine, r#"{"n":5}"#);
    submit(made).unwrap();
    // The tombstone has no envelope: it goes on from the version below.
    assert_eq!(newest(&engine, "a"), (serde_json::json!({"n":5}), 3));
}

#[test]
fn documents_go_every_way_that_objects_go() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Arc::new(MemoryStorage::new());
    let engine = open_on(&storage, dir.path());
    make(&engine, "docs");
    make_bucket(&engine, "plain");
    store(&engine, "a", r#"{"n":1}"#).unwrap();
    let tombstone = delete(&engine, "docs", "a").unwrap().unwrap();
    let restored = engine
        .settled(|engine| engine.undelete(&object("docs", "a", Op::Put)))
        .unwrap();
    assert!(restored.version > tombstone.version);
    assert_eq!(newest(&engine, "a"), (serde_json::json!({"n":1}), 2));

    // Copies: to another key, out, and in from what is JSON.
    let source = |bucket: &str, key: &str| CopySource {
        bucket: name(bucket),
        key: ObjectKey::parse(key).unwrap(),
        version: None,
    };
    let copy = |from: CopySource, bucket: &str, key: &str| {
        let proof = object(bucket, key, Op::Put);
        engine
            .settled(|engine| engine.copy(&proof, &from, ObjectHeaders::default(), Preconditions::default()))
    };
    copy(source("docs", "a"), "docs", "b").unwrap();
    assert_eq!(newest(&engine, "b"), (serde_json::json!({"n":1}), 1));
    let out = copy(source("docs", "a"), "plain", "a").unwrap();
    assert_eq!(out.etag, document(&engine, "a", Which::Newest).unwrap().meta.etag);
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(200_000));
    put(&engine, "plain", "large", large.as_bytes()).unwrap();
    copy(source("plain", "large"), "docs", "large").unwrap();
    assert_eq!(newest(&engine, "large").1, 1);
    put(&engine, "plain", "bytes", b"\x00").unwrap();
    let refused = copy(source("plain", "bytes"), "docs", "bytes").unwrap_err();
    assert!(matches!(refused, EngineError::Json(_)));

    // A batch is planned as a whole.
    let op = |key: &str, action| BatchOp {
        key: ObjectKey::parse(key).unwrap(),
        preconditions: Preconditions::default(),
        action,
    };
    let stored = |json: &'static str| BatchAction::Put {
        body: Bytes::from_static(json.as_bytes()),
        headers: Box::default(),
    };
    let batch = |ops: Vec<BatchOp>| {
        let proof = Authorized::local("test", Op::Put, Target::Batch(name("docs")));
        engine.settled(|engine| engine.batch(&proof, ops.clone()))
    };
    let ops = vec![
        op("a", stored(r#"{"n":2}"#)),
        op("c", stored(r#"{"n":3}"#)),
        op("b", BatchAction::Delete),
    ];
    assert_eq!(batch(ops).unwrap().results.len(), 3);
    assert_eq!(newest(&engine, "a"), (serde_json::json!({"n":2}), 3));
    assert_eq!(newest(&engine, "c"), (serde_json::json!({"n":3}), 1));
    let refused = batch(vec![op("c", stored("{}")), op("d", stored(r#"{"_q":1}"#))]).unwrap_err();
    assert!(matches!(&refused, EngineError::Entry { index: 1, .. }));
    assert_eq!(refused.pointer().as_deref(), Some("/_q"));
    assert_eq!(newest(&engine, "c").1, 1);

    // What makes no sense there, and what only makes sense there.
    let proof = object("docs", "x", Op::Put);
    let begun = engine.begin_upload(&proof, ContentDigest::of(b"{}"));
    assert!(matches!(begun, Err(EngineError::NotForDocuments)));
    let begun = engine.start_upload(&proof, 5 << 20, ObjectHeaders::default());
    assert!(matches!(begun.wait(), Err(EngineError::NotForDocuments)));
    let meta = ObjectHeaders::parse([("x-wfldb-meta-a", "b")]).unwrap();
    let refused = engine.put_document(&proof, b"{}", meta, Preconditions::default());
    assert!(matches!(refused.wait(), Err(EngineError::NotForDocuments)));
    let proof = object("plain", "x", Op::Put);
    let refused = engine.put_document(&proof, b"{}", ObjectHeaders::default(), Preconditions::default());
    assert!(matches!(refused.wait(), Err(EngineError::NotDocuments)));
    let read = engine.document(&object("plain", "large", Op::Get), Which::Newest);
    assert!(matches!(read, Err(EngineError::NotDocuments)));

    // All of it is whole, and is after a restart.
    assert_sound(&engine);
    drop(engine);
    let engine = open_on(&storage, dir.path());
    assert_eq!(newest(&engine, "a"), (serde_json::json!({"n":2}), 3));
    store(&engine, "a", r#"{"n":4}"#).unwrap();
    assert_eq!(newest(&engine, "a"), (serde_json::json!({"n":4}), 4));
}

#[test]
fn conditions_of_documents_are_decided_in_the_commit() {
    let dir = tempfile::tempdir().unwrap();
    let engine = fresh(dir.path());
    let absent = Preconditions {
        if_none_match_any: true,
        ..Preconditions::default()
    };
    let first = store_where(&engine, "a", "{}", &absent).unwrap();
    let again = store_where(&engine, "a", "{}", &absent).unwrap_err();
    assert!(matches!(again, EngineError::PreconditionFailed));
    let of_first = Preconditions {
        if_match: Some(EtagCondition::Is(first.etag)),
        ..Preconditions::default()
    };
    store_where(&engine, "a", "{}", &of_first).unwrap();
    let stale = store_where(&engine, "a", "{}", &of_first).unwrap_err();
    assert!(matches!(stale, EngineError::PreconditionFailed));
}

/// DEFECTS: a check that looks at the hash of the bytes only, and takes a document of another key, or one put in the
/// place of a later version, for what was signed.
#[test]
fn a_check_and_a_history_find_what_was_swapped() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Arc::new(MemoryStorage::new());
    let engine = open_on(&storage, dir.path());
    make(&engine, "docs");
    for n in 1..=3 {
        store(&engine, "a", &format!(r#"{{"n":{n}}}"#)).unwrap();
    }
    let proof = object("docs", "a", Op::Get);
    let whole = engine.history(&proof, None, 10, true).unwrap();
    assert!(whole.items.iter().all(|item| item.verified == Some(Ok(()))));
    assert_eq!((whole.items.len(), whole.more), (3, false));
    // The last of a page is held against the first of the next.
    let page = engine.history(&proof, None, 2, true).unwrap();
    assert_eq!((page.items.len(), page.more), (2, true));
    assert_sound(&engine);

    let bucket = engine.inner.bucket(&name("docs")).unwrap().id;
    let versions: Vec<_> = whole.items.iter().map(|item| item.meta.version).collect();
    let row_of = |version| {
        let row = crate::row::key::version(&bucket, &ObjectKey::parse("a").unwrap(), version);
        let stored = storage
            .snapshot()
            .get(crate::Space::Versions, &row)
            .unwrap()
            .unwrap();
        (row, crate::row::ObjectRow::decode(&stored).unwrap())
    };
    // The signature of another version.
    let (row_key, row) = row_of(&versions[1]);
    let swapped = crate::row::ObjectRow {
        signature: row_of(&versions[2]).1.signature,
        ..row.clone()
    };
    overwrite(&storage, row_key.clone(), swapped.encode());
    let found = engine.history(&proof, None, 10, true).unwrap();
    assert_eq!(found.items[1].verified, Some(Err(DocumentFault::Signature)));
    assert_eq!(faults(&engine), ["the signature does not verify"]);
    // A version that is gone without anything that says so.
    overwrite(&storage, row_key, row.encode());
    let (gone, _) = row_of(&versions[1]);
    let batch = crate::Batch {
        writes: vec![(crate::Space::Versions, gone, None)],
    };
    storage.commit(batch).unwrap();
    let found = engine.history(&proof, None, 10, true).unwrap();
    assert_eq!(found.items[0].verified, Some(Err(DocumentFault::Sequence)));
    assert_eq!(faults(&engine), ["the version above does not follow this one"]);
}

fn overwrite(storage: &Arc<MemoryStorage>, key: Bytes, row: Vec<u8>) {
    let batch = crate::Batch {
        writes: vec![(crate::Space::Versions, key, Some(row.into()))],
    };
    storage.commit(batch).unwrap();
}

fn faults(engine: &Engine) -> Vec<String> {
    let proof = Authorized::local("test", Op::Admin, Target::Store);
    let report = engine.verify(&proof).unwrap();
    let documents = report
        .findings
        .into_iter()
        .filter(|finding| finding.kind == crate::FindingKind::Document);
    documents.map(|finding| finding.detail).collect()
}

/// What was removed, and says so, leaves no fault.
#[test]
fn what_is_erased_pruned_or_deleted_leaves_documents_that_verify() {
    let dir = tempfile::tempdir().unwrap();
    let engine = fresh(dir.path());
    let second = (1..=3)
        .map(|n| store(&engine, "a", &format!(r#"{{"n":{n}}}"#)).unwrap())
        .nth(1)
        .unwrap();
    let erase = object("docs", "a", Op::Erase);
    engine
        .erase(&erase, second.version, Preconditions::default())
        .wait()
        .unwrap();
    delete(&engine, "docs", "a").unwrap();
    store(&engine, "a", r#"{"n":4}"#).unwrap();
    configure(&engine, "docs", r#"{"kind":"documents","versions":{"keep":1}}"#);
    for n in 1..=3 {
        store(&engine, "b", &format!(r#"{{"n":{n}}}"#)).unwrap();
    }
    assert_sound(&engine);
    let history = engine
        .history(&object("docs", "a", Op::Get), None, 10, true)
        .unwrap();
    assert!(
        history
            .items
            .iter()
            .all(|item| !matches!(item.verified, Some(Err(_))))
    );
    assert_eq!(newest(&engine, "b").1, 3);
}

#[test]
fn a_schema_holds_for_what_is_written_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    let engine = fresh(dir.path());
    let manage = of_bucket("docs", Op::Manage);
    store(&engine, "old", r#"{"age":"ten"}"#).unwrap();
    let schema = br#"{"type":"object","properties":{"age":{"type":"integer","minimum":0},"code":{"pattern":"^(a+)+$"}},"additionalProperties":false}"#;
    assert!(engine.put_schema(&manage, Some(schema)).wait().unwrap());
    assert!(!engine.put_schema(&manage, Some(schema)).wait().unwrap());
    let refused = store(&engine, "a", r#"{"age":-1}"#).unwrap_err();
    assert_eq!(
        (refused.code(), refused.pointer().as_deref()),
        ("SchemaViolation", Some("/age"))
    );
    assert_eq!(
        store(&engine, "a", r#"{"other":1}"#).unwrap_err().code(),
        "SchemaViolation"
    );
    // The envelope is the store's affair.
    store(&engine, "a", r#"{"age":1}"#).unwrap();
    let read = document(&engine, "a", Which::Newest).unwrap();
    store(&engine, "a", std::str::from_utf8(&read.json).unwrap()).unwrap();
    // DEFECT: an expression that takes years.
    let begun = Instant::now();
    let hostile = format!(r#"{{"code":"{}b"}}"#, "a".repeat(10_000));
    assert!(store(&engine, "a", &hostile).is_err());
    assert!(begun.elapsed() < Duration::from_secs(5));
    for bad in [
        r#"{"type":"nothing"}"#,
        r#"{"$ref":"http://x/y"}"#,
        r#"{"pattern":"(?=a)"}"#,
        "1",
    ] {
        let refused = engine
            .put_schema(&manage, Some(bad.as_bytes()))
            .wait()
            .unwrap_err();
        assert_eq!(refused.code(), "BadSchema", "{bad}");
    }
    // A plan that was held against another schema is made again.
    let proof = object("docs", "b", Op::Put);
    let plan = engine.inner.plan_put(
        &proof,
        crate::doc::Body::Whole(doc::parse_object(br#"{"age":1}"#).unwrap()),
        ObjectHeaders::default(),
        Preconditions::default(),
    );
    assert!(engine.put_schema(&manage, None).wait().unwrap());
    let stale = engine
        .inner
        .submit(&proof, plan, None, crate::object::put_outcome)
        .wait();
    assert!(stale.unwrap_err().is_stale());
    assert_eq!(engine.schema(&manage).unwrap(), None);
    store(&engine, "a", r#"{"other":1}"#).unwrap();
    assert_sound(&engine);
}
