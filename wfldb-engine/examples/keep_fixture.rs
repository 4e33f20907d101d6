//! Makes a small store with one of everything and prints it as `fixtures/format-N.json`: a list of files, in hex,
//! without the zeros at their ends.
//!
//! `cargo run -p wfldb-engine --example keep_fixture > wfldb-engine/fixtures/format-N.json`

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use wfldb_core::auth::{Authorized, Op, Service, Target};
use wfldb_core::id::{ByteLen, SecretKey};
use wfldb_core::index::IndexDefinition;
use wfldb_core::name::{BucketName, ObjectKey, Realm};
use wfldb_core::object::{BucketConfig, ContentDigest, ObjectHeaders, Preconditions};
use wfldb_core::revocation::{Asked, order};
use wfldb_engine::{BatchAction, BatchOp, Engine, EngineOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::temp_dir().join(format!("wfldb-fixture-{}", std::process::id()));
    let options = EngineOptions {
        realm: Some(Realm::parse("kept")?),
        min_free: ByteLen::new(0),
        ..EngineOptions::default()
    };
    let engine = Engine::open(&dir, options)?;
    let bucket = BucketName::parse("kept")?;
    let proof = |op, target| Authorized::local("fixture", op, target);
    engine
        .put_bucket(
            &proof(Op::Manage, Target::Bucket(bucket.clone())),
            BucketConfig::default(),
        )
        .wait()?;
    let headers = ObjectHeaders::parse([("content-type", "text/plain"), ("x-wfldb-tags", "colour=blue")])?;
    let put = |key: &str, body: &[u8]| -> Result<(), Box<dyn Error>> {
        let proof = proof(Op::Put, Target::Key(bucket.clone(), ObjectKey::parse(key)?));
        let mut upload = engine.begin_upload(&proof, ContentDigest::of(body))?;
        upload.write(body)?;
        engine
            .put(
                &proof,
                upload.finish()?,
                headers.clone(),
                Preconditions::default(),
            )
            .wait()?;
        Ok(())
    };
    put("inline", b"first")?;
    put("inline", b"second")?;
    // Its chunk file is a compressed one.
    put("a/chunked", &vec![7; 70_000])?;
    put("deleted", b"gone")?;
    let deleted = proof(
        Op::Delete,
        Target::Key(bucket.clone(), ObjectKey::parse("deleted")?),
    );
    engine.delete(&deleted, Preconditions::default()).wait()?;
    more(&engine, &bucket)?;
    engine.sign_audit_log(SecretKey::from_seed([7; 32]));
    documents(&engine)?;
    checkpoint(&engine)?;
    engine.close()?;

    let mut files = Vec::new();
    collect(&dir, &dir, &mut files)?;
    files.sort_by_key(|file| file["path"].to_string());
    writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&files)?)?;
    fs::remove_dir_all(&dir)?;
    Ok(())
}

/// What came with format 2: a batch, a version with an end, an upload that is not finished.
fn more(engine: &Engine, bucket: &BucketName) -> Result<(), Box<dyn Error>> {
    let proof = |op, target| Authorized::local("fixture", op, target);
    let entry = |key: &str, headers: &[(&str, &str)]| -> Result<BatchOp, Box<dyn Error>> {
        Ok(BatchOp {
            key: ObjectKey::parse(key)?,
            preconditions: Preconditions::default(),
            action: BatchAction::Put {
                body: Bytes::from_static(b"batched"),
                headers: Box::new(ObjectHeaders::parse(headers.iter().copied())?),
            },
        })
    };
    let ops = vec![
        entry("batch/1", &[("x-wfldb-tags", "colour=red")])?,
        entry("batch/2", &[("x-wfldb-ttl", "3153600000")])?,
    ];
    engine
        .batch(&proof(Op::Put, Target::Batch(bucket.clone())), ops)
        .wait()?;
    let part = proof(Op::Put, Target::Key(bucket.clone(), ObjectKey::parse("parts")?));
    let upload = engine
        .start_upload(&part, 5 << 20, ObjectHeaders::default())
        .wait()?;
    let body = b"a part that is not finished";
    let mut received = engine.begin_part(&part, upload, 1, ContentDigest::of(body))?;
    received.upload.write(body)?;
    engine.put_part(&part, received.finish()?).wait()?;
    Ok(())
}

/// What came with format 4: documents with an index and times, a transaction over two buckets, an erased version, a key
/// that was revoked.
fn documents(engine: &Engine) -> Result<(), Box<dyn Error>> {
    let proof = |op, target| Authorized::local("fixture", op, target);
    let papers = BucketName::parse("papers")?;
    let manages = proof(Op::Manage, Target::Bucket(papers.clone()));
    let config = BucketConfig::parse_json(br#"{"kind":"documents","time_field":"at"}"#)?;
    engine.put_bucket(&manages, config).wait()?;
    let index = IndexDefinition::parse(&json!({"index": {"fields": ["year"]}, "name": "by_year"}))?;
    let index = engine.define_index(&manages, index).wait()?.name;
    engine.wait_for_index(&manages, &index, Duration::from_secs(10))?;
    let document = |year: u16| {
        let at = format!("{year}-01-01T00:00:00Z");
        json!({"at": at, "title": "a paper", "year": year}).to_string()
    };
    let writes = |bucket: &BucketName, key: &str| -> Result<Authorized, Box<dyn Error>> {
        let target = Target::Key(bucket.clone(), ObjectKey::parse(key)?);
        Ok(proof(Op::Put, target))
    };
    for (key, year) in [("first", 1980), ("second", 1981), ("first", 1990)] {
        let headers = ObjectHeaders::default();
        let put = engine.put_document(
            &writes(&papers, key)?,
            document(year).as_bytes(),
            headers,
            Preconditions::default(),
        );
        put.wait()?;
    }
    let beside = BucketName::parse("beside")?;
    let makes = proof(Op::Manage, Target::Bucket(beside.clone()));
    engine.put_bucket(&makes, BucketConfig::default()).wait()?;
    let object = writes(&beside, "together")?;
    let paper = writes(&papers, "together")?;
    engine.transaction(&proof(Op::List, Target::Service(Service::Tx)), |tx| {
        let body = Bytes::from_static(b"both or none");
        let headers = ObjectHeaders::default;
        tx.put(&object, body, headers(), &Preconditions::default())?;
        let body = Bytes::from(document(2000));
        tx.put_document(&paper, body, headers(), &Preconditions::default())
    })?;
    let first = |op| -> Result<Authorized, Box<dyn Error>> {
        Ok(proof(op, Target::Key(papers.clone(), ObjectKey::parse("first")?)))
    };
    let oldest = engine.versions(&first(Op::Get)?, None, 10)?.items.pop();
    let oldest = oldest.ok_or("no version to erase")?.version;
    engine
        .erase(&first(Op::Erase)?, oldest, Preconditions::default())
        .wait()?;
    let revokes = proof(Op::Admin, Target::Service(Service::Keys));
    let key = SecretKey::from_seed([8; 32]).public_key();
    let order = order(&revokes, &Asked::Key(key))?;
    engine.revoke(&revokes, order).wait()?;
    Ok(())
}

/// What came with format 3: leaves of all this, and a signed checkpoint.
fn checkpoint(engine: &Engine) -> Result<(), Box<dyn Error>> {
    let proof = Authorized::local("fixture", Op::Audit, Target::Store);
    for _ in 0..1000 {
        if engine.audit_checkpoint(&proof).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err("no checkpoint was signed".into())
}

fn collect(root: &Path, dir: &Path, files: &mut Vec<Value>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
            continue;
        }
        let bytes = fs::read(&path)?;
        let used = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        let mut hex = String::new();
        for byte in bytes.iter().take(used) {
            write!(hex, "{byte:02x}")?;
        }
        let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
        files.push(json!({"path": name, "len": bytes.len(), "hex": hex}));
    }
    Ok(())
}
