//! A store that an earlier release wrote is kept, and opens. `cargo run -p wfldb-engine --example keep_fixture` makes
//! the next one when the format number moves; a kept one is never made again.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;

/// Unpacks a kept store: a JSON list of `{path, len, hex}`, with the zeros at a file's end left out.
pub(super) fn unpack(kept: &str, dir: &Path) {
    let files: Vec<Value> = serde_json::from_str(kept).unwrap();
    for file in files {
        let path = dir.join(file["path"].as_str().unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let hex = file["hex"].as_str().unwrap();
        let bytes: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        fs::write(&path, bytes).unwrap();
        fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(file["len"].as_u64().unwrap())
            .unwrap();
    }
    for folder in ["db/keyspaces", "chunks"] {
        fs::create_dir_all(dir.join(folder)).unwrap();
    }
}

/// Format policy: a release opens what every release before it wrote.
#[test]
fn a_store_of_format_1_opens_with_everything_in_it() {
    let dir = tempfile::tempdir().unwrap();
    unpack(include_str!("../../fixtures/format-1.json"), dir.path());
    let engine = open(dir.path());
    holds_what_format_1_knew(&engine);
    let info = engine.bucket(&of_bucket("kept", Op::Manage)).unwrap();
    assert_eq!((info.usage.objects, info.usage.versions), (2, 5));
    // Brought up to this format: its tags are found, and it opens again as what it is now.
    assert_eq!(tagged(&engine, "colour=blue"), ["a/chunked", "inline"]);
    put(&engine, "kept", "new", b"1").unwrap();
    assert_sound(&engine);
    engine.close().unwrap();
    let engine = open(dir.path());
    assert_eq!(engine.health().writable, Ok(()));
    assert_eq!(tagged(&engine, "colour=blue"), ["a/chunked", "inline"]);
}

#[test]
fn a_store_of_format_2_opens_with_everything_in_it() {
    let dir = tempfile::tempdir().unwrap();
    unpack(include_str!("../../fixtures/format-2.json"), dir.path());
    holds_what_format_2_knew(&open(dir.path()));
}

/// Its checkpoint, which a key made then signed, is one of its tree.
#[test]
fn a_store_of_format_3_opens_with_everything_in_it() {
    let dir = tempfile::tempdir().unwrap();
    unpack(include_str!("../../fixtures/format-3.json"), dir.path());
    let engine = open(dir.path());
    let leaves = engine.inner.committer().mark().leaves;
    assert!(leaves > 0);
    engine.sign_audit_log(wfldb_core::id::SecretKey::from_seed([7; 32]));
    let newest = engine.checkpoints_to_come().unwrap();
    until(|| {
        newest
            .borrow()
            .as_ref()
            .is_some_and(|newest| newest.size() == leaves)
    });
    assert_eq!(engine.audit_damage(), None);
    holds_what_format_2_knew(&engine);
}

/// Documents, what finds them, a change of two buckets, an erased version, a revoked key.
#[test]
fn a_store_of_format_4_opens_with_everything_in_it() {
    let dir = tempfile::tempdir().unwrap();
    unpack(include_str!("../../fixtures/format-4.json"), dir.path());
    let engine = open(dir.path());
    holds_what_format_2_knew(&engine);
    let year = |key: &str| {
        let body = read(&engine, "papers", key, Which::Newest).unwrap();
        let document = wfldb_core::doc::parse_object(&body).unwrap();
        (document["year"].clone(), document["_v"].clone())
    };
    assert_eq!(year("first"), (1990.into(), 2.into()));
    assert_eq!(year("together"), (2000.into(), 1.into()));
    assert_eq!(
        read(&engine, "beside", "together", Which::Newest).unwrap(),
        b"both or none"
    );
    let question = r#"{"selector":{"year":{"$gt":1981}},"use_index":"by_year"}"#;
    let question = wfldb_core::doc::parse(question.as_bytes()).unwrap();
    let question = wfldb_core::query::FindRequest::parse(&question).unwrap();
    let asks = Authorized::local("test", Op::Query, Target::Find(name("papers")));
    assert_eq!(engine.find(&asks, &question, None).unwrap().documents.len(), 2);
    let first = object("papers", "first", Op::Get);
    assert_eq!(engine.versions(&first, None, 10).unwrap().items.len(), 1);
    assert_eq!(engine.revocation_view().len(), 1);
}

fn holds_what_format_2_knew(engine: &Engine) {
    holds_what_format_1_knew(engine);
    assert_sound(engine);
    assert_eq!(tagged(engine, "colour=red"), ["batch/1"]);
    let batched = engine
        .object(&object("kept", "batch/2", Op::Get), Which::Newest)
        .unwrap();
    assert_eq!(batched.meta().headers.ttl_seconds, Some(3_153_600_000));
    let usage = engine.bucket(&of_bucket("kept", Op::Manage)).unwrap().usage;
    assert_eq!((usage.objects, usage.versions), (4, 7));
    put(engine, "kept", "new", b"1").unwrap();
}

/// Formats before 4 did not say where they are. A defect it catches: an upgrade that leaves out some of them.
fn lists_its_changes(engine: &Engine) {
    let proof = Authorized::local("test", Op::Watch, Target::Changes(name("kept")));
    let page = engine.changes(&proof, &crate::ChangesQuery::default()).unwrap();
    let versions = engine
        .bucket(&of_bucket("kept", Op::Manage))
        .unwrap()
        .usage
        .versions;
    let written = page.changes.iter().flat_map(|change| &change.keys);
    assert!(written.count() as u64 >= versions && !page.more);
}

fn tagged(engine: &Engine, tags: &str) -> Vec<String> {
    let query = crate::ScanQuery {
        tags: wfldb_core::object::Tags::parse(tags).unwrap(),
        ..crate::ScanQuery::default()
    };
    let proof = Authorized::local("test", Op::List, Target::Listing(name("kept")));
    let page = engine.scan(&proof, &query).unwrap();
    page.items.iter().map(|item| item.key.to_string()).collect()
}

fn holds_what_format_1_knew(engine: &Engine) {
    lists_its_changes(engine);
    assert_eq!(engine.health().writable, Ok(()));
    assert_eq!(engine.realm().as_str(), "kept");
    assert_eq!(read(engine, "kept", "inline", Which::Newest).unwrap(), b"second");
    assert_eq!(
        read(engine, "kept", "a/chunked", Which::Newest).unwrap(),
        vec![7; 70_000]
    );
    assert!(matches!(
        read(engine, "kept", "deleted", Which::Newest),
        Err(EngineError::NoSuchKey)
    ));
    let versions = engine
        .versions(&object("kept", "inline", Op::Get), None, 10)
        .unwrap()
        .items;
    assert_eq!(versions.len(), 2);
    let headers = &versions[0].headers;
    assert_eq!(
        headers.content_type.as_ref().map(ToString::to_string).as_deref(),
        Some("text/plain")
    );
    assert_eq!(headers.tags.to_string(), "colour=blue");
}
