//! Tests of the engine as a whole. `model` compares with a plain map, `laws` has one
//! test for each invariant of the design, `damage` breaks stores on disk, `cache` looks for stale reads,
//! `erase` and `lifecycle` for
//! what should be gone, and the others have the laws of what they are named for.

#![expect(
    clippy::string_slice,
    reason = "a slice off a boundary fails its test, as it should"
)]

mod adopt;
mod aggregate;
mod audit;
mod backup;
mod batch;
mod cache;
mod changes;
mod check;
mod copy;
mod damage;
mod documents;
mod edits;
mod erase;
mod fixture;
mod indexes;
mod laws;
mod lifecycle;
mod listing;
mod model;
mod multipart;
mod queries;
mod random_damage;
mod seeds;
mod tags;
mod timed;
mod tx;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use wfldb_core::auth::{Authorized, Op, Target};
use wfldb_core::name::{BucketName, ObjectKey};
use wfldb_core::object::{BucketConfig, ContentDigest, ObjectHeaders, Preconditions};
use wfldb_core::time::UnixMillis;

use crate::{DeleteOutcome, Engine, EngineError, EngineOptions, PutOutcome, Usage, Which};

/// Leaves a test on a machine without the program, and says so.
macro_rules! needs {
    ($program:literal) => {
        if std::process::Command::new($program)
            .arg("--version")
            .output()
            .is_err()
        {
            println!("SKIPPED: there is no {} on this machine", $program);
            return;
        }
    };
}
pub(crate) use needs;

/// A clock that stands still but for one millisecond in four calls: versions must order themselves.
pub(crate) fn options() -> EngineOptions {
    let ticks = AtomicU64::new(4 * 1_750_000_000_000);
    let clock = move || UnixMillis::new(ticks.fetch_add(1, Ordering::SeqCst) / 4);
    EngineOptions {
        clock: Arc::new(clock),
        cache_bytes: 1 << 20,
        ..EngineOptions::default()
    }
    .without_floor()
}

pub(crate) fn name(bucket: &str) -> BucketName {
    BucketName::parse(bucket).unwrap()
}

pub(crate) fn object(bucket: &str, key: &str, op: Op) -> Authorized {
    Authorized::local(
        "test",
        op,
        Target::Key(name(bucket), ObjectKey::parse(key).unwrap()),
    )
}

pub(crate) fn of_bucket(bucket: &str, op: Op) -> Authorized {
    Authorized::local("test", op, Target::Bucket(name(bucket)))
}

pub(crate) fn make_bucket(engine: &Engine, bucket: &str) {
    engine
        .put_bucket(&of_bucket(bucket, Op::Manage), BucketConfig::default())
        .wait()
        .unwrap();
}

pub(crate) fn put_if(
    engine: &Engine,
    bucket: &str,
    key: &str,
    body: &[u8],
    preconditions: Preconditions,
) -> Result<PutOutcome, EngineError> {
    let proof = object(bucket, key, Op::Put);
    let mut upload = engine.begin_upload(&proof, ContentDigest::of(body))?;
    upload.write(body)?;
    engine
        .put(&proof, upload.finish()?, ObjectHeaders::default(), preconditions)
        .wait()
}

pub(crate) fn put(engine: &Engine, bucket: &str, key: &str, body: &[u8]) -> Result<PutOutcome, EngineError> {
    put_if(engine, bucket, key, body, Preconditions::default())
}

pub(crate) fn put_with(
    engine: &Engine,
    bucket: &str,
    key: &str,
    body: &[u8],
    headers: &[(&str, &str)],
) -> Result<PutOutcome, EngineError> {
    let proof = object(bucket, key, Op::Put);
    let mut upload = engine.begin_upload(&proof, ContentDigest::of(body))?;
    upload.write(body)?;
    let headers = ObjectHeaders::parse(headers.iter().copied()).unwrap();
    engine
        .put(&proof, upload.finish()?, headers, Preconditions::default())
        .wait()
}

pub(crate) fn configure(engine: &Engine, bucket: &str, config: &str) {
    let config = BucketConfig::parse_json(config.as_bytes()).unwrap();
    engine
        .put_bucket(&of_bucket(bucket, Op::Manage), config)
        .wait()
        .unwrap();
}

pub(crate) fn usage(engine: &Engine, bucket: &str) -> Usage {
    engine.bucket(&of_bucket(bucket, Op::Manage)).unwrap().usage
}

pub(crate) fn files(dir: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    let entries = entries.map(Result::unwrap);
    entries
        .map(|entry| {
            if entry.file_type().unwrap().is_dir() {
                files(&entry.path())
            } else {
                1
            }
        })
        .sum()
}

pub(crate) fn until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_mins(1), "it did not come about");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub(crate) struct HandClock(Arc<AtomicU64>);

impl HandClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_750_000_000_000)))
    }

    pub(crate) fn forward(&self, by: Duration) {
        self.0
            .fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> UnixMillis {
        UnixMillis::new(self.0.load(Ordering::SeqCst))
    }

    pub(crate) fn options(&self) -> EngineOptions {
        let clock = self.clone();
        EngineOptions {
            clock: Arc::new(move || clock.now()),
            ..options()
        }
    }
}

/// Everything that is stored fits together.
pub(crate) fn assert_sound(engine: &Engine) {
    let proof = Authorized::local("test", Op::Admin, Target::Store);
    let report = engine.verify(&proof).unwrap();
    assert!(report.sound, "{:#?}", report.findings);
}

pub(crate) fn delete(engine: &Engine, bucket: &str, key: &str) -> Result<Option<DeleteOutcome>, EngineError> {
    engine
        .delete(&object(bucket, key, Op::Delete), Preconditions::default())
        .wait()
}

pub(crate) fn read(engine: &Engine, bucket: &str, key: &str, which: Which) -> Result<Vec<u8>, EngineError> {
    let mut reader = engine.object(&object(bucket, key, Op::Get), which)?;
    let mut body = Vec::new();
    while let Some(piece) = reader.next()? {
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// Rows of `index` but for the places of changes, which every change of a bucket leaves.
pub(crate) fn index_rows(storage: &dyn crate::Storage) -> usize {
    let snapshot = storage.snapshot();
    let rows = snapshot.range(crate::Space::Index, b"", b"", false);
    let is_place = |row: &[u8]| row.len() == 16 + 1 + 8 && row.get(16) == Some(&b'q');
    rows.filter(|row| !is_place(&row.as_ref().unwrap().0)).count()
}

pub(crate) fn open(dir: &Path) -> Engine {
    Engine::open(dir, options()).unwrap()
}
